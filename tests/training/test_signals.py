"""A signal is remembered until the step is done; how many of them, and who else sends one, depends on who began."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from pctrain.training.distributed import World
from pctrain.training.signals import stop_signals

ALONE, ONE_OF_TWO, TORCHRUN = World(), World(size=2), World(agent=os.getppid())


class Killed(Exception):
    """What SIGTERM would have done."""


@pytest.fixture(autouse=True)
def _survive() -> Iterator[None]:
    def kill(number: int, frame: object) -> None:
        raise Killed

    before = signal.signal(signal.SIGTERM, kill)
    yield
    signal.signal(signal.SIGTERM, before)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("world", [ONE_OF_TWO, TORCHRUN], ids=["one of two", "torchrun"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_torchruns_processes_get_each_signal_several_times(world: World, number: signal.Signals) -> None:
    before = handlers()
    with stop_signals(world) as received:
        assert received() is None
        for each in (number, signal.SIGTERM, signal.SIGINT, number):
            signal.raise_signal(each)
            assert received() is number
    assert handlers() == before


def test_alone_the_second_ctrl_c_ends_at_once() -> None:
    with stop_signals(ALONE) as received:
        signal.raise_signal(signal.SIGINT)
        assert received() is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_process_whose_agent_was_killed_stops_as_if_told_to() -> None:
    with stop_signals(World(agent=os.getppid() + 1)) as received:
        assert received() is signal.SIGTERM
    with stop_signals(TORCHRUN) as received:
        assert received() is None
    with stop_signals(ALONE) as received:
        assert received() is None
