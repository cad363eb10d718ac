"""Figures as files: their common style, and writing one atomically."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pcdata.dataset.files import appearing_file
from pcdata.errors import OptionError

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito, which colour-blind people can distinguish."""

LEGEND_COLUMNS: Final = 8
"""Names side by side in a legend below a figure: more go into further lines."""

RAW_COLOUR: Final = "0.55"
"""Grey, for the raw bytes, the baseline."""

SUFFIXES: Final = (".png", ".pdf", ".svg")

_STYLE: Final[Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "svg.hashsalt": "pcdata",
}


def colours_for(names: Sequence[str]) -> dict[str, str]:
    """A colour for each, no two the same: if ``COLOURS`` has too few, from a colour map."""
    if len(names) <= len(COLOURS):
        return dict(zip(names, COLOURS, strict=False))
    import matplotlib
    from matplotlib.colors import to_hex

    shades = matplotlib.colormaps["turbo"].resampled(len(names))
    return {name: to_hex(shades(number)) for number, name in enumerate(names)}


def check_plot(output: Path) -> None:
    """Before hours of work: raise ``OptionError`` if ``save_figure`` could not write there."""
    if output.suffix.lower() not in SUFFIXES:
        raise OptionError(f"--plot {output} must end in {', '.join(SUFFIXES)}")
    if not output.absolute().parent.is_dir():
        raise OptionError(f"--plot {output}: there is no folder {output.parent}; make it first")
    if output.is_dir():
        raise OptionError(f"--plot {output} is a folder; name a file")
    if not os.access(output.absolute().parent, os.W_OK):
        raise OptionError(f"--plot {output}: {output.parent} is not writable; name another folder")
    if find_spec("matplotlib") is None:
        raise OptionError('--plot needs matplotlib; pip install "proxy-compression[plot]"')


def save_figure(output: Path, inches: tuple[float, float], draw: Callable[[Any], None]) -> None:
    """Write what ``draw`` puts into a ``matplotlib.figure.Figure``: PNG, PDF or SVG, as the name says."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.use("agg")
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure)
        with appearing_file(output) as file:
            figure.savefig(file, format=output.suffix[1:].lower(), dpi=160)
