"""The manifest's entries for written shards: sums, and the files in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, TypeVar

from pcdata.dataset.manifest import SPLITS, Amount, Base, FittedView, View, base_fingerprint, view_fingerprint
from pcdata.dataset.schema import ViewTypes
from pcdata.dataset.vocab import FIRST_BYTE, RAW_IDS
from pcdata.dataset.writer import WrittenBase, WrittenView

LANGUAGES_LISTED = 100
OTHER_LANGUAGES = "(other)"

T = TypeVar("T")


def listed_base(written: Sequence[tuple[str, WrittenBase]]) -> Base:
    """The base with these files, in the order of the shards, each with its split."""
    splits = _by_split([(split, base.shard) for split, base in written])
    return Base(base_fingerprint(splits), splits, _languages(base for _, base in written))


class Promises(Protocol):
    """What a codec promises about its symbols."""

    @property
    def types(self) -> ViewTypes: ...
    @property
    def units_independent(self) -> bool: ...


class Promised(NamedTuple):
    """The same for symbols that no codec made."""

    types: ViewTypes
    units_independent: bool


def listed_views(
    fitted: Sequence[tuple[FittedView, Promises]],
    written: Sequence[tuple[str, Mapping[str, WrittenView]]],
    next_slot: int = 0,
    next_id: int = RAW_IDS,
    splits: Iterable[str] = SPLITS,
) -> list[View]:
    """New views, with slots and ids from the given ones on. ``written`` has, in the order of the shards, the split of
    each and its views by name; ``splits`` are those of the base."""
    views: list[View] = []
    for slot, (one, promises) in enumerate(fitted, next_slot):
        first_id = end_of_ids(views, next_id) if one.ids == "own" else FIRST_BYTE
        types = promises.types
        view = View(
            **vars(one),
            slot=slot,
            first_id=first_id,
            n_symbols=types.n_symbols,
            max_unit_bytes=types.max_unit_bytes,
            max_unit_symbols=types.max_unit_symbols,
            units_independent=promises.units_independent,
            unit_bytes_histogram=(),
            splits={},
            fingerprint="",
        )
        views.append(view_of(view, [(split, of_shard[one.name]) for split, of_shard in written], splits))
    return views


def end_of_ids(views: Sequence[View], least: int) -> int:
    """The first id after those of all views, at least ``least``."""
    return max([least, *(view.view_ids.end_id for view in views)])


def view_of(view: View, written: Sequence[tuple[str, WrittenView]], splits: Iterable[str] = SPLITS) -> View:
    """The same view with these shards, each with its split."""
    histograms = [each.histogram for _, each in written]
    length = max(map(len, histograms), default=0)
    of_these = replace(
        view,
        unit_bytes_histogram=tuple(sum(counts[k] for counts in histograms if k < len(counts)) for k in range(length)),
        splits=_by_split([(split, each.shard) for split, each in written], splits),
        fingerprint="",
    )
    return replace(of_these, fingerprint=view_fingerprint(of_these))


def _by_split(shards: Sequence[tuple[str, T]], splits: Iterable[str] = SPLITS) -> dict[str, tuple[T, ...]]:
    return {name: tuple(shard for split, shard in shards if split == name) for name in splits}


def _languages(bases: Iterable[WrittenBase]) -> dict[str, Amount]:
    """Sums over shards, largest first; all after the hundredth are summed in one entry."""
    sums = added_amounts(base.languages for base in bases)
    ranked = sorted(sums, key=lambda language: (-sums[language][1], language))
    listed = {language: Amount(*sums[language]) for language in ranked[:LANGUAGES_LISTED]}
    if rest := ranked[LANGUAGES_LISTED:]:
        listed[OTHER_LANGUAGES] = Amount(*map(sum, zip(*(sums[language] for language in rest), strict=True)))
    return listed


def added_amounts(some: Iterable[Mapping[str, tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    """Documents and raw bytes by language, added up."""
    sums: dict[str, tuple[int, int]] = {}
    for amounts in some:
        for language, (documents, raw_bytes) in amounts.items():
            before = sums.get(language, (0, 0))
            sums[language] = (before[0] + documents, before[1] + raw_bytes)
    return sums
