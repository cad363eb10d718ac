"""A ``tokenizer.json`` of a stranger: its pattern may take time, memory or the process, and ends in a sentence."""

from __future__ import annotations

import gc
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.codecs import bpe_engines, bpe_format
from pcdata.codecs.bpe_engines import IsolatedTokenizersEngine, TokenizersEngine, choose, open_engine
from pcdata.codecs.laws import HOSTILE
from pcdata.errors import CodecError
from tests.building.corpora import options, write_code
from tests.codecs.examples import fitted, splitting_as_gpt4
from tests.strategies import batches, library_files

FITTED = fitted("bpe:vocab_size=700")["tokenizer.json"]
SLOW_TEXT = (b"x" * 22 + b" ") * 2000
"""Of each run of x, ``(x+x+)+y`` tries all ways to cut it, just fewer than the library's own limit allows."""


def splitting_by(pattern: dict[str, Any]) -> bytes:
    found = json.loads(FITTED)
    step = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
    last = {**found["pre_tokenizer"], "use_regex": False}
    pre_tokenizer = {"type": "Sequence", "pretokenizers": [step, last]}
    return bpe_format.canonical(json.dumps({**found, "pre_tokenizer": pre_tokenizer}).encode())


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """No patience: the process is started with these."""
    monkeypatch.setattr(bpe_engines, "_PATIENCE", bpe_engines.Patience(1, 1, 0))


@pytest.mark.usefixtures("short")
def test_an_expression_without_end_is_a_sentence_and_so_is_asking_again() -> None:
    engine = open_engine("tokenizers", splitting_by({"Regex": "(x+x+)+y"}))
    assert len(engine.ids(b"import os")) > 2
    for then in ("the process took more processor time than its task may take", "its process was ended"):
        with pytest.raises(CodecError, match=rf"^bpe: tokenizer\.json cannot be used: .* encode 46,000 bytes: {then}$"):
            engine.ids(SLOW_TEXT)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ({"Regex": "(x+x+)+y"}, "cannot encode 3,000 bytes: Onig: Regex search error: retry-limit-in-match over"),
        ({"Regex": "(" * 9000 + ")" * 9000}, "cannot load it: .*parse depth limit"),
        ({"Regex": "a{100001}"}, "cannot load it: .*too big number for repeat range"),
        ({"Regex": 7}, "cannot load it"),
        ({}, "cannot load it"),
    ],
)
def test_what_the_library_panics_at_is_a_sentence(
    pattern: dict[str, Any], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CodecError, match=rf"^bpe: tokenizer\.json cannot be used: tokenizers {says}"):
        open_engine("tokenizers", splitting_by(pattern)).ids(b"x" * 3000)
    assert capfd.readouterr() == ("", "")


def test_only_a_pattern_needs_a_process() -> None:
    assert isinstance(open_engine("tokenizers", FITTED), TokenizersEngine)
    for pattern in ({"Regex": "a"}, {"String": "a"}):
        assert isinstance(open_engine("tokenizers", splitting_by(pattern)), IsolatedTokenizersEngine)


def test_ids_are_those_of_the_library_however_they_are_sent() -> None:
    tokenizer = bpe_format.canonical(splitting_as_gpt4(FITTED))
    inside, isolated = TokenizersEngine(tokenizer), IsolatedTokenizersEngine(tokenizer)

    def same(raws: list[bytes]) -> None:
        texts = [raw.decode(errors="ignore").encode() for raw in raws]
        found = isolated.all_ids(texts)
        assert len(found) == len(texts)
        for ids, expected in zip(found, inside.all_ids(texts), strict=True):
            assert ids.dtype == np.uint32
            assert ids.tolist() == expected.tolist()

    given(batches())(same)()
    same([b"", *library_files(), b"", *HOSTILE.values()])


def test_the_process_ends_with_the_engine() -> None:
    gc.collect()  # those of other tests
    before = len(multiprocessing.active_children())
    engine = open_engine("tokenizers", splitting_by({"String": "a"}))
    assert len(multiprocessing.active_children()) == before + 1
    del engine
    gc.collect()
    assert len(multiprocessing.active_children()) == before


def test_the_choice_of_an_engine_refuses_what_neither_can_use() -> None:
    assert choose(splitting_by({"Regex": "(x+x+)+y"}), [SLOW_TEXT]) == "tokenizers"
    with pytest.raises(CodecError, match="cannot load it"):
        choose(splitting_by({"Regex": "a{100001}"}), [])


@pytest.mark.usefixtures("short")
def test_a_build_names_the_view_and_the_artifact(tmp_path: Path) -> None:
    write_code(tmp_path / "code")
    (tmp_path / "code" / "slow.py").write_bytes(SLOW_TEXT)
    (tmp_path / "bad.json").write_bytes(splitting_by({"Regex": "a{100001}"}))
    (tmp_path / "slow.json").write_bytes(splitting_by({"Regex": "(x+x+)+y"}))
    for name, where in (("bad", rf"artifact {tmp_path}/bad\.json"), ("slow", r"views/mine/artifact/tokenizer\.json")):
        request = f"bpe:name=mine,artifact={tmp_path}/{name}.json"
        with pytest.raises(
            CodecError, match=rf"^view mine \({where}\): bpe: tokenizer\.json cannot be used: tokenizers"
        ):
            build(options(tmp_path / "code", tmp_path / name, request, workers=1), Reporter())


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(splitting_by({"String": "a"}))
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from pcdata.codecs.bpe_engines import open_engine\n"
        "print(len(open_engine('tokenizers', open(sys.argv[1], 'rb').read()).ids(b'abc')))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "tokenizer.json")], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("3\n", "")
