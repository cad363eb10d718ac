"""The progress of a run: a bar on a terminal, otherwise a plain line per measurement. All of it goes to stderr, and
only from the first of several processes."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from time import monotonic, perf_counter
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from pcdata import terminal
from pctrain.training.metrics import Losses

_SILENT_SECONDS: Final = 30.0
"""The least time between two plain lines about one piece of work."""


class _Bar:
    """A context that ends its bar."""

    _bar: tqdm[Any]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()


class Progress(_Bar):
    """Steps done, loss, bits per byte, speed, waiting, and the time left."""

    def __init__(self, first_step: int, steps: int, bytes_per_target: Mapping[str, float], quiet: bool) -> None:
        """``bytes_per_target``: by view, raw first, the mean raw bytes that one of its symbols encodes."""
        self._first_step, self._steps = first_step, steps
        self._bytes_per_target = bytes_per_target
        self._begun = perf_counter()
        self._quiet = quiet
        self._bar = tqdm(
            total=steps,
            initial=first_step,
            unit="step",
            disable=quiet or not speaks() or not sys.stderr.isatty(),
            dynamic_ncols=True,
            bar_format="{n}/{total} {bar} {elapsed}<{remaining}{postfix}",
        )
        self._speed = ""
        self._bits = ""
        self._forget()

    def step(self, losses: Losses, speed: Mapping[str, float], *, learnt: bool) -> None:
        """Report an optimizer step; only ``learnt`` ones count in the means."""
        self._speed = f"{_rate(speed['symbols_per_second'])}, {100 * speed['waiting']:.0f} % waiting"
        self._bar.set_postfix_str(f"loss {losses.mean:.3f}, {self._speed}{self._bits}", refresh=False)
        self._bar.update()
        if learnt:
            self._nats += losses.nats
            self._targets += losses.targets
            self._nats_W += losses.nats_W
            self._targets_W += losses.targets_W

    def measured(self, step: int, values: Mapping[str, Any]) -> None:
        """Report a measurement on val. The line's means are over the steps since the last line."""
        self._bits = f", {in_words(values)}"
        if self._bar.disable and not self._quiet:
            parts = [in_words(values), *self._means(), self._speed, *self._left(step)]
            say(f"step {step}/{self._steps}: {', '.join(parts)}")
        self._forget()

    def _forget(self) -> None:
        self._nats, self._targets = 0.0, 0
        self._nats_W, self._targets_W = torch.zeros(2, len(self._bytes_per_target), dtype=torch.float64)

    def _means(self) -> list[str]:
        """The loss, and each view's bits per raw byte that its symbols encode."""
        if not self._targets:
            return []
        by_view = zip(self._bytes_per_target.items(), self._nats_W.tolist(), self._targets_W.tolist(), strict=True)
        bits = [
            f"{name} {nats / math.log(2) / (targets * n_bytes):.2f}"
            for (name, n_bytes), nats, targets in by_view
            if targets
        ]
        return [f"loss {self._nats / self._targets:.3f} ({', '.join(bits)} bits/byte)"]

    def _left(self, step: int) -> list[str]:
        """The time left at the current speed; nothing when it is done."""
        if step == self._steps:
            return []
        seconds = (perf_counter() - self._begun) / (step - self._first_step) * (self._steps - step)
        return [f"{tqdm.format_interval(seconds)} left"]


def in_words(values: Mapping[str, Any]) -> str:
    """What was measured on val: ``val 3.490 ± 0.031 bits/byte``, and notes on it."""
    error = values.get("raw_bits_per_byte_standard_error")
    notes = "".join(f" ({note})" for note in values.get("notes", ()))
    return f"val {values['raw_bits_per_byte']:.3f}{'' if error is None else f' ± {error:.3f}'} bits/byte{notes}"


class ByteProgress(_Bar):
    """Progress over some bytes: a bar on a terminal, otherwise a plain line at the beginning and now and then."""

    def __init__(self, what: str, n_bytes: int, quiet: bool) -> None:
        self._what, self._n_bytes, self._done = what, n_bytes, 0
        speaking, is_terminal = not quiet and speaks(), sys.stderr.isatty()
        in_bar = speaking and is_terminal
        self._bar = tqdm(total=n_bytes, desc=terminal.safe(what), unit="B", unit_scale=True, disable=not in_bar)
        self._in_lines = speaking and not is_terminal
        if self._in_lines:
            self._say(f"{n_bytes:,} bytes")

    def update(self, n_bytes: int) -> None:
        """Count ``n_bytes`` more as done."""
        self._bar.update(n_bytes)
        self._done += n_bytes
        if self._in_lines and monotonic() - self._said >= _SILENT_SECONDS:
            self._say(f"{self._done:,} of {self._n_bytes:,} bytes ({self._done / self._n_bytes:.0%})")

    def over(self, texts: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """The same texts; each counts as done when the next is requested."""
        for text in texts:
            yield text
            self.update(len(text))

    def _say(self, how_far: str) -> None:
        self._said = monotonic()
        say(f"{self._what}: {how_far}")


def say(text: str) -> None:
    """Print one line, above the bar if there is one, and only in the first of several processes."""
    if speaks():
        with tqdm.external_write_mode(file=sys.stderr):
            terminal.say(text)


def speaks() -> bool:
    """Whether this is the process that prints, according to ``torchrun``."""
    return os.environ.get("RANK", "0") == "0"


def _rate(symbols_per_second: float) -> str:
    if symbols_per_second < 1e6:
        return f"{symbols_per_second / 1e3:.1f} k symbols/s"
    return f"{symbols_per_second / 1e6:.2f} M symbols/s"
