"""A build up to its plan, in a temporary folder: the first part of ``--dry-run`` and ``pcdata fit``."""

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
    """List, scan and plan; the folder is removed afterwards. Raises the same errors as ``build``.

    Always with processes, since the folder is on this machine.
    """
    if any(map(is_stream, options.inputs.paths)):
        raise OptionError("standard input and pipes can be read only once, which pcdata build alone does; name a file")
    with temporary_folder() as folder:
        workspace = Workspace(folder)
        with workspace.locked():
            with closing(ProcessEngine(workers)) as engine:
                plan, _ = planned(options, workspace, engine, report)
            yield Trial(options, workspace, plan)
