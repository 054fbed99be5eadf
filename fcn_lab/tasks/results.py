"""A folder of results: each is written whole, below the folder, and over nothing by accident."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

from fcn_lab.errors import UserError, guard_writing
from fcn_lab.escaping import terminal_text
from fcn_lab.files import draft_beside, make_folder

ELSEWHERE = "Choose another output="
FRAME = re.compile(r"\d{6,}\.(png|npz)")


class Results:
    """The files that one command writes.

    Args:
        folder: where they go; links in it are not followed out of it.
        overwrite: replace what is there; a folder stays, as does a file in a folder's place.
        inputs: what they are made of, and never replace.

    Attributes:
        written: the number of files so far.
    """

    def __init__(self, folder: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
        self.folder, self.overwrite = folder, overwrite
        self.written = 0
        self._inputs = {(found.st_dev, found.st_ino) for found in map(os.lstat, inputs)}

    def claim(self, files: Sequence[PurePath], folders: Sequence[PurePath]) -> None:
        """Refuses names that are taken, before anything is computed.

        Args:
            files: their names below the folder.
            folders: names of folders that hold the results of one input alone.

        Raises:
            UserError: something is there already, or would lie outside.
        """
        taken = [name for name in files if self._is_taken(self._place(name))]
        taken += [name for name in folders if self._is_full(self._place(name / "frame").parent)]
        if taken:
            raise self._refusal(taken)

    def make_folder(self) -> None:
        """Makes the folder of all results.

        Raises:
            UserError: it cannot be made, or nothing can be written there.
        """
        make_folder(self.folder, ELSEWHERE)
        with guard_writing(self.folder / "results", ELSEWHERE):
            probe = draft_beside(self.folder / "results")
            probe.touch()
            probe.unlink()

    @contextmanager
    def draft(self, name: PurePath) -> Iterator[Path]:
        """A path to write to, which gets its name once it is whole.

        Raises:
            UserError: it cannot be written, or something has got the name meanwhile.
        """
        place = self._place(name)
        draft = draft_beside(place).with_suffix(place.suffix)  # which tells libraries the format
        kept = f"The {self.written} files written before are kept. " if self.written else ""
        try:
            with guard_writing(place, kept + ELSEWHERE):
                place.parent.mkdir(parents=True, exist_ok=True)
                yield draft
                if not self.overwrite:
                    self._reserve(name, place)
                draft.replace(place)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        self.written += 1

    def _reserve(self, name: PurePath, place: Path) -> None:
        try:
            place.touch(exist_ok=False)
        except FileExistsError as error:
            raise self._refusal([name]) from error

    def clear_frames(self, name: PurePath) -> None:
        """Removes the frames of an earlier command from a video's folder: it may have had more."""
        folder = self._place(name / "frame").parent
        for path in folder.iterdir() if folder.is_dir() and self.overwrite else ():
            if FRAME.fullmatch(path.name) and not path.is_dir():
                path.unlink()

    def _place(self, name: PurePath) -> Path:
        place = self.folder / name
        if not place.parent.resolve().is_relative_to(self.folder.resolve()):
            raise UserError(
                f"output={shown(self.folder)}: {shown(place.parent)} is a link out of it, which is "
                "not followed.\nRemove the link, or type output= with another folder"
            )
        return place

    def _is_taken(self, place: Path) -> bool:
        if not os.path.lexists(place):
            return False
        found = place.lstat()
        if place.is_dir() and not place.is_symlink():
            raise UserError(
                f"{shown(place)} is a folder, where a result is to be written.\n"
                "Type output= with another folder"
            )
        if (found.st_dev, found.st_ino) in self._inputs:
            raise UserError(
                f"{shown(place)} is to be labelled: a result would overwrite it.\n"
                "Type output= with another folder"
            )
        return not self.overwrite

    def _is_full(self, place: Path) -> bool:
        """Whether something lies in the place of a folder."""
        if not place.is_dir():
            return os.path.lexists(place)
        return not self.overwrite and any(place.iterdir())

    def _refusal(self, taken: Sequence[PurePath]) -> UserError:
        more = f" and {len(taken) - 1} more of the results' names" if len(taken) > 1 else ""
        return UserError(
            f"output={shown(self.folder)} holds {shown(taken[0])}{more} already.\n"
            "overwrite=true replaces what is there; output= takes another folder"
        )


def shown(path: PurePath) -> str:
    """A path for a message."""
    return terminal_text(str(path))
