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
    if file.parent.name in ("encoders", "upsampling")
    or (
        file.parent.name == "fcn_lab"
        and file.stem in ("fcn", "segnet", "unet", "zoo", "upsampling")
    )
]
LONGEST_MODULE, LONGEST_FUNCTION = 250, 45


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
        # a trainer's, a data set's and an experiment's choices are many
        cap = 25 if file.parent.name in ("experiment", "trainer", "data") else 15
        assert len(lines) <= cap, f"{file.relative_to(ROOT)}: {len(lines)} lines"
