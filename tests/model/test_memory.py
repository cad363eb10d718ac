"""The estimate of a step's memory against what torch keeps, and what a machine has left against made-up ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pctrain.config import RunConfig, resolve
from pctrain.errors import ConfigError
from pctrain.model.decoder import Decoder, init_weights
from pctrain.model.device import autocast
from pctrain.model.memory import Memory, check_fits, free_bytes, memory_of_step
from pctrain.training.optim import make_optimizer

CPU = torch.device("cpu")
N_IDS = 512
SHAPES = {
    "tiny": (),
    "long": ("data.seq_len=2048", "data.rows=1"),
    "wide": ("model.width=256", "model.hidden=1024", "data.seq_len=128"),
    "many layers": ("model.layers=9",),
    "bfloat16": ("runtime.dtype=bfloat16",),
    "reach": ("model.reach=48",),
    "recomputed": ("runtime.activation_checkpointing=true",),
}


def kept_by_torch(config: RunConfig) -> int:
    """Bytes that a forward pass keeps for backward, weights left out, each tensor's memory once."""
    model = Decoder(config.model, N_IDS)
    init_weights(model, 0)
    model.recompute = config.runtime.activation_checkpointing
    rows, positions = config.runtime.micro_rows or config.data.rows, config.data.seq_len
    ids = torch.randint(64, 320, (rows, positions))
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast(CPU, config.runtime.dtype):
        model.hidden(ids, torch.arange(positions)[None].repeat(rows, 1), torch.ones_like(ids))
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights)


@pytest.mark.parametrize("shape", SHAPES)
def test_activations_are_what_torch_keeps_and_a_quarter_more(shape: str) -> None:
    config = resolve("tiny", None, SHAPES[shape])
    expected = 1.25 * kept_by_torch(config)
    found = memory_of_step(config, N_IDS, CPU).activations_bytes
    if shape == "recomputed":  # one layer's insides come on top when it is its turn
        inside = memory_of_step(resolve("tiny", None, ["model.layers=1"]), N_IDS, CPU).activations_bytes
        expected += inside
    assert found == pytest.approx(expected, rel=0.15)


def test_the_state_is_that_of_weights_gradients_and_optimizer() -> None:
    config = resolve("tiny", None, [])
    model = Decoder(config.model, N_IDS)
    init_weights(model, 0)
    optimizer = make_optimizer(model, config.optim)
    model(torch.zeros(1, 8, dtype=torch.long)).sum().backward()
    optimizer.step()
    averages = [value for state in optimizer.state.values() for value in state.values() if value.ndim]
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    expected = sum(tensor.nbytes for tensor in (*model.parameters(), *gradients, *averages))
    assert memory_of_step(config, N_IDS, CPU).state_bytes == expected
    assert memory_of_step(config, N_IDS, CPU, shards=4, ranks=4).state_bytes == expected // 4


def test_pieces_of_a_batch_and_more_processes_take_less() -> None:
    def activations(*settings: str, **more: Any) -> int:
        config = resolve("tiny", None, ["data.rows=4", *settings])
        return memory_of_step(config, N_IDS, CPU, **more).activations_bytes

    assert activations() == activations("data.rows=16", "runtime.micro_rows=4") == activations("data.rows=16", ranks=4)
    assert activations(flex=True) < activations() < activations("data.rows=16") == pytest.approx(4 * activations())


def machine(root: Path, available_kb: int, groups: str, files: dict[str, str]) -> Path:
    for name, text in {
        "proc/meminfo": f"MemTotal: 64000 kB\nMemFree: 1 kB\nMemAvailable:   {available_kb} kB\n",
        "proc/self/cgroup": groups,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2 = {"a/memory.max": "max\n", "a/b/memory.max": "9000000\n", "a/b/memory.stat": "file 8000000\nanon 1000000\n"}
V1 = {"memory/c/memory.limit_in_bytes": "7000000\n", "memory/c/memory.stat": "cache 5\ntotal_rss 500000\n"}
ROOT = {"memory/memory.limit_in_bytes": "6000000\n", "memory/memory.stat": "total_rss 4000000\n"}


@pytest.mark.parametrize(
    ("groups", "files", "left"),
    [
        ("", {}, 32_000_000 * 1024),
        ("0::/a/b/c\n", V2, 8_000_000),
        ("0::/../outside\n", V2, 32_000_000 * 1024),
        ("9:cpu:/\n4:memory:/c\n0::/\n", V1, 6_500_000),
        ("4:memory:/not/seen/in/here\n", V1 | ROOT, 2_000_000),
        ("4:memory:/c\n0::/a/b\n", V1 | V2, 6_500_000),
    ],
    ids=["none", "version 2", "outside", "version 1", "container", "both"],
)
def test_what_is_left_is_the_least_of_machine_and_control_groups(
    tmp_path: Path, groups: str, files: dict[str, str], left: int
) -> None:
    assert free_bytes(CPU, machine(tmp_path, 32_000_000, groups, files)) == left


def test_a_system_that_does_not_say_what_is_free_refuses_nothing(tmp_path: Path) -> None:
    assert free_bytes(CPU, tmp_path) is None
    check_fits(Memory(10**15, 10**15, 0), None, resolve("tiny", None, []), CPU)


@pytest.mark.parametrize(
    ("state", "activations", "fits"), [(9, 10, True), (11, 0, False), (1, 18, True), (1, 20, False)]
)
def test_only_what_clearly_does_not_fit_is_refused(state: int, activations: int, fits: bool) -> None:
    wanted, config = Memory(state * 10**9, activations * 10**9, 0), resolve("tiny", None, [])
    if fits:
        return check_fits(wanted, 10**10, config, CPU)
    with pytest.raises(ConfigError, match=rf"about {state + activations} GB of memory \(.*, cpu has 10 GB free; lower"):
        check_fits(wanted, 10**10, config, CPU)
