"""Finds the files of ``input=``, and their paths relative to the folder that holds them all."""

import os
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

from PIL import Image

from fcn_lab.data.files.pairing import match_pictures
from fcn_lab.data.files.patterns import Pattern
from fcn_lab.errors import UserError
from fcn_lab.escaping import terminal_text

VIDEO_ENDINGS = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"}
)


@dataclass(frozen=True, order=True)
class InputFile:
    """A picture or a video to label.

    Attributes:
        relative_path: the path below the deepest folder that holds all inputs.
        path: the path that it is read from.
        further: the files of its further channels.
    """

    relative_path: PurePath
    path: Path
    further: tuple[Path, ...] = ()

    @property
    def is_video(self) -> bool:
        """Returns whether its name ends like a video's: OpenCV opens pictures as videos, too."""
        return self.path.suffix.lower() in VIDEO_ENDINGS


@dataclass(frozen=True)
class InputFiles:
    """All files to label.

    Attributes:
        files: the files in the order of their relative paths.
        root: the deepest folder that holds them all.
        skipped: how many files lie in the output's folder, perhaps results of an earlier run.
    """

    files: Sequence[InputFile]
    root: Path
    skipped: int


def find_inputs(
    given: str | Sequence[str], output: Path, patterns: Sequence[str] = ()
) -> InputFiles:
    """Returns the pictures and videos that ``input=`` names, each once.

    Args:
        given: files, folders (with all folders below) or patterns such as ``drive*/*.jpg``.
        output: the folder of the results; what lies there is not taken, unless named as a file.
        patterns: those of the files that hold a picture together, below each folder that is named;
            none where a picture is one file.

    Raises:
        UserError: one of them is or holds no picture.
    """
    several = [given] if isinstance(given, str) else list(given)
    parts = dict.fromkeys(part for one in several for part in _find_pictures(one, patterns))
    root = Path(os.path.commonpath([base for base, *_ in parts]))
    results, named = output.resolve(), set(map(Path, several))
    files: set[InputFile] = set()
    skipped: set[InputFile] = set()
    for base, inner, path, further in parts:
        earlier = root in results.parents and path.parent.resolve().is_relative_to(results)
        those = skipped if earlier and path not in named else files
        those.add(InputFile(base.relative_to(root) / inner, path, further))
    if not files:
        raise _create_refusal(",".join(several), "all that is there lies in output=")
    return InputFiles(sorted(files), root, len(skipped))


def _find_pictures(
    given: str, patterns: Sequence[str]
) -> Iterator[tuple[Path, PurePath, Path, tuple[Path, ...]]]:
    """Yields what ``_find_files`` does, and the files of each picture's further channels."""
    if len(patterns) > 1:
        yield from _find_scenes(given, patterns)
    else:
        trained = {Path(pattern).suffix.lower() for pattern in patterns} - {""}
        yield from ((*part, ()) for part in _find_files(given, _list_endings() | trained))


def _find_files(given: str, endings: Set[str]) -> Iterator[tuple[Path, PurePath, Path]]:
    """Yields for each file the folder that was named, the path below that, and the path.

    Of a folder's files it yields those with one of these endings.

    Raises:
        UserError: there is none.
    """
    meant = Path(given)
    if os.path.isfile(given):
        yield meant.parent.resolve(), PurePath(meant.name), meant
        return
    pattern = Pattern(meant, ("**", "*")) if os.path.isdir(given) else Pattern.parse(given, Path())
    # a folder that is called like a picture is searched like any other
    files = [file for file in pattern.find_files() if not file.is_dir()]
    if os.path.isdir(given):
        files = [path for path in files if path.suffix.lower() in endings]
    if not files:
        raise _create_refusal(given, pattern.describe_surroundings())
    base = pattern.folder.resolve()
    yield from ((base, path.relative_to(pattern.folder), path) for path in files)


def _find_scenes(
    given: str, patterns: Sequence[str]
) -> Iterator[tuple[Path, PurePath, Path, tuple[Path, ...]]]:
    """Yields the pictures of several files each that lie below a folder as training found them.

    Raises:
        UserError: it is no folder, or has no such files.
    """
    listed = ", ".join(patterns)
    outside = [one for one in patterns if Path(one).is_absolute() or ".." in Path(one).parts]
    if outside or not os.path.isdir(given):
        why = f"{outside[0]} is not below a folder" if outside else "it is no folder"
        raise UserError(
            f"input={terminal_text(given)}: the network was trained on pictures of several files, "
            f"[{terminal_text(listed)}], and {terminal_text(why)}.\n"
            "Expected a folder that holds such files at these places, as data.root did"
        )
    base = Path(given)
    for path, *further in match_pictures(base, patterns).values():
        yield base.resolve(), PurePath(path.relative_to(base)), path, tuple(further)


@cache
def _list_endings() -> frozenset[str]:
    """Returns the endings of videos and of the pictures that Pillow reads."""
    pictures = (
        end
        for end, kind in Image.registered_extensions().items()
        if kind in Image.OPEN or kind == "MPO"
    )
    return VIDEO_ENDINGS.union(pictures)


def _create_refusal(given: str, instead: str) -> UserError:
    return UserError(
        f"input={terminal_text(given)}: no picture found; {terminal_text(instead)}.\n"
        "Expected a file, a folder of pictures or videos, or a pattern like 'a/*.png'"
    )
