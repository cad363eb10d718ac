"""A build that is told to stop ends in one sentence, leaves nothing half written, and resumes to the same bytes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from tests.building.corpora import assert_same_tree, options
from tests.building.interrupted import VIEWS, command, run


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", ["scan.written", "write.view"])
def test_stop_signals_end_in_one_sentence(
    code: Path, reference: Path, tmp_path: Path, stop: signal.Signals, step: str
) -> None:
    output = tmp_path / "shards"
    sentence = "stopped; what was committed is kept; rerun the same command to resume"
    assert run(command(code, output), f"{step}:1", stop.name) == (128 + stop, sentence)
    assert not list(output.rglob("*.tmp"))
    build(options(code, output, *VIEWS), Reporter())
    assert_same_tree(reference, output)
