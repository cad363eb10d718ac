"""The sequence of batches: law 5, and what a person may get wrong."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcdata.dataset import Dataset, DatasetError
from pctrain.config import MixtureConfig
from pctrain.data import documents, filling
from pctrain.data.batch import Arrays, Batch
from pctrain.data.cursor import Cursor, StreamPlace, StreamSettings
from pctrain.data.loader import Loader
from pctrain.errors import CheckpointError, ConfigError, DataError
from tests.data import made_dataset
from tests.data.made_dataset import CHUNKS, LETTERS, encode, in_order, make_documents, make_split, write_dataset
from tests.data.reading_back import read_documents, same
from tests.data.runs import runs

DOCUMENTS = make_documents(30, seed=2)
STEPS = 10
LAW = settings(deadline=None, max_examples=25)
RUN = in_order(seq_len=64, rows=4), MixtureConfig(), 0


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return make_split(tmp_path_factory.mktemp("made"), DOCUMENTS, block_documents=3, shard_blocks=2)


def make(split, run, **options) -> Loader:
    data, mixture, seed = run
    return Loader(split, data, mixture, steps=STEPS, seed=seed, **options)


@st.composite
def any_runs(draw):
    """As ``runs``, with all that may stand in a run's way: rows shuffled in windows of one batch, of several and of
    more than there are, filtered documents, placebos, short pieces."""
    data, mixture, seed = draw(runs())
    more = {
        "shuffle_rows": draw(st.sampled_from([0, 5, 12, 24, 600])),
        "where": draw(st.sampled_from([{}, {"path": ["1*", "7", "?"]}])),
        "placebo": draw(st.booleans()),
        "short_sample_share": draw(st.sampled_from([0.0, 0.5])),
        "short_sample_bytes": 9,
    }
    return dataclasses.replace(data, **more), mixture, seed


def joined(parts: list[Batch], name: str) -> np.ndarray:
    """The rows of all ranks, back in the order of the global batch."""
    arrays = [getattr(part.arrays, name) for part in parts]
    rows = np.empty((sum(map(len, arrays)), arrays[0].shape[1]), arrays[0].dtype)
    for rank, array in enumerate(arrays):
        rows[rank :: len(parts)] = array
    return rows


@given(run=any_runs(), world_size=st.sampled_from([1, 2, 3, 5]))
@LAW
def test_any_world_size_gives_the_same_global_batches(split, run, world_size):
    alone = make(split, run)
    ranks = [make(split, run, rank=rank, world_size=world_size) for rank in range(world_size)]
    for _ in range(STEPS):
        whole, parts = alone.next_batch(), [loader.next_batch() for loader in ranks]
        for name in Arrays._fields:
            assert np.array_equal(joined(parts, name), getattr(whole.arrays, name))
        assert all((part.stats, part.cursor) == (whole.stats, whole.cursor) for part in parts)
        assert whole.arrays.inputs_RT.shape == (run[0].rows, run[0].seq_len)


@given(run=any_runs(), stop=st.integers(0, STEPS - 2))
@LAW
def test_a_resume_after_any_step_continues_to_the_symbol(split, run, stop):
    """Through JSON, in a new process's worth of objects, on any number of ranks."""
    loader = make(split, run)
    batches = [loader.next_batch() for _ in range(STEPS)]
    text = json.dumps(batches[stop].cursor.to_dict())
    resumed = make(split, run, cursor=Cursor.from_dict(json.loads(text)))
    third = make(split, run, cursor=batches[stop].cursor, rank=2, world_size=3)
    for step in range(stop + 1, STEPS):
        assert same(resumed.next_batch(), batches[step])
        assert np.array_equal(third.next_batch().arrays.targets_RT, batches[step].arrays.targets_RT[2::3])
    assert not same(batches[0], batches[1])


def test_resumes_inside_pairs_and_unpaired_units_are_among_those_tested(split):
    loader = make(split, (in_order(seq_len=30, rows=1), MixtureConfig("translation", "translation", share=0.5), 0))
    cursors = [loader.next_batch().cursor for _ in range(200)]
    assert {len(cursor.place.views) for cursor in cursors} == {0, 1, 2}
    assert {cursor.place.views for cursor in cursors} >= {(None, LETTERS), (CHUNKS, None), (None, CHUNKS)}


def test_what_may_change_on_resume_changes_what_comes_after_only(split):
    data, mixture, seed = RUN
    loader = make(split, RUN)
    batches = [loader.next_batch() for _ in range(3)]
    mixture = MixtureConfig(mode="raw", warmup_fraction=0.0)
    changed = Loader(split, data, mixture, steps=7, seed=seed, cursor=batches[-1].cursor)
    shown = list(read_documents([*batches, *(changed.next_batch() for _ in range(3, 40))]))
    before = batches[-1].stats.documents
    assert any(document.views != ["raw"] for document in shown[:before])
    documents = sum(batch.stats.documents for batch in batches)
    assert all(document.views == ["raw"] for document in shown[documents:])


def test_a_document_in_a_view_that_was_dropped_since_is_shown_to_its_end(split):
    data, mixture = in_order(seq_len=20, rows=1, views={CHUNKS: 1}), MixtureConfig("compressed", "compressed")
    loader = Loader(split, data, mixture, steps=9, seed=0)
    batches = [loader.next_batch()]
    while batches[-1].cursor.place.arrangement is None:
        batches.append(loader.next_batch())
    other = in_order(seq_len=20, rows=1, views={LETTERS: 1})
    changed = Loader(split, other, mixture, steps=9, seed=0, cursor=batches[-1].cursor)
    assert changed.view_names == [LETTERS, CHUNKS]
    after = [changed.next_batch() for _ in range(60)]
    begun = sum(batch.stats.documents for batch in batches)
    shown = list(read_documents([*batches, *after]))
    assert shown[begun - 1].ended
    assert shown[begun - 1].views == [CHUNKS]
    assert {view for document in shown[begun:] for view in document.views} <= {LETTERS, "raw"}
    assert sum(batch.stats.symbols_V[2] for batch in after) < 200


def test_one_tiny_document_fills_any_batch(tmp_path):
    split = make_split(tmp_path, [b"hi!"])
    loader = Loader(split, in_order(seq_len=50, rows=5), MixtureConfig("raw", "raw"), steps=2, seed=0)
    batch = loader.next_batch()
    assert batch.stats.documents == batch.cursor.place.draw + (batch.cursor.place.arrangement is not None) > 40
    assert batch.stats.padding == 0


def test_a_document_of_many_rows_goes_on_through_batches(tmp_path):
    raw = np.random.default_rng(0).bytes(5000)
    split = make_split(tmp_path, [raw])
    loader = Loader(split, in_order(seq_len=30, rows=3), MixtureConfig("raw", "raw"), steps=2, seed=0)
    shown = next(read_documents(loader.next_batch() for _ in range(80)))
    assert bytes(shown.symbols["raw"]) == raw
    assert len(shown.samples) == 167, "5,000 bytes and a close mark at 30 a row, the first row with a bos less one"


def test_only_the_files_that_are_needed_are_mapped(tmp_path):
    split = make_split(tmp_path, DOCUMENTS)
    for file in tmp_path.glob(f"views/{CHUNKS}/*.arrow"):
        file.unlink()
    data = in_order(seq_len=64, rows=4, views={LETTERS: 1.0})
    mixture = MixtureConfig("compressed", "compressed")
    assert Loader(split, data, mixture, steps=1, seed=0).next_batch().stats.symbols_V[1]
    with pytest.raises(DatasetError, match="is missing"):
        Loader(split, in_order(seq_len=64, rows=40), mixture, steps=1, seed=0).next_batch()


@pytest.mark.parametrize("world_size", [1, 3])
def test_rare_raw_bytes_are_asked_for_as_they_are_shown_and_others_by_block(tmp_path, monkeypatch, world_size):
    """Of the disk, before they are copied; what nobody is told of is not read ahead."""
    split = make_split(tmp_path, DOCUMENTS, block_documents=3)
    blocks, asked = [split.base(block).raw for block in range(split.n_blocks)], []
    for module in (documents, filling):
        monkeypatch.setattr(module, "will_need", asked.append)

    def ask(share: float) -> tuple[list[np.ndarray], int]:
        """The raw bytes that the ranks ask for in an epoch, and how many they show."""
        asked.clear()
        run = RUN[0], MixtureConfig(share=share, warmup_fraction=0), 0
        loaders = [make(split, run, rank=rank, world_size=world_size) for rank in range(world_size)]
        shown = 0
        while loaders[0].cursor.place.draw < len(DOCUMENTS):
            batches = [loader.next_batch() for loader in loaders]
            shown += batches[0].stats.symbols_V[0]
        return [array for array in asked if any(np.shares_memory(array, block) for block in blocks)], shown

    rare, shown = ask(0.9)
    assert sum(map(len, rare)) == shown > 0
    often, shown = ask(0.1)
    if world_size == 1:
        assert {array.ctypes.data for array in often} == {block.ctypes.data for block in blocks}
        assert all(any(len(array) == len(block) for block in blocks) for array in often)
    else:  # of a block that a rank reads, it shows a third at most
        assert sum(map(len, often)) == shown


def test_units_that_do_not_fit_their_document_are_refused(tmp_path, monkeypatch):
    def a_byte_short(raw: bytes, view: str) -> made_dataset.Encoded:
        good = encode(raw, view)
        return dataclasses.replace(good, unit_bytes=good.unit_bytes - (np.arange(len(good.unit_bytes)) == 0))

    monkeypatch.setattr(made_dataset, "encode", a_byte_short)
    split = make_split(tmp_path, [bytes(range(100)), b"hello"])
    loader = make(split, (in_order(), MixtureConfig("translation", share=0.5, warmup_share=0.5), 0))
    with pytest.raises(DatasetError, match=r"units of view .* the document at"):
        loader.next_batch()


def test_what_is_remembered_does_not_grow_with_the_epochs(tmp_path):
    split = make_split(tmp_path, make_documents(120, seed=3), block_documents=2)
    data = in_order(seq_len=64, rows=4, window_blocks=3)
    loader = Loader(split, data, MixtureConfig(), steps=200, seed=0)
    most = 0
    for _ in range(200):
        loader.next_batch()
        most = max(most, len(loader._stream._datasets[0]._columns))
    assert 3 <= most <= 3 * 3 * 3 < split.n_blocks


def test_arrays_are_contiguous_and_nobody_elses(split):
    loader = make(split, RUN)
    first, second = loader.next_batch(), loader.next_batch()
    kept = second.arrays.inputs_RT.copy()
    for name, dtype in (("inputs_RT", "i8"), ("targets_RT", "i8"), ("samples_RT", "i4"), ("target_views_RT", "i1")):
        array = getattr(first.arrays, name)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.dtype == dtype
        array[:] = 77
    assert np.array_equal(second.arrays.inputs_RT, kept)


def test_the_order_of_the_settings_does_not_matter(split):
    a = in_order(seq_len=64, rows=4, views={LETTERS: 1.0, CHUNKS: 3.0})
    b = in_order(seq_len=64, rows=4, views={CHUNKS: 3.0, LETTERS: 1.0})
    assert same(make(split, (a, MixtureConfig(), 0)).next_batch(), make(split, (b, MixtureConfig(), 0)).next_batch())


def test_seeds_give_other_batches(split):
    a, b = (make(split, (*RUN[:2], seed)).next_batch() for seed in (0, 1))
    assert not same(a, b)


def test_an_unknown_view_is_refused_with_those_there_are(split):
    with pytest.raises(ConfigError, match=r"has no view 'zstd'; its views: letters, chunks"):
        make(split, (in_order(views={"zstd": 1.0}), MixtureConfig(), 0))


def test_a_mixture_without_views_is_refused(tmp_path):
    split = make_split(tmp_path, DOCUMENTS, views=())
    with pytest.raises(ConfigError, match=r"translation and mixed.*train on raw bytes alone"):
        make(split, RUN)
    assert make(split, (RUN[0], MixtureConfig("raw", "raw"), 0)).next_batch().stats.raw_bytes


def test_a_split_without_documents_is_refused(tmp_path):
    split = write_dataset(tmp_path, DOCUMENTS).split("train")
    split.block_documents[:] = 0
    split._first_document = [0]
    with pytest.raises(DataError, match="no documents"):
        make(split, RUN)


@pytest.mark.parametrize(
    ("at", "change", "message"),
    [
        ("", {"version": 1}, "version 1"),
        ("", {"version": None}, "version None"),
        ("", {"step": -1}, "damaged"),
        ("", {"step": 7}, "damaged"),
        ("", {"step": 9.0}, "damaged"),
        ("", {"window_step": None}, "damaged"),
        ("", {"settings": None}, "damaged"),
        ("", {"settings": [1]}, "damaged"),
        ("", {"place": None}, "damaged"),
        ("", {"more": 1}, "damaged"),
        ("settings", {"steps": 0}, "damaged"),
        ("settings", {"steps": "30"}, "damaged"),
        ("settings", {"views": {LETTERS: 0}}, "damaged"),
        ("settings", {"views": {LETTERS: "1"}}, "damaged"),
        ("settings", {"weights": [1]}, "damaged"),
        ("settings", {"mixture": None}, "damaged"),
        ("settings", {"mixture": {"mode": "sideways"}}, "damaged"),
        ("settings", {"mixture": {"share": "0.9"}}, "damaged"),
        ("settings", {"more": 1}, "damaged"),
        ("place", {"draws": [-1, 4]}, "damaged"),
        ("place", {"draws": ["3", 4]}, "damaged"),
        ("place", {"draws": 3}, "damaged"),
        ("place", {"draws": [True, 4]}, "damaged"),
        ("place", {"dataset": 2}, "damaged"),
        ("place", {"dataset": None}, "damaged"),
        ("place", {"arrangement": None}, "damaged"),
        ("place", {"arrangement": "single"}, "damaged"),
        ("place", {"arrangement": "upside down"}, "damaged"),
        ("place", {"arrangement": "splice"}, "damaged"),
        ("place", {"arrangement": "splice", "splicing": [0.5, 0]}, "damaged"),
        ("place", {"arrangement": "splice", "splicing": [2.0, 9]}, "damaged"),
        ("place", {"splicing": [0.5, 9]}, "damaged"),
        ("place", {"views": None}, "damaged"),
        ("place", {"views": [None, None]}, "damaged"),
        ("place", {"views": "letters"}, "damaged"),
        ("place", {"views": [1]}, "damaged"),
        ("place", {"offset_symbols": 0}, "damaged"),
        ("place", {"offset_symbols": None}, "damaged"),
        ("place", {"more": 1}, "damaged"),
    ],
)
def test_a_damaged_cursor_is_refused(at, change, message):
    good = Cursor(9, 9, StreamPlace((3, 4), 5, 1, "pair", (None, LETTERS)))
    spliced = StreamPlace((3,), 5, 0, "splice", (None, LETTERS), (0.1, 7))
    begun = Cursor(9, 7, spliced, StreamSettings(MixtureConfig(), 30, {LETTERS: 2.0}, {"a": 1.0}))
    for cursor in (good, begun):
        assert Cursor.from_dict(json.loads(json.dumps(cursor.to_dict()))) == cursor
    values = (good if at == "place" else begun).to_dict()
    (values[at] if at else values).update(change)
    with pytest.raises(CheckpointError, match=message):
        Cursor.from_dict(values)


@pytest.mark.parametrize(("then", "now"), [("alone", "single"), ("pair", "pair"), (None, None)])
def test_a_cursor_of_the_last_version_is_read(then, now):
    place = StreamPlace((3,), 5, 0, now, (None, LETTERS)[: 1 + (now == "pair")]) if now else StreamPlace((3,))
    values = Cursor(
        9, 7, place, StreamSettings(MixtureConfig(warmup_share=0.1), 30, {LETTERS: 2.0}, {"a": 1.0})
    ).to_dict()
    before = json.loads(json.dumps({**values, "version": 3}))
    del before["place"]["arrangement"]
    before["place"]["how"] = then
    before["settings"]["mixture"]["initial_share"] = before["settings"]["mixture"].pop("warmup_share")
    assert Cursor.from_dict(before) == Cursor.from_dict(values)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (StreamPlace((3,), 10**6, 0, "single", (None,)), "another dataset"),
        (StreamPlace((3,), 10**6, 0, "pair", (None, LETTERS)), "another dataset"),
        (StreamPlace((3,), 10**6, 0, "splice", (None, LETTERS), (0.5, 20)), "another dataset"),
        (StreamPlace((3,), 5, 0, "single", ("gone",)), "view 'gone'"),
        (StreamPlace((3, 4)), "uses 2 datasets, 1 are given"),
    ],
)
def test_a_cursor_of_another_dataset_is_refused(split, place, message):
    with pytest.raises(CheckpointError, match=message):
        make(split, RUN, cursor=Cursor(3, 3, place))


def test_a_symbol_outside_its_range_is_an_error_that_names_the_block(tmp_path):
    split = make_split(tmp_path, make_documents(20, 5))
    path = tmp_path / split.dataset.manifest.view("letters").splits["train"][0].file.path
    data = bytearray(path.read_bytes())
    symbols = split.view("letters", 0).symbols
    assert len(symbols) > 8
    at = data.index(symbols[:8].tobytes())
    data[at : at + 2] = (1000).to_bytes(2, "little")
    path.write_bytes(data)
    damaged = Dataset(tmp_path).split("train")
    loader = Loader(
        damaged,
        in_order(seq_len=512, rows=8, views={"letters": 1.0}),
        MixtureConfig("compressed", "compressed"),
        steps=1,
        seed=0,
    )
    with pytest.raises(
        DatasetError, match=r"train-00000\.arrow block 0: view letters has symbol 1000, its last is 999"
    ):
        loader.next_batch()
