"""PASCAL VOC's segmentation challenge as a data source, with SBD's masks to train on."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fcn_lab.data.classes import keep_classes
from fcn_lab.data.download import Release, fetch_release
from fcn_lab.data.files.text_files import read_lines
from fcn_lab.data.label_codecs import IndexLabels
from fcn_lab.data.layouts.layout import Layout, Pair
from fcn_lab.data.packs.source import CACHE, PackedSource
from fcn_lab.data.pictures.unreadable import LIMIT
from fcn_lab.data.resizing import Resize
from fcn_lab.errors import UserError
from fcn_lab.pixels import Colour
from fcn_lab.values import Positive, Size, check_arguments

NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
    *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)
LISTS = Path("ImageSets/Segmentation")
# where the two archives put their content, relative to the user's folder
VOC_FOLDERS = (".", "VOC2012", "VOCdevkit/VOC2012", "TrainVal/VOCdevkit/VOC2012")
SBD_FOLDERS = (".", "dataset", "benchmark_RELEASE/dataset", "SBD", "sbd", "SBD/dataset")
VOC_URL = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar"
SBD_URL = (
    "http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/"
    "benchmark.tgz"
)
# the authors' name for the split that they score
UNSEEN_SPLIT = "seg11valid"


@check_arguments
class Voc(PackedSource):
    """PASCAL VOC2012's segmentation: 20 classes and background, 255 void.

    The splits are ``train`` and ``val`` of the release. Where SBD (Hariharan et al. 2011) lies
    beside it, ``train`` is SBD's train with SBD's masks, as in the FCN paper, ``val`` leaves out
    the frames that are trained on, and ``seg11valid`` holds the frames that the paper scores: those
    of val that are not in SBD's train. The paper took val from VOC2011; where its folder lies
    beside VOC2012's, its list is used: it gives the paper's 736 frames; VOC2012's is longer.

    Args:
        root: VOC2012's folder or one above it.
        sbd: SBD's folder; by default one is looked for below and beside the root.
        merge: train on SBD's train where SBD is there; else on the release's.
        size: see ``PackedSource``, as for ``cache``, ``megapixels``,
            ``resize`` and ``pack``.
        download: fetch VOC2012 and SBD where they are not found.
        url: the archive of VOC2012.
        sbd_url: the archive of SBD.

    Raises:
        UserError: nothing is found, or a list names what there is not.
    """

    def __init__(
        self,
        root: str | None = None,
        sbd: str | None = None,
        merge: bool = True,
        size: Size | None = None,
        cache: str = CACHE,
        megapixels: Positive = LIMIT.megapixels,
        resize: Resize | None = None,
        download: bool = False,
        pack: bool = True,
        url: str = VOC_URL,
        sbd_url: str = SBD_URL,
    ) -> None:
        folder = Path(os.path.expanduser("data/voc" if root is None else root))
        if download:
            fetch_missing(folder, sbd, url, sbd_url)
        release = find_voc(folder)
        if release is None:
            raise UserError(
                f"No PASCAL VOC: {folder} holds no {LISTS}.\nType data.root= with the folder of "
                "VOC2012 or one around it, or data.download=true to fetch it"
            )
        extra = find_sbd(folder, release, sbd)
        layout = read_layout(release, extra, merge)
        codec = layout.codec
        classes = keep_classes(codec.names, codec.colours, "voc21", with_void=False)
        rest = (None, None, cache, megapixels, resize, pack)
        super().__init__(release, layout, classes, lambda name: name, size, *rest)


def find_voc(root: Path) -> Path | None:
    """Returns the folder of VOC2012 at or below this one, or None where there is none."""
    return next((root / name for name in VOC_FOLDERS if (root / name / LISTS).is_dir()), None)


def find_sbd(root: Path, release: Path, sbd: str | None) -> Path | None:
    """Returns the folder of SBD that holds ``cls``, ``img`` and ``train.txt``; None for none.

    Args:
        root: what it may lie below.
        release: VOC's folder, beside which it may lie.
        sbd: where the user says that it lies.

    Raises:
        UserError: SBD is not where the user says.
    """
    starts = [root, release.parent, release.parent.parent]
    for start in starts if sbd is None else [Path(os.path.expanduser(sbd))]:
        for folder in (start / name for name in SBD_FOLDERS):
            if (folder / "cls").is_dir() and (folder / "train.txt").is_file():
                return folder
    if sbd is not None:
        raise UserError(
            f"data.sbd={sbd}: no folder cls beside a train.txt is there.\n"
            "Expected the folder `dataset` of SBD's benchmark_RELEASE"
        )
    return None


def fetch_missing(root: Path, sbd: str | None, url: str, sbd_url: str) -> None:
    """Downloads VOC2012 and SBD into two folders of the root, as far as they are not there.

    Raises:
        UserError: see ``fetch_release``.
    """
    if (release := find_voc(root)) is None:
        release = root / "VOC2012"
        fetch_release(release, VOC_RELEASE, url)
    if find_sbd(root, release, sbd) is None:
        fetch_release(root / "SBD", SBD_RELEASE, sbd_url)


def require_voc(folder: Path) -> None:
    """Refuses a folder that lacks a file which its lists name.

    Raises:
        UserError: a list or a file is missing.
    """
    read_layout(folder, None, merge=False)


def require_sbd(folder: Path) -> None:
    """Refuses a folder that lacks the mask of a frame in its list of training frames.

    Raises:
        UserError: the list or a mask is missing.
    """
    for file in (folder / "cls" / f"{name}.mat" for name in read_names(folder / "train.txt")):
        if not file.exists():
            raise _missing_error(file)


def read_layout(release: Path, sbd: Path | None, merge: bool) -> Layout:
    """Returns the frames of every split.

    Raises:
        UserError: a list cannot be read, or names what there is not.
    """
    train, val = (read_names(release / LISTS / f"{split}.txt") for split in ("train", "val"))
    pairs = {"train": pair_voc(release, train), "val": pair_voc(release, val)}
    split = "voc2012"
    if sbd is not None:
        train = read_names(sbd / "train.txt")
        older_list = release.parent / "VOC2011" / LISTS / "val.txt"
        split += "_of_2011" if older_list.is_file() else ""
        names = read_names(older_list) if older_list.is_file() else val
        train_names = set(train)
        pairs[UNSEEN_SPLIT] = pair_voc(release, [name for name in names if name not in train_names])
        if merge:
            pairs["train"] = pair_sbd(release, sbd, train)
            pairs["val"] = pair_voc(release, [name for name in val if name not in train_names])
            split += "_sbd"
    # in an incomplete release all frames of a split may be trained on
    pairs = {name: part for name, part in pairs.items() if part}
    codec = IndexLabels(NAMES, draw_colours(len(NAMES)))
    # is_divided gives each way of dividing the same files a ledger of its own
    return Layout("PASCAL VOC2012", codec, pairs, f"{split}_split", is_divided=True)


def read_names(file: Path) -> list[str]:
    """Returns the names in a list, one a line.

    Raises:
        UserError: the list is missing, is empty, or names a frame twice.
    """
    if not (names := [line.text for line in read_lines(file)]):
        raise UserError(f"{file} names no frame; expected one a line")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise UserError(f"{file} names {name} {count} times; expected every frame once")
    return names


def pair_voc(release: Path, names: Sequence[str]) -> tuple[Pair, ...]:
    """Returns pictures with the release's own masks, in order of name."""
    pictures, masks = release / "JPEGImages", release / "SegmentationClass"
    return _require(
        [Pair(name, pictures / f"{name}.jpg", masks / f"{name}.png") for name in sorted(names)]
    )


def pair_sbd(release: Path, sbd: Path, names: Sequence[str]) -> tuple[Pair, ...]:
    """Returns pictures, the same in both releases, with SBD's masks, in order of name."""
    pairs = []
    for name in sorted(names):
        picture = release / "JPEGImages" / f"{name}.jpg"
        twin = sbd / "img" / f"{name}.jpg"
        pairs.append(Pair(name, picture if picture.exists() else twin, sbd / "cls" / f"{name}.mat"))
    return _require(pairs)


def _require(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    for file in (file for pair in pairs for file in (pair.image, pair.label)):
        if not file.exists():
            raise _missing_error(file)
    return tuple(pairs)


def _missing_error(file: Path) -> UserError:
    return UserError(f"{file} is missing, which a list names.\nRestore it from the archive")


def draw_colours(count: int) -> tuple[Colour, ...]:
    """Returns VOC's colours: the bits of a class's number, dealt to red, green and blue in turn."""
    colours = []
    for number in range(count):
        channels = [0, 0, 0]
        for position in range(24):
            bit = number >> position & 1
            channels[position % 3] |= bit << (7 - position // 3)
        colours.append((channels[0], channels[1], channels[2]))
    return tuple(colours)


VOC_RELEASE = Release(
    "VOC2012",
    "VOC2012",
    "VOC2012",
    lambda root: (root / LISTS).is_dir(),
    require_voc,
    scale=3,
)
SBD_RELEASE = Release(
    "SBD's benchmark", "SBD", "dataset", lambda root: (root / "cls").is_dir(), require_sbd, scale=3
)
