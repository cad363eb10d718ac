"""Commands that make a dataset or change it: build, fit, add-view, drop-view, merge."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcdata.commands.options import COMPRESSORS, DATASET, INPUTS, QUIET, WORKERS, input_options
from pcdata.commands.progress import BarReporter
from pcdata.completion import complete_codec
from pcdata.shell import among, named_in, view_names
from pcdata.terminal import answer, say

if TYPE_CHECKING:
    from pcdata.building.build import BuildResult
    from pcdata.building.dry_run import DryRun


@click.command()
@INPUTS
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the dataset.")
@COMPRESSORS
@input_options
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
@WORKERS
@QUIET
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

    Rerun the same command to resume after any interruption.
    """
    from pcdata.building.options import BuildOptions
    from pcdata.codecs.requests import parse_requests

    options = BuildOptions.of(inputs, output, parse_requests(compressors), **rest)
    report = BarReporter(quiet)
    if dry_run:
        from pcdata.building.dry_run import dry_run as try_out

        _print_dry_run(try_out(options.dataset, options.running.workers, report))
        return
    from pcdata.building.build import build as run

    began = time.perf_counter()
    result = run(options, report)
    if not quiet:
        _print_summary(output, result, time.perf_counter() - began)


@click.command()
@click.argument("codec", metavar="CODEC[:OPTION=VALUE,…]", shell_complete=complete_codec)
@INPUTS
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the artifact.")
@input_options
@WORKERS
@QUIET
def fit(codec: str, inputs: tuple[Path, ...], output: Path, workers: int, quiet: bool, **rest: Any) -> None:
    """Fit a codec once, for builds to reuse with --compressor CODEC:artifact=FOLDER.

    The sample is the one that a build of the same inputs and options would take: never from val.
    """
    from pcdata.building.fit_artifact import fit_artifact
    from pcdata.building.options import DatasetOptions
    from pcdata.codecs.requests import parse_request

    request = parse_request(codec)
    result = fit_artifact(DatasetOptions.of(inputs, [request], **rest), output, workers, BarReporter(quiet))
    if not quiet:
        record = result.record
        size = sum(entry.bytes for entry in record.files)
        done = "is there already, from the same inputs and options" if result.was_there else "fitted"
        say(
            f"{output}: {request.codec} {done}; {record.fitted_on.documents:,} documents, "
            f"{record.fitted_on.raw_bytes / 1e6:,.1f} MB; {len(record.files)} files of {size / 1e6:.1f} MB. "
            f"Use it with --compressor {request.codec}:artifact={output}"
        )


def _print_dry_run(result: DryRun) -> None:
    plan = result.plan
    answer(f"documents  {_documents(plan.whole_documents, plan.documents)} ({plan.raw_bytes:,} raw bytes)")
    for split in ("train", "val"):
        shards = [shard for shard in plan.shards if shard.split == split]
        answer(f"{split:<10} {len(shards):,} shards, {sum(shard.documents for shard in shards):,} documents")
    answer(f"rejected   {sum(plan.rejects.values()):,}{_reasons(plan.rejects)}")
    answer(f"base       about {plan.raw_bytes / 1e6:,.1f} MB on disk")
    for name, size in result.view_bytes.items():
        answer(f"{name:<10} about {size / 1e6:,.1f} MB on disk (from {result.sample_bytes / 1e6:.1f} MB encoded)")


def _print_summary(output: Path, result: BuildResult, seconds: float) -> None:
    manifest = result.manifest
    if result.was_complete:
        say(f"{output} is complete already, from the same inputs and options; nothing to do")
        return
    shards = [shard for of_split in manifest.base.splits.values() for shard in of_split]
    raw_bytes = sum(shard.raw_bytes for shard in shards)
    say(
        f"built {output}: {_documents(result.whole_documents, sum(shard.documents for shard in shards), 'documents')}, "
        f"{raw_bytes / 1e6:,.1f} MB raw, {len(shards)} shards, in {seconds:.1f} s"
    )
    for view in manifest.views:
        symbols = sum(shard.symbols for of_split in view.splits.values() for shard in of_split)
        rate = f"{raw_bytes / symbols:.2f} raw bytes per symbol" if symbols else "no symbols"
        say(f"  view {view.name}: {symbols:,} symbols, {rate}")
    if manifest.rejects:
        say(f"  not taken: {sum(manifest.rejects.values()):,}{_reasons(manifest.rejects)}; see rejects.jsonl")


def _documents(whole: int, parts: int, noun: str = "") -> str:
    """How many, and in how many parts if long ones were cut: ``--limit`` counts the former, all else the latter."""
    return f"{whole:,} {noun}".strip() + (f" in {parts:,} parts" if parts > whole else "")


def _reasons(rejects: dict[str, int]) -> str:
    return f" ({', '.join(f'{reason} {count:,}' for reason, count in rejects.items())})" if rejects else ""


@click.command("add-view")
@DATASET
@COMPRESSORS
@WORKERS
@QUIET
def add_view(dataset: Path, compressors: tuple[str, ...], workers: int, quiet: bool) -> None:
    """Add views to a dataset: the same files as if it had been built with them.

    Rerun the same command to resume after any interruption.
    """
    from pcdata.codecs.requests import parse_requests
    from pcdata.editing.add_view import add_views
    from pcdata.errors import OptionError

    requests = parse_requests(compressors)
    if not requests:
        raise OptionError("no view to add; name one with --compressor")
    manifest = add_views(dataset, requests, workers, BarReporter(quiet))
    if not quiet:
        say(f"{dataset} has the views {', '.join(view.name for view in manifest.views)}")


@click.command()
@click.argument("datasets", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the dataset.")
@WORKERS
@QUIET
def merge(datasets: tuple[Path, ...], output: Path, workers: int, quiet: bool) -> None:
    """Join datasets that have the same views; of documents that are in several the first stays.

    Rerun the same command to resume after any interruption.
    """
    from pcdata.editing.merge import merge as join

    result = join(datasets, output, workers, BarReporter(quiet))
    if not quiet:
        if result.was_complete:
            say(f"{output} is there already, of the same parts; nothing to do")
            return
        shards = [shard for of_split in result.manifest.base.splits.values() for shard in of_split]
        amount = f"{sum(shard.documents for shard in shards):,} documents"
        say(f"merged {len(datasets)} datasets into {output}: {amount}, {len(shards)} shards")


@click.command("drop-view")
@DATASET
@click.argument("name", shell_complete=named_in("dataset", view_names))
@QUIET
def drop_view(dataset: Path, name: str, quiet: bool) -> None:
    """Remove a view from a dataset, and its files."""
    from pcdata.editing.drop_view import drop_view as drop

    manifest = drop(dataset, name)
    if not quiet:
        left = ", ".join(view.name for view in manifest.views) or "none"
        say(f"{dataset} is without {name}; its views: {left}")
