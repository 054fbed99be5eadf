"""VGG-16 is torchvision's, but for the classifier, which takes no memory where nobody reads it."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torchvision.models import VGG, vgg16, vgg16_bn

from fcn_lab.encoders.vgg import load_vgg


@pytest.mark.parametrize("builder", [vgg16, vgg16_bn])
def test_random_features_are_spread_as_torchvision_spreads_them(
    builder: Callable[..., VGG],
) -> None:
    torch.manual_seed(0)
    net, own_layers = load_vgg(builder, "none"), builder(weights=None).features
    assert all(parameter.is_meta for parameter in net.classifier.parameters())
    assert [type(layer) for layer in net.features] == [type(layer) for layer in own_layers]
    for layer, own in zip(net.features, own_layers, strict=True):
        state, own_state = layer.state_dict(), own.state_dict()
        assert state.keys() == own_state.keys()
        if isinstance(layer, nn.Conv2d):
            weight, own_weight = state.pop("weight"), own_state.pop("weight")
            assert weight.shape == own_weight.shape
            error = 4 / weight.numel() ** 0.5
            assert weight.std() / own_weight.std() == pytest.approx(1, abs=error)
            assert weight.mean() / weight.std() == pytest.approx(0, abs=error)
        for name, values in state.items():
            assert torch.equal(values, own_state[name]), name


def test_a_network_that_is_only_planned_takes_no_memory() -> None:
    with torch.device("meta"):
        net = load_vgg(vgg16, "none")
    assert all(parameter.is_meta for parameter in net.parameters())
