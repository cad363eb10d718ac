"""As far as the plan of a build, in a temporary folder: what ``--dry-run`` and ``pcdata fit`` begin with."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pcdata.build.engines.process import ProcessEngine
from pcdata.build.mentions import check_mentions
from pcdata.build.options import BuildOptions, is_stream
from pcdata.build.plan import Plan, make_plan
from pcdata.build.report import Reporter
from pcdata.build.scan import list_inputs, pending_scans, run_scan
from pcdata.build.state import BuildState
from pcdata.dataset.files import temporary_folder
from pcdata.errors import OptionError


@dataclass(frozen=True)
class Trial:
    """A build that is planned and not written."""

    options: BuildOptions
    """With the temporary folder as output."""
    state: BuildState
    plan: Plan


@contextmanager
def trial(options: BuildOptions, report: Reporter) -> Iterator[Trial]:
    """List, scan and plan for real; the folder is gone afterwards. Raises what ``build`` would raise up to there.

    Always by processes: the folder is one of this machine.
    """
    if any(map(is_stream, options.inputs)):
        raise OptionError("standard input and pipes, which can be read only once, are for pcdata build; name a file")
    with temporary_folder(Path(tempfile.gettempdir(), "pcdata")) as folder:
        folder.chmod(0o700)  # nobody else has to know what is in the inputs
        options = dataclasses.replace(options, output=folder)
        state = BuildState(options.output)
        with state.locked():
            n_tasks = list_inputs(options, state)
            with closing(ProcessEngine(options.workers)) as engine, report.stage("scan", None) as advance:
                engine.run(run_scan, pending_scans(options, state, n_tasks), advance)
            plan = make_plan(options, state, n_tasks)
            check_mentions(options, state, report.say)
            yield Trial(options, state, plan)
