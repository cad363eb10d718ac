"""Rows shuffled within windows: the same rows, in batches that are many documents, and resumed exactly."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pctrain.config import DataConfig, MixtureConfig
from pctrain.data import shuffle
from pctrain.data.batch import NO_VIEW, Batch
from pctrain.data.loader import Loader
from pctrain.data.schedule import Schedule
from pctrain.data.shuffle import batches_of_window
from pctrain.errors import CheckpointError
from tests.data.made_dataset import CHUNKS, LETTERS, make_documents, make_split
from tests.data.reading_back import same
from tests.data.runs import runs

DOCUMENTS = make_documents(40, seed=1)
STEPS = 24
LAW = settings(deadline=None, max_examples=25)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return make_split(tmp_path_factory.mktemp("made"), DOCUMENTS)


@pytest.fixture(scope="module")
def long_documents(tmp_path_factory):
    """Each fills some 60 rows of 64 symbols."""
    rng = np.random.default_rng(0)
    return make_split(tmp_path_factory.mktemp("long"), [rng.bytes(4000) for _ in range(60)], block_documents=20)


def load(split, run, *, steps: int = STEPS, **more) -> list[Batch]:
    data, mixture, seed = run
    loader = Loader(split, data, mixture, steps=steps, seed=seed, **more)
    return [loader.next_batch() for _ in range(steps - loader.cursor.step)]


def with_windows(run, shuffle_rows: int):
    data, mixture, seed = run
    return dataclasses.replace(data, shuffle_rows=shuffle_rows), mixture, seed


def windows_of(batches: list[Batch]) -> list[list[Batch]]:
    """Batches by window, as their cursors say; what the last one has is left out unless it is whole."""
    windows: list[list[Batch]] = [[]]
    for batch in batches:
        windows[-1].append(batch)
        if batch.cursor.window_step == batch.cursor.step:
            windows.append([])
    return windows[:-1]


def rows_of(batches: list[Batch]) -> Counter[tuple[bytes, ...]]:
    """Every row as a model sees it, and how often."""
    return Counter(
        tuple(array[row].tobytes() for array in batch.arrays)
        for batch in batches
        for row in range(len(batch.arrays.inputs_RT))
    )


@given(run=runs(), shuffle_rows=st.integers(0, 60))
@LAW
def test_a_window_shows_the_rows_of_its_part_of_the_stream_and_no_others(split, run, shuffle_rows):
    plain, shuffled = load(split, run), load(split, with_windows(run, shuffle_rows))
    windows = windows_of(shuffled)
    place = 0
    for window in windows:
        assert len(window) * run[0].rows <= max(shuffle_rows, run[0].rows)
        before = plain[place : place + len(window)]
        assert rows_of(window) == rows_of(before)
        assert window[-1].cursor.place == before[-1].cursor.place
        sums = [dataclasses.asdict(sum((one.stats for one in of[1:]), of[0].stats)) for of in (window, before)]
        of_a_batch = ("batches_without_raw", "effective_documents")
        assert all(sums[0][name] == sums[1][name] for name in sums[0] if name not in of_a_batch)
        place += len(window)
    assert place or shuffle_rows > STEPS  # the last window may go beyond the run


def test_rows_of_a_window_come_in_another_order_and_each_window_in_its_own(split):
    run = DataConfig(seq_len=64, rows=4, shuffle_rows=32), MixtureConfig(mode="raw", warmup_fraction=0), 0
    plain, shuffled = load(split, with_windows(run, 0)), load(split, run)
    orders = []
    for window in range(3):
        before, after = (
            [row.tobytes() for batch in batches[8 * window : 8 * window + 8] for row in batch.arrays.inputs_RT]
            for batches in (plain, shuffled)
        )
        orders.append(tuple(before.index(row) for row in after))
    assert len({*orders}) == 3
    assert all(sorted(order) == [*range(32)] for order in orders)
    assert all(sum(a == b for a, b in enumerate(order)) < 8 for order in orders)
    other_seed = load(split, (run[0], run[1], 1))
    assert not same(other_seed[0], shuffled[0])


SCHEDULES = st.builds(
    MixtureConfig,
    warmup_mode=st.sampled_from(["raw", "mixed", "translation"]),
    mode=st.sampled_from(["raw", "mixed"]),
    decay_mode=st.sampled_from(["raw", "mixed"]),
    warmup_fraction=st.sampled_from([0.0, 0.2, 0.5]),
    decay_fraction=st.sampled_from([0.0, 0.25, 0.5]),
    warmup_share=st.sampled_from([0.4, 0.9]),
)


@given(config=SCHEDULES, steps=st.integers(1, 3000), most=st.integers(1, 700), rows=st.integers(1, 40))
@LAW
def test_windows_end_where_phases_do_and_are_short_while_the_share_moves(config, steps, most, rows):
    schedule = Schedule(config, steps)
    ends, step = set(), 0
    while step < steps:
        batches = batches_of_window(schedule, step, rows, most * rows)
        assert 1 <= batches <= most
        phases = [schedule.at(place) for place in range(step, min(steps, step + batches))]
        assert len({phase.mode for phase in phases}) == 1
        moved = abs(phases[-1].share - phases[0].share)
        if moved and phases[0].mode != "raw" and batches > max(64, 1024 / rows):
            bounds = schedule.bounds(step)
            assert batches <= -(-(bounds.end - bounds.begin) // 8)
        step += batches
        ends.add(step)
    for boundary in (schedule.warmup_end, schedule.decay_begin):
        assert boundary in ends or boundary in (0, steps)


@pytest.mark.parametrize("mode", ["raw", "mixed"])
def test_the_rows_of_a_batch_are_of_nearly_as_many_documents(long_documents, mode):
    """What went unseen before: a batch of one long document, and with it steps without any raw byte. Eight documents
    out of sixty are 7.6 different ones."""
    mixture = MixtureConfig(warmup_fraction=0, mode=mode, share=0.5)
    for shuffle_rows, least, most in ((32_768, 7, 8.1), (0, 1, 2)):
        data = DataConfig(seq_len=64, rows=8, shuffle_rows=shuffle_rows, views={LETTERS: 1})
        batches = load(long_documents, (data, mixture, 0), steps=100)
        effective = sum((batch.stats for batch in batches[1:]), batches[0].stats).shares()["effective_documents"]
        assert least < effective < most
        shown = [len({*batch.shown}) for batch in batches]
        assert least < np.mean(shown) < most + 1


def test_the_share_of_raw_targets_varies_from_step_to_step_as_that_of_independent_rows(long_documents):
    rows = 8
    mixture = MixtureConfig(warmup_fraction=0, mode="mixed", share=0.5, share_by="symbols")
    spread = {}
    for shuffle_rows in (0, 32_768):
        data = DataConfig(seq_len=64, rows=rows, shuffle_rows=shuffle_rows, views={LETTERS: 1})
        batches = load(long_documents, (data, mixture, 0), steps=300)
        views = [batch.arrays.target_views_RT for batch in batches]
        raw = np.array([(of_batch == 0).sum() / (of_batch != NO_VIEW).sum() for of_batch in views])
        share = raw.mean()
        assert 0.3 < share < 0.7
        spread[shuffle_rows] = raw.var() / (share * (1 - share) / rows)
        total = sum((batch.stats for batch in batches[1:]), batches[0].stats)
        assert total.batches_without_raw == (raw == 0).sum()
    assert spread[32_768] == pytest.approx(1, abs=0.35)
    assert spread[0] > 5, "in the order of the stream a batch is raw or it is not"


def test_each_window_has_the_share_that_was_asked_for_within_sampling_error(split):
    """Also where it moves: the mean of the schedule over the window's steps."""
    data = DataConfig(seq_len=64, rows=16, shuffle_rows=1 << 12, views={LETTERS: 1})
    mixture = MixtureConfig("mixed", "mixed", warmup_fraction=0.5, warmup_share=0.1, share=0.9)
    schedule = Schedule(mixture, 1024)
    batches = load(split, (data, mixture, 3), steps=1024)
    windows, step = windows_of(batches), 0
    assert len(windows) >= 8 + 2
    for window in windows:
        total = sum((batch.stats for batch in window[1:]), window[0].stats)
        asked = np.mean([schedule.at(place).share for place in range(step, step + len(window))])
        asked *= 1 - 1 / len(DOCUMENTS)  # the empty document is shown raw
        error = np.sqrt(asked * (1 - asked) / total.documents)
        assert abs(total.shares()["compressed_documents"] - asked) < 4 * error < 0.15
        step += len(window)


CHANGES = st.sampled_from(
    [
        {"mixture": MixtureConfig("raw", "raw")},
        {"mixture": MixtureConfig(warmup_fraction=0, mode="compressed")},
        {"steps": 3 * STEPS},
        {"views": {CHUNKS: 1.0}},
        {"views": {LETTERS: 5.0, CHUNKS: 1.0}},
    ]
)


@given(
    run=runs(), change=CHANGES, shuffle_rows=st.integers(1, 60), first=st.integers(1, 11), second=st.integers(12, 20)
)
@settings(LAW, max_examples=15)
def test_what_a_resume_changes_holds_from_the_next_window_on(split, run, change, shuffle_rows, first, second):
    """The window in progress is shown to its end as it was laid out, however often the run is stopped within it."""
    data, mixture, seed = with_windows(run, shuffle_rows)
    data = dataclasses.replace(data, views={})
    mixture = dataclasses.replace(mixture, warmup_mode="mixed", mode="mixed", decay_mode="translation")
    ids = Loader(split, data, mixture, steps=STEPS, seed=seed).vocabulary
    begun = load(split, (data, mixture, seed))
    changed = dataclasses.replace(data, views=change.get("views", {})), change.get("mixture", mixture), seed

    def resumed(at: Batch) -> list[bytes]:
        steps = change.get("steps", STEPS)
        return inputs_of(load(split, changed, steps=steps, cursor=at.cursor, vocabulary=ids))

    window = next((batch.cursor.step for batch in begun[first - 1 :] if batch.cursor.settings is None), STEPS)
    changed_after = load(
        split, changed, steps=change.get("steps", STEPS), cursor=begun[first - 1].cursor, vocabulary=ids
    )
    after = inputs_of(changed_after)
    assert after[: window - first] == inputs_of(begun[first:window])
    assert resumed(changed_after[second - first - 1]) == after[second - first :]
    if window < STEPS:
        assert resumed(begun[window - 1]) == after[window - first :]


def inputs_of(batches: list[Batch]) -> list[bytes]:
    return [batch.arrays.inputs_RT.tobytes() for batch in batches]


def test_a_window_of_many_short_documents_ends_early_and_is_resumed_all_the_same(split, monkeypatch):
    run = DataConfig(seq_len=256, rows=2, shuffle_rows=100), MixtureConfig(), 5
    whole = load(split, run)
    monkeypatch.setattr(shuffle, "_MOST_SPANS", 30)
    batches = load(split, run)
    windows = windows_of(batches)
    assert len(windows) > 2
    assert len({len(window) for window in windows}) > 1
    assert not all(map(same, batches, whole))
    for stop in range(1, STEPS, 4):
        assert all(map(same, load(split, run, cursor=batches[stop - 1].cursor), batches[stop:]))


def test_a_place_beyond_the_end_of_its_window_is_refused(split):
    data = DataConfig(seq_len=64, rows=4, shuffle_rows=32)
    begun = load(split, (data, MixtureConfig(mode="raw", warmup_fraction=0), 0))[0].cursor
    loader = Loader(split, data, MixtureConfig(), steps=STEPS, seed=0, cursor=dataclasses.replace(begun, step=8))
    with pytest.raises(CheckpointError, match="after step 8, in a window of rows that ends at step 8"):
        loader.next_batch()


def test_what_is_remembered_is_of_the_blocks_of_a_window(tmp_path):
    split = make_split(tmp_path, make_documents(300, seed=3), block_documents=2)
    data = DataConfig(seq_len=64, rows=4, window_blocks=3, shuffle_rows=40)
    loader = Loader(split, data, MixtureConfig(), steps=200, seed=0)
    most = 0
    for _ in range(200):
        loader.next_batch()
        most = max(most, len(loader._stream._datasets[0]._columns))
    assert 3 <= most < split.n_blocks, "of three times as many: raw bytes and two views"
