"""Escapes text of unknown origin for other formats, with one function for each format.

Names of files, classes, cells and settings may hold anything. HTML has no function here: the
templates of ``fcn_lab/rendering/html.py`` escape by themselves.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

# what tables show where there is no value
UNKNOWN_VALUE = "–"
# characters that Markdown may take for markup. An underscore inside a word is none, nor is a
# bracket that no link follows, so that numbers in brackets stay readable
_MARKDOWN = re.compile(r"[\\`*<>|~$#]|(?<![^\W_])_|_(?![^\W_])|[!\]](?=[\[(:])|&(?=#?\w+;)")
# first characters by which a spreadsheet takes a cell for a formula, full-width ones included
_FORMULA = re.compile("\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
# a backslash before it stands for itself only if it is doubled
_INTERPOLATION = re.compile(r"(\\*)\$\{")
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"–": "--", "−": "$-$", "×": r"$\times$", "<": r"$<$", ">": r"$>$", "…": r"\ldots{}"},
}


def script_json(content: object) -> str:
    r"""Returns JSON for the inside of a ``<script>``: no ``</script`` and no ``<!--`` in it.

    The same value as plain JSON: ``<``, ``>`` and ``&`` are written as ``\u003c`` and so on.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


def plotly_text(text: str) -> str:
    """Escapes plotly's labels, which interpret ``<b>``, ``<br>``, ``<a href=…>`` and entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_text(text: str) -> str:
    """Escapes a line of Markdown or a cell of a Markdown table."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))


def markdown_table(
    columns: Sequence[object], rows: Iterable[Iterable[object]], words: int = 1
) -> str:
    """Returns a Markdown table; None is a dash.

    Args:
        columns: their titles.
        rows: the cells below.
        words: how many columns, the first ones, hold words; the others hold numbers.
    """
    rule = ["---"] * words + ["---:"] * (len(columns) - words)
    lines = (
        " | ".join(UNKNOWN_VALUE if cell is None else markdown_text(str(cell)) for cell in cells)
        for cells in (columns, rule, *rows)
    )
    return "\n".join(f"| {line} |" for line in lines)


def latex_text(text: str) -> str:
    """Escapes a cell of a LaTeX table."""
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))


def csv_row(cells: Iterable[object]) -> list[object]:
    """Prepares a row for ``csv.writer``; see `csv_cell`."""
    return list(map(csv_cell, cells))


def csv_cell(value: object) -> object:
    """Prepares a cell for ``csv.writer``: an apostrophe precedes what a spreadsheet would compute.

    Numbers stay numbers, also those that are text: ``-0.5``, ``+1e3``.
    """
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def terminal_text(text: str) -> str:
    r"""Escapes a line for a terminal: control characters are shown as ``\x1b``.

    So are the marks that turn the direction of writing, and bytes that were no UTF-8.
    """
    return "".join(
        char.encode("unicode_escape", "surrogatepass").decode()
        if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _TURNS
        else char
        for char in text
    )


def zip_text(text: str) -> str:
    r"""Returns a file's name for a zip, which is UTF-8: a byte that is none reads ``\xff``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def omegaconf_text(text: str) -> str:
    """Escapes text for OmegaConf, which looks for a key after every ``${``."""
    return _INTERPOLATION.sub(r"\1\1\\${", text)


def omegaconf_node(node: Any) -> Any:  # noqa: ANN401  (what YAML holds)
    """Escapes every text in mappings and lists as `omegaconf_text` does."""
    if isinstance(node, dict):
        return {key: omegaconf_node(value) for key, value in node.items()}
    if isinstance(node, list):
        return [omegaconf_node(value) for value in node]
    return omegaconf_text(node) if isinstance(node, str) else node
