"""Arrows only point to what is imported: the layers of the package, leaves first."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from support.places import ROOT

PACKAGE = ROOT / "fcn_lab"
FILES = sorted(PACKAGE.rglob("*.py"))
# a part may import parts of the layers above its own, and of its own where that is no leaf
LEAVES = (
    ("escaping",),
    ("errors", "signals", "provenance", "page", "processes", "commands"),
    ("files", "records", "ranks", "machine"),
    ("outcomes", "digests"),
    ("attempts", "shell", "workers"),
    ("metrics", "equivalence", "values", "checkerboard"),
    (
        "upsampling",
        "encoders",
        "geometry",
        "losses",
        "data",
        "optim",
        "edges",
        "panels",
        "cost",
        "memory",
        "devices",
        "runfolder",
    ),
)
LAYERS = (
    *LEAVES,
    ("sweepfolder",),
    ("report",),
    ("fcn", "segnet", "unet", "zoo", "audit"),
    ("surgery", "dense", "context", "scales", "tiling"),
    ("predictor", "formats", "vitals", "parts", "bill", "capacity"),
    ("module", "datamodule", "callbacks", "loggers", "precision", "trainer"),
    ("tasks",),
    (
        *("checks", "config", "links", "trust", "claims", "inheritance", "mistakes", "mappings"),
        *("supervisor", "torchrun"),
    ),
    ("studies", "estimate"),
    (
        "worker",
        "api",
        "preflight",
        "snapshot",
        "watching",
        "engines",
        "arguments",
        "recordedcommand",
        "paths",
        "demo",
        "dashboard",
    ),
    ("composing", "freezing", "sweeps", "searchspace", "studylog"),
    ("search",),
    ("launchers",),
    ("cli",),
    ("__main__",),
)
PLACE = {part: number for number, layer in enumerate(LAYERS) for part in layer}
ENTRY = PLACE["checks"]
# library → the parts that may import it
ONLY_IN = {
    "lightning": {*LAYERS[PLACE["module"]], "tasks"},
    "hydra": {part for part, place in PLACE.items() if place >= ENTRY},
    "omegaconf": {part for part, place in PLACE.items() if place >= ENTRY},
    "wandb": {"loggers", "dashboard"},
    "wandb_workspaces": {"dashboard"},
    "albumentations": {"data.augment"},
    "optuna": {"search", "searchspace", "studylog"},
    "gradio": {"demo.panel"},
}


def name(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(file: Path) -> Iterator[str]:
    """Every module imported anywhere in the file, but not for type checkers alone."""
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: relative imports hide where an arrow points"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        waiting += ast.iter_child_nodes(node)


def own(file: Path) -> set[str]:
    modules = {name(other) for other in FILES}
    found = {module.removeprefix("fcn_lab.") for module in imports(file) if module != "fcn_lab"}
    return (found & modules) - {""}


def part(module: str) -> str:
    return module.partition(".")[0]


def test_every_module_has_a_place() -> None:
    assert {part(name(file)) for file in FILES} - {""} <= set(PLACE)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_module_imports_only_from_layers_before_its_own(file: Path) -> None:
    if not name(file):
        return  # the package itself: imports its api when that is asked for, tested below
    here = part(name(file))
    for there in map(part, own(file)):
        peers = PLACE[there] == PLACE[here] and PLACE[here] >= len(LEAVES)
        assert there == here or PLACE[there] < PLACE[here] or peers, f"{name(file)} → {there}"


def test_no_module_imports_itself_around_a_corner() -> None:
    TopologicalSorter({name(file): own(file) - {name(file)} for file in FILES}).prepare()


@pytest.mark.parametrize(("library", "places"), ONLY_IN.items(), ids=list(ONLY_IN))
def test_a_library_is_imported_in_its_place_only(library: str, places: set[str]) -> None:
    users = {
        name(file) for file in FILES if library in {m.partition(".")[0] for m in imports(file)}
    }
    assert users, f"nothing imports {library}"
    for user in users:
        assert {user, part(user)} & places, f"{user} imports {library}"


def test_the_package_itself_imports_nothing_until_asked() -> None:
    assert set(imports(PACKAGE / "__init__.py")) <= {
        *("os", "importlib", "importlib.import_module", "typing", "typing.TYPE_CHECKING")
    }
