"""The command ``pcdata``. Everything heavy is imported by the command that needs it, so that --help answers at once."""

from __future__ import annotations

import glob
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcdata import __version__
from pcdata.completion import complete_codec, complete_language
from pcdata.errors import PcdataError
from pcdata.shell import among, named_in, split_names, view_names

if TYPE_CHECKING:
    from pcdata.build.build import BuildResult
    from pcdata.build.dry_run import DryRun

_EXIT_FAULT = 1
_EXIT_SIGNAL = 128

_RESUMING = ("build", "add-view", "merge")
"""Commands that go on where they were stopped."""


class _Stopped(BaseException):
    """SIGTERM, so that it unwinds like Ctrl-C."""


class _Group(click.Group):
    """Turns a ``PcdataError`` into one sentence and exit code 1, and a stop signal into another sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        before = signal.signal(signal.SIGTERM, _raise_stopped)
        try:
            return super().invoke(ctx)
        except PcdataError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(_EXIT_FAULT)
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
            ctx.exit(_EXIT_FAULT)
        finally:
            signal.signal(signal.SIGTERM, before)


def _raise_stopped(number: int, frame: Any) -> None:
    raise _Stopped


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pcdata")
def main() -> None:
    """Build and inspect datasets that hold raw bytes and their compressed views side by side."""


def _expanded(context: click.Context, argument: click.Parameter, inputs: tuple[Path, ...]) -> tuple[Path, ...]:
    """Those of the command line, else of ``--config``. Globs that the shell left alone are expanded; what matches
    nothing is left, to be refused by its name."""
    inputs = inputs or tuple(map(Path, context.lookup_default("inputs") or ()))
    if not inputs:
        raise click.MissingParameter(ctx=context, param=argument)
    return tuple(
        found
        for path in inputs
        for found in ([path] if path.exists() else sorted(map(Path, glob.glob(str(path)))) or [path])  # noqa: PTH207
    )


_INPUTS = click.argument(
    "inputs", nargs=-1, metavar="INPUTS...", type=click.Path(path_type=Path, allow_dash=True), callback=_expanded
)
_DATASET = click.argument("dataset", type=click.Path(path_type=Path))
_COMPRESSORS = click.option(
    "--compressor",
    "-c",
    "compressors",
    multiple=True,
    metavar="CODEC[:OPTION=VALUE,…]",
    shell_complete=complete_codec,
    help="A compressed view: zstd, gzip, bpe, … May be repeated. Example: bpe:vocab_size=4096,name=small",
)
_QUIET = click.option("--quiet", "-q", is_flag=True, help="No progress, no summary; errors only.")
_WORKERS = click.option("--workers", "-j", type=int, default=0, help="Tasks at once; default: one per core.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable, on standard output.")
_PLOT = click.option("--plot", type=click.Path(path_type=Path), default=None, help="Draw a figure: .png, .pdf or .svg.")


def _with_config(context: click.Context, option: click.Parameter, file: Path | None) -> None:
    """What a file says takes the place of the options' defaults, so that the command line goes before it."""
    if file is not None:
        from pcdata.build.config_file import read_config

        context.default_map = {**(context.default_map or {}), **read_config(file)}


_INPUT_OPTIONS = (
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_with_config,
        help="A TOML file of options, as pcdata config prints; those given here go before it.",
    ),
    click.option(
        "--format",
        default="auto",
        shell_complete=among("auto", "files", "jsonl", "parquet", "arrow", "tar"),
        help="auto, files, jsonl, parquet, arrow or tar; see the README.",
    ),
    click.option("--include", multiple=True, metavar="GLOB", help="Take only files that match; may be repeated."),
    click.option("--exclude", multiple=True, metavar="GLOB", help="Pass over files and folders that match."),
    click.option("--keep-binary", is_flag=True, help="Take files that have a NUL among their first 8000 bytes."),
    click.option("--text-key", default="", help="The key of a record's text; default: text, content or code."),
    click.option(
        "--keep", multiple=True, metavar="COLUMN[:TYPE]", help="Carry a record's field through to the dataset."
    ),
    click.option("--min-bytes", default=0, help="Leave out documents with fewer bytes."),
    click.option("--max-bytes", default=0, help="Leave out documents with more bytes."),
    click.option("--max-line-bytes", default=0, help="Leave out documents with a longer line."),
    click.option(
        "--lang",
        "langs",
        multiple=True,
        shell_complete=complete_language,
        help="Take only documents in this language; may be repeated.",
    ),
    click.option(
        "--dedup",
        default="exact",
        show_default=True,
        shell_complete=among("exact", "off"),
        help="exact: the first of equal documents; or off.",
    ),
    click.option("--sample", default=1.0, help="Share of the documents to take, drawn by content."),
    click.option("--limit", default=0, help="How many documents to take, the first ones."),
    click.option("--val-fraction", default=0.02, show_default=True, help="Share of documents drawn into val; 0: none."),
    click.option(
        "--val-by",
        default="document",
        show_default=True,
        shell_complete=among("document", "source", "path-prefix"),
        help="Draw each document, source, or path-prefix[:N].",
    ),
    click.option("--val-list", type=click.Path(path_type=Path), help="A file of the paths that are val, one a line."),
    click.option("--max-document-bytes", default=262_144, show_default=True, help="Longer ones are cut, at line ends."),
    click.option("--fit-bytes", default=16_000_000, show_default=True, help="Raw bytes that codecs are fitted on."),
    click.option("--strict", is_flag=True, help="Stop at a record that cannot be read, instead of counting it."),
)
"""What shapes the documents, their split and the sample: the same for ``build`` and ``fit``."""


def _input_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_INPUT_OPTIONS):
        command = option(command)
    return command


@main.command()
@_INPUTS
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the dataset.")
@_COMPRESSORS
@_input_options
@click.option("--shard-bytes", default=0, help="Raw bytes per shard; default: about 16 shards of 8 to 512 MB.")
@click.option("--dry-run", is_flag=True, help="Say what would be built; write nothing. Never by Ray.")
@click.option(
    "--engine",
    default="process",
    shell_complete=among("process", "ray"),
    show_default=True,
    help="Who runs the tasks: process, on this machine; or ray, on many, which see input and output under the same "
    "paths on a shared file system. The result is the same.",
)
@click.option(
    "--ray-address",
    default="",
    metavar="HOST:PORT|auto",
    help="A Ray cluster that is there; without it, Ray is started on this machine and stopped afterwards.",
)
@_WORKERS
@_QUIET
def build(
    inputs: tuple[Path, ...],
    output: Path,
    compressors: tuple[str, ...],
    dry_run: bool,
    quiet: bool,
    **rest: Any,
) -> None:
    """Build a dataset from folders of files, and from files of records: JSONL, Parquet, Arrow, tar; - is JSONL on
    standard input.

    Stopped at any time, the same command goes on where it was.
    """
    from pcdata.build.options import BuildOptions
    from pcdata.codecs.requests import parse_requests

    options = BuildOptions(
        inputs=inputs,
        output=output,
        requests=tuple(parse_requests(compressors)),
        **rest,
    )
    report = _BarReporter(quiet)
    if dry_run:
        from pcdata.build.dry_run import dry_run as try_out

        _print_dry_run(try_out(options, report))
        return
    from pcdata.build.build import build as run

    began = time.perf_counter()
    result = run(options, report)
    if not quiet:
        _print_summary(output, result, time.perf_counter() - began)


@main.command()
@click.argument("codec", metavar="CODEC[:OPTION=VALUE,…]", shell_complete=complete_codec)
@_INPUTS
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the artifact.")
@_input_options
@_WORKERS
@_QUIET
def fit(codec: str, inputs: tuple[Path, ...], output: Path, quiet: bool, **rest: Any) -> None:
    """Fit a codec once, for builds to reuse with --compressor CODEC:artifact=FOLDER.

    The sample is the one that a build of the same inputs and options would take: never from val.
    """
    from pcdata.build.fit_artifact import fit_artifact
    from pcdata.build.options import BuildOptions
    from pcdata.codecs.requests import parse_request

    request = parse_request(codec)
    options = BuildOptions(inputs=inputs, output=output, requests=(request,), **rest)
    result = fit_artifact(options, _BarReporter(quiet))
    if not quiet:
        record = result.record
        size = sum(entry.bytes for entry in record.files)
        done = "is there already, from the same inputs and options" if result.was_there else "fitted"
        click.echo(
            f"{output}: {request.codec} {done}; {record.fitted_on.documents:,} documents, "
            f"{record.fitted_on.raw_bytes / 1e6:,.1f} MB; {len(record.files)} files of {size / 1e6:.1f} MB. "
            f"Use it with --compressor {request.codec}:artifact={output}",
            err=True,
        )


def _print_dry_run(result: DryRun) -> None:
    plan = result.plan
    click.echo(f"documents  {plan.documents:,} ({plan.raw_bytes:,} raw bytes)")
    for split in ("train", "val"):
        shards = [shard for shard in plan.shards if shard.split == split]
        click.echo(f"{split:<10} {len(shards):,} shards, {sum(shard.documents for shard in shards):,} documents")
    click.echo(f"rejected   {sum(plan.rejects.values()):,}{_reasons(plan.rejects)}")
    click.echo(f"base       about {plan.raw_bytes / 1e6:,.1f} MB on disk")
    for name, size in result.view_bytes.items():
        click.echo(f"{name:<10} about {size / 1e6:,.1f} MB on disk (from {result.sample_bytes / 1e6:.1f} MB encoded)")


def _print_summary(output: Path, result: BuildResult, seconds: float) -> None:
    manifest = result.manifest
    if result.was_complete:
        click.echo(f"{output} is complete already, from the same inputs and options; nothing to do", err=True)
        return
    shards = [shard for of_split in manifest.base.splits.values() for shard in of_split]
    raw_bytes = sum(shard.raw_bytes for shard in shards)
    click.echo(
        f"built {output}: {sum(shard.documents for shard in shards):,} documents, {raw_bytes / 1e6:,.1f} MB raw, "
        f"{len(shards)} shards, in {seconds:.1f} s",
        err=True,
    )
    for view in manifest.views:
        symbols = sum(shard.symbols for of_split in view.splits.values() for shard in of_split)
        rate = f"{raw_bytes / symbols:.2f} raw bytes per symbol" if symbols else "no symbols"
        click.echo(f"  view {view.name}: {symbols:,} symbols, {rate}", err=True)
    if manifest.rejects:
        click.echo(
            f"  not taken: {sum(manifest.rejects.values()):,}{_reasons(manifest.rejects)}; see rejects.jsonl", err=True
        )


def _reasons(rejects: dict[str, int]) -> str:
    return f" ({', '.join(f'{reason} {count:,}' for reason, count in rejects.items())})" if rejects else ""


class _BarReporter:
    """Progress bars on standard error; silent where that is no terminal, or with --quiet."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    @contextmanager
    def stage(self, name: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
        from tqdm import tqdm

        disable = True if self._quiet else None  # None: unless a terminal
        with tqdm(total=total_bytes, desc=name, unit="B", unit_scale=True, disable=disable, file=sys.stderr) as bar:
            yield bar.update

    def say(self, text: str) -> None:
        if not self._quiet:
            click.echo(text, err=True)


@main.command("add-view")
@_DATASET
@_COMPRESSORS
@_WORKERS
@_QUIET
def add_view(dataset: Path, compressors: tuple[str, ...], workers: int, quiet: bool) -> None:
    """Add views to a dataset: the same files as if it had been built with them.

    Stopped at any time, the same command goes on where it was.
    """
    from pcdata.build.add_view import add_views
    from pcdata.codecs.requests import parse_requests
    from pcdata.errors import OptionError

    requests = parse_requests(compressors)
    if not requests:
        raise OptionError("no view to add; name one with --compressor")
    manifest = add_views(dataset, requests, workers, _BarReporter(quiet))
    if not quiet:
        click.echo(f"{dataset} has the views {', '.join(view.name for view in manifest.views)}", err=True)


@main.command()
@click.argument("datasets", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the dataset.")
@_WORKERS
@_QUIET
def merge(datasets: tuple[Path, ...], output: Path, workers: int, quiet: bool) -> None:
    """Join datasets that have the same views; of documents that are in several the first stays.

    Stopped at any time, the same command goes on where it was.
    """
    from pcdata.build.merge import merge as join

    result = join(datasets, output, workers, _BarReporter(quiet))
    if not quiet:
        if result.was_complete:
            click.echo(f"{output} is there already, of the same parts; nothing to do", err=True)
            return
        shards = [shard for of_split in result.manifest.base.splits.values() for shard in of_split]
        amount = f"{sum(shard.documents for shard in shards):,} documents"
        click.echo(f"merged {len(datasets)} datasets into {output}: {amount}, {len(shards)} shards", err=True)


@main.command("drop-view")
@_DATASET
@click.argument("name", shell_complete=named_in("dataset", view_names))
@_QUIET
def drop_view(dataset: Path, name: str, quiet: bool) -> None:
    """Remove a view from a dataset, and its files."""
    from pcdata.build.drop_view import drop_view as drop

    manifest = drop(dataset, name)
    if not quiet:
        left = ", ".join(view.name for view in manifest.views) or "none"
        click.echo(f"{dataset} is without {name}; its views: {left}", err=True)


@main.command()
@_DATASET
@click.option("--measure", is_flag=True, help="Also look at symbols: whether each means one thing.")
@_PLOT
@_JSON
def stats(dataset: Path, measure: bool, plot: Path | None, as_json: bool) -> None:
    """What a dataset holds: documents, languages, views, ratios, units."""
    from pcdata.dataset.manifest import load_manifest
    from pcdata.inspection.stats import render
    from pcdata.inspection.stats import stats as collect

    if plot is not None:
        from pcdata.inspection.plotting import check_plot

        check_plot(plot)
    collected = collect(load_manifest(dataset))
    text = "" if as_json else render(collected)
    if measure:
        from pcdata.dataset import Dataset
        from pcdata.inspection import figures

        collected["measured"] = figures.figures(Dataset(dataset))
        text = text if as_json else f"{text}\n\n{figures.render(collected['measured'])}"
    click.echo(json.dumps(collected, indent=1) if as_json else text)
    if plot is not None:
        from pcdata.dataset import Dataset
        from pcdata.inspection.distributions import plot as draw

        draw(Dataset(dataset), plot)
        click.echo(f"{plot}: drawn", err=True)


@main.command()
@_DATASET
def config(dataset: Path) -> None:
    """The options that a dataset was built with, as a file for --config."""
    from pcdata.build.config_file import render_config

    click.echo(render_config(dataset))


def _parse_span(context: click.Context, option: click.Parameter, span: str | None) -> tuple[int, int] | None:
    if span is None:
        return None
    first, colon, end = span.partition(":")
    if not colon or not (first + end).isdecimal():
        raise click.BadParameter(f"expected A:B, two numbers, got {span!r}")
    return int(first or 0), int(end or sys.maxsize)


@main.command()
@_DATASET
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
    click.echo(f"{output}: written, {output.stat().st_size / 1e6:.1f} MB; open it in a browser", err=True)


@main.command(context_settings={"default_map": {"val_fraction": 0.2}})
@_INPUTS
@_COMPRESSORS
@_input_options
@click.option("--documents", default=200, show_default=True, help="The most documents that are probed.")
@click.option(
    "--document-bytes",
    metavar="A:B",
    callback=_parse_span,
    default="2000:64000",
    show_default=True,
    help="Probe documents of at least A and at most B bytes.",
)
@click.option("--seed", default=0, show_default=True, help="Of the choice of documents, and of every edit.")
@_PLOT
@_JSON
@_WORKERS
@_QUIET
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
    from pcdata.build.options import BuildOptions
    from pcdata.codecs.requests import parse_requests
    from pcdata.inspection.plotting import check_plot
    from pcdata.inspection.probe.probe import probe as measure
    from pcdata.inspection.probe.render import render
    from pcdata.inspection.probe.sample import ProbeOptions

    if plot is not None:
        check_plot(plot)
    requests = tuple(parse_requests(compressors))
    # The output is nowhere: a trial puts a temporary folder in its place.
    options = BuildOptions(inputs=inputs, output=Path(), requests=requests, workers=workers, **rest)
    found = measure(ProbeOptions(options, documents, document_bytes, seed), _BarReporter(quiet))
    click.echo(json.dumps(found.to_dict(), indent=1) if as_json else render(found))
    if plot is not None:
        from pcdata.inspection.probe.plot import plot as draw

        draw(found, plot)
        if not quiet:
            click.echo(f"{plot}: drawn", err=True)


def _wants_colour() -> bool:
    """On a terminal, unless NO_COLOR is set and not empty, as no-color.org has it."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


@main.command()
@_DATASET
@click.option("--doc", "selector", default="0", show_default=True, help="A number, a path, or the start of an id.")
@click.option(
    "--view",
    "views",
    multiple=True,
    shell_complete=named_in("dataset", view_names),
    help="Show this view; may be repeated. Default: all.",
)
@click.option("--bytes", "span", metavar="A:B", callback=_parse_span, help="Only these raw bytes of the document.")
@click.option("--width", type=int, default=None, help="Columns; default: the terminal's.")
def show(dataset: Path, selector: str, views: tuple[str, ...], span: tuple[int, int] | None, width: int | None) -> None:
    """One document, its views side by side, unit by unit."""
    from pcdata.dataset import Dataset
    from pcdata.inspection.show import show as draw

    columns = width or shutil.get_terminal_size((100, 24)).columns
    colour = _wants_colour()
    text = draw(Dataset(dataset), selector, views or None, columns, span=span, colour=colour)
    click.echo(text, color=colour)


@main.command()
@_DATASET
@click.option("--quick", is_flag=True, help="Sizes and hashes only; decode nothing.")
@click.option("--sample", type=float, default=None, help="Decode this share of the documents, instead of all.")
@_JSON
@_WORKERS
@_QUIET
def verify(dataset: Path, quick: bool, sample: float | None, as_json: bool, workers: int, quiet: bool) -> None:
    """Hash every file, then decode every view and compare it with the raw bytes."""
    from pcdata.build.engines.base import cores
    from pcdata.dataset.manifest import load_manifest
    from pcdata.inspection.verify import verify as check
    from pcdata.inspection.verify import work_bytes

    total = work_bytes(load_manifest(dataset), quick=quick)
    with _BarReporter(quiet).stage("verify", total) as advance:
        report = check(dataset, quick=quick, sample=sample, workers=workers or cores(), progress=advance)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=1))
    elif not (quiet and report.ok):
        click.echo(f"{dataset}\n{report.render()}" if not report.ok else f"{dataset}: {report.render()}", err=False)
    if not report.ok:
        sys.exit(_EXIT_FAULT)


@main.command("export-docs")
@_DATASET
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
@_QUIET
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
    from pcdata.export.export import check_export
    from pcdata.export.export import export_docs as write
    from pcdata.export.whole import Choice

    opened = Dataset(dataset)
    check_export(opened, output, text_key)
    choice = Choice(splits or tuple(opened.splits), langs, limit)
    total = sum(opened.split(name).raw_bytes for name in choice.splits)
    with _BarReporter(quiet).stage("export", total) as advance:
        done = write(opened, output, choice, text_key, advance)
    if not quiet:
        click.echo(f"{output}: {done.documents:,} documents, {done.raw_bytes / 1e6:,.1f} MB", err=True)
    if done.renamed:
        click.echo(f"  {done.renamed:,} could not keep their path: it was taken, too long or led elsewhere", err=True)
    if done.left_out:
        click.echo(
            f"  {done.left_out:,} are not UTF-8 and were left out; a folder of files or .parquet holds them", err=True
        )


if __name__ == "__main__":
    main()
