"""Names the results so that no two share a name on any file system."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath

from fcn_lab.files import shorten_name
from fcn_lab.tasks.inputs import InputFile


def name_results(files: Sequence[InputFile]) -> list[PurePath]:
    """Returns the name of each file's results, without ending, below the output's folder.

    It is the file's relative path without its ending. Where the results of two would collide, as
    those of ``a.png`` and ``a.jpg``, of ``x.png`` and ``x_overlay.png``, or of ``A.png`` and
    ``a.png`` where a file system does not tell them apart, both keep their endings, and then a
    number is added. A video whose frames would lie among other results is renamed, and so is a file
    whose name these need for a folder.
    """
    steps = [0] * len(files)
    while True:
        names = [
            _shorten_name(file.relative_path, step) for file, step in zip(files, steps, strict=True)
        ]
        collisions = _find_collisions(files, names, steps)
        if not collisions:
            return names
        for index in collisions:
            steps[index] += 1


def list_result_files(name: PurePath, is_video: bool, scores: bool = True) -> tuple[PurePath, ...]:
    """Returns all files written under a name; for a video the first is its folder of frames."""
    if is_video:
        return name, append_ending(name, "_overlay.mp4")
    endings = (".png", "_overlay.png", *((".npz",) if scores else ()))
    return tuple(append_ending(name, ending) for ending in endings)


def append_ending(name: PurePath, ending: str) -> PurePath:
    """Returns the name with an ending appended."""
    return name.with_name(name.name + ending)


def _shorten_name(path: PurePath, step: int) -> PurePath:
    name = shorten_name(path.name if step else path.stem)
    return path.with_name(name if step < 2 else f"{name}-{step}")


def _find_collisions(
    files: Sequence[InputFile], names: Sequence[PurePath], steps: Sequence[int]
) -> set[int]:
    """Returns the indices of names that must change; of two with endings, only the later one."""
    owners: dict[str, list[int]] = defaultdict(list)
    folders: set[str] = set()
    for index, (file, name) in enumerate(zip(files, names, strict=True)):
        for result in list_result_files(name, file.is_video):
            owners[_fold_name(result)].append(index)
        folders |= set(map(_fold_name, name.parents))
    collisions: set[int] = set()
    for key, indices in owners.items():
        if key in folders:
            collisions |= set(indices)
        elif len(indices) > 1:
            first_tries = {index for index in indices if not steps[index]}
            collisions |= first_tries or set(indices[1:])
    return collisions


def _fold_name(name: PurePath) -> str:
    """Returns one text for names that some file system takes for the same: case, Unicode forms."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", str(name)).casefold())
