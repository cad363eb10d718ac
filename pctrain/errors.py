"""Errors that pctrain reports to a user: one sentence saying where, what, and what next; exit code 1."""

from pcdata.errors import PcdataError


class PctrainError(PcdataError):
    """An error that a user can act on."""


class ConfigError(PctrainError):
    """A setting has an invalid value; the text shows the value and what is allowed."""


class CheckpointError(PctrainError):
    """A run or checkpoint is missing, damaged, or belongs to another dataset or configuration."""


class DataError(PctrainError):
    """The dataset opens, but cannot be trained or evaluated on as requested."""
