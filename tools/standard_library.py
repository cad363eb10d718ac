"""The corpus of the benchmarks that read: this Python's standard library as a dataset, built once and kept."""

from __future__ import annotations

import contextlib
import json
import platform
import shutil
import tempfile
from pathlib import Path

from building import STDLIB

from pcdata.building.build import build
from pcdata.building.options import BuildOptions
from pcdata.building.progress import Silent
from pcdata.codecs.requests import parse_requests
from pcdata.dataset import Dataset, DatasetError

VIEW = "bpe"
_COMPRESSOR = f"bpe:vocab_size=16384,name={VIEW}"


def standard_library(copies: int = 1) -> Dataset:
    """Every ``.py`` file that is UTF-8 as a document of ``train``, uncut, with the view ``bpe``.

    Several ``copies``, each with a first line of its own, so that a processor's cache does not hold them all. The
    dataset stays in the folder for temporary files, for the next call: about 100 MB a copy.
    """
    folder = Path(tempfile.gettempdir()) / f"pcdata-bench-{platform.python_version()}-x{copies}"
    with contextlib.suppress(DatasetError):
        return Dataset(folder)
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        for copy in range(copies):
            _write_copy(Path(scratch) / f"{copy:03}.jsonl", f"# copy {copy}\n" if copy else "")
        options = BuildOptions(
            (Path(scratch),),
            folder,
            tuple(parse_requests([_COMPRESSOR])),
            format="jsonl",
            val_fraction=0,
            max_document_bytes=1 << 30,
        )
        build(options, Silent())
    return Dataset(folder)


def _write_copy(path: Path, head: str) -> None:
    with path.open("w") as file:
        for source in sorted(STDLIB.rglob("*.py")):
            if "site-packages" not in source.parts:
                with contextlib.suppress(UnicodeDecodeError):
                    file.write(json.dumps({"text": head + source.read_bytes().decode()}) + "\n")
