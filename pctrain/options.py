"""Options of the command line → settings: what ``--view``, ``--lang``, ``--mode`` and others stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pctrain.config import RunConfig, joined, resolve
from pctrain.errors import ConfigError
from pctrain.settings import Layer, nested

DEFAULT_PRESET = "tiny"


def settings_of_run(
    run: Path | None, preset: str | None, file: Path | None, given: Sequence[Layer], default: str = DEFAULT_PRESET
) -> RunConfig:
    """The run's own settings if it is resumed without a preset or file, else the preset's; ``given`` override them."""
    from pctrain.training.checkpoint import checkpoints
    from pctrain.training.run_folder import read_settings

    if run is None or preset is not None or file is not None or not checkpoints(run):
        return resolve(preset or default, file, given)
    now, begun = joined(given), read_settings(run).config.to_dict()
    for section, table in now.items():
        for name in table if isinstance(table, Mapping) else ():
            # A table, too, replaces the run's: if they were merged, nothing could ever be removed.
            begun.get(section, {}).pop(name, None)
    return resolve(None, None, [begun, now])


def weighted_by(option: str, given: Sequence[str]) -> list[Layer]:
    """``--view`` and ``--weight`` as a setting: ``NAME=NUMBER``; the number is optional for views."""
    numbers: dict[str, float] = {}
    for word in given:
        name, equals, number = word.partition("=")
        if name in numbers:
            raise ConfigError(f"--{option} {name} is given twice")
        try:
            numbers[name] = float(number) if equals or option != "view" else 1.0
        except ValueError:
            raise ConfigError(f"--{option} {word}: the weight must be a number, got {number!r}") from None
    return [nested(f"data.{option}s", numbers)] if numbers else []


def filter_by(langs: Sequence[str], given: Sequence[str]) -> list[Layer]:
    """``--lang`` and ``--where`` as a setting."""
    globs: dict[str, list[str]] = {}
    for word in [*(f"lang={lang}" for lang in langs), *given]:
        column, equals, glob = word.partition("=")
        if not equals:
            raise ConfigError(f"--where {word}: expected column=glob, such as path=*.py")
        globs.setdefault(column, []).append(glob)
    return [nested("data.where", globs)] if globs else []


def one_mode(mode: str | None) -> list[Layer]:
    """``--mode`` as settings: one phase only."""
    if mode is None:
        return []
    lengths = ("warmup_fraction", "warmup_steps", "decay_fraction", "decay_steps")
    return [{"mixture": {"mode": mode, **dict.fromkeys(lengths, 0)}}]
