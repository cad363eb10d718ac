"""What torch cannot do on this machine is told in a sentence, and what is a bug is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pctrain.config import resolve
from pctrain.errors import PctrainError
from pctrain.training import loop
from pctrain.training.explained import explained
from pctrain.training.loop import fit
from tests.made_run import SETTINGS, make_dataset

CONFIG = resolve(None, None, SETTINGS)
SAVE = r"lower runtime\.micro_rows \(now 4\) or data\.seq_len \(now 64\), or take a smaller model"


def test_an_allocation_that_fails_is_told_with_what_to_change() -> None:
    with pytest.raises(PctrainError, match=rf"\(\d+ bytes more needed\); {SAVE}"), explained(CONFIG):
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(PctrainError, match=rf"\([\d.]+ PiB more needed\); {SAVE}"), explained(CONFIG):
        np.empty(1 << 52, np.uint8)
    said = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79 GiB"
    with pytest.raises(PctrainError, match=r"\(20\.00 GiB more needed\)"), explained(CONFIG):
        raise torch.OutOfMemoryError(said)
    with pytest.raises(PctrainError, match=rf"not enough memory; {SAVE}"), explained(CONFIG):
        raise RuntimeError("CUDA error: out of memory")
    with pytest.raises(PctrainError, match=rf"not enough memory; {SAVE}"), explained(CONFIG):
        raise MemoryError


def test_a_bug_keeps_its_traceback() -> None:
    for bug in (RuntimeError("shapes do not match"), ValueError("tried to allocate 3 bytes"), KeyError("x")):
        with pytest.raises(type(bug)) as raised, explained(CONFIG):
            raise bug
        assert raised.value is bug


def test_a_fit_that_runs_out_of_memory_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_step(*_: Any) -> Any:
        return torch.empty(1 << 60, dtype=torch.uint8)

    monkeypatch.setattr(loop, "take_step", take_step)
    with pytest.raises(PctrainError, match=SAVE):
        fit(make_dataset(tmp_path / "data").folder, tmp_path / "run", CONFIG, quiet=True)


@pytest.mark.slow
def test_a_model_that_cannot_be_compiled_says_so_and_what_to_do(tmp_path: Path) -> None:
    """Torch hands paths to the compiler without quotes, so that one with a space is two."""
    dataset = make_dataset(tmp_path / "data")
    words = [word for setting in [*SETTINGS, "runtime.compile=true"] for word in ("--set", setting)]
    result = subprocess.run(
        [sys.executable, "-m", "pctrain", "fit", str(dataset.folder), "-o", str(tmp_path / "run"), "--quiet", *words],
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "my cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    (sentence,) = result.stderr.splitlines()
    assert sentence.startswith("error: torch could not compile the model (")
    assert sentence.endswith("); run again with --set runtime.compile=false")
