"""The folder of a command's results, which are written whole and replace nothing by accident."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

from fcn_lab.errors import UserError, guard_writing
from fcn_lab.escaping import terminal_text
from fcn_lab.files import create_draft_path, make_folder

OUTPUT_ADVICE = "Choose another output="
FRAME_NAME = re.compile(r"\d{6,}\.(png|npz)")


class Results:
    """The files that one command writes.

    Args:
        folder: the folder of all results; links in it are not followed out of it.
        overwrite: replace existing files; a folder stays, as does a file in a folder's place.
        inputs: the files that the results are made of, which are never replaced; where one is a
            link, neither is what it leads to.

    Attributes:
        written: the number of files written so far.
    """

    def __init__(self, folder: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
        self.folder, self.overwrite = folder, overwrite
        self.written = 0
        files = [file for given in inputs for file in (given, Path(os.path.realpath(given)))]
        states = [file.lstat() for file in files if os.path.lexists(file)]
        self._inputs = {(state.st_dev, state.st_ino) for state in states}

    def claim(self, files: Sequence[PurePath], folders: Sequence[PurePath]) -> None:
        """Refuses names that are taken, before anything is computed.

        Args:
            files: their names below the folder.
            folders: names of folders that hold the results of one input alone.

        Raises:
            UserError: a name is taken, or lies outside of the folder.
        """
        taken = [name for name in files if self._is_taken(self._locate(name))]
        taken += [name for name in folders if self._is_full(self._locate(name / "frame").parent)]
        if taken:
            raise self._create_refusal(taken)

    def make_folder(self) -> None:
        """Makes the folder of all results.

        Raises:
            UserError: it cannot be made, or nothing can be written there.
        """
        make_folder(self.folder, OUTPUT_ADVICE)
        with guard_writing(self.folder / "results", OUTPUT_ADVICE):
            probe = create_draft_path(self.folder / "results")
            probe.touch()
            probe.unlink()

    @contextmanager
    def draft(self, name: PurePath) -> Iterator[Path]:
        """Yields a path to write to, which is renamed to `name` once the block ends.

        Raises:
            UserError: it cannot be written, or the name was taken meanwhile.
        """
        place = self._locate(name)
        draft = create_draft_path(place).with_suffix(
            place.suffix
        )  # which tells libraries the format
        kept = f"The {self.written} files written before are kept. " if self.written else ""
        try:
            with guard_writing(place, kept + OUTPUT_ADVICE):
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
            raise self._create_refusal([name]) from error

    def clear_frames(self, name: PurePath) -> None:
        """Removes the frames of an earlier command from a video's folder: it may have had more."""
        folder = self._locate(name / "frame").parent
        for path in folder.iterdir() if folder.is_dir() and self.overwrite else ():
            if FRAME_NAME.fullmatch(path.name) and not path.is_dir():
                path.unlink()

    def _locate(self, name: PurePath) -> Path:
        place = self.folder / name
        if not place.parent.resolve().is_relative_to(self.folder.resolve()):
            raise UserError(
                f"output={show_path(self.folder)}: {show_path(place.parent)} is a link out of it, "
                "which is not followed.\nRemove the link, or type output= with another folder"
            )
        return place

    def _is_taken(self, place: Path) -> bool:
        if not os.path.lexists(place):
            return False
        found = place.lstat()
        if place.is_dir() and not place.is_symlink():
            raise UserError(
                f"{show_path(place)} is a folder, where a result is to be written.\n"
                "Type output= with another folder"
            )
        if (found.st_dev, found.st_ino) in self._inputs:
            raise UserError(
                f"{show_path(place)} is to be labelled: a result would overwrite it.\n"
                "Type output= with another folder"
            )
        return not self.overwrite

    def _is_full(self, place: Path) -> bool:
        """Returns whether a folder's name is taken, by a file or by results inside."""
        if not place.is_dir():
            return os.path.lexists(place)
        return not self.overwrite and any(place.iterdir())

    def _create_refusal(self, taken: Sequence[PurePath]) -> UserError:
        more = f" and {len(taken) - 1} more of the results' names" if len(taken) > 1 else ""
        return UserError(
            f"output={show_path(self.folder)} holds {show_path(taken[0])}{more} already.\n"
            "overwrite=true replaces what is there; output= takes another folder"
        )


def show_path(path: PurePath) -> str:
    """Returns the path as it is safe to print in a message."""
    return terminal_text(str(path))
