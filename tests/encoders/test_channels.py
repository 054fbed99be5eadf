"""Pictures of any number of channels, with ImageNet's first kernels spread over them."""

from itertools import product

import pytest
import torch
from torch import nn

from fcn_lab import create_model
from fcn_lab.encoders.channels import SPREADS, widen_input
from fcn_lab.encoders.smp import SmpEncoder
from fcn_lab.encoders.tiny import TinyEncoder
from fcn_lab.errors import UserError
from support.thin import thin_out

SMALL = {"encoder.widths": [4, 4, 8, 8, 8], "encoder.head_width": 8}
ENCODERS = {
    "tiny": SMALL,
    "vgg16": {"encoder.head_width": 8},
    "smp": {"encoder.name": "resnet18", "encoder.head_width": 8},
    "lite0": {},
}


@pytest.mark.parametrize(
    ("encoder", "channels"), thin_out(product(ENCODERS, (1, 2, 4, 7)), every=5)
)
def test_every_encoder_takes_pictures_of_any_number_of_channels(
    encoder: str, channels: int
) -> None:
    net = create_model("fcn16s", encoder=encoder, in_channels=channels, **ENCODERS[encoder]).eval()
    with torch.no_grad():
        assert net(torch.rand(1, channels, 33, 40)).shape == (1, 11, 33, 40)


def test_a_unet_sees_all_channels_at_full_size_too() -> None:
    net = create_model("unet", in_channels=4, **SMALL).eval()
    with torch.no_grad():
        assert net(torch.rand(1, 4, 33, 40)).shape == (1, 11, 33, 40)


@pytest.mark.parametrize("kernels", SPREADS)
def test_grey_pictures_give_what_they_gave_as_rgb(kernels: str) -> None:
    weight, grey = torch.randn(5, 3, 3, 3), torch.rand(2, 1, 9, 9)
    before = nn.functional.conv2d(grey.repeat(1, 3, 1, 1), weight)
    for channels in (1, 2, 3, 6):
        spread = SPREADS[kernels](weight, channels)  # type: ignore[index]
        assert spread.shape == (5, channels, 3, 3)
        if channels <= 3 if kernels == "averaged" else channels % 3 == 0:
            after = nn.functional.conv2d(grey.repeat(1, channels, 1, 1), spread)
            assert torch.allclose(after, before, atol=1e-5)


def test_depth_beside_colours_leaves_their_kernels_and_preprocessing_as_they_were() -> None:
    torch.manual_seed(0)
    plain, wide = TinyEncoder([4] * 5), TinyEncoder([4] * 5)
    wide.load_state_dict(plain.state_dict())
    widen_input(wide, 4, "averaged", are_random=False)
    ours, theirs = wide.stem[0].weight, plain.stem[0].weight
    assert torch.equal(ours[:, :3], theirs)
    assert torch.allclose(ours[:, 3], theirs.mean(1))
    assert torch.equal(wide.normalize.mean[:3], plain.normalize.mean)  # type: ignore[union-attr]
    assert torch.allclose(wide.normalize.std[3], plain.normalize.std.mean())  # type: ignore[union-attr]


def test_a_network_without_such_an_encoder_says_so() -> None:
    with pytest.raises(UserError, match=r"in_channels=4: model=fcn8s_caffe has no encoder"):
        create_model("fcn8s_caffe", in_channels=4, **{"model.width": 4, "model.head_width": 4})
    with pytest.raises(UserError, match=r"expected 'averaged'|expected averaged or repeated"):
        SmpEncoder("resnet18", first_kernels="doubled")  # type: ignore[arg-type]
