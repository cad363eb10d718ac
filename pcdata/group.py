"""How commands of ``pcdata`` and ``pctrain`` are found, and how they end: an error is one sentence and exit code 1, a
signal one sentence and 128 plus its number."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import click

import pcdata.shell  # noqa: F401  (registers how bash and zsh complete)
from pcdata.errors import PcdataError, meant
from pcdata.starting import EXIT_FAULT, EXIT_SIGNAL, STOPPING, quit_at_once
from pcdata.terminal import STANDARD_OUTPUT, nobody_reads, prepare, say, say_lines

_IMPORT = "<frozen importlib._bootstrap>"
"""The file name of the functions that load modules."""


class _Terminated(BaseException):
    """SIGTERM, which unwinds the stack as Ctrl-C does."""


class Group(click.Group):
    """A group of commands that turns errors and signals into sentences. A bug keeps its traceback."""

    def __init__(
        self, *args: Any, package: str = "", names: Sequence[str] = (), resuming: Sequence[str] = (), **named: Any
    ) -> None:
        """``names`` are commands, in the order of the help. The command ``add-view`` is ``add_view`` in the module of
        that name in ``package``, loaded when the command or its summary is needed. ``resuming`` are the commands that
        can be resumed."""
        super().__init__(*args, **named)
        self._package = package
        self._names = names
        self._resuming = resuming

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._names, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._names:
            return super().get_command(ctx, cmd_name)
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"{self._package}.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            ctx.fail(f"No such command {name!r}; {meant(name, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, standalone_mode: bool = True, **named: Any) -> Any:
        run: Callable[..., Any] = partial(super().main, *args, standalone_mode=False, **named)
        if not standalone_mode:
            return run()
        prepare()
        with _signals(quit_at_once):
            try:
                with _signals(_raise):
                    code = run()
            except BaseException as error:
                code = self._told(error)
            sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, _Terminated) as stop:
            resume = "; what was committed is kept; rerun the same command to resume"
            say(f"stopped{resume if ctx.invoked_subcommand in self._resuming else ''}")
            ctx.exit(EXIT_SIGNAL + _number(stop))
        except OSError as error:  # click takes any broken pipe for one of standard output
            ctx.exit(self._told(error))

    def sentence(self, error: BaseException) -> str | None:
        """The sentence for an error; None for a bug."""
        match error:
            case PcdataError():
                return str(error)
            case MemoryError():
                return "not enough memory; end other programs, or use smaller settings, and run it again"
            case OSError():
                name = error.filename
                where = f"{os.fsdecode(name)}: " if isinstance(name, str | bytes) else ""
                return f"{where}{error.strerror or error}; fix that and run the same command again"
            case ImportError() if not isinstance(error, ModuleNotFoundError) and ".so" in str(error):
                return f"a library cannot be loaded ({error}); free memory, or install it again"
        return None

    def _told(self, error: BaseException) -> int:
        """Print why the command ended. Returns its exit code; re-raises a bug."""
        match error:
            case click.ClickException():
                if isinstance(error, click.UsageError) and error.ctx is not None:
                    if error.message == error.ctx.get_help():  # no command was given
                        say_lines(error.message)
                        return error.exit_code
                    hint = f"Try '{error.ctx.command_path} {error.ctx.help_option_names[0]}' for help."
                    say_lines(f"{error.ctx.get_usage()}\n{hint}\n")
                say(f"Error: {error.format_message()}")
                return error.exit_code
            case KeyboardInterrupt() | click.Abort() | _Terminated():  # click turns the first into the second
                say("stopped")
                return EXIT_SIGNAL + _number(error)
            case BrokenPipeError(filename=name) if name == STANDARD_OUTPUT or nobody_reads():
                return EXIT_FAULT  # the reader has closed the pipe
        sentence = self.sentence(error)
        if sentence is None:
            raise error
        error.__traceback__ = None  # frees the variables of the functions that it passed through
        say(f"error: {sentence}")
        return EXIT_FAULT


def _raise(number: int, frame: FrameType | None) -> None:
    """A signal handler that unwinds the stack. A module that is being loaded might swallow the exception or take it for
    an import error, so inside one the process exits at once, as with ``kill -9``."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT:
            quit_at_once(number, frame)
        frame = frame.f_back
    raise KeyboardInterrupt if number == signal.SIGINT else _Terminated


@contextmanager
def _signals(handler: Any) -> Iterator[None]:
    """Handle the signals that stop a command, except those that it was started to ignore."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    for number, handled in before.items():
        if handled is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)


def _number(stop: BaseException) -> int:
    return signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT
