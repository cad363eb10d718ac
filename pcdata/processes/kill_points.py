"""Named points in the steps of a build at which a test can kill it, to show that it resumes.

``PCDATA_KILL_AT=scan.written:2`` kills the process, as ``kill -9`` would, when it passes that point for the second
time; ``PCDATA_KILL_WITH=SIGINT`` sends another signal. Without the variable a point costs one dictionary look-up.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

STEPS = (
    "inputs.written",
    "scan.written",
    "plan.written",
    "fit.written",
    "write.base",
    "write.view",
    "write.done",
    "commit.rejects",
    "commit.manifest",
    "commit.cleaned",
)

RESTART_STEPS = ("restart.claimed", "restart.removed", "restart.cleared")
"""Kill points of ``pcdata build --restart``, before the new build starts."""

_passed: Counter[str] = Counter()


def kill_point(name: str) -> None:
    wanted = os.environ.get("PCDATA_KILL_AT")
    if wanted is None:
        return
    assert name in STEPS + RESTART_STEPS, name
    _passed[name] += 1
    if wanted == f"{name}:{_passed[name]}":
        os.kill(os.getpid(), signal.Signals[os.environ.get("PCDATA_KILL_WITH", "SIGKILL")])
