"""Commands whose ``--help`` lists options under headings."""

from __future__ import annotations

from typing import Any

import click

_OTHERS = "Options"


class Option(click.Option):
    """An option under a heading."""

    def __init__(self, *args: Any, section: str = _OTHERS, **named: Any) -> None:
        super().__init__(*args, **named)
        self.section = section


class Command(click.Command):
    """Headings are in the order of their first options; options without one come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(parameter, "section", _OTHERS), []).append(record)
        others = sections.pop(_OTHERS)
        for heading, records in [*sections.items(), (_OTHERS, others)]:
            with formatter.section(heading):
                formatter.write_dl(records)


class Choice(click.Choice):  # type: ignore[type-arg]  # generic from click 8.2 on
    """Values for help and completion. Others are refused by the dataclass of the option, with one message for command
    line, file and function."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value
