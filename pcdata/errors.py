"""Every fault that pcdata reports to a person.

The text of each is one sentence: where, what, and what to do next. The command line prints it and exits with 1;
anything that is not one of these is a bug and keeps its traceback.
"""

from collections.abc import Iterable


def meant(given: str, known: Iterable[str]) -> str:
    """For a message about a name that there is not: the likeliest that was meant, or all there are."""
    from difflib import get_close_matches  # only here, for commands start faster without

    names = {name.lower(): name for name in known}
    close = get_close_matches(given.lower(), names, n=1)
    return f"did you mean {names[close[0]]}?" if close else f"known: {', '.join(names.values())}"


class PcdataError(Exception):
    """A fault that a person can act on."""


class OptionError(PcdataError):
    """An option has a value that cannot be used; the text shows the value and what is allowed."""


class InputError(PcdataError):
    """An input of a build is missing, empty, or has changed while it was read."""


class UnbuildableError(InputError):
    """These inputs and options give no dataset, however often they are tried: others are needed."""


class CodecError(PcdataError):
    """A codec is unknown, was given an artifact it cannot use, or found symbols that it did not write."""


class BuildError(PcdataError):
    """A build cannot start or go on: locked, other options, other versions, a worker lost."""


class DatasetError(PcdataError):
    """A dataset on disk is missing, of another version, incomplete or damaged."""


class FormatError(DatasetError):
    """A file of a dataset is not as the format says, whatever its hash."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.what = what

    def __str__(self) -> str:
        where, what = self.args
        return f"{where}: {what}; run pcdata verify"
