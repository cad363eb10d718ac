"""The first half of a build: list the inputs, scan them, plan. Writes only to the workspace, which is temporary
for a trial: the start of ``--dry-run``, ``pcdata fit`` and ``pcdata probe``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from pcdata.building.engines.base import Engine
from pcdata.building.engines.process import ProcessEngine
from pcdata.building.mentions import check_mentions
from pcdata.building.options import DatasetOptions
from pcdata.building.plan import Plan, make_plan
from pcdata.building.progress import Reporter
from pcdata.building.scan import list_inputs, pending_scans, run_scan
from pcdata.building.workspace import Workspace
from pcdata.dataset.files import temporary_folder
from pcdata.errors import OptionError
from pcdata.inputs.options import is_stream


def planned(options: DatasetOptions, workspace: Workspace, engine: Engine, report: Reporter) -> tuple[Plan, int]:
    """The plan, and how many scan tasks this call has done for it. Finished tasks are not repeated.

    Raises ``UnbuildableError`` if these inputs and options cannot give a dataset.
    """
    n_tasks = list_inputs(options, workspace)
    scans = pending_scans(options, workspace, n_tasks)
    with report.stage("scan", None) as advance:
        engine.run(run_scan, scans, advance)
    plan = make_plan(options, workspace, n_tasks)
    check_mentions(options, workspace, report.say)
    if plan.unlucky_split is not None:
        report.say(
            f"no document was drawn into {plan.unlucky_split} with --val-fraction {options.split.val_fraction:g}, "
            "so one was put there"
        )
    return plan, len(scans)


@dataclass(frozen=True)
class Trial:
    """A build that is planned and not written."""

    options: DatasetOptions
    workspace: Workspace
    plan: Plan


@contextmanager
def trial(options: DatasetOptions, workers: int, report: Reporter) -> Iterator[Trial]:
    """List, scan and plan for real; the folder is gone afterwards. Raises what ``build`` would raise up to there.

    Always by processes: the folder is one of this machine.
    """
    if any(map(is_stream, options.inputs.paths)):
        raise OptionError("standard input and pipes, which can be read only once, are for pcdata build; name a file")
    with temporary_folder() as folder:
        workspace = Workspace(folder)
        with workspace.locked():
            with closing(ProcessEngine(workers)) as engine:
                plan, _ = planned(options, workspace, engine, report)
            yield Trial(options, workspace, plan)
