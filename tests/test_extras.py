"""What a base install leaves out: it is in an extra, and one sentence says which where it is missing."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from pcdata.cli import main
from pcdata.codecs.base import decode_fault, make_codec
from pcdata.codecs.gzip import GzipParameters
from pcdata.errors import OptionError
from pcdata.extras import EXTRAS, require
from tests.building.corpora import write_code
from tests.codecs.examples import codec

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(extra: str | None = None) -> set[str]:
    """The modules that an install brings, by their names in ``import``."""
    given = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return {one.partition(">")[0].partition("[")[0].replace("-", "_") for one in given}


def test_each_is_in_its_extra_and_no_other_and_not_in_the_base() -> None:
    extras = set(EXTRAS.values())
    for module, extra in EXTRAS.items():
        assert {one for one in (None, *extras) if module in requirements(one)} == {extra}
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert set(everything.partition("[")[2].rstrip("]").split(",")) == extras


@pytest.mark.parametrize("module", EXTRAS)
def test_what_is_there_is_not_missed(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcdata.extras.find_spec", lambda name: name)
    require(module, "this")


@pytest.mark.parametrize(
    ("module", "who", "command"),
    [
        ("rapidfuzz", "pcdata probe", "probe code -c gzip"),
        ("matplotlib", "--plot", "probe code -c gzip --plot x.png"),
        ("zlib_ng", "gzip:backend=zlib-ng", "build code -o out -c gzip:backend=zlib-ng"),
    ],
)
def test_where_one_is_missing_a_sentence_says_what_to_install(
    module: str, who: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    write_code(Path("code"), files=12)
    done = CliRunner().invoke(main, [*command.split(), "--workers", "1", "--quiet"])
    sentence = f'error: {who} needs {module}; pip install "proxy-compression[{EXTRAS[module]}]"\n'
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", sentence)


def test_what_zlib_ng_wrote_is_decoded_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = b"some text, some text" * 50
    columns = codec("gzip:backend=zlib-ng").encode([raw])
    monkeypatch.setitem(sys.modules, "zlib_ng", None)
    view = make_codec("gzip", GzipParameters(backend="zlib-ng"), {}, {"deflate": "zlib-ng"})
    assert decode_fault(view, columns, 0, raw, 0) is None
    with pytest.raises(OptionError, match="zlib-ng"):
        view.encode([raw])
