"""Breaks the lists of the help between words; a terminal would break them inside words."""

import shutil
import sys
import textwrap

# its class prints the help itself, with no line broken
from hydra._internal.hydra import Hydra

_get_help = Hydra.get_help


def fit_help(hydra: Hydra, *arguments: object, **keywords: object) -> str:
    """Returns Hydra's text of ``--help``, as wide as the terminal where there is one.

    A command stays in one piece, to be copied.
    """
    text = str(_get_help(hydra, *arguments, **keywords))  # type: ignore[arg-type]
    return wrap_lists(text, shutil.get_terminal_size().columns) if sys.stdout.isatty() else text


def wrap_lists(text: str, width: int) -> str:
    """Breaks the lines that are not indented between words."""
    lines = text.splitlines()
    return "\n".join(
        line
        if line.startswith(" ")
        else textwrap.fill(
            line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        for line in lines
    )
