"""Shell completion, asked of a real bash and zsh: what stays on the line and what is offered make a whole word."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.building.progress import Reporter
from pcdata.codecs.bpe import BpeCodec
from pcdata.shell import without_head
from pctrain.config import MODES, presets
from tests.building.corpora import options, write_code

bash = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")

zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh")

ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    "PYTHONPATH": str(Path(__file__).parents[1]),  # this checkout, whichever is installed
    "LANG": "C.UTF-8",
}
DEFAULT_BREAKS = " \t\n\"'><=;|&(:"

_ASK = r"""
compopt() { :; }
eval "$(_PCDATA_COMPLETE=bash_source pcdata; _PCTRAIN_COMPLETE=bash_source pctrain)"
COMP_WORDBREAKS=$2 COMP_LINE=$1 COMP_POINT=${#1}
"_${1%% *}_completion" "${1%% *}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``my shards``, a dataset of the views gzip and small."""
    from pcdata.building.build import build

    folder = tmp_path_factory.mktemp("completion")
    write_code(folder / "code")
    build(options(folder / "code", folder / "my shards", "gzip", "bpe:vocab_size=300,name=small"), Reporter())
    return folder


def offered(place: Path, line: str, breaks: str = DEFAULT_BREAKS) -> list[str]:
    done = subprocess.run(
        ["bash", "--norc", "-c", _ASK, "ask", line, breaks],
        cwd=place,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return done.stdout.splitlines()


OFFERS = [
    ("pcdata dr", ["drop-view"]),
    ("pcdata build code -c tok", ["token-bytes"]),
    ("pcdata build code -c zstd:un", ["unit="]),
    ("pcdata build code --compressor=zstd:un", ["unit="]),
    ("pcdata build code -c zstd:unit=block,ids=", ["own", "raw"]),
    ("pcdata fit bpe:artifact=co", ["code"]),
    ("pcdata build code -c nothing:", [""]),
    ("pcdata build --lang common", ["Common\\ Lisp", "Common\\ Workflow\\ Language"]),
    ("pcdata codecs bpe zs", ["zstd"]),
    ("pcdata build --engine r", ["ray"]),
    ("pcdata build --val-by ", ["document", "source", "path-prefix"]),
    ("pcdata probe --dedup ", ["exact", "off"]),
    ("pcdata show my\\ shards --view ", ["gzip", "small"]),
    ("pcdata show 'my shards' --view gzip --view s", ["small"]),
    ("pcdata show nowhere --view ", [""]),
    ("pcdata drop-view my\\ shards ", ["gzip", "small"]),
    ("pcdata export-docs my\\ shards --split t", ["train"]),
    ("pctrain fit my\\ shards --view=g", ["gzip"]),
    ("pctrain fit my\\ shards --weight ", ["my\\ shards="]),
    ("pctrain fit code --mode ", list(MODES)),
    ("pctrain fit code --set runtime.comp", ["runtime.compile="]),
    ("pctrain fit code --set runtime.compile=", ["true", "false"]),
    ("pctrain fit code --set mixture.decay_mode=sp", ["splice"]),
    ("pctrain fit code --set log.", ["log.every="]),
    ("pctrain fit code --where p", ["path="]),
    ("pctrain fit code --preset ", presets()),
    ("pctrain presets sm", ["small"]),
    ("pctrain settings o", ["optim"]),
    ("pctrain eval run --checkpoint b", ["best"]),
]


@bash
@pytest.mark.parametrize(("line", "values"), OFFERS)
def test_bash_is_offered(place: Path, line: str, values: list[str]) -> None:
    assert offered(place, line) == values


@bash
def test_options_of_a_codec_that_are_given_are_not_offered_again(place: Path) -> None:
    hints = [*BpeCodec.Parameters.__dataclass_fields__, "name", "ids", "artifact"]
    assert offered(place, "pcdata build -c bpe:") == [f"{name}=" for name in hints]
    assert offered(place, "pcdata build -c bpe:ids=own,") == [f"own,{name}=" for name in hints if name != "ids"]


@bash
@pytest.mark.parametrize(("breaks", "value"), [(" ", "zstd:ids=own"), (" :", "ids=own"), (" =", "own"), (" :=", "own")])
def test_whatever_bash_breaks_words_at(place: Path, breaks: str, value: str) -> None:
    assert offered(place, "pcdata build -c zstd:ids=o", breaks) == [value]


_ASK_ZSH = r"""
compdef() { :; }
compadd() { print -r -- "${${@[(r)-S]}:+open }${(P)@[-1]}"; }
eval "$(_PCDATA_COMPLETE=zsh_source pcdata)"
words=(pcdata build -c $1) CURRENT=4
_pcdata_completion
"""


@zsh
@pytest.mark.parametrize(
    ("begun", "offers"),
    [("zstd:un", ["open zstd:unit=", ""]), ("zstd:unit=block,ids=o", ["open ", "zstd:unit=block,ids=own"])],
)
def test_zsh_leaves_a_word_open_whose_value_is_to_come(begun: str, offers: list[str]) -> None:
    asked = ["zsh", "-f", "-c", _ASK_ZSH, "ask", begun]
    done = subprocess.run(asked, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert not done.stderr
    assert done.stdout.splitlines() == offers


@given(st.text(":=ab", max_size=6), st.text(":=ab", max_size=6))
def test_what_stays_and_what_is_offered_make_the_value(stays: str, rest: str) -> None:
    assert without_head(stays + rest, stays) == rest
