"""Nothing that a stranger named reaches the terminal as it is: no escape sequence, no other direction, no new line."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import io
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import pcdata.cli
import pctrain.cli
from pcdata import terminal
from pcdata.dataset.manifest import MANIFEST
from tests.building.corpora import write_jsonl
from tests.dataset.written import Row, sample_rows, save, write_dataset
from tests.made_run import SETTINGS, make_dataset
from tests.paths import ROOT

EVIL = "e$\\frac$\x1b]0;x\x07\x1b[31m\u202e\x9b2J\nerror: all is well"
SET = [word for setting in SETTINGS for word in ("--set", setting)]
SHAPE = ("-j1", "--val-fraction", "0")
BUILD = ("build", "code", "-o", "new", *SHAPE)
RUN = f"{EVIL} run"

PCDATA = [
    (EVIL,),
    (f"--{EVIL}",),
    ("stats", f"--{EVIL}"),
    ("stats", EVIL, EVIL),
    ("stats",),
    *((command, dataset) for command in ("stats", "config", "show", "verify") for dataset in ("made", "bad", EVIL)),
    *(("show", "made", "--doc", str(number)) for number in range(3)),
    ("show", "made", "--doc", EVIL),
    ("show", "made", "--view", EVIL),
    ("show", "made", "--bytes", EVIL),
    ("show", "made", "--width", EVIL),
    ("stats", "made", "--json"),
    ("stats", "made", "--measure"),
    ("stats", "made", "--plot", EVIL),
    ("stats", "made", "--plot", f"{EVIL}/a.png"),
    ("verify", "made", "--json"),
    ("verify", "cut"),
    ("verify", "cut", "--json"),
    ("report", "made", "-o", f"{EVIL}.html"),
    ("report", "made", "-o", EVIL),
    ("report", "made", "-o", f"none/{EVIL}.html"),
    ("report", "made", "-o", "a.html", "--probe", f"{EVIL}.py"),
    ("export-docs", "made", "-o", EVIL),
    ("export-docs", "made", "-o", "made"),
    ("export-docs", "made", "-o", f"{EVIL}.jsonl"),
    ("export-docs", "made", "-o", f"none/{EVIL}.jsonl"),
    ("export-docs", "made", "-o", "a", "--split", EVIL),
    ("export-docs", "made", "-o", "b", "--lang", EVIL),
    ("export-docs", "made", "-o", "b.jsonl", "--text-key", EVIL),
    ("merge", "made", EVIL, "-o", "out"),
    ("merge", "made", "bad", "-o", f"{EVIL} out"),
    ("merge", "made", "made", "-o", f"{EVIL} out"),
    ("drop-view", "made", EVIL),
    ("drop-view", "bad", "gzip"),
    ("add-view", "made", "-c", EVIL),
    ("add-view", "made", "-c", f"gzip:{EVIL}=1"),
    ("add-view", "made", "-c", f"gzip:level={EVIL}"),
    ("add-view", "made", "-c", f"gzip:name={EVIL}"),
    ("add-view", "made", "-c", f"bpe:artifact={EVIL}"),
    ("add-view", "made", "-c", "gzip:name=new"),
    ("build", "code", EVIL, "-o", "out"),
    ("build", "code", "-o", f"{EVIL} built", *SHAPE),
    ("build", "code", "-o", f"{EVIL} built", *SHAPE),
    ("build", "code", "-o", f"{EVIL} built", *SHAPE, "-c", "gzip"),
    ("build", "code", "-o", f"{EVIL}.py", *SHAPE),
    ("build", "code", "-o", "strict", *SHAPE, "--strict"),
    ("build", "code", "-o", "out", "--dry-run", *SHAPE),
    ("build", "none", "-o", "out", *SHAPE),
    ("build", f"{EVIL}.jsonl", "-o", "out", *SHAPE),
    ("build", f"{EVIL}.jsonl", "-o", "out", *SHAPE, "--text-key", EVIL),
    ("build", "code", "-o", "out", "-j", EVIL),
    (*BUILD, "--format", EVIL),
    (*BUILD, "--engine", EVIL),
    (*BUILD, "--ray-address", EVIL),
    (*BUILD, "--engine", "ray", "--ray-address", EVIL),
    (*BUILD, "--config", EVIL),
    (*BUILD, "--config", f"{EVIL}.py"),
    (*BUILD, "--config", "key.toml"),
    (*BUILD, "--config", "value.toml"),
    (*BUILD, "--val-list", f"{EVIL}.py"),
    (*BUILD, "--val-list", EVIL),
    (*BUILD, "--keep", EVIL),
    (*BUILD, "--dedup", EVIL),
    ("fit", EVIL, "code", "-o", "fitted"),
    ("fit", "bpe:vocab_size=300", "code", "-o", f"{EVIL} fitted", *SHAPE),
    ("fit", "bpe:vocab_size=300", "code", "-o", "code", *SHAPE),
    ("probe", "code", "-c", EVIL),
    ("probe", "code", "-c", "gzip", "--document-bytes", EVIL),
    ("probe", "code", "-c", "gzip", "--document-bytes", "0:64000", "-j1"),
]
PCTRAIN = [
    (EVIL,),
    ("fit", EVIL, "-o", RUN),
    ("fit", "made", "-o", "other", *SET),
    ("fit", "data", "-o", RUN, *SET),
    ("fit", "data", "-o", f"{EVIL}.py", *SET),
    ("fit", "data", "-o", "run", "--preset", EVIL),
    ("fit", "data", "-o", "run", "--config", EVIL),
    ("fit", "data", "-o", "run", "--config", f"{EVIL}.py"),
    ("fit", "data", "-o", "run", "--config", "key.toml"),
    ("fit", "data", "-o", "run", "--view", EVIL),
    ("fit", "data", "-o", "run", "--weight", EVIL),
    ("fit", "data", "-o", "run", "--weight", f"{EVIL}=1"),
    ("fit", "data", "-o", "run", "--lang", EVIL),
    ("fit", "data", "-o", "run", "--where", EVIL),
    ("fit", "data", "-o", "run", "--where", f"{EVIL}=a"),
    *(
        ("fit", "data", "-o", "run", "--set", text)
        for text in (EVIL, f"{EVIL}=1", f"train.{EVIL}=1", f"optim.lr={EVIL}")
    ),
    ("fit", "data", "-o", "run", *SET, "--set", f'runtime.device="{EVIL}"'),
    ("eval", RUN),
    ("eval", RUN, "--json"),
    ("eval", RUN, "--by", "lang"),
    ("eval", EVIL),
    ("eval", RUN, "--checkpoint", EVIL),
    ("eval", RUN, "--data", EVIL),
    ("eval", RUN, "--data", "made"),
    ("eval", RUN, "--split", EVIL),
    ("eval", RUN, "--lang", EVIL),
    ("eval", RUN, "--device", EVIL),
    ("generate", RUN, "--checkpoint", EVIL),
    ("generate", RUN, "--max-bytes", EVIL),
    ("generate", EVIL),
    ("export", RUN, "-o", EVIL),
    ("export", RUN, "-o", f"none/{EVIL}"),
    ("export", RUN, "-o", f"{EVIL} exported"),
    ("plot", RUN, EVIL),
    ("plot", RUN, "-o", EVIL),
    ("plot", RUN, "-o", f"{EVIL}.png"),
    ("neural", "fit", EVIL, "-o", "byte-model"),
    ("neural", EVIL),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``code`` has evil names, ``made`` evil contents, ``bad`` names that are refused, ``cut`` a damaged file."""
    place = tmp_path_factory.mktemp("place")
    (place / "code").mkdir()
    (place / "code" / f"{EVIL}.py").write_text("x = 1\n")
    (place / "code" / f"{EVIL}.bin").write_bytes(b"\0\0")
    write_jsonl(place / f"{EVIL}.jsonl", [{EVIL: "x", "path": EVIL, "lang": EVIL}, b'{"'])
    (place / f"{EVIL}.py").write_text(f"{EVIL} = 1\n")
    (place / "key.toml").write_text(f"{json.dumps(EVIL)} = 1\n[train]\n{json.dumps(EVIL)} = 1\n")
    (place / "value.toml").write_text(f"workers = {json.dumps(EVIL)}\n")
    rows = [Row(EVIL.encode(), b"# evil\n", EVIL), Row(EVIL.encode() + b"2", EVIL.encode(), EVIL), *sample_rows()]
    made = write_dataset(place / "made", rows)
    made = dataclasses.replace(
        made,
        options={**made.options, "inputs": [EVIL], "compressors": [], "val_list": EVIL, "include": [EVIL]},
        rejects={EVIL: 1},
        versions={EVIL: EVIL},
        views=(dataclasses.replace(made.views[0], backends={EVIL: EVIL}, versions={EVIL: EVIL}), *made.views[1:]),
    )
    save(place / "made", made)
    shutil.copytree(place / "made", place / "cut")
    (place / "cut" / "base" / "train-00000.arrow").write_bytes(b"ARROW1")
    (place / "cut" / EVIL).touch()
    shutil.copytree(place / "made", place / "bad")
    evil = json.dumps(EVIL)[1:-1].encode()
    data = made.to_bytes().replace(b'"name": "gzip"', b'"name": "%s"' % evil).replace(made_digest(made.to_bytes()), b"")
    head = data.index(b'"digest": "') + len(b'"digest": "')
    (place / "bad" / MANIFEST).write_bytes(data[:head] + hashlib.sha256(data).hexdigest().encode() + data[head:])
    make_dataset(place / "data")
    fitted = CliRunner().invoke(pctrain.cli.main, ["fit", str(place / "data"), "-o", str(place / RUN), *SET])
    assert fitted.exit_code == 0, fitted.output
    return place


def made_digest(data: bytes) -> bytes:
    return json.loads(data)["digest"].encode()


def call(command: object, place: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(place)
    done = CliRunner().invoke(command, arguments, prog_name="program")
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert done.exit_code in (0, 1, 2)
    return done


def assert_harmless(text: str) -> None:
    assert not set(text) & set("\x1b\x07\u202e\x9b"), text
    assert not any(line.startswith("error: all is well") for line in text.splitlines()), text


@pytest.mark.parametrize("arguments", PCDATA, ids=repr)
def test_pcdata_shows_no_names_as_they_are(
    place: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    done = call(pcdata.cli.main, place, arguments, monkeypatch)
    assert_harmless(done.stdout)
    assert_harmless(done.stderr)


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("arguments", PCTRAIN, ids=repr)
def test_nor_does_pctrain(place: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    done = call(pctrain.cli.main, place, arguments, monkeypatch)
    assert_harmless(done.stdout)
    assert_harmless(done.stderr)


def test_a_config_with_evil_values_is_toml(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = call(pcdata.cli.main, place, ("config", "made"), monkeypatch)
    assert tomllib.loads(done.stdout)["include"] == [EVIL]


def test_data_goes_out_as_it_is(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = call(pcdata.cli.main, place, ("export-docs", "made", "-o", "-", "--limit", "2"), monkeypatch)
    first, second = map(json.loads, done.stdout_bytes.split(b"\n")[:2])
    assert first["lang"] == second["lang"] == EVIL
    assert second["text"] == EVIL
    assert "\u202e".encode() in done.stdout_bytes
    prompted = call(pctrain.cli.main, place, ("generate", RUN, "--prompt", EVIL, "--max-bytes", "1"), monkeypatch)
    assert prompted.stdout_bytes.startswith(EVIL.encode())


class Terminal(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined]


def test_but_not_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", shown := Terminal())
    data = terminal.Data()
    for character in f"{EVIL}\ttab\n":
        data.write(character.encode())
    data.write(b"\xff")
    data.flush()
    assert not set(shown.text()) & set("\x1b\x07\u202e\x9b")
    assert shown.text().endswith("\nerror: all is well→   tab\n\\xff")


@given(st.text() | st.text(st.sampled_from("a\x1b[0;31m]\n\u202e\x9b\udcff")))
def test_colours_pass_where_they_are_wanted_and_nothing_else(text: str) -> None:
    with pytest.MonkeyPatch().context() as patch:
        patch.setattr(sys, "stdout", shown := Terminal())
        terminal.answer(text, coloured=True)
    left = re.sub(r"\x1b\[[0-9;]*m", "", shown.text())
    assert all(character.isprintable() for character in left.replace("\n", ""))
    assert shown.text().count("\n") == text.count("\n") + 1


OUTLETS = {"print", "echo", "secho", "showwarning", "excepthook"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
LOOKED_AT = {"isatty"}


def outlets(path: Path) -> Iterator[str]:
    """What a file calls that puts text out; a stream may be asked what it is, or handed to tqdm."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            parts = name.split(".")
            if parts[-1] in OUTLETS or (STREAMS & {*parts} and parts[-1] not in LOOKED_AT) or name == "os.write":
                yield f"{path.name}:{node.lineno} {name}"


def test_there_is_one_door() -> None:
    doors = {"terminal.py", "starting.py"}
    files = [path for package in ("pcdata", "pctrain") for path in (ROOT / package).rglob("*.py")]
    assert {path.name for path in files if [*outlets(path)]} >= {"starting.py"}
    assert not [found for path in files if path.name not in doors for found in outlets(path)]
