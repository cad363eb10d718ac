"""How close is a training step to the speed of a bare loop, and how long does it wait for data?

Contestants take turns at the same number of steps of the same shapes; ratios are within a round. *pctrain* is the loop
of ``pctrain fit`` without its log and its checkpoints: the loader makes batches ahead, then ``take_step``. *Bare* is
the least that a loop must do: an identical model, batches ready in the device's memory, forward, loss, backward,
clipping, AdamW. It runs twice: with torch's cross entropy of whole logits, the usual way, and with pctrain's loss,
which never holds them all; the goal refers to the faster one. *Llama* is from ``transformers``, with the same shapes
and its own loss, on rows of one sample each, so without a mask.

    OMP_NUM_THREADS=1 python -m tools.bench_train [FOLDER] [--rounds 5] [--steps 5] [--preset tiny] [--set NAME=VALUE …]

Without a GPU the preset is ``tiny`` (512 positions, 4 rows, float32), with one it is ``base`` (150 M parameters,
bfloat16, 4,096 positions) with 32 rows per step. Goals: 0.97 of the bare loop, waiting 0.5 %; on a GPU 0.45 of its
speed in matrix products. Prints a table (wall time) and one JSON line.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcdata.dataset import Dataset
from pctrain.config import RunConfig, resolve
from pctrain.data.batch import IGNORE
from pctrain.data.prefetch import Prefetcher
from pctrain.model.decoder import LanguageModel
from pctrain.model.device import autocast, choose_device
from pctrain.model.flops import flops_per_position, matmul_flops_per_second
from pctrain.model.method import Rows
from pctrain.training.optim import learning_rate, make_optimizer
from pctrain.training.step import micro_batches, take_step
from pctrain.training.trainer import Trainer
from tools.benching import Figure, in_turn, print_json, print_table, rate, ratio
from tools.corpora import corpus_parser, dataset_of
from tools.llama import llama

PREPARED = 4
"""Batches of a bare loop, reused."""
STEPS = 1_000_000
"""Length of the run whose first steps are measured."""


def settings(device: torch.device, preset: str | None, asked: Sequence[str]) -> RunConfig:
    """Documents alone in one view, as in most of a run, so that rows look alike in every step."""
    usual = [f"train.steps={STEPS}", "mixture.warmup_fraction=0"]
    usual += ["data.rows=32"] if device.type == "cuda" else []
    return resolve(preset or ("base" if device.type == "cuda" else "tiny"), None, [*usual, *asked])


class Pctrain:
    """Each call takes ``steps`` steps of the real loop."""

    def __init__(self, trainer: Trainer, batches: Prefetcher, steps: int) -> None:
        self._trainer, self._batches, self._steps, self._done = trainer, batches, steps, 0
        self.waits: list[float] = []
        """Seconds waited for batches, by call."""

    def __call__(self) -> None:
        before = self._batches.wait_seconds
        for step in range(self._done, self._done + self._steps):
            rate = learning_rate(step, self._trainer.config.train.steps, self._trainer.config.optim)
            take_step(self._trainer, rate, self._batches.next_batch())
        self._done += self._steps
        finish(self._trainer.device)
        self.waits.append(self._batches.wait_seconds - before)


def bare(
    model: nn.Module, loss: Callable[[Rows], Tensor], batches: Iterator[list[Rows]], config: RunConfig, steps: int
) -> Callable[[], None]:
    """A loop without anything else; ``loss`` gives the sum over the targets of some rows."""
    device = next(model.parameters()).device
    optimizer = make_optimizer(model, config.optim)

    def run() -> None:
        for _ in range(steps):
            batch = next(batches)
            targets = sum((micro[1] != IGNORE).sum() for micro in batch)
            for micro in batch:
                with autocast(device, config.runtime.dtype):
                    total = loss(micro)
                torch.autograd.backward(total / targets)
            nn.utils.clip_grad_norm_(model.parameters(), config.optim.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        finish(device)

    return run


def torch_loss(model: LanguageModel) -> Callable[[Rows], Tensor]:
    """Whole logits, and torch's cross entropy of them."""

    def loss(micro: Rows) -> Tensor:
        inputs_RT, targets_RT, positions_RT, samples_RT, *_ = micro
        logits_NV = model(inputs_RT, positions_RT, samples_RT).flatten(0, 1)
        return F.cross_entropy(logits_NV, targets_RT.flatten(), ignore_index=IGNORE, reduction="sum")

    return loss


def their_model(config: RunConfig, n_ids: int, device: torch.device) -> tuple[nn.Module, Callable[[Rows], Tensor]]:
    """transformers' model of the same shape. Raises ``ImportError`` if it is not installed."""
    model = llama(config.model, n_ids, config.data.seq_len, use_cache=False).to(device)
    if config.runtime.compile:
        for layer in model.model.layers:
            layer.compile()

    def loss(micro: Rows) -> Tensor:
        mean: Tensor = model(input_ids=micro[0], labels=micro[0]).loss
        return mean * micro[0].numel()

    return model, loss


def prepared(trainer: Trainer) -> list[list[Rows]]:
    """Some batches on the device, in micro-batches."""
    rows = trainer.config.data.rows
    batches = (trainer.loader.next_batch() for step in range(PREPARED))
    return [list(micro_batches(batch, trainer.config.runtime.micro_rows, rows, trainer.device)) for batch in batches]


def finish(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def contestants(dataset: Dataset, config: RunConfig, folder: Path, steps: int) -> dict[str, Callable[[], None]]:
    """All except pctrain, each with its own model."""
    one, other = (Trainer.prepare(dataset, folder / name, config) for name in ("one", "other"))
    batches = prepared(one)
    runs = {
        "bare, torch's cross entropy": bare(one.model, torch_loss(one.model), cycle(batches), config, steps),
        "bare, our cross entropy": bare(
            other.model, lambda micro: other.objective(*micro).nats, cycle(batches), config, steps
        ),
    }
    try:
        model, loss = their_model(config, one.loader.vocabulary.padded_size, one.device)
    except ImportError as error:
        print(f"transformers' Llama is left out: {error}")
    else:
        runs["transformers' Llama"] = bare(model, loss, cycle(batches), config, steps)
    return runs


def measure(dataset: Dataset, config: RunConfig, rounds: int, steps: int) -> dict[str, Any]:
    """The content of the JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer.prepare(dataset, Path(folder) / "pctrain", config)
        with Prefetcher(trainer.loader, STEPS, config.runtime.prefetch) as batches:
            ours = Pctrain(trainer, batches, steps)
            seconds = in_turn({"pctrain": ours, **contestants(dataset, config, Path(folder), steps)}, rounds)
    positions = steps * config.data.rows * config.data.seq_len
    n_ids = trainer.loader.vocabulary.padded_size
    flops = positions * flops_per_position(config, n_ids)
    ceiling = matmul_flops_per_second(trainer.device, config.runtime.dtype)
    faster = min((name for name in seconds if name.startswith("bare")), key=lambda name: sum(seconds[name]))
    throughput = [
        {
            "name": name,
            "k_symbols_per_s": rate(positions / 1e3, taken),
            "of_bare": ratio(seconds[faster], taken),
            "of_ceiling": rate(flops / ceiling, taken),
        }
        for name, taken in seconds.items()
    ]
    made_meanwhile = (steps - config.runtime.prefetch) / steps  # the others were ready when the round began
    waits = zip(ours.waits[1:], seconds["pctrain"], strict=True)
    wait = Figure.of([waited / taken / made_meanwhile for waited, taken in waits])
    return {
        "device": torch.cuda.get_device_name() if trainer.device.type == "cuda" else "cpu",
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "bare": faster,
        "ceiling_gflops": ceiling / 1e9,
        "data_wait": wait,
        "throughput": throughput,
    }


def main() -> None:
    parser = corpus_parser(__doc__, rounds=5)
    parser.add_argument("--steps", type=int, default=5, help="steps per round")
    parser.add_argument("--preset", help="tiny on a CPU, base on a GPU")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting; may be repeated")
    given = parser.parse_args()
    config = settings(choose_device("auto"), given.preset, given.set)
    if given.steps <= config.runtime.prefetch:
        parser.error(f"--steps must be more than the {config.runtime.prefetch} batches that are made ahead")
    found = measure(dataset_of(given.corpus), config, given.rounds, given.steps)
    print(f"{found['parameters']:,} parameters on {found['device']}, {config.data.rows} x {config.data.seq_len:,}")
    columns = {
        "steps of training": "{name}",
        "k symbols/s": "{k_symbols_per_s:.2f}",
        f"of {found['bare']}": "{of_bare:.2f}",
        "of the ceiling": "{of_ceiling:.2f}",
    }
    print_table(columns, found["throughput"])
    print(f"\nwaiting for data: {found['data_wait']:.3%}; matrix products: {found['ceiling_gflops']:,.0f} GFLOP/s")
    print_json("train", found, "numpy", "pyarrow", "torch")


if __name__ == "__main__":
    main()
