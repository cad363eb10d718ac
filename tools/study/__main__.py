"""The study: which compressor is worth training through, and does what it teaches transfer to raw bytes?

    python -m tools.study tools/study/cpu.toml -o study/ [--arm bpe --seed 0] [--jobs 2]
    python -m tools.study tools/study/gpu.toml -o study-gpu/ --only-report

Builds the corpus once, trains and measures every arm that has no result yet, and writes ``table.json``,
``curves.png``, ``exchange.png`` and, with ``--page``, the tables of a page. Rerun the same command to resume after any
interruption. Several such commands at once share the work. ``--only-report`` writes what needs only results: everything
except ``curves.png``.
"""

from __future__ import annotations

import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from time import sleep
from typing import Final

import click

from pcdata.dataset.files import LockFile
from pcdata.errors import PcdataError
from pctrain.errors import PctrainError
from tools.study.corpus import prepare, stability
from tools.study.plan import StudyError, Trial, read_study
from tools.study.report import recorded_stability, report
from tools.study.trial import Bench, Recorded, Result

_PATH = click.Path(path_type=Path)
_POLL_SECONDS: Final = 10
"""After which trials of other processes are looked at."""


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
            text = report(Recorded(plan, results), recorded_stability(beside), beside, page, as_json=as_json)
        else:
            bench = Bench(plan, prepare(plan.corpus, folder), results)
            run_all(bench, plan.trials(arms, seeds), jobs)
            text = report(bench, stability(bench.datasets), beside, page, as_json=as_json)
            bench.draw_curves(beside / "curves.png")
    except (StudyError, PcdataError, PctrainError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    click.echo(text)


def run_all(bench: Bench, trials: list[Trial], jobs: int) -> None:
    """Run each trial without a result, after what it waits for, which runs even if not selected. Trials that another
    process has claimed are waited for."""
    running: dict[Future[Result], Trial] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while waiting := [trial for trial in trials if bench.result(trial) is None]:
            for trial in dict.fromkeys(due for each in waiting for due in bench.due(each)):
                if len(running) == jobs:
                    break
                if trial not in running.values() and (claim := bench.claim(trial)):
                    running[pool.submit(_run, bench, trial, claim)] = trial
            if not running:
                sleep(_POLL_SECONDS)
            for future in wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED).done:
                running.pop(future)
                future.result()  # raises what it raised


def _run(bench: Bench, trial: Trial, claim: LockFile) -> Result:
    """Run a claimed trial, unless another process has done so since it was found to be due."""
    try:
        if (found := bench.result(trial)) is not None:
            return found
        click.echo(f"{trial.name} …", err=True)
        made = bench.run(trial)
        click.echo(f"{trial.name}: {made.bits_per_byte:.4f} bits per byte", err=True)
        return made
    finally:
        claim.close(remove=True)


if __name__ == "__main__":
    main()
