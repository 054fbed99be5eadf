"""How far around a pixel its score reads."""

from collections.abc import Callable

from torch import nn

from fcn_lab.encoders.base import STRIDE
from fcn_lab.geometry.algebra import Layer, Transposed
from fcn_lab.geometry.graph import Place
from fcn_lab.geometry.trace import trace
from fcn_lab.upsampling.placement import PlaceAtCorner, PlaceAtSwitches

FAR = 1 << 20
PLACED: dict[type[nn.Module], Callable[[int], Layer]] = {  # by factor
    PlaceAtCorner: lambda factor: Transposed(1, factor, output_padding=factor - 1),
    PlaceAtSwitches: lambda factor: Transposed(factor, factor),
}


def context(net: nn.Module) -> int | None:
    """The pixels beside a pixel that its score reads at most, to any side.

    With the span [a(i), b(i)] of the image that the algebra of ``fcn_lab.geometry`` gives for score
    i, it is the largest of i − a(i) and b(i) − i.

    Args:
        net: float (N,3,H,W) → scores (N,K,H,W).

    Returns:
        None where a score reads the whole image, or the network has layers the algebra lacks.
    """
    rows = trace(net, 4 * STRIDE, 4 * STRIDE, PLACED)
    if not rows or rows[-1].places is None:
        return None
    sides = [_context(place) for place in rows[-1].places]
    known = [side for side in sides if side is not None]
    return max(known) if len(known) == len(sides) else None


def _context(place: Place) -> int | None:
    found = 0
    for i in range(place.period):
        # far from the start, so that what reads the whole image reaches back to it
        position = i + FAR * place.period
        span = place.reads(position, clip=False)
        if span is not None:
            found = max(found, position - span[0], span[1] - position)
    return found if found < FAR else None
