"""The command ``pctrain``. Nothing heavy is imported before one of its commands runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pctrain.group import Group

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""What says how the threads of an OpenMP wait for each other: of any, of GNU's, of LLVM's and Intel's."""


@click.group(
    cls=Group,
    package="pctrain.commands",
    names=("fit", "eval", "generate", "export", "plot", "presets", "neural"),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="proxy-compression")
@click.pass_context
def main(context: click.Context) -> None:
    """Train byte-level language models on the datasets that pcdata builds."""
    context.with_resource(_environment())


@contextmanager
def _environment() -> Iterator[None]:
    """What a command's environment says beside what the user has it say; after the command it is as it was.

    torch starts processes, which are to run no code from the working folder. And its threads are to sleep while they
    wait for each other, unless the user has said how they are to wait: by default they spin, and where other programs
    want the processors too they spin away the time slices that the others wait for: training was up to seven times
    slower (BENCHMARKS.md). OpenMP reads this when torch is loaded.
    """
    added = {"PYTHONSAFEPATH": "1"}
    if not any(name in os.environ for name in _WAITING):
        added["OMP_WAIT_POLICY"] = "PASSIVE"
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
