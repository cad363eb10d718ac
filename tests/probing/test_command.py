"""``pcdata probe`` as a person types it: tables, JSON, the figure, and one sentence for a mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pcdata.cli import main
from pcdata.plotting import COLOURS, colours_for, save_figure
from tests.building.corpora import write_code

COMPRESSORS = ("-c", "gzip", "-c", "bpe:vocab_size=300", "-c", "ngram:contexts=50")


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code") / "with a space"
    write_code(folder)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["probe", *map(str, arguments), "-j1"])


def test_tables_say_what_was_probed_and_fit_a_terminal(code: Path) -> None:
    done = run(code, *COMPRESSORS, "--document-bytes", "500:", "--documents", "4")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("probed 4 of ")
    assert "documents of val that have at least 500 bytes" in done.stdout
    assert "fitting bpe on" in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    order = [line.split()[0] for line in done.stdout.partition("raw bytes")[2].splitlines()[1:4]]
    assert sorted(order) == ["bpe", "gzip", "ngram"]


def test_json_has_all_of_it_and_nothing_else_is_on_stdout(code: Path) -> None:
    done = run(code, *COMPRESSORS, "--json", "--document-bytes", "500:", "--val-fraction", "0.3", "--seed", "4")
    values = json.loads(done.stdout)
    assert (values["seed"], set(values["compressors"])) == (4, {"gzip", "bpe", "ngram"})
    assert set(values["raw_distances"]) == {"delete 10 %", "delete 1 %", "insert a line", "rename", "re-indent"}
    assert len(values["compressors"]["bpe"]["locality"]["symbols"]) == values["documents"]


def test_the_figure_is_written(code: Path, tmp_path: Path) -> None:
    figure = tmp_path / "my figure.svg"
    done = run(code, *COMPRESSORS, "--plot", figure, "--document-bytes", "500:")
    assert done.exit_code == 0, done.output
    drawn = figure.read_text()
    for text in ("raw bytes per symbol", "delete 10 %", "bpe", "gzip", "ngram"):
        assert f"<!-- {text} -->" in drawn
    assert [path.name for path in tmp_path.iterdir()] == [figure.name]


def test_a_figure_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fails(figure: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        save_figure(tmp_path / "a.png", (2, 2), fails)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [1, 7, 8, 29])
def test_no_two_compressors_share_a_colour(count: int) -> None:
    colours = colours_for([f"bpe{number}" for number in range(count)])
    assert len({*colours.values()}) == len(colours) == count
    assert count > 7 or tuple(colours.values()) == COLOURS[:count]


MISTAKES = [
    (("code",), "no compressor given"),
    (("code", "-c", "lzma"), "unknown compressor 'lzma'; known: bit, bpe,"),
    (("empty", "-c", "gzip"), "no files there"),
    (("tiny", "-c", "gzip"), "the only document was not drawn with --val-fraction 0.2; raise it, or add documents\n"),
    (("code", "-c", "gzip", "--document-bytes", "999999:"), "has at least 999,999 bytes: those there have"),
    (("code", "-c", "gzip", "--val-fraction", "0"), "--val-fraction 0 leaves no documents to probe"),
    (("code", "-c", "gzip", "--plot", "x.gif"), "--plot x.gif must end in .png, .pdf, .svg"),
    (("code", "-c", "gzip", "--plot", "no/x.png"), "there is no folder no"),
    (("code", "-c", "gzip", "--plot", "folder.png"), "--plot folder.png is a folder"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_a_mistake_gets_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_code(Path("code"), files=12)
    Path("empty").mkdir()
    Path("folder.png").mkdir()
    Path("tiny").mkdir()
    Path("tiny/a.py").write_text("x = 1\n")
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_a_probe_that_is_stopped_leaves_nothing(code: Path, tmp_path: Path) -> None:
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # what a shell starts in the background ignores it
        "from pcdata.probing import probe\n"
        "probe.open_views = lambda state: signal.raise_signal(signal.SIGINT)\n"
        "from pcdata.cli import main\n"
        "main(sys.argv[1:])"
    )
    arguments = ["probe", str(code), "-c", "gzip", "--document-bytes", "1:", "-j1"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "stopped\n")
    assert not list(tmp_path.iterdir())


def test_output_to_a_closed_pipe_is_no_traceback(code: Path) -> None:
    command = f"{sys.executable} -m pcdata.cli probe '{code}' -c gzip -j1 | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("probed ")
    assert "Traceback" not in done.stderr
