"""The first half of a build: list the inputs, scan them, plan. Writes only to the workspace."""

from __future__ import annotations

from pcdata.building.engines.base import Engine
from pcdata.building.filters import misspelt
from pcdata.building.mentions import check_mentions
from pcdata.building.options import DatasetOptions
from pcdata.building.plan import Plan, make_plan
from pcdata.building.progress import Reporter
from pcdata.building.scan import list_inputs, pending_scans, run_scan
from pcdata.building.workspace import Workspace
from pcdata.errors import UnbuildableError
from pcdata.inputs.sources import only_files


def planned(options: DatasetOptions, workspace: Workspace, engine: Engine, report: Reporter) -> tuple[Plan, int]:
    """The plan, and how many scan tasks this call has done for it. Finished tasks are not repeated.

    Raises ``UnbuildableError`` if these inputs and options cannot give a dataset.
    """
    fault = misspelt(options.filters.langs)
    if fault is not None and only_files(options.inputs):
        raise UnbuildableError(fault)
    n_tasks = list_inputs(options, workspace)
    scans = pending_scans(options, workspace, n_tasks)
    with report.stage("scan", None) as advance:
        engine.run(run_scan, scans, advance)
    plan = make_plan(options, workspace, n_tasks)
    check_mentions(options, workspace, report.say)
    if plan.unlucky_split is not None:
        report.say(
            f"no document was drawn into {plan.unlucky_split} with --val-fraction {options.split.val_fraction:g}; "
            "the nearest one was put there"
        )
    return plan, len(scans)
