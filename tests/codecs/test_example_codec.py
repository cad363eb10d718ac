"""A stranger's package brings a codec: installed with pip, found by name, and used as the built-in ones are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pcdata.dataset import Dataset
from tests.building.corpora import assert_same_tree
from tests.strategies import library_files

EXAMPLE = Path(__file__).parent.parent / "example_codec"
SHAPE = ("--val-fraction=0.25", "--fit-bytes=40000", "-qj2")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example and, in ``site``, what pip made of it. The copy, because setuptools leaves files behind."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "package", ignore=shutil.ignore_patterns("__pycache__"))
    alone = ("--no-index", "--no-build-isolation", "--no-deps", "--no-cache-dir", "--disable-pip-version-check")
    run(folder, "pip", "install", "--quiet", *alone, "--target", folder / "site", folder / "package")
    (folder / "code").mkdir()
    for number, raw in enumerate(library_files()):
        (folder / f"code/{number}.py").write_bytes(raw)
    return folder


def run(folder: Path, module: str, *arguments: str | Path) -> str:
    paths = [str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_pass(installed: Path) -> None:
    assert "passed" in run(installed, "pytest", "-p", "no:cacheprovider", "package")


def test_it_is_used_as_the_built_in_ones_are(installed: Path) -> None:
    pcdata = "pcdata.cli"
    run(installed, pcdata, "build", "code", "-o", "shards", "-c", "words:words=50", "-c", "gzip", *SHAPE)
    assert "shards: sound" in run(installed, pcdata, "verify", "shards", "-j2")
    values = json.loads(run(installed, pcdata, "stats", "shards", "--json"))["views"]["words"]
    assert values["parameters"] == {"words": 50}
    assert values["n_symbols"] == 256 + 50
    assert values["raw_bytes_per_symbol"] > 1
    view = Dataset(installed / "shards").manifest.view("words")
    assert view.versions == {"pcdata-words": "0.1.0"}
    assert view.fitted_on is not None
    assert view.artifact[0].path == "views/words/artifact/words.txt"


def test_pcdata_fit_fits_it(installed: Path) -> None:
    """In another process than the build: an artifact that depends on the order of a set would differ."""
    pcdata = "pcdata.cli"
    run(installed, pcdata, "fit", "words:words=30", "code", "-o", "artifact", *SHAPE)
    run(installed, pcdata, "build", "code", "-o", "fitting", "-c", "words:words=30", *SHAPE)
    run(installed, pcdata, "build", "code", "-o", "reading", "-c", "words:artifact=artifact", *SHAPE)
    assert_same_tree(installed / "fitting/views", installed / "reading/views")
