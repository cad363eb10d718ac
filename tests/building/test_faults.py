"""A disk that fills up and a worker that dies: one sentence, and the same command goes on to the same bytes."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from pcdata.building.build import build
from pcdata.building.progress import Silent
from tests.building.corpora import assert_same_tree, options
from tests.building.test_kill import VIEWS, code, command, n_files, reference

__all__ = ["code", "reference"]  # fixtures


def _limited(file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("file_bytes", "compressor", "full"),
    [
        (300, "bit", ".build/options.json"),
        (2_000, "bit", ".build/scan/00000.digests"),
        (9_000, "zstd", "views/zstd/artifact/dictionary"),
        (9_000, "bit", "base/*.arrow"),
        (60_000, "bit", "views/bit/*.arrow"),
    ],
)
def test_a_full_disk(code: Path, tmp_path: Path, workers: int, file_bytes: int, compressor: str, full: str) -> None:
    """A limit on the size of files fails as a full disk does, in ``write``, and wherever it is wanted."""
    output = tmp_path / "a folder"
    done = subprocess.run(
        command(code, output, workers, [compressor]),
        preexec_fn=partial(_limited, file_bytes),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    named, _, rest = done.stderr.strip().removeprefix("error: ").partition(": ")
    assert rest == "File too large; fix that and run the same command again"
    assert Path(named).match(full), named
    assert not list(output.rglob("*.tmp"))  # they would go on filling the disk
    build(options(code, output, compressor), Silent())
    build(options(code, tmp_path / "whole", compressor), Silent())
    assert_same_tree(tmp_path / "whole", output)


DIED = (
    "error: a worker process died (killed, or out of memory?); rerun the same command to resume, "
    "with fewer --workers if memory is short"
)


@pytest.mark.parametrize("step", ["write.base", "write.view", "write.done"])
def test_a_worker_dies_at_a_named_step(code: Path, reference: Path, tmp_path: Path, step: str) -> None:
    output = tmp_path / "shards"
    environment = {**os.environ, "PCDATA_KILL_AT": f"{step}:1"}
    done = subprocess.run(
        command(code, output, workers=2), env=environment, stderr=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (1, DIED)
    assert not list(output.rglob("*.tmp"))
    build(options(code, output, *VIEWS), Silent())
    assert_same_tree(reference, output)


def test_workers_die_anywhere(code: Path, reference: Path, tmp_path: Path) -> None:
    """One worker, as soon as some more files are there; the build that loses it says so, and the next goes on."""
    output = tmp_path / "shards"
    random_ = random.Random(5)
    deaths = 0
    wanted = 8  # before that, no workers
    for _ in range(6):
        wanted += random_.randint(1, 6)
        process = subprocess.Popen(command(code, output, workers=2), stderr=subprocess.PIPE, text=True)
        while process.poll() is None and (n_files(output) < wanted or not _workers(process.pid)):
            os.sched_yield()
        for worker in _workers(process.pid)[:1]:
            os.kill(worker, signal.SIGKILL)
        said = process.communicate()[1].strip()
        assert (process.returncode, said) in [(0, ""), (1, DIED)]
        deaths += process.returncode
    assert deaths >= 2
    build(options(code, output, *VIEWS), Silent())
    assert_same_tree(reference, output)


def _workers(parent: int) -> list[int]:
    """The spawned workers of a process; none if it has ended."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    except OSError:
        return []
