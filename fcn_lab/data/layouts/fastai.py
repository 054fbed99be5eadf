"""fast.ai's copy of CamVid, which has no test split of its own.

It has ``images/``, ``labels/<frame>_P.png`` of ids, ``codes.txt``, ``valid.txt``.
"""

from collections.abc import Sequence
from pathlib import Path

from fcn_lab.data.class_table import refuse_bad_names
from fcn_lab.data.classes import CAMVID11, CAMVID32
from fcn_lab.data.colours import generate_colour
from fcn_lab.data.files.listing import FrameIndex
from fcn_lab.data.files.text_files import read_lines
from fcn_lab.data.label_codecs import IndexLabels
from fcn_lab.data.layouts.layout import Layout, Pair, pair_up
from fcn_lab.data.layouts.splits import group_by_split, order_splits, title_split
from fcn_lab.errors import UserError
from fcn_lab.pixels import Colour

_KNOWN_COLOURS: dict[str, Colour] = {**CAMVID32, **CAMVID11}


def detect(root: Path) -> Layout | None:
    """Detects the copy by ``images/``, ``labels/`` and ``codes.txt``.

    Where every name is CamVid's and ``valid.txt`` is SegNet's val set, as in the full release, the
    split is SegNet's, test included. Otherwise valid.txt is the val set, the rest trains, and there
    is no test split to score.
    """
    folders = (root / "images", root / "labels")
    if not all(folder.is_dir() for folder in folders) or not (root / "codes.txt").is_file():
        return None
    names = [line.text for line in read_lines(root / "codes.txt")]
    refuse_bad_names(names, str(root / "codes.txt"))
    colours = [
        _KNOWN_COLOURS.get(name, generate_colour(number)) for number, name in enumerate(names)
    ]
    codec = IndexLabels(names, colours)
    pairs = pair_up(*folders, "_P")
    val_pairs = _read_valid(root / "valid.txt", pairs)
    parts = group_by_split(pairs)
    if None not in parts and set(parts.get("val", ())) == val_pairs:
        segnet_pairs = order_splits(parts)
        return Layout("fast.ai copy", codec, segnet_pairs, title_split(segnet_pairs))
    own_parts: dict[str | None, tuple[Pair, ...]] = {
        "train": tuple(pair for pair in pairs if pair not in val_pairs),
        "val": tuple(pair for pair in pairs if pair in val_pairs),
    }
    if not own_parts["train"]:
        raise UserError(f"{root / 'valid.txt'} names every frame; expected some left to train on")
    return Layout("fast.ai copy", codec, order_splits(own_parts), "fastai_split")


def _read_valid(path: Path, pairs: Sequence[Pair]) -> set[Pair]:
    if not path.is_file():
        raise UserError(f"{path} is missing; expected one frame name a line, the validation set.")
    return set(FrameIndex(pairs, path.parent).read_list(path))
