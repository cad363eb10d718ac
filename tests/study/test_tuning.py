"""The learning rate of an arm is the best of those tried, and no end of them."""

from __future__ import annotations

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.study.plans import PLAIN, written
from tools.study.plan import Trial, Tuning, read_study
from tools.study.tuning import Rates, best_rate, next_rates

TUNED = "[tuning]\nrates = [2e-3, 4e-3]\n" + PLAIN


@given(st.floats(-14, -2), st.floats(0.1, 3))
def test_the_best_rate_has_a_worse_one_on_either_side(at: float, slope: float) -> None:
    """Where bits have one minimum, at a rate of 2 ** ``at``."""
    bits: dict[float, float] = {}
    while rates := next_rates(Tuning((2e-3, 4e-3)), bits):
        assert not {*rates} & {*bits}
        bits |= {rate: slope * abs(math.log2(rate) - at) for rate in rates}
    best = best_rate(bits)
    assert min(bits) < best < max(bits)
    assert abs(math.log2(best) - at) <= 0.51
    assert len(bits) <= 4 + abs(at - math.log2(3e-3))


def rates_of(folder: Path, bits: dict[str, float]) -> tuple[Rates, list[Trial]]:
    study = read_study(written(folder, TUNED))
    return Rates(study, lambda trial: bits.get(trial.name)), study.trials()


def test_a_trial_waits_for_the_rates_of_its_arm(tmp_path: Path) -> None:
    bits: dict[str, float] = {"raw-lr0.002-s0": 3.0}
    rates, (raw, bpe, placebo, _, second_placebo) = rates_of(tmp_path, bits)
    assert [each.name for each in rates.missing(raw)] == ["raw-lr0.004-s0"]
    assert rates.known(raw) is None
    bits["raw-lr0.004-s0"] = 2.5
    assert [each.name for each in rates.missing(raw)] == ["raw-lr0.008-s0"], "the best was the highest"
    bits["raw-lr0.008-s0"] = 2.6
    known = rates.known(raw)
    assert known is not None
    assert (known.name, known.lr, rates.missing(raw)) == ("raw-s0", 0.004, [])
    assert rates.table() == {"raw": {0.002: 3.0, 0.004: 2.5, 0.008: 2.6}}

    wanted = [each.name for each in rates.missing(bpe)]
    assert wanted == ["bpe-lr0.002-s0", "bpe-lr0.004-s0"]
    assert [each.name for each in rates.missing(placebo)] == wanted, "a placebo has its arm's rate"
    bits |= {"bpe-lr0.002-s0": 3.0, "bpe-lr0.004-s0": 3.1, "bpe-lr0.001-s0": 3.2}
    known = rates.known(second_placebo)
    assert known is not None
    assert (known.name, known.lr) == ("bpe-placebo-s4", 0.002)


def test_a_tuning_run_is_a_trial_with_its_rate(tmp_path: Path) -> None:
    rates, (raw, *_) = rates_of(tmp_path, {})
    run = rates.missing(raw)[0]
    study = read_study(written(tmp_path, TUNED))
    assert rates.known(run) == run
    assert rates.missing(run) == []
    assert study.settings_of(run) == {**study.settings_of(raw), "optim.lr": 2e-3}


def test_without_tuning_rates_are_settings(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, PLAIN))
    rates = Rates(study, lambda _: None)
    (raw, *_) = study.trials()
    assert (rates.known(raw), rates.missing(raw), rates.table()) == (raw, [], {})
    assert study.settings_of(raw)["optim.lr"] == 1
