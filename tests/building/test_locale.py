"""Paths are bytes: the locale changes no byte of a dataset, and is no reason to stop."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.errors import BuildError
from tests.building.corpora import assert_same_tree, options

NAMES = ["\u0444.py", "caf\u00e9.py", "a.py", "\udce9.py"]
"""Cyrillic, Latin, ASCII, and a byte that is no UTF-8."""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder, a tar and a Parquet file, all with such names."""
    folder = tmp_path / "caf\u00e9"
    folder.mkdir()
    with tarfile.open(tmp_path / "\u0444.tar", "w", encoding="utf-8") as tar:
        for number, name in enumerate(NAMES):
            raw = b"x = %d\n" % number
            (folder / name).write_bytes(b"# %d\n" % number)
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    table = pa.table({"text": ["p", "q"], "path": NAMES[:2]})
    pq.write_table(table, tmp_path / "\u0444.parquet")
    return tmp_path


def pcdata(corpus: Path, locale: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    environment = {**kept, "PYTHONPATH": str(Path.cwd()), "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", **locale}
    command = [sys.executable, "-m", "pcdata.cli", *arguments]
    return subprocess.run(command, cwd=corpus, env=environment, capture_output=True, check=False)


def latin(tmp_path: Path) -> dict[str, str]:
    made = tmp_path / "locales"
    made.mkdir()
    command = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(made / "de_DE.ISO-8859-1")]
    try:
        subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no localedef here")
    if not any(made.iterdir()):
        pytest.skip("no sources of locales here")
    return {"LC_ALL": "de_DE.ISO-8859-1", "LOCPATH": str(made)}


@pytest.mark.parametrize("locale", ["C", "latin"])
def test_every_locale_gives_the_same_bytes(locale: str, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = {"LC_ALL": "C"} if locale == "C" else latin(tmp_path_factory.mktemp("locale"))
    asked = [
        "caf\u00e9",
        "\u0444.tar",
        "\u0444.parquet",
        "--include",
        "*.py",
        "--exclude",
        "caf?.py",
        "--val-fraction",
        "0",
    ]
    for output, environment in (("utf-8", {"LC_ALL": "C.UTF-8"}), ("other", other)):
        done = pcdata(corpus, environment, "build", *asked, "-o", output, "-q", "-j1")
        assert done.returncode == 0, done.stderr
    assert_same_tree(corpus / "utf-8", corpus / "other")
    again = pcdata(corpus, other, "build", *asked, "-o", "utf-8", "-j1")
    assert b"complete already" in again.stderr
    for command in (["stats", "utf-8"], ["show", "utf-8", "--doc", "0"], ["config", "utf-8"]):
        done = pcdata(corpus, other, *command)
        assert (done.returncode, done.stderr) == (0, b"")


def test_an_output_that_arrow_cannot_open_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x")
    with pytest.raises(BuildError, match=r"Arrow opens only paths in UTF-8; name another folder"):
        build(options(tmp_path / "a.py", tmp_path / os.fsdecode(b"\xff")), Reporter())
    assert [path.name for path in tmp_path.iterdir()] == ["a.py"]
