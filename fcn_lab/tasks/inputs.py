"""What ``input=`` means: the files, and each one's place below the folder that holds them all."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

from PIL import Image

from fcn_lab.data.files.patterns import Pattern
from fcn_lab.errors import UserError
from fcn_lab.escaping import terminal_text

VIDEOS = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"}
)


@dataclass(frozen=True, order=True)
class Given:
    """A picture or video.

    Attributes:
        place: below the deepest folder that holds all that was given.
        path: where it is read from.
    """

    place: PurePath
    path: Path

    @property
    def is_video(self) -> bool:
        """Told by the name: OpenCV takes pictures for videos of one frame."""
        return self.path.suffix.lower() in VIDEOS


@dataclass(frozen=True)
class Found:
    """All that was given.

    Attributes:
        files: in order of their places.
        root: the deepest folder that holds them all.
        skipped: how many files lie in the output's folder, where an earlier run may have put them.
    """

    files: Sequence[Given]
    root: Path
    skipped: int


def find(given: str | Sequence[str], output: Path) -> Found:
    """The pictures and videos that are meant, each once.

    Args:
        given: files, folders (with all folders below) or patterns such as ``drive*/*.jpg``.
        output: the folder of the results; what lies there is not taken, unless named as a file.

    Raises:
        UserError: one of them is none.
    """
    several = [given] if isinstance(given, str) else list(given)
    parts = dict.fromkeys(part for one in several for part in _parts(one))
    root = Path(os.path.commonpath([base for base, _, _ in parts]))
    results, named = output.resolve(), set(map(Path, several))
    files: set[Given] = set()
    skipped: set[Given] = set()
    for base, inner, path in parts:
        earlier = root in results.parents and path.parent.resolve().is_relative_to(results)
        those = skipped if earlier and path not in named else files
        those.add(Given(base.relative_to(root) / inner, path))
    if not files:
        raise _nothing(",".join(several), "all that is there lies in output=")
    return Found(sorted(files), root, len(skipped))


def _parts(given: str) -> Iterator[tuple[Path, PurePath, Path]]:
    """Of each file: the folder that was meant, its place below that, and its path.

    Raises:
        UserError: there is none.
    """
    meant = Path(given)
    if os.path.isfile(given):
        yield meant.parent.resolve(), PurePath(meant.name), meant
        return
    pattern = Pattern(meant, ("**", "*")) if os.path.isdir(given) else Pattern.parse(given, Path())
    # a folder called like a picture is looked into, as others are
    files = [file for file in pattern.find_files() if not file.is_dir()]
    if os.path.isdir(given):
        files = [path for path in files if path.suffix.lower() in _endings()]
    if not files:
        raise _nothing(given, pattern.describe_surroundings())
    base = pattern.folder.resolve()
    yield from ((base, path.relative_to(pattern.folder), path) for path in files)


@cache
def _endings() -> frozenset[str]:
    """What pictures that Pillow reads and videos end with."""
    pictures = (
        end
        for end, kind in Image.registered_extensions().items()
        if kind in Image.OPEN or kind == "MPO"
    )
    return VIDEOS.union(pictures)


def _nothing(given: str, instead: str) -> UserError:
    return UserError(
        f"input={terminal_text(given)}: no picture found; {terminal_text(instead)}.\n"
        "Expected a file, a folder of pictures or videos, or a pattern like 'a/*.png'"
    )
