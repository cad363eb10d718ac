"""Whatever a stranger writes into artifacts, parameters, symbols and units, a codec refuses in a sentence or goes on:
never another exception, a signal, or memory and time beyond all measure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from pcdata.processes.isolated import Died, Isolated, Limits
from tests.codecs.fuzzing import Case, make, sound

REQUESTS = [
    "zstd:dictionary=2048,size=128",
    "zstd:unit=block,size=512,dictionary=0",
    "gzip:size=128",
    "gzip:size=128,backend=zlib-ng",
    "bpe:vocab_size=400",
    "token-bytes:vocab_size=400,code=gray",
    "ngram:contexts=60",
    "ngram:contexts=60,window_bits=32,symbol_bits=8,reset=window,literals=true",
    "entropy:contexts=60,monotonic=true",
    "doublebyte",
    "halfbyte",
    "bit",
    "neural",
    "neural-entropy",
]
LIMITS = Limits(memory_bytes=1_500_000_000, cpu_seconds=20)

NUMBERS = [0, 1, -1, 2, 63, 64, 255, 256, 65_535, 65_536, 1 << 20, 1 << 24, (1 << 31) - 1, 1 << 32, 1 << 62, 10**30]
VALUES = st.sampled_from(
    [*NUMBERS, 0.5, 1e308, float("nan"), True, None, "", "x", "64", "\ud800", [], {}, [[]], {"a": 1}]
)


class Child:
    """A process that does cases, and another when it has died."""

    def __init__(self) -> None:
        self._process: Isolated | None = None
        self.outcomes: Counter[int] = Counter()

    def does(self, case: Case) -> None:
        """Raises what is no refusal."""
        self._process = self._process or Isolated(make, limits=LIMITS)
        try:
            self.outcomes.update(self._process.ask(case))
        except Died:
            self.close()
            raise

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    child = Child()
    yield child
    child.close()


@st.composite
def damaged_bytes(draw: DrawFn, data: bytes) -> bytes:
    """Cut, grown, or with a few places overwritten by bytes or by numbers of 4 or 8 bytes."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(changed)))
        match draw(st.sampled_from(["flip", "number", "cut", "insert", "repeat"])):
            case "flip" if at < len(changed):
                changed[at] ^= 1 << draw(st.integers(0, 7))
            case "number":
                width = draw(st.sampled_from([4, 8]))
                number = draw(st.sampled_from(NUMBERS)) % (1 << 8 * width)
                changed[at : at + width] = number.to_bytes(width, "little")
            case "cut":
                del changed[at : at + draw(st.sampled_from([1, 4, len(changed)]))]
            case "insert":
                changed[at:at] = draw(st.binary(max_size=12))
            case _:
                changed += changed[at : at + 64] * draw(st.sampled_from([1, 100]))
    return bytes(changed)


@st.composite
def damaged_json(draw: DrawFn, data: bytes) -> bytes:
    """With some values replaced, left out or moved to other keys."""
    found = json.loads(data)
    for _ in range(draw(st.integers(1, 3))):
        inside: Any = found
        while isinstance(inside, dict | list) and inside:
            key = draw(st.sampled_from([*inside] if isinstance(inside, dict) else [*range(min(len(inside), 9))]))
            if isinstance(inside[key], dict | list) and inside[key] and draw(st.integers(0, 4)):
                inside = inside[key]
                continue
            match draw(st.sampled_from(["replace", "remove", "nest", "other"])):
                case "replace":
                    inside[key] = draw(VALUES)
                case "remove":
                    del inside[key]
                case "nest":
                    inside[key] = {"pretokenizers": [inside[key]] * 3, "type": "Sequence"}
                case _ if isinstance(inside, dict):
                    inside[draw(st.sampled_from([*inside]))] = inside[key]
            break
    return json.dumps(found).encode("utf-8", "surrogatepass")


@st.composite
def damaged_array(draw: DrawFn, values: Any, most: int) -> Any:
    """Some numbers replaced by any that the type holds, the ends of ``0 … most`` first; sometimes a few are missing."""
    changed = values.copy()
    limit = int(np.iinfo(values.dtype).max)
    for _ in range(draw(st.integers(0, 4))):
        if len(changed):
            number = draw(st.sampled_from([0, 1, most, most + 1, limit]) | st.integers(0, limit))
            changed[draw(st.integers(0, len(changed) - 1))] = min(number, limit)
    return changed[: len(changed) - draw(st.sampled_from([0, 0, 0, 1, len(changed)]))]


@st.composite
def cases(draw: DrawFn, request: str) -> Case:
    """What that codec wrote, with one of its parts damaged."""
    case = sound(request)
    match draw(st.sampled_from(["artifact", "artifact", "parameters", "backends", "columns", "columns"])):
        case "artifact" if case.artifact:
            name = draw(st.sampled_from(sorted(case.artifact)))
            kinds = [damaged_bytes] + [damaged_json] * 3 * name.endswith(".json")
            data = draw(draw(st.sampled_from(kinds))(case.artifact[name]))
            others = {other: kept for other, kept in case.artifact.items() if other != name}
            return replace(case, artifact=others | ({name: data} if draw(st.integers(0, 19)) else {}))
        case "parameters":
            name = draw(st.sampled_from([*case.parameters, "surprise"]))
            return replace(case, parameters={**case.parameters, name: draw(VALUES)})
        case "backends":
            name = draw(st.sampled_from([*case.backends, "engine", "deflate"]))
            return replace(
                case, backends={name: draw(st.sampled_from(["", "tokenizers", "gigatoken", "zlib-ng", "x"]))}
            )
        case _:
            return replace(case, columns=_damaged_columns(draw, case))


def _damaged_columns(draw: DrawFn, case: Case) -> Any:
    columns = case.columns
    symbols = draw(damaged_array(columns.symbols, 255))
    unit_bytes = draw(damaged_array(columns.unit_bytes, 64))
    unit_symbols = columns.unit_symbols
    if unit_symbols is not None and draw(st.integers(0, 9)):
        unit_symbols = draw(damaged_array(unit_symbols, 16))
    else:
        unit_symbols = None if unit_symbols is not None else np.ones(len(unit_bytes), np.uint8)
    return replace(
        columns,
        symbols=symbols,
        unit_bytes=unit_bytes,
        unit_symbols=unit_symbols,
        symbol_offsets=_damaged_offsets(draw, columns.symbol_offsets, len(symbols)),
        unit_offsets=_damaged_offsets(draw, columns.unit_offsets, len(unit_bytes)),
    )


def _damaged_offsets(draw: DrawFn, offsets: Any, end: int) -> Any:
    """Still rising and inside, as the reader of files makes sure."""
    moved = offsets + draw(st.sampled_from([0, 0, 0, 1, 5])) * np.arange(len(offsets))
    return np.minimum(moved, end).astype(np.int64)


@pytest.mark.parametrize("request_text", REQUESTS)
def test_what_is_damaged_is_refused_or_goes_on(request_text: str, child: Child) -> None:
    child.outcomes.clear()
    child.does(sound(request_text))
    assert child.outcomes == {2: 1}, "what nobody has touched is refused"

    @given(cases(request_text))
    def law(case: Case) -> None:
        child.does(case)

    law()
    assert child.outcomes[0] + child.outcomes[1] > 0, "nothing was refused: the law was not tested"
