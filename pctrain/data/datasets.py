"""Several datasets as one: their names, their common views, and the mean lengths of their documents."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pcdata.dataset import Dataset, Split, ViewIds, Vocabulary
from pcdata.dataset.manifest import View
from pcdata.dataset.vocab import FIRST_BYTE, N_BYTES
from pctrain.data.mixture import Lengths
from pctrain.errors import ConfigError


def by_name(datasets: Iterable[Dataset]) -> dict[str, Dataset]:
    """Datasets by the names of their folders, sorted: the order in which they are given does not matter.

    Raises ``ConfigError`` if there are none, or two with the same name.
    """
    named: dict[str, Dataset] = {}
    for dataset in datasets:
        name = Path(os.path.abspath(dataset.folder)).name  # noqa: PTH100 a link keeps the name it was given
        if name in named:
            raise ConfigError(
                f"{named[name].folder} and {dataset.folder} are both named {name!r}; rename one, or give a link to it "
                "that has another name"
            )
        named[name] = dataset
    if not named:
        raise ConfigError("no dataset is given; name the folder that pcdata build wrote")
    return dict(sorted(named.items()))


def dataset_weights(names: Iterable[str], asked: Mapping[str, float]) -> list[float]:
    """The weight of each dataset. Raises ``ConfigError`` for an unknown name."""
    known = [*names]
    for name in asked:
        if name not in known:
            raise ConfigError(f"data.weights names {name!r}, which is none of the datasets: {', '.join(known)}")
    return [asked.get(name, 1.0) for name in known]


def view_names(datasets: Sequence[Dataset]) -> list[str]:
    """The views of all datasets, each once, in the order of the manifests."""
    return [*dict.fromkeys(view.name for dataset in datasets for view in dataset.manifest.views)]


def shared_views(datasets: Sequence[Dataset], asked: Iterable[str]) -> dict[str, View]:
    """The views with these names (no names: all views), in the order of the manifests, as in the first dataset.

    Each must be in every dataset, made by the same codec with the same artifact. Its ids and the other views may
    differ. Raises ``ConfigError`` naming the view and the datasets.
    """
    wanted = {*asked} or {*view_names(datasets)}
    for name in wanted:
        for dataset in datasets:
            if name not in dataset.vocabulary.views:
                raise ConfigError(_missing(name, dataset, datasets))
        first = datasets[0].manifest.view(name)
        for dataset in datasets[1:]:
            _check_same(first, dataset.manifest.view(name), datasets[0], dataset)
    return {view.name: view for view in datasets[0].manifest.views if view.name in wanted}


def vocabulary_of(datasets: Sequence[Dataset], names: Sequence[str], in_bags: Collection[str] = ()) -> Vocabulary:
    """The ids that a model needs to read these views, as ``Vocabulary.compact`` numbers them. Views that appear
    ``in_bags`` of raw bytes have their ids between marks of their own."""
    views = {name: view.view_ids for name, view in shared_views(datasets, names).items()} if names else {}
    for name in in_bags:
        views[name] = ViewIds(views[name].slot, FIRST_BYTE, N_BYTES)
    return Vocabulary(views).compact()


def mean_lengths(splits: Sequence[Split], weights: Sequence[float], views: Mapping[str, float]) -> Lengths:
    """From the manifests, weighted over datasets and views; documents that a filter skips count too."""

    def mean(lengths: Iterable[float], by: Iterable[float]) -> float:
        pairs = [*zip(lengths, by, strict=True)]
        return sum(length * weight for length, weight in pairs) / (sum(weight for _, weight in pairs) or 1.0)

    raw = mean((split.raw_bytes / split.n_documents for split in splits), weights)
    compressed = [mean((symbols_of(split, name) / split.n_documents for split in splits), weights) for name in views]
    return Lengths(raw, mean(compressed, views.values()))


def symbols_of(split: Split, view: str) -> int:
    """How many symbols all documents of a split have in a view, according to the manifest."""
    return sum(shard.symbols for shard in split.dataset.manifest.view(view).splits[split.name])


def _missing(name: str, dataset: Dataset, datasets: Sequence[Dataset]) -> str:
    if len(datasets) == 1:
        known = ", ".join(view_names(datasets)) or "none"
        return f"{dataset.folder} has no view {name!r}; its views: {known}"
    shared = [view for view in view_names(datasets) if all(view in one.vocabulary.views for one in datasets)]
    return (
        f"view {name!r} is missing in {dataset.folder}; add it with pcdata add-view, or name the views to use with "
        f"--view; all datasets have: {', '.join(shared) or 'none'}"
    )


def _check_same(one: View, other: View, first: Dataset, second: Dataset) -> None:
    a, b = _identity(one), _identity(other)
    for what in a:
        if a[what] != b[what]:
            raise ConfigError(
                f"view {one.name!r} is not the same in {first.folder} and {second.folder}: its {what} is {a[what]} and "
                f"{b[what]}; build both with the same --compressor options and one artifact (pcdata fit), or leave the "
                "view out with --view"
            )


def _identity(view: View) -> dict[str, Any]:
    """What a symbol of the view means to a model."""
    return {
        "codec": view.codec,
        "parameters": view.parameters,
        "artifact": [file.sha256 for file in view.artifact],
        "ids": view.ids,
        "number of symbols": view.n_symbols,
    }
