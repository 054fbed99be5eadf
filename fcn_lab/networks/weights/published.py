"""Builds the FCN paper's nets as their authors published them; reads and writes their weights.

The layers are conv1_1 … conv5_3, fc6, fc7, score_fr, score_pool4, score_pool3, upscore2,
upscore_pool4 and, of the last climb, upscore (32s), upscore16 or upscore8; a state dict holds their
``.weight`` and ``.bias``. Deconvolutions are frozen bilinear interpolation, either dense, (K, K, k,
k), or with one kernel a class, (K, 1, k, k); each form is read into the other where that loses
nothing.

Shelhamer, Long, Darrell, "Fully Convolutional Networks for Semantic Segmentation", PAMI 2017.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from fcn_lab.encoders import CaffeVGG16
from fcn_lab.encoders.base import STRIDE
from fcn_lab.encoders.caffe_vgg import FirstWidth, Padding
from fcn_lab.encoders.weights import read_state
from fcn_lab.errors import UserError
from fcn_lab.geometry.alignment import Crops
from fcn_lab.networks.fcn import FCN
from fcn_lab.upsampling.base import Upsampling
from fcn_lab.upsampling.valid_transposed import ValidTransposedConv
from fcn_lab.values import Count, Share, Width, check_arguments

SCORE_LAYERS = ("score_", "upscore")
# the scales of pool4 and pool3
AT_ONCE_SCALES = (0.01, 0.0001)


@check_arguments
def published_fcn(
    num_classes: Width,
    stride: Literal[32, 16, 8],
    at_once: bool = False,
    padding: Padding = 100,
    head_width: Width = 4096,
    dropout: Share = 0.5,
    width: FirstWidth = 64,
    groups: Count | None = None,
    weights: str | None = None,
) -> FCN:
    """Returns FCN-32s, 16s or 8s with the published nets' own geometry and preprocessing.

    Args:
        num_classes: K; 21 in the published nets.
        stride: 32, 16 or 8.
        at_once: scale the pools before they are scored, to train all of FCN-8s from the start.
        padding: zeros around the input of conv1_1; the crops follow from it.
        head_width: channels of fc6 and fc7.
        dropout: probability behind fc6 and fc7.
        width: channels of conv1_1, by which all stages scale.
        groups: groups of the deconvolutions: 1 for dense ones, None for one kernel a class.
        weights: a file with a state dict of published names, as ``torch.save`` writes it.

    Raises:
        UserError: no crops align the maps, or the weights do not fit.
    """
    encoder = CaffeVGG16(padding, head_width, dropout, width)
    levels = range(stride.bit_length() - 1, STRIDE.bit_length() - 1)
    pools = {level: encoder.chain(level) for level in levels}
    net = FCN(
        encoder,
        partial(ValidTransposedConv, groups=groups, trainable=False),
        num_classes,
        stride,
        Crops(pools, encoder.chain(), stride),
        AT_ONCE_SCALES if at_once else (),
    )
    if weights is not None:
        load_published(net, read_state(Path(weights)))
    return net


def load_published(net: FCN, state: Mapping[str, Tensor]) -> FCN:
    """Loads a state dict of published names into a network, all of it or nothing.

    Weights of VGG-16 alone, as its authors published it for ImageNet, are what the paper starts
    from: fc6 and fc7 become convolutions, the classifier is left out, and score_fr begins at zero,
    as the scores of the pools do.

    Args:
        net: made by ``published_fcn``: other preprocessing would not fit the weights.
        state: tensors by their published names.

    Raises:
        UserError: it is another network, or tensors, which the message names, are missing, too many
            or of another shape.
    """
    parameters = name_parameters(net)
    is_classifier = not any(name.startswith(SCORE_LAYERS) for name in state)
    if is_classifier:
        state = convolve_classifier(state, parameters)
        parameters = {
            name: tensor for name, tensor in parameters.items() if not name.startswith(SCORE_LAYERS)
        }
    missing_names = sorted(parameters.keys() - state.keys())
    unknown_names = sorted(state.keys() - parameters.keys())
    if missing_names or unknown_names:
        lists = {"missing": missing_names, "not of this network": unknown_names}
        raise UserError(
            "the published weights do not fit: "
            + "; ".join(f"{flaw}: {', '.join(names)}" for flaw, names in lists.items() if names)
        )
    tensors = {name: fit_kernel(name, state[name], parameters[name].shape) for name in parameters}
    with torch.no_grad():
        for name, tensor in tensors.items():
            parameters[name].copy_(tensor)
    if is_classifier:
        nn.init.zeros_(net.score_fr.weight)
        nn.init.zeros_(net.score_fr.bias)  # type: ignore[arg-type]
    return net


def convolve_classifier(
    state: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Returns VGG-16's weights with fc6 and fc7 as convolutions, and without fc8."""
    weights = {name: tensor for name, tensor in state.items() if not name.startswith("fc8.")}
    for name in ("fc6.weight", "fc7.weight"):
        if name in weights and weights[name].numel() == parameters[name].numel():
            weights[name] = weights[name].reshape(parameters[name].shape)
    return weights


def export_published(net: FCN, dense: bool = False) -> dict[str, Tensor]:
    """Returns the weights of a network made by ``published_fcn``, by published names.

    Args:
        net: the network.
        dense: write deconvolutions with one kernel a class as dense ones.

    Raises:
        UserError: it is another network.
    """
    state = {name: tensor.detach().clone() for name, tensor in name_parameters(net).items()}
    if dense:
        for name, tensor in state.items():
            if name.startswith("upscore"):
                classes = len(tensor)
                state[name] = fit_kernel(name, tensor, (classes, classes, *tensor.shape[2:]))
    return state


def name_parameters(net: FCN) -> dict[str, nn.Parameter]:
    """Returns the parameters by their published names.

    Raises:
        UserError: the network was not made by ``published_fcn``.
    """
    if not isinstance(net, FCN) or not isinstance(net.encoder, CaffeVGG16):
        raise UserError(
            "published weights need a published net and its preprocessing: "
            "model=fcn32s_caffe, fcn16s_caffe, fcn8s_caffe or fcn8s_atonce_caffe"
        )
    layers = name_layers(net, net.encoder)
    return {
        f"{name}.{kind}": parameter
        for name, layer in layers.items()
        for kind, parameter in layer.named_parameters()
    }


def name_layers(net: FCN, encoder: CaffeVGG16) -> dict[str, nn.Module]:
    """Returns the layers that have weights, by their published names."""
    layers: dict[str, nn.Module] = {
        f"conv{level}_{number}": conv
        for level, stage in enumerate(encoder.stages, 1)
        for number, conv in enumerate((m for m in stage if isinstance(m, nn.Conv2d)), 1)  # type: ignore[attr-defined]
    }
    layers |= {"fc6": encoder.fc6[0], "fc7": encoder.fc7[0]}
    for name, module in net.named_children():
        if isinstance(module, Upsampling):
            last = module.factor if name == "upscore" and module.factor < STRIDE else ""
            layers[f"{name}{last}"] = module.steps[0]
        elif isinstance(module, nn.Conv2d):
            layers[name] = module
    return layers


def fit_kernel(name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns the tensor in this shape; deconvolutions go between dense and one kernel a class.

    Raises:
        UserError: the tensor does not fit the shape.
    """
    if tuple(tensor.shape) == tuple(shape):
        return tensor
    if name.startswith("upscore") and tensor.dim() == 4:
        classes = range(len(tensor))
        if tuple(shape) == (len(tensor), 1, *tensor.shape[2:]) and tensor.shape[1] == len(tensor):
            diagonal = tensor[classes, classes].unsqueeze(1)
            if torch.count_nonzero(tensor) != torch.count_nonzero(diagonal):
                raise UserError(
                    f"{name} has weights between classes, this network one kernel a class: "
                    "set model.groups=1"
                )
            return diagonal
        if tuple(shape) == (len(tensor), len(tensor), *tensor.shape[2:]) and tensor.shape[1] == 1:
            kernel = tensor.new_zeros(shape)
            kernel[classes, classes] = tensor[:, 0]
            return kernel
    raise UserError(f"{name} has the shape {tuple(tensor.shape)}, expected {tuple(shape)}")
