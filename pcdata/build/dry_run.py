"""``pcdata build --dry-run``: what a build would make, without writing into its output folder.

The input is scanned and planned for real, in a temporary folder. Bytes on disk per view are estimated from the fitting
sample, encoded once.
"""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pcdata.build.build import Reporter
from pcdata.build.engines.process import ProcessEngine
from pcdata.build.fit import fit_views, open_views
from pcdata.build.options import BuildOptions, handed_in_artifacts
from pcdata.build.plan import SAMPLE, Plan, make_plan
from pcdata.build.reread import read_pieces
from pcdata.build.scan import list_inputs, pending_scans, run_scan
from pcdata.build.state import BuildState
from pcdata.codecs.base import Codec
from pcdata.dataset.schema import DOC_ID_BYTES

_ESTIMATE_BYTES = 4_000_000
"""How much of the sample is encoded."""


@dataclass(frozen=True)
class DryRun:
    """What would be built."""

    plan: Plan
    view_bytes: dict[str, int]
    """Estimated size on disk of each view's files, all splits together."""
    sample_bytes: int
    """Raw bytes that the estimates rest on."""


def dry_run(options: BuildOptions, report: Reporter) -> DryRun:
    """Scan, plan and fit in a temporary folder. Raises what ``build`` would raise up to there."""
    artifacts = handed_in_artifacts(options.requests)
    with tempfile.TemporaryDirectory() as folder:
        options = dataclasses.replace(options, output=Path(folder))
        state = BuildState(options.output)
        with state.locked(), report.stage("scan", None) as advance:
            n_tasks = list_inputs(options, state)
            ProcessEngine(options.workers).run(run_scan, pending_scans(options, state, n_tasks), advance)
        plan = make_plan(options, state, n_tasks)
        fit_views(options, state, artifacts, report.say)
        views = open_views(state)
        sample = _sample(options, state) if views else []
        sample_bytes = sum(map(len, sample))
        estimates = {
            view.name: round(_bytes_on_disk(codec, sample) * plan.raw_bytes / max(sample_bytes, 1))
            for view, codec in views
        }
    return DryRun(plan, estimates, sample_bytes)


def _sample(options: BuildOptions, state: BuildState) -> list[bytes]:
    sample: list[bytes] = []
    size = 0
    for raw, _ in read_pieces(options, state, state.read_pieces(SAMPLE)):
        sample.append(raw)
        size += len(raw)
        if size >= _ESTIMATE_BYTES:
            break
    return sample


def _bytes_on_disk(codec: Codec, sample: list[bytes]) -> int:
    """Of the columns that ``sample`` would fill in a view file: symbols, units, ids and offsets."""
    columns = codec.encode(sample)
    types = codec.types
    size = len(columns.symbols) * types.symbol_dtype.itemsize
    size += len(columns.unit_bytes) * types.unit_bytes_dtype.itemsize
    lists = 2
    if types.unit_symbols_dtype is not None:
        size += len(columns.unit_bytes) * types.unit_symbols_dtype.itemsize
        lists = 3
    return size + len(sample) * (DOC_ID_BYTES + lists * 8)
