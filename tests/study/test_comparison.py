"""Arms are compared with raw bytes alone seed by seed, at the same cost."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from tests.study.plans import PLAIN, written
from tests.study.results import result, spent
from tools.study.comparison import Comparison, Mean, comparisons
from tools.study.page import methods_table, tuning_table
from tools.study.plan import read_study
from tools.study.trial import Result

MORE = PLAIN.replace("seeds = [0, 4]", "seeds = [0, 1, 2]") + '[[arms]]\nname = "raw-double"\nbudget = 2\n'


def run(arm: str, seed: int, bits: float, positions: int, flops: float) -> Result:
    made = result(arm, seed, bits, spent(positions, 0, flops))
    return dataclasses.replace(made, config={"optim": {"lr": 0.002}})


def compared(folder: Path, *runs: Result) -> dict[str, Comparison]:
    study = read_study(written(folder, MORE))
    results = {name: [each for each in runs if each.arm == name] for name in study.arms}
    found = comparisons(study, {name: each for name, each in results.items() if each})
    return {one.arm: one for one in found}


RAW = [run("raw", seed, 3 + seed, 1_000, 1e6) for seed in (0, 1)]
TWICE = [run("raw-double", seed, 2 + seed, 2_000, 2e6) for seed in (0, 1)]


def test_differences_are_between_runs_of_one_seed(tmp_path: Path) -> None:
    """Seeds differ by a whole bit, the arm from raw bytes alone by a tenth."""
    arm = [run("bpe", seed, 2.9 + seed, 1_000, 1e6) for seed in (0, 1, 2)]
    found = compared(tmp_path, *RAW, *arm, run("bpe-placebo", 1, 4.2, 1_000, 1e6))
    assert [*found] == ["raw", "bpe"]
    bpe = found["bpe"]
    assert (bpe.seeds, bpe.bits_per_byte) == (3, Mean(pytest.approx(3.9), pytest.approx(1.0)))
    assert bpe.at_equal_positions == Mean(pytest.approx(-0.1), pytest.approx(0, abs=1e-9)), "two seeds have a raw run"
    assert bpe.placebo == Mean(pytest.approx(4.2 - 3.9), None)
    assert (bpe.bytes_per_parameter, bpe.lr) == (5_000, 0.002)


def test_equal_flops_lie_between_budgets(tmp_path: Path) -> None:
    dear = run("bpe", 0, 2.4, 1_000, 1e6 * math.sqrt(2))
    bpe = compared(tmp_path, *RAW, *TWICE, dear)["bpe"]
    assert bpe.at_equal_positions == Mean(pytest.approx(2.4 - 3), None)
    assert bpe.at_equal_flops == Mean(pytest.approx(2.4 - 2.5), None), "half way on a logarithmic scale"


@pytest.mark.parametrize(("flops", "is_known"), [(0.9e6, False), (0.998e6, True), (2.005e6, True), (2.1e6, False)])
def test_beyond_the_budgets_nothing_is_claimed(flops: float, is_known: bool, tmp_path: Path) -> None:
    bpe = compared(tmp_path, *RAW, *TWICE, run("bpe", 0, 2.4, 1_500, flops))["bpe"]
    assert (bpe.at_equal_flops is not None) == is_known
    assert compared(tmp_path, run("bpe", 0, 2.4, 1_500, 1e6))["bpe"].at_equal_positions is None


def test_the_tables_say_so(tmp_path: Path) -> None:
    found = compared(tmp_path, *RAW, run("bpe", 0, 2.9, 1_000, 1e6), run("bpe", 1, 3.9, 1_000, 3e6))
    *_, bpe, gzip = methods_table([*found.values()], {"gzip -9": 1.5}).splitlines()
    assert bpe.startswith(
        "| bpe |  | 2 | 3.4000 ± 0.7071 | -0.1000 ± 0.0000 | -0.1000 | – | 0.00 M | 1.00e+06 | 5000.0 |"
    )
    assert gzip.startswith("| gzip -9 |  |  | 1.5000 |  |")
    assert gzip.count("|") == bpe.count("|")
    assert tuning_table({"raw": {0.002: 2.0, 0.004: 2.5}, "bpe": {0.004: 2.25}}).splitlines()[2:] == [
        "| raw | **2.0000** | 2.5000 |",
        "| bpe |  | **2.2500** |",
    ]
    assert tuning_table({}) == ""
