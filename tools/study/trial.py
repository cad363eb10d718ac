"""One trial: steps from a budget, an ordinary ``pctrain fit`` and ``pctrain eval``, and the result.

A result is written when it is complete, and used as long as the trial is the same: the same settings, including those
left at their defaults, on the same dataset. A setting that was added since must have its default. After an
interruption, ``pctrain fit`` resumes from its checkpoint.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from pcdata.dataset import Dataset
from pcdata.dataset.files import LockFile, replacing
from pcdata.dataset.json_files import rendered_json
from pctrain.config import RunConfig, resolve
from pctrain.data.datasets import vocabulary_of
from pctrain.methods.flops import flops_of_line
from pctrain.methods.make import units_wanted
from pctrain.model.flops import flops_of_step, flops_per_position
from pctrain.options import DEFAULT_PRESET
from pctrain.settings import merged
from pctrain.training.run_folder import CONFIG, METRICS
from tools.benching import commit
from tools.study import shell
from tools.study.corpus import Datasets
from tools.study.plan import Study, Trial
from tools.study.tuning import Rates

_WARM_UP: Final = 20
_MEASUREMENTS: Final = 5
"""The learning rate rises over 1 / ``_WARM_UP`` of the steps; val is measured ``_MEASUREMENTS`` times."""


_NOT_AS_BEFORE: Final = (("data", "shuffle_rows"),)
"""Section and name of settings whose default is not what runs did before there was such a setting: rows were not
shuffled."""


@dataclass(frozen=True)
class Spent:
    """What was shown over a run, by its log."""

    steps: int
    positions: int
    flops: float
    raw_symbols: int
    compressed_symbols: int
    raw_bytes: int
    """Shown raw, or encoded by compressed symbols."""
    epochs: float
    """``raw_bytes`` over those of the train split."""


@dataclass(frozen=True)
class Result:
    trial: str
    arm: str
    seed: int
    command: str
    fingerprints: dict[str, str]
    """Of the base, and of the views."""
    torch: str
    processor: str
    """The device: another kind rounds sums differently, which shows after some hundred steps."""
    commit: str
    """Of the code, with ``+`` if files differed."""
    parameters: int
    n_ids: int
    flops_per_position: int
    spent: Spent
    bits_per_byte: float
    """Of raw bytes, over all of val."""
    standard_error: float | None
    """Over documents; None for a single document."""
    view_bits_per_byte: float | None
    baselines: dict[str, float] = field(default_factory=dict)
    """Bits per byte of compressors and byte n-grams on the same val."""
    measured: dict[str, Any] = field(default_factory=dict)
    """The output of ``tools.study.measure``."""
    config: dict[str, Any] = field(default_factory=dict)
    """Every setting of the run, resolved. Results from before this field have none, and belong to no trial."""

    @classmethod
    def read(cls, path: Path) -> Result:
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**values, "spent": Spent(**values["spent"])})


def settings_of(study: Study, trial: Trial, steps: int) -> dict[str, Any]:
    """All settings for ``--set``, for a run of ``steps``."""
    paced = {
        "train.steps": steps,
        "optim.lr_warmup_steps": max(1, steps // _WARM_UP),
        "eval.every": -(-steps // _MEASUREMENTS),
        "log.every": -(-steps // _MEASUREMENTS),
        "checkpoint.every": -(-steps // 2),
        "checkpoint.keep_last": 1,
        "runtime.device": study.device,
    }
    return {**study.settings_of(trial), **paced}


def config_of(study: Study, trial: Trial, steps: int) -> dict[str, Any]:
    """Every setting of that run, including defaults. Two trials are the same if these and their data are: a default may
    change without any change of the command."""
    return _resolved(settings_of(study, trial, steps)).to_dict()


def is_same(recorded: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a run with the recorded settings was one with these. Settings that it did not know were as their defaults
    are, except those of ``_NOT_AS_BEFORE``."""
    if any(name not in recorded.get(section, {}) for section, name in _NOT_AS_BEFORE):
        return False
    return merged(RunConfig().to_dict(), recorded) == config


def path_of(results: Path, trial: Trial) -> Path:
    return results / f"{trial.name}.json"


class Recorded:
    """The results in a folder, of the study's trials on any data and machine. A result with other settings or defaults
    belongs to no trial."""

    def __init__(self, study: Study, results: Path) -> None:
        self.study = study
        self.results = results
        self.rates = Rates(study, self._bits)

    def all_results(self) -> list[Result]:
        """Of every trial that was run with the study's present settings."""
        return [result for trial in self.study.trials() if (result := self.result(trial))]

    def result(self, trial: Trial) -> Result | None:
        """The result of the trial, if it was run with the study's present settings."""
        known = self.rates.known(trial)
        path = path_of(self.results, trial)
        if known is None or not path.exists():
            return None
        found = Result.read(path)
        return found if self._is_of(found, known) else None

    def _is_of(self, result: Result, trial: Trial) -> bool:
        return is_same(result.config, config_of(self.study, trial, result.spent.steps))

    def _bits(self, trial: Trial) -> float | None:
        result = self.result(trial)
        return result.bits_per_byte if result else None


class Bench(Recorded):
    """The folders of runs and results. Several processes may use them at once: each trial is claimed first."""

    def __init__(self, study: Study, datasets: Datasets, results: Path) -> None:
        super().__init__(study, results)
        self.datasets = datasets
        self._dataset = Dataset(datasets.shards)
        for folder in (datasets.folder / "runs", datasets.folder / "claims", results):
            folder.mkdir(parents=True, exist_ok=True)

    def run_folder(self, trial: Trial) -> Path:
        return self.datasets.folder / "runs" / trial.name

    def draw_curves(self, output: Path) -> None:
        """The runs of the measured arms, as drawn by ``pctrain plot``. Nothing if some are missing, since the figure
        would look complete."""
        runs = [self.run_folder(trial) for trial in self.study.trials() if self._is_measured(trial)]
        if runs and all((run / METRICS).exists() for run in runs):
            shell.run("pctrain", "plot", *runs, "-o", output)

    def _is_of(self, result: Result, trial: Trial) -> bool:
        """On the same data and with the same budget, too."""
        if self._model_is_missing(trial) or (self._is_measured(trial) and not result.measured):
            return False
        return is_same(result.config, self._config(trial)) and result.fingerprints == self._fingerprints(trial)

    def due(self, trial: Trial) -> list[Trial]:
        """What can be run for the sake of a trial without a result: what its budget depends on, then its learning rate,
        then the trial."""
        model, known = self.like(trial), self.rates.known(trial)
        if model is not None and self._model_is_missing(trial):
            return self.due(model)
        return [known] if known else [run for each in self.rates.missing(trial) for run in self.due(each)]

    def claim(self, trial: Trial) -> LockFile | None:
        """None if another process is running the trial."""
        try:
            return LockFile(self.datasets.folder / "claims" / trial.name)
        except BlockingIOError:
            return None

    def run(self, trial: Trial) -> Result:
        """Train and measure, or resume; a trial that is due."""
        run = self.run_folder(trial)
        if not is_same(_config_in(run), self._config(trial)):
            shutil.rmtree(run, ignore_errors=True)  # the number of steps has changed, and so have its learning rates
        shell.run(*self._fit_words(trial))
        on = ("--device", self.study.device)
        evaluation = json.loads(shell.run("pctrain", "eval", run, "--json", "--quiet", *on))
        measured: dict[str, Any] = {}
        if self._is_measured(trial):
            measured = json.loads(shell.run("python", "-m", "tools.study.measure", run, self.datasets.folder, *on))
        result = self._result(trial, evaluation, measured)
        with replacing(path_of(self.results, trial)) as file:
            file.write(rendered_json(asdict(result)))
        return result

    def _result(self, trial: Trial, evaluation: dict[str, Any], measured: dict[str, Any]) -> Result:
        lines = [json.loads(line) for line in (self.run_folder(trial) / METRICS).read_text().splitlines()]
        start = next(line for line in lines if line["kind"] == "start")
        raw, view = evaluation["raw"], evaluation["views"].get(trial.arm.view)
        baselines = evaluation["compressors"] | evaluation["ngrams"]
        return Result(
            trial=trial.name,
            arm=trial.arm.name,
            seed=trial.seed,
            command=shell.typed(*self._fit_words(trial)),
            fingerprints=self._fingerprints(trial),
            torch=torch.__version__,
            processor=_processor(torch.device(self.study.device)),
            commit=commit(),
            parameters=start["parameters"],
            n_ids=start["n_ids"],
            flops_per_position=self._flops_per_position(trial),
            spent=self._spent(start, [line for line in lines if line["kind"] == "train"]),
            bits_per_byte=raw["bits_per_byte"],
            standard_error=raw.get("bits_per_byte_standard_error"),
            view_bits_per_byte=view["bits_per_byte"] if view and not trial.arm.is_placebo else None,
            baselines={name: each["bits_per_byte"] for name, each in baselines.items()},
            measured=measured,
            config=start["config"],
        )

    def _spent(self, start: dict[str, Any], lines: list[dict[str, Any]]) -> Spent:
        data, config = [line["data"] for line in lines], RunConfig.from_dict(start["config"])
        steps = sum(line["steps"] for line in lines)
        raw_bytes = sum(each["raw_bytes"] + each["compressed_bytes"] for each in data)
        raw_symbols = sum(each["symbols_by_view"]["raw"] for each in data)
        return Spent(
            steps=steps,
            positions=sum(each["positions"] for each in data),
            flops=float(sum(flops_of_line(config, start["n_ids"], line) for line in lines)),
            raw_symbols=raw_symbols,
            compressed_symbols=sum(sum(each["symbols_by_view"].values()) for each in data) - raw_symbols,
            raw_bytes=raw_bytes,
            epochs=raw_bytes / self._dataset.split("train").raw_bytes,
        )

    def _is_measured(self, trial: Trial) -> bool:
        return trial.arm.measured and trial.seed == trial.arm.seeds[0] and not trial.tunes

    def _model_is_missing(self, trial: Trial) -> bool:
        """Whether the result that the budget depends on does not exist."""
        model = self.like(trial)
        return model is not None and self.result(model) is None

    def like(self, trial: Trial) -> Trial | None:
        """The trial that this one's budget depends on."""
        if not trial.arm.like:
            return None
        arm = self.study.arms[trial.arm.like]
        return Trial(arm, arm.seeds[0])

    def _fit_words(self, trial: Trial) -> list[object]:
        values = settings_of(self.study, trial, self._steps(trial))
        output = ("-o", self.run_folder(trial))
        return ["pctrain", "fit", self.datasets.shards, *output, "--quiet", *shell.settings(values)]

    def _config(self, trial: Trial) -> dict[str, Any]:
        return config_of(self.study, trial, self._steps(trial))

    def _unpaced_config(self, trial: Trial) -> RunConfig:
        """Without settings that depend on the number of steps."""
        return _resolved(self.study.settings_of(trial))

    def _n_ids(self, trial: Trial) -> int:
        views = [trial.arm.view] if trial.arm.view else []
        return vocabulary_of([self._dataset], views, self._unpaced_config(trial).superposition.replaced).padded_size

    def _flops_per_position(self, trial: Trial) -> int:
        config = self._unpaced_config(trial)
        return flops_per_position(config, self._n_ids(trial))

    def _steps(self, trial: Trial) -> int:
        """As many as the budget allows, rounded, at least one."""
        part = trial.arm.budget * (self.study.tuning.part if self.study.tuning and trial.tunes else 1)
        return max(1, round(self._whole_steps(trial) * part))

    def _whole_steps(self, trial: Trial) -> float:
        config, size, model = self._unpaced_config(trial), self.study.size(trial.arm), self.like(trial)
        positions = config.data.rows * config.data.seq_len
        if model is None:
            return size.positions / positions or size.flops / flops_of_step(config, self._n_ids(trial))
        had = self.result(model)
        assert had is not None, f"{model.name} is run before what is like it"
        # With raw bytes alone, a position shows a byte, except for marks and padding: about one in a hundred.
        wanted: float = getattr(had.spent, trial.arm.equal)
        return wanted / positions

    def _fingerprints(self, trial: Trial) -> dict[str, str]:
        manifest, config = self._dataset.manifest, self._unpaced_config(trial)
        names = (trial.arm.view, config.superposition.view, config.superposition.units, units_wanted(config))
        views = {name: manifest.view(name).fingerprint for name in names if name}
        return {"base": manifest.base.fingerprint, **views}


def _resolved(values: Mapping[str, Any]) -> RunConfig:
    """As ``pctrain fit`` resolves settings of ``--set``."""
    return resolve(DEFAULT_PRESET, None, shell.settings(values)[1::2])


def _config_in(run: Path) -> dict[str, Any]:
    """The configuration of the run in a folder, as it was written; empty if there is none."""
    path = run / CONFIG
    if not path.exists():
        return {}
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["config"]
    return config


def _processor(device: torch.device) -> str:
    """The GPU's name, or the kind of processor and the widest instructions that torch uses on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
