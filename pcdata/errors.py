"""Errors that pcdata reports to a user.

The text of each is one sentence: where, what, and what to do next. The command line prints it and exits with 1. Any
other exception is a bug and keeps its traceback.
"""

from collections.abc import Iterable


def likeliest(given: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one is nearest to, whatever the case; None if none is near."""
    from difflib import get_close_matches  # only here, for commands start faster without

    names = {name.lower(): name for name in known}
    return next((names[near] for near in get_close_matches(given.lower(), names, n=1)), None)


def meant(given: str, known: Iterable[str]) -> str:
    """For a message about a name that there is not: the likeliest that was meant, or all there are."""
    names = [*known]
    near = likeliest(given, names)
    return f"did you mean {near}?" if near else f"known: {', '.join(names)}"


class PcdataError(Exception):
    """An error that a user can act on."""


class OptionError(PcdataError):
    """An option has an invalid value; the text shows the value and what is allowed."""


class InputError(PcdataError):
    """An input of a build is missing or empty, or has changed while it was read."""


class UnbuildableError(InputError):
    """These inputs and options cannot give a dataset, however often they are tried."""


class CodecError(PcdataError):
    """A codec is unknown, got an artifact that it cannot use, or found symbols that it did not write."""


class BuildError(PcdataError):
    """A build cannot start or resume: locked, other options, other versions, a lost worker."""


class DatasetError(PcdataError):
    """A dataset on disk is missing, incomplete, damaged, or of another version."""


class FormatError(DatasetError):
    """A file of a dataset violates the format, even if its hash is correct."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.what = what

    def __str__(self) -> str:
        where, what = self.args
        return f"{where}: {what}; run pcdata verify"
