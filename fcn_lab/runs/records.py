"""Reads the files of a run's folder, which may be a stranger's, or damaged.

A reader returns valid content, or names the file in a ``DamagedFile``. None follows a link, waits
at a pipe, or reads more than the limit of its kind of file.
"""

import csv
import io
import json
import math
import os
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from zipfile import ZipFile

import yaml

from fcn_lab.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEGABYTE = 2**20
# the most bytes of a file by its ending; a run's own files are thousands of times smaller
LIMITS = {".yaml": MEGABYTE, ".json": 64 * MEGABYTE, ".csv": 256 * MEGABYTE}
# the most bytes of the arrays in an .npz
UNPACKED_LIMIT = 4096 * MEGABYTE
# the most bytes of predictions.zip, and of one picture in it; no more is written and none read
PREDICTIONS_LIMIT, PICTURE_LIMIT = 4096 * MEGABYTE, 200 * MEGABYTE
# the most nodes of a YAML file that stand inside each other
DEPTH_LIMIT = 50
# the most nodes of a YAML file, with all its aliases written out
NODE_LIMIT = 200_000
# the largest number in a YAML file
NUMBER_LIMIT = 2.0**63


class DamagedFile(UserError):
    """The error for a file with invalid content; it has the path, the reason and what to do."""

    def __init__(self, path: Path, reason: object, advice: str = "") -> None:
        self.path, self.reason = path, " ".join(str(reason).split())[:200]
        super().__init__(f"{path} is damaged: {self.reason}" + (f".\n{advice}" if advice else ""))


def require_regular_file(path: Path) -> os.stat_result:
    """Returns the file system's entry of a regular file.

    Raises:
        DamagedFile: it is a link, a folder, a pipe, or not there.
    """
    try:
        state = path.lstat()
    except OSError as error:
        raise DamagedFile(path, error.strerror) from error
    if stat.S_ISLNK(state.st_mode):
        raise DamagedFile(path, "it is a link, which is not followed; put the file in its place")
    if not stat.S_ISREG(state.st_mode):
        raise DamagedFile(path, "it is no file")
    return state


def read_text(path: Path) -> str:
    """Reads UTF-8, within the limit of the file's ending.

    Raises:
        DamagedFile: as `require_regular_file`, for an empty or a larger file and for other bytes.
    """
    limit, size = LIMITS[path.suffix], require_regular_file(path).st_size
    if not size:
        raise DamagedFile(path, "it is empty")
    if size > limit:
        raise DamagedFile(path, f"{size:,} bytes, at most {limit:,} are read")
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DamagedFile(path, error.strerror) from error
    except UnicodeDecodeError as error:
        raise DamagedFile(path, f"no UTF-8 at byte {error.start}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Returns an object of JSON whose numbers are finite and below 2⁶³.

    Raises:
        DamagedFile: it holds something else.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number")

    text = read_text(path)
    try:
        content = json.loads(text, parse_constant=refuse)
        _require_moderate(content)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(path, error) from error
    if not isinstance(content, dict):
        raise DamagedFile(path, "it holds no object, {…}")
    return content


def read_rows(path: Path, columns: Collection[str] = ()) -> list[dict[str, str]]:
    """Returns the rows of a CSV file under its header; every cell is a number or empty.

    Args:
        path: the file.
        columns: where some are named, the file must have at least one of them.

    Raises:
        DamagedFile: it holds something else.
    """
    text = read_text(path)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows: list[dict[str, Any]] = list(reader)
    except csv.Error as error:
        raise DamagedFile(path, error) from error
    if not reader.fieldnames:
        raise DamagedFile(path, "it is empty")
    if columns and not set(columns).intersection(reader.fieldnames):
        raise DamagedFile(path, f"its columns are other ones: {','.join(reader.fieldnames)}")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise DamagedFile(path, f"line {number} has not the columns of the first")
        for column, cell in row.items():
            if not _is_number(cell or "0"):
                raise DamagedFile(path, f"line {number}: {column} is {cell[:40]!r}, no number")
    return rows


def read_yaml(path: Path, load: Callable[[str], Any]) -> dict[str, Any]:
    """Returns a mapping of YAML as a run writes it: neither too deep nor too large.

    Args:
        path: the file.
        load: builds the mapping from the text, by a safe loader.

    Raises:
        DamagedFile: it holds something else.
    """
    text = read_text(path)
    try:
        _require_plain_yaml(text)
        content: Any = load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DamagedFile(path, error) from error
    if not isinstance(content, dict):
        raise DamagedFile(path, "it holds no mapping of keys")
    return content


def load_yaml(text: str) -> object:
    """Loads YAML by the safe loader, the one written in C where it is there."""
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _require_plain_yaml(text: str) -> None:
    """Checks the text before anything is built from it: a short one may stand for gigabytes.

    Raises:
        ValueError: it is not as a run writes it.
    """
    stack = [_Node(None)]
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(_Node(event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            node = stack.pop()
            sizes[node.anchor or ""] = node.size
            stack[-1].size += node.size
        elif isinstance(event, yaml.AliasEvent):
            # a node that is still open has no known size: it would hold itself
            stack[-1].size += sizes.get(event.anchor or "", NODE_LIMIT)
        elif isinstance(event, yaml.ScalarEvent):
            sizes[event.anchor or ""] = 1
            stack[-1].size += 1
        if len(stack) > DEPTH_LIMIT:
            raise ValueError(f"more than {DEPTH_LIMIT} nodes inside each other")
        if stack[-1].size >= NODE_LIMIT:
            raise ValueError("it stands for more nodes than any run has")


@dataclass
class _Node:
    """A list or mapping that is being read, with the number of its nodes, aliases written out."""

    anchor: str | None
    size: int = 1


def read_arrays(path: Path) -> "dict[str, NDArray[Any]]":
    """Returns the arrays of an .npz by name; none holds objects.

    Raises:
        DamagedFile: it holds something else, or more than 4 GiB unpacked.
    """
    # imported here, since readers of text do not need it
    import numpy as np

    require_regular_file(path)
    try:
        with ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > UNPACKED_LIMIT:
            raise ValueError(f"{size:,} bytes unpacked, at most {UNPACKED_LIMIT:,} are read")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    # zipfile, zlib and numpy's reader of headers raise any kind of error for damaged bytes
    except Exception as error:
        raise DamagedFile(path, str(error) or type(error).__name__) from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _require_moderate(node: object) -> None:
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            _require_moderate(item)
    elif isinstance(node, int | float) and not (math.isfinite(node) and abs(node) < NUMBER_LIMIT):
        raise ValueError("it holds a number beyond 2⁶³")
