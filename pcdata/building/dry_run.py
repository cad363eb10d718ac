"""``pcdata build --dry-run``: what a build would make, without writing into its output folder.

The input is scanned and planned for real, in a temporary folder. Bytes on disk per view are estimated from the fitting
sample, encoded once.
"""

from __future__ import annotations

from dataclasses import dataclass

from pcdata.building.fit import fit_views, open_views
from pcdata.building.options import DatasetOptions
from pcdata.building.plan import SAMPLE, Plan
from pcdata.building.planning import Trial, trial
from pcdata.building.progress import Reporter
from pcdata.building.reread import read_pieces
from pcdata.building.shaping import handed_in_artifacts
from pcdata.codecs.base import Codec, naming
from pcdata.dataset.schema import DOC_ID_BYTES

_ESTIMATE_BYTES = 4_000_000
"""Raw bytes of the sample that are encoded."""


@dataclass(frozen=True)
class DryRun:
    plan: Plan
    view_bytes: dict[str, int]
    """Estimated size on disk of each view's files, all splits together."""
    sample_bytes: int
    """Raw bytes that the estimates are based on."""


def dry_run(options: DatasetOptions, workers: int, report: Reporter) -> DryRun:
    """Scan, plan and fit in a temporary folder. Raises the same errors as ``build``."""
    artifacts = handed_in_artifacts(options.views.requests)
    with trial(options, workers, report) as planned:
        fit_views(planned.options, planned.workspace, artifacts, report)
        views = open_views(planned.workspace)
        sample = _sample(planned) if views else []
        sample_bytes = sum(map(len, sample))
        estimates = {}
        for view, codec in views:
            with naming(view):
                size = _bytes_on_disk(codec, sample)
            estimates[view.name] = round(size * planned.plan.raw_bytes / max(sample_bytes, 1))
    return DryRun(planned.plan, estimates, sample_bytes)


def _sample(planned: Trial) -> list[bytes]:
    sample: list[bytes] = []
    size = 0
    for raw, _ in read_pieces(planned.options.inputs, planned.workspace, planned.workspace.read_pieces(SAMPLE)):
        sample.append(raw)
        size += len(raw)
        if size >= _ESTIMATE_BYTES:
            break
    return sample


def _bytes_on_disk(codec: Codec, sample: list[bytes]) -> int:
    """Bytes of the columns that ``sample`` would fill in a view file: symbols, units, ids and offsets."""
    columns = codec.encode(sample)
    types = codec.types
    size = len(columns.symbols) * types.symbol_dtype.itemsize
    size += len(columns.unit_bytes) * types.unit_bytes_dtype.itemsize
    lists = 2
    if types.unit_symbols_dtype is not None:
        size += len(columns.unit_bytes) * types.unit_symbols_dtype.itemsize
        lists = 3
    return size + len(sample) * (DOC_ID_BYTES + lists * 8)
