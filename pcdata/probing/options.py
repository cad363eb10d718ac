"""What ``pcdata probe`` is asked to measure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pcdata.building.engines.options import EngineOptions
from pcdata.building.options import DatasetOptions
from pcdata.errors import OptionError
from pcdata.options import check_options, made_from, option

if TYPE_CHECKING:
    from pcdata.codecs.requests import ViewRequest

VAL_FRACTION: Final = 0.2
"""More than a build's, for documents of val are what is probed."""

DOCUMENT_BYTES: Final = (2_000, 64_000)


@dataclass(frozen=True)
class ProbeOptions:
    """The command line of ``pcdata probe``, checked."""

    section: ClassVar = "Probing"

    dataset: DatasetOptions = field(default_factory=DatasetOptions)
    """Inputs, split, fitting sample and compressors."""
    documents: int = option(200, "The most documents that are probed.", least=1, most=1_000_000)
    document_bytes: tuple[int, int] = DOCUMENT_BYTES
    """Shortest and longest, inclusive: short enough for exact distances, long enough to have a middle. Documents
    without a byte are never probed."""
    seed: int = option(0, "Of the choice of documents, and of every edit.", most=2**63 - 1)
    workers: int = EngineOptions.workers

    def __post_init__(self) -> None:
        check_options(self)
        shortest, longest = self.document_bytes
        if not shortest <= longest:
            raise OptionError(f"--document-bytes must be A:B with A at most B, got {shortest}:{longest}")
        if not self.dataset.views.requests:
            raise OptionError("no compressor given; name at least one: --compressor bpe")
        if not self.dataset.split.val_fraction:
            raise OptionError("--val-fraction 0 leaves no documents to probe that compressors are not fitted on")

    @classmethod
    def of(cls, inputs: Iterable[Path], requests: Sequence[ViewRequest], **flat: Any) -> ProbeOptions:
        """Of flat options: those of the command line, of ``--config`` and of ``pcdata.probe``."""
        asked = {"val_fraction": VAL_FRACTION, **flat}
        return made_from(cls, {"paths": tuple(inputs), "requests": tuple(requests), **asked})
