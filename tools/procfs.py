"""Counters that the kernel keeps for a process, from /proc."""

from __future__ import annotations

from pathlib import Path


def counted(file: str, name: str, process: int | str = "self") -> int:
    """The number of a name in /proc/PROCESS/FILE. Raises ``OSError`` if there is no such process or name."""
    path = Path(f"/proc/{process}/{file}")
    for line in path.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise OSError(f"this kernel does not count {name} ({path})")


def anonymous_mb(process: int | str = "self") -> float:
    """Memory that no file backs. Raises ``OSError``."""
    return counted("status", "RssAnon", process) * 1024 / 1e6
