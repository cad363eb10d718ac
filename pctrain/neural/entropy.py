"""The ``neural-entropy`` codec: ``pcdata.codecs.entropy`` under the byte model of ``neural``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pcdata.codecs.base import Artifact, require_range
from pcdata.codecs.entropy import EntropyCodec
from pcdata.codecs.segments import LONGEST_SEGMENT_BYTES
from pctrain.neural.artifact import LEAST_SEGMENT_BYTES, threshold_of, unpack
from pctrain.neural.codec import unfitted


@dataclass(frozen=True)
class NeuralEntropyParameters:
    """The artifact is that of ``neural``, and serves both."""

    segment: int = 4
    """Mean bytes of a unit, on the fitting sample. The artifact has the thresholds of all lengths."""

    def __post_init__(self) -> None:
        require_range("segment", self.segment, LEAST_SEGMENT_BYTES, LONGEST_SEGMENT_BYTES)


class NeuralEntropyCodec(EntropyCodec):
    """Each byte with its entropy as in ``entropy``, under a small byte model trained by ``pctrain neural fit``."""

    Parameters: ClassVar[type[Any]] = NeuralEntropyParameters
    artifacts_of = "neural"

    def __init__(self, parameters: NeuralEntropyParameters, artifact: Artifact, backends: Mapping[str, str]) -> None:
        model, numbers = unpack(artifact)
        super().__init__(model, threshold_of(numbers, parameters.segment))

    @classmethod
    def fit(cls, parameters: NeuralEntropyParameters, sample: Sequence[bytes]) -> Artifact:
        """Always raises, as that of ``neural``."""
        raise unfitted("neural-entropy")
