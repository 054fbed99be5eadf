"""Kaggle's copy of CamVid, which has a split of its own.

It has ``train/ train_labels/ … class_dict.csv`` (name,r,g,b), RGB labels ``<frame>_L.png``.
"""

from pathlib import Path

from fcn_lab.data.class_table import refuse_bad_names, refuse_bad_values
from fcn_lab.data.colour_labels import ColourLabels
from fcn_lab.data.files.text_files import read_table
from fcn_lab.data.layouts.layout import SPLITS, Layout, Pair, pair_up
from fcn_lab.errors import UserError
from fcn_lab.pixels import Colour


def detect(root: Path) -> Layout | None:
    """Detects the copy by ``class_dict.csv`` and ``train/`` beside ``train_labels/``."""
    splits = [
        split for split in SPLITS if (root / split).is_dir() and (root / f"{split}_labels").is_dir()
    ]
    if "train" not in splits or not (root / "class_dict.csv").is_file():
        return None
    names, colours = _read_classes(root / "class_dict.csv")
    pairs = {split: _find_pairs(root, split) for split in splits}
    return Layout("Kaggle copy", ColourLabels(names, colours), pairs, "kaggle_split")


def _find_pairs(root: Path, split: str) -> tuple[Pair, ...]:
    """Pairs the files; labels end in ``_L`` as at Cambridge, or have no suffix."""
    labels = root / f"{split}_labels"
    suffix = "_L" if any(path.stem.endswith("_L") for path in labels.iterdir()) else ""
    return pair_up(root / split, labels, suffix)


def _read_classes(path: Path) -> tuple[list[str], list[Colour]]:
    _, rows = read_table(path)
    try:
        names = [row["name"] for _, row in rows]
        colours = [(int(row["r"]), int(row["g"]), int(row["b"])) for _, row in rows]
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error!r}); expected the line name,r,g,b and one line a class."
        ) from error
    refuse_bad_names(names, str(path))
    refuse_bad_values(names, colours, str(path))
    return names, colours
