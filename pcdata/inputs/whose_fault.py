"""Why a file cannot be read: because of its content or of the machine. The only place that tells them apart.

Damaged content is a reject. A problem of the machine (memory, descriptors, permissions, the disk) is an error of the
command: another run may read the file, so no result may depend on it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa

from pcdata.errors import InputError


class Unreadable(Exception):
    """A file whose content is damaged from some point on; the text says where and how."""


_GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ESTALE, errno.ELOOP, errno.ENXIO)

_WHAT_TO_DO: Final = {
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files (ulimit -n), use fewer --workers"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "let this user read it, or leave it out with --exclude,"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room on the disk"),
    errno.EIO: "check the disk",
}


@contextmanager
def reading(file: str) -> Iterator[None]:
    """Turn exceptions inside into ``Unreadable``, or into an ``InputError`` that names ``file`` and what to do.

    Python and Arrow give an ``OSError`` a number if the system refused a call. Arrow raises others, without a number,
    for faults in a file.
    """
    try:
        yield
    except MemoryError as error:  # first: Arrow's own is an ArrowException too
        raise InputError(_sentence(file, "out of memory", "use fewer --workers, or free some memory,")) from error
    except OSError as error:
        if error.errno is None or error.errno == errno.ENAMETOOLONG:
            raise Unreadable(one_line(error)) from error
        reason = os.strerror(error.errno)
        if error.errno in _GONE:
            raise InputError(changed(file, reason)) from error
        raise InputError(_sentence(file, reason, _WHAT_TO_DO.get(error.errno, "fix that"))) from error
    except (EOFError, pa.ArrowException) as error:
        raise Unreadable(one_line(error)) from error


def changed(file: str, what: str) -> str:
    """The error message for an input that has changed."""
    return f"input changed while it was read: {file} ({what}); start over in an empty folder"


def _sentence(file: str, what: str, then: str) -> str:
    return f"{file}: {what}; {then} and run the same command again"


def one_line(error: BaseException) -> str:
    known = error.errno if isinstance(error, OSError) else None
    return os.strerror(known) if known else " ".join(str(error).split())
