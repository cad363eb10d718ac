"""On a GPU: every way in which a run can be set up there learns, resumes, and is measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pctrain.config import resolve
from pctrain.inference.evaluate import evaluate_run
from pctrain.training.loop import fit
from tests.made_run import SETTINGS, VIEW, make_dataset

pytestmark = pytest.mark.gpu

RAW = ("mixture.mode=raw", "mixture.warmup_fraction=0")
WAYS = {
    "bfloat16": (),
    "float32": ("runtime.dtype=float32",),
    "mask": ("runtime.attention=sdpa",),
    "compiled": ("runtime.compile=true",),
    "recomputed": ("runtime.activation_checkpointing=true",),
    "heads": ("model.predict_heads=2", "model.raw_predict_heads=4", "train.softmax=own"),
    "superposition": (*RAW, "superposition.bag=3", "runtime.compile=true"),
    "unit bags": ("superposition.bag=8", f"superposition.units={VIEW}", "superposition.order=both"),
    "boundaries": (*RAW, f"boundaries.units={VIEW}", "boundaries.prior=start", "boundaries.suffix=512"),
    "alignment": ("mixture.mode=translation", "alignment.weight=0.1"),
    "patched": (*RAW, "model.kind=patched", "patched.scratchpads=true"),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", WAYS)
def test_a_run_learns_goes_on_and_is_measured(way: str, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    shape = ("model.width=64", "model.attention_heads=4", 'runtime.device="cuda"', *WAYS[way])
    for steps in (8, 16):
        config = resolve(None, None, [*SETTINGS, *shape, f"train.steps={steps}", "optim.lr=1e-2"])
        assert fit(dataset.folder, tmp_path / "run", config, quiet=True).step == steps
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "train"]
    assert losses[-1] < losses[0] - 0.5
    assert all(0 < line["utilisation"] < 1 for line in lines if line["kind"] == "train")
    found = evaluate_run(tmp_path / "run", device="cuda", quiet=True)
    assert found is not None
    assert found.to_dict()["raw"]["bits_per_byte"] < 8
    assert torch.cuda.max_memory_allocated() > 0
