"""Nothing unpickles, or runs in another way, what somebody else has written."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import io
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import pcdata.cli
import pctrain.cli
from pcdata.dataset.manifest import FileEntry, load_manifest
from tests.building.corpora import write_code
from tests.dataset.written import save
from tests.made_run import SETTINGS, make_dataset
from tests.paths import GOLDEN, ROOT

SET = [word for setting in SETTINGS for word in ("--set", setting)]

MODULES = {
    *("pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "copyreg", "yaml", "runpy", "code"),
    *("subprocess", "multiprocessing.managers", "xmlrpc", "socketserver"),
}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    *("torch.load", "torch.hub.load", "torch.jit.load", "torch.package", "np.load", "numpy.load", "np.fromregex"),
    *("np.lib.format.open_memmap", "np.lib.format.read_array", "os.system", "os.popen", "Listener", "Client"),
    *("all_gather_object", "gather_object", "broadcast_object_list", "import_module", "entry_points"),
}
FLAGS = {"allow_pickle", "weights_only", "trust_remote_code"}
RANKS = "between the processes of one run, which trust each other"
OURS = "names that stand in the code"
ALLOWED = {
    "pcdata/lazy.py": {"import_module": OURS},
    "pcdata/starting.py": {"import_module": OURS},
    "pcdata/codecs/bpe_engines.py": {"import_module": OURS},
    "pcdata/codecs/gzip.py": {"import_module": OURS},
    "pcdata/codecs/base.py": {"entry_points": "codecs are code, and were installed"},
    "pcdata/group.py": {"import_module": OURS},
    "pcdata/building/plan.py": {"np.lib.format.open_memmap": "written and read by one call, and holds numbers"},
    "pcdata/editing/merge.py": {"np.lib.format.open_memmap": "written and read by one call, and holds numbers"},
    "pctrain/training/distributed.py": {"all_gather_object": RANKS},
}
"""What could run code, and why it runs no stranger's. Pipes of ``multiprocessing`` are not listed: they lead to
processes that we start; those of Ray to a cluster that must be trusted."""


def suspects(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            full = [f"{node.module}.{name}" for name in names] if isinstance(node, ast.ImportFrom) else names
            yield from (one for one in MODULES for name in full if name == one or name.startswith(f"{one}."))
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            yield from (one for one in CALLS if called == one or ("." not in one and called.endswith(f".{one}")))
            if called in BUILTINS or any(keyword.arg in FLAGS for keyword in node.keywords):
                yield called


def test_every_place_that_could_run_code_is_known() -> None:
    seen = 0
    for path in [path for package in ("pcdata", "pctrain") for path in (ROOT / package).rglob("*.py")]:
        name = path.relative_to(ROOT).as_posix()
        for found in suspects(path):
            seen += 1
            assert found in ALLOWED.get(name, {}), f"{name} has {found}; say in ALLOWED why it runs no stranger's code"
    assert seen >= 5


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.marker),)


def bombs(marker: Path) -> list[bytes]:
    """A pickle, what torch saves, and an array of objects."""
    zipped, array = io.BytesIO(), io.BytesIO()
    torch.save(Bomb(marker), zipped)
    np.save(array, np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    return [pickle.dumps(Bomb(marker)), zipped.getvalue(), array.getvalue()]


def test_the_bombs_go_off(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    pickled, zipped, array = bombs(marker)
    for go in (
        lambda: pickle.loads(pickled),
        lambda: torch.load(io.BytesIO(zipped), weights_only=False),
        lambda: np.load(io.BytesIO(array), allow_pickle=True),
    ):
        go()
        marker.rmdir()


def run(program: str, *arguments: object) -> None:
    group = {"pcdata": pcdata.cli.main, "pctrain": pctrain.cli.main}[program]
    done = CliRunner().invoke(group, [str(argument) for argument in arguments])
    assert isinstance(done.exception, SystemExit | None), (arguments, done.exception)


def planted(folder: Path, bomb: bytes, *, hashed: bool) -> Path:
    """The golden dataset with bombs for files; ``hashed``: all but the manifest, which says that they are right."""
    shutil.copytree(GOLDEN, folder)
    manifest = load_manifest(folder)
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(bomb.ljust(path.stat().st_size, b"\0"))  # as large as what the manifest says of it
    if hashed:

        def right(value: object) -> object:
            if isinstance(value, FileEntry):
                data = (folder / value.path).read_bytes()
                return FileEntry(value.path, len(data), hashlib.sha256(data).hexdigest())
            if isinstance(value, tuple):
                return tuple(map(right, value))
            if isinstance(value, dict):
                return {key: right(one) for key, one in value.items()}
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                fields = {field.name: right(getattr(value, field.name)) for field in dataclasses.fields(value)}
                return dataclasses.replace(value, **fields)
            return value

        made = right(manifest)
        save(folder, made)  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize("number", range(3), ids=["pickle", "torch", "numpy"])
@pytest.mark.parametrize("hashed", [False, True])
def test_no_dataset_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hashed: bool) -> None:
    monkeypatch.chdir(tmp_path)
    bomb = bombs(tmp_path / "marker")[number]
    made = planted(tmp_path / "made", bomb, hashed=hashed)
    for arguments in [
        ("stats", made, "--measure"),
        ("stats", made, "--plot", "a.png"),
        ("config", made),
        ("show", made),
        ("verify", made, "-j1"),
        ("report", made, "-o", "a.html"),
        ("report", GOLDEN, "-o", "b.html", "--probe", made / "manifest.json"),
        ("export-docs", made, "-o", "out"),
        ("merge", made, GOLDEN, "-o", "merged", "-j1"),
        ("add-view", made, "-c", "gzip:name=new", "-j1"),
        ("drop-view", made, "zstd"),
    ]:
        run("pcdata", *arguments)
    run("pctrain", "fit", made, "-o", "run", "--no-verify", *SET)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("number", range(3), ids=["pickle", "torch", "numpy"])
def test_no_input_artifact_or_state_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.chdir(tmp_path)
    bomb = bombs(tmp_path / "marker")[number]
    names = ["pkl", "pt", "npy", "npz", "parquet", "arrow", "feather", "jsonl", "jsonl.gz", "jsonl.zst", "tar"]
    (tmp_path / "inputs").mkdir()
    for name in names:
        (tmp_path / "inputs" / f"a.{name}").write_bytes(bomb)
        run("pcdata", "build", tmp_path / "inputs" / f"a.{name}", "-o", f"out-{name}", "-j1", "--val-fraction", "0")
    (tmp_path / "inputs" / "state.json").write_bytes(bomb)
    write_code(tmp_path / "inputs" / "code", files=4)
    run("pcdata", "build", "inputs", "-o", "out", "-j1", "--val-fraction", "0")
    for option in ("--config", "--val-list"):
        run("pcdata", "build", "inputs", "-o", "out2", "-j1", option, "inputs/a.pkl")
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    for file in ("fitted.json", "tokenizer.json", "counts.uint32", "contexts.uint32", "settings.json", "dictionary"):
        (artifact / file).write_bytes(bomb)
    for file in ("config.json", "model.safetensors", "numbers.json"):
        (artifact / file).write_bytes(bomb)
    for codec in ("zstd", "bpe", "ngram", "neural"):
        run("pcdata", "build", "inputs", "-o", f"of-{codec}", "-j1", "-c", f"{codec}:artifact={artifact}")
        (artifact / "fitted.json").unlink(missing_ok=True)
        run("pcdata", "build", "inputs", "-o", f"of-{codec}", "-j1", "-c", f"{codec}:artifact={artifact}")
    for name in ("options.json", "views.json", "plan/plan.json", "inputs/00000.json", "scan/00000.digests"):
        state = tmp_path / "begun" / ".build"
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / "lock").touch()
        (state / name).write_bytes(bomb)
        run("pcdata", "build", "inputs/code", "-o", "begun", "-j1", "--val-fraction", "0")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("number", range(3), ids=["pickle", "torch", "numpy"])
def test_no_run_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.chdir(tmp_path)
    bomb = bombs(tmp_path / "marker")[number]
    data = make_dataset(tmp_path / "data").folder
    run("pctrain", "fit", data, "-o", "good", *SET, "--set", "train.steps=2")
    files = [path.relative_to("good") for path in Path("good").rglob("*") if path.is_file()]
    assert len(files) > 5
    for file in files:
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree("good", "run")
        Path("run", file).write_bytes(bomb)
        for sums in Path("run").rglob("SHA256SUMS") if file.name != "SHA256SUMS" else ():
            names = [line[66:] for line in sums.read_text().splitlines()]
            sums.write_text("".join(f"{_sum(sums.parent / name)}  {name}\n" for name in names))
        run("pctrain", "eval", "run", "--quiet")
        run("pctrain", "fit", data, "-o", "run", "--quiet", *SET, "--set", "train.steps=3")
    run("pctrain", "plot", "run")
    run("pctrain", "export", "run", "-o", "exported")
    assert not (tmp_path / "marker").exists()


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
