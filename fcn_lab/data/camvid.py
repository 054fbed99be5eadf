"""CamVid, in whichever of its releases lies in a folder."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from fcn_lab.data.classes import choose
from fcn_lab.data.download import SEGNET_RELEASE, fetch_segnet_release
from fcn_lab.data.frames import Frames, require_split
from fcn_lab.data.layouts import recognise
from fcn_lab.data.layouts.layout import Layout
from fcn_lab.data.pack import Recipe, packed
from fcn_lab.data.releases import nothing_found, usual_place
from fcn_lab.errors import UserError

NATIVE_SIZE = (720, 960)
PAPER_SIZE = (360, 480)


class CamVid:
    """A CamVid release as a Source: recognised by looking, decoded once, memory-mapped.

    Args:
        root: the data folder or the one above it; by default the folder that FCN_LAB_CAMVID names,
            else ``../shared/camvid``, else ``data/camvid``
        size: (H,W) to bring frames to, labels by nearest pixel; by default as stored, but 360x480
            for the native 720x960
        classes: 11, or 32 to keep the classes of the class file (void is ignored, so 31 are scored)
        download: fetch the SegNet release where nothing is found
        cache: where packs are kept
        url: the archive that a download fetches

    Raises:
        UserError: nothing found, a broken data set, or classes that its labels do not hold
    """

    def __init__(
        self,
        root: str | None = None,
        size: Sequence[int] | None = None,
        classes: int = 11,
        download: bool = False,
        cache: str = ".cache/fcn_lab",
        url: str = SEGNET_RELEASE,
    ) -> None:
        self._root, self._layout = _found(
            usual_place() if root is None else Path(root).expanduser(), download, url
        )
        codec = self._layout.codec
        class_set = choose(classes, codec.names, codec.colours, self._root.resolve().name)
        chosen = _size(size) if size is not None else _default_size(self._layout)
        self._recipe = Recipe(codec, class_set, chosen)
        self._cache = Path(cache)
        self._opened: dict[str, Frames] = {}
        self.classes = class_set.names
        self.palette = class_set.palette
        self.splits = tuple(self._layout.pairs)
        self.protocol = (
            f"{class_set.title}-{chosen[0]}x{chosen[1]}-void_ignored-{self._layout.split}"
        )

    def frames(self, split: str) -> Frames:
        """One split, packed at its first use.

        Raises:
            UserError: there is no such split, or its files are not sound
        """
        require_split(split, self.splits)
        if split not in self._opened:
            self._opened[split] = packed(
                split, self._layout.pairs[split], self._recipe, self._cache
            )
        return self._opened[split]

    def describe(self) -> str:
        """What was found, where, the counts, the split and the protocol id."""
        counts = ", ".join(f"{split} {len(pairs)}" for split, pairs in self._layout.pairs.items())
        found = f"{self._layout.title} in {self._root}: {counts}, {len(self.classes)} classes"
        return f"{found}\nprotocol {self.protocol}"


def _found(root: Path, download: bool, url: str) -> tuple[Path, Layout]:
    found = recognise(root)
    if found is None and download:
        fetch_segnet_release(root, url)
        found = recognise(root)
    if found is None:
        raise nothing_found(root, url)
    return found


def _size(size: Sequence[int]) -> tuple[int, int]:
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise UserError(
            f"data.size={list(size)}: expected rows and columns, two positive numbers.\n"
            "Type for instance data.size=[360,480]."
        )
    return size[0], size[1]


def _default_size(layout: Layout) -> tuple[int, int]:
    """The first frame's size, from its header alone; the paper's half size for native frames."""
    first = next(iter(layout.pairs.values()))[0].image
    try:
        with Image.open(first) as picture:
            size = (picture.height, picture.width)
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise UserError(
            f"{first} is truncated or corrupt.\nRestore it from the archive it came from."
        ) from error
    return PAPER_SIZE if size == NATIVE_SIZE else size
