"""The first half of a build: list the inputs, scan them, plan. Nothing is written but into the workspace."""

from __future__ import annotations

from pcdata.building.engines.base import Engine
from pcdata.building.mentions import check_mentions
from pcdata.building.options import DatasetOptions
from pcdata.building.plan import Plan, make_plan
from pcdata.building.progress import Reporter
from pcdata.building.scan import list_inputs, pending_scans, run_scan
from pcdata.building.workspace import Workspace


def planned(options: DatasetOptions, workspace: Workspace, engine: Engine, report: Reporter) -> tuple[Plan, int]:
    """The plan, and how many scan tasks this call has done for it. What an earlier call did is not done again.

    Raises ``UnbuildableError`` if nothing can come of these inputs and options.
    """
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
