"""The hidden folder of a pack in the making, which one process at a time has for itself.

A process that is killed leaves it behind with a journal of the parts that are whole; the next one
that wants the same pack goes on with it. M frames, H W rows and columns.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fcn_lab.errors import guard_writing
from fcn_lab.files import DRAFT_PREFIX, append_text, make_folder
from fcn_lab.locks import wait_for_lock

JOURNAL = "journal"


@contextmanager
def hold_draft(folder: Path, advice: str) -> Iterator[Path | None]:
    """Yields the draft of a pack's folder, locked; None where the place knows no locks.

    Waits while another process holds it.

    Raises:
        WriteFailure: nothing can be written there.
    """
    draft = folder.with_name(DRAFT_PREFIX + folder.name)
    while True:
        with guard_writing(folder, advice):
            file = _open_journal(draft, advice)
        with file:
            try:
                wait_for_lock(
                    file, "another process packs these frames: this one waits until it is done"
                )
            except OSError:
                yield None
                return
            if _is_same(file, draft / JOURNAL):
                # a fresh time keeps it from being removed as a leftover
                os.utime(draft)
                yield draft
                return


def _open_journal(draft: Path, advice: str) -> IO[str]:
    """Makes a draft's folder where there is none and opens its journal."""
    while True:
        make_folder(draft, advice)
        # the process that had the draft may have published it, which frees the name
        with suppress(FileNotFoundError):
            return (draft / JOURNAL).open("a")


def _is_same(file: IO[str], path: Path) -> bool:
    """Returns whether the open file is still the one at this path."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


@dataclass(frozen=True)
class Journal:
    """The parts of a draft that are whole, one a line, by their numbers."""

    path: Path

    def read(self) -> dict[int, dict[str, Any]]:
        """Returns what was noted of every part; lines that were cut short are left out."""
        entries: dict[int, dict[str, Any]] = {}
        with suppress(OSError):
            for line in self.path.read_text(errors="replace").splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    entries[entry["part"]] = entry["found"]
        return entries

    def add(self, part: int, result: dict[str, Any]) -> None:
        """Notes that a part is whole."""
        append_text(self.path, json.dumps({"part": part, "found": result}) + "\n")
        os.utime(self.path.parent)
