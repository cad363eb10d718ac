"""A codec from a byte model: segments of windows of arithmetic coding, with one window per unit.

A document is cut into segments (``segments``). The model's context is reset at each segment, so the meaning of a
segment's first window depends on nothing before it; the coder (``windows``) packs bytes into windows and flushes at the
segment's end. With ``reset=window`` the context is reset in every window. Symbols are a window's bits, the highest
first. Windows decode only with the stored bytes per unit.

With ``literals`` a window of a single byte is written not as a number, which only the byte's context explains, but as
that byte: one symbol, numbered after those of windows. (The published stream has raw bytes between its windows, too, by
a rule that Zheng et al. 2026 do not state.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs import windows
from pcdata.codecs.base import Codec, Ratio, check_units, offsets_of, require_choice
from pcdata.codecs.byte_model import TOTAL, ByteModel
from pcdata.codecs.segments import LONGEST_SEGMENT_BYTES, begins_segment, joined, segment_starts
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.dataset.schema import ViewTypes
from pcdata.errors import CodecError, OptionError

# N bytes, D documents, S segments, U units (windows), K symbols of a window

_MOST_SYMBOL_BITS: Final = 16
_CODED_AT_ONCE: Final = 1 << 17
"""Bytes, so that the state of their segments fits in the processor's level-2 cache."""


@dataclass(frozen=True)
class WindowOptions:
    """How windows are made: the parameters of a window codec that do not concern its model."""

    window_bits: int
    symbol_bits: int
    reset: str
    literals: bool

    @classmethod
    def of(cls, window_bits: int, symbol_bits: int, reset: str, literals: bool = False) -> WindowOptions:
        """Raises ``OptionError``. ``symbol_bits`` 0 means the largest divisor of ``window_bits`` up to 16."""
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
        return cls(window_bits, symbol_bits or fitting[-1], reset, literals)

    @property
    def unit_symbols(self) -> int:
        return self.window_bits // self.symbol_bits

    @property
    def first_literal(self) -> int:
        """The symbol of the byte 0; literals are numbered after the symbols of windows."""
        return 1 << self.symbol_bits

    @property
    def types(self) -> ViewTypes:
        n_symbols = self.first_literal + (256 if self.literals else 0)
        return ViewTypes(n_symbols, LONGEST_SEGMENT_BYTES, self.unit_symbols)

    def are_literals(self, unit_bytes_U: NDArray[Any]) -> NDArray[np.bool_]:
        """Which windows are written as a byte."""
        return unit_bytes_U == 1 if self.literals else np.zeros(len(unit_bytes_U), bool)

    def symbols(self, numbers_U: NDArray[np.uint32], literal_U: NDArray[np.bool_]) -> Unsigned:
        """Numbers of windows, or bytes for literals → symbols."""
        shifts_K = np.arange(self.unit_symbols - 1, -1, -1, dtype=np.uint32) * np.uint32(self.symbol_bits)
        pieces_UK = numbers_U[:, None] >> shifts_K & np.uint32(self.first_literal - 1)
        pieces_UK[literal_U, 0] = numbers_U[literal_U] + np.uint32(self.first_literal)
        kept_UK = ~literal_U[:, None] | (np.arange(self.unit_symbols) == 0)
        symbols: Unsigned = pieces_UK[kept_UK].astype(self.types.symbol_dtype)
        return symbols

    def numbers(self, symbols: Unsigned, literal_U: NDArray[np.bool_]) -> NDArray[np.uint32]:
        """The inverse. Raises ``CodecError`` if a window is not written as it must be."""
        lengths_U = np.where(literal_U, 1, self.unit_symbols)
        in_literal = np.repeat(literal_U, lengths_U)
        if ((symbols >= self.first_literal) != in_literal).any():
            raise CodecError("a window of one byte is not written as that byte, or another is")
        numbers_U = np.empty(len(literal_U), np.uint32)
        numbers_U[literal_U] = symbols[in_literal].astype(np.uint32) - np.uint32(self.first_literal)
        windows_U = np.zeros(len(literal_U) - int(literal_U.sum()), np.uint32)
        for column in symbols[~in_literal].reshape(-1, self.unit_symbols).T.astype(np.uint32):
            windows_U = windows_U << np.uint32(self.symbol_bits) | column
        numbers_U[~literal_U] = windows_U
        return numbers_U


class WindowCodec(Codec):
    """Subclasses only fit and load a model.

    A model's counts are the same with any library, so ``versions`` is empty. ``Parameters`` must have the property
    ``windows`` (``WindowOptions``) and the field ``window_bits``, by which readers that load no codecs recognise a view
    whose symbols do not decode by themselves (``View.has_unit_lengths``).
    """

    def __init_subclass__(cls) -> None:
        if "window_bits" not in {each.name for each in fields(cls.Parameters)}:
            raise TypeError(f"{cls.__name__}.Parameters must have a field window_bits")

    def __init__(self, model: ByteModel, threshold: int, options: WindowOptions) -> None:
        """``threshold``: a byte of higher entropy (``byte_model.BIT``) begins a segment."""
        self.model = model
        self.threshold = threshold
        self.options = options
        self.types = options.types
        self.units_independent = options.reset == "window"

    @classmethod
    def symbols_are_bytes(cls, parameters: Any) -> bool:
        options: WindowOptions = parameters.windows
        return options.symbol_bits == 8 and not options.literals

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        text_N, offsets, starts_S = self._segments(documents)
        ends_N, numbers_N = np.empty(len(text_N), bool), np.empty(len(text_N), np.uint32)
        for first, end, lengths in _groups(starts_S, len(text_N)):
            self._encode(text_N[first:end], lengths, ends_N[first:end], numbers_N[first:end])
        ends_U = np.flatnonzero(ends_N) + 1
        unit_offsets = np.searchsorted(ends_U, offsets, side="right")
        unit_bytes = np.diff(ends_U, prepend=0).astype(self.types.unit_bytes_dtype)
        literal_U = self.options.are_literals(unit_bytes)
        numbers_U = np.where(literal_U, text_N[ends_N], numbers_N[ends_N])
        lengths_U = np.where(literal_U, 1, self.options.unit_symbols).astype(np.int64)
        dtype = self.types.unit_symbols_dtype
        return ViewColumns(
            self.options.symbols(numbers_U, literal_U),
            offsets_of(lengths_U)[unit_offsets],
            unit_bytes,
            None if dtype is None else lengths_U.astype(dtype),
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
        # If the context is reset in each window, the place of a window is known when the one before it is full: code
        # the rest of every segment, keep its first window, and continue after that.
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
        """Each byte's share of its counts, given the bytes before it in its span."""
        return self.model.predict(text_N, np.cumsum(lengths) - lengths).intervals(text_N)

    def _segments(self, documents: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        """The documents as one text, where each begins and ends in it, and where segments begin."""
        text_N, offsets, starts_D = joined(documents)
        return text_N, offsets, segment_starts(self.model, text_N, starts_D, self.threshold)

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        """Byte by byte, because a byte's counts, and whether a segment begins, depend on the bytes before it. Much
        slower than ``encode`` and ``faults``."""
        numbers = self._checked_numbers(symbols, unit_bytes, unit_symbols)
        literals = self.options.are_literals(unit_bytes)
        raw, segment = bytearray(), bytearray()
        for number, n_bytes, literal in zip(numbers.tolist(), unit_bytes.tolist(), literals.tolist(), strict=True):
            if self.units_independent or begins_segment(self.model, raw, len(segment), self.threshold):
                segment = bytearray()
            if literal:
                segment.append(number)
            else:
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
        literal_U = self.options.are_literals(unit_bytes)
        if (unit_symbols != np.where(literal_U, 1, self.options.unit_symbols)).any():
            raise CodecError(f"a window has {self.options.unit_symbols} symbols, a literal one; a unit has others")
        return self.options.numbers(symbols, literal_U)

    def faults(
        self, documents: Sequence[bytes], columns: ViewColumns, rows: Sequence[int]
    ) -> Iterator[tuple[int, str]]:
        """Not byte by byte: since the bytes are known, one pass gives all their counts, and every window is decoded
        independently."""
        candidates: list[_Coded] = []
        for row in rows:
            try:
                numbers = self._checked_numbers(*columns.of_document(row))
            except CodecError as error:
                yield row, f"the symbols do not decode ({error})"
            else:
                candidates.append(_Coded(row, documents[row], columns.unit_bytes_of(row).astype(np.int64), numbers))
        yield from self._wrong(candidates)

    def figures(self, documents: Sequence[bytes]) -> Mapping[str, Ratio]:
        """The cost of each step from the model to the windows, and the share of windows that mean the same wherever
        they occur: those that begin a segment."""
        text_N, _, starts_D = joined(documents)
        segments_S = segment_starts(self.model, text_N, starts_D, self.threshold)
        windows_of = self.encode(documents)
        n_bytes, n_windows = len(text_N), len(windows_of.unit_bytes)
        return {
            "bits per byte, context from the document": Ratio(self._bits(text_N, starts_D), n_bytes),
            "bits per byte, context from the segment": Ratio(self._bits(text_N, segments_S), n_bytes),
            "bits per byte, windows": Ratio(n_windows * self.options.window_bits, n_bytes),
            "bytes per segment": Ratio(n_bytes, len(segments_S)),
            "windows that begin a segment": Ratio(len(segments_S), n_windows),
            "windows of a single byte": Ratio(int((windows_of.unit_bytes == 1).sum()), n_windows),
        }

    def _bits(self, text_N: NDArray[np.uint8], starts: NDArray[np.int64]) -> float:
        """What an ideal coder would write, given the bytes before each byte in its span."""
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
        literal_U = self.options.are_literals(lengths_U)
        right_U[literal_U] = numbers_U[literal_U] == text_N[starts_U[literal_U]]
        for index in np.unique(np.searchsorted(offsets, starts_U[~right_U], side="right") - 1).tolist():
            yield coded[index].row, "the symbols decode to other bytes than raw"


class _Coded(NamedTuple):
    """A document, and the windows that should encode it."""

    row: int
    raw: bytes
    unit_bytes: NDArray[np.int64]
    numbers: NDArray[np.uint32]


def _groups(starts_S: NDArray[np.int64], n_bytes: int) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Groups of whole segments of about ``_CODED_AT_ONCE`` bytes: begin, end, and the lengths of segments."""
    cuts = np.unique(np.searchsorted(starts_S, np.arange(0, n_bytes + _CODED_AT_ONCE, _CODED_AT_ONCE)))
    ends_S = np.append(starts_S, n_bytes)
    for first, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        yield int(ends_S[first]), int(ends_S[end]), np.diff(ends_S[first : end + 1])
