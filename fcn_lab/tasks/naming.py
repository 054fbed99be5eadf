"""What results are called, so that no two share a name on any file system."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath

from fcn_lab.tasks.inputs import Given

LONGEST = 230  # bytes of a name, which with an ending and a number stays below the usual 255


def result_names(files: Sequence[Given]) -> list[PurePath]:
    """The name of each file's results without their endings, below the output's folder.

    It is the file's own place without its ending. Where the results of two would meet, as those of
    ``a.png`` and ``a.jpg``, of ``x.png`` and ``x_overlay.png``, or of ``A.png`` and ``a.png`` where
    a file system does not tell them apart, both keep their endings, and then a number is added. A
    video whose frames would lie among other results, or a file where these need a folder, yields.
    """
    steps = [0] * len(files)
    while True:
        names = [_name(file.place, step) for file, step in zip(files, steps, strict=True)]
        yielding = _yielding(files, names, steps)
        if not yielding:
            return names
        for index in yielding:
            steps[index] += 1


def results_of(name: PurePath, is_video: bool, scores: bool = True) -> tuple[PurePath, ...]:
    """All that is written under a name; a video's first is the folder of its frames."""
    if is_video:
        return name, with_ending(name, "_overlay.mp4")
    endings = (".png", "_overlay.png", *((".npz",) if scores else ()))
    return tuple(with_ending(name, ending) for ending in endings)


def with_ending(name: PurePath, ending: str) -> PurePath:
    """The name with something behind it; what looks like an ending of its own stays."""
    return name.with_name(name.name + ending)


def _name(place: PurePath, step: int) -> PurePath:
    name = place.name if step else place.stem
    if len(os.fsencode(name)) > LONGEST:
        name = os.fsdecode(os.fsencode(name)[:LONGEST])
    return place.with_name(name if step < 2 else f"{name}-{step}")


def _yielding(files: Sequence[Given], names: Sequence[PurePath], steps: Sequence[int]) -> set[int]:
    """Those that must be called otherwise; of two with their endings only the later one."""
    owners: dict[str, list[int]] = defaultdict(list)
    folders: set[str] = set()
    for index, (file, name) in enumerate(zip(files, names, strict=True)):
        for result in results_of(name, file.is_video):
            owners[_folded(result)].append(index)
        folders |= set(map(_folded, name.parents))
    found: set[int] = set()
    for folded, those in owners.items():
        if folded in folders:
            found |= set(those)
        elif len(those) > 1:
            bare = {index for index in those if not steps[index]}
            found |= bare or set(those[1:])
    return found


def _folded(name: PurePath) -> str:
    """The same for names that some file system takes for one: by case, or by Unicode's forms."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", str(name)).casefold())
