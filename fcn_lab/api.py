"""The lab from Python: a network by its words, or a trained run as a predictor."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from fcn_lab.config.build import build
from fcn_lab.config.explain import explain
from fcn_lab.config.frozen import (
    drop_initial_weights,
    find_references,
    read_recorded,
    require_published_weights,
)
from fcn_lab.config.trust import require_allowed
from fcn_lab.config.words import compose
from fcn_lab.encoders.base import RGB_CHANNELS
from fcn_lab.errors import UserError, suggest
from fcn_lab.geometry.sizes import count_channels
from fcn_lab.values import Width, check_arguments, format_value, is_node, list_arguments

if TYPE_CHECKING:
    from fcn_lab.inference.predictor import Predictor

# Hydra's parser and registries are shared by all threads
_ONE_AT_A_TIME = Lock()


@check_arguments
def create_model(
    model: str = "fcn16s",
    upsample: str = "transposed",
    encoder: str = "tiny",
    num_classes: Width = 11,
    in_channels: Width = 3,
    **overrides: object,
) -> nn.Module:
    """Returns a network that maps RGB 0…1 (N,3,H,W) to scores (N,K,H,W), any H, W ≥ 1.

    Args:
        model: a word of the command line, as are `upsample` and `encoder`.
        num_classes: K.
        in_channels: channels of a picture; where they are not three, ``encoder.first_kernels``
            says how ImageNet's kernels are spread over them.
        overrides: ``weights``, and keys below the words, as ``**{"upsample.refine": "conv"}``.

    Raises:
        UserError: a word, key or value that there is not.

    Example:
        >>> import torch
        >>> small = {"encoder.widths": [4, 4, 8, 8, 8], "encoder.head_width": 8}
        >>> net = create_model("fcn8s", upsample="max_unpool", num_classes=5, **small)
        >>> net(torch.rand(2, 3, 33, 45)).shape
        torch.Size([2, 5, 33, 45])
        >>> create_model("fcn8s", classes=5)
        Traceback (most recent call last):
        fcn_lab.errors.UserError: create_model has no argument classes. Did you mean num_classes?
        It takes model, upsample, encoder, num_classes, in_channels, ...
    """
    _require_names(overrides)
    words = {"model": model, "upsample": upsample, "encoder": encoder}
    choices = [f"{group}={word}" for group, word in words.items()]
    values = {"data.classes": num_classes, **overrides}
    if in_channels != RGB_CHANNELS:
        values["encoder.in_channels"] = in_channels
    net = _compose_checked(choices, values)
    if in_channels != RGB_CHANNELS and count_channels(net) != in_channels:
        raise UserError(
            f"in_channels={in_channels}: model={model} has no encoder that takes them.\n"
            "Expected a network over an encoder, as model=fcn8s or model=unet"
        )
    return net


def build_network(overrides: Sequence[str]) -> nn.Module:
    """Returns the network that these overrides describe, which may come from a recorded config.

    Raises:
        UserError: a word, key or value that there is not, or code that nobody has allowed.
    """
    return _compose_checked(list(overrides), {}, is_trusted=False)


def build_recorded_network(folder: Path) -> nn.Module:
    """Returns the network of a run as it was built, before it learned anything.

    Raises:
        UserError: the folder holds no run, or its network is made of code that nobody has allowed.
    """
    return _load_recorded(folder)[0]


@check_arguments
def load_run(
    folder: str | Path,
    dense: Callable[[nn.Module], nn.Module] | None = None,
    allow: Sequence[str] = (),
) -> "Predictor":
    """Returns the best network of a run, with its own preprocessing: uint8 (H,W,3) → labels (H,W).

    A network of C channels takes (H,W,C), or the files of a picture in the order of data.images.

    Args:
        folder: the run's folder.
        dense: how to score, as ``partial(SlidingWindows, size=512, overlap=128)``.
        allow: dotted names of code of your own that the run is made of; the lab's are allowed.

    Raises:
        UserError: the folder holds no run with a trained network, `dense` is not for it, or the
            network is made of code that nobody has allowed.

    Example:
        >>> import numpy as np
        >>> predictor = load_run("RUN_DIR")
        >>> labels = predictor(np.zeros((48, 64, 3), np.uint8))
        >>> labels.shape, labels.dtype
        ((48, 64), dtype('uint8'))
        >>> predictor.classes[:3]
        ('Sky', 'Building', 'Pole')
    """
    from fcn_lab.inference.predictor import load_predictor

    net, flip = _load_recorded(Path(folder), allow)
    return load_predictor(net, Path(folder), flip, dense)


def _load_recorded(folder: Path, allow: Sequence[str] = ()) -> tuple[nn.Module, bool]:
    """Returns the network of a run, and whether its scores are the average over mirrored images."""
    try:
        config: Any = OmegaConf.to_container(
            drop_initial_weights(read_recorded(folder)), resolve=True
        )
    except OmegaConfBaseException as error:
        raise UserError(f"{folder}: {explain(error)}") from error
    if "model" not in config:
        raise UserError(f"{folder} holds no training run: its config.yaml names no network")
    require_allowed(config["model"], str(folder), allow)
    return _build_network(config["model"], {}), bool(config.get("flip"))


def _compose_checked(
    overrides: list[str], values: Mapping[str, object], is_trusted: bool = True
) -> nn.Module:
    try:
        with _ONE_AT_A_TIME:
            config = compose(overrides)
            # capacity= looks its widths up by them
            config.choices = config.hydra.runtime.choices
            for key, value in values.items():
                OmegaConf.update(config, key, _as_list(value))
            node = OmegaConf.to_container(config.model, resolve=True)
            links = find_references(config)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(explain(error)) from error
    require_published_weights(config, links)
    if not is_trusted:
        require_allowed(node, "the network")
    return _build_network(node, links)


def _require_names(overrides: Mapping[str, object]) -> None:
    names = list(list_arguments(create_model)[0])
    for name in overrides:
        if name != "weights" and not name.startswith(("model.", "upsample.", "encoder.")):
            raise UserError(
                f"create_model has no argument {name}.{suggest(name, names)}\n"
                f"It takes {', '.join(names)}, and keys as in **{{'upsample.refine': 'conv'}}"
            )


def _as_list(value: Any) -> Any:
    """Returns tuples and arrays, which OmegaConf does not take, as lists."""
    if isinstance(value, tuple):
        return list(value)
    return value.tolist() if hasattr(value, "tolist") else value


def _build_network(node: Any, links: Mapping[str, str]) -> nn.Module:
    net = build(node, "model", links) if is_node(node) else node
    if not isinstance(net, nn.Module):
        raise UserError(
            f"model={format_value(node)}: makes no network.\nExpected a node with the key _target_"
        )
    return net
