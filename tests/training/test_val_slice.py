"""The slice of val: how much it holds, from where, and how sure its figure is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset import Split
from pcdata.dataset.vocab import BOS, FIRST_BYTE, RAW_OPEN
from pctrain.config import ModelConfig
from pctrain.data.filter import Filter
from pctrain.errors import DataError
from pctrain.model.decoder import Decoder, init_weights
from pctrain.model.scoring import jackknife_error, scores
from pctrain.training import val_slice
from pctrain.training.val_slice import ValSlice, pieces, spread
from tests.made_run import make_texts, write_dataset

CPU = torch.device("cpu")
EVERYTHING = Filter({})
SEQ_LEN = 64


def val_of(folder: Path, texts: list[bytes], continued: tuple[int, ...] = ()) -> Split:
    return write_dataset(folder, make_texts(3, 0), texts, continued).split("val")


def model_of(seed: int = 0) -> Decoder:
    model = Decoder(ModelConfig(width=16, layers=1, attention_heads=2, kv_heads=1, hidden=16), 832)
    init_weights(model, seed)
    return model


def measured(val: ValSlice, model: Decoder | None = None) -> dict[str, Any]:
    return val.measure(model or model_of(), CPU)


@given(n_bytes=st.integers(2, 10**6), wanted=st.integers(1, 10**5), longest=st.integers(7, 5000))
def test_ranges_are_even_and_apart(n_bytes: int, wanted: int, longest: int) -> None:
    wanted = min(wanted, n_bytes - 1)
    starts, ends = spread(n_bytes, wanted, longest)
    sizes, gaps = ends - starts, starts[1:] - ends[:-1]
    assert sizes.sum() == wanted
    assert sizes.min() >= 1
    assert sizes.max() <= longest
    assert (starts[0], ends[-1]) == (max(0, starts[0]), min(n_bytes, ends[-1]))
    assert gaps.min(initial=0) >= 0
    assert np.ptp(gaps) <= 1 if len(gaps) else True
    assert abs(int(starts[0]) - int(n_bytes - ends[-1])) <= 1


@pytest.mark.parametrize("max_bytes", [1, 100, 700, 1500, 10**6])
def test_it_holds_what_was_asked_for_or_all_there_is_each_byte_once(tmp_path: Path, max_bytes: int) -> None:
    split = val_of(tmp_path, make_texts(20, 1))
    found = [*pieces(split, EVERYTHING, max_bytes, SEQ_LEN - 1)]
    seen = Counter((one.block, one.row, at) for one in found for at in range(one.start_bytes, one.end_bytes))
    assert seen.total() == len(seen) == min(max_bytes, split.raw_bytes)
    assert all(at < len(split.document(row).raw) for _, row, at in seen)
    blank = model_of()
    torch.nn.init.zeros_(blank.head.weight)
    values = measured(ValSlice([split], max_bytes, SEQ_LEN, 4, EVERYTHING), blank)
    assert (values["raw_bytes"], values["raw_bits_per_byte"]) == (len(seen), 8.0)


def test_a_long_document_takes_its_share_and_no_more(tmp_path: Path) -> None:
    texts = [b"x" * 40_000 if number == 7 else b"y" * 1000 for number in range(41)]
    split = val_of(tmp_path, texts)
    found = [*pieces(split, EVERYTHING, 8000, SEQ_LEN - 1)]
    sizes = Counter({row: 0 for row in range(41)})
    for one in found:
        sizes[one.row] += one.end_bytes - one.start_bytes
    assert sizes[7] == pytest.approx(4000, rel=0.05)
    assert all(sizes[row] == pytest.approx(100, abs=SEQ_LEN) and sizes[row] for row in range(41) if row != 7)


def test_windows_begin_as_in_training_and_fit_into_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under BOS at byte 0 of an input document alone; document 4 is a later part of document 3."""
    split = val_of(tmp_path, make_texts(20, 2), continued=(4,))
    heard: list[Any] = []

    def overhear(model: Decoder, windows: Any, *rest: Any) -> Any:
        heard.extend(windows)
        return scores(model, windows, *rest)

    monkeypatch.setattr(val_slice, "scores", overhear)
    for max_bytes, n_windows in ((900, len([*pieces(split, EVERYTHING, 900, SEQ_LEN - 1)])), (10**6, None)):
        heard.clear()
        measured(ValSlice([split], max_bytes, SEQ_LEN, 4, EVERYTHING))
        assert max(len(window.opening) + len(window.ids) - 1 for window in heard) <= SEQ_LEN
        assert n_windows in (None, len(heard)), "no window is cut in two"
        begun = [bytes((window.ids - FIRST_BYTE).tolist()) for window in heard if window.opening == (BOS, RAW_OPEN)]
        firsts = [split.document(n).raw.tobytes() for n in range(20) if n != 4]
        assert begun
        assert all(any(first.startswith(raw) for first in firsts) for raw in begun)
        assert {window.opening for window in heard} == {(BOS, RAW_OPEN), (RAW_OPEN,)}
    assert len(begun) == 19


def test_the_error_is_over_documents_with_all_their_parts_and_windows(tmp_path: Path) -> None:
    """On all of val, against sums that are made document by document."""
    texts = make_texts(12, 3)
    split, model = val_of(tmp_path, texts, continued=(5, 6)), model_of()
    alone = [
        measured(
            ValSlice([val_of(tmp_path / str(n), [raw], (0,) if n in (5, 6) else ())], 10**6, SEQ_LEN, 4, EVERYTHING),
            model,
        )
        for n, raw in enumerate(texts)
    ]
    assert not any("raw_bits_per_byte_standard_error" in one for one in alone)
    bits, sizes = (np.array([one[name] for one in alone], float) for name in ("raw_bits", "raw_bytes"))
    whole = [slice(n, n + 1) if n != 4 else slice(4, 7) for n in range(12) if n not in (5, 6)]
    expected = jackknife_error(*(np.array([values[part].sum() for part in whole]) for values in (bits, sizes)))
    values = measured(ValSlice([split], 10**6, SEQ_LEN, 4, EVERYTHING), model)
    assert values["raw_bits"] == pytest.approx(bits.sum(), rel=1e-6)
    assert values["raw_bits_per_byte_standard_error"] == pytest.approx(expected, rel=1e-5)


def test_of_several_datasets_there_are_as_many_bytes_of_each_as_far_as_it_has_them(tmp_path: Path) -> None:
    small, large = val_of(tmp_path / "a", make_texts(3, 4, 10)), val_of(tmp_path / "b", make_texts(60, 5))
    assert small.raw_bytes < 500 < large.raw_bytes
    for splits, rest in (([small, large], 1000 - small.raw_bytes), ([large, small], 500)):
        val = ValSlice(splits, 1000, SEQ_LEN, 4, EVERYTHING)
        assert val.raw_bytes == small.raw_bytes + rest


def test_it_holds_only_what_the_filter_keeps(tmp_path: Path) -> None:
    split = val_of(tmp_path, make_texts(20, 6))
    only = Filter({"path": ["val-1*"]})
    kept = {n for n in range(20) if str(n).startswith("1")}
    assert {one.row for one in pieces(split, only, 600, SEQ_LEN - 1)} <= kept
    assert {one.row for one in pieces(split, only, 10**6, SEQ_LEN - 1)} == kept
    with pytest.raises(DataError, match=r"no bytes to measure on in documents that have path like \*\.py"):
        ValSlice([split], 100, SEQ_LEN, 4, Filter({"path": ["*.py"]}))


def test_a_val_split_of_empty_documents_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no bytes"):
        ValSlice([val_of(tmp_path, [b"", b""])], 100, SEQ_LEN, 4, EVERYTHING)
