"""How every command ends: a fault is one sentence and exit code 1, a signal another sentence."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Any

import click

from pcdata.errors import PcdataError

EXIT_FAULT = 1
_EXIT_SIGNAL = 128

_RESUMING = ("build", "add-view", "merge")
"""Commands that go on where they were stopped."""


class _Stopped(BaseException):
    """SIGTERM, so that it unwinds like Ctrl-C."""


class Group(click.Group):
    """Turns a ``PcdataError`` into one sentence and exit code 1, and a stop signal into another sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a locale may lack what documents and names are written in
                stream.reconfigure(errors="backslashreplace")
        before = signal.signal(signal.SIGTERM, _raise_stopped)
        try:
            return super().invoke(ctx)
        except PcdataError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(EXIT_FAULT)
        except (KeyboardInterrupt, _Stopped) as stop:
            number = signal.SIGTERM if isinstance(stop, _Stopped) else signal.SIGINT
            resumes = ctx.invoked_subcommand in _RESUMING
            goes_on = "; what was committed is kept, the same command goes on from there" if resumes else ""
            click.echo(f"stopped{goes_on}", err=True)
            ctx.exit(_EXIT_SIGNAL + number)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
            click.echo(f"error: {where}{error.strerror or error}; mend that and run the same command again", err=True)
            ctx.exit(EXIT_FAULT)
        finally:
            signal.signal(signal.SIGTERM, before)


def _raise_stopped(number: int, frame: Any) -> None:
    raise _Stopped
