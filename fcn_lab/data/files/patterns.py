"""Finds the files that a pattern matches, and describes the folder where it matches none.

``*``, ``?`` and ``[…]`` stand for a part of a name, ``**`` for folders at any depth, linked ones
too. The suffix at the end fits in capitals as well. Hidden files are left out.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from fcn_lab.data.layouts.layout import PICTURES
from fcn_lab.errors import UserError

_WILD = re.compile(r"(?:\*|\?|\[!?[^\]/]+\])+")
_STARS = re.compile(r"\*\*/|(?:\*|\?|\[!?[^\]/]+\])+")
_SIGN = re.compile(r"\*|\?|\[!?[^\]/]+\]")
_ITEMS_SHOWN = 4


@dataclass(frozen=True)
class Pattern:
    """A file pattern, split into a folder and the parts to match below it.

    Attributes:
        folder: what all its files lie below.
        parts: the parts of the pattern below that folder.
    """

    folder: Path
    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, root: Path) -> "Pattern":
        """Parses a pattern that is absolute or relative to the root."""
        path = locate(root, text)
        start, parts = Path(path.anchor), list(path.parts[bool(path.anchor) :])
        # a part with brackets may be a folder's own name
        while len(parts) > 1 and "*" not in parts[0] and (start / parts[0]).exists():
            start /= parts.pop(0)
        return cls(start, (*parts, "*") if parts[-1] == "**" else tuple(parts))

    @property
    def has_wildcards(self) -> bool:
        """Returns whether it may match several files."""
        return any(map(_WILD.search, self.parts))

    def find_files(self) -> dict[Path, str]:
        """Returns every matching file in order, with the text in place of the stars.

        A folder or a pipe with a picture's name is among them; reading it raises the error.
        """
        candidates = set(_walk(self.folder, self.parts))
        paths = sorted(p for p in candidates if p.suffix.lower() in PICTURES or not p.is_dir())
        stars = _compile("/".join(self.parts))
        return {path: _join_stars(stars, path.relative_to(self.folder)) for path in paths}

    def read_stars(self, path: Path) -> tuple[str, ...]:
        """Returns what stands in place of each star in a file's path."""
        match = _compile("/".join(self.parts)).fullmatch(path.relative_to(self.folder).as_posix())
        return tuple(part or "" for part in match.groups()) if match else ()

    def describe_surroundings(self) -> str:
        """Describes the contents of the innermost folder of the pattern that exists."""
        folder = self.folder
        for part in self.parts[:-1]:
            if _WILD.search(part):
                break
            folder /= part
        if not folder.is_dir():
            return f"there is no folder {folder}"
        kinds = Counter(_name_kind(path) for path in folder.iterdir())
        counts = [f"{count} × {kind}" for kind, count in kinds.most_common(_ITEMS_SHOWN)]
        return f"{folder} holds {', '.join(counts) or 'nothing'}"


def locate(root: Path, text: str) -> Path:
    """Returns the path that is written, with separators of any system, absolute or from a root."""
    return root / os.path.expanduser(text.replace("\\", "/"))


def lies_below(path: Path, folder: Path) -> bool:
    """Returns whether a path leads into a folder, however both are written."""
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def _name_kind(path: Path) -> str:
    if path.is_dir():
        return "folder"
    return path.suffix or "no suffix"


def _walk(
    folder: Path, parts: tuple[str, ...], parents: frozenset[str] = frozenset()
) -> Iterator[Path]:
    if not parts:
        yield folder
        return
    part, *rest = parts
    if part == "**":
        location = os.path.realpath(folder)
        # it is a link to a folder that holds it
        if location in parents:
            return
        yield from _walk(folder, tuple(rest))
        for child in _list_children(folder):
            if child.is_dir():
                yield from _walk(child, parts, parents | {location})
        return
    fits = _compile(part, last=not rest)
    for child in _list_children(folder, with_hidden=part.startswith(".")):
        if fits.fullmatch(child.name):
            yield from _walk(child, tuple(rest))


def _list_children(folder: Path, with_hidden: bool = False) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    yield from (folder / name for name in names if with_hidden or not name.startswith("."))


def _compile(pattern: str, last: bool = True) -> re.Pattern[str]:
    """Compiles the pattern to an expression whose groups are the stars.

    Raises:
        UserError: brackets that hold no letters or range of letters.
    """
    stem, dot, suffix = pattern.rpartition(".")
    expression = _translate(pattern)
    if last and dot and not _WILD.search(suffix):
        expression = _translate(stem) + rf"(?i:\.{re.escape(suffix)})"
    try:
        return re.compile(expression, re.DOTALL)
    except re.error as error:
        raise UserError(f"{pattern}: {error.msg}; expected brackets such as [a-z]") from error


def _translate(pattern: str) -> str:
    texts = [re.escape(text) for text in _STARS.split(pattern)]
    stars = map(_translate_star, _STARS.findall(pattern))
    return "".join(part for pair in zip_longest(texts, stars) for part in pair if part)


def _translate_star(star: str) -> str:
    if star == "**/":
        return "(?:(.*)/)?"
    return f"({''.join(map(_translate_sign, _SIGN.findall(star)))})"


def _translate_sign(sign: str) -> str:
    if not sign.startswith("["):
        return {"*": "[^/]*", "?": "[^/]"}[sign]
    start, letters = ("(?!/)[^", sign[2:-1]) if sign.startswith("[!") else ("[", sign[1:-1])
    # every letter but the sign of a range stands for itself
    return f"{start}{re.escape(letters).replace(chr(92) + '-', '-')}]"


def _join_stars(stars: re.Pattern[str], path: Path) -> str:
    match = stars.fullmatch(path.as_posix())
    parts = match.groups() if match else (path.stem,)
    return "_".join(part for part in parts if part).replace("/", "_") or path.stem
