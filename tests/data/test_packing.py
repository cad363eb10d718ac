"""What rows look like: laws 6 and 7, checked on batches as a model sees them."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings

from pcdata.dataset.vocab import BOS, FIRST_BYTE, PAD, RAW_CLOSE, RAW_OPEN
from pctrain.config import MixtureConfig
from pctrain.data.batch import IGNORE, NO_VIEW, Batch
from pctrain.data.loader import Loader
from tests.data.made_dataset import CHUNKS, IDS, LETTERS, encode, in_order, make_documents, make_split
from tests.data.reading_back import RAW, Shown, read_documents, read_samples, symbols_of_rows
from tests.data.runs import runs

DOCUMENTS = make_documents(40, seed=1)
READABLE = ["raw", "compressed", "mixed", "translation"]
"""Modes whose batches ``read_documents`` reads; for the others see test_parallel and test_splice."""

STEPS = 12
LAW = settings(deadline=None, max_examples=25)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return make_split(tmp_path_factory.mktemp("made"), DOCUMENTS)


def load(split, run, steps=STEPS) -> list[Batch]:
    data, mixture, seed = run
    loader = Loader(split, data, mixture, steps=steps, seed=seed)
    return [loader.next_batch() for _ in range(steps)]


def whole_epochs(split, run, epochs: int) -> list[Batch]:
    """As many batches as it takes."""
    data, mixture, seed = run
    loader = Loader(split, data, mixture, steps=100, seed=seed)
    batches = [loader.next_batch()]
    while batches[-1].cursor.place.draw < epochs * len(DOCUMENTS):
        batches.append(loader.next_batch())
    return batches


def check_whole(shown: Shown) -> bytes:
    """Every symbol of the document was shown, once, in order; returns the document."""
    raw = shown.find(DOCUMENTS)
    for view in shown.views:
        if view != RAW:
            assert shown.symbols[view] == encode(raw, view).symbols.tolist()
        elif len(shown.views) == 1:
            assert bytes(shown.symbols[RAW]) == raw
    return raw


@given(run=runs(READABLE))
@LAW
def test_an_epoch_shows_every_document_once_to_the_symbol(split, run):
    shown = list(read_documents(whole_epochs(split, run, epochs=2)))
    ids = [check_whole(document) for document in shown[: 2 * len(DOCUMENTS)]]
    first, second = ids[: len(DOCUMENTS)], ids[len(DOCUMENTS) :]
    assert sorted(first) == sorted(second) == sorted(DOCUMENTS)
    assert first != second


@given(run=runs(READABLE))
@LAW
def test_bos_and_close_stand_where_a_document_begins_and_ends_only(split, run):
    cut = 0
    for shown in read_documents(whole_epochs(split, run, epochs=1)):
        assert [sample.bos for sample in shown.samples] == [True] + [False] * (len(shown.samples) - 1)
        assert not any(side.closed for sample in shown.samples[:-1] for side in sample.sides)
        assert len({side.closed for side in shown.samples[-1].sides}) == 1
        if len(shown.samples) > 1 or shown.views != [RAW] or shown.symbols[RAW]:
            assert all(side.symbols for sample in shown.samples for side in sample.sides), "never marks alone"
        cut += len(shown.samples) > 1
    assert cut or run[0].seq_len > 60


@given(run=runs())
@LAW
def test_targets_are_the_next_symbol_of_the_same_sample(split, run):
    for batch in load(split, run):
        arrays = batch.arrays
        rows = zip(symbols_of_rows(batch), arrays.inputs_RT, arrays.targets_RT, arrays.positions_RT, strict=True)
        for samples, inputs, targets, positions in rows:
            expected = [[*sample[1:], IGNORE] for sample in samples]
            row, aims = [*chain(*samples)], [*chain(*expected)]
            places = [place for sample in samples for place in range(len(sample))]
            seq_len, missing = run[0].seq_len, max(0, run[0].seq_len - len(row))
            assert inputs.tolist() == (row + [PAD] * missing)[:seq_len]
            assert targets.tolist() == (aims + [IGNORE] * missing)[:seq_len]
            assert positions.tolist() == (places + [0] * missing)[:seq_len]
        assert (np.diff(batch.arrays.samples_RT, axis=1) <= 1).all()
        crossing = (batch.arrays.samples_RT[:, 1:] != batch.arrays.samples_RT[:, :-1]) & (
            batch.arrays.targets_RT[:, :-1] != IGNORE
        )
        assert not crossing.any()
        assert (batch.arrays.targets_RT != IGNORE).any()


@given(run=runs())
@LAW
def test_target_views_say_whose_symbol_or_mark_the_target_is(split, run):
    used = run[0].views or {LETTERS: 1, CHUNKS: 1}
    names = [view for view in (LETTERS, CHUNKS) if view in used]
    marks = {RAW_OPEN: 0, RAW_CLOSE: 0}
    for number, name in enumerate(names, 1):
        marks |= {IDS[name].open_id: number, IDS[name].close_id: number}
    for batch in load(split, run):
        assert np.array_equal(batch.arrays.target_views_RT == NO_VIEW, batch.arrays.targets_RT == IGNORE)
        for inputs, targets, views in zip(
            batch.arrays.inputs_RT, batch.arrays.targets_RT, batch.arrays.target_views_RT, strict=True
        ):
            now = marks.get(int(inputs[0]))
            for input_, target, view in zip(inputs.tolist(), targets.tolist(), views.tolist(), strict=True):
                now = marks.get(input_, now)
                now = marks.get(target, now)
                assert view == (NO_VIEW if target == IGNORE else now)


@given(run=runs(modes=["translation"]))
@LAW
def test_pairs_show_the_same_bytes_on_both_sides_in_whole_units(split, run):
    capacity = run[0].seq_len + 1
    for shown in read_documents(whole_epochs(split, run, 1)):
        if len(shown.views) == 1 or not shown.ended:
            continue
        view = next(name for name in shown.views if name != RAW)
        raw = shown.find(DOCUMENTS)
        points, length = encode(raw, view).points, len(encode(raw, view).symbols)
        ends = dict(zip([0, *points.symbol_ends], [0, *points.raw_ends], strict=True))
        begin = 0
        for sample in shown.samples:
            sides = {side.view: side.symbols for side in sample.sides}
            end = begin + len(sides[view])
            if len(sides) == 2:
                assert bytes(sides[RAW]) == raw[ends[begin] : ends[end]]
                more = next((unit for unit in sorted(ends) if unit > end), None)
                if more is not None:
                    cost = more - begin + ends[more] - ends[begin] + 2 + sample.bos + 2 * (more == length)
                    assert sample.column + cost > capacity, "as many units as fit"
            else:
                unit_begin = max(place for place in ends if place <= begin)
                unit_end = min(place for place in ends if place > begin)
                last = unit_end == length
                cost = unit_end - unit_begin + ends[unit_end] - ends[unit_begin] + 2 + (unit_begin == 0) + 2 * last
                assert cost > capacity, "alone only what does not fit into an empty row"
                assert end <= unit_end
            begin = end


def test_pairs_of_both_orders_and_unpaired_units_occur(split):
    run = in_order(seq_len=40, rows=8), MixtureConfig(warmup_fraction=0.0, mode="translation", share=0.5), 1
    kinds = Counter(tuple(side.view for side in sample.sides) for sample in read_samples(load(split, run)))
    assert set(kinds) == {(RAW, LETTERS), (LETTERS, RAW), (RAW, CHUNKS), (CHUNKS, RAW), (CHUNKS,), (RAW,)}


def test_unpaired_units_are_counted_once_each_however_often_they_are_cut(split):
    mixture = MixtureConfig(warmup_fraction=0.0, mode="translation", share=0.5)  # every document is a pair
    loader = Loader(split, in_order(seq_len=12, rows=1, views={CHUNKS: 1}), mixture, steps=1, seed=0)
    batches = [loader.next_batch()]
    while batches[-1].cursor.place.draw < len(DOCUMENTS) or batches[-1].cursor.place.arrangement:
        batches.append(loader.next_batch())
    begun = continued = 0
    for shown in read_documents(batches):
        begins = {0, *encode(shown.find(DOCUMENTS), CHUNKS).points.symbol_ends}
        begin = 0
        for sample in shown.samples:
            if [side.view for side in sample.sides] == [CHUNKS]:
                begun += begin in begins
                continued += begin not in begins
            begin += sum(len(side.symbols) for side in sample.sides if side.view == CHUNKS)
    assert sum(batch.stats.unpaired_units for batch in batches) == begun > 50
    assert continued > 5


@given(run=runs(READABLE))
@LAW
def test_stats_add_up_to_what_is_seen(split, run):
    batches = whole_epochs(split, run, epochs=2)
    shown = list(read_documents(batches))
    total = sum((batch.stats for batch in batches[1:]), batches[0].stats)
    names = [RAW, *Loader(split, run[0], run[1], steps=100, seed=0).view_names]
    samples = [sample for document in shown for sample in document.samples]
    assert total.positions == run[0].rows * run[0].seq_len * len(batches)
    assert total.documents == len(shown)
    assert total.symbols_V == tuple(sum(len(document.symbols.get(name, [])) for document in shown) for name in names)
    assert total.pairs == sum(len(sample.sides) > 1 for sample in samples)
    assert total.raw_bytes == total.symbols_V[0]
    assert total.padding == sum(int((batch.arrays.samples_RT == 0).sum()) for batch in batches)
    seen = Counter(view for document in shown[:-1] for view in document.views)
    difference = [count - seen[name] for count, name in zip(total.documents_V, names, strict=True)]
    assert min(difference) >= 0
    if not total.unpaired_units:  # else a pair may never show its raw side
        assert sum(difference) in (1, 2), "the last document, whole or cut"
    compressed = sum(len(document.find(DOCUMENTS)) for document in shown[:-1] if document.views != [RAW])
    assert 0 <= total.compressed_bytes - compressed <= max(map(len, DOCUMENTS))
    if shown[-1].ended:
        compressed += len(shown[-1].find(DOCUMENTS)) if shown[-1].views != [RAW] else 0
        assert total.compressed_bytes == compressed


@given(run=runs(modes=["raw", "compressed", "mixed"]))
@LAW
def test_solo_rows_are_full(split, run):
    """But for what marks alone would fill: an open mark, a bos, a symbol that waits for its close mark."""
    for batch in load(split, run):
        assert ((batch.arrays.samples_RT == 0).sum(axis=1) <= 2).all()


def test_realised_shares_are_those_of_the_schedule(split):
    """Over whole epochs of a fixed seed, counted in what a model sees."""
    mixture = MixtureConfig(warmup_fraction=0.0, mode="translation", share=0.4)
    loader = Loader(split, in_order(seq_len=256, rows=64), mixture, steps=1, seed=5)
    total = loader.next_batch().stats
    for _ in range(1, 40):
        total += loader.next_batch().stats
    pairs = sum(total.documents_V) - total.documents
    expected = 0.4 / 0.6 * (1 - 1 / len(DOCUMENTS))  # the empty document is shown raw
    assert total.documents > 4000
    assert abs(pairs / total.documents - expected) < 4 * np.sqrt(expected * (1 - expected) / total.documents)
    assert total.documents_V[1] / pairs == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(pairs))


def test_an_empty_document_is_shown_as_nothing_between_raw_marks(split):
    run = in_order(seq_len=64, rows=4), MixtureConfig(warmup_fraction=0.0, mode="compressed"), 0
    empty = [shown for shown in read_documents(whole_epochs(split, run, 2)) if RAW in shown.views]
    assert len(empty) == 2
    for shown in empty:
        assert [len(shown.samples), shown.samples[0].bos, shown.ended, shown.symbols] == [1, True, True, {RAW: []}]


def test_a_later_part_of_a_document_has_no_bos(tmp_path):
    parts = {number for number in range(1, 40, 2) if DOCUMENTS[number]}
    split = make_split(tmp_path, DOCUMENTS, parts=sorted(parts))
    run = in_order(seq_len=64, rows=4), MixtureConfig(), 0
    shown = list(read_documents(whole_epochs(split, run, 1)))[: len(DOCUMENTS)]
    without = [document for document in shown if not document.samples[0].bos]
    assert {DOCUMENTS.index(check_whole(document)) for document in without} == parts
    assert {len(document.samples[0].sides) for document in without} == {1, 2}, "raw alone, and pairs"


@pytest.mark.parametrize("mode", ["raw", "compressed", "translation"])
def test_a_part_that_does_not_end_its_document_has_no_close_mark(tmp_path, mode):
    document = bytes(range(200))
    mixture = MixtureConfig(mode, mode, warmup_share=0.5, share=0.5)
    closes = set()
    for name, unfinished in (("whole", ()), ("part", (0,))):
        split = make_split(tmp_path / name, [document], views=(LETTERS,), unfinished=unfinished)
        batch = Loader(split, in_order(seq_len=400, rows=1), mixture, steps=1, seed=0).next_batch()
        shown = [sample for sample in read_samples([batch]) if sample.bos]
        assert [symbol for side in shown[0].sides for symbol in side.symbols]
        closes.add((name, any(side.closed for sample in shown[:1] for side in sample.sides)))
    assert closes == {("whole", True), ("part", False)}


def test_byte_ids_are_those_of_the_vocabulary(tmp_path):
    split = make_split(tmp_path, [bytes(range(256))], views=())
    loader = Loader(split, in_order(seq_len=258, rows=1), MixtureConfig("raw", "raw"), steps=1, seed=0)
    batch = loader.next_batch()
    assert batch.arrays.inputs_RT[0].tolist() == [BOS, RAW_OPEN, *range(FIRST_BYTE, FIRST_BYTE + 256)]
    assert batch.arrays.targets_RT[0].tolist() == [RAW_OPEN, *range(FIRST_BYTE, FIRST_BYTE + 256), RAW_CLOSE]
