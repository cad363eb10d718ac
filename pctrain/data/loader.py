"""Batches of a split: the one door from shards to training.

The sequence of global batches is a function of the dataset, the settings and the steps. Global batch s is rows
s x R … s x R + R - 1 of one global stream; a rank takes every W-th of them, so that W need not divide R.
"""

from __future__ import annotations

from collections.abc import Mapping

from pcdata.dataset import Split
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.batch import Batch, Cursor
from pctrain.data.documents import Documents
from pctrain.data.filling import Filler
from pctrain.data.mixture import RAW, Mixture, Schedule
from pctrain.data.packing import Packer, stats_of
from pctrain.errors import CheckpointError, ConfigError, DataError


class Loader:
    """Global batches in order, this rank's rows of them."""

    def __init__(
        self,
        split: Split,
        data: DataConfig,
        mixture: MixtureConfig,
        *,
        steps: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        cursor: Cursor | None = None,
    ) -> None:
        """Begin at ``cursor``, or with the first document of the first epoch; ``steps`` is the length of the whole run.

        Raises ``ConfigError`` for a view that the dataset has not, or where views are to be shown and there are none;
        ``DataError`` for a split without documents; ``CheckpointError`` for a cursor that this dataset cannot have.
        """
        if not split.n_documents:
            raise DataError(f"the {split.name} split of {split.dataset.folder} has no documents; build it from more")
        self.schedule = Schedule(mixture, steps)
        weights = _weights(split, data.views)
        if not weights and self.schedule.modes != ["raw"] * len(self.schedule.modes):
            modes = " and ".join(self.schedule.modes)
            raise ConfigError(
                f"{split.dataset.folder} has no compressed views, but the mixture ({modes}) shows some; "
                "build it with --compressor, or train on raw bytes alone with --mode raw"
            )
        cursor = cursor or Cursor()
        self.view_names: list[str] = [*weights, *_in_progress(split, weights, cursor)]
        """Compressed views; the i-th is number 1 + i in the batches."""
        vocabulary = split.dataset.vocabulary
        documents = Documents(split, self.view_names, data.window_blocks, seed)
        self._seq_len, self._rows = data.seq_len, data.rows
        self._rank, self._world_size = rank, world_size
        self._packer = Packer(
            documents, Mixture(mixture.pair_order, list(weights.values())), data.seq_len + 1, cursor.draw
        )
        self._filler = Filler(documents, [vocabulary.views[name] for name in self.view_names], data.seq_len)
        self._go_on(cursor)

    def batch(self, step: int) -> Batch:
        """The next global batch, its documents shown as the schedule says for optimizer step ``step``.

        Raises ``DatasetError`` where a shard is not as the manifest says.
        """
        odds = self.schedule.at(step).odds
        rows = [self._packer.row(odds) for _ in range(self._rows)]
        arrays = self._filler.fill(rows[self._rank :: self._world_size])
        return Batch(*arrays, stats_of(rows, self._seq_len, 1 + len(self.view_names)), self.cursor)

    @property
    def cursor(self) -> Cursor:
        """Where the stream stands: after the last batch that was made."""
        showing = self._packer.showing
        if showing is None:
            return Cursor(self._packer.draw)
        names = tuple(None if view == RAW else self.view_names[view - 1] for view in showing.appearance)
        return Cursor(self._packer.draw, showing.offset_symbols, names)

    def _go_on(self, cursor: Cursor) -> None:
        if cursor.appearance is None:
            return
        views = tuple(RAW if name is None else 1 + self.view_names.index(name) for name in cursor.appearance)
        showing = self._packer.go_on(views, cursor.offset_symbols)
        if showing.appearance != views or cursor.offset_symbols >= showing.size_symbols:
            raise CheckpointError(
                f"the checkpoint stands at symbol {cursor.offset_symbols} of document {cursor.draw}, which has "
                f"{showing.size_symbols}; it was made on another dataset: give the one it was trained on"
            )


def _weights(split: Split, asked: Mapping[str, float]) -> dict[str, float]:
    """The weight of each used view, in the manifest's order, however the settings are ordered."""
    known = [view.name for view in split.dataset.manifest.views]
    for name in asked:
        if name not in known:
            raise ConfigError(
                f"data.views names {name!r}, which {split.dataset.folder} does not have; "
                f"its views: {', '.join(known) or 'none'}"
            )
    return {name: asked.get(name, 1.0) for name in known if name in asked or not asked}


def _in_progress(split: Split, used: Mapping[str, float], cursor: Cursor) -> list[str]:
    """The view of the document in progress, if the settings have dropped it since: it is shown to its end."""
    names = [name for name in cursor.appearance or () if name is not None and name not in used]
    for name in names:
        if name not in split.dataset.vocabulary.views:
            raise CheckpointError(
                f"the checkpoint stands in a document shown in view {name!r}, which {split.dataset.folder} does not "
                "have; give the dataset it was trained on"
            )
    return names
