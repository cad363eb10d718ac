"""What a run prints before its first step: the model, the device and its memory, and how much it will read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pcdata.dataset import Split
from pcdata.text import size
from pctrain.config import SuperpositionConfig
from pctrain.data.datasets import dataset_weights, mean_lengths, symbols_of
from pctrain.data.mixture import Arrangement, Lengths, Mixture, Odds
from pctrain.data.schedule import Schedule
from pctrain.model.device import precision
from pctrain.model.memory import gigabytes
from pctrain.model.size import size_of
from pctrain.training.trainer import Trainer

_SAMPLED_STEPS: Final = 1000
"""The most steps of the schedule that are sampled, to find how much is read."""
_DAY: Final = 86_400


def header(trainer: Trainer, flops_per_step: int, peak_flops: float, *, verified: bool = True) -> Iterator[str]:
    """One line per topic. ``peak_flops`` is the peak per second of all devices together; ``verified`` is whether the
    hashes of the data were checked."""
    yield f"model   {_model(trainer)}"
    yield f"device  {_device(trainer)}"
    yield f"steps   {_steps(trainer)}"
    yield from (f"data    {line}" for line in _data(trainer))
    if not verified:
        yield "data    not verified (--no-verify): damaged data would go unnoticed"
    days = (trainer.config.train.steps - trainer.first_step) * flops_per_step / peak_flops / _DAY
    if days > 1:
        yield f"time    at least {days:,.0f} days, even if every step were as fast as this device's largest products"


def _model(trainer: Trainer) -> str:
    model = size_of(trainer.model)
    vocabulary, loader = trainer.loader.vocabulary, trainer.loader
    views = [f"{name} {ids.n_symbols:,}" for name, ids in zip(loader.views.names, loader.views.ids, strict=True)]
    return (
        f"{model.parameters:,} parameters, {model.without_embeddings:,} without embeddings; "
        f"{vocabulary.padded_size:,} ids: {', '.join(['raw bytes', *views])}"
    )


def _device(trainer: Trainer) -> str:
    free, wanted = trainer.free_bytes, trainer.memory.total_bytes
    there_is = "" if free is None else f", {gigabytes(free)} free{', which may not be enough' * (wanted > free)}"
    dtype = str(precision(trainer.device, trainer.config.runtime.dtype)).removeprefix("torch.")
    processes = f", {trainer.world.size} processes" if trainer.world.size > 1 else ""
    return f"{trainer.device}, {dtype}{processes}; needs about {gigabytes(wanted)} of memory{there_is}"


def _steps(trainer: Trainer) -> str:
    data, steps = trainer.config.data, trainer.config.train.steps
    going_on = f", {trainer.first_step:,} of them done" if trainer.first_step else ""
    return f"{steps:,}{going_on}, of {data.rows * data.seq_len:,} symbols each: {data.rows} rows of {data.seq_len:,}"


def _data(trainer: Trainer) -> Iterator[str]:
    """The size of an epoch of each dataset, and how many the whole run is expected to read."""
    epochs = expected_epochs(trainer)
    for name, split in _train_splits(trainer).items():
        read = f"the run reads about {_rounded(epochs[name])} epochs" if epochs else "as far as data.where keeps it"
        which = f"{name}: " if len(trainer.datasets) > 1 else ""
        yield f"{which}{size(split.raw_bytes)} of raw bytes an epoch, {read}"


def _rounded(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def expected_epochs(trainer: Trainer) -> dict[str, float]:
    """By dataset, from the schedule and the mean lengths of documents, without padding. Empty with a filter: how many
    documents it keeps is not known before they are read."""
    config, splits = trainer.config, _train_splits(trainer)
    if config.data.where:
        return {}
    weights = dataset_weights(splits, config.data.weights)
    views = {name: config.data.views.get(name, 0.0) for name in trainer.loader.views.symbols}
    lengths = mean_lengths([*splits.values()], weights, views)
    mixture = Mixture(config.mixture, [*views.values()], lengths)
    schedule = Schedule.of(config)
    steps = range(0, config.train.steps, -(-config.train.steps // _SAMPLED_STEPS))
    in_bags = _mean_bags(config.superposition, [*splits.values()], weights)
    sizes = [_mean_symbols(mixture.odds(schedule.at(step)), lengths, in_bags) for step in steps]
    documents_a_step = config.data.rows * config.data.seq_len * sum(1 / each for each in sizes) / len(sizes)
    return {
        name: config.train.steps * documents_a_step * weight / sum(weights) / split.n_documents
        for (name, split), weight in zip(splits.items(), weights, strict=True)
    }


def _mean_bags(superposition: SuperpositionConfig, splits: Sequence[Split], weights: Sequence[float]) -> float:
    """Mean bags of a document, from the manifests, which count symbols and not units."""
    name = superposition.units or superposition.view
    lengths = mean_lengths(splits, weights, {name: 1.0} if name else {})
    if superposition.units:
        return lengths.compressed
    return (lengths.compressed if name else lengths.raw) / max(1, superposition.bag)


def _mean_symbols(odds: Odds, lengths: Lengths, in_bags: float) -> float:
    """Mean symbols of a document as it is shown."""
    if odds.in_bags:
        return max(1.0, in_bags)
    both = lengths.raw + lengths.compressed
    if odds.arrangement is Arrangement.SPLICE:
        both = odds.share * lengths.compressed + (1 - odds.share) * lengths.raw
    raw = 1 - odds.both - odds.compressed
    return max(1.0, odds.both * both + odds.compressed * lengths.compressed + raw * lengths.raw)


def bytes_per_target(trainer: Trainer) -> dict[str, float]:
    """By view, raw first: the mean raw bytes that one of its symbols encodes, from the manifests. In bags, the loss is
    the mean over a bag's symbols, so it is that of one of them."""
    splits = [*_train_splits(trainer).values()]
    raw_bytes = sum(split.raw_bytes for split in splits)
    superposition = trainer.config.superposition
    symbols = {name: sum(symbols_of(split, name) for split in splits) for name in trainer.loader.views.symbols}
    found = {"raw": 1.0, **{name: raw_bytes / max(1, count) for name, count in symbols.items()}}
    if superposition.bag:
        found[superposition.name] = found[superposition.view or "raw"]
    return found


def _train_splits(trainer: Trainer) -> dict[str, Split]:
    return {name: dataset.split("train") for name, dataset in trainer.datasets.items()}
