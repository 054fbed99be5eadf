"""Files below a folder or by a pattern, through linked folders, and round no circle of links.

Hidden names, which begin with a dot, are found only by a pattern that writes the dot.
"""

import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from glob import has_magic
from itertools import takewhile
from pathlib import Path


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder."""
    return match(folder, ["**", "*"])


def split_pattern(pattern: str) -> tuple[Path, Sequence[str]]:
    """The folder that a pattern such as ``drives/*/rgb/*.png`` begins in, and its parts below."""
    parts = Path(pattern).parts
    fixed = list(takewhile(lambda part: not has_magic(part), parts[:-1]))
    return Path(*fixed), parts[len(fixed) :]


def match(base: Path, parts: Sequence[str]) -> Iterator[Path]:
    """The files that match, each once: ``*`` and ``?`` within a name, ``**`` for folders between.

    An ending that the pattern writes out is found in small letters and in capitals.
    """
    return iter(dict.fromkeys(filter(os.path.isfile, _match([base], parts))))


def _match(way: Sequence[Path], parts: Sequence[str]) -> Iterator[Path]:
    """Of the last folder of the way; the folders before it are those it was reached through."""
    head, rest = parts[0], parts[1:]
    if head == "**":
        yield from _match(way, rest or ["*"])
        rest = parts
    wanted = _pattern("*" if head == "**" else head, is_last=not rest)
    for path in sorted(_listed(way[-1], head)):
        if not wanted.match(path.name):
            continue
        if not rest:
            yield path
        elif os.path.isdir(path) and (head == ".." or not _leads_back(path, way)):
            yield from _match([*way, path], rest)


def _listed(folder: Path, part: str) -> Sequence[Path]:
    if part == "..":
        return [folder / part]
    try:
        return [folder / name for name in os.listdir(folder)]
    except OSError:  # not a folder, or one that this user may not look into
        return []


def _pattern(part: str, is_last: bool) -> re.Pattern[str]:
    """A part as an expression."""
    hidden = "" if part.startswith(".") else r"(?!\.)"
    stem, dot, ending = part.rpartition(".")
    if is_last and dot and not has_magic(ending):
        return re.compile(f"{hidden}{translate(stem)[:-2]}\\.(?i:{re.escape(ending)})\\Z")
    return re.compile(hidden + translate(part))


def _leads_back(folder: Path, way: Sequence[Path]) -> bool:
    """Whether a link leads to where the way has been."""
    return os.path.realpath(folder) in map(os.path.realpath, way)
