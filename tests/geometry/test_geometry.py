"""The algebra against torch's own sizes, against the paper's numbers, and against impulses."""

import json
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG

from fcn_lab import create_model
from fcn_lab.cost.macs import count_cost
from fcn_lab.encoders import VGG16Encoder
from fcn_lab.encoders.caffe_vgg import build_vgg16
from fcn_lab.errors import UserError
from fcn_lab.geometry.algebra import (
    Affine,
    Layer,
    Shift,
    TransposedWindow,
    Window,
    chain_affines,
    crop_offset,
)
from fcn_lab.geometry.graph import Map
from fcn_lab.geometry.trace import trace
from fcn_lab.networks.fcn import FCN
from fcn_lab.networks.receptive_field import LAYER_RULES
from fcn_lab.networks.weights.published import published_fcn
from fcn_lab.tasks.shapes import Shapes
from fcn_lab.upsampling import TransposedConv

SAME, POOL = Window(3, padding=1), Window(2, 2, ceil=True)
VGG16 = [
    [SAME] * (convs - (not level)) + [POOL] for level, convs in enumerate((2, 2, 3, 3, 3))
]  # without conv1_1
PADDED = Window(3, padding=100)


def published(pools: int) -> list[Layer]:
    return [PADDED, *(layer for stage in VGG16[:pools] for layer in stage)]


def fc7() -> list[Layer]:
    return [*published(5), Window(7), Window(1)]


def test_the_crops_of_the_published_nets_follow_from_their_kernels() -> None:
    """fcn.berkeleyvision.org: 19 for 32s; 5 and 27 for 16s; 5, 9 and 31 for 8s."""
    image = Affine()
    score, pool4, pool3 = fc7(), published(4), published(3)
    upscore2 = [*score, TransposedWindow(4, 2)]
    upscore_pool4 = [*upscore2, TransposedWindow(4, 2)]
    assert crop_offset(chain_affines([*score, TransposedWindow(64, 32)]), image) == 19
    assert crop_offset(chain_affines(pool4), chain_affines(upscore2)) == 5
    assert crop_offset(chain_affines([*upscore2, TransposedWindow(32, 16)]), image) == 27
    assert crop_offset(chain_affines(pool3), chain_affines(upscore_pool4)) == 9
    assert crop_offset(chain_affines([*upscore_pool4, TransposedWindow(16, 8)]), image) == 31


def test_maps_that_no_whole_crop_aligns_are_refused() -> None:
    with pytest.raises(UserError, match=r"stride 2 that begins at pixel 1/2 cannot"):
        crop_offset(chain_affines([POOL]), chain_affines([Window(3, 2)]))
    with pytest.raises(UserError, match="cannot"):
        crop_offset(chain_affines([POOL]), Affine())


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [*product((1, 2, 3, 7), (1, 2, 4), (1, 3))]
)
def test_sizes_are_torchs_own(kernel: int, stride: int, dilation: int) -> None:
    weight = torch.zeros(1, 1, kernel, dtype=torch.float64)
    for n, padding in product(range(19, 30), (0, kernel // 2)):
        x, steps = torch.zeros(1, 1, n, dtype=torch.float64), (stride, padding)
        conv = F.conv1d(x, weight, None, *steps, dilation)
        assert Window(kernel, *steps, dilation).size(n) == conv.shape[-1]
        for ceil in (False, True):
            pool = F.max_pool1d(x, kernel, *steps, dilation, ceil)
            assert Window(kernel, *steps, dilation, ceil).size(n) == pool.shape[-1]
        for extra in range(max(stride, dilation)):
            up = F.conv_transpose1d(x, weight, None, *steps, extra, 1, dilation)
            assert TransposedWindow(kernel, *steps, dilation, extra).size(n) == up.shape[-1]


class Chain(nn.Sequential):
    """A chain of layers that no network of the lab has."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 2, (3, 5), 1, (3, 0), dilation=2),
            nn.AvgPool2d(3, 2, 1),
            nn.ConvTranspose2d(2, 2, 5, 3, 1, output_padding=2),
            nn.MaxPool2d(3, 2, 1, ceil_mode=True),
            nn.ConvTranspose2d(2, 2, 3, 2, dilation=2),
        )


class Cut(nn.Module):
    """Leaves two columns of the map out, counted from its end as Python does."""

    def forward(self, x: Tensor) -> Tensor:
        return x[..., -max(1, x.shape[-1] - 2) :]


def narrow(weights: None) -> VGG:
    return build_vgg16(2)


def published_net(stride: int) -> nn.Module:
    return published_fcn(2, stride, head_width=2, width=2)


NETS: dict[str, Callable[[], nn.Module]] = {
    "fcn32s_caffe": lambda: published_net(32),
    "fcn8s_caffe": lambda: published_net(8),
    "fcn8s": lambda: FCN(VGG16Encoder(narrow, head_width=2), TransposedConv, 2, 8),
    "fcn16s bed_of_nails": lambda: create_model("fcn16s", "bed_of_nails", "tiny", 2),
    "fcn2s up_conv resnet": lambda: create_model("fcn2s", "up_conv", "smp", 2, **RESNET),
    "unet nearest": lambda: create_model("unet", "nearest", "tiny", 2),
    "chain": Chain,
    "cut": lambda: nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), Cut()),
}
RESNET = {"encoder.name": "resnet18"}


@pytest.mark.parametrize("size", [(1, 40), (64, 33), (97, 57)])
@pytest.mark.parametrize("word", NETS)
def test_an_impulse_reaches_the_outputs_that_the_algebra_says(
    word: str, size: tuple[int, int]
) -> None:
    """NaN in a row or column of the image spreads through every tap, whatever its weight."""
    net = NETS[word]().eval()
    *_, output = trace(net, *size, layer_rules=LAYER_RULES)
    assert output.maps is not None
    for axis, place in enumerate(output.maps):
        spans = [place.image_span(i) for i in range(place.size)]
        for position in {0, size[axis] // 2, size[axis] - 1}:
            expected = [s is not None and s[0] <= position <= s[1] for s in spans]
            assert reached(net.double(), size, axis, position).tolist() == expected


def reached(net: nn.Module, size: tuple[int, int], axis: int, position: int) -> Tensor:
    image = torch.zeros(1, 3, *size, dtype=torch.float64)
    image.select(2 + axis, position).fill_(torch.nan)
    with torch.no_grad():
        touched = net(image).isnan().any(1)[0]
    found: Tensor = touched.any(1 - axis)
    return found


def test_a_receptive_field_is_as_wide_as_the_papers() -> None:
    """VGG-16's fc7 sees 404 pixels (FCN, table 1), at stride 32."""
    place = Map(10_000)
    for layer in fc7():
        place = Map(layer.size(place.size), [(place, layer)])
    assert place.receptive_field() == 404
    assert [affine.scale for affine in place.affines] == [32]


def test_maps_that_do_not_lie_over_each_other_have_several_positions() -> None:
    image = Map(16)
    early, late = Map(8, [(image, Window(2, 2))]), Map(8, [(image, Window(3, 2, 1))])
    joined = Map(8, [(early, Shift(0, 0)), (late, Shift(0, 0))])
    assert {affine.shift for affine in joined.affines} == {Fraction(1, 2), 0}


def test_the_table_of_shapes_ends_at_the_image_and_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"model": "fcn8s", "upsample": "transposed", "encoder": "tiny"}
    Shapes(create_model("fcn8s"), [37, 50], words).run(tmp_path)
    kept = json.loads((tmp_path / "shapes.json").read_text())
    assert kept["layers"][-1]["C×H×W"] == "11×37×50"
    assert kept["layers"][-1]["stride"] == "1"
    assert "score_pool3" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"^Shapes\(size=\[37\]\): expected"):
        Shapes(nn.Identity(), [37], words).run(tmp_path)


def test_a_map_rearranged_beyond_the_algebra_has_no_place() -> None:
    shuffled = nn.Sequential(nn.Conv2d(3, 4, 1), nn.PixelShuffle(2), nn.Conv2d(1, 1, 3))
    assert [row.maps is None for row in trace(shuffled, 8, 8)] == [False, True]


def test_what_is_traced_or_measured_keeps_the_mode_of_each_of_its_modules() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)).train()
    net[1].eval()
    trace(net, 8, 8)
    count_cost(net, 8, 8)
    assert [module.training for module in net.modules()] == [True, True, False, True]
