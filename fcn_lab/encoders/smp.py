"""Wraps any encoder of segmentation-models-pytorch in the contract of the lab's encoders."""

import re
from collections.abc import Mapping

import huggingface_hub
import segmentation_models_pytorch as smp
import timm
import torch.nn.functional as F
from torch import Tensor, nn

from fcn_lab.encoders.base import LEVELS, Encoder, Features, Normalize, conv_bn_relu
from fcn_lab.encoders.channels import Channels, Kernels, widen_input
from fcn_lab.encoders.convolutions import replace_convolutions
from fcn_lab.encoders.packages import find_package, map_package_names
from fcn_lab.encoders.preprocessing import Mean, Std, require_preprocessing, state_preprocessing
from fcn_lab.encoders.weights import (
    IMAGENET,
    NO_WEIGHTS,
    fetch_weights,
    put_weights,
    read_state,
    read_weights,
    wants_imagenet,
)
from fcn_lab.errors import UserError, suggest
from fcn_lab.values import Width, check_arguments

# the beginning of timm's names in the library
TIMM = "tu-"
COLOURS = "RGB"


@check_arguments
class SmpEncoder(Encoder):
    """Wraps any encoder of segmentation-models-pytorch, max-pooling or not.

    Its feature maps at strides 2…32 stand for the pools, and the map one level finer (the image
    itself at level 1) for what a pool was taken of: so networks that halve by strided convolutions
    have switches too, the strongest position of each 2×2 window of the finer map. Levels an encoder
    leaves empty are filled by average pooling of the finer one.

    Args:
        name: a name of ``smp.encoders.get_encoder_names()``, or ``tu-…`` for any of timm.
        weights: "none", "imagenet" (from an installed package, a cache, or the hub, whichever has
            them first), or a file of this encoder's weights or the library's own.
        head_width: channels of the 3×3 convolution on the coarsest map that stands for fc7; None
            for no such layer: the head is that map, and every layer has pretrained weights.
        mean: the mean of R, G and B in 0…1 that a file's weights were trained with, where the file
            does not say it.
        std: the standard deviation of R, G and B, stated beside `mean`.
        in_channels: channels of a picture; see ``fcn_lab.encoders.channels`` where not three.
        first_kernels: "averaged" or "repeated": how pretrained kernels of RGB become theirs.

    Raises:
        UserError: the name is unknown, the encoder has not five levels, its weights cannot be
            fetched, or the preprocessing of the file is not known.
    """

    head_layers = ("fc7",)

    def __init__(
        self,
        name: str = "resnet34",
        weights: str = "none",
        head_width: Width | None = 512,
        mean: Mean | None = None,
        std: Std | None = None,
        in_channels: Channels = 3,
        first_kernels: Kernels = "averaged",
    ) -> None:
        super().__init__()
        require_library_name(name, "encoder.name")
        with_weights = wants_imagenet(weights, or_file=True)
        mean_and_spread = state_preprocessing(weights, mean, std)
        self.encoder = build_encoder(name, with_weights)
        widths = list(self.encoder.out_channels)  # type: ignore[arg-type]
        if len(widths) != LEVELS + 1:
            raise UserError(
                f"encoder.name={name} has {len(widths) - 1} levels, an FCN needs {LEVELS}; "
                "try resnet34"
            )
        for level in range(1, len(widths)):
            widths[level] = widths[level] or widths[level - 1]
        self.channels, self.map_channels = tuple(widths[1:]), tuple(widths[:-1])
        self.head_channels = head_width or widths[-1]
        self.fc7 = conv_bn_relu(widths[-1], head_width) if head_width else nn.Identity()
        self.normalize = (
            Normalize(*mean_and_spread)
            if mean_and_spread
            else load_normalization(name, with_weights)
        )
        foreign_names = map_library_names(self.state_dict())
        tensor_names = read_weights(self, weights, foreign_names, optional=("normalize.", "fc7."))
        require_preprocessing(self, weights, tensor_names, mean_and_spread)
        widen_input(self, in_channels, first_kernels, weights == NO_WEIGHTS)
        self.map_channels = (in_channels, *self.map_channels[1:])

    def forward(self, x: Tensor) -> Features:
        """Maps normalised images (N, 3, H, W) to pools, maps and fc7."""
        maps = [x]
        for feature in self.encoder(x)[1:]:
            maps.append(feature if feature.shape[1] else F.avg_pool2d(maps[-1], 2))
        return Features(maps[1:], maps[:-1], self.fc7(maps[-1]))


def build_encoder(name: str, with_weights: bool) -> nn.Module:
    """Returns the library's encoder, with ImageNet's weights or random ones.

    Raises:
        UserError: there is no such encoder, it has no such weights, or they cannot be fetched.
    """
    word, options = (
        choose_library_word(name, with_weights),
        find_cached_weights(name) if with_weights else {},
    )
    try:
        encoder: nn.Module = fetch_weights(
            lambda: smp.encoders.get_encoder(name, depth=LEVELS, weights=word, **options), name
        )
    except UserError:
        raise
    except (KeyError, ValueError, RuntimeError) as error:
        raise UserError(f"encoder.name={name}: {error}") from error
    if with_weights and word is None:
        put_package(encoder, name)
    replace_convolutions(encoder)
    return encoder


def choose_library_word(name: str, with_weights: bool) -> str | bool | None:
    """Returns the library's word for the weights; None where an installed package has them."""
    if not with_weights or find_package(name):
        return None
    return True if name.startswith(TIMM) else IMAGENET


def find_cached_weights(name: str) -> dict[str, object]:
    """Returns arguments that point timm at a file in the hub's cache, to save it a request."""
    if find_package(name) or not name.startswith(TIMM):
        return {}
    config = timm.models.get_pretrained_cfg(name.removeprefix(TIMM))
    hub = config.hf_hub_id if config else None
    file = hub and huggingface_hub.try_to_load_from_cache(hub, "model.safetensors")
    return {"pretrained_cfg_overlay": {"file": file}} if isinstance(file, str) else {}


def put_package(encoder: nn.Module, name: str) -> None:
    """Puts the weights of an installed package into the library's encoder of this name.

    Raises:
        UserError: the package's file is damaged, or holds another network.
    """
    file = find_package(name)
    assert file is not None
    state = read_state(file, "encoder.weights")
    foreign_names = map_package_names(encoder.state_dict())
    put_weights(encoder, state, f"encoder.weights=imagenet: {file}", foreign_names)


def map_library_names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Returns tensor names in files of the library, timm and the packages → our encoder's."""
    prefixes = ("encoder.", "encoder.model.")
    library_names = {name.removeprefix(prefix): name for prefix in prefixes for name in state}
    return {**map_package_names(state), **library_names}


def require_library_name(name: str, key: str) -> None:
    """Refuses a name that timm would take for a path or a hub page, and one that no encoder has.

    Names of timm's encoders, ``tu-…``, timm itself knows.

    Raises:
        UserError: it is no plain name, or the library has no such encoder.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        raise UserError(
            f"{key}={name}: expected the name of an encoder, as resnet34 or tu-resnet18; "
            "weights of your own are read by encoder.weights=FILE"
        )
    names = smp.encoders.get_encoder_names()
    if name not in names and not name.startswith("tu-"):
        raise UserError(
            f"{key}={name}: there is no such encoder.{suggest(name, names)}\n"
            f"Expected tu-NAME of timm's, or one of {', '.join(names)}"
        )


def load_normalization(name: str, with_weights: bool) -> Normalize:
    """Returns the mean and deviation of the weights; ImageNet's own for random weights.

    EfficientNet-Lite was trained on (x − 127)/128 of bytes and is run on timm's (x − 127.5)/127.5:
    the two differ by at most 1/128, a grey level, at black, and agree at white.

    Raises:
        UserError: it is not known without access to the network, or is not for RGB.
    """
    if not with_weights:
        return Normalize()
    params = fetch_weights(lambda: smp.encoders.get_preprocessing_params(name, IMAGENET), name)
    if params["input_space"] != COLOURS:
        raise UserError(
            f"the weights of {name} take {params['input_space']}, expected {COLOURS}; "
            "try another encoder"
        )
    # some weights want 0…255; our images are 0…1
    scale = max(params["input_range"])
    return Normalize(
        tuple(m / scale for m in params["mean"]), tuple(s / scale for s in params["std"])
    )
