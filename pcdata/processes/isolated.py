"""A process for work that may kill it, never end, or take all memory: parsing and decoding files of strangers.

What happens to it becomes an exception in the calling process. The kernel enforces the limits. Time is processor time,
so that the result does not depend on how busy the machine is.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import resource
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, TypeAlias

from pcdata.errors import PcdataError
from pcdata.processes.spawning import spawning


@dataclass(frozen=True)
class Limits:
    """What one process may use. If the user has set a lower limit (``ulimit``), that applies."""

    memory_bytes: int | None = None
    """In addition to what the process has after importing its modules; files mapped for reading do not count. None for
    no limit."""
    cpu_seconds: int | None = None
    """From one message to the next, by all threads together. None for no limit except one set by the answer itself
    (``limit_cpu``)."""


_OWN_BYTES: Final = 1_000_000_000
"""The most address space that a process has before it does anything."""

Send: TypeAlias = Callable[[Any], None]
Answer: TypeAlias = Callable[[Any, Send], None]
"""Called with a request and a function that sends the messages of the answer. Exceptions are raised where the messages
are received."""


class Died(Exception):
    """The process ended itself before its answer was complete; the text says how, as a continuation of "the
    process"."""


class Killed(PcdataError):
    """Something else ended the process: a person, the kernel for lack of memory, or a failing disk under a mapped
    file."""


class End(Enum):
    """Follows the last message of an answer."""

    END = auto()


@dataclass(frozen=True)
class _Raised:
    error: Exception


class Isolated:
    """One process, which answers one request after another, and ends with its parent."""

    def __init__(self, make: Callable[..., Answer], *args: Any, limits: Limits) -> None:
        """``make(*args)`` is called in the process, under the limits; it and the requests are pickled, as for
        ``spawn``."""
        spawn = multiprocessing.get_context("spawn")
        self.connection, theirs = spawn.Pipe()
        """For ``multiprocessing.connection.wait``."""
        self.has_ended = False
        """Whether ``receive`` found that the process has ended."""
        self._limits = limits
        self._is_answering = False
        self._process = spawn.Process(target=_serve, args=(theirs, limits, make, args), daemon=False)
        with spawning():
            self._process.start()
        # Instead of daemon=True, under which the process could start none itself, as a worker of a build does.
        self._killed = weakref.finalize(self, _kill, self._process)
        theirs.close()  # so that the connection ends when the process does

    def ask(self, request: Any) -> Iterator[Any]:
        """Send a request and yield the messages of its answer. If abandoned before the end, the process is closed."""
        self.send(request)
        try:
            while (message := self.receive()) is not End.END:
                yield message
        finally:
            if self._is_answering:
                self.close()

    def send(self, request: Any) -> None:
        """The first half of ``ask``, for waiting on several processes at once."""
        self._is_answering = True
        with suppress(BrokenPipeError):  # it died; receive will report that
            self.connection.send(request)

    def receive(self) -> Any:
        """One message, or ``End.END``. Raises what the answer raised, ``Died`` or ``Killed``."""
        try:
            message = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            self.has_ended = True
            raise self._end() from None
        self._is_answering = not isinstance(message, End | _Raised)
        if isinstance(message, _Raised):
            raise message.error
        return message

    def _end(self) -> Died | Killed:
        code = self._process.exitcode
        if code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP):
            return Killed(
                "a process was killed, or the machine is out of memory; free some and run the same command again"
            )
        if code == -signal.SIGXCPU:
            if self._limits.cpu_seconds is None:
                return Died("took more processor time than its task may take")
            return Died(f"took more than {self._limits.cpu_seconds} seconds of processor time")
        if code == -signal.SIGBUS:
            return Killed(
                "a file was cut, or the disk failed, while a process read it; fix that and run the same command again"
            )
        # With a lower limit of the user's, these signals may come from that and not from the task.
        if code in (-signal.SIGABRT, -signal.SIGSEGV) and _is_limited((self._limits.memory_bytes or 0) + _OWN_BYTES):
            return Killed(
                "a process died, maybe for lack of memory; raise ulimit -v and -d and run the same command again"
            )
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return Died(f"died ({how})")

    def close(self) -> None:
        """End it, whatever it is doing. May be called again."""
        if not self.connection.closed:
            self.connection.close()
            self._killed()
            self._process.close()


def _kill(process: BaseProcess) -> None:
    process.kill()
    process.join()


def in_batches(items: Iterable[bytes], most_bytes: int) -> Iterator[list[bytes]]:
    """Groups of items for sending. Sending copies, and takes at least a tenth of a millisecond. A batch ends with the
    item that reaches ``most_bytes``."""
    some: list[bytes] = []
    size = 0
    for item in items:
        some.append(item)
        size += len(item)
        if size >= most_bytes:
            yield some
            some, size = [], 0
    if some:
        yield some


def allow(cpu_seconds: int) -> None:
    """For an answer whose next message takes longer than others: set the time from now on. No effect in other
    processes."""
    if _own_limits is not None:
        limit_cpu(math.ceil(time.process_time()) + cpu_seconds)


_own_limits: Limits | None = None
"""Those of this process, if it is an ``Isolated`` one."""


def has_limits() -> bool:
    """Whether this process is an ``Isolated`` one with limited memory."""
    return _own_limits is not None and _own_limits.memory_bytes is not None


def end_with_parent() -> None:
    """End this process when the one that started it has ended, for whatever reason."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _serve(connection: Connection, limits: Limits, make: Callable[..., Answer], args: tuple[Any, ...]) -> None:
    """The main loop of the process: requests in, messages out."""
    global _own_limits
    _own_limits = limits
    end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    memory_is_ours = _limit_memory(limits.memory_bytes)
    answer: Answer | None = None

    def send(message: Any) -> None:
        connection.send(message)
        _limit_cpu(limits.cpu_seconds)

    with suppress(EOFError, ConnectionError):  # the parent is gone
        while True:
            request = connection.recv()
            _limit_cpu(limits.cpu_seconds)
            try:
                answer = answer or make(*args)
                answer(request, send)
                send(End.END)
            except ConnectionError:
                raise
            except MemoryError as error:
                mine = Died(f"would take more than {(limits.memory_bytes or 0) / 1e9:g} GB of memory")
                connection.send(_Raised(mine if memory_is_ours else error))
            except Exception as error:
                error.add_note(traceback.format_exc())  # shown where the error is a bug, and so not caught
                connection.send(_Raised(error))


def _limit_memory(more: int | None) -> bool:
    """Limit the memory of this process to ``more`` bytes above now. Returns whether that is the lowest limit."""
    if more is None:
        return False
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        return False  # not Linux, where the limit would ignore large allocations
    (held,) = (int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmData:"))
    if _is_limited(held + more):
        return False
    resource.setrlimit(resource.RLIMIT_DATA, (held + more, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    return True


def _is_limited(memory_bytes: int) -> bool:
    """Whether the user has set a lower memory limit."""
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS)]
    return any(limit != resource.RLIM_INFINITY and limit < memory_bytes for limit in limits)


def limit_cpu(until_seconds: float) -> None:
    """Let the kernel end this process after this much processor time in total, unless the user's own limit is lower.
    For processes of ``Isolated``."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(until_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _limit_cpu(seconds: int | None) -> None:
    if seconds is not None:
        limit_cpu(math.ceil(time.process_time()) + seconds)
