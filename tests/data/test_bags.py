"""Bags: laws 5, 6 and 7 where a position holds several symbols, read back from the arrays alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcdata.dataset import DatasetError, Split, ViewIds, Vocabulary
from pcdata.dataset.vocab import BOS, FIRST_BYTE, PAD, RAW_CLOSE, RAW_IDS, RAW_OPEN
from pctrain.config import DataConfig, MixtureConfig, SuperpositionConfig
from pctrain.data.bags import bags_of
from pctrain.data.batch import BAGS, IGNORE, Batch
from pctrain.data.cursor import Cursor, StreamPlace
from pctrain.data.loader import Loader
from pctrain.data.schedule import Schedule
from pctrain.errors import CheckpointError, ConfigError
from tests.data.made_dataset import CHUNKS, IDS, LETTERS, encode, in_order, make_documents, make_split
from tests.data.reading_back import same
from tests.data.runs import runs

DOCUMENTS = make_documents(30, seed=2)
STEPS = 10
LAW = settings(deadline=None, max_examples=25)
MARKS = 64
RAW_ONLY = MixtureConfig(mode="raw", warmup_fraction=0.0)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return make_split(tmp_path_factory.mktemp("made"), DOCUMENTS, block_documents=3, shard_blocks=2)


def kinds() -> st.SearchStrategy[SuperpositionConfig]:
    return st.builds(
        SuperpositionConfig,
        bag=st.sampled_from([2, 3, 7, 40]),
        fraction=st.sampled_from([0.0, 0.4, 0.6, 1.0]),
        units=st.sampled_from(["", LETTERS, CHUNKS]),
    ) | st.builds(SuperpositionConfig, bag=st.integers(2, 9), view=st.sampled_from([LETTERS, CHUNKS]))


@st.composite
def bag_runs(draw: st.DrawFn) -> tuple[DataConfig, MixtureConfig, int, SuperpositionConfig]:
    """Runs that are in bags at first, in any mode after that, with views in bags where the mixture uses them."""
    data, mixture, seed = draw(runs())
    kind = draw(kinds())
    mixture = dataclasses.replace(mixture, warmup_fraction=draw(st.sampled_from([0.0, 1 - kind.fraction])))
    mixture = dataclasses.replace(mixture, decay_fraction=0.0)
    uses_views = not Schedule(mixture, STEPS, kind.steps_fraction).raw_only
    if kind.units and uses_views and kind.units in (data.views or IDS) and draw(st.booleans()):
        kind = dataclasses.replace(kind, mixture=True)
    more = {"shuffle_rows": draw(st.sampled_from([0, 5, 24])), "placebo": draw(st.booleans())}
    return dataclasses.replace(data, **more), mixture, seed, kind


def make(split: Split, run: tuple, **options: object) -> Loader:
    data, mixture, seed, kind = run
    return Loader(split, data, mixture, steps=STEPS, seed=seed, superposition=kind, **options)  # type: ignore[arg-type]


@given(
    lengths=st.lists(st.lists(st.integers(1, 9), max_size=5), max_size=6),
    most=st.integers(1, 10),
)
def test_bags_are_runs_cut_to_size(lengths: list[list[int]], most: int) -> None:
    runs_ = [length for document in lengths for length in document]
    offsets = np.cumsum([0, *(len(document) for document in lengths)])
    found = bags_of(np.cumsum(runs_, dtype=np.int64), offsets, most)
    sizes = [[min(most, length - start) for start in range(0, length, most)] for length in runs_]
    flat = [size for of_run in sizes for size in of_run]
    assert (found.ends.astype(int) - found.starts).tolist() == flat
    assert found.ends.tolist() == np.cumsum(flat, dtype=int).tolist()
    assert found.offsets.tolist() == [sum(len(of_run) for of_run in sizes[:at]) for at in offsets]


@given(run=bag_runs(), world_size=st.sampled_from([1, 2, 3]))
@LAW
def test_any_world_size_gives_the_same_bags(split: Split, run: tuple, world_size: int) -> None:
    alone = make(split, run)
    ranks = [make(split, run, rank=rank, world_size=world_size) for rank in range(world_size)]
    for _ in range(STEPS):
        whole, parts = alone.next_batch(), [loader.next_batch() for loader in ranks]
        assert all((part.stats, part.cursor) == (whole.stats, whole.cursor) for part in parts)
        for rank, part in enumerate(parts):
            assert np.array_equal(part.arrays.targets_RT, whole.arrays.targets_RT[rank::world_size])
            for name, array in part.extras.items():
                assert np.array_equal(array, whole.extras[name][rank::world_size])
        assert any(part.extras for part in parts) == bool(whole.extras)


@given(run=bag_runs(), stop=st.integers(0, STEPS - 2))
@LAW
def test_a_resume_continues_to_the_symbol(split: Split, run: tuple, stop: int) -> None:
    loader = make(split, run)
    batches = [loader.next_batch() for _ in range(STEPS)]
    text = json.dumps(batches[stop].cursor.to_dict())
    resumed = make(split, run, cursor=Cursor.from_dict(json.loads(text)))
    assert all(same(resumed.next_batch(), batch) for batch in batches[stop + 1 :])


def columns(batch: Batch) -> Iterator[list[list[list[int]]]]:
    """Per row, the columns of each sample: the ids of a bag, or one id."""
    arrays, bags = batch.arrays, batch.extras.get(BAGS)
    for row, numbers in enumerate(arrays.samples_RT):
        samples = []
        for number in range(1, numbers.max() + 1):
            places = [*np.flatnonzero(numbers == number)]
            last = places[-1] + 1
            ids = [int(arrays.inputs_RT[row, place]) for place in places]
            if last == len(numbers) and arrays.targets_RT[row, -1] != IGNORE:
                places, ids = [*places, last], [*ids, int(arrays.targets_RT[row, -1])]
            held = [[] if bags is None else [int(id_) for id_ in bags[row, place] if id_ != PAD] for place in places]
            assert all(not bag or bag[0] == id_ for bag, id_ in zip(held, ids, strict=True))
            samples.append([bag or [id_] for bag, id_ in zip(held, ids, strict=True)])
        yield samples


def sources(kind: SuperpositionConfig, raw: bytes) -> tuple[list[int], list[int]]:
    """The ids of a document as they appear in bags, and the sizes of its bags."""
    if kind.view:
        encoded = encode(raw, kind.view)
        ids, cuts = (encoded.symbols.astype(int) + IDS[kind.view].first_id).tolist(), [len(encoded.symbols)]
    else:
        ids = [FIRST_BYTE + byte for byte in raw]
        cuts = encode(raw, kind.units).unit_bytes.tolist() if kind.units else [len(raw)]
    return ids, [min(kind.bag, cut - start) for cut in cuts for start in range(0, cut, kind.bag)]


@given(kind=kinds(), seq_len=st.integers(8, 100), rows=st.integers(1, 5), seed=st.integers(0, 9))
@LAW
def test_an_epoch_in_bags_shows_every_document_once(
    split: Split, kind: SuperpositionConfig, seq_len: int, rows: int, seed: int
) -> None:
    """Law 7 included: bags lie in one sample, and marks are in none."""
    kind = dataclasses.replace(kind, fraction=1.0)
    loader = make(split, (in_order(seq_len=seq_len, rows=rows), RAW_ONLY, seed, kind))
    opening, closing = (RAW_OPEN, RAW_CLOSE) if not kind.view else (IDS[kind.view].open_id, IDS[kind.view].close_id)
    wanted = {}
    for raw in DOCUMENTS:
        ids, sizes = sources(kind, raw)
        wanted[tuple(ids)] = sizes
    begun: tuple[list[int], list[int]] = ([], [])
    seen: list[tuple[int, ...]] = []
    while len(seen) < len(DOCUMENTS):
        for samples in columns(loader.next_batch()):
            for sample in samples:
                bos = sample[0] == [BOS]
                assert bos == (not begun[0])
                assert sample[bos] == [opening] or (sample[bos] == [RAW_OPEN] and not begun[0])  # an empty one is raw
                closes = sample[-1] in ([closing], [RAW_CLOSE]) and len(sample) > bos + 1
                for bag in sample[bos + 1 : len(sample) - closes]:
                    assert min(bag) >= MARKS
                    begun[0].extend(bag)
                    begun[1].append(len(bag))
                if closes:
                    ids = tuple(begun[0])
                    assert wanted[ids] == begun[1], "bags have their sizes, wherever rows end"
                    seen.append(ids)
                    begun = ([], [])
    assert sorted(seen[: len(DOCUMENTS)]) == sorted(wanted)


@given(kind=kinds(), seed=st.integers(0, 9))
@LAW
def test_targets_are_the_next_column_of_the_same_sample(split: Split, kind: SuperpositionConfig, seed: int) -> None:
    loader = make(split, (in_order(seq_len=40, rows=3), RAW_ONLY, seed, dataclasses.replace(kind, fraction=1.0)))
    for _ in range(5):
        batch = loader.next_batch()
        arrays, bags = batch.arrays, batch.extras[BAGS]
        firsts = bags[:, 1:, 0]
        in_bag = firsts != PAD
        assert (
            arrays.targets_RT[in_bag & (arrays.targets_RT != IGNORE)] == firsts[in_bag & (arrays.targets_RT != IGNORE)]
        ).all()
        same_sample = np.zeros_like(in_bag)
        same_sample[:, :-1] = (arrays.samples_RT[:, 1:] == arrays.samples_RT[:, :-1]) & (arrays.samples_RT[:, 1:] > 0)
        assert ((arrays.targets_RT != IGNORE)[:, :-1] == same_sample[:, :-1]).all()


@pytest.mark.parametrize("kind", [{}, {"units": LETTERS}, {"view": CHUNKS}])
def test_after_the_phase_nothing_is_in_bags(split: Split, kind: dict) -> None:
    """The document in progress goes on where its last bag ended."""
    superposition = SuperpositionConfig(bag=3, fraction=0.5, **kind)
    after = MixtureConfig(mode="compressed", warmup_fraction=0.0) if superposition.view else RAW_ONLY
    for rows in range(1, 6):
        data = in_order(seq_len=30, rows=rows, views={CHUNKS: 1.0} if superposition.view else {})
        loader = make(split, (data, after, rows, superposition))
        batches = [loader.next_batch() for _ in range(STEPS)]
        bags = loader.views.bags
        assert bags is not None
        assert all(sum(batch.stats.symbols_V) == batch.stats.symbols_V[bags.number] for batch in batches[:5])
        assert all(BAGS not in batch.extras for batch in batches[5:])
        wanted = {tuple(sources(superposition, raw)[0]) for raw in DOCUMENTS}
        begun: list[int] = []
        for samples in (each for batch in batches for each in columns(batch)):
            for sample in samples:
                begun += [id_ for bag in sample for id_ in bag if id_ >= MARKS]
                if sample[-1][0] in (RAW_CLOSE, IDS[CHUNKS].close_id):
                    assert tuple(begun) in wanted
                    begun = []


def test_bytes_are_counted_and_not_bags(split: Split) -> None:
    loader = make(split, (in_order(seq_len=30, rows=2), RAW_ONLY, 0, SuperpositionConfig(bag=3, fraction=0.5)))
    batches = [loader.next_batch() for _ in range(5)]
    read = sum(batch.stats.compressed_bytes for batch in batches)
    symbols = sum(batch.stats.symbols_V[1] for batch in batches)
    assert 2.5 * symbols < read <= 3 * symbols


@given(seq_len=st.integers(12, 200), seed=st.integers(0, 99), units=st.sampled_from([LETTERS, CHUNKS]))
@LAW
def test_pairs_show_the_same_bytes_raw_and_in_bags(split: Split, seq_len: int, seed: int, units: str) -> None:
    """Law 6: both sides in one row, cut at the ends of units."""
    kind = SuperpositionConfig(bag=7, fraction=0.0, units=units, mixture=True)
    mixture = MixtureConfig(mode="translation", warmup_fraction=0.0, share=0.5)
    loader = make(split, (in_order(seq_len=seq_len, rows=2, views={units: 1.0}), mixture, seed, kind))
    pairs = 0
    for _ in range(5):
        batch = loader.next_batch()
        assert batch.stats.cut_pairs == 0
        for samples in columns(batch):
            for sample in samples:
                sides = sides_of(sample, IDS[units].open_id)
                if len(sides) == 2:
                    pairs += 1
                    assert sides[RAW_OPEN] == sides[IDS[units].open_id] != []
    assert pairs or seq_len < 60


def sides_of(sample: list[list[int]], open_id: int) -> dict[int, list[int]]:
    """The bytes after each open mark."""
    sides: dict[int, list[int]] = {}
    for column in sample:
        if column[0] in (RAW_OPEN, open_id):
            side = sides.setdefault(column[0], [])
        elif column[0] >= MARKS:
            side += column
    return sides


def test_a_view_in_bags_has_marks_but_no_rows_of_the_vocabulary(split: Split) -> None:
    data, mixture = in_order(seq_len=64, rows=4, views={LETTERS: 1.0}), MixtureConfig()
    plain = Loader(split, data, mixture, steps=9, seed=0)
    bags = SuperpositionConfig(bag=8, units=LETTERS, mixture=True, fraction=0.0)
    loader = Loader(split, data, mixture, steps=9, seed=0, superposition=bags)
    assert (plain.vocabulary.size, loader.vocabulary.size) == (RAW_IDS + 1000, RAW_IDS)
    shown = {int(id_) for _ in range(9) for id_ in np.unique(loader.next_batch().arrays.inputs_RT)}
    assert IDS[LETTERS].open_id in shown
    assert max(shown) < RAW_IDS


def test_a_placebo_has_as_many_bags_of_other_bytes(split: Split) -> None:
    """Units of a document keep their lengths, in another order."""
    kind = SuperpositionConfig(bag=60, units=CHUNKS, fraction=1.0)

    def sizes(placebo: bool) -> list[list[int]]:
        data = in_order(seq_len=2000, rows=1, placebo=placebo)
        (samples,) = columns(make(split, (data, RAW_ONLY, 0, kind)).next_batch())
        return [[len(bag) for bag in sample] for sample in samples]

    assert sizes(True) != sizes(False)
    assert [*map(sorted, sizes(True))] == [*map(sorted, sizes(False))]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"bag": 4, "view": "letter"}, "has no view 'letter'; its views: letters, chunks"),
        ({"bag": 4, "units": "letter"}, "has no view 'letter'; its views: letters, chunks"),
        (
            {"bag": 4, "units": LETTERS, "mixture": True},
            "superposition.mixture needs the view 'letters' in the mixture",
        ),
    ],
)
def test_views_that_are_not_there_are_refused(split: Split, kind: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(split, (in_order(), RAW_ONLY, 0, SuperpositionConfig(**kind)))


@pytest.mark.parametrize(
    "kind",
    [
        {"bag": 1},
        {"units": LETTERS},
        {"view": LETTERS},
        {"bag": 2, "units": LETTERS, "view": CHUNKS},
        {"bag": 2, "mixture": True},
        {"bag": 256},
    ],
)
def test_bags_that_cannot_be_are_refused(kind: dict) -> None:
    with pytest.raises(ConfigError, match="superposition"):
        SuperpositionConfig(**kind)


def test_units_that_do_not_fit_their_documents_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = make_split(tmp_path, DOCUMENTS, block_documents=3)
    view = split.view(LETTERS, 0)
    units = view.unit_bytes.copy()
    units[0] += 1
    monkeypatch.setattr(type(split), "view", lambda *_: dataclasses.replace(view, unit_bytes=units))
    loader = make(split, (in_order(), RAW_ONLY, 0, SuperpositionConfig(bag=4, units=LETTERS, fraction=1.0)))
    with pytest.raises(DatasetError, match="units of view letters end at"):
        loader.next_batch()


def test_phases_that_do_not_fit_are_refused(split: Split) -> None:
    kinds_: Sequence[float] = (0.5, 0.9)
    for fraction in kinds_:
        with pytest.raises(ConfigError, match="steps in bags"):
            make(
                split,
                (in_order(), MixtureConfig(warmup_fraction=0.6), 0, SuperpositionConfig(bag=2, fraction=fraction)),
            )


@pytest.mark.parametrize(
    ("bag", "arrangement", "views"),
    [(0, "single", ("raw:0",)), (4, "pair", ("raw:4", None)), (4, "splice", (None, "raw:4"))],
)
def test_a_cursor_with_bags_that_no_run_shows_is_refused(
    split: Split, bag: int, arrangement: str, views: tuple[str | None, ...]
) -> None:
    place = StreamPlace((0,), 1, 0, arrangement, views, (0.5, 10) if arrangement == "splice" else None)
    assert place.is_sound()
    run = in_order(seq_len=30, rows=2), RAW_ONLY, 0, SuperpositionConfig(bag=bag)
    with pytest.raises(CheckpointError, match=f"uses view 'raw:{bag}', which"):
        make(split, run, cursor=Cursor(step=1, window_step=1, place=place))


@pytest.mark.parametrize("known", [{}, {CHUNKS: ViewIds(IDS[CHUNKS].slot, IDS[CHUNKS].first_id, 1)}])
def test_a_model_without_ids_for_what_is_in_bags_is_refused(split: Split, known: dict[str, ViewIds]) -> None:
    run = in_order(seq_len=30, rows=2), RAW_ONLY, 0, SuperpositionConfig(bag=4, view=CHUNKS)
    with pytest.raises(CheckpointError, match=f"no ids for view {CHUNKS}"):
        make(split, run, vocabulary=Vocabulary(known))
