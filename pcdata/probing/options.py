"""Options of ``pcdata probe``."""

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
"""More than in a build, because documents of val are probed."""

DOCUMENT_BYTES: Final = (2_000, 64_000)


@dataclass(frozen=True)
class ProbeOptions:
    """The options of ``pcdata probe``, checked."""

    section: ClassVar = "Probing"

    dataset: DatasetOptions = field(default_factory=DatasetOptions)
    """Inputs, split, fitting sample and compressors."""
    documents: int = option(200, "Most documents to probe.", least=1, most=1_000_000)
    document_bytes: tuple[int, int] = DOCUMENT_BYTES
    """Shortest and longest, inclusive: short enough for exact distances, long enough to have a middle. Empty documents
    are never probed."""
    seed: int = option(0, "Seed for the choice of documents, and for every edit.", most=2**63 - 1)
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
        """From flat options: those of the command line, of ``--config`` and of ``pcdata.probe``."""
        asked = {"val_fraction": VAL_FRACTION, **flat}
        return made_from(cls, {"paths": tuple(inputs), "requests": tuple(requests), **asked})
