"""For each torch operation: the layer that describes where it moves positions, if any."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# torch gives its operators no public name
from torch._ops import OpOverloadPacket

from fcn_lab.geometry.algebra import Layer, Shift, TransposedWindow, WholeMap, Window

AXES = (-2, -1)  # rows, columns
Rule = Callable[[Sequence[Any], Tensor, Tensor, int], Layer | None]
aten = torch.ops.aten


def keeps_places(packet: OpOverloadPacket, args: Sequence[Any]) -> bool:
    """Returns whether each position of the output depends on that position of the inputs alone."""
    if packet is aten.native_batch_norm:
        # with the batch's own statistics every position depends on all others
        return not args[5]
    if packet in BY_CHANNEL:
        dims = [args[1]] if isinstance(args[1], int) else args[1]
        return all(dim in (0, 1, -4, -3) for dim in dims)
    return packet in POINTWISE


def _convolution(args: Sequence[Any], source: Tensor, output: Tensor, axis: int) -> Layer:
    stride, padding, dilation, extra = (args[i][axis] for i in (3, 4, 5, 7))
    kernel = args[1].shape[axis]
    if args[6]:
        return TransposedWindow(kernel, stride, padding, dilation, extra)
    return Window(kernel, stride, padding, dilation)


def _max_pool(args: Sequence[Any], source: Tensor, output: Tensor, axis: int) -> Layer:
    _, kernel, stride, padding, dilation, ceil = _fill_defaults(args, [], 0, 1, False)
    size, step = _pick_axis(kernel, axis), _pick_axis(stride or kernel, axis)
    return Window(size, step, _pick_axis(padding, axis), _pick_axis(dilation, axis), ceil)


def _avg_pool(args: Sequence[Any], source: Tensor, output: Tensor, axis: int) -> Layer:
    _, kernel, stride, padding, ceil = _fill_defaults(args, [], 0, False)[:5]
    size, step = _pick_axis(kernel, axis), _pick_axis(stride or kernel, axis)
    return Window(size, step, _pick_axis(padding, axis), ceil=ceil)


def _fill_defaults(args: Sequence[Any], *defaults: object) -> list[Any]:
    """Returns the arguments after the map and its kernel, completed by their defaults."""
    return [*args, *defaults[len(args) - 2 :]]


def _pick_axis(value: int | Sequence[int], axis: int) -> int:
    values = [value] if isinstance(value, int) else value
    return int(values[axis] if len(values) > 1 else values[0])


def _resize(overlap: int) -> Rule:
    def rule(args: Sequence[Any], source: Tensor, output: Tensor, axis: int) -> Layer | None:
        # with align_corners neighbours are not as far apart as the sizes say
        if overlap > 1 and args[2]:
            return None
        factor, remainder = divmod(output.shape[axis], source.shape[axis])
        if remainder or (overlap > 1 and factor % 2):
            return None
        return TransposedWindow(overlap * factor, factor, (overlap - 1) * factor // 2)

    return rule


def _pad(args: Sequence[Any], source: Tensor, output: Tensor, axis: int) -> Layer:
    amounts = [*args[1], 0, 0, 0, 0]
    return Shift(amounts[-2 * (axis + 1)], amounts[-2 * (axis + 1) + 1])


def _slice(args: Sequence[Any], source: Tensor, output: Tensor, axis: int) -> Layer | None:
    dim, start, *_ = [*args[1:], 0, None][:2]
    if dim % source.dim() != axis % source.dim():
        return Shift(0, 0)
    start = start or 0
    if start < 0:
        start += source.shape[axis]
    if len(args) > 4 and args[4] != 1:
        return None
    return Shift(-start, output.shape[axis] + start - source.shape[axis])


def _average(args: Sequence[Any], source: Tensor, output: Tensor, axis: int) -> Layer | None:
    if output.dim() != 4:
        return None
    inputs, outputs = source.shape[axis], output.shape[axis]
    return Shift(0, 0) if inputs == outputs else WholeMap(inputs, outputs)


RULES: dict[OpOverloadPacket, Rule] = {
    aten.convolution: _convolution,
    aten.max_pool2d_with_indices: _max_pool,
    aten.avg_pool2d: _avg_pool,
    aten.upsample_nearest2d: _resize(1),
    aten.upsample_bilinear2d: _resize(2),
    aten.constant_pad_nd: _pad,
    aten.slice: _slice,
    aten.mean: _average,
}
# operations along the dimensions that their second argument names
BY_CHANNEL = {aten.cat, aten.flip, aten._softmax, aten._log_softmax}
POINTWISE = {
    aten.abs, aten.add, aten.add_, aten.alias, aten.clamp, aten.clamp_, aten.clamp_max,
    aten.clamp_min, aten.clone, aten.detach, aten.div, aten.div_, aten.elu, aten.elu_, aten.erf,
    aten.exp, aten.expand, aten.gelu, aten.hardsigmoid, aten.hardsigmoid_, aten.hardswish,
    aten.hardswish_, aten.hardtanh, aten.hardtanh_, aten.leaky_relu, aten.leaky_relu_, aten.log,
    aten.maximum, aten.minimum, aten.mish, aten.mish_, aten.mul, aten.mul_, aten.neg, aten.pow,
    aten._prelu_kernel, aten.reciprocal, aten.relu, aten.relu_, aten.rsqrt, aten.rsub,
    aten.sigmoid, aten.sigmoid_, aten.silu, aten.silu_, aten.softplus, aten.sqrt, aten.sub,
    aten.sub_, aten.tanh, aten.tanh_, aten._to_copy, aten.where,
}  # fmt: skip
