"""What a person sees of work on many bytes."""

from __future__ import annotations

import sys
from io import StringIO
from itertools import count

import pytest

from pctrain.training import progress
from pctrain.training.progress import ByteProgress


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is 10 seconds later whenever somebody looks."""
    times = count(0, 10)
    monkeypatch.setattr(progress, "monotonic", lambda: float(next(times)))


def work(quiet: bool = False) -> None:
    with ByteProgress("gzip", 2000, quiet) as shown:
        for _ in range(8):
            shown.update(250)


@pytest.mark.usefixtures("clock")
def test_in_a_pipe_there_is_a_line_at_first_and_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    work()
    assert capsys.readouterr() == (
        "",
        "gzip: 2,000 bytes\ngzip: 750 of 2,000 bytes (38%)\ngzip: 1,500 of 2,000 bytes (75%)\n",
    )


@pytest.mark.usefixtures("clock")
def test_other_processes_and_quiet_ones_say_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    work(quiet=True)
    monkeypatch.setenv("RANK", "1")
    work()
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("clock")
def test_on_a_terminal_there_is_a_bar_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    work()
    assert "gzip: 100%" in terminal.getvalue()
    assert "2,000 bytes" not in terminal.getvalue()
