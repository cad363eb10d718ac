"""Rates, transfer and tables say what the results say."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.study.plans import PLAIN, written
from tests.study.results import FLOPS, result, results, spent
from tools.study.corpus import widen
from tools.study.exchange import RawCurve, price, rate
from tools.study.page import arms_table, edits_table, stability_table, write_tables
from tools.study.plan import StudyError, read_study
from tools.study.table import raw_curve, rows
from tools.study.trial import Result


@given(st.floats(0.1, 2), st.integers(2, 6), st.floats(0, 1), st.integers(1, 10**6))
def test_on_a_straight_curve_the_rate_is_what_was_put_in(slope: float, runs: int, at: float, compressed: int) -> None:
    """Bits fall by ``slope`` for each doubling."""
    symbols = [1e6 * 2**n for n in range(runs)]
    curve = RawCurve(symbols, [5 - slope * n for n in range(runs)], FLOPS)
    worth = 1e6 * 2 ** (at * (runs - 1))
    found = rate(curve, 5 - slope * at * (runs - 1), spent(500_000, compressed))
    assert found == pytest.approx((worth - 500_000) / compressed, rel=1e-6)


def test_beyond_the_curve_nothing_is_claimed() -> None:
    curve = RawCurve([1e6, 2e6], [4.0, 3.0], FLOPS)
    assert curve.symbols_for(4.1) is None
    assert curve.symbols_for(2.9) is None
    assert RawCurve([1e6], [4.0], FLOPS).symbols_for(4.0) is None
    assert rate(curve, 3.5, spent(10, 0)) is None
    assert price(curve, spent(10, 0)) is None
    assert price(RawCurve([], [], 1), spent(10, 10)) is None


def test_at_the_price_a_proxy_costs_what_it_is_worth() -> None:
    """A run whose rate is its price has the bits of the raw run of the same flops."""
    curve = RawCurve([1e6, 4e6], [4.0, 3.0], FLOPS)
    proxy = spent(500_000, 1_000_000, flops=2e6 * FLOPS)
    bits = 3.5  # what two million raw symbols reach, half way on a logarithmic scale
    assert curve.symbols_for(bits) == pytest.approx(2e6)
    assert rate(curve, bits, proxy) == pytest.approx(price(curve, proxy))


def test_seeds_are_taken_together_and_transfer_is_placebo_minus_arm(tmp_path: Path) -> None:
    raw, bpe, placebo = rows(read_study(written(tmp_path, PLAIN)), results())
    assert (raw.seeds, raw.deviation, raw.transfer, raw.price) == (1, None, None, None)
    assert (bpe.seeds, bpe.bits_per_byte) == (2, pytest.approx(3.6))
    assert bpe.deviation == pytest.approx(np.std([3.5, 3.7], ddof=1))
    assert bpe.transfer == pytest.approx(3.9 - 3.6)
    assert bpe.price == pytest.approx((1e6 / FLOPS - 4_000) / 1_000)
    assert placebo.transfer is None


def test_an_arm_is_read_against_the_plain_raw_runs_of_its_size(tmp_path: Path) -> None:
    """However they were ordered, and whatever other raw runs there are."""
    sizes = PLAIN.replace("[[arms]]", "[sizes.l]\nflops = 1\nsettings = {}\n[[arms]]", 1)
    more = "".join(
        f'[[arms]]\nname = "raw-{name}"\n{line}\n'
        for name, line in {"4th": "budget = 0.25", "other": 'settings = { "optim.lr" = 9 }', "l": 'size = "l"'}.items()
    )
    study = read_study(written(tmp_path, sizes + more))
    found = {
        **results(),
        "raw-4th": [result("raw-4th", 0, 4.0, spent(1_000, 0), 2 * FLOPS)],
        "raw-other": [result("raw-other", 0, 1.0, spent(90_000, 0))],
        "raw-l": [result("raw-l", 0, 2.0, spent(70_000, 0))],
    }
    curve = raw_curve(study, found, "m")
    assert (curve.raw_symbols, curve.bits_per_byte) == ([1_000, 10_000], [4.0, 3.0])
    table = {row.arm: row for row in rows(study, found)}
    assert [*table] == ["raw", "bpe", "bpe-placebo", "raw-4th", "raw-other", "raw-l"]
    assert table["bpe"].exchange_rate == pytest.approx((10 ** (3 + 0.4) - 4_000) / 1_000), "the mean of its seeds"
    del found["raw-l"]
    assert "raw-l" not in {row.arm for row in rows(study, found)}, "an arm without results has no row"
    large = read_study(written(tmp_path, sizes.replace('view = "bpe"', 'view = "bpe"\nsize = "l"') + more))
    assert {row.arm: row for row in rows(large, found)}["bpe"].exchange_rate is None, "no raw run of that size"


def test_edits_are_told_as_what_they_add(tmp_path: Path) -> None:
    raw, *_ = rows(read_study(written(tmp_path, PLAIN)), results())
    edits = {"none": {"raw": 3.0, "bpe": 2.0}, "rename": {"raw": 3.25, "bpe": 1.5}}
    measured = dataclasses.replace(raw, measured={"edits": edits})
    assert edits_table([raw, measured]).splitlines() == [
        "| arm | read as | unedited | rename |",
        "| --- | --- | ---: | ---: |",
        "| raw | raw | 3.000 | +0.250 |",
        "| raw | bpe | 2.000 | -0.500 |",
    ]
    assert edits_table([raw]) == ""


def test_a_page_keeps_its_words_and_gets_its_tables(tmp_path: Path) -> None:
    table = arms_table(rows(read_study(written(tmp_path, PLAIN)), results()))
    assert "| bpe |  | 2 | 3.6000 ± 0.1414 | 1.00e+06 |" in table
    page = tmp_path / "STUDY.md"
    page.write_text("before\n<!-- table: arms -->\nold\n<!-- end -->\nbetween\n<!-- table: arms -->\n<!-- end -->\n")
    for _ in range(2):
        write_tables(page, {"arms": table})
        marked = f"<!-- table: arms -->\n{table}<!-- end -->\n"
        assert page.read_text() == f"before\n{marked}between\n{marked}"
    with pytest.raises(StudyError, match="asks for the table 'arms'; there are: edits"):
        write_tables(page, {"edits": ""})
    with pytest.raises(StudyError, match="cannot be read"):
        write_tables(tmp_path / "nothing.md", {})


def test_arms_of_one_view_stand_side_by_side(tmp_path: Path) -> None:
    _, bpe, _ = rows(read_study(written(tmp_path, PLAIN)), results())
    table = stability_table([bpe, dataclasses.replace(bpe, arm="other", transfer=-0.1)], {"bpe": 0.25})
    assert table.splitlines()[2:] == ["| bpe | bpe | 0.250 | +0.300 |", "| other | bpe | 0.250 | -0.100 |"]
    stable = dataclasses.replace(bpe, arm="words", view="words")
    table = stability_table([bpe, stable], {"bpe": 0.25, "words": 0.125})
    assert [line[:8] for line in table.splitlines()[2:]] == ["| words ", "| bpe | "], "the most stable first"


def test_a_result_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    made = result("bpe", 1, math.pi, spent(1, 2))
    path = tmp_path / "bpe.json"
    path.write_text(json.dumps(dataclasses.asdict(made)))
    assert Result.read(path) == made


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_widened_white_space_changes_nothing_else(raw: bytes, key: int) -> None:
    wide = widen(raw, key)
    assert [byte for byte in wide if byte != 0x20] == [byte for byte in raw if byte != 0x20]
    assert len(raw) <= len(wide) <= len(raw) + raw.count(b" ")


def test_a_quarter_of_the_spaces_is_widened() -> None:
    raw = b"a b" * 10_000
    assert len(widen(raw, 5)) - len(raw) == pytest.approx(2_500, rel=0.1)
    untouched = b"  a  b\n  c \n" * 100
    assert widen(untouched, 5) == untouched, "only single spaces between other characters"
