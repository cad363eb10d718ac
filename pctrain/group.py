"""How every command ends: a person's mistake or the machine's lack is one sentence and exit code 1, Ctrl-C is another
and 130; anything else is a bug and keeps its traceback."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import click

from pcdata.errors import DatasetError
from pctrain.errors import PctrainError
from pctrain.faults import of_memory, of_peer
from pctrain.loading import SIGNAL_EXIT

_NEEDED: Final = ("torch", "safetensors", "matplotlib")


class Group(click.Group):
    """The commands together."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with _ended():
            _open_streams()
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _ended():
            return super().invoke(ctx)


def _open_streams() -> None:
    """Of the three standard streams, those that are closed lead nowhere, so that no file of ours takes their place; and
    what a locale has no letters for is written escaped."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 open to the end
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _ended() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        _fail(f'pctrain needs {error.name}; pip install "proxy-compression[train]"')
    except (PctrainError, DatasetError) as error:
        _fail(str(error))
    except BrokenPipeError:
        raise  # click's: whoever read has gone
    except OSError as error:
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}; mend that and run the same command again")
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        sys.exit(SIGNAL_EXIT + signal.SIGINT)
    except Exception as error:
        if (lacking := of_memory(error)) is not None:
            _fail(f"{lacking}; end other programs, or take a smaller model or, with pctrain eval, fewer --batch-rows")
        if (gone := of_peer(error)) is not None:
            _fail(f"{gone}; run the same command again")
        raise


def _fail(sentence: str) -> NoReturn:
    click.echo(f"error: {sentence}", err=True)
    sys.exit(1)
