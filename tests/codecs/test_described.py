"""``pcdata codecs``: what it says is what the codecs are, and what docs/build.md says."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pcdata.cli import main
from pcdata.codecs.base import codec_class, codec_names
from pcdata.codecs.described import described
from pcdata.field_docs import first_sentence
from tests.dataset.plugged import plug_in

PLUGIN = '''
from dataclasses import dataclass
from pcdata.codecs.bits import BitCodec

@dataclass(frozen=True)
class Parameters:
    depth: int = 7
    """How deep it goes. Not shown."""
    plain: bool = True

class Deadly(BitCodec):
    """Digs into each byte. Not shown."""
    Parameters = Parameters
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Installs a codec ``deadly`` with this source, for one test."""
    codec_class.cache_clear()
    yield lambda source: plug_in(tmp_path, source, monkeypatch)
    codec_class.cache_clear()
    sys.modules.pop("deadly", None)


def codecs(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["codecs", *arguments])


@pytest.mark.parametrize("name", codec_names())
def test_every_codec_and_every_option_says_what_it_is(name: str) -> None:
    found = described(name)
    parameters = codec_class(name).Parameters()
    assert found.summary.endswith(".")
    assert {option.name: option.default for option in found.options} == dataclasses.asdict(parameters)
    for text in (found.summary, *(option.meaning for option in found.options)):
        assert 8 <= len(text) <= 120, text
        assert "`" not in text
    shown = codecs(name).stdout
    assert f"{name} (fitted)" in shown or not found.fitted
    assert all(f"{option.name}=" in shown for option in found.options)


def test_the_documentation_has_every_option() -> None:
    page = (Path(__file__).parents[2] / "docs" / "build.md").read_text(encoding="utf-8")
    rows = [line.partition(" | ")[::2] for line in page.splitlines() if re.match(r"\| `[a-z]", line)]
    for name in codec_names():
        (options,) = [rest.partition(" | ")[0] for names, rest in rows if f"`{name}`" in names]
        told = re.findall(r"`([a-z_]+)[`=]", options)
        known = {option.name for option in described(name).options}
        assert known <= {*told} <= known | {"artifact"}, name


def test_codecs_of_other_packages_are_listed(plugin: Callable[[str], None]) -> None:
    plugin(PLUGIN)
    shown = codecs().stdout
    assert "deadly\n  Digs into each byte.\n  depth=7      How deep it goes.\n  plain=true\n" in shown
    (found,) = json.loads(codecs("deadly", "--json").stdout)
    assert found == {
        "name": "deadly",
        "summary": "Digs into each byte.",
        "fitted": False,
        "options": [
            {"name": "depth", "type": "int", "default": 7, "meaning": "How deep it goes."},
            {"name": "plain", "type": "bool", "default": True, "meaning": ""},
        ],
    }


def test_one_that_cannot_be_loaded_says_why_and_hides_no_other(plugin: Callable[[str], None]) -> None:
    plugin("Deadly = 1")
    why = "compressor 'deadly' is registered as deadly:Deadly, which is not a subclass of Codec"
    assert f"deadly\n  {why}\n" in codecs().stdout
    assert {one["name"]: one.get("fault") for one in json.loads(codecs("--json").stdout)} == {
        name: why if name == "deadly" else None for name in codec_names()
    }
    alone = codecs("deadly")
    assert (alone.exit_code, alone.stdout, alone.stderr) == (1, "", f"error: {why}\n")


def test_the_first_sentence_of_a_docstring() -> None:
    assert first_sentence("One, 1.5 of\n    ``two``. And more.") == "One, 1.5 of two."
    assert first_sentence("") == ""
