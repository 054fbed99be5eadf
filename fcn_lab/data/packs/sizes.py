"""The sizes of pictures in their files, and those in which a run sees them."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fcn_lab.data.packs.checksums import digest_states
from fcn_lab.data.packs.sealed import recall, remember
from fcn_lab.data.pictures.opening import upright_size
from fcn_lab.data.pictures.unreadable import Limit, Unreadable
from fcn_lab.data.resizing import Resize
from fcn_lab.errors import UserError
from fcn_lab.text.terminal import report_progress

Sizes = Mapping[Path, tuple[int, int]]
# stands in place of a size in a protocol id
OWN_SIZE = "own_size"


@dataclass(frozen=True)
class FrameTarget:
    """The size in which a run sees frames, and how they are brought to it.

    Attributes:
        size: (h,w) of all frames; None where each keeps its own.
        resize: how frames are brought to it, as ``resize_frame`` tells.
    """

    size: tuple[int, int] | None
    resize: Resize = "stretch"

    @classmethod
    def choose(
        cls,
        sizes: Collection[tuple[int, int]],
        size: Sequence[int] | None,
        resize: Resize | None,
    ) -> "FrameTarget":
        """Returns the size that was asked for, else the one that all pictures have, or none.

        Every way of resizing gives the same frame where its shape is the one asked for.

        Raises:
            UserError: a way of resizing is asked for, but no size.
        """
        kinds = set(sizes)
        if size is None:
            if resize is not None:
                raise UserError(
                    f"data.resize={resize} needs a size to bring frames to.\n"
                    "Type data.size=[ROWS,COLUMNS], too"
                )
            return cls(next(iter(kinds)) if len(kinds) == 1 else None)
        rows, columns = size
        if all(height * columns == width * rows for height, width in kinds):
            return cls((rows, columns))
        return cls((rows, columns), resize or ("fit" if len(kinds) > 1 else "stretch"))

    @property
    def name(self) -> str:
        """Returns the second field of a protocol id, such as ``360x480`` or ``360x480_fit``."""
        if self.size is None:
            return OWN_SIZE
        way = "" if self.resize == "stretch" else f"_{self.resize}"
        return f"{self.size[0]}x{self.size[1]}{way}"

    def describe(self, sizes: Collection[tuple[int, int]]) -> str:
        """Returns a line on pictures of several sizes; "" where all have one."""
        kinds = sorted(set(sizes), key=lambda size: size[0] * size[1])
        if len(kinds) <= 1:
            return ""
        (low, high), (rows, columns) = kinds[0], kinds[-1]
        text = f"pictures of {len(kinds)} sizes, from {low}x{high} to {rows}x{columns}"
        if self.size is None:
            return f"{text}: each is kept"
        suffix = "" if self.resize == "stretch" else ", their shapes kept"
        return (
            f"{text}: brought to {self.size[0]}x{self.size[1]} by data.resize={self.resize}{suffix}"
        )


def read_sizes(pictures: Sequence[Path], cache: Path, limit: Limit) -> Sizes:
    """Returns (H,W) of every picture that can be read, upright, from its header.

    Where all can be read, sizes are kept beside the packs until a picture changes. A picture that
    cannot be read raises its error only when its frame is read.
    """
    # a picture may be a frame of several splits
    pictures = list(dict.fromkeys(pictures))
    record = cache / "sources" / f"sizes-{digest_states(pictures)}.json"
    try:
        sizes = [tuple(size) for size in recall(record)]
        known_sizes = dict(zip(pictures, sizes, strict=True))
    except (ValueError, TypeError):
        known_sizes = {}
        for picture in report_progress(pictures, len(pictures), "reading sizes"):
            with suppress(Unreadable):
                known_sizes[picture] = upright_size(picture, limit)
        if len(known_sizes) == len(pictures):
            remember(record, list(known_sizes.values()))
    return known_sizes
