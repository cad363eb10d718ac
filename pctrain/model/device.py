"""Where a model runs, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from pctrain.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """``auto`` is the GPU if there is one. Raises ``ConfigError`` for a device that this machine does not have."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"runtime.device must be auto, cpu, cuda or cuda:N, got {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"runtime.device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"runtime.device is {name}, this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def precision(device: torch.device, dtype: str) -> torch.dtype:
    """The dtype of matrix products; ``auto`` is bfloat16 on a GPU and float32 on a CPU."""
    half = dtype == "bfloat16" or (dtype == "auto" and device.type == "cuda")
    return torch.bfloat16 if half else torch.float32


def autocast(device: torch.device, dtype: str) -> AbstractContextManager[object]:
    """Matrix products in ``precision``; weights, norms, softmax and loss stay in float32."""
    if precision(device, dtype) == torch.bfloat16:
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
