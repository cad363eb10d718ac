"""Train byte-level language models on the datasets that pcdata builds.

>>> import pctrain
>>> run = pctrain.fit("shards/", "run/", preset="tiny")
>>> print(run.evaluate())

The names below are the public ones. They are loaded when they are first used: ``import pctrain`` alone loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcdata.lazy import loaded_lazily

if TYPE_CHECKING:
    from pctrain.api import Run, fit, open
    from pctrain.config import DataConfig, MixtureConfig, ModelConfig, RunConfig, TrainConfig
    from pctrain.data.torch_dataset import DocumentDataset, PackedBatches
    from pctrain.errors import PctrainError

_FROM = {
    "pctrain.api": ("fit", "open", "Run"),
    "pctrain.config": ("DataConfig", "MixtureConfig", "ModelConfig", "RunConfig", "TrainConfig"),
    "pctrain.data.torch_dataset": ("DocumentDataset", "PackedBatches"),
    "pctrain.errors": ("PctrainError",),
}
__all__ = [  # noqa: RUF022 as in _FROM
    "fit", "open", "Run",
    "DataConfig", "MixtureConfig", "ModelConfig", "RunConfig", "TrainConfig",
    "DocumentDataset", "PackedBatches",
    "PctrainError",
]  # fmt: skip


__getattr__ = loaded_lazily(__name__, _FROM)


def __dir__() -> list[str]:
    return [*__all__]
