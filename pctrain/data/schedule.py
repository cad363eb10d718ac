"""The schedule: the mode at an optimizer step, and the compressed share.

(The schedule of the learning rate is in ``training.optim``.)
"""

from __future__ import annotations

from dataclasses import dataclass

from pctrain.config import MixtureConfig
from pctrain.errors import ConfigError


@dataclass(frozen=True)
class Phase:
    """What the schedule says at one step."""

    mode: str
    share: float
    """How much is compressed; ``share_by`` says what is counted."""


@dataclass(frozen=True)
class PhaseBounds:
    """The first step and the end of a phase."""

    begin: int
    end: int | None
    """Exclusive; None for the last phase, which continues past the last step."""
    share_moves: bool


_MODES_WITHOUT_SHARE = ("raw", "compressed")


@dataclass(frozen=True)
class Schedule:
    """Mode and share as a pure function of the optimizer step."""

    config: MixtureConfig
    steps: int
    """Optimizer steps of the whole run."""

    def __post_init__(self) -> None:
        """Raises ``ConfigError`` if warm-up and decay do not both fit into the run."""
        config = self.config
        warmup = config.warmup_steps or config.warmup_fraction * self.steps
        decay = config.decay_steps or config.decay_fraction * self.steps
        if warmup + decay > self.steps + 1e-6:  # two fractions may add up to a hair more than 1
            raise ConfigError(
                f"mixture: a warm-up of {warmup:g} steps and a decay of {decay:g} do not fit into the "
                f"{self.steps} of train.steps; shorten one"
            )

    @property
    def warmup_steps(self) -> int:
        return self.config.warmup_steps or round(self.config.warmup_fraction * self.steps)

    @property
    def decay_begin(self) -> int:
        """The first step of the final decay; ``steps`` if there is none. Rounded like that of the learning rate
        (``wsd``)."""
        config = self.config
        begin = (
            self.steps - config.decay_steps if config.decay_steps else round(self.steps * (1 - config.decay_fraction))
        )
        return max(self.warmup_steps, begin)

    @property
    def raw_only(self) -> bool:
        """Whether no phase uses anything compressed."""
        return {*self.modes} == {"raw"}

    def at(self, step: int) -> Phase:
        """The phase at a step; past the end of the run, that of its last step."""
        config, step = self.config, min(step, self.steps - 1)
        if step < self.warmup_steps:
            share = _between(config.warmup_share, config.share, step / self.warmup_steps)
            return Phase(config.warmup_mode, share)
        decay = self.steps - self.decay_begin
        if step < self.decay_begin or not decay:
            return Phase(config.mode, config.share)
        done = min(1.0, (step - self.decay_begin) / decay)
        return Phase(config.decay_mode, _between(config.share, config.decay_share, done))

    def bounds(self, step: int) -> PhaseBounds:
        """The bounds of the phase that a step is in."""
        config, decay_begin = self.config, self.decay_begin
        if step < self.warmup_steps:
            moves = config.warmup_share != config.share and config.warmup_mode not in _MODES_WITHOUT_SHARE
            return PhaseBounds(0, self.warmup_steps, moves)
        if step < decay_begin:
            return PhaseBounds(self.warmup_steps, decay_begin if decay_begin < self.steps else None, False)
        if step < self.steps:
            moves = config.share != config.decay_share and config.decay_mode not in _MODES_WITHOUT_SHARE
            return PhaseBounds(decay_begin, self.steps, moves)
        return PhaseBounds(self.steps, None, False)

    @property
    def modes(self) -> list[str]:
        """The modes that occur, in order."""
        config = self.config
        warmup = [config.warmup_mode] if self.warmup_steps else []
        main = [config.mode] if self.warmup_steps < self.decay_begin else []
        final = [config.decay_mode] if self.decay_begin < self.steps else []
        return [*warmup, *main, *final]


def _between(begin: float, end: float, done: float) -> float:
    return begin + (end - begin) * done
