"""STYLE.md's principles that a machine can judge."""

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
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
# fmt: off
PREPOSITIONS = frozenset([
    "above", "at", "behind", "below", "between", "by", "for", "from", "in", "of", "on", "to",
    "under", "with",
])
# participles that no ending shows, adverbs, adjectives and question words
BARE_WORDS = frozenset([
    "about", "alike", "alone", "apart", "aside", "before", "after", "brought", "built", "done",
    "drawn", "each", "either", "every", "far", "found", "half", "held", "here", "known", "kept",
    "made", "met", "mine", "more", "most", "near", "now", "once", "one", "ours", "out", "own",
    "raw", "same", "several", "shown", "some", "spoilt", "strange", "such", "theirs", "there",
    "told", "twice", "unknown", "usual", "what", "when", "where", "which", "who", "whole", "why",
    "within", "worst", "wrong",
])
# words that end as participles do and are none
VERBS_AND_NOUNS = frozenset([
    "aten", "children", "coarsen", "embed", "feed", "flatten", "green", "listen", "open", "read",
    "red", "reseed", "seed",
])
# columns and keys of files, and keys that a user types
VISIBLE_NAMES = frozenset([
    "audit/audit.py: interpolated", "audit/finding.py: marked", "audit/positions.py: after",
    "audit/positions.py: before", "cost/parts.py: kept", "cost/sheet.py: typed",
    "data/packs/folder.py: strange", "runs/statuses.py: FAILED", "runs/statuses.py: PRUNED",
    "runs/statuses.py: STOPPED", "runs/sweep.py: asked",
    "tasks/profile.py: recorded", "tasks/shapes.py: typed", "upsampling/carafe.py: compressed",
])
# fmt: on


def relative(file: Path) -> str:
    return str(file.relative_to(ROOT))


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(file.read_text())))


def count_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Returns how many lines a function has without its docstring."""
    first = function.body[0] if ast.get_docstring(function) else None
    docs = 0 if first is None else (first.end_lineno or 0) - first.lineno + 1
    return (function.end_lineno or 0) - function.lineno + 1 - docs


def test_modules_and_functions_are_short() -> None:
    long = [relative(f) for f in FILES if len(f.read_text().splitlines()) > LONGEST_MODULE]
    long += [
        f"{relative(file)}:{node.lineno} {node.name}"
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and count_lines(node) > LONGEST_FUNCTION
    ]
    assert long == []


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


def judges_words(node: ast.AST) -> bool:
    """Returns whether a statement takes its way by a literal of text."""
    compared: list[ast.AST] = []
    if isinstance(node, ast.Match):
        compared = [value for case in node.cases for value in ast.walk(case.pattern)]
    if isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
        compared = [node.test.left, *node.test.comparators]
    return any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in compared)


def test_model_files_do_not_dispatch_on_words() -> None:
    found = [
        f"{relative(file)}:{getattr(node, 'lineno', 0)}"
        for file in MODEL_FILES
        for node in nodes(file)
        if judges_words(node)
    ]
    assert found == []


@pytest.mark.parametrize(
    "code", ["match x:\n case 'a': ...", "if x == 'a': ...", "if 'a' in x: ..."]
)
def test_a_dispatch_on_words_is_found(code: str) -> None:
    assert any(map(judges_words, ast.walk(ast.parse(code))))
    assert not any(map(judges_words, ast.walk(ast.parse(code.replace("'a'", "3")))))


def test_no_file_is_a_drawer_for_everything() -> None:
    assert not {file.stem for file in FILES} & {"utils", "helpers", "common", "misc"}


def test_configs_are_short() -> None:
    for file in (ROOT / "conf").glob("*/*.yaml"):
        lines = [line for line in file.read_text().splitlines() if line and line[0] != "#"]
        # a line a key: pictures of one's own have 20 of them, a trainer 16
        cap = {"experiment": 25, "data": 20, "trainer": 16}.get(file.parent.name, 15)
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
    """Returns whether a name is a participle, a preposition or the like alone.

    A constant's must not begin with a preposition either.
    """
    word = name.strip("_")
    if word.startswith(("OF_", "WITH_", "FROM_")):
        return True
    if "_" in word or word.lower() in VERBS_AND_NOUNS:
        return False
    return word in BARE_WORDS or word.lower() in PREPOSITIONS or word.lower().endswith(("ed", "en"))


@pytest.mark.parametrize(
    ("text", "count"),
    [("The sum.", 1), ("Of one training, all.", 1), ("Returns the sum of all terms", 1)],
)
def test_flaws_of_a_docstring_are_found(text: str, count: int) -> None:
    assert len(flaws_of_docstring(text)) == count
    assert flaws_of_docstring("Returns the sum of all terms.") == []


def test_bare_participles_and_prepositions_are_found() -> None:
    assert all(
        map(is_bare, ["counted", "_given", "of", "between", "taken", "_own", "where", "_OF_X"])
    )
    assert not any(map(is_bare, ["count_classes", "embed", "open", "seed_of", "published_fcn"]))


def test_docstrings_of_functions_begin_with_a_verb_in_the_third_person() -> None:
    others = [
        f"{relative(file)}: {name}"
        for file in FILES
        for name, node in definitions(file)
        if (text := ast.get_docstring(node)) and not isinstance(node, ast.ClassDef)
        if not re.match(r"[A-Z][a-z]+s\b(?!')", text)
    ]
    assert others == []


def list_entries(text: str, section: str) -> list[str]:
    """Returns the names that a section of a docstring explains."""
    found = re.search(rf"^{section}:\n((?: {{4}}.*\n?)+)", text, re.MULTILINE)
    return re.findall(r"^ {4}\*{0,2}([\w.]+):", found[1], re.MULTILINE) if found else []


def test_docstrings_name_errors_and_arguments_that_there_are() -> None:
    unknown = []
    errors = {
        n.name for file in FILES for n in nodes(file) if isinstance(n, ast.ClassDef | ast.alias)
    }
    errors |= set(vars(builtins)) | {"yaml.YAMLError"}
    for file in FILES:
        for name, node in definitions(file):
            text = ast.get_docstring(node) or ""
            named = {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
            named |= {ast.unparse(n.target) for n in ast.walk(node) if isinstance(n, ast.AnnAssign)}
            wrong = [one for one in list_entries(text, "Args") if one not in named]
            wrong += [one for one in list_entries(text, "Raises") if one not in errors]
            unknown += [f"{relative(file)}: {name}: {one}" for one in wrong]
    assert unknown == []


def find_prepositions(text: str) -> list[str]:
    """Returns the entries of a docstring that begin with a preposition or with likewise."""
    titles = "Args|Attributes|Returns|Yields"
    sections = re.findall(rf"^(?:{titles}):\n((?: {{4}}.*\n?)+)", text, re.MULTILINE)
    start = r"^ {4}(?:\*{0,2}[\w., ]+: )?(?:of|with|from|likewise)\b.*"
    return [
        found[0].strip()
        for section in sections
        for found in re.finditer(start, section, re.MULTILINE | re.IGNORECASE)
    ]


@pytest.mark.parametrize("entry", ["size: of a window.", "std: likewise.", "With them."])
def test_an_entry_that_begins_with_a_preposition_is_found(entry: str) -> None:
    text = f"Sums up.\n\nArgs:\n    x: the picture.\n    {entry}\n"
    assert find_prepositions(text) == [entry]
    assert find_prepositions("Sums up.\n\nReturns:\n    Offset and width of a window.") == []


def test_entries_of_docstrings_do_not_begin_with_a_preposition() -> None:
    found = [
        f"{relative(file)}: {name}: {entry}"
        for file in FILES
        for name, node in definitions(file)
        for entry in find_prepositions(ast.get_docstring(node) or "")
    ]
    assert found == []


def test_docstrings_are_sentences() -> None:
    flaws = {
        f"{relative(file)}: {name}": found
        for file in FILES
        for name, node in definitions(file)
        if (text := ast.get_docstring(node)) and (found := flaws_of_docstring(text))
    }
    assert flaws == {}


def variables(file: Path) -> Iterator[str]:
    """Yields the constants, variables, arguments and fields of a file."""
    for node in nodes(file):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
            yield node.attr


def test_no_name_is_a_participle_a_preposition_an_adverb_or_the_like_alone() -> None:
    bare = {
        f"{file.relative_to(ROOT / 'fcn_lab')}: {name}"
        for file in FILES
        for name in chain((name for name, _ in definitions(file)), variables(file))
        if is_bare(name)
    }
    assert bare == VISIBLE_NAMES
