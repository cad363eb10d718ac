"""``pcdata fit``: the artifact is the one a build would have made, and a build that is handed it makes the same."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.codecs.fitted import RECORD, read_record
from pcdata.codecs.requests import parse_request
from pcdata.dataset import Dataset
from pcdata.errors import BuildError, CodecError, OptionError
from tests.building.corpora import fit, options, write_code
from tests.dataset.contents import contents

CODECS = {
    "bpe": "bpe:vocab_size=16384",  # of which so small a sample gives fewer
    "token-bytes": "token-bytes:vocab_size=280,code=gray",
    "zstd": "zstd:dictionary=1024,size=128",
    "ngram": "ngram:segment=4,contexts=90",
    "entropy": "entropy:segment=8,contexts=90,monotonic=true",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "my code"
    write_code(folder)
    return folder


def view_files(dataset: Path, view: str) -> dict[str, bytes]:
    return contents(dataset / "views" / view)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_build_handed_the_artifact_makes_the_view_that_it_would_have_made(
    source: Path, tmp_path: Path, codec: str, workers: int
) -> None:
    artifact = tmp_path / "my artifact"
    record = fit(options(source, artifact, CODECS[codec], workers=workers)).record
    build(options(source, tmp_path / "fitting", CODECS[codec]), Reporter())
    build(options(source, tmp_path / "handed", f"{codec}:artifact={artifact}"), Reporter())
    fitting, handed = (Dataset(tmp_path / name).manifest.view(codec) for name in ("fitting", "handed"))
    assert view_files(tmp_path / "fitting", codec) == view_files(tmp_path / "handed", codec)
    assert len(view_files(tmp_path / "handed", codec)) > 2
    assert fitting.fitted_on == handed.fitted_on == record.fitted_on
    assert fitting.parameters == handed.parameters
    assert fitting.fingerprint == handed.fingerprint


def test_the_sample_may_be_smaller_and_is_recorded(source: Path, tmp_path: Path) -> None:
    whole, part = (
        fit(options(source, tmp_path / str(size), "bpe:vocab_size=300", fit_bytes=size)).record
        for size in (100_000, 5_000)
    )
    assert 5_000 <= part.fitted_on.raw_bytes < whole.fitted_on.raw_bytes
    assert part.options["fit_bytes"] == 5_000


def test_the_same_call_again_does_nothing_and_another_is_refused(source: Path, tmp_path: Path) -> None:
    asked = options(source, tmp_path / "a", CODECS["ngram"])
    first = fit(asked)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    again = fit(asked)
    assert (first.was_there, again.was_there) == (False, True)
    assert again.record == first.record
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()} == before
    with pytest.raises(BuildError, match="holds an artifact of other inputs or options"):
        fit(options(source, tmp_path / "a", "ngram:segment=5,contexts=90"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("precious")
    with pytest.raises(BuildError, match="not an artifact of pcdata fit"):
        fit(options(source, tmp_path / "b", CODECS["ngram"]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_nothing_is_left_where_nothing_can_be_fitted(source: Path, tmp_path: Path) -> None:
    for text, says in {
        "gzip": "not fitted to anything",
        "zstd:dictionary=0": "not fitted to anything",
        "bpe:name=other": "name and ids belong to a view",
        "zstd:ids=raw": "name and ids belong to a view",
    }.items():
        with pytest.raises(OptionError, match=says):
            fit(options(source, tmp_path / "a", text))
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def artifact(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact") / "zstd"
    fit(options(source, folder, CODECS["zstd"]))
    return folder


def test_options_that_were_not_given_are_those_of_the_fit(artifact: Path) -> None:
    assert parse_request(f"zstd:artifact={artifact}").parameters.size == 128
    assert parse_request(f"zstd:artifact={artifact},size=256,level=9").parameters.size == 256
    assert parse_request(f"zstd:artifact={artifact / 'dictionary'}").parameters.size == 192


def test_files_that_the_record_does_not_list_are_none_of_the_artifact(source: Path, tmp_path: Path) -> None:
    fit(options(source, tmp_path / "a", CODECS["ngram"]))
    (tmp_path / "a" / "notes.txt").write_text("mine")
    assert parse_request(f"ngram:artifact={tmp_path / 'a'}").parameters.contexts == 90


def test_the_artifact_may_go_into_the_folder_one_is_in(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    fit(options(source, Path(), CODECS["ngram"]))
    assert (tmp_path / "here" / RECORD).exists()


def test_an_artifact_of_another_codec_is_refused(artifact: Path) -> None:
    with pytest.raises(OptionError, match=r"was fitted for zstd; name an artifact of bpe"):
        parse_request(f"bpe:artifact={artifact}")


def changed(artifact: Path, to: Path, name: str, data: bytes) -> Path:
    to.mkdir()
    for path in artifact.iterdir():
        (to / path.name).write_bytes(data if path.name == name else path.read_bytes())
    return to


def test_damage_is_found_before_anything_is_built_with_it(artifact: Path, tmp_path: Path) -> None:
    dictionary, record = (artifact / "dictionary").read_bytes(), (artifact / RECORD).read_bytes()
    flipped = changed(artifact, tmp_path / "flipped", "dictionary", dictionary[:-1] + bytes([dictionary[-1] ^ 1]))
    with pytest.raises(OptionError, match=r"dictionary is not the file that fitted.json lists"):
        parse_request(f"zstd:artifact={flipped}")
    values = json.loads(record)
    for number, (data, says) in enumerate(
        [
            (b"{", "cannot be read"),
            (b"[]", "not a record"),
            (b"[" * 9000, "nested"),
            (
                json.dumps({**values, "fitted_on": {"documents": "1", "raw_bytes": 1}}).encode(),
                "must be a whole number, got '1'",
            ),
            (json.dumps({**values, "parameters": [1]}).encode(), r"parameters must be a table, got \[1\]"),
            (
                json.dumps({**values, "files": [{"path": 1, "bytes": 1, "sha256": ""}]}).encode(),
                "path must be text",
            ),
            (
                json.dumps({**values, "files": [{"path": "../x", "bytes": 1, "sha256": ""}]}).encode(),
                "no path of a file",
            ),
            (
                json.dumps({**values, "files": [{"path": "x", "bytes": 1, "sha256": "0" * 64}]}).encode(),
                "x is not the file",
            ),
            (json.dumps({**values, "version": 9}).encode(), "of another version"),
            (json.dumps({**values, "surprise": 1}).encode(), "other fields than it should"),
            (json.dumps({**values, "parameters": {"colour": 1}}).encode(), "has other options than this zstd"),
            (json.dumps(values).replace('"size": 128', '"size": "x"').encode(), "has other options than this zstd"),
        ]
    ):
        with pytest.raises(OptionError, match=says):
            parse_request(f"zstd:artifact={changed(artifact, tmp_path / str(number), RECORD, data)}")


def test_what_the_machine_refuses_is_not_called_damage(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        read_record(artifact)


@pytest.mark.parametrize("codec", ["zstd", "bpe", "ngram"])
def test_a_folder_of_a_stranger_is_read_only_where_files_are(codec: str, tmp_path: Path) -> None:
    """Neither waited for nor followed out of the folder."""
    name = {"zstd": "dictionary", "bpe": "tokenizer.json", "ngram": "settings.json"}[codec]
    os.mkfifo(tmp_path / name)
    with pytest.raises(OptionError, match="is not a regular file"):
        parse_request(f"{codec}:artifact={tmp_path}")
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(__file__)
    with pytest.raises((OptionError, CodecError), match=r"symbolic link|not JSON"):
        parse_request(f"{codec}:artifact={tmp_path}")
