"""Parses ``--compressor``: ``codec:option=value,…``, with ``name``, ``ids`` and ``artifact`` for all."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdata.codecs.base import Codec, codec_class, parse_recorded
from pcdata.codecs.fitted import read_record
from pcdata.dataset.manifest import Amount
from pcdata.dataset.names import is_view_name
from pcdata.dataset.vocab import MAX_VIEWS
from pcdata.errors import OptionError


@dataclass(frozen=True)
class ViewRequest:
    """One ``--compressor``, parsed."""

    name: str
    """Name of the view, and of its folder."""
    codec: str
    parameters: Any
    """An instance of the codec's ``Parameters``."""
    ids: str
    """``own`` or ``raw``."""
    artifact: Path | None = None
    """To be used instead of fitting."""
    fitted_on: Amount | None = None
    """What a given artifact was fitted on, if known."""

    @property
    def parameter_values(self) -> dict[str, Any]:
        return dataclasses.asdict(self.parameters)

    def __str__(self) -> str:
        """As written after ``--compressor``."""
        return request_text(self.codec, self.name, self.ids, self.parameter_values, self.artifact)


def parse_request(text: str) -> ViewRequest:
    """Parse ``codec:option=value,…``. Every codec also takes ``name``, ``ids`` and ``artifact``.

    Raises ``OptionError`` for an unknown codec, option or value, with what is allowed.
    """
    where = f"--compressor {text}"
    codec, _, rest = text.partition(":")
    if "," in codec:
        raise OptionError(f"{where} names several compressors; repeat --compressor, once for each")
    cls = codec_class(codec)
    given: dict[str, str] = {}
    for part in rest.split(",") if rest else []:
        key, equals, value = part.partition("=")
        if not equals or key in given:
            raise OptionError(f"{where}: {part!r} is not a single option=value")
        given[key] = value
    name = given.pop("name", codec)
    ids = given.pop("ids", "own")
    artifact = given.pop("artifact", None)
    if not is_view_name(name):
        raise OptionError(f"{where}: {name!r} cannot name a view; use a-z, 0-9, '_', '-', '.', and not 'raw'")
    if ids not in ("own", "raw"):
        raise OptionError(f"{where}: ids must be own or raw, got {ids!r}")
    parameters = parse_parameters(cls, given, where)
    path = fitted_on = None
    if artifact is not None:
        path = Path(artifact)
        parameters, fitted_on = _with_artifact(cls, codec, parameters, given, path, where)
    if ids == "raw" and not cls.symbols_are_bytes(parameters):
        raise OptionError(f"{where}: the symbols of {codec} are not bytes and cannot share their ids; use own")
    return ViewRequest(name, codec, parameters, ids, path, fitted_on)


def request_text(codec: str, name: str, ids: str, parameters: Mapping[str, Any], artifact: object = None) -> str:
    """The text for ``--compressor``: the inverse of ``parse_request``, without defaults."""
    defaults = {"name": codec, "ids": "own", "artifact": None}
    with suppress(OptionError):  # the codec may not be installed here
        defaults |= dataclasses.asdict(codec_class(codec).Parameters())
    values = {**parameters, "name": name, "ids": ids, "artifact": artifact}
    said = [f"{key}={_said(value)}" for key, value in values.items() if key not in defaults or defaults[key] != value]
    return f"{codec}:{','.join(said)}" if said else codec


def _said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_requests(texts: Sequence[str]) -> list[ViewRequest]:
    """Parse all ``--compressor`` options of a command; too many views, or two with the same name, are an error."""
    requests = [parse_request(text) for text in texts]
    if len(requests) > MAX_VIEWS:
        raise OptionError(f"a dataset holds at most {MAX_VIEWS} views, got {len(requests)}")
    names = [request.name for request in requests]
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"two views are named {name!r}; give one another name: --compressor …:name=other")
    return requests


def parse_parameters(cls: type[Codec], given: Mapping[str, str], where: str) -> Any:
    hints = typing.get_type_hints(cls.Parameters)
    values: dict[str, Any] = {}
    for key, text in given.items():
        if key not in hints:
            known = ", ".join([*hints, "name", "ids", "artifact"])
            raise OptionError(f"{where}: unknown option {key!r}; known: {known}")
        values[key] = _parse_value(hints[key], text, f"{where}: {key}")
    try:
        return cls.Parameters(**values)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from None


def _with_artifact(
    cls: type[Codec], codec: str, parameters: Any, given: Mapping[str, str], path: Path, where: str
) -> tuple[Any, Amount | None]:
    """The parameters, with those of the artifact in place of defaults, and what it was fitted on.

    A user may give parameters that differ from those of the fit, but not from those that the artifact fixes.
    """
    record = read_record(path)
    if record is not None and record.codec not in (codec, cls.artifacts_of):
        raise OptionError(f"{where}: {path} was fitted for {record.codec}; name an artifact of {codec}")
    settled = dict(cls.parameters_in(cls.read_artifact(path)))
    if record is not None and record.codec == codec:
        _check_recorded(codec, record.parameters, f"{where}: {path}")
        settled = {key: record.parameters[key] for key in settled}
        kept = {key: value for key, value in record.parameters.items() if key not in given}
        parameters = dataclasses.replace(parameters, **kept)
    for key, value in settled.items():
        if key in given and getattr(parameters, key) != value:
            raise OptionError(f"{where}: {key} is {given[key]}, but {path} was made with {value}; leave {key} out")
    return dataclasses.replace(parameters, **settled), None if record is None else record.fitted_on


def _check_recorded(codec: str, parameters: Mapping[str, Any], where: str) -> None:
    """Raises ``OptionError`` unless the recorded parameters are exactly those that the codec has now."""
    try:
        same = dataclasses.asdict(parse_recorded(codec, parameters)).keys() == parameters.keys()
    except OptionError as error:
        raise OptionError(f"{where} has other options than this {codec} ({error}); fit again") from None
    if not same:
        raise OptionError(f"{where} has other options than this {codec}; fit again")


def _parse_value(kind: type, text: str, where: str) -> Any:
    if kind is bool:
        if text not in ("true", "false"):
            raise OptionError(f"{where} must be true or false, got {text!r}")
        return text == "true"
    if kind is int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise OptionError(f"{where} must be a whole number, got {text!r}")
        return int(text)
    return text
