"""Every architecture of segmentation-models-pytorch, at any input size."""

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from fcn_lab.encoders.base import STRIDE
from fcn_lab.encoders.smp import (
    choose_library_word,
    load_normalization,
    put_package,
    require_library_name,
)
from fcn_lab.encoders.weights import fetch_weights, wants_imagenet
from fcn_lab.errors import UserError
from fcn_lab.geometry import crop_to, pad_to_multiple
from fcn_lab.networks.fcn import raise_precision
from fcn_lab.values import Width, check_arguments

# without this option the network takes its encoder's own size alone
OPTIONS = {"dpt": {"dynamic_img_size": True}}
# pan's pyramid halves a map of stride 16 three times
MULTIPLES = {"pan": 8 * 16}


@check_arguments
class SmpModel(nn.Module):
    """A complete network of segmentation-models-pytorch; ``upsample=`` has no effect on it.

    Args:
        num_classes: K.
        arch: unet, unetplusplus, fpn, pspnet, deeplabv3plus, … as ``smp.create_model`` names them.
        encoder_name: a name of ``smp.encoders.get_encoder_names()``.
        encoder_weights: "none" or "imagenet".

    Raises:
        UserError: a word is unknown, or the weights cannot be fetched.
    """

    def __init__(
        self,
        num_classes: Width,
        arch: str = "unet",
        encoder_name: str = "resnet18",
        encoder_weights: str = "none",
    ) -> None:
        super().__init__()
        require_library_name(encoder_name, "model.encoder_name")
        key = "model.encoder_weights"
        with_weights = wants_imagenet(encoder_weights, key=key)
        word = choose_library_word(encoder_name, with_weights)
        self.multiple = max(STRIDE, MULTIPLES.get(arch, STRIDE))
        try:
            self.normalize = load_normalization(encoder_name, with_weights)
            self.net = fetch_weights(
                lambda: smp.create_model(
                    arch,
                    encoder_name,
                    encoder_weights=word,
                    classes=num_classes,
                    **OPTIONS.get(arch, {}),
                ),
                encoder_name,
                key,
                "model.encoder_name=tu-tf_efficientnet_lite0, 1 or 2",
            )
        except UserError:
            raise
        except (KeyError, ValueError, RuntimeError) as error:
            raise UserError(
                f"model.arch={arch} model.encoder_name={encoder_name}: {error}"
            ) from error
        # the factor of the last climb: the head's, or 2 where the decoder makes the last climb
        climbs = [m for m in self.net.segmentation_head.modules() if isinstance(m, nn.Upsample)]
        self.stride = int(climbs[-1].scale_factor) if climbs else 2  # type: ignore[arg-type]
        if with_weights and word is None:
            put_package(self.net.encoder, encoder_name)

    def forward(self, x: Tensor) -> Tensor:
        """Maps RGB in 0…1 (N, 3, H, W) to scores (N, K, H, W), for any H, W ≥ 1."""
        scores = self.net(pad_to_multiple(self.normalize(x), self.multiple))
        return raise_precision(crop_to(scores, x))
