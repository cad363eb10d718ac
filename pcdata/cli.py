"""The command ``pcdata``."""

from __future__ import annotations

import click

from pcdata.group import Group
from pcdata.version import __version__


@click.group(
    cls=Group,
    package="pcdata.commands",
    names=(
        *("build", "fit", "add-view", "drop-view", "merge"),
        *("stats", "show", "report", "probe", "verify", "config", "export-docs", "codecs"),
    ),
    resuming=("build", "add-view", "merge"),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="pcdata")
def main() -> None:
    """Build and inspect datasets that hold raw bytes and their compressed views side by side."""


if __name__ == "__main__":
    main()
