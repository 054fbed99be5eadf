"""Finds every layer of any network with its place, by a run without numbers.

On torch's meta device an operation has sizes and no values. Each operation is seen as it runs:
those that move or gather positions become layers of the algebra, pointwise ones keep the place of
their input. The output of an unknown operation has no known place, nor has anything that is
computed with it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# torch gives its operators no public name
from torch._ops import OpOverload, OpOverloadPacket

# torch gives its dispatch modes no public name
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.module_tracker import ModuleTracker

from fcn_lab.geometry.algebra import Layer, Shift, TransposedWindow, WholeMap, Window
from fcn_lab.geometry.graph import Map
from fcn_lab.geometry.layer_rules import AXES, RULES, aten, keeps_places
from fcn_lab.geometry.meta import MetaRun

MapPair = tuple[Map, Map]


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
    """Returns the layers of a network in the order they run; the last lies where the output does.

    Args:
        net: float (N,3,H,W) → one tensor.
        height: H.
        width: W.
        layer_rules: class of module → its layer by the factor, for modules that count as one layer.
    """
    run = MetaRun.prepare(net, height, width)
    tracer = _LayerTracer(run.image, layer_rules or {})
    modules = [module for module in net.modules() if type(module) in tracer.layer_rules]
    hooks = [module.register_forward_hook(tracer.record_module) for module in modules]
    try:
        with tracer.modules, tracer, torch.no_grad():
            output = run.start()
    finally:
        for hook in hooks:
            hook.remove()
    tracer.record_output(output)
    return tracer.rows


class _LayerTracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(
        self, image: Tensor, layer_rules: Mapping[type[nn.Module], Callable[[int], Layer]]
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layer_rules = layer_rules
        self.modules = ModuleTracker()
        self.rows: list[TracedLayer] = []
        # by id, all that depends on the image; None where the place is lost. The tensors are kept,
        # so that no other one gets such an id
        self.tensor_maps: dict[int, tuple[Tensor, MapPair | None]] = {
            id(image): (image, (Map(image.shape[-2]), Map(image.shape[-1])))
        }

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        inputs = [
            self.tensor_maps[id(tensor)]
            for tensor in _list_tensors((args, (kwargs or {}).values()))
            if id(tensor) in self.tensor_maps
        ]
        result = func(*args, **(kwargs or {}))
        if inputs:
            for number, output in enumerate(_list_tensors(result)):
                maps = None if number else self._follow(func, args, inputs, output)
                self.tensor_maps[id(output)] = output, maps
        return result

    def record_module(self, module: nn.Module, args: Sequence[Any], output: Tensor) -> None:
        """Records one layer in place of all operations inside the module."""
        _, maps = self.tensor_maps.get(id(args[0]), (None, None))
        if maps is not None:
            factors = [output.shape[axis] // args[0].shape[axis] for axis in AXES]
            layers = [self.layer_rules[type(module)](factor) for factor in factors]
            output_maps = _apply_layers(maps, layers, output)
            self.tensor_maps[id(output)] = output, output_maps
            self._record(type(module).__name__, output, output_maps)

    def record_output(self, output: Tensor) -> None:
        """Records the network's output if its place is not that of the last layer."""
        _, maps = self.tensor_maps.get(id(output), (output, None))
        if self.rows and self.rows[-1].maps != maps:
            self.rows.append(TracedLayer("", "output", tuple(output.shape), maps))

    def _follow(
        self,
        func: OpOverload,
        args: Sequence[Any],
        inputs: Sequence[tuple[Tensor, MapPair | None]],
        output: Tensor,
    ) -> MapPair | None:
        """Returns the output's place; records operations that move, gather or join positions."""
        packet = func.overloadpacket
        tensors = [(tensor, maps) for tensor, maps in inputs if maps is not None]
        if len(tensors) < len(inputs):
            if packet is aten.convolution:
                self._record("convolution", output, None)
            return None
        rule = RULES.get(packet)
        if rule is not None:
            source, maps = tensors[0]
            layers = [rule(args, source, output, axis) for axis in AXES]
            axis_layers = [layer for layer in layers if layer is not None]
            is_known = len(axis_layers) == len(AXES) and len(tensors) == 1
            output_maps = _apply_layers(maps, axis_layers, output) if is_known else None
            self._record(_describe_layer(packet, layers), output, output_maps)
            return output_maps
        if not keeps_places(packet, args) or {4} != {output.dim(), *(t.dim() for t, _ in tensors)}:
            return None
        output_maps = _merge_maps(tensors, output)
        if len({node.affines for _, (node, _) in tensors if node.affines}) > 1:
            self._record(packet.__name__, output, output_maps)
        return output_maps

    def _record(self, operation: str, output: Tensor, maps: MapPair | None) -> None:
        names = self.modules.parents - {"Global"}
        name = max(names, key=len, default="").partition(".")[2]
        self.rows.append(TracedLayer(name, operation, tuple(output.shape), maps))


def _list_tensors(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [tensor for part in value for tensor in _list_tensors(part)]
    return []


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
