"""``--config``: the options of a build in a TOML file; and printing those that a dataset was built with as such a file.

A file uses the names of the command line or of the manifest: ``max_line_bytes = 2000`` is ``--max-line-bytes 2000``,
and ``langs`` is ``lang``. Repeatable options are lists. Paths are relative to the working folder, as on the command
line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pcdata.building.options import BuildOptions, DatasetOptions
from pcdata.dataset.json_files import read_config_file
from pcdata.dataset.manifest import MANIFEST, load_manifest
from pcdata.dataset.names import inside
from pcdata.errors import DatasetError, OptionError
from pcdata.options import flag_of, options_in


def read_config(file: Path) -> dict[str, Any]:
    """The options in a TOML file, by the names of the command's parameters.

    Raises ``OptionError`` for an unknown key or a value of the wrong type.
    """
    given = read_config_file(file, OptionError)
    known, spelled = _usual(), _spelled()
    options: dict[str, Any] = {}
    for key, value in given.items():
        name = spelled.get(key, key)
        if name not in known:
            raise OptionError(f"--config {file}: unknown option {key}; known: {', '.join(known)}")
        fault = _fault(known[name], value)
        if fault is not None:
            raise OptionError(f"--config {file}: {key} must be {fault}, got {value!r}")
        if name in options:
            raise OptionError(f"--config {file}: {key} is given twice, once under another name; leave one out")
        options[name] = not value if key.startswith("no_") else value
    return options


def render_config(folder: Path) -> str:
    """The options that a dataset was built with, as TOML: with it, a build from the same inputs makes the same files.

    What a manifest does not know (the paths of inputs and of lists of paths) becomes a comment. An artifact that the
    user supplied is named by its path in the dataset, without the record of what it was fitted on. The dataset may come
    from a stranger, so only valid options are printed. Raises ``DatasetError``.
    """
    return rendered(load_manifest(folder).options, folder)


def rendered(options: Mapping[str, Any], folder: Path) -> str:
    """The same for options that were read."""
    try:
        names = ", ".join(map(_comment, options["inputs"]))
        lines = [f"# inputs, to be named on the command line: {names}"]
        if "merged" in options:
            lines.append(f"# merged from {len(options['merged'])} datasets; the options are those of the first")
        if options.get("val_list"):
            lines.append(f"# val_list = …, a file with the SHA-256 {_comment(options['val_list'])}")
        lines += [f"{key} = {_toml(_fitting(key, usual, options[key]))}" for key, usual in _shaping(options).items()]
        requests = [_request(values, folder) for values in options["compressors"]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{folder / MANIFEST}: its options are no build's ({error!r}); run pcdata verify") from None
    return "\n".join([*lines, "compressors = [", *(f"    {_toml(text)}," for text in requests), "]"])


def _usual() -> dict[str, Any]:
    """The keys that a file may have, with their defaults: all options except the output."""
    options = {one.name: one.default for _, one, _ in options_in(BuildOptions)}
    return {"inputs": (), **options, "compressors": ()}


def _spelled() -> dict[str, str]:
    """Keys whose names on the command line differ, by that name."""
    flags = {flag_of(one)[2:].replace("-", "_"): one.name for _, one, _ in options_in(BuildOptions)}
    return {**flags, "compressor": "compressors"}


def _shaping(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that shape a dataset and can be printed unchanged, with their defaults; no files."""
    left_out = ("strict", "val_list")
    of_dataset = {one.name: one.default for _, one, _ in options_in(DatasetOptions)}
    return {key: of_dataset[key] for key in options if key in of_dataset and key not in left_out}


def _fitting(key: str, usual: Any, value: Any) -> Any:
    fault = _fault(usual, value)
    if fault is not None:
        raise ValueError(f"{key} must be {fault}")
    return value


def _fault(usual: Any, value: Any) -> str | None:
    """What a value must be, if its type is not that of the default."""
    match usual:
        case ():
            fits = isinstance(value, list) and all(isinstance(one, str) for one in value)
            return None if fits else "a list of texts"
        case bool():
            return None if isinstance(value, bool) else "true or false"
        case int() | float():
            fits = isinstance(value, int | type(usual)) and not isinstance(value, bool)
            return None if fits else "a whole number" if isinstance(usual, int) else "a number"
    return None if isinstance(value, str) else "text"


def _request(values: Mapping[str, Any], folder: Path) -> str:
    """The ``--compressor`` text for a view, with every parameter."""
    parameters = values["parameters"].items()
    given = {key: value if isinstance(value, str) else json.dumps(value) for key, value in parameters}
    given |= {key: values[key] for key, usual in (("name", values["codec"]), ("ids", "own")) if values[key] != usual}
    for value in (values["codec"], *given.values()):
        if not isinstance(value, str) or "," in value or ":" in values["codec"]:
            raise ValueError(f"a compressor has {value!r}")
    if values["artifact"] is not None:
        given["artifact"] = str(inside(folder, f"views/{values['name']}/artifact"))
    options = ",".join(f"{key}={value}" for key, value in given.items())
    return f"{values['codec']}:{options}" if options else str(values["codec"])


def _toml(value: Any) -> str:
    """A text, number, bool or list of texts as TOML: JSON, except for a character that TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return text if text.isprintable() else _toml(text)
