"""A classifier as a fully convolutional network: the same weights, the same scores."""

import json
import logging
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import VGG

from fcn_lab import create_model
from fcn_lab.cost.dense_vs_patches import compare_dense_with_patches
from fcn_lab.encoders import VGG16Encoder
from fcn_lab.encoders.caffe_vgg import build_vgg16
from fcn_lab.encoders.fully_connected import convert_to_convolution, transplant_classifier
from fcn_lab.encoders.vgg import build_classifier_layer
from fcn_lab.errors import UserError
from fcn_lab.networks.fcn import FCN
from fcn_lab.tasks.profile import Profile
from fcn_lab.upsampling import Bilinear

C, FULL = 16, 12


def narrow(weights: None = None) -> VGG:
    """torchvision's VGG-16 with few channels."""
    net = build_vgg16(C * 64 // 512)
    net.classifier = nn.Sequential(
        *(nn.Linear(C * 49, FULL), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(FULL, FULL), nn.ReLU(), nn.Dropout(), nn.Linear(FULL, 5)),
    )
    for layer in net.classifier:
        if isinstance(layer, nn.Linear):
            nn.init.uniform_(layer.bias, 1, 2)  # no ReLU hides what a wrong channel would change
    return net.double().eval()


def convolutionalise(classifier: VGG) -> nn.Sequential:
    """Torchvision's VGG as a fully convolutional network with the same weights.

    (N, 3, 224, 224) -> (N, K, 1, 1), the classifier's own scores, and (N, 3, H, W) -> (N, K,
    ⌊H/32⌋ − 6, ⌊W/32⌋ − 6). Long, Shelhamer, Darrell 2015, section 3.1.
    """
    layers: list[nn.Module] = [*classifier.features]
    size = 7  # the map that the classifier's first layer covers
    for layer in classifier.classifier:
        if isinstance(layer, nn.Linear):
            layer, size = convert_to_convolution(layer, size), 1
        layers.append(layer)
    return nn.Sequential(*layers).train(classifier.training)


def test_on_its_own_size_the_convolutional_net_scores_as_the_classifier() -> None:
    net = narrow()
    image = torch.rand(2, 3, 224, 224, dtype=torch.float64)
    with torch.no_grad():
        scores = convolutionalise(net)(image)
        torch.testing.assert_close(scores, net(image)[:, :, None, None], rtol=1e-10, atol=0)


def test_on_a_larger_image_it_gives_a_map_of_scores() -> None:
    with torch.no_grad():
        scores = convolutionalise(narrow())(torch.rand(1, 3, 256, 300, dtype=torch.float64))
    assert scores.shape == (1, 5, 2, 3)


def head(width: int) -> tuple[nn.Sequential, nn.Sequential]:
    return build_classifier_layer(C, width, 7, 0.5), build_classifier_layer(width, width, 1, 0.5)


def test_the_transplanted_head_computes_the_classifiers_hidden_layer_at_the_maps_centre() -> None:
    classifier = narrow().classifier
    fc6, fc7 = (part.double().eval() for part in head(FULL))
    transplant_classifier(classifier, fc6, fc7)
    pool5 = torch.rand(1, C, 7, 7, dtype=torch.float64)
    with torch.no_grad():
        ours = fc7(fc6(pool5))[..., 3, 3]
        torch.testing.assert_close(ours, classifier[:5](pool5.flatten(1)))


def test_a_narrower_head_keeps_evenly_spaced_channels_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    classifier, (fc6, fc7) = narrow().classifier, (part.double().eval() for part in head(4))
    with caplog.at_level(logging.WARNING, "fcn_lab"):
        transplant_classifier(classifier, fc6, fc7)
    assert "head_width=4" in caplog.text
    assert "12" in caplog.text
    kept = [0, 3, 6, 9]
    pool5 = torch.rand(1, C, 7, 7, dtype=torch.float64)
    first, second = classifier[0], classifier[3]
    with torch.no_grad():
        six = F.relu(F.linear(pool5.flatten(1), first.weight[kept], first.bias[kept]))
        seven = F.relu(F.linear(six, second.weight[kept][:, kept], second.bias[kept]))
        torch.testing.assert_close(fc7(fc6(pool5))[..., 3, 3], seven)


def test_a_wider_head_is_refused() -> None:
    with pytest.raises(UserError, match=r"encoder\.head_width=13"):
        transplant_classifier(narrow().classifier, *head(13))


def test_pretrained_encoders_take_the_classifiers_layers_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = narrow()
    monkeypatch.setattr("fcn_lab.encoders.vgg.load_vgg", lambda builder, weights: net)
    fc6 = VGG16Encoder(weights="imagenet", head_width=FULL).fc6[0].weight
    torch.testing.assert_close(fc6.flatten(), net.classifier[0].weight.float().flatten())


def small_fcn() -> FCN:
    return FCN(VGG16Encoder(narrow, head_width=4), Bilinear, 5, 16)


def test_one_dense_pass_gives_the_scores_of_every_patch_for_fewer_operations() -> None:
    compared = compare_dense_with_patches(small_fcn().double().float(), grid=2)
    assert (compared.scores, compared.patch, compared.stride) == (4, 404, 32)
    assert compared.difference < 1e-5
    assert compared.patches_macs > 2 * compared.dense_macs


def test_a_profile_tells_the_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Profile(small_fcn().float(), [32, 32], {}, 1, dense_vs_patches=True, patches=1).run(tmp_path)
    assert "one dense pass" in capsys.readouterr().out
    told = json.loads((tmp_path / "profile.json").read_text())["dense_vs_patches"]
    assert told["ratio"] > 0


def test_networks_that_are_no_chain_cannot_be_compared() -> None:
    with pytest.raises(UserError, match="encoder=vgg16"):
        compare_dense_with_patches(create_model("fcn8s"), 2)
