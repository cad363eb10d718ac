"""What a build is asked to do: what shapes the dataset, where it goes, and who does the work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pcdata.building.engines.options import EngineOptions
from pcdata.errors import OptionError
from pcdata.inputs.options import InputOptions, refuse_url
from pcdata.options import check_options, made_from, option

if TYPE_CHECKING:
    from pcdata.codecs.requests import ViewRequest


@dataclass(frozen=True)
class FilterOptions:
    """Which documents are taken, of all that are read."""

    section: ClassVar = "Which documents"

    min_bytes: int = option(0, "Leave out documents with fewer bytes.")
    max_bytes: int = option(0, "Leave out documents with more bytes; 0: none.")
    max_line_bytes: int = option(0, "Leave out documents with a longer line; 0: none.")
    langs: tuple[str, ...] = option(
        (), "Take only documents in this language, whatever its case; may be repeated.", flag="lang", metavar="LANGUAGE"
    )
    sample: float = option(1.0, "Share of the documents to take, drawn by content.")
    limit: int = option(0, "How many documents to take, the first ones; one that is cut counts once. 0: all.")
    dedup: str = option(
        "exact", "exact: of documents with the same bytes the first is taken; off: all are.", choices=("exact", "off")
    )

    def __post_init__(self) -> None:
        check_options(self)
        if not 0 < self.sample <= 1:
            raise OptionError(f"--sample must be above 0 and at most 1, got {self.sample}")


@dataclass(frozen=True)
class SplitOptions:
    """Which documents are val."""

    section: ClassVar = "Validation split"

    val_fraction: float = option(0.02, "Share of documents drawn into val; 0: none.")
    val_by: str = option(
        "document",
        "What is drawn: each document; or all of a source, or of a path-prefix (the first folder of the path; "
        "path-prefix:N, the first N) together.",
        choices=("document", "source", "path-prefix"),
        more=True,
    )
    val_list: Path | None = option(None, "A file of paths, one a line: those documents are val, and no others.")

    def __post_init__(self) -> None:
        check_options(self)
        if not 0 <= self.val_fraction < 1:
            raise OptionError(f"--val-fraction must be at least 0 and below 1, got {self.val_fraction}")
        if not 1 <= self.prefix_folders <= 100:
            raise OptionError(f"--val-by path-prefix:N needs a number from 1 on, got {self.val_by!r}")
        if self.val_list is not None and not self.val_list.is_file():
            raise OptionError(f"--val-list {self.val_list} is no file; name one with a path on each line")

    @cached_property
    def listed_paths(self) -> dict[bytes, int]:
        """The paths in ``val_list``, and the line of each from 1 on."""
        lines = [] if self.val_list is None else self.val_list.read_bytes().splitlines()
        return {line: number for number, line in enumerate(lines, start=1) if line}

    @property
    def prefix_folders(self) -> int:
        """How many folders of a path are its prefix; 0 if ``val_by`` says no number."""
        kind, colon, number = self.val_by.partition(":")
        return 1 if not colon else int(number) if kind == "path-prefix" and number.isdecimal() else 0


@dataclass(frozen=True)
class ViewOptions:
    """Which views there are, and what their codecs are fitted on."""

    section: ClassVar = "Views"

    requests: tuple[ViewRequest, ...] = ()
    fit_bytes: int = option(
        16_000_000, "Raw bytes of the sample that codecs are fitted on, about.", least=1_000, most=1 << 32
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class DatasetOptions:
    """What shapes a dataset, and all that a trial, which writes none, has to know."""

    section: ClassVar = "Output"

    inputs: InputOptions = field(default_factory=InputOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    views: ViewOptions = field(default_factory=ViewOptions)
    shard_bytes: int = option(0, "Raw bytes per shard; default: about 16 shards of 8 to 512 MB.", most=1 << 40)

    def __post_init__(self) -> None:
        check_options(self)

    @classmethod
    def of(cls, inputs: Iterable[Path], requests: Sequence[ViewRequest] = (), **flat: Any) -> DatasetOptions:
        """Of flat options."""
        return made_from(cls, {"paths": tuple(inputs), "requests": tuple(requests), **flat})

    def anchored(self) -> DatasetOptions:
        """The same with absolute paths, for tasks: a worker may have another working folder."""
        val_list = self.split.val_list and self.split.val_list.absolute()
        return replace(self, inputs=self.inputs.anchored(), split=replace(self.split, val_list=val_list))


@dataclass(frozen=True)
class BuildOptions:
    """A build, checked."""

    output: Path
    dataset: DatasetOptions = field(default_factory=DatasetOptions)
    running: EngineOptions = field(default_factory=EngineOptions)

    def __post_init__(self) -> None:
        refuse_url(self.output)

    @classmethod
    def of(
        cls, inputs: Iterable[Path], output: Path, requests: Sequence[ViewRequest] = (), **flat: Any
    ) -> BuildOptions:
        """Of flat options: those of the command line, of ``--config`` and of ``pcdata.build``."""
        return made_from(cls, {"paths": tuple(inputs), "output": output, "requests": tuple(requests), **flat})
