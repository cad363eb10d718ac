"""The schedule of mode and share: a function of the step alone, in up to three phases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pctrain.config import MODES, MixtureConfig
from pctrain.data.schedule import Phase, Schedule
from pctrain.errors import ConfigError


def test_the_schedule_rises_then_stays():
    schedule = Schedule(MixtureConfig(), steps=50_000)
    assert schedule.warmup_end == 10_000
    assert schedule.at(0) == Phase("translation", 0.4)
    assert schedule.at(5_000).share == pytest.approx(0.65)
    assert schedule.at(9_999).mode == "translation"
    assert schedule.at(10_000) == schedule.at(49_999) == Phase("mixed", 0.9)
    shares = [schedule.at(step).share for step in range(0, 50_000, 500)]
    assert shares == sorted(shares)


def test_no_warmup_leaves_the_first_phase_out():
    schedule = Schedule(MixtureConfig(warmup_fraction=0.0, mode="compressed"), steps=10)
    assert schedule.modes == ["compressed"]
    assert schedule.at(0) == Phase("compressed", 0.9)


def test_the_last_phase_falls_to_its_share_in_its_mode():
    mixture = MixtureConfig(warmup_steps=10, decay_fraction=0.25, decay_share=0.1, decay_mode="splice")
    schedule = Schedule(mixture, steps=100)
    assert (schedule.warmup_end, schedule.decay_begin) == (10, 75)
    assert schedule.modes == ["translation", "mixed", "splice"]
    assert schedule.at(74) == schedule.at(10) == Phase("mixed", 0.9)
    assert schedule.at(75) == Phase("splice", 0.9)
    assert schedule.at(95).share == pytest.approx(0.9 - 0.8 * 20 / 25)
    falling = [schedule.at(step).share for step in range(75, 100)]
    assert falling == sorted(falling, reverse=True)
    with pytest.raises(ConfigError, match=r"do not fit into the 20 of train\.steps"):
        Schedule(MixtureConfig(warmup_steps=15, decay_steps=6), steps=20)


@given(
    steps=st.integers(1, 200),
    warmup=st.integers(0, 100),
    decay=st.integers(0, 100),
    modes=st.tuples(*[st.sampled_from(MODES)] * 3),
    shares=st.tuples(*[st.floats(0, 1)] * 3),
)
def test_phases_follow_each_other_and_shares_move_between_theirs(steps, warmup, decay, modes, shares):
    mixture = MixtureConfig(*modes, 0.0, warmup, 0.0, decay, *shares)
    if warmup + decay > steps:
        with pytest.raises(ConfigError, match=f"a warm-up of {warmup} steps and a decay of {decay} do not fit"):
            Schedule(mixture, steps)
        return
    phases = [Schedule(mixture, steps).at(step) for step in range(steps)]
    main = steps - warmup - decay
    assert [phase.mode for phase in phases] == [modes[0]] * warmup + [modes[1]] * main + [modes[2]] * decay
    initial, middle, final = shares
    for step, phase in enumerate(phases):
        if step < warmup:
            expected = initial + (middle - initial) * step / warmup
        else:
            expected = middle + (final - middle) * max(0, step - (steps - decay)) / max(1, decay)
        assert phase.share == pytest.approx(expected, abs=1e-12)
    lengths = zip(modes, (warmup, main, decay), strict=True)
    assert Schedule(mixture, steps).modes == [mode for mode, length in lengths if length]
