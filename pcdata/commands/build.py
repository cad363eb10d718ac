"""``pcdata build``: a dataset from folders of files and files of records."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcdata.building.options import BuildOptions
from pcdata.building.progress import Reporter
from pcdata.commands.options import COMPRESSORS, CONFIG, INPUTS, options_of, output_of
from pcdata.sections import Command
from pcdata.shared_options import QUIET
from pcdata.terminal import answer, say
from pcdata.text import size

if TYPE_CHECKING:
    from pcdata.building.build import BuildResult
    from pcdata.building.dry_run import DryRun


@click.command(cls=Command)
@INPUTS
@output_of("dataset")
@COMPRESSORS
@options_of(BuildOptions)
@click.option("--restart", is_flag=True, help="Discard the unfinished build in the folder, and start over.")
@click.option("--dry-run", is_flag=True, help="Say what would be built, without Ray; write nothing.")
@CONFIG
@QUIET
def build(
    inputs: tuple[Path, ...],
    output: Path,
    compressors: tuple[str, ...],
    restart: bool,
    dry_run: bool,
    quiet: bool,
    **rest: Any,
) -> None:
    """Build a dataset from folders of files and files of records.

    Records are JSONL, Parquet, Arrow or tar; - is JSONL on standard input.

    Rerun the same command to resume after any interruption.
    """
    from pcdata.codecs.requests import parse_requests

    options = BuildOptions.of(inputs, output, parse_requests(compressors), **rest)
    report = Reporter(quiet)
    if dry_run:
        from pcdata.building.dry_run import dry_run as try_out

        _print_dry_run(try_out(options.dataset, options.running.workers, report))
        return
    from pcdata.building.build import build as run

    began = time.perf_counter()
    result = run(options, report, restart=restart)
    if not quiet:
        _print_summary(output, result, time.perf_counter() - began)


def _print_dry_run(result: DryRun) -> None:
    plan = result.plan
    answer(f"documents  {_documents(plan.whole_documents, plan.documents)} ({plan.raw_bytes:,} raw bytes)")
    for split in ("train", "val"):
        shards = [shard for shard in plan.shards if shard.split == split]
        answer(f"{split:<10} {len(shards):,} shards, {sum(shard.documents for shard in shards):,} documents")
    answer(f"rejected   {sum(plan.rejects.values()):,}{_reasons(plan.rejects)}")
    answer(f"base       about {size(plan.raw_bytes)} on disk")
    for name, view_bytes in result.view_bytes.items():
        answer(f"{name:<10} about {size(view_bytes)} on disk (from {size(result.sample_bytes)} encoded)")


def _print_summary(output: Path, result: BuildResult, seconds: float) -> None:
    manifest = result.manifest
    if result.was_complete:
        say(f"{output} is complete already, from the same inputs and options; nothing to do")
        return
    shards = manifest.base.shards
    raw_bytes = sum(shard.raw_bytes for shard in shards)
    say(
        f"built {output}: {_documents(result.whole_documents, sum(shard.documents for shard in shards), 'documents')}, "
        f"{size(raw_bytes)} raw, {len(shards)} shards, in {seconds:.1f} s"
    )
    for view in manifest.views:
        symbols = sum(shard.symbols for shard in view.shards)
        rate = f"{raw_bytes / symbols:.2f} raw bytes per symbol" if symbols else "no symbols"
        say(f"  view {view.name}: {symbols:,} symbols, {rate}")
    if manifest.rejects:
        say(f"  rejected: {sum(manifest.rejects.values()):,}{_reasons(manifest.rejects)}; see rejects.jsonl")


def _documents(whole: int, parts: int, noun: str = "") -> str:
    """How many documents, and in how many parts if long ones were cut: ``--limit`` counts documents, all else parts."""
    return f"{whole:,} {noun}".strip() + (f" in {parts:,} parts" if parts > whole else "")


def _reasons(rejects: dict[str, int]) -> str:
    return f" ({', '.join(f'{reason} {count:,}' for reason, count in rejects.items())})" if rejects else ""
