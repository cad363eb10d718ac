"""Which engine runs the tasks of a build, and how many at once. The dataset does not depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pcdata.errors import OptionError
from pcdata.extras import require
from pcdata.options import MOST_WORKERS, check_options, option

if TYPE_CHECKING:
    from pcdata.building.engines.base import Engine


@dataclass(frozen=True)
class EngineOptions:
    """How tasks are run."""

    section: ClassVar = "Running"

    engine: str = option(
        "process",
        "process: tasks run on this machine; ray: on several, which see input and output under the same paths on a "
        "shared file system. The dataset does not depend on it.",
        choices=("process", "ray"),
    )
    ray_address: str = option(
        "",
        "Existing Ray cluster. [default: start Ray on this machine, and stop it afterwards]",
        metavar="HOST:PORT|auto",
    )
    workers: int = option(0, "Tasks at once. [default: one per core]", short="-j", most=MOST_WORKERS)

    def __post_init__(self) -> None:
        check_options(self)
        if self.ray_address and self.engine != "ray":
            raise OptionError(f"--ray-address {self.ray_address} needs --engine ray, got --engine {self.engine}")


def open_engine(options: EngineOptions, output: Path) -> Engine:
    """The engine that ``options`` name, for tasks that write to ``output``. It acquires nothing before its first
    ``run``."""
    if options.engine == "process":
        from pcdata.building.engines.process import ProcessEngine

        return ProcessEngine(options.workers)
    require("ray", "--engine ray")
    from pcdata.building.engines.ray import RayEngine

    return RayEngine(options.ray_address, options.workers, output)
