"""A build that finds the disk full says which file, in one sentence; the same command resumes to the same bytes."""

from __future__ import annotations

import resource
from functools import partial
from pathlib import Path

import pytest

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from tests.building.corpora import assert_same_tree, options
from tests.building.interrupted import command, run


def _limited(file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


@pytest.fixture(scope="module")
def whole(code: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What no disk disturbed, by compressor."""
    folders = {name: tmp_path_factory.mktemp("whole") / "shards" for name in ("bit", "zstd")}
    for name, folder in folders.items():
        build(options(code, folder, name), Reporter())
    return folders


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("file_bytes", "compressor", "full"),
    [
        (300, "bit", ".build/options.json"),
        (2_000, "bit", ".build/scan/00000.digests"),
        (9_000, "zstd", "views/zstd/artifact/dictionary"),
        (9_000, "bit", "base/*.arrow"),
        (60_000, "bit", "views/bit/*.arrow"),
    ],
)
def test_the_file_is_named_and_the_build_resumes(
    code: Path, whole: dict[str, Path], tmp_path: Path, workers: int, file_bytes: int, compressor: str, full: str
) -> None:
    """A limit on the size of files fails as a full disk does, in ``write``, and wherever it is wanted."""
    output = tmp_path / "a folder"
    code_, said = run(command(code, output, workers, [compressor]), preexec_fn=partial(_limited, file_bytes))
    assert code_ == 1
    named, _, rest = said.removeprefix("error: ").partition(": ")
    assert rest == "File too large; fix that and run the same command again"
    assert Path(named).match(full), named
    assert not list(output.rglob("*.tmp"))  # they would go on filling the disk
    build(options(code, output, compressor), Reporter())
    assert_same_tree(whole[compressor], output)
