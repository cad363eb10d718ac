"""The study's datasets: the corpus, built once; some of its val documents after each edit; and a probe of it.

Edited documents are ordinary datasets, with views from the artifacts of the corpus, so that the same code measures a
model on them: in raw bytes, and in a view of the edited text.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from pcdata.dataset import Dataset
from pcdata.dataset.splitmix import fractions
from pcdata.probing.edits import EDITS, edited, key_for
from pcdata.probing.results import mean_of
from tools.building import with_option
from tools.study import shell
from tools.study.plan import Corpus, StudyError

_SEED: Final = 0
_LEAST_BYTES: Final = 2_000
UNEDITED: Final = "none"
WHITE_SPACE: Final = "white space"
_WIDENED: Final = 0.25


@dataclass(frozen=True)
class Datasets:
    folder: Path

    @property
    def shards(self) -> Path:
        return self.folder / "shards"

    @property
    def probe(self) -> Path:
        return self.folder / "probe.json"

    def edited(self) -> dict[str, Path]:
        """By edit, the unedited documents first."""
        return {name: self.folder / "edited" / slug(name) for name in (UNEDITED, *EDITS, WHITE_SPACE)}


def prepare(corpus: Corpus, folder: Path) -> Datasets:
    """Build what does not exist yet. One process does; others wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "corpus.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _prepare(corpus, folder)


def _prepare(corpus: Corpus, folder: Path) -> Datasets:
    made = Datasets(folder)
    inputs = [located(name) for name in corpus.inputs]
    requests = {name: with_option(text, f"name={name}") for name, text in corpus.compressors.items()}
    compressors = [word for text in requests.values() for word in ("--compressor", text)]
    shell.run("pcdata", "build", *inputs, "-o", made.shards, *corpus.options, *compressors, "--quiet")
    dataset = Dataset(made.shards)
    for edit, place in made.edited().items():
        if not (place / "manifest.json").exists():
            _build_edited(dataset, edit, place, requests, corpus.edit_documents)
    if not made.probe.exists():
        words = ["--documents", 60, "--document-bytes", f"{_LEAST_BYTES}:16000", "--json", "--quiet", "--workers", 1]
        filters = [*_only(corpus.options, "--include"), *_only(corpus.options, "--exclude")]
        found = shell.run("pcdata", "probe", *inputs, *filters, *compressors, *words)
        made.probe.write_text(found, encoding="utf-8")
    return made


def located(name: str) -> str:
    """The path of an input, as ``Corpus.inputs`` names them."""
    if name == "stdlib":
        return sysconfig.get_path("stdlib")
    kind, _, package = name.partition(":")
    if kind != "package":
        return name
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise StudyError(f"the corpus needs {name}, but this Python has no package {package!r}")
    return next(iter(found.submodule_search_locations))


def stability(made: Datasets) -> dict[str, float]:
    """By view, the mean distance of a document's symbols before and after an edit; 0: unchanged."""
    found: dict[str, Any] = json.loads(made.probe.read_text(encoding="utf-8"))["compressors"]
    means = {name: mean_of(figures["distances"]) for name, figures in found.items()}
    return {name: mean for name, mean in means.items() if mean is not None}


def slug(edit: str) -> str:
    return edit.replace(" %", "").replace(" ", "-")


def widen(raw: bytes, key: int) -> bytes:
    """A quarter of the single spaces between other characters of a line become two."""
    data = np.frombuffer(raw, np.uint8)
    space, other = data == ord(" "), data > ord(" ")
    single = np.zeros(len(data), bool)
    single[1:-1] = space[1:-1] & other[:-2] & other[2:]
    drawn = fractions(key, np.arange(len(data), dtype=np.uint64)) < _WIDENED
    return np.repeat(data, 1 + (single & drawn)).tobytes()


def _edit(name: str) -> Callable[[bytes], bytes]:
    if name == UNEDITED:
        return bytes
    if name == WHITE_SPACE:
        # Not one of probe's edits, which have their own keys. It is never used together with the first, so shares its.
        return lambda raw: widen(raw, key_for(_SEED, next(iter(EDITS)), raw))
    return partial(edited, name=name, seed=_SEED)


def _build_edited(dataset: Dataset, edit: str, place: Path, requests: dict[str, str], documents: int) -> None:
    """As separate files, because they may hold any bytes."""
    files = place.with_name(place.name + ".files")
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(parents=True)
    change = _edit(edit)
    for number, raw in enumerate(_chosen(dataset, documents)):
        (files / f"{number:03}.txt").write_bytes(change(raw))
    fitted = [_with_artifact(dataset, name, text) for name, text in requests.items()]
    compressors = [word for text in fitted for word in ("--compressor", text)]
    options = ["--val-fraction", 0, "--keep-binary", "--quiet", "--workers", 1]
    shell.run("pcdata", "build", files, "-o", place, *options, *compressors)
    shutil.rmtree(files)


def _chosen(dataset: Dataset, documents: int) -> list[bytes]:
    """The smallest whole documents of val that are not tiny."""
    val = dataset.split("val")
    raws = (val.document(number).raw.tobytes() for number in range(val.n_documents))
    chosen = sorted((raw for raw in raws if len(raw) >= _LEAST_BYTES), key=lambda raw: (len(raw), raw))[:documents]
    if not chosen:
        raise StudyError(f"{dataset.folder}: no document of val has {_LEAST_BYTES:,} bytes; raise --val-fraction")
    return chosen


def _with_artifact(dataset: Dataset, name: str, request: str) -> str:
    if not dataset.manifest.view(name).artifact or "artifact=" in request:
        return request
    return with_option(request, f"artifact={dataset.folder / 'views' / name / 'artifact'}")


def _only(options: tuple[str, ...], flag: str) -> list[str]:
    """A flag and its values among arguments."""
    return [word for at, option in enumerate(options) if option == flag for word in options[at : at + 2]]
