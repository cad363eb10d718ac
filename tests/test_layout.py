"""The house stands: every folder imports only folders below it, and the light commands stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = {
    "pcdata": [
        "lazy",
        "machine",
        "errors",
        "extras",
        "starting",
        "terminal",
        "processes",
        "dataset",
        "codecs",
        "building",
        "editing",
        "inspection",
        "verifying",
        "probing",
        "exporting",
        "shell",
        "completion",
        "group",
        "commands",
        "api",
        "cli",
        "__main__",
    ],
    "pctrain": [
        "errors",
        "faults",
        "config",
        "data",
        "model",
        "training",
        "inference",
        "neural",
        "options",
        "completion",
        "group",
        "api",
        "cli",
        "__main__",
    ],
}
"""From the ground up. A floor imports itself and those before it."""

LIGHT = ("errors", "extras", "group", "lazy", "machine", "shell", "starting", "terminal")
COMMANDS = [f"pcdata.{name}" for name in LIGHT]
FOREIGN = {"pcdata": [], "pctrain": ["pcdata.dataset", *COMMANDS]}
CODECS = ["pcdata.codecs"]
"""What a package may import of the other; ``pctrain.neural``, which is a codec, may also import ``CODECS``."""

NEVER = {"pcdata": {"torch"}, "pctrain": {"zstandard", "gigatoken", "tokenizers"}}


def modules(package: str) -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        floor = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if floor != "__init__":
            yield path, floor


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file; ``from a import b`` counts as a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("package", FLOORS)
def test_imports_only_go_down(package: str) -> None:
    floors = FLOORS[package]
    seen = 0
    for path, floor in modules(package):
        for name in imports(path):
            top, _, rest = name.partition(".")
            if top == package and rest.partition(".")[0] in floors:
                seen += 1
                below = floors[: floors.index(floor) + 1]
                assert rest.partition(".")[0] in below, f"{path.relative_to(ROOT)} imports {name}, which is above it"
            elif top in FLOORS and top != package:
                allowed = FOREIGN[package] + (CODECS if floor == "neural" else [])
                assert any(name == one or name.startswith(f"{one}.") for one in allowed), f"{path}: {name}"
            assert top not in NEVER[package], f"{path.relative_to(ROOT)} imports {name}"
    assert seen > 20


@pytest.mark.parametrize("package", FLOORS)
def test_every_folder_is_a_floor(package: str) -> None:
    found = {floor for _, floor in modules(package)}
    assert found <= set(FLOORS[package])


@pytest.mark.parametrize("package", FLOORS)
def test_help_imports_nothing_heavy(package: str) -> None:
    program = (
        "import sys\n"
        f"from {package}.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as stop:\n    assert stop.code == 0\n"
        "heavy = set('pyarrow torch numpy tokenizers zstandard gigatoken tqdm ray'.split())\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    assert "Usage:" in done.stdout


def test_dataset_needs_only_pyarrow_and_numpy() -> None:
    allowed = {"pcdata", "pyarrow", "numpy"} | set(sys.stdlib_module_names)
    for path in (ROOT / "pcdata" / "dataset").rglob("*.py"):
        assert {name.partition(".")[0] for name in imports(path)} <= allowed
