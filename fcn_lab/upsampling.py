"""The upsampling operators of the ablation: place each value, then blur.

Every operator is built as ``(channels, factor, refine="none")`` and called as ``forward(x,
switches=None)``: (N, C, h, w) -> (N, C, h·f, w·f), with f a power of two ≥ 2. They differ in two
things only, *where* a value is placed in its f×f cell and *which kernel* spreads it from there:

    BedOfNails      corner of the cell                  no kernel
    MaxUnpool       where the pooling found its maximum no kernel
    Nearest         corner                              box, f×f
    Bilinear        corner                              triangle, 2f×2f
    TransposedConv  corner                              learned, 2f×2f, starts as the triangle
    UpConv          corner                              learned, f×f, mixes the channels

With ``refine="conv"`` an operator climbs in steps of ×2, each followed by a learned 3×3
convolution, so that all of them have the same capacity up to their own kernel.

``switches`` are the pooling positions of the levels an operator climbs over: one index tensor a
level as ``max_pool2d(return_indices=True)`` gives it, (N, 1 or C, h, w) int64, in any order; one
channel serves all.

Legend: N batch, C channels, h w coarse size, f factor.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcn_lab.errors import UserError

Switches = Tensor | Sequence[Tensor]


class Upsampling(nn.Module):
    """What all operators share: the check of the factor, and the climb in refined steps of two.

    Args:
        channels: C, kept by the operator.
        factor: how many times higher and wider the output is; a power of two ≥ 2.
        refine: "none" (one step of ×factor) or "conv" (steps of ×2, each followed by a learned 3×3
            convolution).

    Raises:
        UserError: for a factor that is no power of two ≥ 2, or an unknown word for ``refine``.
    """

    uses_switches: ClassVar[bool] = False
    sparse: ClassVar[bool] = False  # a refinement has positions to fill

    def __init__(self, channels: int, factor: int, refine: str = "none") -> None:
        super().__init__()
        if factor < 2 or factor & (factor - 1):
            raise UserError(f"upsampling factor {factor}: expected a power of two, 2 or more")
        if refine not in REFINEMENTS:
            raise UserError(f"upsample.refine={refine}: expected one of {', '.join(REFINEMENTS)}")
        self.channels, self.factor = channels, factor
        self.strides, blur = REFINEMENTS[refine](self)
        self.steps = nn.ModuleList(self.step(stride) for stride in self.strides)
        self.blurs = nn.ModuleList(blur() for _ in self.strides)

    def step(self, stride: int) -> nn.Module:
        """One climb of ×stride; modules take (x, switches of the levels climbed, coarse first)."""
        raise NotImplementedError

    def refinement(self) -> nn.Module:
        """A 3×3 convolution; it starts by keeping what is dense and by filling what is sparse."""
        conv = nn.Conv2d(self.channels, self.channels, 3, padding=1, bias=False)
        kernel = torch.outer(*[torch.tensor([0.5, 1.0, 0.5])] * 2) if self.sparse else dirac(3)
        with torch.no_grad():
            conv.weight.mul_(0.1)  # a small random start between the classes breaks their symmetry
            conv.weight[range(self.channels), range(self.channels)] = kernel
        return conv

    def forward(self, x: Tensor, switches: Switches | None = None) -> Tensor:
        """Scores (N, C, h, w) -> (N, C, h·f, w·f)."""
        levels = self.levels(switches)
        for stride, step, blur in zip(self.strides, self.steps, self.blurs, strict=True):
            climbed = stride.bit_length() - 1
            x = blur(step(x, levels[:climbed]))  # (N, C, h·stride, w·stride)
            levels = levels[climbed:]
        return x

    def levels(self, switches: Switches | None) -> list[Tensor]:
        """The switches of the levels climbed, coarse first; none where they are not looked at."""
        if not self.uses_switches:
            return []
        given = [switches] if isinstance(switches, Tensor) else list(switches or ())
        expected = self.factor.bit_length() - 1
        if len(given) != expected:
            raise UserError(
                f"{type(self).__name__}(factor={self.factor}) climbs {expected} pooling level(s) "
                f"and needs the switches of each, got {len(given)}"
            )
        return sorted(given, key=lambda level: level.shape[-1] * level.shape[-2])


def unrefined(operator: Upsampling) -> tuple[list[int], Callable[[], nn.Module]]:
    """The whole climb in one step, and nothing behind it."""
    return [operator.factor], nn.Identity


def refined(operator: Upsampling) -> tuple[list[int], Callable[[], nn.Module]]:
    """The climb in steps of two, a learned 3×3 convolution behind each."""
    return [2] * (operator.factor.bit_length() - 1), operator.refinement


REFINEMENTS = {"none": unrefined, "conv": refined}


def dirac(size: int) -> Tensor:
    """The kernel that changes nothing: 1 in the middle of size×size zeros."""
    kernel = torch.zeros(size, size)
    kernel[size // 2, size // 2] = 1
    return kernel


def bilinear_kernel(factor: int) -> Tensor:
    """The 2f×2f triangle kernel of bilinear interpolation by f, for even f.

    Long, Shelhamer, Darrell 2015, section 3.3; with centre c = f − 1/2: (1 − |i − c|/f) (1 − |j −
    c|/f).
    """
    line = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    return torch.outer(line, line)


class Interpolate(nn.Module):
    """Fixed interpolation by one of ``torch.nn.functional.interpolate``'s kernels."""

    def __init__(self, stride: int, **options: object) -> None:
        super().__init__()
        self.stride, self.options = stride, options

    def forward(self, x: Tensor, switches: Sequence[Tensor] = ()) -> Tensor:
        """(N, C, h, w) -> (N, C, h·stride, w·stride)."""
        return F.interpolate(x, scale_factor=self.stride, **self.options)  # type: ignore[arg-type]


class Nearest(Upsampling):
    """Every value fills its f×f cell: corner placement, box kernel."""

    def step(self, stride: int) -> nn.Module:
        """Box interpolation."""
        return Interpolate(stride, mode="nearest")


class Bilinear(Upsampling):
    """Linear interpolation between cell centres: corner, triangle kernel, edges repeated."""

    def step(self, stride: int) -> nn.Module:
        """Triangle interpolation."""
        return Interpolate(stride, mode="bilinear", align_corners=False)


class Deconvolution(nn.ConvTranspose2d):
    """A transposed convolution that can stand in an operator's climb."""

    def forward(  # type: ignore[override]
        self, x: Tensor, switches: Sequence[Tensor] = ()
    ) -> Tensor:
        """(N, C, h, w) -> (N, C, h·stride, w·stride)."""
        return super().forward(x)


class TransposedConv(Upsampling):
    """Learned interpolation: kernel 2f, stride f, padding f/2, bilinear at the start.

    Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015,
    section 3.3. Beyond the image there are zeros, as in the paper, so at the start it equals
    ``Bilinear`` but for the outermost f/2 pixels.

    Args:
        channels: C.
        factor: the scale.
        refine: see ``Upsampling``.
        groups: 1 for a dense kernel, C for one kernel a class (the default).
        trainable: False freezes the bilinear start, as the published nets do.
    """

    def __init__(
        self,
        channels: int,
        factor: int,
        refine: str = "none",
        groups: int | None = None,
        trainable: bool = True,
    ) -> None:
        self.groups, self.trainable = channels if groups is None else groups, trainable
        if self.groups < 1 or channels % self.groups:
            raise UserError(
                f"upsample.groups={groups}: expected a divisor of the {channels} channels"
            )
        super().__init__(channels, factor, refine)

    def step(self, stride: int) -> nn.Module:
        """A transposed convolution of ×stride: out = (in − 1)·f − 2·(f/2) + 2f = in·f."""
        conv = Deconvolution(
            self.channels,
            self.channels,
            2 * stride,
            stride,
            stride // 2,
            groups=self.groups,
            bias=False,
        )
        within = self.channels // self.groups  # weight is (C, C/groups, 2f, 2f)
        with torch.no_grad():
            conv.weight.zero_()
            conv.weight[range(self.channels), [c % within for c in range(self.channels)]] = (
                bilinear_kernel(stride)
            )
        return conv.requires_grad_(self.trainable)


class UpConv(Upsampling):
    """U-Net's up-convolution: kernel = stride = f, dense, no overlap between neighbouring cells.

    Ronneberger, Fischer, Brox, "U-Net", 2015, section 2 (there f = 2). Starts as ``Nearest``.
    """

    def step(self, stride: int) -> nn.Module:
        """Corner placement and a learned f×f kernel between all channels."""
        conv = Deconvolution(self.channels, self.channels, stride, stride, bias=False)
        with torch.no_grad():
            conv.weight.mul_(0.1)
            conv.weight[range(self.channels), range(self.channels)] = 1
        return conv


class PlaceAtCorner(nn.Module):
    """Each value at the upper left of its stride×stride cell, zeros elsewhere."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor, switches: Sequence[Tensor] = ()) -> Tensor:
        """(N, C, h, w) -> (N, C, h·stride, w·stride)."""
        n, c, h, w = x.shape
        out = x.new_zeros(n, c, h, self.stride, w, self.stride)
        out[:, :, :, 0, :, 0] = x
        return out.view(n, c, h * self.stride, w * self.stride)


class PlaceAtSwitches(nn.Module):
    """Each value where a 2×2 max-pooling found its maximum, zeros elsewhere; level by level."""

    def forward(self, x: Tensor, switches: Sequence[Tensor] = ()) -> Tensor:
        """(N, C, h, w) and L levels of switches, coarse first -> (N, C, h·2^L, w·2^L)."""
        for indices in switches:
            h, w = x.shape[-2:]
            if indices.shape[-2:] != (h, w):
                raise UserError(
                    f"switches of {tuple(indices.shape[-2:])} for scores of {(h, w)}: "
                    "sizes must agree"
                )
            down, right = indices // (2 * w) % 2, indices % (2 * w) % 2
            corner = torch.arange(4, device=x.device).view(
                4, 1, 1
            )  # upper left, upper right, lower left, lower right
            chosen = (2 * down + right).unsqueeze(2) == corner  # (N, 1 or C, 4, h, w)
            x = F.pixel_shuffle((x.unsqueeze(2) * chosen).flatten(1, 2), 2)  # (N, C, 2h, 2w)
        return x


class BedOfNails(Upsampling):
    """Each value at its cell's corner, and nothing else."""

    sparse = True

    def step(self, stride: int) -> nn.Module:
        """Corner placement."""
        return PlaceAtCorner(stride)


class MaxUnpool(Upsampling):
    """Each value where the encoder's pooling found its maximum, level by level.

    Zeiler, Fergus 2014; Noh, Hong, Han 2015; Badrinarayanan, Kendall, Cipolla (SegNet) 2017. Equal
    to ``torch.nn.functional.max_unpool2d``, also with one channel of switches for all classes, and
    exportable.
    """

    uses_switches = True
    sparse = True

    def step(self, stride: int) -> nn.Module:
        """Placement at the switches."""
        return PlaceAtSwitches()
