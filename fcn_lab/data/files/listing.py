"""Frames by the paths and names that a list may call them.

A line names one frame: by its picture's or mask's path relative to the list, relative to the root
of the data, or absolute; by a name or trailing part of a path that no other frame has; or by
picture and mask beside each other. Suffixes may be left out. Nothing is guessed: a line that fits
two frames is refused, so that a list of n lines is a list of n frames. A path may lead to the same
file by other links.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from fcn_lab.data.files.text_files import Line, read_all_lines
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.errors import UserError
from fcn_lab.text.terminal import shorten_list

_GAP = re.compile(r"[\s,;]+")
_ITEMS_SHOWN = 4


class FrameIndex:
    """An index that finds the frames named in text files.

    Args:
        pairs: the frames there are.
        root: a folder that paths may start from, besides the folder of the list.
        is_foreign: the paths are of another machine, so that only their last part is used.
    """

    def __init__(self, pairs: Sequence[Pair], root: Path, is_foreign: bool = False) -> None:
        self._pairs, self._root, self._is_foreign = pairs, root, is_foreign
        self._pictures, self._masks = _PathIndex(), _PathIndex()
        for number, pair in enumerate(pairs):
            self._pictures.add(os.path.abspath(pair.image), number)
            self._pictures.add_name(pair.name, number)
            self._masks.add(os.path.abspath(pair.label), number)

    def read_list(self, file: Path) -> tuple[Pair, ...]:
        """Returns the frames of a list file, one per line, in its order.

        Raises:
            UserError: the list cannot be read, is empty, or has a line that names no frame, several
                or one that an earlier line names.
        """
        lines: dict[Pair, int] = {}
        for line in read_all_lines(file):
            if line.is_comment:
                self._refuse_frame(line, file)
                continue
            pair = self.find(line.text, file, line.number)
            if pair is None:
                raise self._missing_error(line, file)
            if pair in lines:
                raise UserError(
                    f"{file}, line {line.number}: {line.text} is the frame of line {lines[pair]} "
                    "already; expected every frame once"
                )
            lines[pair] = line.number
        if not lines:
            raise UserError(f"{file} names no frame; expected one a line")
        return tuple(lines)

    def find(self, text: str, file: Path, number: int) -> Pair | None:
        """Returns the frame that a line of a file names, or None where it names none.

        Raises:
            UserError: the line fits several frames.
        """
        matches = self._match_line(text, file.parent)
        if len(matches) > 1:
            raise UserError(
                f"{file}, line {number}: {text} may be {self._format_frames(matches)}.\n"
                f"Expected one frame; write its path from {self._root} or from the list"
            )
        return self._pairs[matches.pop()] if matches else None

    def _missing_error(self, line: Line, file: Path) -> UserError:
        name = PurePosixPath(line.text.replace("\\", "/")).name
        lookalikes = self._pictures.find_ending(name) or self._pictures.find_ending(
            PurePosixPath(name).stem
        )
        hint = f" There is {self._format_frames(lookalikes)}." if lookalikes else ""
        advice = f"a path from {self._root} or from the list, or a name that one frame has"
        if self._is_foreign:
            advice = f"the name of a picture in {self._root}"
        return UserError(
            f"{file}, line {line.number} names {line.text}, and there is no such picture.{hint}\n"
            f"Expected {advice}. Restore the picture, or take out its line"
        )

    def _match_line(self, text: str, folder: Path) -> set[int]:
        """Returns the indices of all frames that the line could mean."""
        columns: set[int] = set()
        for gap in _GAP.finditer(text):
            picture = self._match_text(text[: gap.start()], folder)
            mask = self._match_text(text[gap.end() :], folder)
            if picture and mask:
                columns |= picture & mask or picture | mask
        if self._is_foreign and columns:
            return columns
        matches = self._match_text(text, folder) or columns
        return matches or (set() if self._is_foreign else self._match_link(text, folder))

    def _match_link(self, text: str, folder: Path) -> set[int]:
        form = text.strip("\"'").replace("\\", "/")
        return self._link_targets.find_paths(
            {os.path.realpath(os.path.join(base, form)) for base in (folder, self._root)}
        )

    def _match_text(self, text: str, folder: Path) -> set[int]:
        forms = dict.fromkeys((text, text.replace("\\", "/"), text.strip("\"'").replace("\\", "/")))
        for form in filter(None, forms):
            if self._is_foreign:
                matches = self._match_ending(PurePosixPath(form).name)
            else:
                bases = {os.path.abspath(folder), os.path.abspath(self._root)}
                paths = {os.path.normpath(os.path.join(base, form)) for base in bases}
                matches = self._pictures.find_paths(paths) or self._masks.find_paths(paths)
                matches = matches or self._match_ending(os.path.normpath(form))
            if matches:
                return matches
        return set()

    @cached_property
    def _link_targets(self) -> "_PathIndex":
        """Returns the frames' files by their paths with all links followed."""
        index = _PathIndex()
        for number, pair in enumerate(self._pairs):
            index.add(os.path.realpath(pair.image), number)
            index.add(os.path.realpath(pair.label), number)
        return index

    def _match_ending(self, text: str) -> set[int]:
        return self._pictures.find_ending(text) or self._masks.find_ending(text)

    def _refuse_frame(self, line: Line, file: Path) -> None:
        """Refuses a comment that names a frame, which would silently be left out."""
        if self._match_text(line.text, file.parent):
            raise UserError(
                f"{file}, line {line.number}: {line.text} is a frame, but a line that begins with "
                f"# is a comment.\nWrite ./{line.text} for the frame"
            )

    def _format_frames(self, numbers: set[int]) -> str:
        files = [
            os.path.relpath(self._pairs[number].image, self._root) for number in sorted(numbers)
        ]
        return shorten_list(files, _ITEMS_SHOWN, " or ")


# last part of a path -> path -> numbers of its frames
_FramesByPath = dict[str, dict[str, set[int]]]


class _PathIndex:
    """Frames by the last part of their files' paths, with or without its suffix."""

    def __init__(self) -> None:
        self._paths: _FramesByPath = defaultdict(lambda: defaultdict(set))
        self._stems: _FramesByPath = defaultdict(lambda: defaultdict(set))

    def add(self, path: str, number: int) -> None:
        """Adds a file by its absolute path."""
        path = _normalize_accents(path)
        self._paths[os.path.basename(path)][path].add(number)
        self.add_name(os.path.splitext(path)[0], number)

    def add_name(self, path: str, number: int) -> None:
        """Adds a file by a path without suffix, or by a name."""
        path = _normalize_accents(path)
        self._stems[os.path.basename(path)][f"/{path.lstrip('/')}"].add(number)

    def find_paths(self, paths: Iterable[str]) -> set[int]:
        """Returns the frames whose file lies at one of these absolute paths."""
        places = [_normalize_accents(path) for path in paths]
        for files in (self._paths, self._stems):
            matches = [files.get(os.path.basename(path), {}).get(path, set()) for path in places]
            if numbers := set().union(*matches):
                return numbers
        return set()

    def find_ending(self, text: str) -> set[int]:
        """Returns the frames whose file's path ends in these parts."""
        ending = f"/{_normalize_accents(text)}"
        for files in (self._paths, self._stems):
            places = files.get(os.path.basename(ending), {})
            matches = [numbers for path, numbers in places.items() if path.endswith(ending)]
            if numbers := set().union(*matches):
                return numbers
        return set()


def _normalize_accents(text: str) -> str:
    """Returns the text with composed accents; macOS stores a letter and its accent apart."""
    return unicodedata.normalize("NFC", text)
