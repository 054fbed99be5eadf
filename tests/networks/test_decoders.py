"""SegNet and the U-Net of the paper: their switches, sizes and capacities as published."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import vgg16_bn

from fcn_lab.encoders import Encoder, SmpEncoder, TinyEncoder, VGG16Encoder
from fcn_lab.networks.segnet import SegNet, SegNetBasic
from fcn_lab.networks.unet import ValidUNet, mirror_border
from fcn_lab.upsampling import BilinearDeterministic, MaxUnpool, Nearest, UpConv, Upsampling
from fcn_lab.upsampling.base import Switches


class Recorded(MaxUnpool):
    """Keeps what it is given."""

    def forward(self, x: Tensor, switches: Switches | None = None) -> Tensor:
        self.given = switches
        return super().forward(x, switches)


def test_segnet_unpools_with_a_switch_for_each_channel_of_its_own_pools() -> None:
    net = SegNet(VGG16Encoder(vgg16_bn, head_width=2), Recorded, 3).eval()
    found: list[tuple[Tensor, Tensor]] = []
    net.encoder.pool.register_forward_hook(
        lambda _, taken, pooled: found.append(F.max_pool2d(taken[0], 2, return_indices=True))
    )
    with torch.no_grad():
        net(torch.rand(1, 3, 64, 64))
    assert len(found) == len(net.climb) == 5
    for (_, indices), climb in zip(found, net.climb, strict=True):
        (given,) = climb.given
        assert torch.equal(given, indices)
        assert given.shape[1] == climb.channels


def test_segnet_has_the_papers_thirteen_convolutions_on_either_side() -> None:
    """FC-DenseNet's table 3 gives SegNet 29.5 million parameters."""
    with torch.device("meta"):
        net = SegNet(VGG16Encoder(vgg16_bn, head_width=1), MaxUnpool, 11)
    convs = [name for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d)]
    down = [name for name in convs if name.startswith("encoder.stages")]
    assert (len(down), len([name for name in convs if "encoder" not in name])) == (13, 13)
    own = [p.numel() for name, p in net.named_parameters() if ".fc" not in name]
    assert sum(own) == pytest.approx(29.5e6, rel=0.01)


@pytest.mark.parametrize(
    "build",
    [
        lambda: TinyEncoder((4, 4, 6, 6, 8), (1, 1, 1, 1), 8),
        partial(VGG16Encoder, vgg16_bn, head_width=2),
        partial(SmpEncoder, "resnet18", head_width=2),
    ],
)
def test_segnet_trains_all_that_it_carries_and_reads_weights_with_a_head(
    build: Callable[[], Encoder],
) -> None:
    net, whole = SegNet(build(), MaxUnpool, 3), build()
    net(torch.rand(2, 3, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    state = {f"encoder.{name}": tensor for name, tensor in whole.state_dict().items()}
    assert len(net.state_dict() | state) > len(net.state_dict())
    nn.ModuleDict({"net": net}).load_state_dict(
        {f"net.{name}": tensor for name, tensor in (net.state_dict() | state).items()}
    )
    assert all(torch.equal(t, state[f"encoder.{n}"]) for n, t in net.encoder.state_dict().items())
    with pytest.raises(RuntimeError, match="Unexpected"):
        net.load_state_dict({**net.state_dict(), "encoder.other": torch.zeros(1)})


def test_segnet_basic_unpools_with_a_switch_for_each_channel_of_its_own_pools() -> None:
    net = SegNetBasic(Recorded, 3, width=4).eval()
    found: list[Tensor] = []
    for encode in net.encoder:
        encode.register_forward_hook(
            lambda _, __, out: found.append(F.max_pool2d(out, 2, return_indices=True)[1])
        )
    with torch.no_grad():
        net(torch.rand(1, 3, 32, 48))
    for indices, climb in zip(found, reversed(net.climb), strict=True):
        (given,) = climb.given
        assert torch.equal(given, indices)
        assert given.shape[1] == 4


def test_a_pixel_of_segnet_basics_deepest_map_sees_106_by_106_pixels() -> None:
    """The paper's number; the encoders made linear and positive, so that no path cancels."""
    net = SegNetBasic(MaxUnpool, 3, width=1)
    x = torch.zeros(1, 3, 256, 256, requires_grad=True)
    y = x
    for encode in net.encoder:
        y = F.avg_pool2d(F.conv2d(y, encode[0].weight.abs(), padding=3), 2)
    y[0, 0, 8, 8].backward()
    assert x.grad is not None
    rows = x.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 106


def test_segnet_basics_decoders_have_no_relu_and_its_convolutions_no_bias() -> None:
    net = SegNetBasic(MaxUnpool, 11)
    assert not any(isinstance(layer, nn.ReLU) for layer in net.decode.modules())
    convs = [
        layer
        for part in (net.encoder, net.decode)
        for layer in part.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    assert len(convs) == 8
    assert {(conv.kernel_size, conv.bias, conv.out_channels) for conv in convs} == {
        ((7, 7), None, 64)
    }


def test_the_papers_u_net_has_the_sizes_of_its_figure() -> None:
    net = ValidUNet(UpConv, 2, width=1).eval()
    seen: list[int] = []
    for block in (*net.encoder, *reversed(net.mix)):
        block.register_forward_hook(lambda _, __, out: seen.append(out.shape[-1]))
    with torch.no_grad():
        scores = net.score_centre(torch.rand(1, 3, 572, 572))
    assert seen == [568, 280, 136, 64, 28, 52, 100, 196, 388]
    assert scores.shape[-2:] == (388, 388)
    assert [layer.out_channels for layer in ValidUNet(Nearest, 2).modules()
            if isinstance(layer, nn.Conv2d)][1:10:2] == [64, 128, 256, 512, 1024]  # fmt: skip


@pytest.mark.parametrize("operator", [UpConv, Nearest, MaxUnpool])
def test_valid_convolutions_score_a_tile_as_the_whole_image_does(
    operator: type[Upsampling],
) -> None:
    """The paper's overlap-tile strategy: no border speaks into a score."""
    net = ValidUNet(operator, 2, width=2).double().eval()
    image = torch.rand(1, 3, 236, 220, dtype=torch.float64)
    with torch.no_grad():
        whole = net.score_centre(image)
        tile = net.score_centre(image[..., 16:236, 16:204])
    torch.testing.assert_close(tile, whole[..., 16:, 16:20])


def test_every_pixel_is_scored_where_it_lies() -> None:
    """With one-pixel kernels the network is a function of the pixel, whatever was mirrored."""
    net = ValidUNet(BilinearDeterministic, 3, width=3).double().eval()
    for conv in (m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)):
        kept = conv.weight[..., 1:2, 1:2].detach().abs()
        nn.init.zeros_(conv.weight)
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)  # so that the brighter pixel closes no ReLU
        with torch.no_grad():
            conv.weight[..., 1:2, 1:2] = kept
    with torch.no_grad():
        for mix in net.mix:  # the skips alone
            mix[0].weight[:, mix[0].in_channels // 2 :] = 0
        image = torch.rand(1, 3, 7, 9, dtype=torch.float64)
        moved = image.clone()
        moved[..., 3, 4] += 1
        changed = (net(moved) != net(image)).any(1)[0].nonzero().tolist()
    assert changed == [[3, 4]]


@pytest.mark.parametrize(("size", "before", "after"), [(1, 5, 7), (2, 3, 4), (5, 3, 4), (5, 9, 11)])
def test_mirroring_is_numpys_reflection_however_far(size: int, before: int, after: int) -> None:
    line = torch.arange(size)
    expected = np.pad(line.numpy(), (before, after), mode="reflect")
    assert mirror_border(line.view(1, 1, size, 1), 2, before, after).flatten().tolist() == list(
        expected
    )
