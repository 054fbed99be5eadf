"""Any encoder of segmentation-models-pytorch behind our contract."""

import re

import segmentation_models_pytorch as smp
import torch.nn.functional as F
from torch import Tensor

from fcn_lab.encoders.base import LEVELS, Encoder, Features, Normalize, conv_bn_relu
from fcn_lab.encoders.weights import check_word, fetched, read_weights
from fcn_lab.errors import UserError
from fcn_lab.values import Width, checked


@checked
class SmpEncoder(Encoder):
    """An encoder of segmentation-models-pytorch, max-pooling or not.

    Its feature maps at strides 2…32 stand for the pools, and the map one level finer (the image
    itself at level 1) for what a pool was taken of: so networks that halve by strided convolutions
    have switches too, the strongest position of each 2×2 window of the finer map. Levels an encoder
    leaves empty are filled by average pooling of the finer one.

    Args:
        name: as in ``smp.encoders.get_encoder_names()``, or ``tu-…`` for any of timm.
        weights: "none", "imagenet", or a file of this encoder's weights or the library's own.
        head_width: channels of the 3×3 convolution on the coarsest map that stands for fc7.

    Raises:
        UserError: for an unknown name, an encoder without five levels, or weights that cannot be
            fetched.
    """

    def __init__(
        self, name: str = "resnet34", weights: str = "none", head_width: Width = 512
    ) -> None:
        super().__init__()
        require_library_name(name, "encoder.name")
        word = "imagenet" if check_word(weights, or_file=True) else None
        try:
            self.encoder = fetched(
                lambda: smp.encoders.get_encoder(name, depth=LEVELS, weights=word), name
            )
        except (KeyError, RuntimeError) as error:
            known = ", ".join(smp.encoders.get_encoder_names())
            raise UserError(
                f"encoder.name={name}: {error}. Expected tu-… of timm or one of: {known}"
            ) from error
        widths = list(self.encoder.out_channels)
        if len(widths) != LEVELS + 1:
            raise UserError(
                f"encoder.name={name} has {len(widths) - 1} levels, an FCN needs {LEVELS}; "
                "try resnet34"
            )
        for level in range(1, len(widths)):
            widths[level] = widths[level] or widths[level - 1]
        self.channels, self.map_channels = tuple(widths[1:]), tuple(widths[:-1])
        self.head_channels = head_width
        self.fc7 = conv_bn_relu(widths[-1], head_width)
        self.normalize = preprocessing(name, word)
        read_weights(
            self, weights, lambda n: n.removeprefix("encoder."), optional=("normalize.", "fc7.")
        )

    def forward(self, x: Tensor) -> Features:
        """Normalised images (N, 3, H, W) -> pools, maps and fc7."""
        maps = [x]
        for feature in self.encoder(x)[1:]:
            maps.append(feature if feature.shape[1] else F.avg_pool2d(maps[-1], 2))
        return Features(maps[1:], maps[:-1], self.fc7(maps[-1]))


def require_library_name(name: str, key: str) -> None:
    """Refuses what timm would take for a place: a folder of this machine, a page of a hub.

    Raises:
        UserError: it is no plain name.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        raise UserError(
            f"{key}={name}: expected the name of an encoder, as resnet34 or tu-resnet18; "
            "weights of your own are read by encoder.weights=FILE"
        )


def preprocessing(name: str, word: str | None) -> Normalize:
    """The mean and spread that belong to the weights; ImageNet's own for a random start."""
    if word is None:
        return Normalize()
    params = smp.encoders.get_preprocessing_params(name, pretrained=word)
    scale = max(params["input_range"])  # some weights want 0…255; our images are 0…1
    return Normalize(
        tuple(m / scale for m in params["mean"]), tuple(s / scale for s in params["std"])
    )
