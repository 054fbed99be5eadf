"""Pretrained weights: fetched whole or not at all."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from fcn_lab.errors import UserError

M = TypeVar("M", bound=nn.Module)
PRETRAINED = "imagenet"
WORDS = ("none", PRETRAINED)


def check_word(weights: str) -> bool:
    """Whether pretrained weights are asked for.

    Raises:
        UserError: for a word that is neither "none" nor "imagenet".
    """
    if weights not in WORDS:
        raise UserError(f"encoder.weights={weights}: expected one of {', '.join(WORDS)}")
    return weights == PRETRAINED


def fetched(build: Callable[[], M], name: str) -> M:
    """What ``build`` gives, where it fetches weights over the network.

    Raises:
        UserError: where they cannot be fetched.
    """
    try:
        return build()
    except OSError as error:
        raise UserError(
            f"encoder.weights=imagenet: the weights of {name} could not be fetched ({error}).\n"
            "Set encoder.weights=none, or run once with a network (they are kept under TORCH_HOME "
            "or HF_HOME)."
        ) from error


def load_torchvision(builder: Callable[..., M], weights: str) -> M:
    """One of torchvision's classifiers, with random or with its ImageNet weights.

    torch.hub writes to a temporary file, checks its hash and only then gives it its name, so that
    an interrupted fetch leaves nothing behind that a later one would trust.
    """
    pretrained = "IMAGENET1K_V1" if check_word(weights) else None
    return fetched(lambda: builder(weights=pretrained), builder.__name__)
