"""Cambridge's own release of CamVid, which has no split.

Its ``701_StillsRaw_full/``, ``LabeledApproved_full/<frame>_L.png``, ``label_colors.txt``.
"""

from pathlib import Path

from fcn_lab.data.class_table import refuse_bad_names, refuse_bad_values
from fcn_lab.data.classes import CAMVID32
from fcn_lab.data.colour_labels import ColourLabels
from fcn_lab.data.files.text_files import read_lines
from fcn_lab.data.layouts.layout import Layout, pair_up
from fcn_lab.data.layouts.splits import group_by_split, order_splits, title_split
from fcn_lab.errors import UserError
from fcn_lab.pixels import Colour


def detect(root: Path) -> Layout | None:
    """Detects the release by its two folders; the split is SegNet's, found from the frame names."""
    images, labels = root / "701_StillsRaw_full", root / "LabeledApproved_full"
    if not images.is_dir() or not labels.is_dir():
        return None
    parts = group_by_split(pair_up(images, labels, "_L"))
    if strays := parts.get(None):
        raise UserError(
            f"{strays[0].image} is no frame of CamVid's four drives, so it has no split here.\n"
            "Remove it, or sort your own frames into train/ train_labels/ … and a class_dict.csv."
        )
    pairs = order_splits(parts)
    names, colours = _read_classes(root / "label_colors.txt")
    return Layout("Cambridge release", ColourLabels(names, colours), pairs, title_split(pairs))


def _read_classes(path: Path) -> tuple[list[str], list[Colour]]:
    """Reads names and colours from the lines ``r g b name``.

    The file is a separate download, and CamVid's colours are known without it.
    """
    if not path.is_file():
        return list(CAMVID32), list(CAMVID32.values())
    rows = [line.text.split(None, 3) for line in read_lines(path)]
    try:
        names = [row[3] for row in rows]
        colours = [(int(row[0]), int(row[1]), int(row[2])) for row in rows]
    except (ValueError, IndexError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); expected lines such as: 64 128 64 Animal"
        ) from error
    refuse_bad_names(names, str(path))
    refuse_bad_values(names, colours, str(path))
    return names, colours
