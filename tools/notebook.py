"""Run a notebook from top to bottom, in an empty folder, and store the output of its cells.

    python -m tools.notebook docs/tour.ipynb

No Jupyter is needed: cells are plain Python, and their output is what they print and the value of a last expression. If
a cell fails, its traceback is printed and nothing is stored.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.benching import parser_of


def main() -> None:
    parser = parser_of(__doc__, rounds=0)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("-o", "--output", type=Path, help="default: the notebook itself")
    arguments = parser.parse_args()
    notebook = json.loads(arguments.notebook.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run(notebook)
    text = json.dumps(notebook, indent=1, ensure_ascii=False)
    (arguments.output or arguments.notebook).write_text(text + "\n", encoding="utf-8")


def run(notebook: dict[str, Any]) -> None:
    """Execute all cells in one namespace, in the working folder; their outputs are replaced."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, 1):
        cell["execution_count"] = number
        cell["outputs"] = list(_outputs("".join(cell["source"]), namespace, number))


def _outputs(source: str, namespace: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """What Jupyter would store for a cell: its prints, and the value of its last expression."""
    *body, last = ast.parse(source).body
    shown = isinstance(last, ast.Expr)
    value = None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(ast.Module(body if shown else [*body, last], []), f"cell {number}", "exec"), namespace)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), namespace)
    if printed.getvalue():
        yield {"name": "stdout", "output_type": "stream", "text": printed.getvalue().splitlines(keepends=True)}
    if value is not None:
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_().splitlines(keepends=True)
        yield {"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"}


if __name__ == "__main__":
    main()
