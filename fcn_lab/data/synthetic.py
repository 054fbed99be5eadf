"""A data source of synthetic street scenes."""

from collections.abc import Iterator

import numpy as np
from psutil import virtual_memory

from fcn_lab.data.classes import CAMVID11
from fcn_lab.data.frames import Frames
from fcn_lab.data.layouts.layout import SPLITS
from fcn_lab.data.scenes.scene import render
from fcn_lab.data.seeds import seed_of
from fcn_lab.data.source import require_split
from fcn_lab.data.survey import FrameSurvey, survey_frames
from fcn_lab.errors import UserError
from fcn_lab.text.terminal import format_count, report_progress
from fcn_lab.values import Classes, Count, Seed, Size, check_arguments

# the memory that drawing takes, in finished frames
DRAWING = 40
_USUAL_COUNTS = {"val": 40, "test": 60}


@check_arguments
class Synthetic:
    """Scenes with CamVid's 11 classes and palette, drawn in memory at the first use of a split.

    A frame is a function of (seed, split, its number, size), so that a longer split begins with the
    frames of a shorter one.

    Args:
        size: (H,W).
        classes: 11; there are no others.
        train: number of frames of the train split.
        val: number of frames of the val split.
        test: number of frames of the test split.
        seed: the scenes' seed, apart from the seed of the training.

    Raises:
        UserError: other classes, or more scenes than memory holds.
    """

    def __init__(
        self,
        size: Size = (96, 128),
        classes: Classes = 11,
        train: Count = 160,
        val: Count = _USUAL_COUNTS["val"],
        test: Count = _USUAL_COUNTS["test"],
        seed: Seed = 0,
    ) -> None:
        if classes != len(CAMVID11):
            raise UserError(
                f"data.classes={classes}: synthetic scenes have 11; type data.classes=11."
            )
        frames = train + val + test
        memory, free_memory = (frames + DRAWING) * size[0] * size[1] * 4, virtual_memory().available
        if memory > free_memory:
            raise UserError(
                f"data.size={list(size)}: {frames} scenes take {memory / 1e9:.1f} GB of memory, "
                f"and {free_memory / 1e9:.1f} are free.\nType a smaller data.size="
            )
        self._size = (size[0], size[1])
        self._counts = dict(zip(SPLITS, (train, val, test), strict=True))
        # the numbers of scored frames, where they are not the usual ones
        remark = "".join(
            f"_{s}{self._counts[s]}" for s, n in _USUAL_COUNTS.items() if self._counts[s] != n
        )
        self._seed = seed
        self._split_frames: dict[str, Frames] = {}
        self.classes = tuple(CAMVID11)
        self.palette = tuple(CAMVID11.values())
        self.splits: tuple[str, ...] = SPLITS
        self.protocol = f"synthetic11-{size[0]}x{size[1]}-void_ignored-seed{seed}{remark}_split"

    def frames(self, split: str) -> Frames:
        """Returns one split, whose frames are named ``<split>_<number>``."""
        require_split(split, self.splits)
        if split not in self._split_frames:
            self._split_frames[split] = self._draw(split)
        return self._split_frames[split]

    def survey(self, split: str) -> Iterator[FrameSurvey]:
        """Yields the frames of one split in the form that an audit reads."""
        return survey_frames(self.frames(split))

    def describe(self) -> str:
        """Returns the counts and the protocol id."""
        counts = ", ".join(f"{split} {count}" for split, count in self._counts.items())
        classes = format_count(len(self.classes), "class")
        summary = f"Synthetic street scenes, drawn in memory: {counts}, {classes}"
        return f"{summary}\nprotocol {self.protocol}"

    def _draw(self, split: str) -> Frames:
        count = self._counts[split]
        images = np.empty((count, *self._size, 3), np.uint8)
        labels = np.empty((count, *self._size), np.uint8)
        for number in report_progress(range(count), count, f"drawing {split}"):
            rng = np.random.default_rng(seed_of(self._seed, SPLITS.index(split), number))
            images[number], labels[number] = render(rng, self._size)
        return Frames(images, labels, tuple(f"{split}_{number:04d}" for number in range(count)))
