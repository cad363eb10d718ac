"""What a run says of itself before its first step: the model, the device and its memory, and how far it will read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pcdata.dataset import Split
from pctrain.data.corpus import dataset_weights, mean_lengths, symbols_of
from pctrain.data.mixture import How, Lengths, Mixture, Odds
from pctrain.data.schedule import Schedule
from pctrain.model.device import precision
from pctrain.model.memory import gigabytes
from pctrain.training.job import Job

_EMBEDDINGS: Final = ("embed.", "head.", "raw_head.")
_SAMPLED_STEPS: Final = 1000
"""Of the schedule, at most, to find how much is read."""
_DAY: Final = 86_400


def header(job: Job, flops_per_step: int, peak_flops: float, *, verified: bool = True) -> Iterator[str]:
    """A line each. ``peak_flops`` are those that all devices together could do in a second; ``verified`` is whether the
    data's files have the hashes that they should."""
    yield f"model   {_model(job)}"
    yield f"device  {_device(job)}"
    yield f"steps   {_steps(job)}"
    yield from (f"data    {line}" for line in _data(job))
    if not verified:
        yield "data    not verified (--no-verify): what is damaged would be trained on"
    days = (job.config.train.steps - job.first_step) * flops_per_step / peak_flops / _DAY
    if days > 1:
        yield f"time    at least {days:,.0f} days, even if every step were as fast as this device's largest products"


def _model(job: Job) -> str:
    sizes = {name: parameter.numel() for name, parameter in job.model.named_parameters()}
    beside = sum(size for name, size in sizes.items() if not name.startswith(_EMBEDDINGS))
    vocabulary = job.loader.vocabulary
    views = [f"{name} {vocabulary.views[name].n_symbols:,}" for name in job.loader.view_names]
    return (
        f"{sum(sizes.values()):,} parameters, {beside:,} beside the embeddings; "
        f"{vocabulary.padded_size:,} ids: {', '.join(['raw bytes', *views])}"
    )


def _device(job: Job) -> str:
    free, wanted = job.free_bytes, job.memory.total_bytes
    there_is = "" if free is None else f" of {gigabytes(free)} free{', which may not suffice' * (wanted > free)}"
    dtype = str(precision(job.device, job.config.train.dtype)).removeprefix("torch.")
    processes = f", {job.world.size} processes" if job.world.size > 1 else ""
    return f"{job.device}, {dtype}{processes}; wants about {gigabytes(wanted)} of memory{there_is}"


def _steps(job: Job) -> str:
    data, steps = job.config.data, job.config.train.steps
    going_on = f", {job.first_step:,} of them done" if job.first_step else ""
    return f"{steps:,}{going_on}, of {data.rows * data.seq_len:,} symbols each: {data.rows} rows of {data.seq_len:,}"


def _data(job: Job) -> Iterator[str]:
    """How long an epoch of each dataset is, and how many the whole run is expected to read."""
    epochs = expected_epochs(job)
    for name, split in _train_splits(job).items():
        read = f"the run reads about {_rounded(epochs[name])} epochs" if epochs else "as far as data.where keeps it"
        which = f"{name}: " if len(job.datasets) > 1 else ""
        yield f"{which}{split.raw_bytes / 1e6:,.1f} MB of raw bytes an epoch, {read}"


def _rounded(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def expected_epochs(job: Job) -> dict[str, float]:
    """By dataset, from the schedule and the mean lengths of documents; padding is left out. Empty where a filter
    chooses documents: how many there are is not known before they are read."""
    config, splits = job.config, _train_splits(job)
    if config.data.where:
        return {}
    weights = dataset_weights(splits, config.data.weights)
    views = {name: config.data.views.get(name, 0.0) for name in job.loader.view_names}
    lengths = mean_lengths([*splits.values()], weights, views)
    mixture = Mixture(config.mixture, [*views.values()], lengths)
    schedule = Schedule(config.mixture, config.train.steps)
    steps = range(0, config.train.steps, -(-config.train.steps // _SAMPLED_STEPS))
    sizes = [_mean_symbols(mixture.odds(schedule.at(step)), lengths) for step in steps]
    documents_a_step = config.data.rows * config.data.seq_len * sum(1 / size for size in sizes) / len(sizes)
    return {
        name: config.train.steps * documents_a_step * weight / sum(weights) / split.n_documents
        for (name, split), weight in zip(splits.items(), weights, strict=True)
    }


def _mean_symbols(odds: Odds, lengths: Lengths) -> float:
    """Of a document as it is shown."""
    both = lengths.raw + lengths.compressed
    if odds.how is How.SPLICE:
        both = odds.share * lengths.compressed + (1 - odds.share) * lengths.raw
    raw = 1 - odds.both - odds.compressed
    return max(1.0, odds.both * both + odds.compressed * lengths.compressed + raw * lengths.raw)


def bytes_per_target(job: Job) -> dict[str, float]:
    """By view, raw first: how many raw bytes one of its symbols stands for on average, by the manifests."""
    splits = [*_train_splits(job).values()]
    raw_bytes = sum(split.raw_bytes for split in splits)
    symbols = {name: sum(symbols_of(split, name) for split in splits) for name in job.loader.view_names}
    return {"raw": 1.0, **{name: raw_bytes / max(1, count) for name, count in symbols.items()}}


def _train_splits(job: Job) -> dict[str, Split]:
    return {name: dataset.split("train") for name, dataset in job.datasets.items()}
