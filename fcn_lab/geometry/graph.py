"""Where the maps of a whole network lie: the algebra over a graph of layers, along one axis."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from math import gcd, lcm

from fcn_lab.geometry.algebra import Affine, Layer

Span = tuple[int, int]  # first and last position
_ORDER = count()


@dataclass(frozen=True, eq=False)
class Place:
    """One map: its size and the maps it was computed from.

    Args:
        size: positions.
        parents: each with the layer between; the image has none.
    """

    size: int
    parents: Sequence[tuple["Place", Layer]] = ()
    order: int = field(default_factory=lambda: next(_ORDER))

    @cached_property
    def looks(self) -> tuple[Affine, ...]:
        """Over which positions of the image it stands: several where maps meet that differ."""
        if not self.parents:
            return (Affine(),)
        found = [outer.of(layer.look) for place, layer in self.parents for outer in place.looks]
        return tuple(dict.fromkeys(look for look in found if look.scale))

    @cached_property
    def period(self) -> int:
        """After how many positions the receptive field repeats, moved on."""
        return lcm(*(_period(layer, place.period) for place, layer in self.parents))

    def field(self) -> int:
        """The receptive field's widest extent, in pixels, far from the borders."""
        spans = [self.reads(i, clip=False) for i in range(self.period)]
        return max(last - first + 1 for first, last in filter(None, spans))

    def reads(self, position: int, clip: bool = True) -> Span | None:
        """The first and the last position of the image that reach `position` of this map.

        Args:
            position: of this map.
            clip: leave out what no pixel stands behind; else padding goes on for ever.
        """
        wanted: dict[Place, Span] = {self: (position, position)}
        image = None
        for place in sorted(self._ancestry(), key=lambda place: -place.order):
            if place not in wanted:
                continue
            first, last = wanted[place]
            if clip:
                first, last = max(first, 0), min(last, place.size - 1)
            if first > last:
                continue
            if not place.parents:
                image = first, last
            for parent, layer in place.parents:
                span = layer.reads(first, last)
                known = wanted.get(parent, span)
                wanted[parent] = min(span[0], known[0]), max(span[1], known[1])
        return image

    def _ancestry(self) -> set["Place"]:
        found, waiting = {self}, [self]
        while waiting:
            parents = {place for place, _ in waiting.pop().parents} - found
            found |= parents
            waiting += parents
        return found


def _period(layer: Layer, before: int) -> int:
    scale = layer.look.scale
    if not scale:
        return 1
    return before * scale.denominator // gcd(before, scale.numerator)
