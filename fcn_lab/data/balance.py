"""Counts how often each class occurs and derives class weights. K classes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray
from torch import Tensor

from fcn_lab.data.classes import is_void
from fcn_lab.data.frames import Frames
from fcn_lab.errors import UserError
from fcn_lab.values import check_arguments

# the share of void pixels above which a line says so
VOID_SHARE_LIMIT = 0.5
AUDIT_HINT = "task=audit shows what the masks hold"


def count_pixels(frames: Frames, num_classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the pixels of every class (K,), and those of the images that show it (K,)."""
    counts, image_pixels = frames.label_counts
    return counts[:num_classes].copy(), image_pixels[:num_classes].copy()


def describe_gaps(
    counts: NDArray[np.int64], classes: Sequence[str], pixels: int, others: Mapping[str, Frames]
) -> Iterator[str]:
    """Yields a line for each gap in the training labels.

    Args:
        counts: (K,) pixels of every class in train.
        classes: K names; void among them is not missed.
        pixels: how many pixels all training labels have together.
        others: the other splits, where lacking classes are looked for.

    Raises:
        UserError: train or val has no pixel of any class, or there is one class alone.
    """
    class_count, void = int((counts > 0).sum()), 1 - counts.sum() / pixels
    if len(classes) == 1:
        raise UserError(
            f"{classes[0]} is the only class: there is nothing to tell it from.\n"
            f"What is around it needs a class, too: data.names=[background,{classes[0]}]"
        )
    if not class_count:
        raise UserError(
            f"train has no pixel of {', '.join(classes)}: all are void.\n"
            f"Compare data.names and data.ignore with the masks: {AUDIT_HINT}"
        )
    for split, frames in others.items():
        if not count_pixels(frames, len(classes))[0].any():
            if split == "val":
                raise UserError(
                    "val has no pixel of any class: all are void, and no epoch can be called best."
                    f"\nExpected labels in val, as in train: {AUDIT_HINT}"
                )
            yield f"{split} has no pixel of any class: all are void, and nothing can be scored"
    gaps = [k for k, name in enumerate(classes) if not counts[k] and not is_void(name)]
    if gaps:
        names = ", ".join(classes[k] for k in gaps)
        yield f"train has no pixel of {names}: nothing can be learnt of what is never seen"
        for split, frames in others.items():
            split_counts = count_pixels(frames, len(classes))[0]
            if hits := [classes[k] for k in gaps if split_counts[k]]:
                yield f"{split} has pixels of {', '.join(hits)}, which will be scored and missed"
    if class_count == 1:
        yield f"all scored pixels of train are {classes[int(counts.argmax())]}: {AUDIT_HINT}"
    if void > VOID_SHARE_LIMIT:
        yield (
            f"{void:.1%} of train's pixels are void, which is neither learnt nor scored: "
            f"{AUDIT_HINT}"
        )


@check_arguments
@dataclass(frozen=True)
class MedianFrequency:
    """Weights ``(median(f) / f) ** power``, f = pixels of a class / pixels of images showing it.

    Eigen and Fergus 2015, as SegNet uses it; ``power=0.5`` is its milder square root. A class that
    is never seen neither enters the median nor gets a weight: 0.
    """

    power: Annotated[float, Ge(0), Le(10)] = 1.0

    def __call__(self, counts: Tensor, image_pixels: Tensor) -> Tensor:
        """Returns float64 weights (K,) from the two results of ``count_pixels`` as tensors."""
        mask = counts > 0
        frequency = counts[mask].double() / image_pixels[mask]
        weights = torch.zeros(len(counts), dtype=torch.float64, device=counts.device)
        # quantile, since torch's median of an even number takes the lower of the middle two
        weights[mask] = (frequency.quantile(0.5) / frequency) ** self.power
        return weights
