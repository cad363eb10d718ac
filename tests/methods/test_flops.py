"""What a method costs is counted by what it does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset.vocab import FIRST_BYTE, PAD
from pctrain.config import ModelConfig, RunConfig, SuperpositionConfig
from pctrain.data.batch import BAGS
from pctrain.methods.flops import flops_of_line, flops_of_steps
from pctrain.methods.superposition import Superposition
from pctrain.model.flops import flops_of_outputs, flops_of_step, flops_per_position
from pctrain.model.method import Prediction, Rows

N_IDS, WIDTH = 320, 8


def applied_to(config: SuperpositionConfig, sizes: list[int]) -> int:
    """To how many hidden states a batch with bags of these sizes applies the output matrix."""
    bags = np.full((1, 1 + len(sizes), config.bag), PAD, np.int64)
    for at, size in enumerate(sizes, 1):
        bags[0, at, :size] = FIRST_BYTE
    n = len(sizes)
    ids = torch.full((1, n), FIRST_BYTE)
    rows = Rows(ids, ids, ids, ids, ids, {BAGS: torch.from_numpy(bags)})
    weight = torch.zeros(N_IDS, WIDTH)
    whole = Prediction(torch.zeros(n, WIDTH), weight, ids.T, torch.ones(n, 1), torch.zeros(n), torch.arange(n))
    method = Superposition(config, WIDTH)
    method.init_weights(torch.Generator())
    return sum(len(part.hidden_ND) for part in method.predict(whole, rows, 0))


@given(st.sampled_from(["none", "in", "both"]), st.lists(st.integers(1, 4), min_size=1, max_size=20))
def test_outputs_are_counted_as_often_as_they_are_applied(order: str, sizes: list[int]) -> None:
    config = RunConfig(superposition=SuperpositionConfig(bag=4, units="bpe", order=order))
    plain = flops_of_steps(config, N_IDS, 1, {"raw": 0}, 0)
    bags = flops_of_steps(config, N_IDS, 1, {"raw": 0, "raw:bpe": len(sizes)}, sum(sizes))
    further = applied_to(config.superposition, sizes) - len(sizes)
    assert further == (sum(sizes) - len(sizes) if order == "both" else 0)
    assert bags - plain == further * 6 * config.model.width * N_IDS
    assert plain == flops_of_step(config, N_IDS)


def test_after_the_phase_of_bags_a_position_costs_what_it_did() -> None:
    config = RunConfig(superposition=SuperpositionConfig(bag=4, units="bpe", order="both"))
    assert flops_of_steps(config, N_IDS, 3, {"raw": 50, "raw:bpe": 0, "bpe": 10}, 40) == 3 * flops_of_step(
        config, N_IDS
    )
    assert flops_of_steps(RunConfig(), N_IDS, 3, {"raw": 50, "bpe": 10}, 40) == 3 * flops_of_step(RunConfig(), N_IDS)


def test_bags_of_one_length_are_counted_whole() -> None:
    config = RunConfig(superposition=SuperpositionConfig(bag=4, order="both"))
    line = {"steps": 2, "data": {"symbols_by_view": {"raw": 0, "raw:4": 10}, "compressed_bytes": 40}}
    further = flops_of_line(config, N_IDS, line) - 2 * flops_of_step(config, N_IDS)
    assert further == 30 * flops_of_outputs(config.model, N_IDS)


@pytest.mark.parametrize(("heads", "raw_heads", "ids"), [(1, 0, 1000), (2, 0, 2000), (1, 3, 1000 + 2 * 320)])
def test_outputs_are_a_part_of_a_position(heads: int, raw_heads: int, ids: int) -> None:
    model = ModelConfig(predict_heads=heads, raw_predict_heads=raw_heads)
    config = RunConfig(model=model)
    more = flops_per_position(config, 2000) - flops_per_position(config, 1000)
    assert flops_of_outputs(model, 1000) == 6 * model.width * ids
    assert more == 6 * model.width * 1000 * heads
