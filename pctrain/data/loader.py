"""Batches of a split: the only way from shards to training.

The sequence of global batches is a function of the dataset, the settings and the step. A global batch is a fixed number
of rows from one window of one global stream of rows (``shuffle``). Each of W ranks takes every W-th of them, so W need
not divide their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from pcdata.dataset import Dataset, Split, Vocabulary
from pctrain.config import DataConfig, MixtureConfig, SuperpositionConfig
from pctrain.data.batch import Batch
from pctrain.data.cursor import Cursor, StreamPlace, StreamSettings
from pctrain.data.datasets import by_name, dataset_weights, mean_lengths, shared_views
from pctrain.data.documents import Documents
from pctrain.data.extras import Extras
from pctrain.data.filling import Filler
from pctrain.data.filter import Filter
from pctrain.data.layout import Row
from pctrain.data.mixture import RAW, Appearance, Arrangement, Mixture, Splicing
from pctrain.data.order import seed_of
from pctrain.data.packing import Packer, stats_of
from pctrain.data.placement import ShortSampling
from pctrain.data.schedule import Schedule
from pctrain.data.shuffle import RowWindow, batches_of_window
from pctrain.data.stream import Stream
from pctrain.data.used_views import UsedViews
from pctrain.errors import CheckpointError, ConfigError, DataError


class Loader:
    """This rank's rows of the global batches, in order."""

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
        superposition: SuperpositionConfig | None = None,
        units: str = "",
        suffixes: bool = False,
    ) -> None:
        """Begin at ``cursor``, or with the first document of the first epoch; ``steps`` is the length of the whole run.

        ``splits`` are of one dataset or of several; ``vocabulary`` is that of a run being resumed; ``units`` is the
        view whose units batches number (``batch.UNITS``), if any, and ``suffixes`` is whether they have its symbols too
        (``batch.SUFFIXES``). Raises ``ConfigError`` for a view that a dataset lacks or that differs between datasets,
        for ``suffixes`` of a view with several symbols per unit, and if the mixture needs views and there are none;
        ``DataError`` for a split without documents, or without any that the filter keeps; ``CheckpointError`` for a
        cursor that is impossible here.
        """
        named = _named([splits] if isinstance(splits, Split) else splits)
        cursor = cursor or Cursor()
        self._splits = [*named.values()]
        superposition = superposition or SuperpositionConfig()
        datasets = [split.dataset for split in self._splits]
        self._bags_fraction = superposition.steps_fraction
        self._settings = _settings(named, data, mixture, steps, self._bags_fraction)
        self.dataset_names: list[str] = [*named]
        """In the order of the cursor and the sums of a batch."""
        self.views = UsedViews.of(datasets, self._settings.views, cursor, superposition, units, vocabulary)
        """The i-th of ``views.names`` is number 1 + i in the batches."""
        if suffixes:
            _check_suffixes(datasets[0], units)
        self._seq_len, self._rows, self._shuffle_rows = data.seq_len, data.rows, data.shuffle_rows
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._stream = _stream(self._splits, self.views, data, seed, cursor.place)
        self._packer = Packer(
            self._stream, data.seq_len + 1, ShortSampling(data.short_sample_share, data.short_sample_bytes)
        )
        self._filler = Filler(self.vocabulary, self.views.ids, data.seq_len)
        self._extras = Extras(data.seq_len + 1, self.views, units, suffixes)
        self._cursor = cursor
        self._window: RowWindow | None = None
        self._draw_by(cursor.settings or self._settings)
        self._resume(cursor.place)

    def next_batch(self) -> Batch:
        """The next global batch. Raises ``DatasetError`` if a shard is not as the manifest says."""
        rows = self._next_rows()
        own = rows[self._rank :: self._world_size]
        arrays, extras = self._filler.fill(own), self._extras.fill(own)
        stats, shown = stats_of(rows, self._seq_len, 1 + len(self.views.names), len(self.dataset_names))
        return Batch(arrays, extras, shown, stats, self._cursor)

    def pass_over(self) -> None:
        """Skip a batch whose arrays another process makes: for most documents, only their lengths are read."""
        self._next_rows()

    @property
    def view_names(self) -> Sequence[str]:
        """Views that documents appear in, besides raw bytes."""
        return self.views.names

    @property
    def vocabulary(self) -> Vocabulary:
        """The ids in the batches."""
        return self.views.vocabulary

    @property
    def cursor(self) -> Cursor:
        """The position after the last batch that was made."""
        return self._cursor

    def _next_rows(self) -> list[Row]:
        """The rows of the next batch; advances the cursor past it."""
        before, step = self._cursor, self._cursor.step
        window = self._window or self._lay_out(before)
        rows = window.rows(step)
        if step + 1 < window.end_step:
            settings = before.settings or self._settings
            self._window, self._cursor = window, Cursor(step + 1, window.first_step, before.place, settings)
        else:
            self._window, self._cursor = None, Cursor(step + 1, step + 1, self._place())
        return rows

    def _lay_out(self, cursor: Cursor) -> RowWindow:
        """The window in progress with its own settings, or the next one with the current settings.

        Raises ``CheckpointError`` if the window has fewer batches than were already made of it.
        """
        if self._drawn_by != (settings := cursor.settings or self._settings):
            self._draw_by(settings)
        first, schedule, mixture = cursor.window_step, self._schedule, self._mixture
        self._stream.forget()
        odds = mixture.odds(schedule.at(first))
        read_raw = 1.0 if self.views.bags is not None else 1 - odds.compressed
        self._stream.expect_raw(read_raw / self._world_size)
        if self.views.bags is not None and not odds.in_bags and not self.views.bags_in_mixture:
            self._packer.leave_bags(self.views.bags)

        def rows_of(step: int) -> list[Row]:
            odds = mixture.odds(schedule.at(step))
            return [self._packer.row(mixture, odds) for _ in range(self._rows)]

        batches = batches_of_window(schedule, first, self._rows, self._shuffle_rows)
        window = RowWindow(first, batches, rows_of, self._seed)
        if cursor.step >= window.end_step:
            raise CheckpointError(
                f"the checkpoint is after step {cursor.step}, in a window of rows that ends at step "
                f"{window.end_step}; another pctrain made it: continue with that one, or start over with --restart"
            )
        return window

    def _draw_by(self, settings: StreamSettings) -> None:
        weights = [*settings.weights.values()]
        lengths = mean_lengths(self._splits, weights, settings.views)
        self._drawn_by = settings
        self._schedule = Schedule(settings.mixture, settings.steps, self._bags_fraction)
        weights_of_views = [settings.views.get(name, 0.0) for name in self.views.names]
        self._mixture = Mixture(settings.mixture, weights_of_views, lengths, self.views.bags and self.views.bags.number)
        self._stream.draw_by(weights)

    def _place(self) -> StreamPlace:
        """The position after the last row that was laid out."""
        placement, dataset, draws = self._packer.placement, self._stream.dataset, tuple(self._stream.draws)
        if placement is None or dataset is None:
            return StreamPlace(draws)
        arrangement, views, splicing = placement.appearance
        names = tuple(None if view == RAW else self.views.names[view - 1] for view in views)
        return StreamPlace(draws, placement.offset_symbols, dataset, arrangement.value, names, splicing)

    def _resume(self, place: StreamPlace) -> None:
        if place.arrangement is None:
            return
        views = tuple(RAW if name is None else 1 + self.views.names.index(name) for name in place.views)
        appearance = Appearance(Arrangement(place.arrangement), views, place.splicing and Splicing(*place.splicing))
        placement = self._packer.resume(place.dataset, appearance, place.offset_symbols)
        if placement.appearance != appearance or place.offset_symbols >= placement.size_symbols:
            raise CheckpointError(
                f"the checkpoint is at symbol {place.offset_symbols} of document "
                f"{place.draws[place.dataset]}, which has {placement.size_symbols}; it was made on another dataset: "
                "give the one it was trained on"
            )


def _named(splits: Sequence[Split]) -> dict[str, Split]:
    """Splits by the names of their datasets, sorted. Raises ``DataError`` for one without documents."""
    for split in splits:
        if not split.n_documents:
            raise DataError(
                f"the {split.name} split of {split.dataset.folder} has no documents; build it from more documents"
            )
    of = {split.dataset: split for split in splits}
    return {name: of[dataset] for name, dataset in by_name(of).items()}


def _settings(
    named: Mapping[str, Split], data: DataConfig, mixture: MixtureConfig, steps: int, bags_fraction: float
) -> StreamSettings:
    """Raises ``ConfigError`` if the mixture needs views and there are none."""
    schedule, splits = Schedule(mixture, steps, bags_fraction), [*named.values()]
    views: dict[str, float] = {}
    if not schedule.raw_only:
        shared = shared_views([split.dataset for split in splits], data.views)
        views = {name: data.views.get(name, 1.0) for name in shared}
        if not views:
            raise ConfigError(
                f"{splits[0].dataset.folder} has no compressed views, but the mixture "
                f"({' and '.join(schedule.modes)}) needs some; "
                "build it with --compressor, or train on raw bytes alone with --mode raw"
            )
    weights = dict(zip(named, dataset_weights(named, data.weights), strict=True))
    return StreamSettings(mixture, steps, views, weights)


def _check_suffixes(dataset: Dataset, name: str) -> None:
    """Raises ``ConfigError`` if a view has several symbols per unit."""
    view = dataset.manifest.view(name)
    if view.max_unit_symbols > 1:
        raise ConfigError(
            f"boundaries.suffix needs units of one symbol each, as those of a bpe; view {name!r} has units of up to "
            f"{view.max_unit_symbols}; name another in boundaries.units, or set boundaries.suffix=0"
        )


def _stream(splits: Sequence[Split], views: UsedViews, data: DataConfig, seed: int, place: StreamPlace) -> Stream:
    """Each dataset is shuffled with its own seed. Raises ``DataError`` for one in which no document matches the
    filter."""
    draws = place.draws or (0,) * len(splits)
    if len(draws) != len(splits):
        raise CheckpointError(
            f"the checkpoint uses {len(draws)} datasets, {len(splits)} are given; give those it was trained on"
        )
    only = Filter(data.where)
    first_numbers = accumulate((split.n_documents for split in splits), initial=0)
    datasets = [
        Documents(
            split,
            views.symbols,
            data.window_blocks,
            seed_of(seed, number),
            only,
            first_number=first,
            placebo=data.placebo,
            bags=views.bags,
        )
        for number, (split, first) in enumerate(zip(splits, first_numbers, strict=False))
    ]
    for documents, draw in zip(datasets, draws, strict=True):
        documents.next_kept(draw)
    return Stream(datasets, draws, seed)
