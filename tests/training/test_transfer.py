"""What a model learns from compressed documents it knows of raw bytes, where the two share ids.

In a made-up language some words are shown raw in the warm-up's pairs only; from then on they are in compressed
documents alone. A model that goes on reading them there must foresee them in raw text better than one that reads the
same symbols in another order (``data.placebo``), and so as often, but learns nothing from them.

The view is zstd with ``ids=raw``, whose frames hold literal bytes: 1.1 bits a letter, 5.5 with the placebo. Of views
with ids of their own, models as small as this passed nothing on: with words of two roots whose ending only the pair of
them tells (576 … 4,096 words, three layers of width 64 and 96, 900 … 2,700 steps, pairs or splicing in the warm-up),
the endings of hidden words stayed at the 3 bits of chance, or above where raw text taught the others.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from pcdata.cli import main as pcdata
from pcdata.dataset import Dataset
from pcdata.dataset.vocab import BOS, FIRST_BYTE, RAW_OPEN
from pctrain.config import resolve
from pctrain.data.draws import Purpose, uniform
from pctrain.training.loop import fit
from pctrain.training.run_folder import load_model

SEED = 0
SHARE = 0.9
DOCUMENTS = 6_000
LETTERS = 7
LINES = 6
WORDS_OF_A_LINE = 4
SETTINGS = [
    "data.seq_len=256",
    "data.rows=16",
    "data.shuffle_rows=0",  # a window would reach into the next epoch, in which hidden words are shown raw too
    "model.width=64",
    "model.layers=2",
    "model.attention_heads=4",
    "model.kv_heads=4",
    "model.hidden=128",
    f"mixture.share={SHARE}",
    "train.steps=240",
    "optim.lr=4e-3",
    "optim.lr_warmup_steps=20",
    "eval.every=0",
    "eval.bytes=100",
    "checkpoint.every=240",
    f"train.seed={SEED}",
    'runtime.device="cpu"',
]


class Language:
    """Words of seven letters drawn at random: whoever knows one can go on from its first letters."""

    def __init__(self) -> None:
        draw = random.Random(1)
        words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=LETTERS)) for _ in range(90)]
        self.hidden, self.shown = words[:30], words[30:]

    def document(self, draw: random.Random, *, hidden: bool) -> list[str]:
        """The words of a document, hidden ones among them or not."""
        return draw.choices(self.shown + self.hidden * hidden, k=LINES * WORDS_OF_A_LINE)


def text(words: Sequence[str]) -> str:
    lines = [words[at : at + WORDS_OF_A_LINE] for at in range(0, len(words), WORDS_OF_A_LINE)]
    return "".join(" ".join(line) + "\n" for line in lines)


@pytest.fixture(scope="module")
def language() -> Language:
    return Language()


@pytest.fixture(scope="module")
def shards(language: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hidden words are in those documents alone that the main phase shows compressed."""
    folder, draw = tmp_path_factory.mktemp("transfer"), random.Random(2)
    compressed = uniform(SEED, 0, np.arange(DOCUMENTS, dtype=np.uint64), Purpose.KIND) < SHARE
    records = [{"text": text(language.document(draw, hidden=bool(each)))} for each in compressed]
    records.append({"text": text(language.shown[:WORDS_OF_A_LINE]), "path": "val"})  # a run must have one
    (folder / "made.jsonl").write_text("\n".join(map(json.dumps, records)))
    (folder / "val.txt").write_text("val\n")
    options = ("-c", "zstd:size=64,dictionary=0,ids=raw", "--val-list", folder / "val.txt", "-q", "-j1")
    arguments = ("build", folder / "made.jsonl", "-o", folder / "shards", *options)
    done = CliRunner().invoke(pcdata, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    assert Dataset(folder / "shards").split("train").n_documents == DOCUMENTS
    return folder / "shards"


def hidden_bits(run: Path, language: Language) -> float:
    """Bits per letter of hidden words in raw documents; a document's first word is context."""
    model, state = load_model(run, "last", torch.device("cpu"))
    assert state.cursor.place.draw < DOCUMENTS, "no document came twice, and so none compressed first, then raw"
    draw = random.Random(3)
    documents = [language.document(draw, hidden=True) for _ in range(100)]
    raw_RT = torch.tensor([[*text(words).encode()] for words in documents])
    marks_RT = torch.tensor([BOS, RAW_OPEN]).expand(len(raw_RT), 2)
    with torch.no_grad():
        logits_RTV = model(torch.cat([marks_RT, FIRST_BYTE + raw_RT[:, :-1]], 1))[:, 1:]
    nats_RTB = -logits_RTV[..., FIRST_BYTE : FIRST_BYTE + 256].log_softmax(-1)
    bits_RT = nats_RTB.gather(-1, raw_RT[..., None])[..., 0] / math.log(2)
    letters_RWL = bits_RT.unflatten(1, (-1, LETTERS + 1))[:, 1:, :LETTERS]
    is_hidden_RW = torch.tensor([[word in language.hidden for word in words[1:]] for words in documents])
    assert 500 < int(is_hidden_RW.sum()) < is_hidden_RW.numel() / 2
    return float(letters_RWL[is_hidden_RW].mean())


@pytest.mark.slow
def test_what_is_read_compressed_is_known_in_raw_bytes(shards: Path, language: Language, tmp_path: Path) -> None:
    bits = {}
    for name in ("false", "true"):
        config = resolve(None, None, [*SETTINGS, f"data.placebo={name}"])
        fit(shards, tmp_path / name, config, quiet=True)
        bits[name] = hidden_bits(tmp_path / name, language)
    assert bits["true"] - bits["false"] > 2, bits
