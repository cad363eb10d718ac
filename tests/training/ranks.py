"""The processes of one run, as ``torchrun`` starts them, but forked from one that has imported torch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.made_run import SETTINGS

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pctrain.training.loop"])


def run(size: int, data: Path, folder: Path, *settings: str, stop: tuple[int, int] = (-1, 0)) -> list[str]:
    """What each of ``size`` processes said; ``stop`` is the step at which a rank gets SIGTERM."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = folder.parent / f"said-{port}"
    said.mkdir()
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    ranks = [
        CONTEXT.Process(
            target=_fit,
            args=({**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}, said, data, folder, settings, stop),
        )
        for rank in range(size)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    errors = [(said / f"{rank}.err").read_text() for rank in range(size)]
    assert [process.exitcode for process in ranks] == [0] * size, errors
    assert not any(errors[1:]), "one process speaks"
    return [(said / f"{rank}.out").read_text().strip() for rank in range(size)]


def _fit(
    environment: dict[str, str], said: Path, data: Path, folder: Path, settings: Sequence[str], stop: tuple[int, int]
) -> None:
    """In a process of its own: one rank's part, its two streams into files."""
    os.environ.update(environment)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(said / f"{environment['RANK']}.{name}", os.O_WRONLY | os.O_CREAT), number)
    warnings.simplefilter("ignore")

    from pctrain.config import resolve
    from pctrain.training import loop, step

    real, steps = step.gradients, iter(range(10**6))

    def gradients(trainer: Any, batch: Any) -> Any:
        if (next(steps), trainer.world.rank) == stop:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)  # as torchrun's agent does
        return real(trainer, batch)

    step.gradients = gradients
    outcome = loop.fit(data, folder, resolve(None, None, [*SETTINGS, *settings]), quiet=True)
    print(outcome.step, outcome.signal)  # noqa: T201
