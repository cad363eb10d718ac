"""A codec out of a byte model: segments, and in each windows of arithmetic coding, one window a unit.

A document is cut into segments (``segments``). Within a segment the model's context starts afresh, so what a segment's
first window means depends on nothing before it; the coder (``windows``) packs bytes into windows and flushes at the
segment's end. With ``reset=window`` the context starts afresh in every window. Symbols are a window's bits, the highest
first. The stored bytes per unit are what makes windows decodable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs import windows
from pcdata.codecs.base import Codec, Ratio, check_units, offsets_of, require_choice
from pcdata.codecs.byte_model import TOTAL, ByteModel
from pcdata.codecs.segments import LONGEST_SEGMENT_BYTES, begins_segment, segment_starts
from pcdata.dataset.schema import ViewTypes
from pcdata.dataset.views import Unsigned, ViewColumns
from pcdata.errors import CodecError, OptionError

# N bytes, D documents, S segments, U units (windows)

_MOST_SYMBOL_BITS: Final = 16
_CODED_AT_ONCE: Final = 1 << 17
"""Bytes; the state of their segments stays in the processor's second cache."""


@dataclass(frozen=True)
class WindowOptions:
    """How windows are made; the part of a window codec's parameters that no model depends on."""

    window_bits: int
    symbol_bits: int
    reset: str

    @classmethod
    def of(cls, window_bits: int, symbol_bits: int, reset: str) -> WindowOptions:
        """Raises ``OptionError``. ``symbol_bits`` 0 means the most that divides ``window_bits``, up to 16."""
        if window_bits not in windows.WINDOW_BITS:
            raise OptionError(
                f"window_bits must be one of {', '.join(map(str, windows.WINDOW_BITS))}, got {window_bits}"
            )
        fitting = [bits for bits in range(1, _MOST_SYMBOL_BITS + 1) if window_bits % bits == 0]
        if symbol_bits and symbol_bits not in fitting:
            raise OptionError(
                f"symbol_bits must divide window_bits={window_bits} and be at most {_MOST_SYMBOL_BITS} "
                f"({', '.join(map(str, fitting))}; 0 for the last of these), got {symbol_bits}"
            )
        require_choice("reset", reset, ("segment", "window"))
        return cls(window_bits, symbol_bits or fitting[-1], reset)

    @property
    def unit_symbols(self) -> int:
        return self.window_bits // self.symbol_bits

    @property
    def types(self) -> ViewTypes:
        return ViewTypes(1 << self.symbol_bits, LONGEST_SEGMENT_BYTES, self.unit_symbols)

    def symbols(self, numbers_U: NDArray[np.uint32]) -> Unsigned:
        """Numbers of windows → symbols."""
        shifts = np.arange(self.unit_symbols - 1, -1, -1, dtype=np.uint32) * np.uint32(self.symbol_bits)
        pieces = numbers_U[:, None] >> shifts & np.uint32((1 << self.symbol_bits) - 1)
        return pieces.reshape(-1).astype(self.types.symbol_dtype)

    def numbers(self, symbols: Unsigned) -> NDArray[np.uint32]:
        """Symbols of whole windows → their numbers."""
        numbers_U = np.zeros(len(symbols) // self.unit_symbols, np.uint32)
        for column in symbols.reshape(-1, self.unit_symbols).T.astype(np.uint32):
            numbers_U = numbers_U << np.uint32(self.symbol_bits) | column
        return numbers_U


class WindowCodec(Codec):
    """What is left to a codec of its own is to fit a model and to load it."""

    def __init__(self, model: ByteModel, threshold: int, options: WindowOptions) -> None:
        """``threshold``: a byte of higher entropy (``byte_model.BIT``) begins a segment."""
        self.model = model
        self.threshold = threshold
        self.options = options
        self.types = options.types
        self.units_independent = options.reset == "window"

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        text_N, offsets, starts_S = self._segments(documents)
        ends_N, numbers_N = np.empty(len(text_N), bool), np.empty(len(text_N), np.uint32)
        for first, end, lengths in _groups(starts_S, len(text_N)):
            self._encode(text_N[first:end], lengths, ends_N[first:end], numbers_N[first:end])
        ends_U = np.flatnonzero(ends_N) + 1
        unit_offsets = np.searchsorted(ends_U, offsets, side="right")
        unit_bytes = np.diff(ends_U, prepend=0).astype(self.types.unit_bytes_dtype)
        unit_symbols = None
        if self.types.unit_symbols_dtype is not None:
            unit_symbols = np.full(len(ends_U), self.options.unit_symbols, self.types.unit_symbols_dtype)
        return ViewColumns(
            self.options.symbols(numbers_N[ends_N]),
            unit_offsets * self.options.unit_symbols,
            unit_bytes,
            unit_symbols,
            unit_offsets,
        )

    def _encode(
        self,
        text_N: NDArray[np.uint8],
        lengths_S: NDArray[np.int64],
        ends_N: NDArray[np.bool_],
        numbers_N: NDArray[np.uint32],
    ) -> None:
        """Code whole segments: fill in where windows end, and their numbers."""
        if self.options.reset == "segment":
            ends_N[:], numbers_N[:] = self._windows(text_N, lengths_S)
            return
        # Where the context starts afresh in each window, its place is known when the window before it is full: code
        # what is left of every segment, keep the first window of each, and go on behind it.
        ends_N[:] = False
        left_S, starts_S = lengths_S, np.cumsum(lengths_S) - lengths_S
        while len(left_S):
            places = np.repeat(starts_S - (np.cumsum(left_S) - left_S), left_S) + np.arange(left_S.sum())
            ends, numbers = self._windows(text_N[places], left_S)
            ends_at = np.flatnonzero(ends)
            first = ends_at[np.searchsorted(ends_at, np.cumsum(left_S) - left_S)]
            ends_N[places[first]] = True
            numbers_N[places[first]] = numbers[first]
            done_S = places[first] + 1 - starts_S
            going = done_S < left_S
            starts_S, left_S = (starts_S + done_S)[going], (left_S - done_S)[going]

    def _windows(
        self, text_N: NDArray[np.uint8], lengths_S: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.uint32]]:
        lows_N, highs_N = self._intervals(text_N, lengths_S)
        return windows.encode(lows_N, highs_N, lengths_S, self.options.window_bits)

    def _intervals(self, text_N: NDArray[np.uint8], lengths: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Each byte's share of its counts, given what stands before it in its span."""
        return self.model.predict(text_N, np.cumsum(lengths) - lengths).intervals(text_N)

    def _segments(self, documents: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        """The documents as one text, where each begins and ends in it, and where segments begin."""
        text_N = np.frombuffer(b"".join(documents), np.uint8)
        offsets = offsets_of([len(document) for document in documents])
        starts_D = offsets[:-1][np.diff(offsets) > 0]
        return text_N, offsets, segment_starts(self.model, text_N, starts_D, self.threshold)

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        """Byte by byte, as it must be where nothing is known: what a byte's counts are, and whether a segment begins,
        depends on the bytes before it. Much slower than ``encode`` and ``faults``."""
        numbers = self._checked_numbers(symbols, unit_bytes, unit_symbols)
        raw, segment = bytearray(), bytearray()
        for number, n_bytes in zip(numbers.tolist(), unit_bytes.tolist(), strict=True):
            if self.units_independent or begins_segment(self.model, raw, len(segment), self.threshold):
                segment = bytearray()
            windows.decode(number, n_bytes, self.options.window_bits, self.model.following, segment)
            if len(segment) > LONGEST_SEGMENT_BYTES:
                raise CodecError(f"a segment is longer than {LONGEST_SEGMENT_BYTES} bytes")
            raw += segment[len(segment) - n_bytes :]
        return bytes(raw)

    def _checked_numbers(
        self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None
    ) -> NDArray[np.uint32]:
        if self.types.unit_symbols_dtype is None:
            if unit_symbols is not None or len(symbols) != len(unit_bytes):
                raise CodecError("every window is one symbol, but there are not as many symbols as units")
            unit_symbols = np.ones(len(unit_bytes), np.uint8)
        unit_symbols = check_units("windows", self.types, symbols, unit_bytes, unit_symbols)
        if (unit_symbols != self.options.unit_symbols).any():
            raise CodecError(f"a window has {self.options.unit_symbols} symbols, a unit has others")
        if int(symbols.max(initial=0)) >= self.types.n_symbols:
            raise CodecError(f"symbol {int(symbols.max())} is not one of {self.types.n_symbols}")
        return self.options.numbers(symbols)

    def faults(
        self, documents: Sequence[bytes], columns: ViewColumns, rows: Sequence[int]
    ) -> Iterator[tuple[int, str]]:
        """Without a sequential run: the bytes are known, so one pass gives all their counts, and every window is
        decoded on its own beside them."""
        candidates: list[_Coded] = []
        for row in rows:
            unit_bytes = columns.unit_bytes_of(row)
            try:
                numbers = self._checked_numbers(columns.symbols_of(row), unit_bytes, columns.unit_symbols_of(row))
            except CodecError as error:
                yield row, f"the symbols do not decode ({error})"
            else:
                candidates.append(_Coded(row, documents[row], unit_bytes.astype(np.int64), numbers))
        yield from self._wrong(candidates)

    def figures(self, documents: Sequence[bytes]) -> Mapping[str, Ratio]:
        """How far each step from the model to the windows falls behind the one before it, and how many windows mean
        the same wherever they stand: those that begin a segment."""
        text_N, offsets, segments_S = self._segments(documents)
        starts_D = offsets[:-1][np.diff(offsets) > 0]
        windows_of = self.encode(documents)
        n_bytes, n_windows = len(text_N), len(windows_of.unit_bytes)
        return {
            "bits per byte, context from the document": Ratio(self._bits(text_N, starts_D), n_bytes),
            "bits per byte, context from the segment": Ratio(self._bits(text_N, segments_S), n_bytes),
            "bits per byte, windows": Ratio(n_windows * self.options.window_bits, n_bytes),
            "bytes per segment": Ratio(n_bytes, len(segments_S)),
            "windows that begin a segment": Ratio(len(segments_S), n_windows),
        }

    def _bits(self, text_N: NDArray[np.uint8], starts: NDArray[np.int64]) -> float:
        """What an ideal coder would write, given what stands before each byte in its span."""
        lows_N, highs_N = self.model.predict(text_N, starts).intervals(text_N)
        return float(np.log2(TOTAL / (highs_N - lows_N.astype(np.float64))).sum())

    def _wrong(self, coded: Sequence[_Coded]) -> Iterator[tuple[int, str]]:
        text_N, offsets, contexts = self._segments([one.raw for one in coded])
        lengths_U = np.concatenate([np.zeros(0, np.int64), *(one.unit_bytes for one in coded)])
        starts_U = np.cumsum(lengths_U) - lengths_U
        if self.units_independent:
            contexts = starts_U
        elif len(within := contexts[~np.isin(contexts, starts_U)]):
            wrong = set((np.searchsorted(offsets, within, side="right") - 1).tolist())
            yield from ((coded[index].row, "a segment begins within a window") for index in sorted(wrong))
            yield from self._wrong([one for index, one in enumerate(coded) if index not in wrong])
            return
        numbers_U = np.concatenate([np.zeros(0, np.uint32), *(one.numbers for one in coded)])
        right_U = np.empty(len(lengths_U), bool)
        for first, end, lengths in _groups(contexts, len(text_N)):
            lows_N, highs_N = self._intervals(text_N[first:end], lengths)
            here = slice(*np.searchsorted(starts_U, [first, end]))
            bits = self.options.window_bits
            right_U[here] = windows.decodes(lows_N, highs_N, lengths_U[here], numbers_U[here], bits)
        for index in np.unique(np.searchsorted(offsets, starts_U[~right_U], side="right") - 1).tolist():
            yield coded[index].row, "the symbols decode to other bytes than raw"


class _Coded(NamedTuple):
    """A document and the windows that are said to stand for it."""

    row: int
    raw: bytes
    unit_bytes: NDArray[np.int64]
    numbers: NDArray[np.uint32]


def _groups(starts_S: NDArray[np.int64], n_bytes: int) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Whole segments, together about ``_CODED_AT_ONCE`` bytes: from where to where, and their lengths."""
    cuts = np.unique(np.searchsorted(starts_S, np.arange(0, n_bytes + _CODED_AT_ONCE, _CODED_AT_ONCE)))
    ends_S = np.append(starts_S, n_bytes)
    for first, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        yield int(ends_S[first]), int(ends_S[end]), np.diff(ends_S[first : end + 1])
