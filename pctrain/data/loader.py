"""Batches of a split: the one door from shards to training.

The sequence of global batches is a function of the dataset, the settings and the steps. Global batch s is rows
s x R … s x R + R - 1 of one global stream; a rank takes every W-th of them, so that W need not divide R.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pcdata.dataset import Split, Vocabulary
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.batch import Batch, Cursor
from pctrain.data.corpus import by_name, dataset_weights, mean_lengths, shared_views, vocabulary_of
from pctrain.data.documents import Documents
from pctrain.data.filling import Filler
from pctrain.data.filter import Filter
from pctrain.data.mixture import RAW, Appearance, How, Mixture, Splicing
from pctrain.data.order import seed_of
from pctrain.data.packing import Packer, stats_of
from pctrain.data.pieces import Row
from pctrain.data.schedule import Schedule
from pctrain.data.showing import Fresh
from pctrain.data.stream import Stream
from pctrain.errors import CheckpointError, ConfigError, DataError


class Loader:
    """Global batches in order, this rank's rows of them."""

    def __init__(
        self,
        splits: Split | Sequence[Split],
        data: DataConfig,
        mixture: MixtureConfig,
        *,
        steps: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        cursor: Cursor | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """Begin at ``cursor``, or with the first document of the first epoch; ``steps`` is the length of the whole run.

        ``splits`` are of one dataset or of several; ``vocabulary`` is that of a run that goes on. Raises
        ``ConfigError`` for a view that a dataset has not or that is another in each, and where views are to be shown
        and there are none; ``DataError`` for a split without documents, or without any that the filter keeps;
        ``CheckpointError`` for a cursor that these cannot have.
        """
        given = [splits] if isinstance(splits, Split) else splits
        of = {split.dataset: split for split in given}
        named = {name: of[dataset] for name, dataset in by_name(split.dataset for split in given).items()}
        for split in given:
            if not split.n_documents:
                raise DataError(
                    f"the {split.name} split of {split.dataset.folder} has no documents; build it from more"
                )
        self.schedule = Schedule(mixture, steps)
        self.dataset_names: list[str] = [*named]
        """In the order of the cursor and the sums of a batch."""
        cursor = cursor or Cursor()
        splits, weights = [*named.values()], dataset_weights(named, data.weights)
        views = {} if self.schedule.raw_only else _view_weights(splits, data.views)
        if not views and not self.schedule.raw_only:
            raise ConfigError(
                f"{splits[0].dataset.folder} has no compressed views, but the mixture "
                f"({' and '.join(self.schedule.modes)}) shows some; "
                "build it with --compressor, or train on raw bytes alone with --mode raw"
            )
        self.view_names: list[str] = [*views, *_in_progress(splits, views, cursor)]
        """Compressed views that are shown; the i-th is number 1 + i in the batches."""
        self.vocabulary: Vocabulary = vocabulary or vocabulary_of([*of], self.view_names)
        """The ids in the batches."""
        self._seq_len, self._rows = data.seq_len, data.rows
        self._rank, self._world_size = rank, world_size
        self._mixture = Mixture(mixture, [*views.values()], mean_lengths(splits, weights, views))
        self._stream = _stream(splits, weights, self.view_names, data, seed, cursor)
        self._packer = Packer(self._stream, self._mixture, data.seq_len + 1, Fresh(data.fresh_share, data.fresh_bytes))
        self._filler = Filler(self.vocabulary, self.view_names, data.seq_len)
        self._go_on(cursor)

    def batch(self, step: int) -> Batch:
        """The next global batch, its documents shown as the schedule says for optimizer step ``step``.

        Raises ``DatasetError`` where a shard is not as the manifest says.
        """
        rows = self._lay_out(step)
        arrays = self._filler.fill(rows[self._rank :: self._world_size])
        stats = stats_of(rows, self._seq_len, 1 + len(self.view_names), len(self.dataset_names))
        return Batch(*arrays, stats, self.cursor)

    def pass_over(self, step: int) -> None:
        """As ``batch``, where somebody else makes its arrays: nothing is read of most documents but their lengths."""
        self._lay_out(step)

    def _lay_out(self, step: int) -> list[Row]:
        odds = self._mixture.odds(self.schedule.at(step))
        self._stream.expect_raw((1 - odds.compressed) / self._world_size)
        return [self._packer.row(odds) for _ in range(self._rows)]

    @property
    def cursor(self) -> Cursor:
        """Where the stream stands: after the last batch that was made."""
        showing, dataset, draws = self._packer.showing, self._stream.dataset, tuple(self._stream.draws)
        if showing is None or dataset is None:
            return Cursor(draws)
        how, views, splicing = showing.appearance
        names = tuple(None if view == RAW else self.view_names[view - 1] for view in views)
        return Cursor(draws, showing.offset_symbols, dataset, how.value, names, splicing)

    def _go_on(self, cursor: Cursor) -> None:
        if cursor.how is None:
            return
        views = tuple(RAW if name is None else 1 + self.view_names.index(name) for name in cursor.views)
        appearance = Appearance(How(cursor.how), views, cursor.splicing and Splicing(*cursor.splicing))
        showing = self._packer.go_on(cursor.dataset, appearance, cursor.offset_symbols)
        if showing.appearance != appearance or cursor.offset_symbols >= showing.size_symbols:
            raise CheckpointError(
                f"the checkpoint stands at symbol {cursor.offset_symbols} of document "
                f"{cursor.draws[cursor.dataset]}, which has {showing.size_symbols}; it was made on another dataset: "
                "give the one it was trained on"
            )


def _stream(
    splits: Sequence[Split],
    weights: Sequence[float],
    names: Sequence[str],
    data: DataConfig,
    seed: int,
    cursor: Cursor,
) -> Stream:
    """Each dataset shuffled with a seed of its own. Raises ``DataError`` for one of which the filter leaves nothing."""
    draws = cursor.draws or (0,) * len(splits)
    if len(draws) != len(splits):
        raise CheckpointError(
            f"the checkpoint stands in {len(draws)} datasets, {len(splits)} are given; give those it was trained on"
        )
    only = Filter(data.where)
    datasets = [
        Documents(split, names, data.window_blocks, seed_of(seed, number), only, placebo=data.placebo)
        for number, split in enumerate(splits)
    ]
    for documents, draw in zip(datasets, draws, strict=True):
        documents.next_kept(draw)
    return Stream(datasets, weights, draws, seed)


def _view_weights(splits: Sequence[Split], asked: Mapping[str, float]) -> dict[str, float]:
    """The weight of each used view, in the manifest's order, however the settings are ordered."""
    shared = shared_views([split.dataset for split in splits], asked)
    return {name: asked.get(name, 1.0) for name in shared}


def _in_progress(splits: Sequence[Split], used: Mapping[str, float], cursor: Cursor) -> list[str]:
    """The view of the document in progress, if the settings have dropped it since: it is shown to its end."""
    names = [name for name in cursor.views if name is not None and name not in used]
    for name in names:
        for split in splits:
            if name not in split.dataset.vocabulary.views:
                raise CheckpointError(
                    f"the checkpoint stands in a document shown in view {name!r}, which {split.dataset.folder} does "
                    "not have; give the dataset it was trained on"
                )
    return names
