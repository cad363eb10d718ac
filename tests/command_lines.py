"""The two commands, run in this process; what is nobody's mistake but ours is raised."""

from __future__ import annotations

from click.testing import CliRunner, Result

from pcdata.cli import main as pcdata_main
from pctrain.cli import main as pctrain_main


def pcdata(*arguments: object) -> Result:
    return CliRunner().invoke(pcdata_main, [str(argument) for argument in arguments], catch_exceptions=False)


def pctrain(*arguments: object) -> Result:
    return CliRunner().invoke(pctrain_main, [str(argument) for argument in arguments], catch_exceptions=False)
