"""Commands that look at a dataset, or at a corpus, and change nothing: stats, config, show, report, probe, verify,
export-docs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from pcdata.commands.options import COMPRESSORS, DATASET, INPUTS, JSON, PLOT, QUIET, WORKERS, input_options, parse_span
from pcdata.commands.progress import BarReporter
from pcdata.completion import complete_language
from pcdata.shell import named_in, split_names, view_names
from pcdata.starting import EXIT_FAULT
from pcdata.terminal import answer, say


@click.command()
@DATASET
@click.option("--measure", is_flag=True, help="Also look at symbols: whether each means one thing.")
@PLOT
@JSON
def stats(dataset: Path, measure: bool, plot: Path | None, as_json: bool) -> None:
    """What a dataset holds: documents, languages, views, ratios, units."""
    from pcdata.dataset.manifest import load_manifest
    from pcdata.inspection.stats import render
    from pcdata.inspection.stats import stats as collect

    if plot is not None:
        from pcdata.plotting import check_plot

        check_plot(plot)
    collected = collect(load_manifest(dataset))
    text = "" if as_json else render(collected)
    if measure:
        from pcdata.dataset import Dataset
        from pcdata.inspection import symbol_statistics as figures

        collected["measured"] = figures.figures(Dataset(dataset))
        text = text if as_json else f"{text}\n\n{figures.render(collected['measured'])}"
    answer(json.dumps(collected, indent=1) if as_json else text)
    if plot is not None:
        from pcdata.dataset import Dataset
        from pcdata.inspection.distributions import plot as draw

        draw(Dataset(dataset), plot)
        say(f"{plot}: drawn")


@click.command()
@DATASET
def config(dataset: Path) -> None:
    """The options that a dataset was built with, as a file for --config."""
    from pcdata.building.config_file import render_config

    answer(render_config(dataset))


@click.command()
@DATASET
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The page, .html.")
@click.option("--documents", default=40, show_default=True, help="How many documents can be explored.")
@click.option("--document-bytes", default=6_000, show_default=True, help="How much of each.")
@click.option("--seed", default=0, show_default=True, help="Draws other documents.")
@click.option(
    "--probe",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What pcdata probe --json printed, to be shown too.",
)
def report(dataset: Path, output: Path, documents: int, document_bytes: int, seed: int, probe: Path | None) -> None:
    """A dataset as one page for a browser: figures, and code with the units of each view to point at."""
    from pcdata.dataset import Dataset
    from pcdata.inspection.report.page import check_report, read_probe, write_report

    check_report(output, documents, document_bytes)
    found = None if probe is None else read_probe(probe)
    write_report(Dataset(dataset), output, documents, document_bytes, seed, found)
    say(f"{output}: written, {output.stat().st_size / 1e6:.1f} MB; open it in a browser")


@click.command(context_settings={"default_map": {"val_fraction": 0.2}})
@INPUTS
@COMPRESSORS
@input_options
@click.option("--documents", default=200, show_default=True, help="The most documents that are probed.")
@click.option(
    "--document-bytes",
    metavar="A:B",
    callback=parse_span,
    default="2000:64000",
    show_default=True,
    help="Probe documents of at least A and at most B bytes.",
)
@click.option("--seed", default=0, show_default=True, help="Of the choice of documents, and of every edit.")
@PLOT
@JSON
@WORKERS
@QUIET
def probe(
    inputs: tuple[Path, ...],
    compressors: tuple[str, ...],
    documents: int,
    document_bytes: tuple[int, int],
    seed: int,
    plot: Path | None,
    as_json: bool,
    workers: int,
    quiet: bool,
    **rest: Any,
) -> None:
    """Which compressor is a good proxy: how short, stable, local and unambiguous its symbols are.

    Compressors are fitted on a part of the input; documents of the other part are edited and compared. Writes nothing.
    """
    from pcdata.building.options import BuildOptions
    from pcdata.codecs.requests import parse_requests
    from pcdata.plotting import check_plot
    from pcdata.probing.probe import probe as measure
    from pcdata.probing.render import render
    from pcdata.probing.sample import ProbeOptions

    if plot is not None:
        check_plot(plot)
    requests = tuple(parse_requests(compressors))
    # The output is nowhere: a trial puts a temporary folder in its place.
    options = BuildOptions(inputs=inputs, output=Path(), requests=requests, workers=workers, **rest)
    found = measure(ProbeOptions(options, documents, document_bytes, seed), BarReporter(quiet))
    answer(json.dumps(found.to_dict(), indent=1) if as_json else render(found))
    if plot is not None:
        from pcdata.probing.plot import plot as draw

        draw(found, plot)
        if not quiet:
            say(f"{plot}: drawn")


def wants_colour() -> bool:
    """On a terminal that has them, unless NO_COLOR is set and not empty, as no-color.org has it."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


@click.command()
@DATASET
@click.option("--doc", "selector", default="0", show_default=True, help="A number, a path, or the start of an id.")
@click.option(
    "--view",
    "views",
    multiple=True,
    shell_complete=named_in("dataset", view_names),
    help="Show this view; may be repeated. Default: all.",
)
@click.option("--bytes", "span", metavar="A:B", callback=parse_span, help="Only these raw bytes of the document.")
@click.option("--width", type=int, default=None, help="Columns; default: the terminal's.")
def show(dataset: Path, selector: str, views: tuple[str, ...], span: tuple[int, int] | None, width: int | None) -> None:
    """One document, its views side by side, unit by unit."""
    from pcdata.dataset import Dataset
    from pcdata.inspection.show import show as draw

    columns = width or shutil.get_terminal_size((100, 24)).columns
    colour = wants_colour()
    text = draw(Dataset(dataset), selector, views or None, columns, span=span, colour=colour)
    answer(text, coloured=colour)


@click.command()
@DATASET
@click.option("--quick", is_flag=True, help="Sizes and hashes only; decode nothing.")
@click.option("--sample", type=float, default=None, help="Decode this share of the documents, instead of all.")
@JSON
@WORKERS
@QUIET
def verify(dataset: Path, quick: bool, sample: float | None, as_json: bool, workers: int, quiet: bool) -> None:
    """Hash every file, then decode every view and compare it with the raw bytes."""
    from pcdata.dataset.manifest import load_manifest
    from pcdata.machine import cores
    from pcdata.verifying.verify import verify as check
    from pcdata.verifying.verify import work_bytes

    total = work_bytes(load_manifest(dataset), quick=quick)
    with BarReporter(quiet).stage("verify", total) as advance:
        report = check(dataset, quick=quick, sample=sample, workers=workers or cores(), progress=advance)
    if as_json:
        answer(json.dumps(report.to_dict(), indent=1))
    elif not (quiet and report.ok):
        answer(f"{dataset}\n{report.render()}" if not report.ok else f"{dataset}: {report.render()}")
    if not report.ok:
        sys.exit(EXIT_FAULT)


@click.command("export-docs")
@DATASET
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="NAME.jsonl (.jsonl.gz, .jsonl.zst), NAME.parquet, or a folder of files; -: JSONL on standard output.",
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    shell_complete=named_in("dataset", split_names),
    help="train or val; default: both.",
)
@click.option(
    "--lang",
    "langs",
    multiple=True,
    shell_complete=complete_language,
    help="Only documents in this language; may be repeated.",
)
@click.option("--limit", type=click.IntRange(min=0), default=0, help="How many documents, the first ones.")
@click.option("--text-key", default="text", show_default=True, help="What records call the text.")
@QUIET
def export_docs(
    dataset: Path,
    output: Path,
    splits: tuple[str, ...],
    langs: tuple[str, ...],
    limit: int,
    text_key: str,
    quiet: bool,
) -> None:
    """Write the raw documents out again: as files, JSONL or Parquet. Those that were cut are whole again.

    Files lie at SOURCE/PATH below the folder. JSON holds no bytes that are not UTF-8: such documents are left out of
    it, and counted.
    """
    from pcdata.dataset import Dataset
    from pcdata.exporting.export import check_export
    from pcdata.exporting.export import export_docs as write
    from pcdata.exporting.whole import Choice

    opened = Dataset(dataset)
    check_export(opened, output, text_key)
    choice = Choice(splits or tuple(opened.splits), langs, limit)
    total = sum(opened.split(name).raw_bytes for name in choice.splits)
    with BarReporter(quiet).stage("export", total) as advance:
        done = write(opened, output, choice, text_key, advance)
    if not quiet:
        say(f"{output}: {done.documents:,} documents, {done.raw_bytes / 1e6:,.1f} MB")
    if done.renamed:
        say(f"  {done.renamed:,} could not keep their path: it was taken, too long or led elsewhere")
    if done.left_out:
        say(f"  {done.left_out:,} are not UTF-8 and were left out; a folder of files or .parquet holds them")
