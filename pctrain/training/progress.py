"""What a person sees of a run: a bar on a terminal, else a plain line per measurement. All of it on stderr, and of
several processes from the first alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from time import monotonic
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

_SILENT_SECONDS: Final = 30.0
"""The least time between two plain lines about one piece of work."""


class Progress:
    """Steps done, loss, bits per byte, speed, waiting; the bar adds the time left."""

    def __init__(self, first_step: int, steps: int, quiet: bool) -> None:
        self._steps = steps
        self._bar = tqdm(
            total=steps,
            initial=first_step,
            unit="step",
            disable=quiet or not speaks() or not sys.stderr.isatty(),
            dynamic_ncols=True,
            bar_format="{n}/{total} {bar} {elapsed}<{remaining}{postfix}",
        )
        self._text = ""
        self._bits = ""

    def step(self, loss: float, speed: dict[str, float]) -> None:
        """One optimizer step is done."""
        waiting = f"{100 * speed['waiting']:.0f} % waiting"
        self._text = f"loss {loss:.3f}, {_rate(speed['symbols_per_second'])}, {waiting}"
        self._bar.set_postfix_str(self._text + self._bits, refresh=False)
        self._bar.update()

    def measured(self, step: int, bits_per_byte: float) -> None:
        """A measurement on val was made."""
        self._bits = f", val {bits_per_byte:.3f} bits/byte"
        if self._bar.disable:
            say(f"step {step}/{self._steps}: {self._text}, val {bits_per_byte:.3f} bits/byte")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


class ByteProgress:
    """How much of some bytes is dealt with: a bar on a terminal, else a plain line as the work begins, and one now and
    then."""

    def __init__(self, what: str, n_bytes: int, quiet: bool) -> None:
        self._what, self._n_bytes, self._done = what, n_bytes, 0
        speaking, terminal = not quiet and speaks(), sys.stderr.isatty()
        self._bar = tqdm(total=n_bytes, desc=what, unit="B", unit_scale=True, disable=not (speaking and terminal))
        self._in_lines = speaking and not terminal
        if self._in_lines:
            self._say(f"{n_bytes:,} bytes")

    def update(self, n_bytes: int) -> None:
        """So many more are dealt with."""
        self._bar.update(n_bytes)
        self._done += n_bytes
        if self._in_lines and monotonic() - self._said >= _SILENT_SECONDS:
            self._say(f"{self._done:,} of {self._n_bytes:,} bytes ({self._done / self._n_bytes:.0%})")

    def over(self, texts: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """The same texts, each dealt with when the next is asked for."""
        for text in texts:
            yield text
            self.update(len(text))

    def _say(self, how_far: str) -> None:
        self._said = monotonic()
        say(f"{self._what}: {how_far}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


def say(text: str) -> None:
    """One line to a person, above the bar if there is one."""
    if speaks():
        tqdm.write(text, file=sys.stderr)


def speaks() -> bool:
    """Whether this is the process that speaks, by what ``torchrun`` says."""
    return os.environ.get("RANK", "0") == "0"


def _rate(symbols_per_second: float) -> str:
    if symbols_per_second < 1e6:
        return f"{symbols_per_second / 1e3:.1f} k symbols/s"
    return f"{symbols_per_second / 1e6:.2f} M symbols/s"
