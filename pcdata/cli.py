"""The command ``pcdata``."""

from __future__ import annotations

import click

from pcdata import __version__
from pcdata.commands import looking, making
from pcdata.group import Group

COMMANDS = (
    *(making.build, making.fit, making.add_view, making.drop_view, making.merge),
    *(looking.stats, looking.config, looking.show, looking.report, looking.probe, looking.verify, looking.export_docs),
)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pcdata")
def main() -> None:
    """Build and inspect datasets that hold raw bytes and their compressed views side by side."""


main.resuming = ("build", "add-view", "merge")
for command in COMMANDS:
    main.add_command(command)

if __name__ == "__main__":
    main()
