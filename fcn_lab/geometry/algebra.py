"""The alignment algebra: size, stride, offset and receptive field of any chain of layers.

Along one axis, position i of a layer's output stands over position ``affine(i) = scale·i + shift``
of its input, the centre of what it reads. With reach r = dilation·(kernel − 1) + 1, stride s and
padding p:

                            size of the output      scale    shift
    convolution, pooling    ⌊(n + 2p − r)/s⌋ + 1    s        (r − 1)/2 − p
    transposed convolution  (n − 1)·s − 2p + r      1/s      (p − (r − 1)/2)/s
    o cut off at the start  n − o − …               1        o

and layers chain as affine maps do. Two maps of equal scale are aligned by cutting off the
difference of their shifts, in units of the scale. This gives the crops of the published nets.

Long, Shelhamer, Darrell, CVPR 2015, section 3; the maps with offsets: Shelhamer, Long, Darrell,
PAMI 2017.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from fcn_lab.errors import UserError


@dataclass(frozen=True)
class Affine:
    """The affine map i → scale·i + shift."""

    scale: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)

    def __call__(self, i: int) -> Fraction:
        return self.scale * i + self.shift

    def compose(self, inner: "Affine") -> "Affine":
        """Returns the map i → self(inner(i))."""
        return Affine(self.scale * inner.scale, self.scale * inner.shift + self.shift)


class Layer(Protocol):
    """A layer as the algebra needs it, along one axis."""

    @property
    def affine(self) -> Affine:
        """Returns the map from an output position to the input position it stands over."""

    def size(self, n: int) -> int:
        """Returns the number of output positions for n input positions."""

    def input_span(self, first: int, last: int) -> tuple[int, int]:
        """Returns the first and last input position these outputs read; may be empty."""


class Kernel:
    """Taps along an axis, of a window that reads as of a stamp that writes."""

    kernel: int
    dilation: int

    @property
    def reach(self) -> int:
        """Returns the positions covered by the kernel's taps, first and last included."""
        return self.dilation * (self.kernel - 1) + 1


@dataclass(frozen=True)
class Window(Kernel):
    """A convolution or a pooling along one axis.

    Args:
        kernel: taps.
        stride: input positions from one output to the next.
        padding: zeros before and behind.
        dilation: input positions from tap to tap.
        ceil: a last window may hang over the end, as Caffe's poolings do.
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    ceil: bool = False

    @property
    def affine(self) -> Affine:
        """Returns scale s and shift (r − 1)/2 − p, as in the table at the top of this file."""
        return Affine(Fraction(self.stride), Fraction(self.reach - 1, 2) - self.padding)

    def size(self, n: int) -> int:
        """Returns ⌊(n + 2p − r)/s⌋ + 1, or with `ceil` the rounded-up count of Caffe."""
        room = n + 2 * self.padding - self.reach
        if not self.ceil:
            return room // self.stride + 1
        windows = -(-room // self.stride) + 1
        # a window that would begin in the padding behind the input is left out
        return windows - ((windows - 1) * self.stride >= n + self.padding)

    def input_span(self, first: int, last: int) -> tuple[int, int]:
        """Returns the span from the first window's first tap to the last window's last tap."""
        start = first * self.stride - self.padding
        return start, last * self.stride - self.padding + self.reach - 1


@dataclass(frozen=True)
class TransposedWindow(Kernel):
    """A transposed convolution: input i writes to outputs s·i − p … s·i − p + r − 1.

    Args:
        kernel: taps.
        stride: output positions from one input's stamp to the next.
        padding: what is cut off before and behind.
        dilation: output positions from tap to tap.
        output_padding: what is put back behind.
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    output_padding: int = 0

    @property
    def affine(self) -> Affine:
        """Returns scale 1/s and shift (p − (r − 1)/2)/s, see the table at the file's top."""
        shift = (self.padding - Fraction(self.reach - 1, 2)) / self.stride
        return Affine(Fraction(1, self.stride), shift)

    def size(self, n: int) -> int:
        """Returns (n − 1)·s − 2p + r plus the output padding."""
        return (n - 1) * self.stride - 2 * self.padding + self.reach + self.output_padding

    def input_span(self, first: int, last: int) -> tuple[int, int]:
        """Returns the span of inputs that write to an output from first to last."""
        start, end = first + self.padding, last + self.padding
        reading = [
            i
            for i in range(-((self.reach - 1 - start) // self.stride), end // self.stride + 1)
            if any(start <= i * self.stride + t * self.dilation <= end for t in range(self.kernel))
        ]
        return (reading[0], reading[-1]) if reading else (1, 0)


@dataclass(frozen=True)
class Shift:
    """Zeros added before and after, or, where negative, positions cut off."""

    front: int
    back: int

    @property
    def affine(self) -> Affine:
        """Returns a map of scale 1: each output position is one input position."""
        return Affine(shift=Fraction(-self.front))

    def size(self, n: int) -> int:
        """Returns n + before + behind."""
        return n + self.front + self.back

    def input_span(self, first: int, last: int) -> tuple[int, int]:
        """Returns the same positions in the numbering of the input."""
        return first - self.front, last - self.front


@dataclass(frozen=True)
class WholeMap:
    """A mean over a whole map, or one value repeated over it: every output reads every input."""

    inputs: int
    outputs: int

    @property
    def affine(self) -> Affine:
        """Returns a map of scale 0, since the output stands over no single position."""
        return Affine(Fraction(0))

    def size(self, n: int) -> int:
        """Returns the fixed number of outputs, whatever n is."""
        return self.outputs

    def input_span(self, first: int, last: int) -> tuple[int, int]:
        """Returns the span of all inputs."""
        return 0, self.inputs - 1


def chain_affines(layers: Sequence[Layer]) -> Affine:
    """Returns the map from positions after a chain of layers to image positions."""
    affine = Affine()
    for layer in layers:
        affine = affine.compose(layer.affine)
    return affine


def crop_offset(source: Affine, target: Affine) -> int:
    """Returns how many positions to cut off a map's start so that it lies over another.

    Args:
        source: the image positions of the map to be cut.
        target: the image positions of the other map.

    Raises:
        UserError: no whole number of positions aligns them.
    """
    offset = (target.shift - source.shift) / source.scale
    if source.scale != target.scale or offset.denominator != 1 or offset < 0:
        raise UserError(
            f"a map of stride {source.scale} that begins at pixel {source.shift} cannot be cut to "
            f"lie over one of stride {target.scale} that begins at pixel {target.shift}"
        )
    return int(offset)
