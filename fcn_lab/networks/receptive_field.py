"""Finds how far around a pixel its score reads the image."""

from collections.abc import Callable

from torch import nn

from fcn_lab.encoders.base import STRIDE
from fcn_lab.geometry.algebra import Layer, TransposedWindow
from fcn_lab.geometry.graph import Map
from fcn_lab.geometry.trace import trace
from fcn_lab.upsampling.placement import PlaceAtCorner, PlaceAtSwitches

# how the algebra sees the layers of these operators, by their factor
LAYER_RULES: dict[type[nn.Module], Callable[[int], Layer]] = {
    PlaceAtCorner: lambda factor: TransposedWindow(1, factor, output_padding=factor - 1),
    PlaceAtSwitches: lambda factor: TransposedWindow(factor, factor),
}


def receptive_radius(net: nn.Module) -> int | None:
    """Returns the largest distance in pixels, to any side, that a pixel's score reads.

    With the span [a(i), b(i)] of the image that the algebra of ``fcn_lab.geometry`` gives for score
    i, it is the largest of i − a(i) and b(i) − i.

    Args:
        net: float (N,3,H,W) → scores (N,K,H,W).

    Returns:
        None where a score reads the whole image, or the network has layers the algebra lacks.
    """
    rows = trace(net, 4 * STRIDE, 4 * STRIDE, LAYER_RULES)
    if not rows or rows[-1].maps is None:
        return None
    if any(axis_map.reads_whole_image for axis_map in rows[-1].maps):
        return None
    return max(map(_radius_along_axis, rows[-1].maps))


def _radius_along_axis(axis_map: Map) -> int:
    radius = 0
    for position in range(axis_map.period):
        span = axis_map.image_span(position, clip=False)
        if span is not None:
            radius = max(radius, position - span[0], span[1] - position)
    return radius
