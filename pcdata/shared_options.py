"""Options that commands of both programs share, with the same meaning and help text."""

from __future__ import annotations

import click

QUIET = click.option("--quiet", "-q", is_flag=True, help="No progress and no summary; errors only.")
JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable, on standard output.")
