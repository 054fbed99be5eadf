"""Imports only point upward: the rows of the package, leaves first."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from support.places import ROOT

PACKAGE = ROOT / "fcn_lab"
FILES = sorted(PACKAGE.rglob("*.py"))
# a folder imports from folders of the rows above its own, and from itself
ROWS = (
    ("text",),
    ("errors", "signals", "pixels", "locks"),
    ("values", "files"),
    ("runs",),
    ("upsampling", "encoders", "geometry", "data", "metrics"),
    ("networks", "rendering", "config"),
    ("audit", "report", "inference"),
    ("cost",),
    ("training",),
    ("tasks", "dashboard", "api"),
    ("worker", "demo"),
    ("sweeps",),
    ("cli",),
    ("__main__",),
)
ROW = {folder: number for number, row in enumerate(ROWS) for folder in row}
# library → the folders and files that may import it
ONLY_IN = {
    "lightning": {"training", "tasks", "worker"},
    "hydra": {"config", "worker", "sweeps", "cli", "api"},
    "omegaconf": {"config", "worker", "sweeps", "cli", "api"},
    "wandb": {"training.loggers", "dashboard"},
    "wandb_workspaces": {"dashboard"},
    "optuna": {"sweeps"},
    "albumentations": {"data.augment"},
    "gradio": {"demo"},
}


def name(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name(file) for file in FILES} - {""}


@cache
def imports(file: Path) -> tuple[str, ...]:
    """Every module imported anywhere in the file, for type checkers too."""
    return tuple(_read_imports(file))


def _read_imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: relative imports hide where an arrow points"
            # the module itself, or the package it is imported from
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside.removeprefix("fcn_lab.") in MODULES else str(node.module)


def own(file: Path) -> set[str]:
    return {module.removeprefix("fcn_lab.") for module in imports(file)} & MODULES


def folder(module: str) -> str:
    return module.partition(".")[0]


def test_every_folder_has_a_row() -> None:
    assert {folder(module) for module in MODULES} == set(ROW)


def test_few_modules_lie_loose_at_the_top() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 9


@pytest.mark.parametrize("here", sorted(ROW))
def test_a_folder_imports_only_from_rows_above_it(here: str) -> None:
    for file in FILES:
        if folder(name(file)) == here:
            for there in map(folder, own(file)):
                assert there == here or ROW[there] < ROW[here], f"{name(file)} → {there}"


def test_no_module_imports_itself_around_a_corner() -> None:
    TopologicalSorter({name(file): own(file) - {name(file)} for file in FILES}).prepare()


@pytest.mark.parametrize(("library", "places"), ONLY_IN.items(), ids=list(ONLY_IN))
def test_a_library_is_imported_in_its_place_only(library: str, places: set[str]) -> None:
    users = {
        name(file) for file in FILES if library in {m.partition(".")[0] for m in imports(file)}
    }
    assert users, f"nothing imports {library}"
    for user in users:
        assert any(f"{user}.".startswith(f"{place}.") for place in places), user


def is_private(line: str) -> bool:
    """Whether the line imports a library's private module."""
    words = line.split()
    return words[:1] == ["from"] and any(part[:1] == "_" for part in words[1].split("."))


def test_a_private_module_is_imported_with_its_reason_in_the_line_above() -> None:
    found, bare = 0, []
    for file in FILES:
        lines = file.read_text().splitlines()
        for number, line in enumerate(lines):
            if is_private(line):
                found += 1
                above = lines[number - 1].strip()
                if not (above.startswith("# ") or is_private(above)):
                    bare.append(f"{name(file)}:{number + 1}")
    assert bare == []
    assert found > 3


def test_the_package_itself_imports_nothing_until_asked() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    at_once = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert at_once <= {"os", "importlib", "typing"}


def test_the_folders_of_the_tests_are_those_of_the_package() -> None:
    here = {file.parent.relative_to(PACKAGE) for file in FILES if file.name != "__init__.py"}
    # what launchers hold is tried with the command line
    folders = here - {Path(), Path("cli/launchers/hydra_plugins")}
    tests = {file.parent.relative_to(ROOT / "tests") for file in ROOT.glob("tests/**/test_*.py")}
    assert tests - {Path()} == folders


def test_what_two_tests_share_lies_in_their_support() -> None:
    files = sorted(ROOT.glob("tests/**/*.py"))
    assert files
    for file in files:
        assert not any(module.startswith("test_") for module in imports(file)), file
