"""Paths on the command line mean themselves, whatever characters their names have.

The shell has already removed its own quotes. So the text behind ``run=`` and similar keys is the
path itself, although ``=``, commas, brackets, spaces, quotes and ``$`` have a meaning in Hydra's
grammar. Only where the path does not exist, these are read as Hydra reads them:

- ``null``, one pair of quotes around the whole, and ``~/``, the home folder;
- ``[A,B]``, for the keys that take several paths;
- ``A,B`` in a sweep, one cell each;
- ``${now:%Y}`` and ``${key}`` in the folder of a run or of a sweep.
"""

import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

from fcn_lab.config.frozen import find_conf_folder
from fcn_lab.errors import UserError
from fcn_lab.text.escaping import omegaconf_text

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "sweep.dir")
SINGLE_PATHS = (
    *("run", "again", "resume", "init_from", "output", "weights", "encoder.weights"),
    *("data.root", "data.sbd", "data.blocks"),
)
PATH_LISTS = ("runs", "input", "data.images", "data.masks", "sweep.reuse")
# Hydra reads these as they are; its grammar has the letters of ASCII alone
_PLAIN_PATH = re.compile(r"[A-Za-z_/][\w./-]*|\.{1,2}(/[\w./-]*)?", re.ASCII)
_WORDS = ("true", "false", "inf", "nan")
_QUOTED_TEXT = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_ENTRY = re.compile(r"^\[?.*\{\s*files\s*:")
_SWEPT_PATHS = re.compile(r"(?:choice|range|interval|glob|sort|shuffle|extend_list|tag)\(.*\)")


def spell_paths(override: str, is_sweep: bool) -> str:
    """Returns an override of a path in Hydra's grammar; any other override as it is.

    Args:
        override: KEY=VALUE, as it was typed.
        is_sweep: the command is a sweep's.
    """
    key, equals, value = override.partition("=")
    name = key.lstrip("+")
    is_path = equals and name in (*FOLDERS, *SINGLE_PATHS, *PATH_LISTS)
    if not is_path or value.lower() in ("", "null"):
        return override
    if not exists(value):
        content = value[1:-1]
        # of data.images: a mapping, or a list with one
        if _ENTRY.search(value):
            return override
        if name in PATH_LISTS and content.strip() and value == f"[{content}]":
            return f"{key}=[{','.join(map(_spell, split_paths(content)))}]"
        if name in PATH_LISTS and value in ("[]", f"{{{content}}}"):
            return override
        if is_sweep and name not in FOLDERS:
            parts = [value] if _SWEPT_PATHS.fullmatch(value) else map(_spell, split_paths(value))
            return f"{key}={','.join(parts)}"
        if name in FOLDERS and _names_keys(value):
            return f"{key}={QuotedString(_strip_quotes(value), Quote.single).with_quotes()}"
    return f"{key}={_spell(value)}"


def require_folder_names(overrides: Sequence[str]) -> None:
    """Refuses a folder to write to that has no name.

    Raises:
        UserError: the name of a run's or a sweep's folder is empty or null.
    """
    for override in overrides:
        key, equals, value = override.lstrip("+").partition("=")
        empty_names = ("", "null") if key.startswith("hydra.") else ("",)
        if equals and key in FOLDERS and _strip_quotes(value).lower() in empty_names:
            raise UserError(f"{override}: expected the name of a folder")


def find_path(key: str, overrides: Sequence[str]) -> str | None:
    """Returns the path behind the last ``key=``, as typed; None where there is none or null."""
    values = [w.partition("=")[2] for w in overrides if w.lstrip("+").partition("=")[0] == key]
    return _strip_quotes(values[-1]) if values and values[-1].lower() not in ("", "null") else None


def split_paths(text: str) -> list[str]:
    """Returns the parts between commas; a path that exists or is quoted keeps its commas."""
    parts = text.split(",")
    for end in range(len(parts), 1, -1):
        part = ",".join(parts[:end]).strip()
        if _QUOTED_TEXT.fullmatch(part) or exists(part):
            break
    else:
        part, end = parts[0].strip(), 1
    return [part, *split_paths(",".join(parts[end:]))] if parts[end:] else [part]


def exists(path: str) -> bool:
    """Returns whether there is such a file or folder; False for what cannot be a name."""
    try:
        return path != "" and Path(path).exists()
    except (OSError, ValueError):
        return False


def quote(text: str) -> str:
    """Returns a value of Hydra's grammar that is this very text, ``${`` included."""
    return QuotedString(omegaconf_text(text), Quote.single).with_quotes()


def _spell(path: str) -> str:
    is_plain = _PLAIN_PATH.fullmatch(path) and path.lower() not in _WORDS
    return path if is_plain else quote(_strip_quotes(path))


def _strip_quotes(path: str) -> str:
    """Returns the text without the quotes that Hydra would remove, and with ``~/`` spelt out.

    A shell does that behind ``run=``, and not behind a key with a dot.
    """
    if exists(path):
        return path
    if _QUOTED_TEXT.fullmatch(path):
        path = re.sub(rf"\\({path[0]})", r"\1", path[1:-1])
    return os.path.expanduser(path) if path.startswith("~/") else path


def _names_keys(path: str) -> bool:
    """Returns whether ``${}`` holds a resolver or a key, and is not part of a folder's name."""
    if any("${" in str(parent) and exists(str(parent)) for parent in Path(path).parents):
        return False
    matches = re.findall(r"\$\{([\w.]+)(:?)", path)
    return bool(matches) and all(
        colon or name.partition(".")[0] in _list_keys() for name, colon in matches
    )


@cache
def _list_keys() -> frozenset[str]:
    text = (find_conf_folder() / "config.yaml").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^(\w+):", text, re.MULTILINE))
