"""Options that commands of both programs have: each means one thing, and says it in the same words."""

from __future__ import annotations

import click

QUIET = click.option("--quiet", "-q", is_flag=True, help="No progress and no summary; errors only.")
JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable, on standard output.")
