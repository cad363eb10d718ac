"""``pctrain export``: a model for other libraries."""

from __future__ import annotations

from pathlib import Path

import click

from pcdata.shared_options import QUIET
from pcdata.terminal import say
from pctrain.commands.options import CHECKPOINT, PATH


@click.command()
@click.argument("run", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="Folder to write, new or empty.")
@CHECKPOINT
@QUIET
def export(run: Path, output: Path, which: str, quiet: bool) -> None:
    """Write a model for Hugging Face transformers.

    The folder holds a LlamaForCausalLM over raw bytes, and its tokenizer.
    """
    from pctrain.inference.export import export_run

    done = export_run(run, output, which)
    if quiet:
        return
    there = ", was there already" if done.was_there else ""
    said = f"{done.parameters:,} parameters, of step {done.step:,}{there}; open it with transformers"
    say(f"{output}: {said}")
