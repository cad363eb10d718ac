"""The ``entropy`` codec: each byte as it is, with how uncertain a byte model was before it; units are patches.

A symbol is a byte, plus 256 times a level: the entropy of the model's prediction of that byte from those before it in
the document, in steps of 1 / ``LEVELS_PER_BIT`` bits. The level is causal, and a view decodes by its symbols' low
bytes, whatever the model. Nothing is compressed: the view is for models that group bytes by entropy, which need the
levels, or only the lengths of units.

Units are the patches of the *Byte Latent Transformer* (Pagnoni et al. 2024, section 2.3), as facebookresearch/blt and
transformers' ``BltPatcher`` cut them: one begins at a document's first byte, at each byte whose entropy is above a
threshold (the paper's global constraint), or is above that of the byte before by more than a threshold (the approximate
monotonic constraint), and after ``LONGEST_SEGMENT_BYTES``. There, a sequence has a begin mark, which is one more patch;
a document has none. (With the second rule, facebookresearch/blt also begins a patch at the second byte.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs.base import Artifact, Codec, Ratio, check_units
from pcdata.codecs.byte_model import BIT, ByteModel
from pcdata.codecs.ngram import NgramCodec, NgramParameters, threshold_sample
from pcdata.codecs.segments import LONGEST_SEGMENT_BYTES, document_entropies, find_threshold, joined, starts_where
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.dataset.json_files import parse_json, rendered_json
from pcdata.dataset.schema import ViewTypes
from pcdata.dataset.typed_json import typed
from pcdata.errors import CodecError, DatasetError

# N bytes, D documents, U units

LEVELS_PER_BIT: Final = 32
"""As fine as symbols of 16 bits allow: 8 bits of entropy in 256 levels. BLT's thresholds are in nats, of 1.44 bits."""
MOST_LEVEL: Final = 255
"""A model that knows nothing has 8 bits, level 256, which is written as this."""

RISES: Final = "rises.json"
"""With ``monotonic``, beside the files of ``ngram``: the threshold for rises. Theirs is for entropies."""


class EntropyCodec(Codec):
    """Subclasses only fit and load a model. Its counts are the same with any library, so ``versions`` is empty."""

    types = ViewTypes(256 * (MOST_LEVEL + 1), LONGEST_SEGMENT_BYTES, LONGEST_SEGMENT_BYTES)
    units_independent = True

    def __init__(self, model: ByteModel, threshold: int, *, monotonic: bool = False) -> None:
        """A unit begins at a byte whose entropy, or with ``monotonic`` its rise, is above ``threshold``
        (``byte_model.BIT``)."""
        self.model = model
        self.threshold = threshold
        self.monotonic = monotonic

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        text_N, offsets, starts_D = joined(documents)
        entropies_N = document_entropies(self.model, text_N, starts_D)
        compared_N = rises(entropies_N) if self.monotonic else entropies_N
        starts_U = starts_where(compared_N > self.threshold, starts_D)
        unit_bytes = np.diff(starts_U, append=len(text_N)).astype(np.uint8)
        symbols = levels(entropies_N) << np.uint16(8) | text_N
        return ViewColumns(symbols, offsets, unit_bytes, unit_bytes.copy(), np.searchsorted(starts_U, offsets))

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        unit_symbols = check_units("entropy", self.types, symbols, unit_bytes, unit_symbols)
        if (unit_bytes != unit_symbols).any():
            raise CodecError("entropy: every byte is one symbol, but a unit has more of the one than of the other")
        return symbols.astype(np.uint8).tobytes()

    def faults(
        self, documents: Sequence[bytes], columns: ViewColumns, rows: Sequence[int]
    ) -> Iterator[tuple[int, str]]:
        """By encoding again, because decoding ignores levels, and where units begin."""
        again = self.encode([documents[row] for row in rows])
        for index, row in enumerate(rows):
            symbols, points = columns.symbols_of(row), columns.alignment_of(row)
            ends = again.alignment_of(index).raw_ends
            if symbols.astype(np.uint8).tobytes() != documents[row]:
                yield row, "the symbols decode to other bytes than raw"
            elif not np.array_equal(symbols, again.symbols_of(index)):
                yield row, "the entropies are not those of the model"
            elif not (np.array_equal(points.raw_ends, ends) and np.array_equal(points.symbol_ends, ends)):
                yield row, "the units do not begin where the entropies say"

    def figures(self, documents: Sequence[bytes]) -> Mapping[str, Ratio]:
        columns = self.encode(documents)
        levels_N = columns.symbols >> 8
        starts_U = np.cumsum(columns.unit_bytes, dtype=np.int64) - columns.unit_bytes
        n_bytes, n_units = len(levels_N), len(starts_U)
        return {
            "bits of entropy before a byte": Ratio(float(levels_N.sum()), n_bytes * LEVELS_PER_BIT),
            "bits of entropy before a unit": Ratio(float(levels_N[starts_U].sum()), n_units * LEVELS_PER_BIT),
            "units of a single byte": Ratio(int((columns.unit_bytes == 1).sum()), n_units),
        }


def rises(entropies_N: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """By how much each entropy is above that of the byte before; 0 if it is not, and for the first. [N]"""
    before_N = np.concatenate([entropies_N[:1], entropies_N[:-1]])
    rises_N: NDArray[np.uint32] = np.maximum(entropies_N, before_N) - before_N
    return rises_N


def levels(entropies_N: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """Entropies in units of 1 / ``BIT`` bits → levels, rounded down. [N]"""
    return np.minimum(entropies_N // (BIT // LEVELS_PER_BIT), MOST_LEVEL).astype(np.uint16)


@dataclass(frozen=True)
class EntropyParameters:
    """The byte model is that of ``ngram``. Fitted on 16 MB of the Python 3.11 standard library, measured on 1.9 MB held
    out:

    ========= ======= ===== ========= ====== ========= ===============
    monotonic segment mean  standard  single threshold bits of entropy
                            deviation bytes  in bits   before a unit
    ========= ======= ===== ========= ====== ========= ===============
    false     4       3.79  4.9       43 %   2.91      3.86
    false     8       7.48  8.7       20 %   3.76      4.39
    false     16      15.0  15.1      9 %    4.40      4.68
    true      4       3.94  2.9       17 %   0.74      3.30
    true      8       7.91  6.7       2 %    1.98      3.79
    true      16      16.0  14.2      0 %    2.94      4.16
    ========= ======= ===== ========= ====== ========= ===============

    The mean before any byte is 1.86 bits. Encoding and ``faults`` run at 80 MB/s, where ``ngram`` has 22 and 28, and
    decoding at 1,700. A rise of any size begins a unit at threshold 0, so ``monotonic`` has a mean of at least 2.5.
    """

    segment: int = 4
    """Mean bytes of a unit, on the fitting sample."""
    monotonic: bool = False
    """Whether units begin where the entropy rises by more than a threshold, instead of where it is above one."""
    order: int = 4
    """The longest context, in bytes; 1 … 4."""
    contexts: int = 16_384
    """The most contexts that have counts; each takes 1 kB of memory while encoding."""

    def __post_init__(self) -> None:
        self.ngram  # noqa: B018  (raises)

    @property
    def ngram(self) -> NgramParameters:
        return NgramParameters(segment=self.segment, order=self.order, contexts=self.contexts)


class NgramEntropyCodec(EntropyCodec):
    """Each byte with its entropy under counts of bytes: nothing is compressed; units are BLT's patches."""

    Parameters: ClassVar[type[Any]] = EntropyParameters
    artifacts_of = "ngram"

    def __init__(self, parameters: EntropyParameters, artifact: Artifact, backends: Mapping[str, str]) -> None:
        if (RISES in artifact) != parameters.monotonic:
            raise CodecError(f"entropy: an artifact has {RISES} with monotonic, and only then; got {sorted(artifact)}")
        ngram = NgramCodec(parameters.ngram, _of_ngram(artifact), backends)
        threshold = _threshold(artifact[RISES]) if parameters.monotonic else ngram.threshold
        super().__init__(ngram.model, threshold, monotonic=parameters.monotonic)

    @classmethod
    def fit(cls, parameters: EntropyParameters, sample: Sequence[bytes]) -> Artifact:
        artifact = NgramCodec.fit(parameters.ngram, sample)
        if not parameters.monotonic:
            return artifact
        model = NgramCodec(parameters.ngram, artifact, {}).model
        text_N, starts_D = threshold_sample(sample)
        rises_N = rises(document_entropies(model, text_N, starts_D))
        return {**artifact, RISES: rendered_json({"threshold": find_threshold(rises_N, starts_D, parameters.segment)})}

    @classmethod
    def parameters_in(cls, artifact: Artifact) -> Mapping[str, Any]:
        return {**NgramCodec.parameters_in(_of_ngram(artifact)), "monotonic": RISES in artifact}


def _of_ngram(artifact: Artifact) -> Artifact:
    return {name: data for name, data in artifact.items() if name != RISES}


def _threshold(data: bytes) -> int:
    try:
        values: dict[str, int] = typed(dict[str, int], parse_json(data))
    except (ValueError, DatasetError) as error:
        raise CodecError(f"entropy: {RISES} must have a threshold ({error})") from None
    if set(values) != {"threshold"} or not 0 <= values["threshold"] <= 8 * BIT:
        raise CodecError(f"entropy: {RISES} must have a threshold, 0 … {8 * BIT}, and nothing else")
    return values["threshold"]
