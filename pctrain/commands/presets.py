"""``pctrain presets``: the presets and their sizes."""

from __future__ import annotations

import json
from textwrap import wrap
from typing import Any, Final

import click

from pcdata.shared_options import JSON
from pcdata.terminal import answer
from pctrain.completion import complete_preset
from pctrain.config import preset_text, resolve
from pctrain.config import presets as known

_VIEW_IDS: Final = 16_384
"""Ids of the view that is assumed for a preset's size: what the compressor bpe makes by default."""


@click.command()
@click.argument("name", required=False, shell_complete=complete_preset)
@JSON
def presets(name: str | None, as_json: bool) -> None:
    """List the presets with their sizes, or print one as TOML."""
    if name is not None and not as_json:
        answer(preset_text(name).rstrip("\n"))
        return
    found = sorted((_preset(each) for each in ([name] if name else known())), key=_family_and_size)
    answer(json.dumps(found, indent=1) if as_json else _table(found))


def _preset(name: str) -> dict[str, Any]:
    from pcdata.dataset.json_files import parse_toml
    from pcdata.dataset.vocab import RAW_IDS
    from pctrain.model.size import planned_size

    text = preset_text(name)
    config = resolve(name, None, [])
    n_ids = RAW_IDS + (0 if config.mixture.mode == "raw" else _VIEW_IDS)
    return {
        "name": name,
        "summary": text.partition("\n")[0].removeprefix("# "),
        "ids": n_ids,
        **planned_size(config, n_ids)._asdict(),
        "settings": parse_toml(text.encode()),
    }


def _family_and_size(preset: dict[str, Any]) -> tuple[bool, bool, int]:
    """General presets, then those of the paper, then byte models of the codec neural; each by size."""
    name: str = preset["name"]
    return name.startswith("neural"), name.startswith("published"), preset["parameters"]


def _table(presets: list[dict[str, Any]]) -> str:
    """At most 80 columns wide."""
    lines = [f"{'':<15}{'millions of parameters':>24}", f"{'preset':<15}{'all':>10}{'no embeddings':>15}   for"]
    for each in presets:
        sizes = f"{each['parameters'] / 1e6:>10,.1f}{each['without_embeddings'] / 1e6:>15,.1f}"
        first, *more = wrap(each["summary"], width=36)
        lines += [f"{each['name']:<15}{sizes}   {first}", *(f"{'':<43}{line}" for line in more)]
    most, least = (f"{limit(each['ids'] for each in presets):,}" for limit in (max, min))
    lines.append(f"with {most} ids: raw bytes and a view of {_VIEW_IDS:,}, as bpe has by default;")
    lines.append(f"those of the codec neural read raw bytes alone, {least} ids")
    return "\n".join(lines)
