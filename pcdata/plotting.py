"""Figures as files: the style that both packages share, and writing them atomically."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pcdata.dataset.files import appearing_file
from pcdata.extras import require
from pcdata.output_files import FIGURE, check_output
from pcdata.terminal import safe

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito, which colour-blind people can distinguish."""

_LEGEND_COLUMNS: Final = 8
"""Names side by side in a legend below a figure; more are put into further lines."""

RAW_COLOUR: Final = "0.55"
"""Grey, for raw bytes, the baseline."""

_STYLE: Final[Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # text as text: journals reject outlines, the default
    "svg.hashsalt": "pcdata",
}


def as_label(name: str | bytes) -> str:
    """Text from a dataset as a label: text between two $ would become a formula."""
    return safe(name).replace("$", r"\$")


def colours_for(names: Sequence[str]) -> dict[str, str]:
    """A different colour for each; from a colour map if ``COLOURS`` has too few."""
    if len(names) <= len(COLOURS):
        return dict(zip(names, COLOURS, strict=False))
    import matplotlib
    from matplotlib.colors import to_hex

    shades = matplotlib.colormaps["turbo"].resampled(len(names))
    return {name: to_hex(shades(number)) for number, name in enumerate(names)}


def check_plot(output: Path) -> bool:
    """Before hours of work: whether ``save_figure`` will replace a figure. Raises ``OptionError`` if it could not write
    there."""
    replaced = check_output("--plot", output, FIGURE)
    require("matplotlib", "--plot")
    return replaced


def save_figure(
    output: Path,
    inches: tuple[float, float],
    draw: Callable[[Any], None],
    style: Any = MappingProxyType({}),
    dpi: int = 160,
) -> None:
    """Let ``draw`` fill a ``matplotlib.figure.Figure`` and write it as PNG, PDF or SVG, by the name. ``style``
    overrides the shared style."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.use("agg")
    with matplotlib.rc_context({**_STYLE, **style}):
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure)
        with appearing_file(output) as file:
            figure.savefig(file, format=output.suffix[1:].lower(), dpi=dpi)


def legend_below(figure: Any, axes: Any) -> None:
    """One legend for all panels, with everything labelled in any of them."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = min(len(handles), _LEGEND_COLUMNS)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
