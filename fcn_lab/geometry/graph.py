"""The algebra over a graph of layers, along one axis: where a network's maps lie over the image."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from math import gcd, lcm

from fcn_lab.geometry.algebra import Affine, Layer, WholeMap

# the first and the last position
Span = tuple[int, int]
_ORDER = count()


@dataclass(frozen=True, eq=False)
class Map:
    """A feature map along one axis: its size and the maps it was computed from.

    Args:
        size: positions.
        parents: the maps it was computed from, each with the layer between; the image has none.
    """

    size: int
    parents: Sequence[tuple["Map", Layer]] = ()
    order: int = field(default_factory=lambda: next(_ORDER))

    @cached_property
    def affines(self) -> tuple[Affine, ...]:
        """Returns the image positions it stands over; several where maps that differ are joined."""
        if not self.parents:
            return (Affine(),)
        candidates = [
            outer.compose(layer.affine) for node, layer in self.parents for outer in node.affines
        ]
        return tuple(dict.fromkeys(affine for affine in candidates if affine.scale))

    @cached_property
    def period(self) -> int:
        """Returns the number of positions after which the receptive field repeats."""
        return lcm(*(_compute_period(layer, node.period) for node, layer in self.parents))

    def receptive_field(self) -> int:
        """Returns the receptive field's widest extent, in pixels, far from the borders."""
        spans = [self.image_span(i, clip=False) for i in range(self.period)]
        return max(last - first + 1 for first, last in filter(None, spans))

    @property
    def reads_whole_image(self) -> bool:
        """Returns whether a mean over a whole map lies between the image and this map."""
        layers = (layer for node in self._find_ancestors() for _, layer in node.parents)
        return any(isinstance(layer, WholeMap) for layer in layers)

    def image_span(self, position: int, clip: bool = True) -> Span | None:
        """Returns the first and last image position that influence `position` of this map.

        Args:
            position: a position of this map.
            clip: leave out positions outside the image; else padding counts as a larger image.
        """
        spans: dict[Map, Span] = {self: (position, position)}
        image = None
        for node in sorted(self._find_ancestors(), key=lambda node: -node.order):
            if node not in spans:
                continue
            first, last = spans[node]
            if clip:
                first, last = max(first, 0), min(last, node.size - 1)
            if first > last:
                continue
            if not node.parents:
                image = first, last
            for parent, layer in node.parents:
                span = layer.input_span(first, last)
                old_span = spans.get(parent, span)
                spans[parent] = min(span[0], old_span[0]), max(span[1], old_span[1])
        return image

    def _find_ancestors(self) -> set["Map"]:
        ancestors, queue = {self}, [self]
        while queue:
            parents = {node for node, _ in queue.pop().parents} - ancestors
            ancestors |= parents
            queue += parents
        return ancestors


def _compute_period(layer: Layer, period: int) -> int:
    scale = layer.affine.scale
    if not scale:
        return 1
    return period * scale.denominator // gcd(period, scale.numerator)
