"""Parallel and spliced documents, shares by symbols, several datasets and filters, read back as a model sees them."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pctrain.config import MixtureConfig
from pctrain.data.cursor import Cursor
from pctrain.data.loader import Loader
from pctrain.errors import DataError
from tests.data.made_dataset import CHUNKS, LETTERS, encode, in_order, make_documents, make_split, write_dataset
from tests.data.reading_back import RAW, Side, read_documents, read_samples, same

DOCUMENTS = make_documents(40, seed=1)
OTHERS = make_documents(15, seed=9)
LAW = settings(deadline=None, max_examples=25)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return make_split(tmp_path_factory.mktemp("made"), DOCUMENTS)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    made = {"big": DOCUMENTS, "small": OTHERS}
    return [write_dataset(folder / name, documents).split("train") for name, documents in made.items()]


def always(mode: str, share: float, **more) -> MixtureConfig:
    return MixtureConfig(warmup_fraction=0.0, mode=mode, share=share, **more)


def an_epoch(loader: Loader) -> list:
    batches = [loader.next_batch()]
    while batches[-1].cursor.place.draw < len(DOCUMENTS) or batches[-1].cursor.place.arrangement:
        batches.append(loader.next_batch())
    return batches


@given(seq_len=st.integers(16, 300), seed=st.integers(0, 99), order=st.sampled_from(["raw_first", "compressed_first"]))
@LAW
def test_parallel_sides_show_the_same_bytes_in_one_row_and_cannot_see_each_other(split, seq_len, seed, order):
    data, mixture = in_order(seq_len=seq_len, rows=3, views={LETTERS: 1}), always("parallel", 0.5, pair_order=order)
    batches = an_epoch(Loader(split, data, mixture, steps=1000, seed=seed))
    samples = list(read_samples(batches))
    symbols, pairs, done = [], 0, []
    place = 0
    while place < len(samples):
        one = samples[place]
        (side,) = one.sides
        if side.view == RAW and not side.symbols:
            done.append(b"")
            place += 1
            continue
        other = samples[place + 1]
        (partner,) = other.sides
        assert one.row == other.row
        assert one.bos == other.bos == (not symbols)
        raw, letters = (side, partner) if order == "raw_first" else (partner, side)
        assert (raw.view, letters.view, raw.closed) == (RAW, LETTERS, letters.closed)
        symbols.append((bytes(raw.symbols), letters.symbols))
        pairs += 1
        if raw.closed:
            document = b"".join(each for each, _ in symbols)
            encoded = encode(document, LETTERS)
            assert [symbol for _, each in symbols for symbol in each] == encoded.symbols.tolist()
            ends = dict(zip(encoded.points.symbol_ends.tolist(), encoded.points.raw_ends.tolist(), strict=True))
            shown = np.cumsum([[len(each), len(bytes_)] for bytes_, each in symbols], axis=0).tolist()
            assert all(ends[symbol_end] == raw_end for symbol_end, raw_end in shown)
            done.append(document)
            symbols = []
        place += 2
    assert Counter(done) >= Counter(DOCUMENTS)
    total = sum((batch.stats for batch in batches[1:]), batches[0].stats)
    assert (total.pairs, total.cut_pairs, total.unpaired_units) == (pairs, 0, 0)


def spells(sides: list[Side], raw: bytes, view: str) -> bool:
    """Whether the stretches, one after the other, are exactly this document."""
    encoded = encode(raw, view)
    symbol_at = dict(
        zip([0, *encoded.points.raw_ends.tolist()], [0, *encoded.points.symbol_ends.tolist()], strict=True)
    )
    raw_at = {symbol: byte for byte, symbol in symbol_at.items()}
    byte = 0
    for side in sides:
        if side.view == RAW:
            end = byte + len(side.symbols)
            if bytes(side.symbols) != raw[byte:end]:
                return False
        else:
            symbol = symbol_at.get(byte)
            if symbol is None or encoded.symbols[symbol : symbol + len(side.symbols)].tolist() != side.symbols:
                return False
            end = raw_at.get(symbol + len(side.symbols), -1)
        byte = end
    return byte == len(raw)


def joined(sides: list[Side]) -> list[Side]:
    """Stretches that a row's end cut, whole again: what follows in the same view goes on."""
    whole: list[Side] = []
    for side in sides:
        if whole and whole[-1].view == side.view:
            whole[-1] = Side(side.view, whole[-1].symbols + side.symbols, side.closed)
        else:
            whole.append(side)
    return whole


@pytest.mark.parametrize("view", [LETTERS, CHUNKS])
@given(seq_len=st.integers(12, 300), seed=st.integers(0, 99), share=st.floats(0.1, 0.9), mean=st.integers(5, 200))
@LAW
def test_a_spliced_document_is_whole_and_switches_at_alignment_points(split, view, seq_len, seed, share, mean):
    data, mixture = in_order(seq_len=seq_len, rows=3, views={view: 1}), always("splice", share, splice_bytes=mean)
    shown, sides = [], []
    batches = an_epoch(Loader(split, data, mixture, steps=1000, seed=seed))
    for sample in read_samples(batches):
        assert sample.bos == (not sides)
        sides += sample.sides
        assert not any(side.closed for side in sample.sides[:-1]), "a switch is an open mark alone"
        if sides[-1].closed:
            shown.append(joined(sides))
            sides = []
    found = [next(raw for raw in DOCUMENTS if spells(stretches, raw, view)) for stretches in shown]
    assert Counter(found) >= Counter(DOCUMENTS)
    total = sum((batch.stats for batch in batches[1:]), batches[0].stats)
    assert total.spliced + Counter(found)[b""] >= len(found)
    assert total.raw_bytes + total.compressed_bytes >= sum(map(len, found))


def test_stretches_have_the_share_and_the_mean_length_that_were_asked_for(tmp_path):
    """In documents much longer than a stretch, whose ends cut few of them."""
    documents = [np.random.default_rng(number).bytes(60_000) for number in range(3)]
    split = make_split(tmp_path, documents, views=(LETTERS,))
    for share, mean in ((0.5, 100), (0.8, 250), (0.2, 60)):
        loader = Loader(
            split, in_order(seq_len=4096, rows=8), always("splice", share, splice_bytes=mean), steps=9, seed=1
        )
        batches = [loader.next_batch()]
        while batches[-1].cursor.place.draw < 3:
            batches.append(loader.next_batch())
        total = sum((batch.stats for batch in batches[1:]), batches[0].stats)
        every = total.raw_bytes + total.compressed_bytes
        assert total.compressed_bytes / every == pytest.approx(share, abs=0.06)
        stretches = len(joined([side for sample in read_samples(batches) for side in sample.sides]))
        assert every / stretches == pytest.approx(mean, rel=0.15)


@pytest.mark.parametrize("mode", ["mixed", "translation"])
def test_a_share_by_symbols_is_one_of_symbols(split, mode):
    data = in_order(seq_len=512, rows=64, views={LETTERS: 1})
    shares = {}
    for by in ("documents", "symbols"):
        loader = Loader(split, data, always(mode, 0.6, share_by=by), steps=1, seed=3)
        total = loader.next_batch().stats
        for _ in range(1, 30):
            total += loader.next_batch().stats
        shares[by] = total.shares()
    assert shares["symbols"]["compressed_symbols"] == pytest.approx(0.6, abs=0.03)
    assert shares["documents"]["compressed_symbols"] < 0.5
    assert shares["documents"]["compressed_documents"] == pytest.approx(0.6, abs=0.03)


@given(weight=st.sampled_from([0.25, 1.0, 3.0]), seed=st.integers(0, 9), stop=st.integers(0, 7), order=st.booleans())
@LAW
def test_several_datasets_come_by_weight_and_a_resume_goes_on_to_the_symbol(two, weight, seed, stop, order):
    data = in_order(seq_len=64, rows=4, weights={"big": weight})
    made = [Loader(splits, data, MixtureConfig(), steps=9, seed=seed) for splits in (two, two[::-1] if order else two)]
    batches = [made[0].next_batch() for _ in range(9)]
    assert all(same(made[1].next_batch(), batches[step]) for step in range(9)), "in whatever order they are given"
    cursor = Cursor.from_dict(json.loads(json.dumps(batches[stop].cursor.to_dict())))
    resumed = Loader(two, data, MixtureConfig(), steps=9, seed=seed, cursor=cursor)
    third = Loader(two, data, MixtureConfig(), steps=9, seed=seed, cursor=cursor, rank=2, world_size=3)
    for step in range(stop + 1, 9):
        assert same(resumed.next_batch(), batches[step])
        assert np.array_equal(third.next_batch().arrays.targets_RT, batches[step].arrays.targets_RT[2::3])


def test_each_dataset_has_epochs_of_its_own(two):
    data = in_order(seq_len=256, rows=16, weights={"big": 3.0})
    loader = Loader(two, data, always("raw", 0.0), steps=1, seed=4)
    batches = [loader.next_batch() for _ in range(60)]
    seen = Counter(bytes(shown.symbols[RAW]) for shown in read_documents(batches) if shown.ended)
    big, small = ([seen[raw] for raw in documents if raw] for documents in (DOCUMENTS, OTHERS))
    assert max(big) - min(big) <= 1
    assert max(small) - min(small) <= 1
    draws = batches[-1].cursor.place.draws
    assert draws[0] / sum(draws) == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / sum(draws)))
    total = sum((batch.stats for batch in batches[1:]), batches[0].stats)
    assert total.documents_D[0] / sum(total.documents_D) == pytest.approx(0.75, abs=0.03)


def test_a_filter_passes_over_what_it_does_not_name(split):
    data = in_order(seq_len=64, rows=4, where={"path": ["1*", "7"]})
    kept = {raw for number, raw in enumerate(DOCUMENTS) if str(number).startswith("1") or number == 7}
    loader = Loader(split, data, always("raw", 0.0), steps=1, seed=0)
    batches = an_epoch(loader)
    shown = [bytes(each.symbols[RAW]) for each in read_documents(batches) if each.ended]
    assert set(shown) == kept
    total = sum((batch.stats for batch in batches[1:]), batches[0].stats)
    assert total.passed_over + total.documents >= len(DOCUMENTS)
    assert total.passed_over > len(kept)
    with pytest.raises(DataError, match="path like nothing"):
        Loader(split, in_order(where={"path": ["nothing"]}), always("raw", 0.0), steps=1, seed=0)


def test_token_sized_units_leave_next_to_no_padding(split):
    loader = Loader(
        split, in_order(seq_len=2048, rows=8, views={LETTERS: 1}), always("translation", 0.5), steps=1, seed=0
    )
    total = loader.next_batch().stats
    for _ in range(10):
        total += loader.next_batch().stats
    assert total.pairs > 1000
    assert total.shares()["padding"] < 0.01
    assert (total.cut_pairs, total.unpaired_units) == (0, 0)


@given(seq_len=st.integers(60, 100), seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.5, 1.0]))
@LAW
def test_documents_cut_into_short_pieces_are_whole_together(split, seq_len, seed, share):
    data = in_order(seq_len=seq_len, rows=3, short_sample_share=share, short_sample_bytes=9)
    batches = an_epoch(Loader(split, data, always("raw", 0.0), steps=1000, seed=seed))
    shown = [one for one in read_documents(batches) if one.ended]
    found = Counter(bytes(one.symbols[RAW]) for one in shown)
    assert all(found[raw] >= 1 for raw in DOCUMENTS)
    lengths = [[len(side.symbols) for sample in one.samples for side in sample.sides] for one in shown]
    cut = [of for of in lengths if max(of) <= 9 and sum(of) > 40]
    whole = [of for of in lengths if max(of) > 9]
    assert bool(whole) == (share < 1)
    assert bool(cut) == (share > 0)
    if cut:
        assert len({length for of in cut for length in of}) > 5


def test_short_pieces_go_on_where_a_run_was_stopped(split):
    data, mixture = in_order(seq_len=40, rows=2, short_sample_share=0.7, short_sample_bytes=9), always("raw", 0.0)
    through = Loader(split, data, mixture, steps=100, seed=3)
    batches = [through.next_batch() for _ in range(20)]
    for step in range(1, 20):
        resumed = Loader(split, data, mixture, steps=100, seed=3, cursor=batches[step - 1].cursor)
        assert same(resumed.next_batch(), batches[step])


@pytest.mark.parametrize("mode", ["mixed", "translation", "splice"])
def test_a_placebo_shows_each_documents_symbols_in_another_order(split, mode):
    plain, placebo = (
        Loader(split, in_order(seq_len=150, rows=3, placebo=placebo), always(mode, 0.5), steps=1000, seed=4)
        for placebo in (False, True)
    )
    before, after = an_epoch(plain), an_epoch(placebo)
    assert [batch.stats for batch in before] == [batch.stats for batch in after]
    moved = same_order = 0
    for one, other in zip(read_documents(before), read_documents(after), strict=True):
        assert one.symbols.keys() == other.symbols.keys()
        for view, symbols in one.symbols.items():
            if view == RAW:
                assert other.symbols[RAW] == symbols
            elif one.ended:
                if mode != "splice":  # which shows half of what the view has, and so not the same half
                    assert Counter(other.symbols[view]) == Counter(symbols)
                moved += other.symbols[view] != symbols
                same_order += other.symbols[view] == symbols and len(symbols) > 5
    assert moved > 10
    assert same_order == 0
    again = Loader(split, in_order(seq_len=150, rows=3, placebo=True), always(mode, 0.5), steps=1000, seed=4)
    assert same(again.next_batch(), after[0])
