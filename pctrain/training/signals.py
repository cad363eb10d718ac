"""Requests to stop: SIGINT, SIGTERM, or the end of ``torchrun``'s agent. They are remembered until a step is done, and
all processes agree on them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from pctrain.training.distributed import World


@contextmanager
def stop_signals(world: World) -> Iterator[Callable[[], signal.Signals | None]]:
    """Inside, the first SIGINT or SIGTERM is remembered, to be asked for; the second does what it always did.

    Under ``torchrun`` the second does nothing: a process gets each signal from the terminal and again from the agent,
    which after 30 seconds ends it anyway. Where the agent was killed, nobody is left to send one: its end is asked for
    too, and counts as SIGTERM.
    """
    received: list[signal.Signals] = []
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        if not world.is_launched:
            for each, handler in previous.items():
                signal.signal(each, handler)

    def told() -> signal.Signals | None:
        if not received and world.is_orphaned():
            received.append(signal.SIGTERM)
        return received[0] if received else None

    for number in previous:
        signal.signal(number, remember)
    try:
        yield told
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def agreed(received: signal.Signals | None, world: World) -> signal.Signals | None:
    """The signal that any of the processes got, so that all of them stop after the same step."""
    number = world.largest(received or 0)
    return signal.Signals(number) if number else None
