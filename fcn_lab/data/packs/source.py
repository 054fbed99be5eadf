"""The splits of a layout as a Source, decoded once and memory-mapped."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fcn_lab.data.binary_masks import settle_white
from fcn_lab.data.classes import ClassSet
from fcn_lab.data.frames import Frames
from fcn_lab.data.layouts.held_out import split_by_drive
from fcn_lab.data.layouts.layout import Layout
from fcn_lab.data.packs.pack import Recipe, load_frames
from fcn_lab.data.packs.sizes import FrameTarget, read_sizes
from fcn_lab.data.packs.unpacked import read_frames
from fcn_lab.data.pictures.parts import RGB, PicturePart
from fcn_lab.data.pictures.unreadable import LIMIT, Limit
from fcn_lab.data.resizing import Resize
from fcn_lab.data.source import require_split
from fcn_lab.data.survey import FrameSurvey, survey_pair
from fcn_lab.errors import UserError
from fcn_lab.text.terminal import format_count, report_progress
from fcn_lab.values import Positive, Size, check_arguments

CACHE = ".cache/fcn_lab"
SPLITTINGS = (None, "drive")


@check_arguments
class PackedSource:
    """The base of the data sets that are read from files.

    Args:
        root: where the data lie, for messages.
        layout: the data set's files.
        classes: the classes of the run, chosen from those of the labels.
        drive_of: the drive of a frame's name, "" where it is not known.
        size: (H,W) to bring frames to, labels by nearest pixel; by default each keeps its own.
        split_by: "drive" divides all frames anew by whole drives.
        held_out: the drive to score when divided by drives.
        cache: where packs are kept.
        megapixels: the most pixels of a picture, in millions.
        resize: how frames are brought to the size: see ``resize_frame``; by default "fit" where
            pictures have several sizes, else "stretch".
        pack: keep frames decoded on disk; else they are read from their files whenever they are
            asked for.
        parts: the channels of each file of a picture.

    Raises:
        UserError: a wrong size, or drives that cannot be held out.
    """

    def __init__(
        self,
        root: Path,
        layout: Layout,
        classes: ClassSet,
        drive_of: Callable[[str], str],
        size: Size | None = None,
        split_by: str | None = None,
        held_out: str | int | None = None,
        cache: str = CACHE,
        megapixels: Positive = LIMIT.megapixels,
        resize: Resize | None = None,
        pack: bool = True,
        parts: Sequence[PicturePart] = RGB,
    ) -> None:
        if split_by not in SPLITTINGS:
            raise UserError(f"data.split_by={split_by}: expected drive, or null for its own split")
        if held_out is not None and split_by is None:
            raise UserError(f"data.held_out={held_out} needs data.split_by=drive")
        self._root, self._drive_of, self._cache = root, drive_of, Path(cache)
        drive = None if held_out is None else str(held_out)
        self._layout = layout if split_by is None else split_by_drive(layout, drive_of, drive)
        limit = Limit(megapixels)
        pairs = [pair for part in layout.pairs.values() for pair in part]
        self._known_sizes = read_sizes([pair.image for pair in pairs], self._cache, limit)
        target = FrameTarget.choose(self._known_sizes.values(), size, resize)
        codec = settle_white(layout.codec, [pair.label for pair in pairs], self._cache, limit)
        self._recipe = Recipe(codec, classes, target.size, limit, target.resize, tuple(parts))
        self._target = target
        self._is_packed = pack
        self._split_frames: dict[str, Frames] = {}
        self.classes = classes.names
        self.palette = classes.palette
        self.splits = tuple(self._layout.pairs)
        self.protocol = f"{classes.title}-{target.name}-void_ignored-{self._layout.split}"

    def frames(self, split: str) -> Frames:
        """Returns one split, which is packed at its first use.

        Raises:
            UserError: there is no such split, or its files are not sound.
        """
        require_split(split, self.splits)
        if split not in self._split_frames:
            # the name holds the way of dividing: the same files in another split are no changed
            # data
            words = (self._layout.split, self._layout.origin) if self._layout.is_divided else ()
            part = "-".join(filter(None, (split, *words)))
            pairs = self._layout.pairs[split]
            load = load_frames if self._is_packed else read_frames
            frames = load(part, pairs, self._recipe, self._cache, self._known_sizes)
            drives = tuple(map(self._drive_of, frames.names))
            self._split_frames[split] = replace(frames, drives=drives)
        return self._split_frames[split]

    def survey(self, split: str) -> Iterator[FrameSurvey]:
        """Yields the frames of one split as they lie in their files, sound or not."""
        pairs = self._layout.pairs[split]
        for pair in report_progress(pairs, len(pairs), f"reading {split}"):
            yield survey_pair(pair, self._drive_of(pair.name), self._recipe)

    def describe(self) -> str:
        """Returns what was found and where, the counts, the split and the protocol id."""
        counts = ", ".join(f"{split} {len(pairs)}" for split, pairs in self._layout.pairs.items())
        classes = format_count(len(self.classes), "class")
        summary = f"{self._layout.title} in {self._root}: {counts}, {classes}"
        notes = (self._recipe.codec.describe(), self._target.describe(self._known_sizes.values()))
        lines = (summary, *notes, f"protocol {self.protocol}")
        return "\n".join(filter(None, lines))
