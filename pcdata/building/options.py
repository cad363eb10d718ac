"""Options of a build: what shapes the dataset, where it is written, and how tasks are run."""

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
    """Which documents are kept, of all that are read."""

    section: ClassVar = "Which documents"

    min_bytes: int = option(0, "Leave out documents with fewer bytes.")
    max_bytes: int = option(0, "Leave out documents with more bytes; 0: none.")
    max_line_bytes: int = option(0, "Leave out documents with a longer line; 0: none.")
    langs: tuple[str, ...] = option(
        (), "Only documents in this language (case-insensitive); may be repeated.", flag="lang", metavar="LANGUAGE"
    )
    sample: float = option(1.0, "Share of the documents to keep, drawn by content.")
    limit: int = option(0, "Only the first N documents, counted before long ones are cut; 0: all.")
    dedup: str = option(
        "exact", "exact: of identical documents, keep the first; off: keep all.", choices=("exact", "off")
    )

    def __post_init__(self) -> None:
        check_options(self)
        if not 0 < self.sample <= 1:
            raise OptionError(f"--sample must be above 0 and at most 1, got {self.sample}")


@dataclass(frozen=True)
class SplitOptions:
    """Which documents are val."""

    section: ClassVar = "Validation split"

    val_fraction: float = option(0.02, "Share of the documents in val; 0: none.")
    val_by: str = option(
        "document",
        "What goes to train or val together: each document alone, all of a source, or all of a path-prefix (the first "
        "folder of the path; path-prefix:N, the first N).",
        choices=("document", "source", "path-prefix"),
        more=True,
    )
    val_list: Path | None = option(None, "File of paths, one per line: val is exactly these documents.")

    def __post_init__(self) -> None:
        check_options(self)
        if not 0 <= self.val_fraction < 1:
            raise OptionError(f"--val-fraction must be at least 0 and below 1, got {self.val_fraction}")
        if not 1 <= self.prefix_folders <= 100:
            raise OptionError(f"--val-by path-prefix:N needs a number from 1 on, got {self.val_by!r}")
        if self.val_list is not None and not self.val_list.is_file():
            raise OptionError(f"--val-list {self.val_list} is not a file; name one with a path on each line")

    @cached_property
    def listed_paths(self) -> dict[bytes, int]:
        """The paths in ``val_list``, each with its line number from 1."""
        lines = [] if self.val_list is None else self.val_list.read_bytes().splitlines()
        return {line: number for number, line in enumerate(lines, start=1) if line}

    @property
    def prefix_folders(self) -> int:
        """The number of a path's folders in its prefix; 0 if ``val_by`` has no number."""
        kind, colon, number = self.val_by.partition(":")
        return 1 if not colon else int(number) if kind == "path-prefix" and number.isdecimal() else 0


@dataclass(frozen=True)
class ViewOptions:
    """Which views there are, and what their codecs are fitted on."""

    section: ClassVar = "Views"

    requests: tuple[ViewRequest, ...] = ()
    fit_bytes: int = option(
        16_000_000, "Approximate raw bytes of the sample that codecs are fitted on.", least=1_000, most=1 << 32
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class DatasetOptions:
    """What shapes a dataset, and everything that a trial needs, which writes none."""

    section: ClassVar = "Output"

    inputs: InputOptions = field(default_factory=InputOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    views: ViewOptions = field(default_factory=ViewOptions)
    shard_bytes: int = option(0, "Raw bytes per shard. [default: about 16 shards of 8 to 512 MB]", most=1 << 40)

    def __post_init__(self) -> None:
        check_options(self)

    @classmethod
    def of(cls, inputs: Iterable[Path], requests: Sequence[ViewRequest] = (), **flat: Any) -> DatasetOptions:
        """From flat options."""
        return made_from(cls, {"paths": tuple(inputs), "requests": tuple(requests), **flat})

    def anchored(self) -> DatasetOptions:
        """The same with absolute paths, since a worker may have another working folder."""
        val_list = self.split.val_list and self.split.val_list.absolute()
        return replace(self, inputs=self.inputs.anchored(), split=replace(self.split, val_list=val_list))


@dataclass(frozen=True)
class BuildOptions:
    """All options of a build, checked."""

    output: Path
    dataset: DatasetOptions = field(default_factory=DatasetOptions)
    running: EngineOptions = field(default_factory=EngineOptions)

    def __post_init__(self) -> None:
        refuse_url(self.output)

    @classmethod
    def of(
        cls, inputs: Iterable[Path], output: Path, requests: Sequence[ViewRequest] = (), **flat: Any
    ) -> BuildOptions:
        """From flat options: those of the command line, of ``--config`` and of ``pcdata.build``."""
        return made_from(cls, {"paths": tuple(inputs), "output": output, "requests": tuple(requests), **flat})
