"""What torch cannot do here, in a sentence: an allocation that failed, a model that it could not compile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pctrain.config import RunConfig
from pctrain.errors import PctrainError
from pctrain.model.memory import how_to_save
from pctrain.torch_errors import of_memory

_COMPILER: Final = ("torch._inductor", "torch._dynamo")
"""Where the errors of torch's compiler are defined; to import them takes seconds."""
_LONGEST_REASON: Final = 200


@contextmanager
def explained(config: RunConfig) -> Iterator[None]:
    """Inside, either becomes a ``PctrainError``, which has torch's error as its cause; all else stays what it is."""
    try:
        yield
    except Exception as error:
        sentence = _of_memory(error, config) or _of_compiler(error, config)
        if sentence is None:
            raise
        raise PctrainError(sentence) from error


def _of_memory(error: Exception, config: RunConfig) -> str | None:
    sentence = of_memory(error)
    return sentence and f"{sentence}; {how_to_save(config)}"


def _of_compiler(error: Exception, config: RunConfig) -> str | None:
    if not type(error).__module__.startswith(_COMPILER):
        return None
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = next((line for line in lines if "error:" in line), lines[0] if lines else type(error).__name__)
    setting = "runtime.compile=false" if config.runtime.compile else "runtime.attention=sdpa"
    return f"torch could not compile the model ({reason[:_LONGEST_REASON]}); run again with --set {setting}"
