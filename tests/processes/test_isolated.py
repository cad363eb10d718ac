"""Whatever a process does to itself is an exception in the one that asked, and never what the machine did to it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from pcdata.processes.isolated import Answer, Died, Isolated, Killed, Limits, Send

LIMITS = Limits(memory_bytes=300_000_000, cpu_seconds=1)


def _do(request: tuple[str, Any], send: Send) -> None:
    """What a process of these tests does when asked."""
    what, value = request
    match what:
        case "count":
            for number in range(value):
                send(number)
        case "raise":
            raise value
        case "signal":
            os.kill(os.getpid(), value)
        case "exit":
            os._exit(value)
        case "allocate":
            send(len(bytearray(value)))
        case "fault":
            ctypes.string_at(value)
        case "work":
            for number in count():
                if number == value:
                    return
        case "pid":
            send(os.getpid())


def make() -> Answer:
    return _do


def make_nothing() -> Answer:
    raise ValueError("no")


@contextmanager
def isolated(limits: Limits = LIMITS) -> Iterator[Isolated]:
    process = Isolated(make, limits=limits)
    try:
        yield process
    finally:
        process.close()


def test_answers_come_in_order_however_many_and_from_one_process() -> None:
    with isolated() as process:
        assert [*process.ask(("count", 1000))] == [*range(1000)]
        assert [*process.ask(("count", 0))] == []
        assert len({*process.ask(("pid", None)), *process.ask(("pid", None))} - {os.getpid()}) == 1


def test_what_an_answer_raises_is_raised_and_the_process_lives() -> None:
    """Also the lack of descriptors: that is the machine's, and says nothing about what was read."""
    with isolated() as process:
        for error in (ValueError("x"), OSError(24, "Too many open files"), Killed("y")):
            with pytest.raises(type(error), match=str(error.args[-1])):
                [*process.ask(("raise", error))]
        assert [*process.ask(("count", 2))] == [0, 1]


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (("signal", signal.SIGABRT), r"died \(SIGABRT\)"),
        (("fault", 8), r"died \(SIGSEGV\)"),
        (("exit", 3), r"died \(exit code 3\)"),
        (("work", -1), "took more than 1 seconds of processor time"),
    ],
)
def test_a_death_is_told_and_how(request_: tuple[str, int], says: str) -> None:
    with isolated() as process, pytest.raises(Died, match=f"^{says}$"):
        [*process.ask(request_)]


def test_more_memory_than_its_limit_is_its_own_fault() -> None:
    with isolated() as process:
        assert [*process.ask(("allocate", 100_000_000))] == [100_000_000]
        with pytest.raises(Died, match=r"^would take more than 0\.3 GB of memory$"):
            [*process.ask(("allocate", 400_000_000))]


def test_less_memory_than_its_limit_is_the_machines_fault() -> None:
    """As under ``ulimit -d``: another machine would read the file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (4_000_000_000, hard))
    try:
        with isolated(Limits(memory_bytes=20_000_000_000, cpu_seconds=9)) as process, pytest.raises(MemoryError):
            [*process.ask(("allocate", 8_000_000_000))]
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def test_a_kill_from_outside_says_nothing_about_the_file() -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        with isolated() as process, pytest.raises(Killed):
            [*process.ask(("signal", number))]


def test_interrupts_are_for_the_one_that_made_it() -> None:
    """Also while it starts: a terminal sends Ctrl-C to both."""
    with isolated() as process:
        pid = process._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGINT)
        assert [*process.ask(("signal", signal.SIGINT))] == []
        assert [*process.ask(("count", 2))] == [0, 1]


def test_a_mapped_file_that_is_cut_or_a_disk_that_fails_says_nothing_about_the_file() -> None:
    with isolated() as process, pytest.raises(Killed, match="the disk failed"):
        [*process.ask(("signal", signal.SIGBUS))]


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_death_under_a_lower_limit_may_be_that_limits_fault(number: int) -> None:
    """Libraries abort where they get no memory: another machine would read the file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (4_000_000_000, hard))
    try:
        with isolated(Limits(memory_bytes=4_000_000_000, cpu_seconds=9)) as process, pytest.raises(Killed):
            [*process.ask(("signal", number))]
        with isolated() as process, pytest.raises(Died):
            [*process.ask(("signal", number))]
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def test_an_answer_left_before_its_end_ends_the_process() -> None:
    with isolated() as process:
        answer = process.ask(("count", 10_000_000))
        assert next(answer) == 0
        answer.close()  # type: ignore[attr-defined]
        assert process.connection.closed


def test_what_making_it_raises_is_raised_where_it_is_asked() -> None:
    process = Isolated(make_nothing, limits=LIMITS)
    with pytest.raises(ValueError, match=r"^no\b"):
        [*process.ask(("count", 1))]
    process.close()
