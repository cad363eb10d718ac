"""Which views a run uses: those that documents appear in, with their numbers and ids, and those that are only read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pcdata.dataset import Dataset, ViewIds, Vocabulary
from pcdata.dataset.manifest import View
from pcdata.dataset.vocab import N_BYTES, RAW_VIEW
from pctrain.config import SuperpositionConfig
from pctrain.data.bags import BagView
from pctrain.data.cursor import Cursor
from pctrain.data.datasets import shared_views, vocabulary_of
from pctrain.data.mixture import RAW
from pctrain.errors import CheckpointError, ConfigError


@dataclass(frozen=True)
class UsedViews:
    """Views besides raw bytes."""

    symbols: Sequence[str]
    """Views of the dataset whose numbers are 1 + i, in the order of the manifest rather than of the settings."""
    names: Sequence[str]
    """Views that documents appear in: these, and that of bags."""
    ids: Sequence[ViewIds]
    """Of ``names``."""
    read: Sequence[str]
    """Views of the dataset whose files are read."""
    vocabulary: Vocabulary
    bags: BagView | None

    @property
    def bags_in_mixture(self) -> bool:
        """Whether the mixture shows documents in bags, too."""
        return self.bags is not None and self.bags.number <= len(self.symbols)

    @classmethod
    def of(
        cls,
        datasets: Sequence[Dataset],
        mixture: Collection[str],
        cursor: Cursor,
        superposition: SuperpositionConfig,
        units: str,
        vocabulary: Vocabulary | None,
    ) -> UsedViews:
        """``mixture``: the views that it uses now; those of the cursor's window, which keeps them to its end, are used
        too. ``vocabulary``: that of a resumed run.

        Raises ``ConfigError`` for views that a dataset lacks, ``CheckpointError`` for views of the cursor, and
        for views without ids in the vocabulary.
        """
        _check(datasets, mixture, superposition, units)
        appear = {*mixture} | _begun(datasets, mixture, cursor, superposition) | ({superposition.view} - {""})
        views = shared_views(datasets, appear) if appear else {}
        symbols = [*views]
        if vocabulary is None:
            vocabulary = vocabulary_of(datasets, symbols, superposition.replaced)
        else:
            _check_ids(vocabulary, views, superposition)
        ids = [vocabulary.views[name] for name in symbols]
        read = [*dict.fromkeys(name for name in (*symbols, superposition.units, units) if name)]
        if not superposition.bag:
            return cls(symbols, symbols, ids, read, vocabulary, None)
        number = 1 + (symbols.index(superposition.units) if superposition.mixture else len(symbols))
        source = 1 + symbols.index(superposition.view) if superposition.view else RAW
        bags = BagView(number, source, superposition.bag, superposition.units)
        if superposition.mixture:
            return cls(symbols, symbols, ids, read, vocabulary, bags)
        return cls(symbols, [*symbols, superposition.name], [*ids, (RAW_VIEW, *ids)[source]], read, vocabulary, bags)


def _check(
    datasets: Sequence[Dataset], mixture: Collection[str], superposition: SuperpositionConfig, units: str
) -> None:
    needed = {superposition.view, superposition.units, units} - {""}
    if needed:
        shared_views(datasets, needed)
    if superposition.mixture and superposition.units not in mixture:
        raise ConfigError(
            f"superposition.mixture needs the view {superposition.units!r} in the mixture, which uses "
            f"{', '.join(mixture) or 'none'}; name it with --view, or set a mode that is not raw"
        )


def _check_ids(vocabulary: Vocabulary, views: Mapping[str, View], superposition: SuperpositionConfig) -> None:
    for name, view in views.items():
        known = vocabulary.views.get(name)
        n_symbols = N_BYTES if name in superposition.replaced else view.n_symbols
        if known is None or (known.slot, known.n_symbols) != (view.slot, n_symbols):
            raise CheckpointError(
                f"the model of this run has no ids for view {name} (data.views, mixture), only for "
                f"{', '.join(vocabulary.views) or 'raw bytes'}; begin a new run for it with -o"
            )


def _begun(
    datasets: Sequence[Dataset], mixture: Collection[str], cursor: Cursor, superposition: SuperpositionConfig
) -> set[str]:
    """The views of the window in progress, even if the settings have dropped them; without that of bags, which is in no
    dataset. It appears beside raw bytes only as ``superposition.mixture``."""
    views = cursor.place.views
    is_made = superposition.bag > 0 and (superposition.mixture or len(views) == 1)
    begun = {name for name in views if name is not None} - ({superposition.name} if is_made else set())
    begun |= {*cursor.settings.views} if cursor.settings else set()
    for name in begun - {*mixture}:
        for dataset in datasets:
            if name not in dataset.vocabulary.views:
                raise CheckpointError(
                    f"the checkpoint is in a document that uses view {name!r}, which {dataset.folder} does not have; "
                    "give the dataset it was trained on"
                )
    return begun
