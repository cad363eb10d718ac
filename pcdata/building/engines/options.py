"""Which engine runs the tasks of a build, and how many at once. It does not shape the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pcdata.errors import OptionError
from pcdata.extras import require
from pcdata.options import check_options, option

if TYPE_CHECKING:
    from pcdata.building.engines.base import Engine


@dataclass(frozen=True)
class EngineOptions:
    """Who runs the tasks."""

    section: ClassVar = "Running"

    engine: str = option(
        "process",
        "Who runs the tasks: process, on this machine; or ray, on many, which see input and output under the same "
        "paths on a shared file system. The result is the same.",
        choices=("process", "ray"),
    )
    ray_address: str = option(
        "",
        "A Ray cluster that is there; without it, Ray is started on this machine and stopped afterwards.",
        metavar="HOST:PORT|auto",
    )
    workers: int = option(0, "Tasks at once; default: one per core.", short="-j", most=100_000)

    def __post_init__(self) -> None:
        check_options(self)
        if self.ray_address and self.engine != "ray":
            raise OptionError(f"--ray-address {self.ray_address} needs --engine ray, got --engine {self.engine}")


def open_engine(options: EngineOptions, output: Path) -> Engine:
    """The engine that ``options`` name, for tasks that write to ``output``. It takes nothing before its first
    ``run``."""
    if options.engine == "process":
        from pcdata.building.engines.process import ProcessEngine

        return ProcessEngine(options.workers)
    require("ray", "--engine ray")
    from pcdata.building.engines.ray import RayEngine

    return RayEngine(options.ray_address, options.workers, output)
