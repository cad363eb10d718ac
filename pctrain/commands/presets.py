"""``pctrain presets``: the presets and their sizes."""

from __future__ import annotations

import json
import tomllib
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
    found = [_preset(each) for each in ([name] if name else known())]
    answer(json.dumps(found, indent=1) if as_json else _table(found))


def _preset(name: str) -> dict[str, Any]:
    from pcdata.dataset.vocab import RAW_IDS
    from pctrain.model.size import planned_size

    text = preset_text(name)
    config = resolve(name, None, [])
    n_ids = RAW_IDS + (0 if config.mixture.mode == "raw" else _VIEW_IDS)
    return {
        "name": name,
        "summary": text.partition("\n")[0].removeprefix("# "),
        "ids": n_ids,
        **planned_size(config.model, n_ids)._asdict(),
        "settings": tomllib.loads(text),
    }


def _table(presets: list[dict[str, Any]]) -> str:
    millions = [(f"{each['parameters'] / 1e6:,.1f}", f"{each['beside_embeddings'] / 1e6:,.1f}") for each in presets]
    lines = [f"{'preset':<15}{'parameters':>12}{'beside the embeddings':>24}   for"]
    for each, (all_of_them, beside) in zip(presets, millions, strict=True):
        lines.append(f"{each['name']:<15}{all_of_them:>12}{beside:>24}   {each['summary']}")
    most, least = (f"{limit(each['ids'] for each in presets):,}" for limit in (max, min))
    lines.append(
        f"millions of parameters, with {most} ids: raw bytes and a view of {_VIEW_IDS:,}, as bpe has by default;"
    )
    lines.append(f"those of the codec neural read raw bytes alone, {least} ids")
    return "\n".join(lines)
