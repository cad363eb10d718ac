"""The command ``pctrain``. Heavy modules are imported only when a command runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pctrain.group import Group

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""How OpenMP threads wait for each other: the standard's variable, GNU's, and that of LLVM and Intel."""


@click.group(
    cls=Group,
    package="pctrain.commands",
    names=("fit", "eval", "generate", "export", "plot", "methods", "presets", "settings", "neural"),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="proxy-compression")
@click.pass_context
def main(context: click.Context) -> None:
    """Train byte-level language models on the datasets that pcdata builds."""
    context.with_resource(_environment())


@contextmanager
def _environment() -> Iterator[None]:
    """Set environment variables for the command, unless the user has set them; restore them afterwards.

    Processes that torch starts must not run code from the working folder. Its threads must sleep while they wait for
    each other: by default they spin, and where other programs want the processors too, they waste the time slices that
    the other threads are waiting for. Training was up to seven times slower (BENCHMARKS.md). OpenMP reads the variables
    when torch is loaded.
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
