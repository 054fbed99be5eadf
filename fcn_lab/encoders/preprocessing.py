"""Joins weights with their preprocessing, which the weights tell or the user states beside them."""

from collections.abc import Collection, Sequence
from typing import Annotated

import torch
from annotated_types import Gt, Le, Len
from torch import nn

from fcn_lab.encoders.base import IMAGENET_MEAN, IMAGENET_STD, Encoder, Normalize
from fcn_lab.encoders.weights import IMAGENET, WORDS
from fcn_lab.errors import UserError
from fcn_lab.values import Share

MeanAndSpread = tuple[tuple[float, ...], tuple[float, ...]]
Mean = Annotated[Sequence[Share], Len(3, 3)]  # of RGB in 0…1
Std = Annotated[Sequence[Annotated[float, Gt(0), Le(1)]], Len(3, 3)]


def state_preprocessing(
    weights: str, mean: Sequence[float] | None, std: Sequence[float] | None
) -> MeanAndSpread | None:
    """Returns the normalisation stated beside weights that do not bring their own.

    Raises:
        UserError: only half of it is stated, or the weights bring their own.
    """
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise UserError("encoder.mean and encoder.std belong together: type both, of RGB in 0…1")
    if weights == IMAGENET:
        raise UserError(
            "encoder.weights=imagenet brings its own preprocessing: leave encoder.mean and "
            "encoder.std out"
        )
    return tuple(mean), tuple(std)


def require_preprocessing(
    encoder: Encoder,
    weights: str,
    tensor_names: Collection[str],
    mean_and_spread: MeanAndSpread | None,
) -> None:
    """Refuses a file of weights whose preprocessing is not known.

    Args:
        encoder: the encoder, with the file's tensors in it.
        weights: a word, or the file.
        tensor_names: names of the encoder's tensors that were in the file.
        mean_and_spread: the mean and the standard deviation that the user stated.

    Raises:
        UserError: neither the file nor the user states it, or they state different numbers.
    """
    if weights in WORDS:
        return
    if "normalize.mean" not in tensor_names and mean_and_spread is None:
        raise UserError(
            f"encoder.weights={weights} does not say how the pictures it was trained on were "
            f"normalised.\nType encoder.mean=[…] encoder.std=[…], of RGB in 0…1: mostly "
            f"{_format_typed(IMAGENET_MEAN, IMAGENET_STD)}, for EfficientNet-Lite 0.5 throughout"
        )
    if (
        "normalize.mean" in tensor_names
        and mean_and_spread is not None
        and not _are_equal(encoder.normalize, Normalize(*mean_and_spread))
    ):
        mean, std = (b.flatten().tolist() for b in encoder.normalize.buffers())
        raise UserError(
            f"encoder.weights={weights} was trained with another preprocessing, which it brings: "
            f"{_format_typed([round(m, 6) for m in mean], [round(s, 6) for s in std])}"
        )


def _are_equal(first: nn.Module, second: nn.Module) -> bool:
    return all(
        a.is_meta or torch.allclose(a, b)
        for a, b in zip(first.buffers(), second.buffers(), strict=True)
    )


def _format_typed(mean: Sequence[float], std: Sequence[float]) -> str:
    numbers = ("[" + ",".join(map(str, values)) + "]" for values in (mean, std))
    return "encoder.mean={} encoder.std={}".format(*numbers)
