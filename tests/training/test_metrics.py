"""The metrics file after a kill, and the slice of val."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pctrain.config import ModelConfig
from pctrain.data.filter import Filter
from pctrain.errors import DataError
from pctrain.model.decoder import Decoder, init_weights
from pctrain.training.metrics import MetricsLog, ValSlice
from tests.made_run import make_texts, write_dataset


def test_a_resume_drops_later_lines_and_half_ones(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path, 0) as log:
        for step in range(1, 6):
            log.write("train", step, loss=step / 2)
    with path.open("a") as file:
        file.write('{"kind": "train", "step": 2, "lo')
    with MetricsLog(path, 3) as log:
        log.write("train", 4, loss=9)
    assert [json.loads(line)["loss"] for line in path.read_text().splitlines()] == [0.5, 1.0, 1.5, 9]


def test_a_new_run_begins_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind": "train", "step": 0}\n')
    with MetricsLog(path, 0):
        pass
    assert path.read_text() == ""


@pytest.mark.parametrize("max_bytes", [1, 100, 700, 10**6])
def test_the_slice_holds_what_was_asked_for_or_all_there_is(tmp_path: Path, max_bytes: int) -> None:
    split = write_dataset(tmp_path, make_texts(3, 0), make_texts(20, 1)).split("val")
    val = ValSlice([split], max_bytes, 64, 4, Filter({}))
    model = Decoder(ModelConfig(width=16, layers=1, attention_heads=2, kv_heads=1, hidden=16), 832)
    init_weights(model, 0)
    torch.nn.init.zeros_(model.head.weight)
    result = val.score(model, torch.device("cpu"))
    assert result.symbols == val.raw_bytes
    assert val.raw_bytes <= max_bytes
    assert val.raw_bytes >= min(max_bytes / 3, split.raw_bytes)
    assert val.values(result)["raw_bits_per_byte"] == 8.0


def test_a_val_split_of_empty_documents_cannot_be_measured(tmp_path: Path) -> None:
    split = write_dataset(tmp_path, make_texts(3, 0), [b"", b""]).split("val")
    with pytest.raises(DataError, match="has no bytes"):
        ValSlice([split], 100, 64, 4, Filter({}))
