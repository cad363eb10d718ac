"""The study: which compressor is worth training through, and does what it teaches transfer to raw bytes?

    python -m tools.study tools/study/cpu.toml -o study/ [--arm bpe --seed 0] [--jobs 2]
    python -m tools.study tools/study/gpu.toml -o study-gpu/ --only-report

Builds the corpus once, trains and measures every arm that has no result yet, and writes ``table.json``,
``curves.png``, ``exchange.png`` and, with ``--page``, the tables of a page. Rerun the same command to resume after any
interruption. ``--only-report`` writes what needs only results: everything except ``curves.png``.
"""

from __future__ import annotations

import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import click

from pcdata.errors import PcdataError
from pctrain.errors import PctrainError
from tools.study.corpus import prepare, stability
from tools.study.plan import StudyError, Trial, read_study
from tools.study.report import recorded_results, recorded_stability, report
from tools.study.trial import Bench, Result

_PATH = click.Path(path_type=Path)


@click.command(help=__doc__)
@click.argument("study", type=_PATH)
@click.option("-o", "--output", "folder", type=_PATH, required=True, help="Folder for datasets, runs and results.")
@click.option(
    "--results",
    type=_PATH,
    help="Folder of the results, one JSON file each; table and figures go beside it. [default: in the output folder]",
)
@click.option("--arm", "arms", multiple=True, metavar="NAME", help="Only this arm; may be repeated.")
@click.option("--seed", "seeds", multiple=True, type=int, help="Only this seed; may be repeated.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Trials at once, one thread each.")
@click.option("--only-report", is_flag=True, help="Run nothing: tables and figure of existing results.")
@click.option("--page", type=_PATH, help="Page whose tables are rewritten, such as STUDY.md.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def main(
    study: Path,
    folder: Path,
    results: Path | None,
    arms: tuple[str, ...],
    seeds: tuple[int, ...],
    jobs: int,
    only_report: bool,
    page: Path | None,
    as_json: bool,
) -> None:
    results = results or folder / "results"
    beside = results.parent
    try:
        plan = read_study(study)
        if only_report:
            found, stable = recorded_results(plan, results), recorded_stability(beside)
            text = report(plan, found, stable, beside, page, as_json=as_json)
        else:
            bench = Bench(plan, prepare(plan.corpus, folder), results)
            run_all(bench, plan.trials(arms, seeds), jobs)
            text = report(plan, bench.all_results(), stability(bench.datasets), beside, page, as_json=as_json)
            bench.draw_curves(beside / "curves.png")
    except (StudyError, PcdataError, PctrainError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    click.echo(text)


def run_all(bench: Bench, trials: list[Trial], jobs: int) -> None:
    """Run each trial without a result, after the one that its budget depends on, which runs even if not selected."""
    waiting = [*dict.fromkeys(each for trial in trials for each in (bench.like(trial), trial) if each is not None)]
    running: dict[Future[Result], Trial] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while waiting or running:
            for trial in [trial for trial in waiting if bench.is_ready(trial)]:
                if len(running) == jobs:
                    break
                waiting.remove(trial)
                found = bench.result(trial)
                if found is None:
                    click.echo(f"{trial.name} …", err=True)
                    running[pool.submit(bench.run, trial)] = trial
            done, _ = wait(running, return_when=FIRST_COMPLETED) if running else ((), ())
            for future in done:
                trial = running.pop(future)
                click.echo(f"{trial.name}: {future.result().bits_per_byte:.4f} bits per byte", err=True)


if __name__ == "__main__":
    main()
