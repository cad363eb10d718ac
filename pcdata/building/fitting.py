"""Call a codec's ``fit`` so that signals can stop it at once.

A library that trains may ignore signals until it is done, which takes minutes for a large sample. So a large sample is
fitted in a separate process, which can be killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Final

from pcdata.codecs.base import Artifact, codec_class
from pcdata.errors import CodecError
from pcdata.processes.isolated import Died, End, Isolated, Limits, Send, in_batches

_SMALL_BYTES: Final = 1 << 18
"""Smaller samples are fitted in this process: that takes less time than starting another."""
_AT_ONCE_BYTES: Final = 1 << 23
_TOLD_BYTES: Final = 1 << 20
_TICK_SECONDS: Final = 0.5

Advance = Callable[[int], object]


def fit(codec: str, parameters: Any, sample: Sequence[bytes], advance: Advance) -> Artifact:
    """The result of the codec's ``fit``.

    ``advance`` is called with the number of bytes of the sample that were read (again, if they are read again), and now
    and then with 0 while ``fit`` works. Raises what ``fit`` raises, and ``CodecError`` if it ends the process.
    """
    if sum(map(len, sample)) <= _SMALL_BYTES:
        return codec_class(codec).fit(parameters, _Watched(sample, advance))
    with closing(Isolated(_Fitter, codec, parameters, limits=Limits())) as process:
        try:
            for some in in_batches(sample, _AT_ONCE_BYTES):
                for _ in process.ask(some):
                    pass
            process.send(None)
            artifact: Artifact = {}
            while (message := _next(process, advance)) is not End.END:
                if isinstance(message, int):
                    advance(message)
                else:
                    artifact = message
        except Died as death:
            raise CodecError(f"{codec} cannot be fitted on this sample: the process that did it {death}") from None
        return artifact


def _next(process: Isolated, advance: Advance) -> Any:
    while not process.connection.poll(_TICK_SECONDS):
        advance(0)
    return process.receive()


class _Fitter:
    """In the process: collects documents, and finally fits on them."""

    def __init__(self, codec: str, parameters: Any) -> None:
        self._codec = codec_class(codec)
        self._parameters = parameters
        self._sample: list[bytes] = []

    def __call__(self, some: list[bytes] | None, send: Send) -> None:
        if some is not None:
            self._sample += some
        else:
            send(dict(self._codec.fit(self._parameters, _Watched(self._sample, send))))


class _Watched(Sequence[bytes]):
    """A sample that reports how much of it has been read; repeated reads count again."""

    def __init__(self, sample: Sequence[bytes], advance: Advance) -> None:
        self._sample = sample
        self._advance = advance
        self._untold = 0

    def __len__(self) -> int:
        return len(self._sample)

    def __getitem__(self, index: Any) -> Any:
        found = self._sample[index]
        if isinstance(index, int):
            self._untold += len(found)
            if self._untold >= _TOLD_BYTES:
                self._advance(self._untold)
                self._untold = 0
        return found
