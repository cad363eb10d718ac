"""``pcdata build --restart`` throws away what an unfinished build has made, and nothing else, wherever it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from pcdata.building.build import build
from pcdata.building.progress import Silent
from pcdata.building.workspace import Workspace
from pcdata.errors import BuildError
from pcdata.processes.kill_points import RESTART_STEPS
from tests.building.corpora import assert_same_tree, options, write_code
from tests.building.interrupted import command

OLD = ("zstd", "bpe:vocab_size=300")
NEW = ("gzip", "zstd:level=4,dictionary=0")


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "code"
    write_code(folder, files=24)
    return folder


def killed(words: list[str], at: str) -> None:
    done = subprocess.run(words, env={**os.environ, "PCDATA_KILL_AT": at}, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.fixture
def unfinished(code: Path, tmp_path: Path) -> Path:
    """The folder of a build with the views ``OLD``, two shards of which are there."""
    output = tmp_path / "shards"
    killed(command(code, output, compressors=OLD), "write.done:2")
    assert list(output.glob("views/bpe/artifact/*"))
    return output


@pytest.fixture(scope="module")
def reference(code: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Path]:
    folders = {views: tmp_path_factory.mktemp("reference") / "shards" for views in (OLD, NEW)}
    for views, folder in folders.items():
        build(options(code, folder, *views), Silent())
    return folders


def test_nothing_is_left_of_a_build_with_other_options(
    code: Path, unfinished: Path, reference: dict[tuple[str, ...], Path]
) -> None:
    asked = options(code, unfinished, *NEW)
    with pytest.raises(BuildError, match=r"the views zstd and bpe:vocab_size=300, and .* discard it with --restart"):
        build(asked, Silent())
    build(asked, Silent(), restart=True)
    assert_same_tree(reference[NEW], unfinished)
    assert not (unfinished / "views" / "bpe").exists()
    assert build(asked, Silent(), restart=True).was_complete, "what is finished stays"


@pytest.mark.parametrize("step", [f"{step}:1" for step in RESTART_STEPS] + ["restart.removed:4", "scan.written:1"])
@pytest.mark.parametrize("views", [NEW, OLD])
def test_killed_in_the_middle_of_a_restart(
    code: Path, unfinished: Path, reference: dict[tuple[str, ...], Path], step: str, views: tuple[str, ...]
) -> None:
    """The same command again, and also the one of the build that was to be thrown away: nothing of it is taken."""
    killed([*command(code, unfinished, compressors=NEW), "--restart"], step)
    build(options(code, unfinished, *views), Silent(), restart=views == NEW or step == "scan.written:1")
    assert_same_tree(reference[views], unfinished)


def test_what_is_not_the_builds_stays(code: Path, unfinished: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "artifact").mkdir(parents=True)
    kept = [
        elsewhere / "train-00000.arrow",
        elsewhere / "artifact" / "dictionary",
        unfinished / "notes.txt",
        unfinished / "base" / "notes.arrow",
        unfinished / "views" / "other" / "train-00000.arrow",
    ]
    kept[-1].parent.mkdir()
    for path in kept:
        path.write_text("mine")
    (unfinished / "views" / "bpe").rename(tmp_path / "bpe")
    (unfinished / "views" / "bpe").symlink_to(elsewhere)
    with Workspace(unfinished).locked():
        Workspace(unfinished).discard()
    assert [path.read_text() for path in kept] == ["mine"] * len(kept)
    assert [path.name for path in unfinished.glob("base/*")] == ["notes.arrow"]
    assert not (unfinished / "views" / "zstd").exists()
    assert (unfinished / "views" / "bpe").is_symlink()


def test_what_is_no_unfinished_build_is_not_discarded(code: Path, unfinished: Path, tmp_path: Path) -> None:
    files = {path: path.read_bytes() for path in unfinished.rglob("*.arrow")}
    claim = unfinished / ".build" / "options.json"
    values = json.loads(claim.read_text())
    del values["compressors"]
    claim.write_text(json.dumps({**values, "merge": {}}))
    with pytest.raises(BuildError, match="holds no unfinished build to discard; name a new folder with -o"):
        build(options(code, unfinished, *NEW), Silent(), restart=True)
    claim.write_text(json.dumps({"discarding": True, "compressors": [{"name": "zstd"}]}))
    (unfinished / "manifest.json").write_text("{}")  # as no command leaves it
    with pytest.raises(BuildError, match="holds no unfinished build"):
        build(options(code, unfinished, *NEW), Silent())
    claim.write_text(json.dumps({**values, "compressors": [{"name": "../.."}]}))
    (unfinished / "manifest.json").unlink()
    with pytest.raises(BuildError, match="which is no name"):
        build(options(code, unfinished, *NEW), Silent(), restart=True)
    assert {path: path.read_bytes() for path in unfinished.rglob("*.arrow")} == files
