"""The ``neural`` codec: 16-bit windows of equal information under a small neural byte model.

As in *Training LLMs over Neurally Compressed Text* (Lester et al. 2024) and *Proxy Compression for Language Modeling*
(Zheng et al. 2026); segments and windows are those of ``pcdata.codecs.window_codec``. The model is fitted beforehand
with ``pctrain neural fit``, and its counts are the same on every machine (``exact``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pcdata.codecs.base import Artifact, require_range
from pcdata.codecs.segments import LONGEST_SEGMENT_BYTES
from pcdata.codecs.window_codec import WindowCodec, WindowOptions
from pcdata.errors import OptionError
from pctrain.neural.artifact import LEAST_SEGMENT_BYTES, threshold_of, unpack


@dataclass(frozen=True)
class NeuralParameters:
    """Preset ``neural-1m`` (1.1 M parameters) after 1,400 steps, in which it read 5.7 MB of the Python 3.11 standard
    library in documents cut at 2 kB; ``ngram`` was fitted on 16 MB of the same. Each batch came from a few documents
    (rows were not shuffled yet), so a model fitted now may predict better. On 96 kB of the val split:

    ====================== ======= ======= ======== ================================ =====
    codec                  segment mean    bytes    bits per byte: context from      first
                                   segment a symbol document, segment; windows
    ====================== ======= ======= ======== ================================ =====
    neural                 8       8.9     5.02     1.80, 2.33; 3.18                 57 %
    ngram                  8       8.0     4.99     1.90, 2.30; 3.20                 63 %
    ngram, 65,536 contexts 8       8.1     5.22     1.74, 2.17; 3.07                 65 %
    neural                 16      18.9    6.42     1.80, 2.04; 2.49                 34 %
    ngram                  16      16.6    6.14     1.90, 2.09; 2.61                 37 %
    ====================== ======= ======= ======== ================================ =====

    *First*: share of windows that begin a segment. The model, after reading a third as much, predicts a document better
    than ``ngram`` with default options, but short segments no better; ``ngram`` with four times the contexts is better
    at both. On 102 kB of whole files at segment 8: 7,734 distinct symbols, 19 % of units collide; ``ngram``: 5,315,
    21 %.

    Per second of processor time, encoding takes 8.3, 3.2 and 0.7 kB with 1, 5 and 40 M parameters where the processor
    multiplies int8 fast (AVX-512 with VNNI), and 4.6, 1.2 and 0.2 kB with AVX2 alone (``tools/bench_neural.py``); the
    model's passes take 95 % of it or more. Decoding cannot batch, and takes 0.3 kB per second.

    The mean segment length holds for the train split's documents; another sample's may differ by a tenth. After all
    1,500 steps of the preset (15 minutes on two cores), segments of 8 and 16 had 8.3 and 17.0 bytes on 250 kB of train
    and 9.4 and 17.6 on 250 kB of val, 45 files.
    """

    segment: int = 8
    """Mean bytes of a segment, on the fitting sample. The artifact has the thresholds of all lengths."""
    window_bits: int = 16
    """Bits of a window: 16, 24 or 32."""
    symbol_bits: int = 0
    """Bits of a symbol, a divisor of ``window_bits``; 0 for the largest, at most 16."""
    reset: str = "segment"
    """Where the model's context is reset: at each ``segment``, or each ``window`` (units are then independent)."""
    literals: bool = False
    """Whether a window of one byte is written as that byte. See ``window_codec``. 16-bit symbols then take four bytes
    each in the files."""

    def __post_init__(self) -> None:
        require_range("segment", self.segment, LEAST_SEGMENT_BYTES, LONGEST_SEGMENT_BYTES)
        self.windows  # noqa: B018  (raises)

    @property
    def windows(self) -> WindowOptions:
        return WindowOptions.of(self.window_bits, self.symbol_bits, self.reset, self.literals)


class NeuralCodec(WindowCodec):
    """Windows as in ``ngram``, under a small byte model trained by ``pctrain neural fit``."""

    Parameters: ClassVar[type[Any]] = NeuralParameters

    def __init__(self, parameters: NeuralParameters, artifact: Artifact, backends: Mapping[str, str]) -> None:
        model, numbers = unpack(artifact)
        super().__init__(model, threshold_of(numbers, parameters.segment), parameters.windows)

    @classmethod
    def fit(cls, parameters: NeuralParameters, sample: Sequence[bytes]) -> Artifact:
        """Always raises: training needs a dataset and settings, which a build cannot provide."""
        raise unfitted("neural")


def unfitted(codec: str) -> OptionError:
    """What a user is told who gives no artifact."""
    return OptionError(
        f"{codec} is fitted before it is used: pctrain neural fit shards/ -o coder/, on a dataset of raw bytes, then "
        f"--compressor {codec}:artifact=coder/"
    )
