"""Records the content of the source files of a pack.

A ledger keeps size, modification time and SHA-256 of every source file of one split. Files whose
size and time are as recorded are taken to be unchanged, so that a warm start reads no picture; all
others are hashed again. A file whose content differs is named and refused: a score must not
silently come from other data than the last one.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fcn_lab.data.packs.folder import ADVICE
from fcn_lab.data.packs.sealed import SealMissing, seal, unseal
from fcn_lab.data.pictures.unreadable import open_regular
from fcn_lab.errors import UserError
from fcn_lab.files import make_folder, write_text
from fcn_lab.text.commands import format_operand, quote
from fcn_lab.text.terminal import report_progress

_log = logging.getLogger(__name__)
FileState = tuple[int, int, str]


@dataclass(frozen=True)
class Ledger:
    """The recorded content of some files, kept in one JSON file."""

    path: Path

    def digests(self, files: Sequence[Path]) -> dict[str, FileState]:
        """Returns size, time and hash of every file, in the order given.

        Raises:
            UserError: a file has changed, or files were added or removed.
        """
        records = self._read_known()
        progress = report_progress(files, len(files), "comparing files")
        entries = {str(file): _update_entry(file, records.get(str(file))) for file in progress}
        if records:
            self._refuse_changes(records, entries)
        return entries

    def save(self, entries: dict[str, FileState]) -> None:
        """Records the content; readers see the old or the new ledger, never half of one."""
        if entries == self._read_known():
            return
        make_folder(self.path.parent, ADVICE)
        write_text(self.path, seal(entries), ADVICE)

    def _read_known(self) -> dict[str, FileState]:
        try:
            entries = unseal(self.path.read_text())
        except FileNotFoundError:
            return {}
        except SealMissing:
            _log.warning(
                "%s has no digest of its own, as before these were written: it cannot be verified, "
                "and the files are taken as they are now",
                self.path,
            )
            return {}
        except (OSError, ValueError):
            _log.warning("%s is damaged: what the files held before is not known", self.path)
            return {}
        return {
            name: (int(size), int(time), str(digest))
            for name, (size, time, digest) in entries.items()
        }

    def _refuse_changes(self, records: dict[str, FileState], entries: dict[str, FileState]) -> None:
        changes = [
            name for name in entries if name in records and records[name][2] != entries[name][2]
        ]
        reasons = (
            ("has changed", changes),
            ("is new", sorted(set(entries) - set(records))),
            ("is gone", sorted(set(records) - set(entries))),
        )
        path = quote(format_operand(self.path))
        for reason, names in reasons:
            if names:
                rest = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
                raise UserError(
                    f"{names[0]} {reason} since this set was packed{rest}.\n"
                    f"Restore it, or accept the data as it is now: rm {path}"
                )


def _update_entry(file: Path, entry: FileState | None) -> FileState:
    # a missing file is named below
    with suppress(OSError):
        state = file.stat()
        if entry and entry[:2] == (state.st_size, state.st_mtime_ns):
            return entry
    with open_regular(file) as content:
        state = os.fstat(content.fileno())
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        return state.st_size, state.st_mtime_ns, digest


def digest_states(files: Sequence[Path]) -> str:
    """Returns a text that differs whenever sizes and times of the files that exist do."""
    states = []
    for file in files:
        with suppress(OSError):
            state = file.stat()
            states.append((str(file.absolute()), state.st_size, state.st_mtime_ns))
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()[:24]
