"""STYLE.md's principles that a machine can judge."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.places import ROOT

FILES = sorted((ROOT / "fcn_lab").rglob("*.py"))
MODEL_FILES = [
    file
    for file in FILES
    if file.relative_to(ROOT / "fcn_lab").parts[0] in ("encoders", "networks", "upsampling")
]
LONGEST_MODULE, LONGEST_FUNCTION = 250, 45
PREPOSITIONS = frozenset(
    [
        "above",
        "at",
        "behind",
        "below",
        "between",
        "by",
        "for",
        "from",
        "in",
        "of",
        "on",
        "to",
        "under",
        "with",
    ]
)
# words that end as participles do and are none
VERBS_AND_NOUNS = frozenset(
    ["coarsen", "embed", "feed", "flatten", "listen", "open", "read", "reseed", "seed"]
)


def relative(file: Path) -> str:
    return str(file.relative_to(ROOT))


def nodes(file: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(file.read_text()))


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_modules_and_functions_are_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= LONGEST_MODULE
    for node in nodes(file):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - node.lineno + 1 if body and body[-1].end_lineno else 0
            docs = node.body[0].end_lineno - node.body[0].lineno + 1 if body != node.body else 0  # type: ignore[operator]
            assert length - docs <= LONGEST_FUNCTION, f"{node.name} in line {node.lineno}"


def test_there_is_one_class_fcn() -> None:
    found = [
        file
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.ClassDef) and node.name.startswith("FCN")
    ]
    assert [file.name for file in found] == ["fcn.py"]


def test_the_model_files_are_found_where_they_lie() -> None:
    assert {"fcn", "segnet", "unet", "vgg", "tiny"} <= {file.stem for file in MODEL_FILES}


@pytest.mark.parametrize("file", MODEL_FILES, ids=relative)
def test_model_files_do_not_dispatch_on_words(file: Path) -> None:
    def is_word(node: ast.AST) -> bool:
        return isinstance(node, ast.Constant) and isinstance(node.value, str)

    for node in nodes(file):
        if isinstance(node, ast.Match):
            values = [v for case in node.cases for v in ast.walk(case.pattern)]
            assert not any(map(is_word, values)), f"line {node.lineno}"
        if isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
            operands = [node.test.left, *node.test.comparators]
            assert not any(map(is_word, operands)), f"line {node.lineno}"


def test_no_file_is_a_drawer_for_everything() -> None:
    assert not {file.stem for file in FILES} & {"utils", "helpers", "common", "misc"}


def test_configs_are_short() -> None:
    for file in (ROOT / "conf").glob("*/*.yaml"):
        lines = [line for line in file.read_text().splitlines() if line and line[0] != "#"]
        # a line a key, and pictures of one's own have 20 of them
        cap = {"experiment": 25, "data": 20}.get(file.parent.name, 15)
        assert len(lines) <= cap, f"{file.relative_to(ROOT)}: {len(lines)} lines"


def definitions(
    file: Path,
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yields the functions and classes of a file with their names, without special methods."""
    for node in nodes(file):
        is_definition = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if is_definition and not node.name.startswith("__"):
            yield node.name, node


def flaws_of_docstring(text: str) -> list[str]:
    """Returns what is wrong with the wording of a docstring."""
    summary = text.partition("\n\n")[0].strip()
    flaws = []
    if len(summary.split()) <= 3:
        flaws.append("three words or fewer")
    if summary.split()[0] in ("Of", "With", "From"):
        flaws.append("begins with a preposition")
    if not summary.endswith((".", "?")):
        flaws.append("no full stop")
    return flaws


def is_bare(name: str) -> bool:
    """Returns whether a name is a participle or a preposition alone."""
    word = name.strip("_").lower()
    if "_" in word or word in VERBS_AND_NOUNS:
        return False
    return word in PREPOSITIONS or word.endswith(("ed", "en"))


@pytest.mark.parametrize(
    ("text", "count"),
    [("The sum.", 1), ("Of one training, all.", 1), ("Returns the sum of all terms", 1)],
)
def test_flaws_of_a_docstring_are_found(text: str, count: int) -> None:
    assert len(flaws_of_docstring(text)) == count
    assert flaws_of_docstring("Returns the sum of all terms.") == []


def test_bare_participles_and_prepositions_are_found() -> None:
    assert all(map(is_bare, ["counted", "_given", "of", "between", "taken"]))
    assert not any(map(is_bare, ["count_classes", "embed", "open", "seed_of", "published_fcn"]))


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_docstrings_are_sentences(file: Path) -> None:
    flaws = {
        name: found
        for name, node in definitions(file)
        if (text := ast.get_docstring(node)) and (found := flaws_of_docstring(text))
    }
    assert flaws == {}


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_no_name_is_a_participle_or_a_preposition_alone(file: Path) -> None:
    assert [name for name, _ in definitions(file) if is_bare(name)] == []
