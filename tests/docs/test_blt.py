"""The recipe for transformers' BLT: its lengths are BLT's, are used, and let no position see a byte it predicts."""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

import pcdata
from pcdata.codecs.byte_model import BIT
from pcdata.codecs.entropy import EntropyCodec
from pcdata.codecs.segments import LONGEST_SEGMENT_BYTES, document_entropies, joined
from tests.codecs.examples import codec
from tests.docs.pages import BLOCK, ROOT
from tests.strategies import library_files

SHORT = (b"x = 1\n", b"def f(x):\n    return x\n", b"import os\n\nprint(os.sep)\n")

PLACES = range(1, 41, 3)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names that the recipe's last block defines, after it ran on a small dataset."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "code").mkdir()
    for number, text in enumerate([*library_files()[:8], *SHORT]):
        (folder / "code" / f"{number}.py").write_bytes(text)
    pcdata.build([folder / "code"], folder / "patches", compressors=["entropy", "bpe:vocab_size=500"], val_fraction=0.2)
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    (block,) = (text for _, text in BLOCK.findall(page) if "BltForCausalLM" in text)
    names: dict[str, Any] = {}
    with contextlib.chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(block, names)
    names["model"].eval()
    return {**names, "dataset": pcdata.open(folder / "patches")}


@pytest.fixture(params=["entropy", "bpe"])
def rows(recipe: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Tensor]:
    dataset = recipe["dataset"]
    found: dict[str, Tensor] = recipe["batch"]([*dataset.train, *dataset.val], request.param, 127)
    assert len({*found["patch_lengths"].sum(1).tolist()}) > len(SHORT)
    return found


def logits(recipe: dict[str, Any], rows: dict[str, Tensor], **changed: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = recipe["model"](**{**rows, **changed}).logits
    return found


def moved(recipe: dict[str, Any], rows: dict[str, Tensor], place: int, before: Tensor, **changed: Tensor) -> Tensor:
    """By how much the logits of each position that has a label change with the byte at one place."""
    ids = rows["input_ids"].clone()
    ids[:, place] = recipe["FIRST_BYTE"] + 200
    labelled = rows["labels"][:, 1:, None] != recipe["IGNORED"]  # the next position's label is this one's target
    return (logits(recipe, rows, input_ids=ids, **changed) - before).abs()[:, :-1] * labelled


def test_the_loss_is_finite_and_the_lengths_are_used(recipe: dict[str, Any], rows: dict[str, Tensor]) -> None:
    lengths = rows["patch_lengths"]
    assert (lengths.sum(1) == (rows["labels"] != recipe["IGNORED"]).sum(1)).all()
    assert (lengths[:, 0] == 1).all()
    assert recipe["model"](**rows).loss.isfinite()
    other = lengths.clone()
    other[:, 1], other[:, 2] = lengths[:, 1:3].sum(1) - 1, 1
    assert not torch.equal(other, lengths)
    assert (logits(recipe, rows) - logits(recipe, rows, patch_lengths=other)).abs().max() > 0.01


def test_no_position_sees_the_byte_that_it_predicts(recipe: dict[str, Any], rows: dict[str, Tensor]) -> None:
    before = logits(recipe, rows)
    for place in PLACES:
        found = moved(recipe, rows, place, before)
        assert found[:, :place].max() == 0
        assert found[:, place:].max() > 0.01


def test_without_the_patch_of_the_begin_mark_positions_would_see_ahead(
    recipe: dict[str, Any], rows: dict[str, Tensor]
) -> None:
    """Why the recipe has it."""
    lengths = torch.cat([rows["patch_lengths"][:, :2].sum(1, keepdim=True), rows["patch_lengths"][:, 2:]], 1)
    before = logits(recipe, rows, patch_lengths=lengths)
    assert any(moved(recipe, rows, place, before, patch_lengths=lengths)[:, :place].max() > 0.01 for place in PLACES)


def test_padding_changes_nothing(recipe: dict[str, Any], rows: dict[str, Tensor]) -> None:
    batched = logits(recipe, rows)
    for row, lengths in enumerate(rows["patch_lengths"]):
        end = int(lengths.sum())
        alone = {"input_ids": rows["input_ids"][row, :end][None], "patch_lengths": lengths[lengths > 0][None]}
        assert torch.allclose(logits(recipe, alone)[0, : end - 1], batched[row, : end - 1], atol=1e-5)


def test_units_are_the_patches_of_transformers(recipe: dict[str, Any]) -> None:
    """From the same entropies: theirs at a position are those of the next byte, and the first is of the begin mark."""
    from transformers.models.blt.modeling_blt import BltPatcher, process_patch_lengths

    tested = codec("entropy")
    assert isinstance(tested, EntropyCodec)
    for raw in (library_files()[1][:3000], b"x" + b" " * 300, b"ab"):
        text, _, starts = joined([raw])
        entropies = torch.tensor(document_entropies(tested.model, text, starts).astype("int64"))
        after = torch.cat([entropies, torch.zeros(1, dtype=torch.int64)])[None] / BIT
        theirs = BltPatcher.patch_lengths_from_entropies(after, len(raw) + 1, 4, tested.threshold / BIT)
        theirs = process_patch_lengths(theirs, LONGEST_SEGMENT_BYTES)
        assert theirs[0].tolist() == [1, *tested.encode([raw]).unit_bytes.tolist()]
