"""fast.ai's copy, without a test split of its own.

It has ``images/``, ``labels/<frame>_P.png`` of ids, ``codes.txt``, ``valid.txt``.
"""

from pathlib import Path

from fcn_lab.data.classes import CAMVID11, CAMVID32, Colour, spread
from fcn_lab.data.labels import IndexLabels
from fcn_lab.data.layouts.layout import Layout, Pair, pair_up
from fcn_lab.data.layouts.splits import by_name, ordered, segnet_title
from fcn_lab.errors import UserError

_KNOWN: dict[str, Colour] = {**CAMVID32, **CAMVID11}


def look(root: Path) -> Layout | None:
    """Recognised by ``images/``, ``labels/`` and ``codes.txt``.

    Where every name is CamVid's and ``valid.txt`` is SegNet's val set, as in the full release, the
    split is SegNet's, test included. Otherwise valid.txt is the val set, the rest trains, and there
    is no test split to score.
    """
    folders = (root / "images", root / "labels")
    if not all(folder.is_dir() for folder in folders) or not (root / "codes.txt").is_file():
        return None
    names = [line.strip() for line in (root / "codes.txt").read_text().splitlines() if line.strip()]
    colours = [_KNOWN.get(name, spread(number)) for number, name in enumerate(names)]
    codec = IndexLabels(names, colours)
    pairs = pair_up(*folders, "_P")
    chosen = _valid(root / "valid.txt")
    parts = by_name(pairs)
    if None not in parts and {pair.name for pair in parts.get("val", ())} == chosen:
        named = ordered(parts)
        return Layout("fast.ai copy", codec, named, segnet_title(named))
    return Layout("fast.ai copy", codec, _divided(pairs, chosen, root), "fastai_split")


def _valid(path: Path) -> set[str]:
    if not path.is_file():
        raise UserError(f"{path} is missing; expected one frame name a line, the validation set.")
    return {Path(line.strip()).stem for line in path.read_text().splitlines() if line.strip()}


def _divided(pairs: tuple[Pair, ...], chosen: set[str], root: Path) -> dict[str, tuple[Pair, ...]]:
    if missing := sorted(chosen - {pair.name for pair in pairs}):
        raise UserError(
            f"{root / 'valid.txt'} names {missing[0]}, which is not in {root / 'images'} "
            f"({len(missing)} such).\nRestore the picture, or take its line out of the list."
        )
    parts: dict[str | None, tuple[Pair, ...]] = {
        "train": tuple(pair for pair in pairs if pair.name not in chosen),
        "val": tuple(pair for pair in pairs if pair.name in chosen),
    }
    return ordered(parts)
