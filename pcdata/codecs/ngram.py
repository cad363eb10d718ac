"""The ``ngram`` codec: 16-bit windows of equal information under counts of bytes.

*Training LLMs over Neurally Compressed Text* (Lester et al. 2024) and *Proxy Compression for Language Modeling* (Zheng
et al. 2026) use a neural model; this codec uses one that is fitted in seconds (``ngram_model``). Segments and windows
are those of ``window_codec``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs import ngram_model
from pcdata.codecs.base import Artifact, beginning, require_range
from pcdata.codecs.byte_model import BIT
from pcdata.codecs.ngram_contexts import MOST_ORDER
from pcdata.codecs.segments import LONGEST_SEGMENT_BYTES, document_entropies, find_threshold, joined
from pcdata.codecs.window_codec import WindowCodec, WindowOptions
from pcdata.dataset.json_files import parse_json, rendered_json
from pcdata.dataset.typed_json import typed
from pcdata.errors import CodecError, DatasetError

CONTEXTS: Final = "contexts.uint32"
COUNTS: Final = "counts.uint32"
"""``Contexts.cells`` and ``Counts.seen_E2`` as little-endian numbers, without a header."""
SETTINGS: Final = "settings.json"
"""The parameters of the fit, and the resulting threshold."""

_THRESHOLD_BYTES: Final = 32_000_000
"""The most bytes of the sample. A few large, predictable documents would shift the mean, so it needs many."""


@dataclass(frozen=True)
class NgramParameters:
    """On the Python 3.11 standard library, fitted on 16 MB, measured on 0.77 MB held out (``pcdata stats --measure``
    and ``pcdata probe`` measure most of it on any corpus):

    ===== ======== ======= ====== ======= ======== ================================ ===== ======= ========= ======
    order contexts segment window reset   bytes    bits per byte: context from      first symbols colliding MB/s
                                          a symbol document, segment; windows             used    units     encode
    ===== ======== ======= ====== ======= ======== ================================ ===== ======= ========= ======
    3     16,384   8       16     segment 4.79     2.04, 2.42; 3.34                 61 %  23,422  47 %      15
    4     16,384   8       16     segment 4.92     1.97, 2.35; 3.25                 61 %  24,683  49 %      13
    4     65,536   8       16     segment 5.03     1.85, 2.27; 3.18                 65 %  23,392  51 %      13
    4     16,384   8       16     window  4.76     1.97, 2.35; 3.36                 59 %  11,812  33 %      6
    4     16,384   16      16     segment 6.00     1.97, 2.15; 2.66                 36 %  33,600  61 %      13
    4     16,384   16      24     segment 4.18     1.97, 2.15; 2.87                 50 %  4,096   4 %       9
    4     16,384   32      32     segment 6.27     1.97, 2.06; 2.55                 36 %  46,281  1 %       15
    ===== ======== ======= ====== ======= ======== ================================ ===== ======= ========= ======

    *First*: share of windows that begin a segment, and mean the same wherever they occur. *Colliding*: units whose
    symbols stand for other bytes elsewhere. Shorter segments have more of the first kind, longer ones more bytes per
    symbol; 8 is the default because a symbol must mean something to be learnt. Of a document's windows, 26 % hold a
    single byte at segment 8, 17 % at 16; with ``literals`` they say so, and 36 % of all units collide instead of 45 %.
    The coder alone runs at 30 MB/s, ``faults`` at 17, ``decode``, which must work byte by byte, at 0.5.
    """

    order: int = 4
    """The longest context, in bytes; 1 … 4."""
    contexts: int = 16_384
    """The most contexts that have counts; each takes 1 kB of memory while encoding."""
    segment: int = 8
    """Mean bytes of a segment, on the fitting sample."""
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
        require_range("order", self.order, 1, MOST_ORDER)
        require_range("contexts", self.contexts, 1, 65_536)
        require_range("segment", self.segment, 2, LONGEST_SEGMENT_BYTES)
        self.windows  # noqa: B018  (raises)

    @property
    def windows(self) -> WindowOptions:
        return WindowOptions.of(self.window_bits, self.symbol_bits, self.reset, self.literals)

    @property
    def fitted(self) -> dict[str, int]:
        """The parameters that shape the artifact; the others may differ between builds."""
        return {"order": self.order, "contexts": self.contexts, "segment": self.segment}


class NgramCodec(WindowCodec):
    """Windows of arithmetic coding under counts of bytes: as many bytes as fit into a fixed number of bits. See the
    module."""

    Parameters: ClassVar[type[Any]] = NgramParameters

    def __init__(self, parameters: NgramParameters, artifact: Artifact, backends: Mapping[str, str]) -> None:
        settings = _settings(artifact)
        if settings != {**parameters.fitted, "threshold": settings["threshold"]}:
            raise CodecError(f"ngram: asked for {parameters.fitted}, the artifact was fitted with {settings}")
        cells = _numbers(artifact, CONTEXTS)
        if len(cells) >= parameters.contexts:  # before making their table, which takes 257 times the file
            raise CodecError(f"ngram: {CONTEXTS} has {len(cells) + 1} contexts, the most are {parameters.contexts}")
        counts = ngram_model.parse(cells, _numbers(artifact, COUNTS))
        super().__init__(ngram_model.NgramModel(counts), settings["threshold"], parameters.windows)

    @classmethod
    def fit(cls, parameters: NgramParameters, sample: Sequence[bytes]) -> Artifact:
        """Count, then find the threshold at which segments of the sample have the wanted mean length."""
        counts = ngram_model.count(sample, parameters.order, parameters.contexts)
        text, starts = threshold_sample(sample)
        entropies = document_entropies(ngram_model.NgramModel(counts), text, starts)
        threshold = find_threshold(entropies, starts, parameters.segment)
        return {
            CONTEXTS: _bytes(counts.contexts.cells),
            COUNTS: _bytes(counts.seen_E2),
            SETTINGS: rendered_json({**parameters.fitted, "threshold": threshold}),
        }

    @classmethod
    def parameters_in(cls, artifact: Artifact) -> Mapping[str, Any]:
        return {name: value for name, value in _settings(artifact).items() if name != "threshold"}


def threshold_sample(sample: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """About ``_THRESHOLD_BYTES`` of the sample as one text, and where its documents begin."""
    text_N, _, starts_D = joined(list(beginning(sample, _THRESHOLD_BYTES)))
    return text_N, starts_D


def _settings(artifact: Artifact) -> dict[str, int]:
    if set(artifact) != {CONTEXTS, COUNTS, SETTINGS}:
        raise CodecError(f"ngram needs the artifact files {CONTEXTS}, {COUNTS} and {SETTINGS}, got {sorted(artifact)}")
    expected = sorted((*NgramParameters().fitted, "threshold"))
    wanted = f"ngram: {SETTINGS} must have whole numbers for {', '.join(expected)}"
    try:
        settings: dict[str, int] = typed(dict[str, int], parse_json(artifact[SETTINGS]))
    except (ValueError, DatasetError) as error:
        raise CodecError(f"{wanted} ({error})") from None
    if sorted(settings) != expected:
        raise CodecError(wanted)
    if not 0 <= settings["threshold"] <= 8 * BIT:
        raise CodecError(f"ngram: the threshold must be 0 … {8 * BIT}, got {settings['threshold']}")
    return settings


def _bytes(numbers: NDArray[np.uint32]) -> bytes:
    return numbers.astype("<u4").tobytes()


def _numbers(artifact: Artifact, name: str) -> NDArray[np.uint32]:
    if len(artifact[name]) % 4:
        raise CodecError(f"ngram: {name} is cut: it has {len(artifact[name])} bytes")
    return np.frombuffer(artifact[name], "<u4").astype(np.uint32, copy=False)
