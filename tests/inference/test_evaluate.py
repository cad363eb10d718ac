"""Law 8: honest numbers."""

from __future__ import annotations

import gzip
import json
import math
import subprocess
from pathlib import Path

import pytest
import torch

from pcdata.dataset import Dataset
from pcdata.dataset.vocab import BOS, FIRST_BYTE, RAW_OPEN
from pctrain.config import ModelConfig
from pctrain.errors import DataError
from pctrain.inference.evaluate import COMPRESSORS, evaluate
from pctrain.model.decoder import Decoder, init_weights
from pctrain.model.scoring import Windowing
from tests.made_run import TYPES, VIEW, make_dataset, triples, write_dataset

HOW = Windowing(32, 32)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model() -> Decoder:
    model = Decoder(ModelConfig(width=32, layers=2, attention_heads=2, kv_heads=1, hidden=48), 832)
    init_weights(model, 0)
    return model.eval()


def test_a_uniform_model_scores_exactly_8_bits_per_raw_byte(dataset: Dataset) -> None:
    model = Decoder(ModelConfig(width=32, layers=1, attention_heads=2, kv_heads=1, hidden=48), 832)
    init_weights(model, 0)
    torch.nn.init.zeros_(model.head.weight)
    found = evaluate(model, dataset.split("val"), [VIEW], how=HOW).to_dict()
    assert found["raw"]["bits_per_byte"] == 8.0
    assert found["raw"]["full_softmax_bits_per_byte"] == pytest.approx(math.log2(832))
    symbols = found["views"][VIEW]["symbols"]
    assert found["views"][VIEW]["bits_per_byte"] == pytest.approx(
        symbols * math.log2(TYPES.n_symbols) / found["raw_bytes"]
    )


@pytest.mark.parametrize("stride", [32, 7])
def test_the_number_of_rows_does_not_matter(dataset: Dataset, model: Decoder, stride: int) -> None:
    results = [
        evaluate(model, dataset.split("val"), [VIEW], how=Windowing(32, stride), rows=rows).to_dict()
        for rows in (1, 3, 64)
    ]
    for result in results:
        assert result["raw"]["symbols"] == result["raw_bytes"] == dataset.split("val").raw_bytes
        assert (result["window"], result["stride"]) == (32, stride)
        assert result["raw"]["bits"] == pytest.approx(results[0]["raw"]["bits"], rel=1e-7)
        assert result["views"][VIEW]["bits"] == pytest.approx(results[0]["views"][VIEW]["bits"], rel=1e-7)


def test_the_sums_are_those_of_the_documents_read_as_in_training(dataset: Dataset, model: Decoder) -> None:
    """An independent calculation over whole documents, in a window that holds them: BOS only at byte 0."""
    split = dataset.split("val")
    bits = view_bits = 0.0
    begins = []
    ids = dataset.vocabulary.views[VIEW]
    for number in range(split.n_documents):
        document = split.document(number)
        begins.append(document.part_start_bytes == 0)
        raw = [FIRST_BYTE + byte for byte in document.raw.tolist()]
        bits += surprise(model, [BOS] * begins[-1] + [RAW_OPEN], raw, 64, 320)
        symbols = [ids.first_id + symbol for symbol in triples(document.raw.tobytes()).tolist()]
        view_bits += surprise(model, [BOS] * begins[-1] + [ids.open_id], symbols, ids.first_id, ids.end_id)
    assert set(begins) == {False, True}
    found = evaluate(model, split, [VIEW], how=Windowing(4096, 4096)).to_dict()
    assert found["raw"]["bits"] == pytest.approx(bits, rel=1e-6)
    assert found["views"][VIEW]["bits"] == pytest.approx(view_bits, rel=1e-6)


@torch.no_grad()
def surprise(model: Decoder, opening: list[int], ids: list[int], first_id: int, end_id: int) -> float:
    logits = model(torch.tensor([opening + ids]))[0, len(opening) - 1 : -1, first_id:end_id].double()
    return -float(logits.log_softmax(1)[range(len(ids)), [symbol - first_id for symbol in ids]].sum()) / math.log(2)


def test_compressors_are_those_of_the_command_line(dataset: Dataset, model: Decoder) -> None:
    split = dataset.split("val")
    documents = [split.document(number).raw.tobytes() for number in range(split.n_documents)]
    found = evaluate(model, split, [], how=HOW).to_dict()["compressors"]
    for name, tool in (("gzip -9", ["gzip", "-9", "-n", "-c"]), ("zstd -19", ["zstd", "-19", "-c", "--no-check"])):
        try:
            size = sum(
                len(subprocess.run(tool, input=raw, capture_output=True, check=True).stdout) for raw in documents
            )
        except FileNotFoundError:
            size = found[name]["bytes"]
        # The tool that reads a pipe does not know the size, and writes a frame header without it.
        assert abs(found[name]["bytes"] - size) <= 4 * len(documents)
        assert found[name]["bits_per_byte"] == 8 * found[name]["bytes"] / split.raw_bytes
    assert gzip.decompress(gzip.compress(b"x" * 99, 9)) == b"x" * 99
    assert COMPRESSORS["gzip -9"](b"x" * 99) == len(gzip.compress(b"x" * 99, 9, mtime=0))


def test_json_and_table_show_the_same_figures(dataset: Dataset, model: Decoder) -> None:
    result = evaluate(model, dataset.split("val"), [VIEW], how=HOW)
    values, table = json.loads(json.dumps(result.to_dict())), result.table()
    for figure in (values["raw"]["bits_per_byte"], values["views"][VIEW]["bits_per_byte"]):
        assert f"{figure:.4f}" in table
    for compressor in values["compressors"].values():
        assert f"{compressor['bits_per_byte']:.4f}" in table


def test_a_split_without_bytes_is_an_error(tmp_path: Path, model: Decoder) -> None:
    empty = write_dataset(tmp_path, [b"some text"], [b""]).split("val")
    with pytest.raises(DataError, match="has no bytes: bits per byte are not defined"):
        evaluate(model, empty, [], how=HOW)
