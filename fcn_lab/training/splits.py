"""Checks the splits of the data before a training or a scoring begins."""

from collections.abc import Iterable

import numpy as np

from fcn_lab.data.balance import count_pixels, describe_gaps
from fcn_lab.data.frames import Frames
from fcn_lab.errors import UserError
from fcn_lab.text.terminal import format_count
from fcn_lab.training.datamodule import FrameDataModule


def find_scored_splits(data: FrameDataModule) -> tuple[str, ...]:
    """Returns the splits scored at the end: val, and the chosen one where the data have it.

    Raises:
        UserError: the data have no train or no val.
    """
    splits = data.source.splits
    for split, purpose in (("train", "to learn from"), ("val", "to choose the best epoch by")):
        if split not in splits:
            raise UserError(
                f"These data have no split {split}, {purpose}, only {' and '.join(splits)}.\n"
                "Expected train and val at least, as in data.splits={train: 0.8, val: 0.2}"
            )
    return tuple(dict.fromkeys(split for split in ("val", data.split) if split in splits))


def find_labelled_splits(data: FrameDataModule) -> list[str]:
    """Returns the splits scored at the end but for those whose pixels are all void."""
    splits = find_scored_splits(data)
    return [split for split in splits if data.source.frames(split).has_labels]


def require_trainable(data: FrameDataModule, processes: int) -> None:
    """Refuses data of which not every process gets a batch, and a frame to score.

    Raises:
        UserError: they are too few.
    """
    require_frames(data, find_scored_splits(data), processes)
    data.require_batch(processes)


def require_frames(data: FrameDataModule, splits: Iterable[str], processes: int) -> None:
    """Refuses splits with fewer frames than processes, one of which would have nothing to score.

    Raises:
        UserError: there is one.
    """
    for split in splits:
        if (count := len(data.source.frames(split))) < processes:
            raise UserError(
                f"{split} has {format_count(count, 'frame')} for {processes} processes, each of "
                f"which needs one.\nType trainer.devices={count} or less"
            )


def require_labels(data: FrameDataModule) -> None:
    """Refuses a split to score, `data.split`, whose pixels are all void.

    Raises:
        UserError: it is.
    """
    if not data.source.frames(data.split).has_labels:
        raise UserError(
            f"{data.split} has no pixel of any class: all are void, and nothing can be scored.\n"
            "data.split= chooses another split"
        )


def find_data_gaps(data: FrameDataModule) -> list[str]:
    """Returns a line for each gap in the data.

    Gaps are: no split to score, or one that shares frames with val; classes that train lacks.

    Raises:
        UserError: every pixel of train is void.
    """
    lines = []
    scored_splits = find_scored_splits(data)
    if data.split not in scored_splits:
        lines.append(f"there is no split {data.split}: val alone is scored in the end")
    train = data.source.frames("train")
    counts, _ = count_pixels(train, data.num_classes)
    others = {split: data.source.frames(split) for split in scored_splits}
    if count := _count_shared(others["val"], others[scored_splits[-1]]):
        lines.append(
            f"{data.split} shares {format_count(count, 'frame')} with val, by which the best epoch "
            "is chosen: its scores are a little too high"
        )
    return [*lines, *describe_gaps(counts, data.classes, train.pixel_count, others)]


def _count_shared(first: Frames, second: Frames) -> int:
    """Returns how many frames two splits have in common; none of a split with itself."""
    numbers = {} if first is second else {name: i for i, name in enumerate(first.names)}
    pairs = [(numbers[name], i) for i, name in enumerate(second.names) if name in numbers]
    # folders may name other pictures alike
    are_same = pairs and np.array_equal(first.images[pairs[0][0]], second.images[pairs[0][1]])
    return len(pairs) if are_same else 0
