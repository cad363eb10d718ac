"""``pctrain generate``: text from a model."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path
from typing import Any

import click

from pcdata.shared_options import QUIET
from pcdata.terminal import Data, say
from pctrain.commands.options import CHECKPOINT, DEVICE, PATH, SCRATCHPAD_THRESHOLD


@click.command()
@click.argument("run", type=PATH)
@click.option("--prompt", default="", help="Text to continue.")
@click.option("--max-bytes", type=int, default=500, show_default=True, help="Bytes to generate at most.")
@click.option("--temperature", type=float, default=0.8, show_default=True, help="0 takes the most likely byte.")
@click.option("--top-p", type=float, default=1.0, show_default=True, help="Draw among the most likely with this mass.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draws.")
@click.option("--stop", metavar="TEXT", help="Stop before this text.")
@click.option(
    "--no-drafts", "drafts", flag_value=False, default=True, help="One byte per pass, even with model.predict_heads."
)
@SCRATCHPAD_THRESHOLD
@CHECKPOINT
@DEVICE
@QUIET
def generate(
    run: Path,
    prompt: str,
    stop: str | None,
    drafts: bool,
    threshold: float | None,
    which: str,
    device: str,
    quiet: bool,
    **drawing: Any,
) -> None:
    """Continue a text with a model, byte by byte."""
    from pctrain.inference.generate import Generation, Sampling, characters, until
    from pctrain.model.device import choose_device
    from pctrain.model.patched import move_threshold
    from pctrain.training.run_folder import load_model

    sampling = Sampling(**drawing)
    model, state = load_model(run, which, choose_device(device))
    move_threshold(model, threshold)
    start = os.fsencode(prompt)
    made = Generation(model, start, sampling, state.config.data.seq_len, drafts=drafts)
    shown = Data()
    for text in chain(characters(chain(start, until(iter(made), os.fsencode(stop or "")))), "\n"):
        shown.write(text.encode())
        shown.flush()
    if quiet:
        return
    if made.cache:
        say(made.cache)
    if made.bytes_made > made.passes:
        rate = made.bytes_made / made.passes
        say(f"{made.bytes_made:,} bytes in {made.passes:,} passes of the model: {rate:.2f} a pass")
