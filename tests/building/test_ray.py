"""Builds by Ray: the same bytes as by processes, whichever workers and machines are lost on the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pcdata.building.build import build
from pcdata.building.engines.options import EngineOptions
from pcdata.building.options import BuildOptions
from pcdata.building.progress import Silent
from pcdata.building.versions import library_versions
from pcdata.building.workspace import Workspace
from pcdata.errors import BuildError, InputError, OptionError
from tests.building import engine_tasks
from tests.building.corpora import assert_same_tree, options, write_code, write_jsonl
from tests.building.engine_tasks import Job
from tests.building.interrupted import VIEWS, command
from tests.building.interrupted import run as run_command
from tests.building.waiting import wait_for
from tests.paths import ROOT

cluster_utils = pytest.importorskip("ray.cluster_utils")
engine_ray = pytest.importorskip("pcdata.building.engines.ray")

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one core each, beside the head, which has none: any other node can be lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        on_term = signal.getsignal(signal.SIGTERM)
        cluster = cluster_utils.Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster
        cluster.shutdown()
        signal.signal(signal.SIGTERM, on_term)


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of ten shards."""
    folder = tmp_path_factory.mktemp("corpus") / "code"
    write_code(folder, files=48)
    return folder


@pytest.fixture(scope="module")
def reference(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By the engine ``process``."""
    output = tmp_path_factory.mktemp("reference") / "shards"
    build(options(code, output, *VIEWS, workers=2), Silent())
    return output


def ray_options(cluster: Any, code: Path, output: Path) -> BuildOptions:
    return options(code, output, *VIEWS, engine="ray", ray_address=cluster.address, workers=0)


def run(cluster: Any, function: Any, jobs: list[Job], advance: Callable[[int], None]) -> None:
    with closing(engine_ray.RayEngine(cluster.address, 0, jobs[0].folder)) as engine:
        engine.run(function, jobs, advance)


def places(job: Job) -> list[str]:
    return [path.read_text() for path in job.tries()]


def test_two_nodes_build_the_same_bytes(cluster: Any, code: Path, reference: Path, tmp_path: Path) -> None:
    result = build(ray_options(cluster, code, tmp_path / "shards"), Silent())
    assert result.scanned >= 1
    assert result.written > 4
    assert_same_tree(reference, tmp_path / "shards")


def test_tasks_run_once_each_on_both_nodes(cluster: Any, tmp_path: Path) -> None:
    jobs = [Job(tmp_path, number) for number in range(12)]
    told: list[int] = []

    def go(done: int) -> None:
        told.append(done)
        wait_for(lambda: len({place for job in jobs for place in places(job)}) == 2)
        jobs[0].go()

    run(cluster, engine_tasks.note_and_wait, jobs, go)
    assert sorted(told) == list(range(12))
    assert all(len(places(job)) == 1 for job in jobs)


def test_a_lost_node_costs_only_what_it_ran(cluster: Any, tmp_path: Path) -> None:
    doomed = cluster.add_node(num_cpus=1)
    jobs = [Job(tmp_path, number) for number in range(12)]
    lost: set[int] = set()

    def lose(done: int) -> None:
        if not lost:  # task 0, which has ended; the others wait
            wait_for(lambda: lost.update(job.number for job in jobs[1:] if doomed.node_id in places(job)) or lost)
            cluster.remove_node(doomed, allow_graceful=False)
            jobs[0].go(but_not=doomed.node_id)

    run(cluster, engine_tasks.note_and_wait, jobs, lose)
    assert len(lost) == 1
    assert {job.number: len(places(job)) for job in jobs} == {n: 1 + (n in lost) for n in range(12)}


def test_a_killed_worker_costs_only_its_task(cluster: Any, tmp_path: Path) -> None:
    jobs = [Job(tmp_path, number) for number in range(6)]
    told: list[int] = []
    run(cluster, engine_tasks.die_once, jobs, told.append)
    assert sorted(told) == list(range(6))  # what the killed one had told is not counted
    assert [len(places(job)) for job in jobs] == [2, 1, 1, 1, 1, 1]


def test_a_task_that_kills_its_workers_is_given_up(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_ray, "MAX_LOSSES", 1)
    jobs = [Job(tmp_path, number) for number in range(2)]
    with pytest.raises(BuildError, match=r"lost its worker 2 times .* rerun the same command"):
        run(cluster, engine_tasks.die, jobs, lambda done: None)
    assert len(places(jobs[0])) == 2


def test_explained_of_tasks_arrive_as_themselves(cluster: Any, tmp_path: Path) -> None:
    jobs = [Job(tmp_path, number) for number in range(4)]
    with pytest.raises(InputError) as caught:
        run(cluster, engine_tasks.refuse, jobs, lambda done: None)
    assert type(caught.value) is InputError
    assert str(caught.value) == f"{tmp_path} line 1: broken; repair it"
    with pytest.raises(OSError, match="No space left") as full:
        run(cluster, engine_tasks.fill_disk, jobs, lambda done: None)
    assert (type(full.value), full.value.filename) == (OSError, "shards/base")


def test_a_fault_interrupts_what_runs_beside_it(cluster: Any, tmp_path: Path) -> None:
    with closing(engine_ray.RayEngine(cluster.address, 0, tmp_path)) as engine:
        with pytest.raises(InputError):
            engine.run(engine_tasks.refuse_beside_another, [Job(tmp_path, 0), Job(tmp_path, 1)], lambda done: None)
        assert (tmp_path / "interrupted").read_text() == "KeyboardInterrupt"  # before the cluster is left


def test_both_engines_say_the_same_sentence(cluster: Any, tmp_path: Path) -> None:
    records = tmp_path / "records.jsonl"
    write_jsonl(records, [{"text": "x = 1\n"}, b"{broken\n"])
    asked = options(records, tmp_path / "shards", strict=True)
    sentences = set()
    for engine in (asked, replace(asked, running=EngineOptions("ray", cluster.address))):
        with pytest.raises(InputError) as caught:
            build(engine, Silent())
        sentences.add(str(caught.value))
    assert len(sentences) == 1


class At(Silent):
    """A reporter that does something when the first shard is written."""

    def __init__(self, first_shard: Callable[[], None]) -> None:
        self._first_shard = first_shard

    @contextmanager
    def stage(self, name: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
        pending = [self._first_shard] if name == "write" else []
        yield lambda done: pending.pop()() if pending else None


def test_a_build_that_loses_a_node_gives_the_same_bytes(
    cluster: Any, code: Path, reference: Path, tmp_path: Path
) -> None:
    """The node's worker is stopped inside its second shard: if it outlives its node, it is a second writer of that.

    There is no other node until then: others would be done with all shards before a slow machine has started it.
    """
    output = tmp_path / "shards"
    for node in [*cluster.worker_nodes]:
        cluster.remove_node(node, allow_graceful=False)
    freeze = {"PCDATA_KILL_AT": f"write.view:{len(VIEWS) + 1}", "PCDATA_KILL_WITH": "SIGSTOP"}
    doomed = cluster.add_node(num_cpus=1, env_vars=freeze)
    (raylet,) = doomed.all_processes["raylet"]
    before: dict[Path, int] = {}
    frozen: list[int] = []

    def lose_node() -> None:
        wait_for(lambda: frozen.extend(_stopped_children(raylet.process.pid)) or frozen)
        before.update(_finished(output))
        cluster.remove_node(doomed, allow_graceful=False)
        for _ in range(2):
            cluster.add_node(num_cpus=1)

    try:
        result = build(ray_options(cluster, code, output), At(lose_node))
    finally:
        for worker in frozen:
            _wake(worker)
    assert_same_tree(reference, output)
    assert len(before) == 1 + len(VIEWS) < result.written * (1 + len(VIEWS))
    assert before == {path: path.stat().st_mtime_ns for path in before}


def _finished(output: Path) -> dict[Path, int]:
    """The files of shards that are done, with the time they were written at."""
    done = {path.stem for path in output.glob(".build/done/*.json")}
    return {path: path.stat().st_mtime_ns for path in output.rglob("*.arrow") if path.stem in done}


def _stopped_children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, of = status.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has just ended
        if state == "T" and int(of) == parent:
            found.append(int(status.parent.name))
    return found


def _wake(process: int) -> None:
    """Let a stopped process go on, and wait for its end."""
    try:
        os.kill(process, signal.SIGCONT)
        wait_for(lambda: not Path(f"/proc/{process}").exists())
    except ProcessLookupError:
        pass


def test_resumes_what_processes_began(cluster: Any, code: Path, reference: Path, tmp_path: Path) -> None:
    output = tmp_path / "shards"
    assert run_command(command(code, output), "write.done:2") == (-signal.SIGKILL, "")
    before = _finished(output)
    assert len(before) == 2 * (1 + len(VIEWS))
    result = build(ray_options(cluster, code, output), Silent())
    assert result.scanned == 0
    assert_same_tree(reference, output)
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.parametrize(("stop", "send"), [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)])
def test_stop_signals_end_in_one_sentence(
    tmp_path: Path, stop: signal.Signals, send: Callable[[int, signal.Signals], None]
) -> None:
    """Ctrl-C to all processes of the terminal, among them those of Ray, which was started for the build."""
    records, output = tmp_path / "records.jsonl", tmp_path / "shards"
    write_jsonl(records, [{"text": f"line {n} = {n * n}\n" * 2_000} for n in range(400)])
    shape = ["--val-fraction", "0", "--shard-bytes", "8000000", "--compressor", "zstd:level=19", "--quiet", "-j2"]
    arguments = [sys.executable, "-m", "pcdata.cli", "build", str(records), "-o", str(output), *shape]
    process = subprocess.Popen(
        [*arguments, "--engine", "ray"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(lambda: process.poll() is not None or [*output.glob("views/zstd/*.tmp")])
    send(process.pid, stop)
    _, said = process.communicate()
    assert said.strip() == "stopped; what was committed is kept; rerun the same command to resume"
    assert process.returncode == 128 + stop
    state = Workspace(output)
    with state.locked():  # nobody else has it
        state.remove_rubbish()  # a worker that was in the middle of a long call is not waited for


def test_a_machine_that_would_fail_says_so(tmp_path: Path) -> None:
    here = tuple(library_versions().items())
    engine_ray.check_machine(engine_ray.Common(tmp_path, here))
    with pytest.raises(BuildError, match=r"does not see .*nowhere; .*all machines share"):
        engine_ray.check_machine(engine_ray.Common(tmp_path / "nowhere", here))
    with pytest.raises(BuildError, match=r"'numpy': '0\.1'.*install the same versions"):
        engine_ray.check_machine(engine_ray.Common(tmp_path, (*here[:-1], ("numpy", "0.1"))))


@pytest.mark.parametrize(
    ("address", "fault", "sentence"),
    [
        ("127.0.0.1:1", BuildError, "no Ray cluster answers at 127.0.0.1:1"),
        ("here", OptionError, "must be HOST:PORT or auto, got 'here'"),
        ("ray://here:1", OptionError, "must be HOST:PORT or auto, got 'ray://here:1'"),
    ],
)
def test_a_cluster_that_is_not_there(
    code: Path, tmp_path: Path, address: str, fault: type[Exception], sentence: str
) -> None:
    with pytest.raises(fault, match=sentence):
        build(options(code, tmp_path / "shards", engine="ray", ray_address=address), Silent())


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stop_signals_end_the_waiting_for_who_says_nothing(code: Path, tmp_path: Path, stop: signal.Signals) -> None:
    """Something takes the connection, and is silent: Ray waits for ever, in C++."""
    shape = ["-o", str(tmp_path / "shards"), "--val-fraction", "0", "-q"]
    arguments = [sys.executable, "-m", "pcdata", "build", str(code), *shape]
    with socket.create_server(("0.0.0.0", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [*arguments, "--engine", "ray", "--ray-address", address], stderr=subprocess.PIPE, text=True
        )
        with silent.accept()[0] as knock, silent.accept()[0] as ray:
            assert not knock.recv(1)
            assert ray.recv(1)
            process.send_signal(stop)
            _, said = process.communicate(timeout=60)
    assert said == "stopped; what was committed is kept; rerun the same command to resume\n"
    assert process.returncode == 128 + stop
    assert subprocess.run(arguments, check=False).returncode == 0
