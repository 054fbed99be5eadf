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
from fcn_lab.files import follow_links
from fcn_lab.text.escaping import terminal_text

VIDEO_ENDINGS = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"}
)


@dataclass(frozen=True, order=True)
class InputFile:
    """A picture or a video to label.

    Attributes:
        relative_path: the path below the deepest folder that holds all inputs.
        path: the path that it is read from.
        further_paths: the files of its further channels.
    """

    relative_path: PurePath
    path: Path
    further_paths: tuple[Path, ...] = ()

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
        skip_count: how many files were skipped since they lie in the output's folder.
    """

    files: Sequence[InputFile]
    root: Path
    skip_count: int


def find_inputs(
    sources: str | Sequence[str], output: Path, patterns: Sequence[str] = ()
) -> InputFiles:
    """Returns the pictures and videos that ``input=`` names, each once.

    Args:
        sources: files, folders (with all folders below) or patterns such as ``drive*/*.jpg``.
        output: the folder of the results; what lies there is not taken, unless named as a file.
        patterns: the patterns of the files that make up a picture, below each folder that is named;
            none where a picture is one file.

    Raises:
        UserError: a source is no picture, or holds none.
    """
    sources = [sources] if isinstance(sources, str) else sources
    parts = dict.fromkeys(part for source in sources for part in _find_pictures(source, patterns))
    root = Path(os.path.commonpath([base for base, *_ in parts]))
    results, files_named = follow_links(output), set(map(Path, sources))
    files: set[InputFile] = set()
    old_results: set[InputFile] = set()
    for base, inner, path, further_paths in parts:
        is_result = root in results.parents and path.parent.resolve().is_relative_to(results)
        target = old_results if is_result and path not in files_named else files
        target.add(InputFile(base.relative_to(root) / inner, path, further_paths))
    if not files:
        finding = "no picture found; all that is there lies in output="
        raise _create_refusal(",".join(sources), finding)
    return InputFiles(sorted(files), root, len(old_results))


def _find_pictures(
    source: str, patterns: Sequence[str]
) -> Iterator[tuple[Path, PurePath, Path, tuple[Path, ...]]]:
    """Yields what ``_find_files`` does, and the files of each picture's further channels."""
    if len(patterns) > 1:
        yield from _find_scenes(source, patterns)
    else:
        endings = {Path(pattern).suffix.lower() for pattern in patterns} - {""}
        yield from ((*part, ()) for part in _find_files(source, _list_endings() | endings))


def _find_files(source: str, endings: Set[str]) -> Iterator[tuple[Path, PurePath, Path]]:
    """Yields for each file the folder that was named, the path below that, and the path.

    Of a folder's files it yields those with one of these endings.

    Raises:
        UserError: there is none.
    """
    if not source:
        raise _create_refusal(source, "it names nothing")
    target = Path(source)
    if os.path.isfile(source):
        yield target.parent.resolve(), PurePath(target.name), target
        return
    pattern = (
        Pattern(target, ("**", "*")) if os.path.isdir(source) else Pattern.parse(source, Path())
    )
    # a folder that is called like a picture is searched like any other
    files = [file for file in pattern.find_files() if not file.is_dir()]
    if os.path.isdir(source):
        files = [path for path in files if path.suffix.lower() in endings]
    if not files:
        finding = f"no picture found; {pattern.describe_surroundings()}"
        if not pattern.has_wildcards and not os.path.lexists(source):
            finding = "there is no such file or folder"
        raise _create_refusal(source, finding)
    base = follow_links(pattern.folder)
    yield from ((base, path.relative_to(pattern.folder), path) for path in files)


def _find_scenes(
    source: str, patterns: Sequence[str]
) -> Iterator[tuple[Path, PurePath, Path, tuple[Path, ...]]]:
    """Yields the pictures of several files each that lie below a folder as training found them.

    Raises:
        UserError: the source is no folder, or has no such files.
    """
    names = ", ".join(patterns)
    strays = [p for p in patterns if Path(p).is_absolute() or ".." in Path(p).parts]
    if strays or not os.path.isdir(source):
        reason = f"{strays[0]} is not below a folder" if strays else "it is no folder"
        raise UserError(
            f"input={terminal_text(source)}: the network was trained on pictures of several files, "
            f"[{terminal_text(names)}], and {terminal_text(reason)}.\n"
            "Expected a folder that holds such files at these places, as data.root did"
        )
    base = Path(source)
    for path, *further_paths in match_pictures(base, patterns).values():
        yield base.resolve(), PurePath(path.relative_to(base)), path, tuple(further_paths)


@cache
def _list_endings() -> frozenset[str]:
    """Returns the endings of videos and of the pictures that Pillow reads."""
    pictures = (
        end
        for end, kind in Image.registered_extensions().items()
        if kind in Image.OPEN or kind == "MPO"
    )
    return VIDEO_ENDINGS.union(pictures)


def _create_refusal(source: str, finding: str) -> UserError:
    return UserError(
        f"input={terminal_text(source)}: {terminal_text(finding)}.\n"
        "Expected a file, a folder of pictures or videos, or a pattern like 'a/*.png'"
    )
