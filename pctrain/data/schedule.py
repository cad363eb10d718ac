"""The schedule: the mode at an optimizer step, and the compressed share.

(The schedule of the learning rate is in ``training.optim``.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pctrain.config import MixtureConfig, RunConfig
from pctrain.errors import ConfigError


@dataclass(frozen=True)
class Phase:
    """What the schedule says at one step."""

    mode: str
    share: float
    """How much is compressed; ``share_by`` says what is counted."""


BAGS = "bags"
"""The mode of the steps in which documents appear in bags alone (``data.bags``)."""
_MODES_WITHOUT_SHARE = ("raw", "compressed", BAGS)


@dataclass(frozen=True)
class PhaseBounds:
    """One of the up to four phases: its steps, and between which shares it moves."""

    mode: str
    begin: int
    end: int
    """Exclusive."""
    first_share: float
    last_share: float
    """In the step after the last."""
    is_open: bool = False
    """Whether it continues past the last step of the run."""

    @property
    def share_moves(self) -> bool:
        return self.first_share != self.last_share and self.mode not in _MODES_WITHOUT_SHARE

    def at(self, step: int) -> Phase:
        done = (step - self.begin) / (self.end - self.begin)
        return Phase(self.mode, self.first_share + (self.last_share - self.first_share) * done)


@dataclass(frozen=True)
class Schedule:
    """Mode and share as a pure function of the optimizer step."""

    config: MixtureConfig
    steps: int
    """Optimizer steps of the whole run."""
    bags_fraction: float = 0.0
    """Of the steps, before the phases of the mixture."""

    def __post_init__(self) -> None:
        """Raises ``ConfigError`` if bags, warm-up and decay do not all fit into the run."""
        config = self.config
        warmup = config.warmup_steps or config.warmup_fraction * self.steps
        decay = config.decay_steps or config.decay_fraction * self.steps
        bags = self.bags_fraction * self.steps
        if bags + warmup + decay > self.steps + 1e-6:  # fractions may add up to a hair more than 1
            in_bags = f"{bags:g} steps in bags, " if bags else ""
            raise ConfigError(
                f"mixture: {in_bags}a warm-up of {warmup:g} steps and a decay of {decay:g} do not fit into the "
                f"{self.steps} of train.steps; shorten one"
            )

    @classmethod
    def of(cls, config: RunConfig) -> Schedule:
        return cls(config.mixture, config.train.steps, config.superposition.steps_fraction)

    @property
    def warmup_begin(self) -> int:
        """The first step after those in bags."""
        return round(self.bags_fraction * self.steps)

    @property
    def warmup_end(self) -> int:
        """The first step after the warm-up."""
        return self.warmup_begin + (self.config.warmup_steps or round(self.config.warmup_fraction * self.steps))

    @property
    def decay_begin(self) -> int:
        """The first step of the final decay; ``steps`` if there is none. Rounded like that of the learning rate
        (``wsd``)."""
        config = self.config
        begin = (
            self.steps - config.decay_steps if config.decay_steps else round(self.steps * (1 - config.decay_fraction))
        )
        return max(self.warmup_end, begin)

    @property
    def raw_only(self) -> bool:
        """Whether no phase uses symbols of a compressed view."""
        return {*self.modes} <= {"raw", BAGS}

    def at(self, step: int) -> Phase:
        """Mode and share at a step; past the end of the run, those of its last step."""
        step = min(step, self.steps - 1)
        return self.bounds(step).at(step)

    def bounds(self, step: int) -> PhaseBounds:
        """The phase that a step of the run is in."""
        return next(phase for phase in self._phases if step < phase.end)

    @property
    def modes(self) -> list[str]:
        """The modes that occur, in order."""
        return [phase.mode for phase in self._phases]

    @cached_property
    def _phases(self) -> list[PhaseBounds]:
        """Those that have steps, in order."""
        config, begin, main, decay, end = self.config, self.warmup_begin, self.warmup_end, self.decay_begin, self.steps
        phases = [
            PhaseBounds(BAGS, 0, begin, 0.0, 0.0, is_open=begin == end),
            PhaseBounds(config.warmup_mode, begin, main, config.warmup_share, config.share),
            PhaseBounds(config.mode, main, decay, config.share, config.share, is_open=decay == end),
            PhaseBounds(config.decay_mode, decay, end, config.share, config.decay_share),
        ]
        return [phase for phase in phases if phase.begin < phase.end]
