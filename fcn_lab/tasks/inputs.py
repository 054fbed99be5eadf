"""What ``input=`` means: the files, and each one's place below the folder that holds them all."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

from PIL import Image

from fcn_lab.data.finding import match, split_pattern, walk
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
        raise _nothing(",".join(several))
    return Found(sorted(files), root, len(skipped))


def _parts(given: str) -> Iterator[tuple[Path, PurePath, Path]]:
    """Of each file: the folder that was meant, its place below that, and its path.

    Raises:
        UserError: there is none.
    """
    meant, paths = Path(given), [Path(given)]
    if os.path.isfile(given):
        base = meant.parent
    elif os.path.isdir(given):
        base, paths = meant, [path for path in walk(meant) if path.suffix.lower() in _endings()]
    else:
        base, parts = split_pattern(given)
        paths = list(match(base, parts))
    if not paths:
        raise _nothing(given)
    for path in paths:
        inner: PurePath = path.relative_to(base)
        if ".." in inner.parts:  # behind a pattern's first star
            yield path.parent.resolve(), PurePath(path.name), path
        else:
            yield base.resolve(), inner, path


@cache
def _endings() -> frozenset[str]:
    """What pictures that Pillow reads and videos end with."""
    pictures = (end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN)
    return VIDEOS.union(pictures)


def _nothing(given: str) -> UserError:
    return UserError(
        f"input={terminal_text(given)}: no picture found; "
        "expected a file, a folder of pictures or videos, or a pattern like 'a/*.png'"
    )
