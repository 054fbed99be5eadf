"""Paths on the command line mean themselves, whatever characters their names have.

A shell has taken its own quotes off already. So the text behind ``run=`` and its like is the path
itself, where Hydra's grammar would take ``=``, commas, brackets, spaces, quotes or ``$`` for its
own. Of a path that does not exist, these are read as Hydra does:

- ``null``, and one pair of quotes around the whole;
- ``[A,B]``, for the keys that take several paths;
- ``A,B`` in a sweep, one cell each;
- ``${now:%Y}`` and ``${key}`` in the folder of a run or of a sweep.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

from fcn_lab.config.frozen import find_conf_folder
from fcn_lab.errors import UserError
from fcn_lab.escaping import omegaconf_text

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "sweep.dir")
SINGLE = (
    *("run", "again", "resume", "init_from", "output", "weights", "encoder.weights"),
    *("data.root", "data.sbd", "data.blocks"),
)
SEVERAL = ("runs", "input", "data.images", "data.masks")
# Hydra reads these as they are
_PLAIN = re.compile(r"[A-Za-z_/][\w./-]*|\.{1,2}(/[\w./-]*)?")
_WORDS = ("true", "false", "inf", "nan")
_QUOTED_TEXT = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_ENTRY = re.compile(r"^\[?.*\{\s*files\s*:")
_SWEPT = re.compile(r"(?:choice|range|interval|glob|sort|shuffle|extend_list|tag)\(.*\)")


def spell_paths(override: str, swept: bool) -> str:
    """Returns the override as Hydra's grammar wants it, where it is of a path; else as it is.

    Args:
        override: KEY=VALUE, as it was typed.
        swept: the command is a sweep's.
    """
    key, equals, value = override.partition("=")
    bare = key.lstrip("+")
    if not equals or bare not in (*FOLDERS, *SINGLE, *SEVERAL) or value.lower() in ("", "null"):
        return override
    if not exists(value):
        inside = value[1:-1]
        # of data.images: a mapping, or a list with one
        if _ENTRY.search(value):
            return override
        if bare in SEVERAL and inside.strip() and value == f"[{inside}]":
            return f"{key}=[{','.join(map(_spell, split_paths(inside)))}]"
        if bare in SEVERAL and value in ("[]", f"{{{inside}}}"):
            return override
        if swept and bare not in FOLDERS:
            parts = [value] if _SWEPT.fullmatch(value) else map(_spell, split_paths(value))
            return f"{key}={','.join(parts)}"
        if bare in FOLDERS and _names_keys(value):
            return f"{key}={QuotedString(_strip_quotes(value), Quote.single).with_quotes()}"
    return f"{key}={_spell(value)}"


def require_folder_names(overrides: Sequence[str]) -> None:
    """Refuses a folder to write to that has no name.

    Raises:
        UserError: the name of a run's or a sweep's folder is empty or null.
    """
    for override in overrides:
        key, equals, value = override.lstrip("+").partition("=")
        nameless = ("", "null") if key.startswith("hydra.") else ("",)
        if equals and key in FOLDERS and _strip_quotes(value).lower() in nameless:
            raise UserError(f"{override}: expected the name of a folder")


def find_path(key: str, overrides: Sequence[str]) -> str | None:
    """Returns the path behind the last ``key=``, as typed; None where there is none or null."""
    given = [o.partition("=")[2] for o in overrides if o.lstrip("+").partition("=")[0] == key]
    return _strip_quotes(given[-1]) if given and given[-1].lower() not in ("", "null") else None


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
    plain = _PLAIN.fullmatch(path) and path.lower() not in _WORDS
    return path if plain else quote(_strip_quotes(path))


def _strip_quotes(path: str) -> str:
    """Returns the text without the quotes that Hydra would remove."""
    if exists(path) or not _QUOTED_TEXT.fullmatch(path):
        return path
    return re.sub(rf"\\({path[0]})", r"\1", path[1:-1])


def _names_keys(path: str) -> bool:
    """Returns whether ``${}`` holds a resolver or a key, and is not part of a folder's name."""
    if any("${" in str(above) and exists(str(above)) for above in Path(path).parents):
        return False
    found = re.findall(r"\$\{([\w.]+)(:?)", path)
    return bool(found) and all(
        colon or name.partition(".")[0] in _list_keys() for name, colon in found
    )


@cache
def _list_keys() -> frozenset[str]:
    text = (find_conf_folder() / "config.yaml").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^(\w+):", text, re.MULTILINE))
