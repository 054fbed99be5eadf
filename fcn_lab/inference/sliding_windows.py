"""Scores images larger than memory in windows that slide over them and are blended.

Along each axis windows of size w begin every w − o pixels; o is their overlap, and the last one
ends with the image. Pixel i of a window [a, b) weighs, before the weights at a pixel are divided by
their sum,

    r(i + ½ − a) · r(b − i − ½),    r(t) = sin²(π/2 · min(1, max(0, (t − m)/(o − 2m)))),

without the factor at an end of the image. So weights sum to one, those of the axes are multiplied,
and the m pixels next to a window's border count nothing. Windows begin at multiples of the
network's stride, where its grid lies as over the whole image. Hence a window gives a pixel the
score of the whole image if it holds the c pixels on each side that the score reads. With o ≥ 2c +
1, the receptive field, m = c, and the result is that of the whole image everywhere.

With a larger receptive field m = 0. The scores are then equal at pixels at least c away from the
border of every window they are in; elsewhere they change smoothly between windows that each lack
some context. A layer that reads the whole image, as the mean in the head of ``encoder=tiny``, reads
the window instead, and the scores differ everywhere. Overlapping tiles: Ronneberger et al., U-Net,
MICCAI 2015, whose network gives no scores within c of a tile's border.
"""

from collections.abc import Iterator, Sequence
from math import lcm, pi

import torch
from torch import Tensor, nn

from fcn_lab.encoders.base import STRIDE
from fcn_lab.errors import UserError
from fcn_lab.inference.multi_scale import MultiScale, Scales
from fcn_lab.networks.receptive_field import receptive_radius
from fcn_lab.values import Count, Whole, check_arguments

# the first pixel, and the first behind the last
Span = tuple[int, int]


@check_arguments
class SlidingWindows(nn.Module):
    """Scores an image window by window, one row of windows at a time.

    Args:
        net: RGB in 0…1 (N, 3, H, W) -> scores (N, K, H, W).
        size: height and width of a window.
        overlap: pixels that neighbouring windows share.
        scales: sizes that each window is scored at, see `MultiScale`.

    Raises:
        UserError: sizes that are no multiples of the network's stride, or that do not slide.
    """

    def __init__(self, net: nn.Module, size: Count, overlap: Whole, scales: Scales = (1,)) -> None:
        super().__init__()
        self.net = MultiScale(net, scales)
        self.size, self.overlap, self.stride = size, overlap, self.net.stride
        cell = lcm(STRIDE, *((STRIDE / scale).numerator for scale in self.net.scales))
        if overlap >= size:
            raise UserError(
                f"dense.size={size} dense.overlap={overlap}: expected an overlap of 0 or more "
                "that is smaller than the size"
            )
        if size % cell or overlap % cell:
            raise UserError(
                f"dense.size={size} dense.overlap={overlap}: expected multiples of {cell}, "
                "so that windows begin on the network's grid at every scale"
            )
        reach = receptive_radius(net)
        self.receptive_radius = None if reach is None else self.net.receptive_radius(reach)
        self.is_exact = self.receptive_radius is not None and 2 * self.receptive_radius < overlap

    def forward(self, x: Tensor) -> Tensor:
        """Maps RGB (N, 3, H, W), 0…1 or uint8, to scores (N, K, H, W), for any H, W ≥ 1."""
        return torch.cat(list(self.strips(x)), -2)

    def strips(self, image: Tensor) -> Iterator[Tensor]:
        """Yields the scores from top to bottom, as soon as no further window adds to them.

        At most the scores of w rows, of o more rows, and what one window takes are held at a time.

        Args:
            image: RGB (N, 3, H, W), 0…1 or uint8, which is brought to 0…1 window by window.

        Yields:
            Scores (N, K, h, W); their heights h add up to H.
        """
        margin = (self.receptive_radius or 0) if self.is_exact else 0
        rows, columns = (
            place_windows(length, self.size, self.overlap) for length in image.shape[-2:]
        )
        row_weights, column_weights = (
            blend_weights(axis, self.overlap, margin) for axis in (rows, columns)
        )
        begins = [top for top, _ in rows[1:]] + [image.shape[-2]]
        rest: Tensor | None = None
        for (top, bottom), share, end in zip(rows, row_weights, begins, strict=True):
            strip = self._score_row(image[..., top:bottom, :], columns, column_weights)
            strip *= share.to(strip)[:, None]
            if rest is not None:
                strip[..., : rest.shape[-2], :] += rest
            rest = strip[..., end - top :, :].clone()
            strip = strip[..., : end - top, :]
            yield strip
            # freed before the next row is scored
            del strip

    def describe(self) -> str:
        """Returns a sentence on where the scores equal those of the whole image."""
        text = f"windows of {self.size} that overlap by {self.overlap} pixels: "
        if self.receptive_radius is None:
            return text + (
                "a score reads the whole image or what is not known, so scores differ from those "
                "of the whole image"
            )
        reach = f"a score reads {self.receptive_radius} pixels far"
        if self.is_exact:
            return text + f"{reach}, equal to the whole image"
        return text + (
            f"{reach}, equal to the whole image that far from windows' borders; "
            f"everywhere with an overlap of more than {2 * self.receptive_radius}"
        )

    def _score_row(
        self, image: Tensor, columns: Sequence[Span], column_weights: Sequence[Tensor]
    ) -> Tensor:
        strip: Tensor | None = None
        for (left, right), share in zip(columns, column_weights, strict=True):
            window = image[..., left:right]
            scores = self.net(window if window.is_floating_point() else window.float() / 255)
            if strip is None:
                strip = scores.new_zeros(*scores.shape[:3], image.shape[-1])
            strip[..., left:right] += scores * share.to(scores)
        assert strip is not None
        return strip


def place_windows(length: int, size: int, overlap: int) -> list[Span]:
    """Returns the windows along one axis; the last one ends with the image."""
    step = size - overlap
    count = 1 + max(0, -(-(length - size) // step))
    return [(k * step, min(k * step + size, length)) for k in range(count)]


def blend_weights(windows: Sequence[Span], overlap: int, margin: int) -> list[Tensor]:
    """Returns each window's weight at each of its pixels, float64; they sum to 1 at a pixel.

    Args:
        windows: the windows of one axis, see `place_windows`.
        overlap: o, the pixels that neighbours share.
        margin: pixels beside a border that count nothing, m; at most half of o.
    """
    length = windows[-1][1]
    total, weights = torch.zeros(length, dtype=torch.float64), []
    for first, last in windows:
        positions = torch.arange(last - first, dtype=torch.float64) + 0.5
        weight = torch.ones_like(positions)
        if first > 0:
            weight *= _compute_rise(positions, overlap, margin)
        if last < length:
            weight *= _compute_rise(positions, overlap, margin).flip(0)
        total[first:last] += weight
        weights.append(weight)
    return [w / total[first:last] for w, (first, last) in zip(weights, windows, strict=True)]


def _compute_rise(distance: Tensor, overlap: int, margin: int) -> Tensor:
    return ((distance - margin) / (overlap - 2 * margin)).clamp(0, 1).mul(pi / 2).sin().square()


def score_strips(net: nn.Module, image: Tensor) -> Iterator[Tensor]:
    """Yields the scores of an image from top to bottom, in strips where the network has them.

    Args:
        net: RGB in 0…1 (N, 3, H, W) -> scores (N, K, H, W).
        image: RGB (N, 3, H, W), uint8.
    """
    if isinstance(net, SlidingWindows):
        yield from net.strips(image)
    else:
        yield net(image.float() / 255)
