"""The house stands: every folder imports only folders below it, light commands stay light, tests share helpers."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

FLOORS = {
    "pcdata": [
        "lazy",
        "version",
        "machine",
        "errors",
        "field_docs",
        "field_docs",
        "options",
        "output_files",
        "extras",
        "starting",
        "terminal",
        "text",
        "processes",
        "dataset",
        "plotting",
        "codecs",
        "inputs",
        "building",
        "editing",
        "inspection",
        "verifying",
        "probing",
        "exporting",
        "sections",
        "shared_options",
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
        "settings",
        "torch_errors",
        "config",
        "data",
        "model",
        "methods",
        "training",
        "inference",
        "neural",
        "options",
        "method_presets",
        "completion",
        "group",
        "commands",
        "api",
        "cli",
        "__main__",
    ],
}
"""From the ground up. A floor imports itself and those before it."""

LIGHT = (
    "errors",
    "extras",
    "field_docs",
    "group",
    "lazy",
    "machine",
    "output_files",
    "sections",
    "shared_options",
    "shell",
    "starting",
    "terminal",
    "text",
)
COMMANDS = [f"pcdata.{name}" for name in LIGHT]
FOREIGN = {"pcdata": [], "pctrain": ["pcdata.dataset", "pcdata.plotting", *COMMANDS]}
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


CIRCLES = {
    frozenset({"pcdata.dataset.document", "pcdata.dataset.reader"}): "a split makes documents, which read from it",
}
"""Files that import each other, and why they may."""


def imports_of_files() -> dict[str, set[str]]:
    """The files that each file of ours imports, for types alone too. ``from folder import name`` counts as an import of
    folder.name where that is a file, and else of the folder's ``__init__``."""
    files = {}
    for path in (path for package in FLOORS for path in (ROOT / package).rglob("*.py")):
        files[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        parts = [name.split(".") for name in imports(path)]
        named = [[".".join(part[:end]) for end in range(len(part), 0, -1)] for part in parts]
        found[module] = {next(filter(files.__contains__, names), module) for names in named} - {module}
    return found


def circles(imported: dict[str, set[str]]) -> set[frozenset[str]]:
    """The largest sets of files of which each leads to each other one."""

    def led_to(start: str) -> set[str]:
        seen, left = set(), [start]
        while left:
            new = imported[left.pop()] - seen
            seen |= new
            left += new
        return seen

    reached = {module: led_to(module) for module in imported}
    return {frozenset(one for one in reached[module] if module in reached[one]) for module in imported} - {frozenset()}


def test_no_file_imports_one_that_imports_it() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == {frozenset({"b", "c"})}
    imported = imports_of_files()
    assert "pcdata.building.engines.base" in imported["pcdata.building.engines.options"]  # for types alone
    assert "pcdata.dataset" in imported["pcdata.api"]
    assert circles(imported) == set(CIRCLES)


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


def test_no_test_module_imports_another() -> None:
    """What two of them need is a helper: a module without tests, beside those of its subject."""
    seen = 0
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for name in (name for name in imports(path) if name.startswith("tests.")):
            seen += 1
            assert not re.search(r"\.(test_|conftest)", name), f"{path} imports {name}"
    assert seen > 100


def test_dataset_needs_only_pyarrow_and_numpy() -> None:
    allowed = {"pcdata", "pyarrow", "numpy"} | set(sys.stdlib_module_names)
    for path in (ROOT / "pcdata" / "dataset").rglob("*.py"):
        assert {name.partition(".")[0] for name in imports(path)} <= allowed
