"""Files and folders get the permissions that the user's umask leaves them, whichever library wrote them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pcdata.cli import main as pcdata
from pctrain.cli import main as pctrain
from tests.building.corpora import write_code
from tests.made_run import SETTINGS

COMMANDS = """
pcdata fit bpe:vocab_size=300 code -o fitted --workers 1
pcdata build code -o shards -c bpe:artifact=fitted --val-fraction 0.2 --workers 1
pcdata build code/package0 -o part -c bpe:artifact=fitted --val-fraction 0.2 --workers 1
pcdata add-view shards -c gzip --workers 1
pcdata drop-view shards gzip
pcdata merge part shards -o merged
pcdata report shards -o report.html
pcdata stats shards --plot stats.svg
pcdata export-docs shards -o documents.jsonl
pcdata export-docs shards -o documents
pctrain fit shards -o run --view bpe --preset tiny --quiet SETTINGS
pctrain plot run -o run.svg
pctrain export run -o weights
"""


UMASK = 0o027
"""Neither what is usual nor what a temporary file has."""


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(UMASK)
    yield
    os.umask(before)


def test_everything_that_is_written_has_the_users_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_code(Path("code"), files=12)
    for line in COMMANDS.replace("SETTINGS", " ".join(f"--set {one}" for one in SETTINGS)).split("\n")[1:-1]:
        name, *words = line.split()
        done = CliRunner().invoke({"pcdata": pcdata, "pctrain": pctrain}[name], words)
        assert done.exit_code == 0, f"{line}: {done.output}"
    written = [path for path in Path().rglob("*") if path.parts[0] != "code"]
    assert len({path.parts[0] for path in written}) == 11
    wrong = {
        str(path): oct(path.stat().st_mode & 0o777)
        for path in written
        if path.stat().st_mode & 0o777 != (0o777 if path.is_dir() else 0o666) & ~UMASK
    }
    assert wrong == {}
