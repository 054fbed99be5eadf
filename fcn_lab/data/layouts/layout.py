"""The contract of a data set's layout, and the pairing of its files.

Every layout is one function ``detect(root) -> Layout | None``: None where the folder is something
else, UserError where it is this layout but broken. It reads names and class files, never pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fcn_lab.data.label_codecs import LabelCodec
from fcn_lab.errors import UserError

SPLITS = ("train", "val", "test")
# the formats that cameras write, and those that keep such pictures without loss
PICTURES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".gif"}
)


@dataclass(frozen=True)
class Pair:
    """One frame: its name without suffixes, its picture, its label, and further channels' files."""

    name: str
    image: Path
    label: Path
    other_images: tuple[Path, ...] = ()

    @property
    def images(self) -> tuple[Path, ...]:
        """Returns all files of its picture, the colours first."""
        return (self.image, *self.other_images)


@dataclass(frozen=True)
class Layout:
    """A data set that was found in a folder.

    Attributes:
        title: the layout's name for messages.
        codec: what its label files hold.
        pairs: the frames of every split it has, in order of name.
        split: the split's name, last word of the protocol id.
        is_divided: whether the lab made the split, and not those who released the data.
        origin: a text that tells its files from others in the same folders; "" where the title
            does.
    """

    title: str
    codec: LabelCodec
    pairs: Mapping[str, tuple[Pair, ...]]
    split: str
    is_divided: bool = False
    origin: str = ""


LABELS = frozenset({".png"})

Detector = Callable[[Path], Layout | None]


def pair_up(images: Path, labels: Path, suffix: str = "") -> tuple[Pair, ...]:
    """Pairs every picture of one folder with its label ``<frame><suffix>.png`` of another.

    Raises:
        UserError: a picture without label, a label without picture, or no picture at all.
    """
    pictures = _list_visible(images, PICTURES)
    if not pictures:
        raise UserError(f"{images} holds no pictures; expected {'/'.join(sorted(PICTURES))} files.")
    labels_by_stem = {path.stem: path for path in _list_visible(labels, LABELS)}
    pairs: dict[str, Pair] = {}
    for path in pictures:
        label = labels_by_stem.get(f"{path.stem}{suffix}", labels / f"{path.stem}{suffix}.png")
        pair = Pair(path.stem, path, label)
        if pairs.setdefault(path.stem, pair) != pair:
            raise UserError(
                f"{pairs[path.stem].image} and {path.name} have one name; expected one picture of "
                "a frame.\nRemove one of them"
            )
    _refuse_difference(
        {pair.label for pair in pairs.values()}, set(labels_by_stem.values()), images
    )
    return tuple(pairs.values())


def _list_visible(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Returns all files with these suffixes, in order, without hidden ones.

    A folder of such a name is kept; reading it raises the error.
    """
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != "."
    )


def _refuse_difference(expected_labels: set[Path], label_files: set[Path], images: Path) -> None:
    if gaps := sorted(expected_labels - label_files):
        raise UserError(
            f"{gaps[0]} is missing{_count_others(gaps)}; every picture of {images} "
            "needs its label.\n"
            "Restore it from the archive, or remove the picture."
        )
    if orphans := sorted(label_files - expected_labels):
        raise UserError(
            f"{orphans[0]} has no picture in {images}{_count_others(orphans)}.\n"
            "Restore the picture, or remove the label."
        )


def _count_others(paths: list[Path]) -> str:
    return f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
