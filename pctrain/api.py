"""What ``import pctrain`` offers: training, and everything that can be done with a run, as functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from pcdata.dataset import Dataset
from pcdata.dataset.json_files import parse_json
from pctrain.config import RunConfig, joined
from pctrain.errors import PctrainError
from pctrain.inference.evaluate import evaluate_run
from pctrain.inference.evaluation import Evaluation
from pctrain.inference.export import Export, export_run
from pctrain.inference.generate import Generation, Sampling, until
from pctrain.method_presets import by_method
from pctrain.model.device import choose_device
from pctrain.model.patched import move_threshold
from pctrain.options import settings_of_run
from pctrain.settings import Layer, nested
from pctrain.training.checkpoint import checkpoints, load_state
from pctrain.training.loop import fit as train
from pctrain.training.metrics import whole_lines
from pctrain.training.run_folder import METRICS, load_model, read_settings

AnyPath: TypeAlias = str | PathLike[str]


class Run:
    """A run folder: its settings, what it logged, and the model of its last checkpoint.

    >>> run = pctrain.open("run/")
    >>> run.step
    4
    """

    def __init__(self, folder: AnyPath) -> None:
        """Raises ``CheckpointError`` if ``folder`` is not a run folder."""
        self.folder = Path(folder)
        self.config: RunConfig = read_settings(self.folder).config

    def __repr__(self) -> str:
        return f"<Run {str(self.folder)!r}: {self.step:,} of {self.config.train.steps:,} steps>"

    @property
    def step(self) -> int:
        """Optimizer steps of the last checkpoint; 0 if there is none."""
        there = checkpoints(self.folder)
        return load_state(there[-1]).step if there else 0

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl: kind ``train`` sums up some steps, kind ``val`` is a measurement."""
        return [parse_json(line) for line in whole_lines(self.folder / METRICS)]

    def evaluate(
        self,
        split: str = "val",
        *,
        checkpoint: str = "last",
        data: AnyPath | None = None,
        stride: int | None = None,
        by: str | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
        threshold: float | None = None,
        device: str = "auto",
    ) -> Evaluation:
        """Bits per raw byte of a split, as ``pctrain eval`` prints them; ``str()`` is its table. ``threshold`` replaces
        that of scratchpads, in bits.

        >>> evaluation = run.evaluate()
        >>> evaluation.to_dict()["raw"]["bits_per_byte"] > 0
        True
        """
        found = evaluate_run(
            self.folder,
            split=split,
            which=checkpoint,
            data=None if data is None else Path(data),
            stride=stride,
            by=by,
            where=where,
            threshold=threshold,
            device=device,
            quiet=True,
        )
        assert found is not None  # None only on the other processes of torchrun
        return found

    def generate(
        self,
        prompt: str | bytes = "",
        *,
        max_bytes: int = 500,
        temperature: float = 0.8,
        top_p: float = 1.0,
        seed: int = 0,
        stop: str | bytes = "",
        threshold: float | None = None,
        checkpoint: str = "last",
        device: str = "auto",
    ) -> str:
        """The prompt and its continuation. Bytes that are not UTF-8 become U+FFFD.

        >>> run.generate("def ", max_bytes=20)[:4]
        'def '
        """
        model, state = load_model(self.folder, checkpoint, choose_device(device))
        move_threshold(model, threshold)
        sampling = Sampling(max_bytes, temperature, top_p, seed)
        start = _bytes(prompt)
        made = until(Generation(model, start, sampling, state.config.data.seq_len), _bytes(stop))
        return (start + bytes(made)).decode("utf-8", "replace")

    def export(self, output: AnyPath, *, checkpoint: str = "last") -> Export:
        """Write the model for Hugging Face transformers. Raises ``PctrainError``.

        >>> run.export("hf/").step
        4
        """
        return export_run(self.folder, Path(output), checkpoint)


def open(folder: AnyPath) -> Run:
    """Open a run. Raises ``CheckpointError`` if ``folder`` is not one."""
    return Run(folder)


def fit(
    datasets: Dataset | AnyPath | Iterable[Dataset | AnyPath],
    run: AnyPath,
    *,
    preset: str | None = None,
    method: str | None = None,
    config: AnyPath | None = None,
    settings: Mapping[str, Any] | None = None,
    restart: bool = False,
    quiet: bool = True,
) -> Run:
    """Train, or resume training, until all steps are done. Ctrl-C raises ``KeyboardInterrupt`` after a checkpoint.

    ``settings`` are as in ``--set``: ``{"optim.lr": 3e-4, "data.views": {"bpe": 1}}``; ``method`` is as in
    ``--method``. Raises ``PctrainError`` and ``DatasetError``.

    >>> run = pctrain.fit("shards/", "run/", preset="tiny", settings=SMALL)
    >>> run.step
    4
    """
    given = [datasets] if isinstance(datasets, Dataset | str | PathLike) else [*datasets]
    folders = [one.folder if isinstance(one, Dataset) else Path(one) for one in given]
    asked = [nested(name, value) for name, value in (settings or {}).items()]
    file = None if config is None else Path(config)
    of_method = by_method(method, _views(asked), folders)
    resolved = settings_of_run(None if restart else Path(run), preset, file, [*of_method, *asked])
    outcome = train(folders, Path(run), resolved, restart=restart, quiet=quiet)
    if outcome.signal is not None:
        raise KeyboardInterrupt
    return Run(run)


def _views(asked: Sequence[Layer]) -> list[str]:
    """The names in ``data.views``; none where there is something else, which is reported when settings are read."""
    data = joined(asked).get("data")
    views = data.get("views") if isinstance(data, dict) else None
    return [*views] if isinstance(views, dict) else []


def _bytes(text: str | bytes) -> bytes:
    if not isinstance(text, str | bytes):
        raise PctrainError(f"a prompt must be text or bytes, got {type(text).__name__}")
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
