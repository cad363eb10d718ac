"""As far as the plan of a build, in a temporary folder: what ``--dry-run`` and ``pcdata fit`` begin with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from pcdata.building.engines.process import ProcessEngine
from pcdata.building.options import DatasetOptions
from pcdata.building.plan import Plan
from pcdata.building.planning import planned
from pcdata.building.progress import Reporter
from pcdata.building.workspace import Workspace
from pcdata.dataset.files import temporary_folder
from pcdata.errors import OptionError
from pcdata.inputs.options import is_stream


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
