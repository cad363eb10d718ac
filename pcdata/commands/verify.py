"""``pcdata verify``: whether a dataset matches its manifest."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from pcdata.building.progress import Reporter
from pcdata.commands.options import DATASET, WORKERS
from pcdata.shared_options import JSON, QUIET
from pcdata.starting import EXIT_FAULT
from pcdata.terminal import answer


@click.command()
@DATASET
@click.option("--quick", is_flag=True, help="Check sizes and hashes only; decode nothing.")
@click.option("--sample", type=float, default=None, help="Decode only this share of the documents.")
@JSON
@WORKERS
@QUIET
def verify(dataset: Path, quick: bool, sample: float | None, as_json: bool, workers: int, quiet: bool) -> None:
    """Hash every file, decode every view, compare with raw bytes."""
    from pcdata.dataset.manifest import load_manifest
    from pcdata.verifying.verify import verify as check
    from pcdata.verifying.verify import work_bytes

    total = work_bytes(load_manifest(dataset), quick=quick)
    with Reporter(quiet).stage("verify", total) as advance:
        report = check(dataset, quick=quick, sample=sample, workers=workers, progress=advance)
    if as_json:
        answer(json.dumps(report.to_dict(), indent=1))
    elif not (quiet and report.ok):
        answer(f"{dataset}\n{report.render()}" if not report.ok else f"{dataset}: {report.render()}")
    if not report.ok:
        sys.exit(EXIT_FAULT)
