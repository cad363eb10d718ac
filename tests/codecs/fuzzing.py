"""One case of fuzzing a codec: everything that a stranger's dataset says of a view, and what is done with it.

Cases are done in a process with limits, which stays: hundreds a second. Only what a command reports to a person may
come out of it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from pcdata.codecs.base import Artifact, Codec, codec_class, columns_fault, make_codec, parse_recorded
from pcdata.codecs.requests import parse_request
from pcdata.dataset.columns import ViewColumns
from pcdata.errors import CodecError, DatasetError, OptionError
from pcdata.processes.isolated import Send
from pctrain.neural.artifact import Numbers, canary, pack
from pctrain.neural.model import NeuralModel
from tests.codecs.examples import fitted
from tests.neural.opened import SHAPES, made
from tests.strategies import library_files

RAWS = (library_files()[0][:700], b"", bytes(range(256)), "déjà vu\n".encode() * 9, b"x" * 300)


@dataclass(frozen=True, repr=False)
class Case:
    """What a dataset says."""

    codec: str
    parameters: dict[str, Any]
    artifact: Artifact
    backends: dict[str, str]
    columns: ViewColumns

    def __repr__(self) -> str:
        artifact = {name: data if len(data) < 400 else f"{len(data)} bytes" for name, data in self.artifact.items()}
        return f"Case({self.codec}, {self.parameters}, {self.backends}, {artifact})"


@cache
def sound(request: str) -> Case:
    """What it says where nobody has touched it."""
    parsed = parse_request(request)
    cls = codec_class(parsed.codec)
    artifact = _neural() if parsed.codec.startswith("neural") else fitted(request)
    backends = cls.choose_backends(parsed.parameters, artifact, [])
    codec = make_codec(parsed.codec, parsed.parameters, artifact, backends)
    return Case(parsed.codec, parsed.parameter_values, artifact, backends, codec.encode(RAWS))


def _neural() -> Artifact:
    """A byte model that has learnt nothing."""
    decoder, exact = made(SHAPES["grouped"])
    weights = {name: parameter.detach() for name, parameter in decoder.named_parameters()}
    return pack(SHAPES["grouped"], weights, Numbers((3 << 16,) * 63, canary(NeuralModel(exact))))


def make() -> Callable[[Case, Send], None]:
    return answer


def answer(case: Case, send: Send) -> None:
    """Send how far it went: 0 if the codec did not open, 1 if documents were refused, 2 if nothing was. Raises
    ``AssertionError`` with the traceback for what is no refusal."""
    try:
        send(_how_far(case))
    except (MemoryError, ConnectionError):
        raise
    except Exception:
        raise AssertionError(traceback.format_exc()) from None


def _how_far(case: Case) -> int:
    try:
        codec = make_codec(case.codec, parse_recorded(case.codec, case.parameters), case.artifact, case.backends)
    except REFUSALS:
        return 0
    decoded = [_decodes(codec, case.columns, row) for row in range(len(RAWS))]
    return 1 + all([*decoded, _checks(codec, case), _encodes(codec)])


REFUSALS = (CodecError, DatasetError, OptionError)


def _decodes(codec: Codec, columns: ViewColumns, row: int) -> bool:
    try:
        raw = codec.decode(columns.symbols_of(row), columns.unit_bytes_of(row), columns.unit_symbols_of(row))
    except REFUSALS:
        return False
    assert len(raw) == int(columns.unit_bytes_of(row).sum(dtype=np.int64)), "as many bytes as the units say"
    return True


def _checks(codec: Codec, case: Case) -> bool:
    """As verify does: ``faults`` is asked only where types and lengths are right."""
    columns = case.columns
    if columns_fault(codec.types, len(RAWS), columns):
        return False
    for row, raw in enumerate(RAWS):
        points = columns.alignment_of(row)
        ends = (points.raw_ends[-1], points.symbol_ends[-1]) if len(points.raw_ends) else (0, 0)
        if ends != (len(raw), len(columns.symbols_of(row))):
            return False
    return not [*codec.faults(RAWS, columns, range(len(RAWS)))]


def _encodes(codec: Codec) -> bool:
    try:
        columns = codec.encode(RAWS)
    except REFUSALS:
        return False
    fault = columns_fault(codec.types, len(RAWS), columns)
    assert fault is None, fault
    return True
