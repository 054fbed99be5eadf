"""The upsampling operators of the ablation: place each value, then blur.

Every operator is built as ``(channels, factor, refine="none")`` and called as ``forward(x,
switches=None)``: (N, C, h, w) -> (N, C, h·f, w·f), with f a power of two ≥ 2. They differ in two
things only, *where* a value is placed in its f×f cell and *which kernel* spreads it from there:

    BedOfNails      corner of the cell                  no kernel
    MaxUnpool       where the pooling found its maximum no kernel
    Nearest         corner                              box, f×f
    Bilinear        corner                              triangle, 2f×2f
    Bicubic         corner                              Keys' cubic, 4f×4f
    TransposedConv  corner                              learned, 2f×2f, starts as the triangle
    UpConv          corner                              learned, f×f, mixes the channels
    PixelShuffle    corner                              learned, 3f×3f, mixes the channels
    Carafe          corner                              predicted at each place from the content
    DySample        wherever the content says           triangle

With ``refine="conv"`` an operator climbs in steps of ×2, each followed by a learned 3×3
convolution, so that all of them have the same capacity up to their own kernel.

``switches`` are the pooling positions of the levels an operator climbs over: one index tensor a
level as ``max_pool2d(return_indices=True)`` gives it, (N, 1 or C, h, w) int64, in any order; one
channel serves all.

Legend: N batch, C channels, h w coarse size, f factor.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

import torch
from annotated_types import Le
from torch import Tensor, nn

from fcn_lab.errors import UserError
from fcn_lab.values import Width, checked

Switches = Tensor | Sequence[Tensor]
Factor = Annotated[int, Le(2**10)]


@checked
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
    deterministic: ClassVar[bool] = True  # its backward on a GPU; a CPU repeats itself anyway
    instead: ClassVar[str] = ""  # the word to choose where it is not

    def __init__(self, channels: Width, factor: Factor, refine: str = "none") -> None:
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

    def alone(self) -> list[int]:
        """The strides of a climb that nothing refines: all in one, unless an operator says else."""
        return [self.factor]

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
    """The climb as the operator makes it on its own, and nothing behind it."""
    return operator.alone(), nn.Identity


def refined(operator: Upsampling) -> tuple[list[int], Callable[[], nn.Module]]:
    """The climb in steps of two, a learned 3×3 convolution behind each."""
    return twos(operator.factor), operator.refinement


REFINEMENTS = {"none": unrefined, "conv": refined}


def twos(factor: int) -> list[int]:
    """A power of two as the steps of two that make it up."""
    return [2] * (factor.bit_length() - 1)


def dirac(size: int) -> Tensor:
    """The kernel that changes nothing: 1 in the middle of size×size zeros."""
    kernel = torch.zeros(size, size)
    kernel[size // 2, size // 2] = 1
    return kernel
