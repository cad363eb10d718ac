"""The command pcdata: one sentence and exit 1 for every mistake, progress on stderr, results on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pcdata.text import size
from tests.building.corpora import write_code, write_jsonl
from tests.command_lines import pcdata


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_code(folder / "my code")
    shape = ("--val-fraction", "0.25", "--fit-bytes", "100000")
    done = pcdata("build", folder / "my code", "-o", folder / "my shards", "-c", "zstd", "-c", "gzip", *shape, "-j1")
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert "built" in done.stderr
    assert "view zstd" in done.stderr
    return folder / "my shards"


MISTAKES = [
    (("build", "nowhere", "-o", "out"), "input nowhere does not exist"),
    (("build", "empty", "-o", "out"), "no files there"),
    (("build", "code", "-o", "out", "-c", "lzma"), "unknown compressor 'lzma'; known: bit, bpe,"),
    (("build", "code", "-o", "out", "-c", "zstd:speed=9"), "unknown option 'speed'; known: level"),
    (("build", "code", "-o", "out", "-c", "zstd:level=99"), "99"),
    (("build", "code", "-o", "out", "-c", "gzip:level=high"), "level must be a whole number, got 'high'"),
    (("build", "code", "-o", "out", "-c", "gzip:level"), "is not a single option=value"),
    (("build", "code", "-o", "out", "-c", "gzip", "-c", "gzip:level=1"), "two views are named 'gzip'"),
    (("build", "code", "-o", "out", "-c", "gzip:name=../x"), "cannot name a view"),
    (("build", "code", "-o", "out", "-c", "bpe:artifact=missing.json"), "missing.json"),
    (("build", "code", "-o", "out", "--val-fraction", "1.5"), "--val-fraction must be"),
    (("build", "code", "-o", "out", "--format", "xml"), "--format must be one of auto, files, jsonl"),
    (("build", "code", "-o", "out", "--engine", "spark"), "--engine must be one of process, ray"),
    (
        ("build", "code", "-o", "out", "--lang", "python", "--lang", "Pyton"),
        "file can be in; did you mean Python?",
    ),
    (
        ("build", "lang.jsonl", "-o", "out", "--lang", "pyton"),
        "(go, which no --lang names); --lang pyton is no",
    ),
    (
        ("build", "code", "-o", "out", "--lang", "js"),
        "not a language that a file can be in; did you mean JavaScript?",
    ),
    (("build", "code", "-o", "out", "-c", "Ztsd"), "unknown compressor 'Ztsd'; did you mean zstd?"),
    (("probe", "code", "-c", "gzip", "--lang", "%"), "pcdata stats lists those of a dataset"),
    (("build", "code", "-o", "out", "--ray-address", "auto"), "--ray-address auto needs --engine ray"),
    (("build", "cut.jsonl", "-o", "out"), "cut.jsonl line 1: cut line"),
    (("build", "keyless.jsonl", "-o", "out"), "no key 'text' or 'content' or 'code'; its keys: 'body'"),
    (("fit", "lzma", "code", "-o", "out"), "unknown compressor 'lzma'; known: bit, bpe,"),
    (("fit", "gzip", "code", "-o", "out"), "gzip with these options is not fitted to anything"),
    (("fit", "bpe", "nowhere", "-o", "out"), "input nowhere does not exist"),
    (("fit", "bpe", "empty", "-o", "out"), "no files there"),
    (("fit", "bpe", "code", "-o", "code"), "code exists and is not an artifact of pcdata fit"),
    (("stats", "nowhere"), "nowhere does not exist"),
    (("stats", "code"), "is not a dataset"),
    (("verify", "code"), "is not a dataset"),
    (("show", "code"), "is not a dataset"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_a_mistake_gets_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_code(Path("code"), files=8)
    Path("empty").mkdir()
    write_jsonl(Path("cut.jsonl"), [b'{"text": "cut in ha'])
    write_jsonl(Path("keyless.jsonl"), [{"body": "x"}])
    write_jsonl(Path("lang.jsonl"), [{"text": "x", "lang": "go"}])
    done = pcdata(*arguments)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_without_ray_the_sentence_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "pcdata.building.engines.ray", raising=False)
    write_code(tmp_path / "code", files=8)
    done = pcdata("build", tmp_path / "code", "-o", tmp_path / "out", "--engine", "ray")
    assert done.exit_code == 1
    assert done.stderr == 'error: --engine ray needs ray; pip install "proxy-compression[ray]"\n'
    assert not (tmp_path / "out").exists()


def test_usage_errors_exit_with_2() -> None:
    assert pcdata("build").exit_code == 2
    assert pcdata("stats").exit_code == 2
    assert pcdata("show", "x", "--bytes", "a:b").exit_code == 2


def test_stats_is_a_table_or_json(built: Path) -> None:
    assert "raw bytes/symbol" in pcdata("stats", built).stdout
    values = json.loads(pcdata("stats", built, "--json").stdout)
    assert set(values["views"]) == {"zstd", "gzip"}


def test_show_finds_by_number_path_and_id(built: Path) -> None:
    text = pcdata("show", built, "--doc", "3", "--width", "90").stdout
    assert max(len(line) for line in text.splitlines()) <= 90
    path = text.split()[3]
    identity = text.partition("id ")[2].split()[0]
    for selector in (path, identity[:10]):
        again = pcdata("show", built, "--doc", selector, "--width", "90")
        assert again.exit_code == 0, again.output
        assert again.stdout == text
    assert pcdata("show", built, "--doc", "99999").exit_code == 1


def test_verify_exits_with_1_and_names_the_file(built: Path, tmp_path: Path) -> None:
    assert pcdata("verify", built, "-j1").exit_code == 0
    victim = next((built / "views" / "gzip").glob("train*.arrow"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    original, victim_time = victim.read_bytes(), victim.stat().st_mtime_ns
    victim.write_bytes(data)
    try:
        done = pcdata("verify", built, "-j1")
        assert done.exit_code == 1
        assert f"views/gzip/{victim.name}" in done.stdout
        assert pcdata("verify", built, "--quick", "-j1").exit_code == 1
    finally:
        victim.write_bytes(original)
        os.utime(victim, ns=(victim_time, victim_time))


def test_dry_run_writes_nothing_and_says_what_would_be(built: Path, tmp_path: Path) -> None:
    write_code(tmp_path / "code")
    done = pcdata(
        "build", tmp_path / "code", "-o", tmp_path / "out", "-c", "gzip", "--dry-run", "--val-fraction", "0.25", "-j1"
    )
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "out").exists()
    assert "documents  40" in done.stdout
    real = sum(path.stat().st_size for path in (built / "views" / "gzip").glob("*.arrow")) / 1e3
    estimate, unit = done.stdout.partition("gzip       about ")[2].split()[:2]
    assert (float(estimate), unit) == (pytest.approx(real, rel=0.3, abs=60), "kB")


def test_output_to_a_closed_pipe_is_no_traceback(built: Path) -> None:
    command = f"{sys.executable} -m pcdata.cli stats '{built}' | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


def test_fit_says_what_it_made_and_how_to_use_it(tmp_path: Path) -> None:
    write_code(tmp_path / "code")
    asked = ("fit", "ngram:contexts=50", tmp_path / "code", "-o", tmp_path / "out", "--val-fraction", "0.25", "-j1")
    done, again = pcdata(*asked), pcdata(*asked)
    assert done.exit_code == again.exit_code == 0, done.output
    assert f"Use it with --compressor ngram:artifact={tmp_path / 'out'}" in done.stderr
    assert "is there already, from the same inputs and options" in again.stderr
    assert done.stdout == again.stdout == ""


def test_sizes_of_a_small_corpus_are_not_rounded_to_nothing(tmp_path: Path) -> None:
    write_code(tmp_path / "code", files=2)
    built = pcdata("build", tmp_path / "code", "-o", tmp_path / "out", "-c", "bpe", "-j1")
    raw_bytes = sum(path.stat().st_size for path in (tmp_path / "code").rglob("*.*"))
    said = built.stderr + pcdata("export-docs", tmp_path / "out", "-o", tmp_path / "docs.jsonl").stderr
    assert raw_bytes < 40_000
    assert said.count(size(raw_bytes)) == 2
    assert " 0.0 " not in said
