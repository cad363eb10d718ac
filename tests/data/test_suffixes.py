"""Units and the symbols before them in batches: against the documents, and law 5."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset import Split
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.batch import NO_UNIT, SUFFIXES, UNITS, Batch
from pctrain.data.loader import Loader
from pctrain.errors import ConfigError
from tests.data.made_dataset import CHUNKS, LETTERS, encode, make_documents, make_split
from tests.data.reading_back import RAW, read_samples
from tests.data.runs import runs

DOCUMENTS = make_documents(30, seed=4)
STEPS = 6
_TELLING_BYTES = 6
"""Random bytes that are found in one place only."""

Run = tuple[DataConfig, MixtureConfig, int]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return make_split(tmp_path_factory.mktemp("made"), DOCUMENTS)


def make(split: Split, run: Run, units: str = LETTERS, **more: object) -> Loader:
    data, mixture, seed = run
    return Loader(split, data, mixture, steps=STEPS, seed=seed, units=units, suffixes=units == LETTERS, **more)  # type: ignore[arg-type]


def raw_runs(batches: list[Batch]) -> Iterator[tuple[int, int, bytes]]:
    """Row, first column and content of each run of raw bytes."""
    for sample in read_samples(batches):
        column = sample.column + sample.bos
        for side in sample.sides:
            if side.view == RAW:
                yield sample.row, column + 1, bytes(side.symbols)
            column += 1 + len(side.symbols) + side.closed


def test_units_and_the_symbols_before_them_are_those_of_the_document(split: Split) -> None:
    seen = Counter[str]()

    @given(run=runs(), units=st.sampled_from([LETTERS, CHUNKS]))
    def law(run: Run, units: str) -> None:
        loader = make(split, run, units)
        batches = [loader.next_batch() for _ in range(STEPS)]
        rows = {name: np.concatenate([batch.extras[name] for batch in batches]) for name in batches[0].extras}
        others = {name: np.ones(array.shape, bool) for name, array in rows.items()}
        for row, column, raw in raw_runs(batches):
            found = {name: array[row, column : column + len(raw)] for name, array in rows.items()}
            for mask in others.values():
                mask[row, column : column + len(raw)] = False
            if len(raw) >= _TELLING_BYTES:
                whole = next(document for document in DOCUMENTS if raw in document)
                check(found, whole, whole.index(raw), len(raw), units)
        if SUFFIXES in rows:
            assert (rows[SUFFIXES][others[SUFFIXES]] == NO_UNIT).all()

    def check(found: dict[str, np.ndarray], whole: bytes, start: int, length: int, units: str) -> None:
        """Byte by byte."""
        encoded = encode(whole, units)
        ends = np.cumsum(encoded.unit_bytes).tolist()
        begins = [0, *ends]
        number = [next(u for u, end in enumerate(ends) if byte < end) for byte in range(start, start + length)]
        assert (np.diff(found[UNITS]) == np.diff(number)).all()
        assert (found[UNITS] >= 0).all()
        seen[f"cut {units}"] += begins[number[0]] < start
        if units == LETTERS:
            expected = [int(encoded.symbols[u - 1]) if u and begins[u - 1] >= start else NO_UNIT for u in number]
            assert found[SUFFIXES].tolist() == expected
            seen["symbols"] += max(expected) >= 0

    law()
    assert min(seen[name] for name in (f"cut {LETTERS}", f"cut {CHUNKS}", "symbols")) > 5, seen


@given(run=runs(), world_size=st.sampled_from([1, 2, 3]), stop=st.integers(0, STEPS - 2), placebo=st.booleans())
def test_no_rank_and_no_resume_changes_them(split: Split, run: Run, world_size: int, stop: int, placebo: bool) -> None:
    data, mixture, seed = run
    run = DataConfig(**{**vars(data), "placebo": placebo}), mixture, seed
    loader = make(split, run)
    batches = [loader.next_batch() for _ in range(STEPS)]
    for rank in range(world_size):
        part = make(split, run, rank=rank, world_size=world_size, cursor=batches[stop].cursor)
        for batch in batches[stop + 1 :]:
            found = part.next_batch().extras
            assert found.keys() == batch.extras.keys() == {UNITS, SUFFIXES}
            for name, array in batch.extras.items():
                assert np.array_equal(found[name], array[rank::world_size])


def test_a_view_that_cannot_give_them_is_refused(split: Split) -> None:
    run = DataConfig(), MixtureConfig("raw", "raw"), 0
    with pytest.raises(ConfigError, match="'words'"):
        make(split, run, "words")
    with pytest.raises(ConfigError, match=r"one symbol each, as those of a bpe; view 'chunks' has units of up to 9"):
        Loader(split, *run[:2], steps=1, seed=0, units=CHUNKS, suffixes=True)
