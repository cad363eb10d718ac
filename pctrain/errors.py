"""Every fault that pctrain reports to a person: one sentence, where, what, what next; exit code 1."""

from pcdata.errors import PcdataError


class PctrainError(PcdataError):
    """A fault that a person can act on."""


class ConfigError(PctrainError):
    """A setting has a value that cannot be used; the text shows the value and what is allowed."""


class CheckpointError(PctrainError):
    """A run or checkpoint is missing, damaged, or belongs to another dataset or configuration."""


class DataError(PctrainError):
    """The dataset opens, but cannot be trained or evaluated on in the way that was asked for."""
