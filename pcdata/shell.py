"""Shell completion for both commands: bash completes whole words, zsh leaves words open, and names are read from a
dataset."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click
from click.shell_completion import BashComplete, ZshComplete, add_completion_class, split_arg_string

if TYPE_CHECKING:
    from pcdata.dataset.manifest import Manifest

Completer: TypeAlias = Callable[[click.Context, click.Parameter, str], list[str]]
"""What click calls with a parameter and the text typed so far; returns the completions."""

_BASH = r"""%(complete_func)s() {
    local IFS=$'\n'
    local item type value
    COMPREPLY=()
    for item in $(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \
                  %(complete_var)s=bash_complete "$1" 2>/dev/null); do
        type=${item%%%%,*} value=${item#*,}
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            *)
                COMPREPLY+=("$value")
                if [[ $value == *[=:,] ]]; then compopt -o nospace; fi
                ;;
        esac
    done
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


_ZSH_ALL = "compadd -U -V unsorted -a completions"
_ZSH = r"""local -a begun
        begun=(${(M)completions:#*[=:,]})
        completions=(${completions:#*[=:,]})
        compadd -U -V unsorted -S '' -a begun
        compadd -U -V unsorted -a completions"""

_ODD, _ESCAPED = re.compile(r"[^\w@%+=:,./~-]"), r"\\\g<0>"
"""Characters that are special in bash, such as a space in a name; and how they must be typed."""


@add_completion_class
class WholeWordBash(BashComplete):
    """Completion in bash of words that hold ``:`` and ``=``, such as ``bpe:vocab_size=4096``.

    Bash splits words at these characters (``COMP_WORDBREAKS``) and replaces only the last fragment; click 8 takes each
    fragment for a word. Here the line is split as the shell will split it, and the fragments that bash keeps are
    removed from the completions.
    """

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)[1:]
        return (words, "") if line[-1:].isspace() or not words else (words[:-1], words[-1])

    def complete(self) -> str:
        words, begun = self.get_completion_args()
        breaks = set(os.environ["COMP_WORDBREAKS"]) & set(":=")
        stays = begun[: max(begun.rfind(mark) for mark in breaks) + 1] if breaks else ""
        lines = []
        for item in self.get_completions(words, begun):
            value = without_head(str(item.value), stays)
            lines.append(f"{item.type},{_ODD.sub(_ESCAPED, value)}")
        return "\n".join(lines)


@add_completion_class
class OpenWordZsh(ZshComplete):
    """Completion in zsh that adds no space after ``vocab_size=``, where the value is still to come."""

    source_template = ZshComplete.source_template.replace(_ZSH_ALL, _ZSH)


def without_head(value: str, stays: str) -> str:
    """``value`` without the longest end of ``stays`` that it begins with, since bash has kept that."""
    return next(value[len(stays) - start :] for start in range(len(stays) + 1) if value.startswith(stays[start:]))


def beginning(values: Iterable[str], begun: str) -> list[str]:
    """Those of ``values`` that begin so, whatever their case."""
    return [value for value in values if value.lower().startswith(begun.lower())]


def among(*values: str) -> Completer:
    """Completes to one of a few words."""
    return lambda context, parameter, begun: beginning(values, begun)


def named_in(datasets: str, part: Callable[[Manifest], list[str]]) -> Completer:
    """Completes to names in the manifests of the datasets that the parameter ``datasets`` names.

    A folder that is not a dataset offers nothing, rather than an error while the user is typing.
    """

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
        from pcdata.dataset import DatasetError
        from pcdata.dataset.manifest import load_manifest

        # While the option's value is still being typed, click leaves the arguments unparsed, in args.
        given = context.params.get(datasets) or context.args
        found: dict[str, None] = {}
        for folder in [given] if isinstance(given, Path) else given:
            try:
                found |= dict.fromkeys(part(load_manifest(Path(folder).expanduser())))
            except DatasetError:
                continue
        return beginning(found, begun)

    return complete


def view_names(manifest: Manifest) -> list[str]:
    return [view.name for view in manifest.views]


def split_names(manifest: Manifest) -> list[str]:
    return list(manifest.base.splits)
