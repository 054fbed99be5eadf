"""Writes a command's results into a folder: each whole, and none over a file by accident."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

from fcn_lab.errors import UserError, guard_writing
from fcn_lab.files import create_draft_path, follow_links, make_folder
from fcn_lab.text.escaping import terminal_text
from fcn_lab.text.terminal import format_count

OUTPUT_ADVICE = "Choose another output="
FRAME_NAME = re.compile(r"\d{6,}\.(png|npz)")


class Results:
    """The files that one command writes.

    Args:
        folder: the folder of all results; links in it are not followed out of it.
        overwrite: whether to replace existing files; folders, and files in their places, stay.
        inputs: the files that the results are made of, which are never replaced, nor are the files
            that they link to.

    Attributes:
        file_count: the number of files written so far.
    """

    def __init__(self, folder: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
        self.folder, self.overwrite = folder, overwrite
        self.file_count = 0
        files = [file for path in inputs for file in (path, Path(os.path.realpath(path)))]
        states = [file.lstat() for file in files if os.path.lexists(file)]
        self._inputs = {(state.st_dev, state.st_ino) for state in states}

    def claim(self, files: Sequence[PurePath], folders: Sequence[PurePath]) -> None:
        """Refuses names that exist already, before anything is computed.

        Args:
            files: their names below the folder.
            folders: names of folders that hold the results of one input alone.

        Raises:
            UserError: a name is taken, or lies outside of the folder.
        """
        names = [name for name in files if self._is_taken(self._locate(name))]
        names += [name for name in folders if self._is_full(self._locate(name / "frame").parent)]
        if names:
            raise self._create_refusal(names)

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
        path = self._locate(name)
        # the ending tells libraries the format
        draft = create_draft_path(path).with_suffix(path.suffix)
        note = (
            f"Kept: {format_count(self.file_count, 'file')} written before. "
            if self.file_count
            else ""
        )
        try:
            with guard_writing(path, note + OUTPUT_ADVICE):
                path.parent.mkdir(parents=True, exist_ok=True)
                yield draft
                if not self.overwrite:
                    self._reserve(name, path)
                draft.replace(path)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        self.file_count += 1

    def _reserve(self, name: PurePath, path: Path) -> None:
        try:
            path.touch(exist_ok=False)
        except FileExistsError as error:
            raise self._create_refusal([name]) from error

    def clear_frames(self, name: PurePath) -> None:
        """Removes an earlier command's frames from a video's folder, since there may be more."""
        for path in self._find_frames(self._locate(name / "frame").parent):
            path.unlink()

    def _find_frames(self, folder: Path) -> list[Path]:
        """Returns the files of a folder that are to be replaced."""
        files = folder.iterdir() if folder.is_dir() and self.overwrite else ()
        return [file for file in files if FRAME_NAME.fullmatch(file.name) and not file.is_dir()]

    def _locate(self, name: PurePath) -> Path:
        path = self.folder / name
        if not follow_links(path.parent).is_relative_to(follow_links(self.folder)):
            raise UserError(
                f"output={show_path(self.folder)}: {show_path(path.parent)} is a link out of it, "
                "which is not followed.\nRemove the link, or type output= with another folder"
            )
        return path

    def _is_taken(self, path: Path) -> bool:
        if not os.path.lexists(path):
            return False
        state = path.lstat()
        if path.is_dir() and not path.is_symlink():
            raise UserError(
                f"{show_path(path)} is a folder, where a result is to be written.\n"
                "Type output= with another folder"
            )
        if (state.st_dev, state.st_ino) in self._inputs:
            raise UserError(
                f"{show_path(path)} is to be labelled: a result would overwrite it.\n"
                "Type output= with another folder"
            )
        return not self.overwrite

    def _is_full(self, path: Path) -> bool:
        """Returns whether a folder holds results that stay."""
        if not path.is_dir():
            if os.path.lexists(path):
                raise UserError(
                    f"{show_path(path)} is a file, where a folder of results is to be made.\n"
                    "Type output= with another folder"
                )
            return False
        if self.overwrite:
            # an input among them is refused
            return any(map(self._is_taken, self._find_frames(path)))
        return any(path.iterdir())

    def _create_refusal(self, names: Sequence[PurePath]) -> UserError:
        others = f" and {len(names) - 1} more of the results' names" if len(names) > 1 else ""
        return UserError(
            f"output={show_path(self.folder)} holds {show_path(names[0])}{others} already.\n"
            "overwrite=true replaces what is there; output= takes another folder"
        )


def show_path(path: PurePath) -> str:
    """Returns the path as it is safe to print in a message."""
    return terminal_text(str(path))
