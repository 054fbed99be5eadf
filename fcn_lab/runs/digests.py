"""Digests of a run's checkpoints as they were written, so that damage is reported before its use.

checkpoints/SHA256SUMS has a line ``DIGEST  NAME`` for each, as sha256sum writes and checks it. The
digest of a new checkpoint is added before the checkpoint gets its name, and those of the old ones
are struck out after that: whenever a kill comes, what bears the name is in the list.
"""

import hashlib
import re
import shlex
import zipfile
from collections.abc import Sequence
from pathlib import Path

from fcn_lab.files import write_bytes, write_text
from fcn_lab.runs.records import DamagedFile, require_regular_file

LIST_NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
Entry = tuple[str, str]


def write_listed(path: Path, content: bytes | memoryview) -> None:
    """Writes a checkpoint whole or not at all, and its line of the list."""
    entries, line = _read_list(path.parent), (hashlib.sha256(content).hexdigest(), path.name)
    _write_list(path.parent, [*entries, line])
    write_bytes(path, content)
    _write_list(path.parent, [*(entry for entry in entries if entry[1] != path.name), line])


def require_sound(path: Path) -> None:
    """Compares a checkpoint with its digest, or, if it was never listed, with the sums inside it.

    Raises:
        DamagedFile: it is not the file that was written; the message names a whole one.
    """
    reason = _find_damage(path)
    if reason:
        raise DamagedFile(path, reason, advise(path))


def advise(path: Path) -> str:
    """Returns what to type where this checkpoint is lost."""
    others = [p for p in sorted(path.parent.glob("*.ckpt")) if p != path and not _find_damage(p)]
    if not others:
        return f"No other checkpoint of it is whole: again={path.parent.parent} trains it again"
    # a copy onto a folder that stands in its place would be put into that folder
    move = shlex.join(["mv", str(path), f"{path}.aside"]) + " && " if path.is_dir() else ""
    copy = move + shlex.join(["cp", str(others[0]), str(path)])
    return f"{others[0].name} is whole; to go on from that one type {copy}, and the same once more"


def _find_damage(path: Path) -> str:
    try:
        # a pipe would be waited for
        if not path.is_file():
            return "it is no file"
        entries = _read_list(path.parent)
        if path.name in {name for _, name in entries}:
            # under any name: a copy of the other checkpoint is whole, too
            is_whole = _compute_digest(path) in {digest for digest, _ in entries}
            return "" if is_whole else f"it is not what {LIST_NAME} beside it says was written"
        if not zipfile.is_zipfile(path):
            return "it is no file of torch.save"
        with zipfile.ZipFile(path) as archive:
            member = archive.testzip()
        return f"{member} inside it does not fit its sum" if member else ""
    # zipfile and zlib raise any kind of error for damaged bytes
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _read_list(folder: Path) -> list[Entry]:
    """Reads the lines that are whole; without a list only the comparison is left out."""
    try:
        require_regular_file(folder / LIST_NAME)
        lines = (folder / LIST_NAME).read_bytes().decode("ascii", "replace").splitlines()
    except (DamagedFile, OSError):
        return []
    matches = (_LINE.fullmatch(line) for line in lines)
    return [(match[1], match[2]) for match in matches if match]


def _write_list(folder: Path, entries: Sequence[Entry]) -> None:
    lines = (f"{digest}  {name}\n" for digest, name in dict.fromkeys(entries))
    write_text(folder / LIST_NAME, "".join(lines))


def _compute_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
