"""An export is the same model: in logits, in text, and in how it reads a prompt; with nothing but transformers."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset.vocab import BOS, FIRST_BYTE, RAW_CLOSE, RAW_IDS, RAW_OPEN
from pctrain.config import resolve
from pctrain.errors import CheckpointError, PctrainError
from pctrain.inference.export import export_run, special_names
from pctrain.inference.generate import Generation, Sampling
from pctrain.training.loop import fit
from pctrain.training.run_folder import load_model
from tests.made_run import SETTINGS, make_dataset

KINDS = {
    "plain": [],
    "tied": ["model.tie_embeddings=true"],
    "heads": ["model.predict_heads=2", "model.raw_predict_heads=3"],
}


@pytest.fixture(scope="module")
def transformers() -> Any:
    os.environ["HF_HUB_OFFLINE"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

        return transformers


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """A trained run of each kind, and its export."""
    folder = tmp_path_factory.mktemp("exports")
    dataset = make_dataset(folder / "data")
    made = {}
    for kind, more in KINDS.items():
        fit(dataset.folder, folder / kind, resolve(None, None, [*SETTINGS, "optim.lr=0.01", *more]), quiet=True)
        export_run(folder / kind, folder / f"{kind} hf")
        made[kind] = folder / kind, folder / f"{kind} hf"
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_greedy_text_are_ours(runs: dict[str, tuple[Path, Path]], kind: str, transformers: Any) -> None:
    run, exported = runs[kind]
    ours, state = load_model(run, "last", torch.device("cpu"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = transformers.AutoModelForCausalLM.from_pretrained(exported)
        tokenizer = transformers.AutoTokenizer.from_pretrained(exported)
    assert type(theirs).__name__ == "LlamaForCausalLM"
    ids = torch.randint(RAW_IDS, (3, 60), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        difference = theirs(ids).logits - ours(ids)[..., :RAW_IDS]
    assert theirs.dtype == torch.float32
    assert difference.abs().max() < 1e-5
    for prompt in ("the cat", "né 猫"):
        inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = theirs.generate(**inputs, do_sample=False, max_length=state.config.data.seq_len)[0].tolist()
        made = text[len(inputs["input_ids"][0]) :]
        made = [each - FIRST_BYTE for each in made if each != RAW_CLOSE]
        room = state.config.data.seq_len - len(inputs["input_ids"][0])
        expected = list(Generation(ours, prompt.encode(), Sampling(room, 0), state.config.data.seq_len))
        assert made == expected
        assert len(made) > 5


@pytest.mark.parametrize("prompt", ["def f", "é → x", "a  b\n", "<|raw|>"])
def test_a_pipeline_goes_on_from_a_text(runs: dict[str, tuple[Path, Path]], prompt: str, transformers: Any) -> None:
    run, exported = runs["plain"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = transformers.pipeline("text-generation", model=str(exported), device="cpu")
        (made,) = pipeline(prompt, max_new_tokens=24, do_sample=False)
    ours, state = load_model(run, "last", torch.device("cpu"))
    rest = bytes(Generation(ours, prompt.encode(), Sampling(24, temperature=0), state.config.data.seq_len))
    assert made["generated_text"] == (prompt.encode() + rest).decode(errors="replace")
    assert rest


def test_generation_stops_at_raw_close_and_draws_no_other_mark(
    runs: dict[str, tuple[Path, Path]], transformers: Any
) -> None:
    exported = runs["plain"][1]
    model = transformers.AutoModelForCausalLM.from_pretrained(exported)
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported)
    inputs = tokenizer("the cat", return_tensors="pt", return_token_type_ids=False)
    torch.nn.init.zeros_(model.lm_head.weight)  # everything is as likely: the first that may be drawn is
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = model.generate(**inputs, do_sample=False, max_new_tokens=9)[0]
        drawn = model.generate(**inputs, do_sample=True, top_k=0, max_new_tokens=40, eos_token_id=-1)[0]
    assert made.tolist() == [*inputs["input_ids"][0].tolist(), RAW_CLOSE]
    assert tokenizer.decode(made, skip_special_tokens=True) == "the cat"
    assert all(each >= FIRST_BYTE or each == RAW_CLOSE for each in drawn[2:].tolist())


def test_several_prompts_go_on_as_each_alone(runs: dict[str, tuple[Path, Path]], transformers: Any) -> None:
    exported, prompts = runs["plain"][1], ["the cat", "né", "sat on small mats"]
    model = transformers.AutoModelForCausalLM.from_pretrained(exported)
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported)

    def goes_on(texts: list[str]) -> list[str]:
        inputs = tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = model.generate(**inputs, do_sample=False, max_new_tokens=12)
        return [tokenizer.decode(one, skip_special_tokens=True) for one in made]

    together = goes_on(prompts)
    assert together == [text for prompt in prompts for text in goes_on([prompt])]
    assert all(len(text) > len(prompt) + 3 for text, prompt in zip(together, prompts, strict=True))


def test_a_text_is_its_bytes_behind_the_opening_marks(runs: dict[str, tuple[Path, Path]], transformers: Any) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(runs["plain"][1])
    hostile = ["", "<|bos|>x<|/raw|><|unused63|>", " two  spaces \n\t", "e\u0301 👩‍👩‍👧 \ufeff\u2028\x00\x7f", "Ġ"]

    @given(st.text() | st.sampled_from(hostile) | st.sampled_from(special_names()))
    def law(text: str) -> None:
        ids = tokenizer(text)["input_ids"]
        assert ids == [BOS, RAW_OPEN, *(FIRST_BYTE + byte for byte in text.encode())]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text

    law()


def test_all_weights_of_the_raw_ids_are_there_and_no_others(runs: dict[str, tuple[Path, Path]]) -> None:
    from safetensors import safe_open

    with safe_open(runs["heads"][1] / "model.safetensors", "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - not a dict
    assert shapes["model.embed_tokens.weight"] == [RAW_IDS, 32]
    assert not any("ahead" in name or "raw_head" in name for name in shapes)
    assert json.loads((runs["tied"][1] / "config.json").read_text())["tie_word_embeddings"] is True


def test_a_model_with_biases_by_distance_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    settings = [*SETTINGS, "model.reach=4", "train.steps=1", "mixture.mode=raw", "mixture.warmup_fraction=0"]
    fit(dataset.folder, tmp_path / "run", resolve(None, None, settings), quiet=True)
    with pytest.raises(PctrainError, match=r"layers reach 4 positions \(model.reach\), which LlamaForCausalLM does"):
        export_run(tmp_path / "run", tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_nothing_is_overwritten(runs: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    (run, _), (_, exported) = runs["heads"], runs["plain"]
    before = sorted(exported.iterdir())
    with pytest.raises(PctrainError, match="is already there"):
        export_run(run, exported)
    assert sorted(exported.iterdir()) == before
    with pytest.raises(CheckpointError, match="has no checkpoint '77'"):
        export_run(run, tmp_path / "new", "77")
    assert not list(tmp_path.iterdir())


def listed(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_an_export_that_is_there_already_is_complete(runs: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    """As one is that was killed after its last step, before it could say so."""
    run, exported = runs["tied"]
    before = listed(exported)
    done = export_run(run, exported)
    assert done.was_there
    assert listed(exported) == before
    fresh = export_run(run, tmp_path / "hf")
    assert (fresh.was_there, fresh.step, fresh.parameters) == (False, done.step, done.parameters)


def _flip(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))


OTHERS: dict[str, Callable[[Path], object]] = {
    "weights": lambda folder: _flip(folder / "model.safetensors"),
    "cut": lambda folder: os.truncate(folder / "model.safetensors", 100),
    "text": lambda folder: _flip(folder / "README.md"),
    "more": lambda folder: (folder / "mine").touch(),
    "fewer": lambda folder: (folder / "config.json").unlink(),
    "a link": lambda folder: ((folder / "config.json").unlink(), (folder / "config.json").symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_another_is_refused(runs: dict[str, tuple[Path, Path]], tmp_path: Path, other: str) -> None:
    run, exported = runs["plain"]
    folder = shutil.copytree(exported, tmp_path / "hf")
    OTHERS[other](folder)
    names = sorted(path.name for path in folder.iterdir())
    with pytest.raises(PctrainError, match="is already there with other content"):
        export_run(run, folder)
    assert sorted(path.name for path in folder.iterdir()) == names


def test_what_a_killed_export_left_goes_with_the_next(runs: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    run, _ = runs["plain"]
    theirs = ["hf.old.tmp", "hf.0123456789abcdef", "gf.0123456789abcdef.tmp"]
    for name in ("hf.0123456789abcdef.tmp", *theirs):
        (tmp_path / name / "model").mkdir(parents=True)
    export_run(run, tmp_path / "hf")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*theirs, "hf"])
