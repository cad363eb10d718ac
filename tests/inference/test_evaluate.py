"""Law 8: honest numbers."""

from __future__ import annotations

import gzip
import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.dataset import Dataset
from pcdata.dataset.vocab import BOS, FIRST_BYTE, RAW_OPEN
from pctrain.config import ModelConfig, resolve
from pctrain.data.filter import Filter
from pctrain.errors import DataError
from pctrain.inference.byte_ngrams import ORDERS, ByteNgrams, Sample
from pctrain.inference.evaluate import COMPRESSORS, evaluate, evaluate_run
from pctrain.inference.evaluation import ratio
from pctrain.model.decoder import Decoder, init_weights
from pctrain.model.scoring import Windowing
from pctrain.training.loop import fit
from tests.building.corpora import options, write_code
from tests.made_run import IDS, SETTINGS, TYPES, VIEW, make_dataset, triples, write_dataset
from tests.strategies import library_files

WINDOWING = Windowing(32, 32)


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
    found = evaluate(model, dataset.split("val"), IDS, windowing=WINDOWING).to_dict()
    assert found["raw"]["bits_per_byte"] == 8.0
    assert found["raw"]["full_softmax_bits_per_byte"] == pytest.approx(math.log2(832))
    symbols = found["views"][VIEW]["symbols"]
    assert found["views"][VIEW]["bits_per_byte"] == pytest.approx(
        symbols * math.log2(TYPES.n_symbols) / found["raw_bytes"]
    )


@pytest.mark.parametrize("stride", [32, 7])
def test_the_number_of_rows_does_not_matter(dataset: Dataset, model: Decoder, stride: int) -> None:
    results = [
        evaluate(model, dataset.split("val"), IDS, windowing=Windowing(32, stride), rows=rows).to_dict()
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
    found = evaluate(model, split, IDS, windowing=Windowing(4096, 4096)).to_dict()
    assert found["raw"]["bits"] == pytest.approx(bits, rel=1e-6)
    assert found["views"][VIEW]["bits"] == pytest.approx(view_bits, rel=1e-6)


@torch.no_grad()
def surprise(model: Decoder, opening: list[int], ids: list[int], first_id: int, end_id: int) -> float:
    logits = model(torch.tensor([opening + ids]))[0, len(opening) - 1 : -1, first_id:end_id].double()
    return -float(logits.log_softmax(1)[range(len(ids)), [symbol - first_id for symbol in ids]].sum()) / math.log(2)


def test_compressors_are_those_of_the_command_line(dataset: Dataset, model: Decoder) -> None:
    split = dataset.split("val")
    documents = [split.document(number).raw.tobytes() for number in range(split.n_documents)]
    found = evaluate(model, split, {}, windowing=WINDOWING).to_dict()["compressors"]
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
    result = evaluate(model, dataset.split("val"), IDS, windowing=WINDOWING)
    values, table = json.loads(json.dumps(result.to_dict())), result.table()
    for figure in (values["raw"]["bits_per_byte"], values["views"][VIEW]["bits_per_byte"]):
        assert f"{figure:.4f}" in table
    for compressor in values["compressors"].values():
        assert f"{compressor['bits_per_byte']:.4f}" in table


def test_a_split_without_bytes_is_an_error(tmp_path: Path, model: Decoder) -> None:
    empty = write_dataset(tmp_path, [b"some text"], [b""]).split("val")
    with pytest.raises(DataError, match="has no bytes: bits per byte are not defined"):
        evaluate(model, empty, {}, windowing=WINDOWING)


def by_document(dataset: Dataset, model: Decoder) -> list[tuple[int, float]]:
    """Raw bytes and bits of each document, its parts together, from plain forward passes."""
    found: list[tuple[int, float]] = []
    split = dataset.split("val")
    for number in range(split.n_documents):
        document = split.document(number)
        begins = document.part_start_bytes == 0
        raw = [FIRST_BYTE + byte for byte in document.raw.tolist()]
        bits = surprise(model, [BOS] * begins + [RAW_OPEN], raw, 64, 320)
        if begins:
            found.append((len(raw), bits))
        else:
            size, before = found.pop()
            found.append((size + len(raw), before + bits))
    return found


def test_the_standard_error_is_that_of_a_ratio_over_documents(dataset: Dataset, model: Decoder) -> None:
    """Each document is left out once, and the ratio taken of the others."""
    found = evaluate(model, dataset.split("val"), IDS, windowing=Windowing(4096, 4096)).to_dict()
    documents = by_document(dataset, model)
    assert found["documents"] == len(documents) == dataset.split("val").n_documents - 1  # one was cut in two
    assert found["raw"]["bits_per_byte_standard_error"] == pytest.approx(left_out_by_turns(documents), rel=1e-5)


def left_out_by_turns(documents: list[tuple[int, float]]) -> float:
    """The jackknife's standard error of bits per byte. Documents are raw bytes and bits."""
    without = []
    for number in range(len(documents)):
        others = documents[:number] + documents[number + 1 :]
        without.append(sum(bits for _, bits in others) / sum(size for size, _ in others))
    n = len(documents)
    return math.sqrt((n - 1) / n * sum((each - sum(without) / n) ** 2 for each in without))


DOCUMENTS = st.lists(st.tuples(st.integers(1, 9999), st.floats(0, 9999)), min_size=2, max_size=9)


@given(DOCUMENTS, st.integers(0, 3))
def test_documents_without_bytes_do_not_change_the_standard_error(
    documents: list[tuple[int, float]], n_empty: int
) -> None:
    sizes, bits = zip(*documents, *[(0, 0.0)] * n_empty, strict=True)
    found = ratio("figure", np.array(bits), np.array(sizes))
    assert found["figure"] == pytest.approx(sum(bits) / sum(sizes))
    assert found["figure_standard_error"] == pytest.approx(left_out_by_turns(documents), rel=1e-6, abs=1e-6)


def test_the_standard_error_of_two_documents_and_of_one_that_has_all_bytes() -> None:
    """Of two of one length it is that of a mean. Where one has all bytes, nothing says how much others would differ."""
    two = ratio("figure", np.array([10.0, 40.0]), np.array([10, 10]))
    assert two["figure_standard_error"] == pytest.approx(np.std([1, 4], ddof=1) / math.sqrt(2))
    assert ratio("figure", np.array([10.0, 0.0]), np.array([10, 0])) == {"figure": 1.0}
    assert ratio("figure", np.zeros(2), np.zeros(2, np.int64)) == {}


def test_the_standard_error_is_as_large_as_the_spread_over_samples() -> None:
    """Of 20 unequal documents, where the linearised error is too small by a tenth."""
    rng = np.random.default_rng(0)
    figures, errors, linearised = [], [], []
    for _ in range(2000):
        sizes = np.ceil(np.exp(rng.normal(8, 1, 20))).astype(np.int64)
        bits = sizes * np.exp(rng.normal(0.7, 0.3, 20)) * (sizes / 3000) ** -0.1
        found = ratio("figure", bits, sizes)
        residuals = bits - found["figure"] * sizes
        figures.append(found["figure"])
        errors.append(found["figure_standard_error"])
        linearised.append(math.sqrt(residuals @ residuals * 20 / 19) / sizes.sum())
    spread = np.std(figures)
    assert np.sqrt(np.mean(np.square(linearised))) < 0.9 * spread
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(spread, rel=0.05)


def test_one_document_has_no_standard_error(tmp_path: Path, model: Decoder) -> None:
    alone = write_dataset(tmp_path, [b"some text"], [b"a single document"]).split("val")
    result = evaluate(model, alone, {}, windowing=WINDOWING)
    assert "bits_per_byte_standard_error" not in result.to_dict()["raw"]
    assert " ± 0" not in result.table()


def test_groups_add_up_to_the_whole(tmp_path: Path, model: Decoder) -> None:
    write_code(tmp_path / "one")
    (tmp_path / "two").mkdir()
    for number, raw in enumerate(library_files()[:6]):
        (tmp_path / "two" / f"{number}.py").write_bytes(raw[:400])
        (tmp_path / "two" / f"{number}.md").write_bytes(raw[100:300])
    inputs = [tmp_path / "one", tmp_path / "two"]
    build(options(inputs, tmp_path / "shards", "ngram:contexts=20,symbol_bits=4", val_fraction=0.4), Reporter())
    split = Dataset(tmp_path / "shards").split("val")
    wide = Decoder(model.config, split.dataset.vocabulary.padded_size)
    init_weights(wide, 1)
    for by, names in {"lang": {"Python", "Markdown"}, "source": {"one", "two"}}.items():
        result = evaluate(
            wide.eval(),
            split,
            {"ngram": split.dataset.vocabulary.views["ngram"]},
            windowing=Windowing(256, 256),
            by=by,
        )
        values = result.to_dict()
        groups = values["by"][by]
        assert set(groups) == names
        for path in (("raw_bytes",), ("documents",), ("raw", "bits"), ("raw", "symbols"), ("views", "ngram", "bits")):
            parts = [group for group in groups.values()]
            whole: Any = values
            for key in path:
                whole, parts = whole[key], [part[key] for part in parts]
            assert sum(parts) == pytest.approx(whole, rel=1e-12)
        assert all(name in result.table() for name in names)
        assert values["views"]["ngram"]["unit_lengths_counted"] is False
        assert "model, view ngram *" in result.table()
        assert "leave out how many bytes each unit has" in result.table()


CHOSEN = Filter({"path": ["val-[2-5]"]})
"""Of ``make_dataset`` four rows of val, of which the second is a later part of the first."""


def test_only_what_the_filter_keeps_is_measured(dataset: Dataset, model: Decoder) -> None:
    split = dataset.split("val")
    found = evaluate(model, split, IDS, windowing=Windowing(4096, 4096), only=CHOSEN)
    every = evaluate(model, split, IDS, windowing=Windowing(4096, 4096))
    assert CHOSEN.numbers(split).tolist() == [2, 3, 4, 5]
    assert (len(found.documents), found.documents.of_documents) == (3, split.n_documents - 1)
    assert found.documents.raw_bytes_D.tolist() == every.documents.raw_bytes_D[2:5].tolist()
    np.testing.assert_allclose(found.raw, every.raw[:, 2:5], rtol=1e-6)
    np.testing.assert_allclose(found.views[VIEW], every.views[VIEW][:, 2:5], rtol=1e-6)
    for name, sizes in found.compressed_bytes.items():
        assert sizes.tolist() == every.compressed_bytes[name][2:5].tolist()
    assert found.table().startswith("val: 3 of 7 documents (4 parts), path like val-[2-5], ")
    assert every.table().startswith("val: 7 documents (8 parts), ")
    values = found.to_dict()
    assert (values["documents"], values["of_documents"], values["where"]) == (3, 7, {"path": ["val-[2-5]"]})


def test_a_split_of_which_the_filter_keeps_nothing_is_an_error(tmp_path: Path, model: Decoder) -> None:
    split = write_dataset(tmp_path, [b"some text"], [b"", b"more"]).split("val")
    with pytest.raises(DataError, match=r"no document of the val split of .* has lang like Rust"):
        evaluate(model, split, {}, windowing=WINDOWING, only=Filter({"lang": ["Rust"]}))
    with pytest.raises(DataError, match="has no bytes in documents that have path like val-0"):
        evaluate(model, split, {}, windowing=WINDOWING, only=Filter({"path": ["val-0"]}))


def test_ngrams_are_those_of_the_sample(dataset: Dataset, model: Decoder) -> None:
    sample = Sample(dataset.split("train"), Filter({"path": ["train-?"]}))
    result = evaluate(model, dataset.split("val"), {}, windowing=WINDOWING, only=CHOSEN, sample=sample)
    texts = [dataset.split("train").document(number).raw for number in range(10)]
    bits = sum(ByteNgrams(texts).bits(dataset.split("val").document(number).raw) for number in range(2, 6))
    values = result.to_dict()
    for order, expected in zip(ORDERS, bits, strict=True):
        found = values["ngrams"][f"byte {order}-gram"]
        assert found["bits"] == pytest.approx(expected)
        assert found["bits_per_byte"] == pytest.approx(expected / values["raw_bytes"])
        assert f"byte {order}-gram {found['bits_per_byte']:.4f}" in " ".join(result.table().split())
    assert values["ngrams_counted_on"] == {
        "split": "train",
        "raw_bytes": sum(map(len, texts)),
        "where": {"path": ["train-?"]},
    }
    assert f"{sample.raw_bytes:,} bytes of the train split, path like train-?" in result.table()


def test_without_a_sample_there_are_no_ngrams(dataset: Dataset, model: Decoder) -> None:
    result = evaluate(model, dataset.split("val"), {}, windowing=WINDOWING)
    assert result.to_dict()["ngrams"] == {}
    assert "gram" not in result.table()


RANKS = """
import json, sys
from pathlib import Path
from pctrain.inference.evaluate import evaluate_run
result = evaluate_run(Path(sys.argv[1]), quiet=True, device="cpu")
if result is not None:
    print(json.dumps(result.to_dict()))
"""


def test_several_processes_agree(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    settings = [*SETTINGS, "train.steps=4", 'data.where={"path": ["train-*1", "val-[1-6]"]}']
    fit(dataset.folder, tmp_path / "run", resolve(None, None, settings), quiet=True)
    alone = evaluate_run(tmp_path / "run", quiet=True, device="cpu")
    assert alone is not None
    for size in (2, 3):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        ranks = [
            subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", RANKS, str(tmp_path / "run")],
                env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.PIPE,
            )
            for rank in range(size)
        ]
        said = [process.communicate()[0] for process in ranks]
        assert [process.returncode for process in ranks] == [0] * size
        assert said[1:] == [b""] * (size - 1)
        found, expected = json.loads(said[0]), alone.to_dict()
        assert found["raw"]["symbols"] == expected["raw"]["symbols"] == found["raw_bytes"]
        assert (found["documents"], found["of_documents"]) == (5, 7)
        for name in ("where", "compressors", "ngrams", "ngrams_counted_on"):
            assert found[name] == expected[name] != {}
        for part in ("raw", VIEW):
            a, b = (values["raw"] if part == "raw" else values["views"][part] for values in (found, expected))
            assert a == {name: pytest.approx(value, rel=1e-6) for name, value in b.items()}
