"""Convolutions of a library's network that are replaced by the lab's."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from fcn_lab import create_model
from fcn_lab.encoders.convolutions import SameConv2d, replace_convolutions
from fcn_lab.encoders.smp import SmpEncoder
from fcn_lab.inference.export_formats import export_graph


def is_depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


def test_bf16_depthwise_layers_compute_in_float32() -> None:
    encoder = SmpEncoder("tu-tf_efficientnet_lite0", head_width=None).eval()
    passes: list[tuple[nn.Conv2d, Tensor, Tensor]] = []
    layers = [layer for layer in encoder.modules() if is_depthwise(layer)]
    for layer in layers:
        layer.register_forward_hook(lambda layer, args, y: passes.append((layer, args[0], y)))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        encoder(torch.randn(1, 3, 64, 96))
    assert len(passes) == len(layers) == 16
    for layer, x, y in passes:
        # TensorFlow's "same" pads the odd pixel behind, a layer of stride 1 all around
        k = layer.kernel_size[0]
        sizes = zip(layer.stride[::-1], x.shape[:1:-1], strict=True)
        pads = [max((-(-n // s) - 1) * s + k - n, 0) for s, n in sizes]
        pad = [p for total in pads for p in (total // 2, total - total // 2)]
        truth = F.conv2d(F.pad(x.float(), pad), layer.weight, None, layer.stride, 0, 1, x.shape[1])
        torch.testing.assert_close(y, truth.to(torch.bfloat16), rtol=1 / 128, atol=1e-6)
        assert y.dtype == x.dtype == torch.bfloat16


def test_bf16_weights_are_not_rounded() -> None:
    net = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8, bias=False))
    with torch.no_grad():
        # in bf16 each rounds to 1, and their sum to 9
        net[0].weight.fill_(1 + 2**-9)
    replace_convolutions(net)
    with torch.autocast("cpu", torch.bfloat16):
        y = net(torch.ones(1, 8, 3, 3))
    torch.testing.assert_close(y, torch.full((1, 8, 1, 1), 9 * (1 + 2**-9)), rtol=0, atol=0)


@pytest.mark.parametrize("stride", [1, 2])
def test_float32_is_what_it_was(stride: int) -> None:
    net = nn.Sequential(nn.Conv2d(6, 6, 5, stride, 2, groups=6), nn.Conv2d(6, 6, 3, groups=2))
    x = torch.randn(2, 6, 17, 23)
    before, names = net(x), list(net.state_dict())
    replace_convolutions(net)
    assert torch.equal(net(x), before)
    assert list(net.state_dict()) == names
    # a grouped convolution that is not depthwise stays the library's
    assert [type(layer) is nn.Conv2d for layer in net] == [False, True]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 4, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding_is_timms_at_every_size(stride: int, kernel: int, dilation: int) -> None:
    layer = Conv2dSame(2, 3, kernel, stride, dilation=dilation)
    net = nn.Sequential(layer)
    for size in ((1, 1), (2, 7), (8, 5), (12, 18)):
        x = torch.randn(2, 2, *size)
        layer.__class__ = Conv2dSame
        before = net(x)
        replace_convolutions(net)
        assert type(layer) is SameConv2d
        assert torch.equal(net(x), before)


@pytest.mark.slow
def test_a_network_with_same_padding_is_exported_with_free_sizes() -> None:
    """With timm's own padding this does not end."""
    graph = export_graph(create_model("fcn4s", encoder="lite0").eval())
    symbols = {str(symbol) for symbol in graph.range_constraints}
    assert len(symbols) == 3
