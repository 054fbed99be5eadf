"""Every layer of any network with its node, found by running it without numbers.

On torch's meta device an operation has sizes and no values. Each one is seen as it passes; those
that move or gather positions become layers of the algebra, all others keep the place of what they
are given. A map that a layer not known here has rearranged has no node.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# torch gives its operators, dispatch modes and trees no public names
from torch._ops import OpOverload, OpOverloadPacket

# likewise
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.module_tracker import ModuleTracker

from fcn_lab.geometry.algebra import Layer, Shift, TransposedWindow, WholeMap, Window
from fcn_lab.geometry.graph import Map
from fcn_lab.geometry.meta import MetaRun

AXES = (-2, -1)  # rows, columns
MapPair = tuple[Map, Map]
Rule = Callable[[Sequence[Any], Tensor, Tensor, int], Layer | None]
aten = torch.ops.aten


@dataclass(frozen=True)
class TracedLayer:
    """One layer of a network: its module, operation, and the shape and maps of its output."""

    name: str
    operation: str
    shape: Sequence[int]
    maps: MapPair | None


def trace(
    net: nn.Module,
    height: int,
    width: int,
    layer_rules: Mapping[type[nn.Module], Callable[[int], Layer]] | None = None,
) -> list[TracedLayer]:
    """Returns the layers of a network in the order they run.

    Args:
        net: float (N,3,H,W) → one tensor.
        height: H.
        width: W.
        layer_rules: modules that are one layer each, however they compute it: from their factor.
    """
    run = MetaRun.prepare(net, height, width)
    tracer = _LayerTracer(run.image, layer_rules or {})
    modules = [module for module in net.modules() if type(module) in tracer.layer_rules]
    hooks = [module.register_forward_hook(tracer.record_module) for module in modules]
    try:
        with tracer.modules, tracer, torch.no_grad():
            run.start()
    finally:
        for hook in hooks:
            hook.remove()
    return tracer.rows


class _LayerTracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(
        self, image: Tensor, layer_rules: Mapping[type[nn.Module], Callable[[int], Layer]]
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layer_rules = layer_rules
        self.modules = ModuleTracker()
        self.rows: list[TracedLayer] = []
        # the tensors are kept, so that no other takes an id over
        self.tensor_maps: dict[int, tuple[Tensor, MapPair]] = {
            id(image): (image, (Map(image.shape[-2]), Map(image.shape[-1])))
        }

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        output = result[0] if isinstance(result, (tuple, list)) else result
        if isinstance(output, Tensor):
            self._follow(func.overloadpacket, args, output)
        return result

    def record_module(self, module: nn.Module, args: Sequence[Any], output: Tensor) -> None:
        """Records one layer in place of all operations inside the module."""
        maps = self._find_maps(args[0])
        if maps is not None:
            factors = [output.shape[axis] // args[0].shape[axis] for axis in AXES]
            layers = [self.layer_rules[type(module)](factor) for factor in factors]
            self._record(type(module).__name__, output, _apply_layers(maps, layers, output))

    def _follow(self, packet: OpOverloadPacket, args: Sequence[Any], output: Tensor) -> None:
        inputs = args[0] if args and isinstance(args[0], (list, tuple)) else args
        tensors = [(t, p) for t in inputs if isinstance(t, Tensor) and (p := self._find_maps(t))]
        if not tensors:
            # of a map whose place was lost
            if packet is aten.convolution:
                self._record("convolution", output, None)
            return
        rule = RULES.get(packet)
        if rule is not None:
            source, maps = tensors[0]
            layers = [rule(args, source, output, axis) for axis in AXES]
            axis_layers = [layer for layer in layers if layer is not None]
            output_maps = (
                _apply_layers(maps, axis_layers, output) if len(axis_layers) == len(AXES) else None
            )
            self._record(_describe_layer(packet, layers), output, output_maps)
        elif output.dim() == 4 and all(t.dim() == 4 for t, _ in tensors):
            output_maps = _merge_maps(tensors, output)
            if output_maps is not None:
                affines = {node.affines for _, (node, _) in tensors if node.affines}
                if len(affines) > 1:
                    self._record(packet.__name__, output, output_maps)
                else:
                    self.tensor_maps[id(output)] = output, output_maps

    def _find_maps(self, tensor: Tensor) -> MapPair | None:
        return self.tensor_maps[id(tensor)][1] if id(tensor) in self.tensor_maps else None

    def _record(self, operation: str, output: Tensor, maps: MapPair | None) -> None:
        if maps is not None:
            self.tensor_maps[id(output)] = output, maps
        names = self.modules.parents - {"Global"}
        name = max(names, key=len, default="").partition(".")[2]
        self.rows.append(TracedLayer(name, operation, tuple(output.shape), maps))


def _apply_layers(maps: MapPair, layers: Sequence[Layer], output: Tensor) -> MapPair:
    rows, columns = (
        Map(output.shape[axis], [(node, layer)])
        for axis, node, layer in zip(AXES, maps, layers, strict=True)
    )
    return rows, columns


def _merge_maps(tensors: Sequence[tuple[Tensor, MapPair]], output: Tensor) -> MapPair | None:
    """Returns the maps of added or joined tensors; a single value is repeated over the others."""
    axis_maps = []
    for number, axis in enumerate(AXES):
        size = output.shape[axis]
        if any(t.shape[axis] not in (1, size) for t, _ in tensors):
            return None
        parents: list[tuple[Map, Layer]] = [
            (maps[number], Shift(0, 0) if t.shape[axis] == size else WholeMap(1, size))
            for t, maps in tensors
        ]
        candidate = parents[0][0]
        axis_maps.append(
            candidate if all(p is candidate for p, _ in parents) else Map(size, parents)
        )
    return axis_maps[0], axis_maps[1]


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
    if len(args) > 4 and args[4] != 1:
        return None
    return Shift(-start, output.shape[axis] + start - source.shape[axis])


def _average(args: Sequence[Any], source: Tensor, output: Tensor, axis: int) -> Layer | None:
    if output.dim() != 4:
        return None
    inputs, outputs = source.shape[axis], output.shape[axis]
    return Shift(0, 0) if inputs == outputs else WholeMap(inputs, outputs)


def _describe_layer(packet: OpOverloadPacket, layers: Sequence[Layer | None]) -> str:
    layer = layers[0] if layers[0] != Shift(0, 0) else layers[1]
    name = packet.__name__.removesuffix("_with_indices")
    if isinstance(layer, Shift) and layer != Shift(0, 0):
        return f"{name} {layer.front:+d} {layer.back:+d}"
    if isinstance(layer, (Window, TransposedWindow)):
        details = f"{layer.kernel}×{layer.kernel} stride {layer.stride} padding {layer.padding}"
        dilation = f" dilation {layer.dilation}" if layer.dilation > 1 else ""
        title = "transposed" if isinstance(layer, TransposedWindow) and "conv" in name else name
        return f"{title} {details}{dilation}"
    return str(name)


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
