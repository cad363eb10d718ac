"""The plan of a study: its corpus, its arms, and their budgets. Read from TOML; nothing here runs.

An *arm* is one way to train; a *trial* is an arm with one seed. Trials differ in their settings and budgets: training
flops or positions (the same for all, unless an arm asks for a part of them), or as much of something as another arm
used. A study with ``tuning`` also finds the learning rate of each arm.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from pctrain.settings import merged

EQUAL: Final = ("flops", "raw_symbols", "raw_bytes")
"""What an arm can have as much of as the arm in ``like``: raw symbols shown, or raw bytes shown or encoded by
compressed symbols."""
PLACEBO: Final = "-placebo"
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class StudyError(Exception):
    """An error that a user can fix."""


@dataclass(frozen=True)
class Corpus:
    """What all arms are trained and measured on."""

    inputs: tuple[str, ...] = ("stdlib",)
    """Files and folders as for ``pcdata build``; ``stdlib`` is the library of the running Python, and ``package:NAME``
    a package that it can import."""
    options: tuple[str, ...] = ()
    """More arguments of ``pcdata build``, such as ``--include``."""
    compressors: dict[str, str] = field(default_factory=dict)
    """By name of the view, the ``--compressor`` without ``name=``."""
    edit_documents: int = 12
    """Documents of val, the smallest of at least 2 kB, that are edited to see how much worse they are predicted."""


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    name: str
    what: str = ""
    """A short description for the table."""
    view: str = ""
    """The compressed view; empty: raw bytes alone."""
    size: str = ""
    """One of the study's sizes; empty: the first."""
    budget: float = 1.0
    """Part of the size's flops."""
    like: str = ""
    """The arm whose amount of ``equal``, with the first seed, is this one's budget."""
    equal: str = "flops"
    seeds: tuple[int, ...] = (0,)
    placebo: bool = False
    """Whether the study also has this arm with permuted symbols (``data.placebo``)."""
    measured: bool = False
    """Whether its first seed is also measured on edited documents and at translation."""
    settings: dict[str, Any] = field(default_factory=dict, hash=False)
    """Settings for ``pctrain fit``; they override the study's and the size's."""
    tuned_as: str = ""
    """The arm whose tuned learning rate this one has; empty: its own. Only in a study with ``tuning``."""

    @property
    def is_plain_raw(self) -> bool:
        """Whether it is raw bytes alone, changed in nothing but the budget: a point of the curve that others are
        compared with."""
        return not (self.view or self.like or self.settings)

    @property
    def is_placebo(self) -> bool:
        return self.name.endswith(PLACEBO)


@dataclass(frozen=True)
class Trial:
    """An arm with one seed: one run of ``pctrain fit``."""

    arm: Arm
    seed: int
    lr: float = 0.0
    """The learning rate; 0: that of the settings, or, in a study with tuning, not known yet."""
    tunes: bool = False
    """Whether this is a short run, to compare learning rates."""

    @property
    def name(self) -> str:
        return f"{self.arm.name}{f'-lr{self.lr:g}' if self.tunes else ''}-s{self.seed}"


@dataclass(frozen=True)
class Size:
    """A model's shape, and the budget of its arms: either of the two."""

    flops: float = 0.0
    positions: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tuning:
    """How learning rates are found (``tuning``)."""

    rates: tuple[float, ...]
    """Tried first, from low to high, each the same multiple of the one before."""
    part: float = 0.25
    """Of a trial's steps."""


@dataclass(frozen=True)
class Study:
    corpus: Corpus
    sizes: dict[str, Size]
    settings: dict[str, Any]
    """Of every arm."""
    arms: dict[str, Arm]
    """By name, in order of importance, which is the order in which they run."""
    device: str = "cpu"
    """Where every arm is trained and measured."""
    tuning: Tuning | None = None
    """None: learning rates are settings."""

    def size(self, arm: Arm) -> Size:
        return self.sizes[arm.size]

    def plain_raw(self, size: str) -> list[str]:
        """The arms of raw bytes alone that others of this size are compared with."""
        return [arm.name for arm in self.arms.values() if arm.is_plain_raw and arm.size == size]

    def settings_of(self, trial: Trial) -> dict[str, Any]:
        """The settings for ``--set``, except those that depend on the number of steps."""
        arm = trial.arm
        shown = {f"data.views.{arm.view}": 1} if arm.view else {"mixture.mode": "raw", "mixture.warmup_fraction": 0}
        drawn: dict[str, Any] = {"train.seed": trial.seed, **({"optim.lr": trial.lr} if trial.lr else {})}
        return {**self.settings, **self.size(arm).settings, **shown, **arm.settings, **drawn}

    def trials(self, names: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Trial]:
        """Trials of the named arms (default: all) with the given seeds (default: all), every arm's first seed before
        any second, so that an interrupted study has a whole table. Raises ``StudyError`` for an unknown name."""
        for name in names:
            if name not in self.arms:
                raise StudyError(f"there is no arm {name!r}; the arms: {', '.join(self.arms)}")
        chosen = [arm for arm in self.arms.values() if not names or arm.name in names]
        rounds = zip_longest(*(arm.seeds for arm in chosen))
        drawn = [(arm, seed) for of_round in rounds for arm, seed in zip(chosen, of_round, strict=True)]
        trials = [Trial(arm, seed) for arm, seed in drawn if seed is not None and (not seeds or seed in seeds)]
        if not trials:
            raise StudyError(f"none of these arms has the seed {', '.join(map(str, seeds))}")
        return trials


def read_study(path: Path) -> Study:
    """Raises ``StudyError`` saying what is wrong, and where."""
    values = _read(path)
    try:
        corpus = Corpus(**_tuples(values.pop("corpus", {})))
        settings = values.pop("settings", {})
        sizes = {name: Size(**table) for name, table in values.pop("sizes").items()}
        arms = [Arm(**_tuples(table)) for table in values.pop("arms")]
        device = values.pop("device", "cpu")
        tuning = Tuning(**_tuples(values.pop("tuning"))) if "tuning" in values else None
    except (TypeError, KeyError) as error:
        raise StudyError(f"{path}: {error}") from None
    if values:
        known = "corpus, device, settings, sizes, tuning, arms, extends"
        raise StudyError(f"{path}: unknown: {', '.join(values)}; known: {known}")
    first = next(iter(sizes), "")
    named = {each.name: each for arm in arms for each in _with_placebo(arm, arm.size or first)}
    study = Study(corpus, sizes, settings, named, device, tuning)
    _check_budgets(study, path)
    for arm in named.values():
        _check(study, arm, path)
    return study


def _read(path: Path) -> dict[str, Any]:
    """The file's tables, over those of the file that it extends; ``every_arm`` overrides every arm's settings there."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise StudyError(f"{path} is not TOML: {error}") from None
    if "extends" not in values:
        return values
    below = _read(path.parent / values.pop("extends"))
    every_arm = values.pop("every_arm", {})
    both = merged(below, values)
    both["arms"] = [{**arm, **every_arm} for arm in both.get("arms", [])]
    return both


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}


def _with_placebo(arm: Arm, size: str) -> Iterator[Arm]:
    arm = dataclasses.replace(arm, size=size)
    yield arm
    if arm.placebo:
        name, what = arm.name + PLACEBO, f"placebo of {arm.name}"
        changed: dict[str, Any] = {"settings": {**arm.settings, "data.placebo": True}, "placebo": False}
        tuned_as = arm.tuned_as or arm.name
        yield dataclasses.replace(arm, name=name, what=what, measured=False, tuned_as=tuned_as, **changed)


def _check_budgets(study: Study, path: Path) -> None:
    for name, size in study.sizes.items():
        if (size.flops > 0) == (size.positions > 0):
            raise StudyError(f"{path}: size {name!r}: its budget is flops or positions, one of them above 0")
    if study.tuning is not None:
        rates, part = study.tuning.rates, study.tuning.part
        if len(rates) < 2 or min(rates) <= 0 or [*rates] != sorted({*rates}):
            raise StudyError(f"{path}: tuning.rates: at least two learning rates are needed, from low to high")
        if not 0 < part <= 1:
            raise StudyError(f"{path}: tuning.part must be above 0 and at most 1, got {part}")


def _check(study: Study, arm: Arm, path: Path) -> None:
    where = f"{path}: arm {arm.name!r}"
    if not _NAME.fullmatch(arm.name):
        raise StudyError(f"{where}: a name is small letters and digits, with single hyphens between")
    if arm.view and arm.view not in study.corpus.compressors:
        raise StudyError(f"{where}: no view {arm.view!r} in corpus.compressors")
    if arm.size not in study.sizes:
        raise StudyError(f"{where}: no size {arm.size!r}; the sizes: {', '.join(study.sizes)}")
    if arm.equal not in EQUAL or (arm.equal == "flops") == bool(arm.like):
        raise StudyError(f"{where}: equal is one of {', '.join(EQUAL[1:])}, and goes with like")
    if arm.like and arm.like not in study.arms:
        raise StudyError(f"{where}: there is no arm {arm.like!r} to be like")
    if arm.tuned_as and (arm.tuned_as not in study.arms or study.arms[arm.tuned_as].tuned_as):
        raise StudyError(f"{where}: there is no arm {arm.tuned_as!r} with a learning rate of its own")
    if not arm.seeds or arm.budget <= 0:
        raise StudyError(f"{where}: it needs a seed, and a budget above 0")
