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
convolution, so that all of them have the same capacity up to their own kernel. With
``refine="conv_first"`` the convolutions come before the steps, for a quarter of the operations.

``switches`` are the pooling positions of the levels an operator climbs over, coarse first: one
index tensor a level as ``max_pool2d(return_indices=True)`` gives it of a map of even sides, (N, 1
or C, h, w) int64; one channel serves all.

Legend: N batch, C channels, h w coarse size, f factor.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

import torch
from annotated_types import Le
from torch import Tensor, nn

from fcn_lab.errors import UserError
from fcn_lab.values import Width, check_arguments

Switches = Tensor | Sequence[Tensor]
Factor = Annotated[int, Le(2**10)]
# the strides of a climb, and what is built before and behind each of its steps
Plan = tuple[list[int], Callable[[], nn.Module], Callable[[], nn.Module]]


@check_arguments
class Upsampling(nn.Module):
    """Base of the operators: it checks the factor and climbs in refined steps of two.

    Args:
        channels: C, kept by the operator.
        factor: how many times higher and wider the output is; a power of two ≥ 2.
        refine: "none" (one step of ×factor), "conv" (steps of ×2, each followed by a learned 3×3
            convolution) or "conv_first" (each preceded by it).

    Raises:
        UserError: the factor is no power of two ≥ 2, the word for ``refine`` is unknown, or
            nothing would fill the places that a ``sparse`` operator leaves empty.
    """

    uses_switches: ClassVar[bool] = False
    # most positions of the output are empty; a refinement behind it starts as a filter for them
    sparse: ClassVar[bool] = False
    # whether its backward pass on a GPU is deterministic; on a CPU every operator is
    deterministic: ClassVar[bool] = True
    # the word of upsample= to choose in its place where it is not deterministic
    deterministic_word: ClassVar[str] = ""

    def __init__(self, channels: Width, factor: Factor, refine: str = "none") -> None:
        super().__init__()
        if factor < 2 or factor & (factor - 1):
            raise UserError(f"upsampling factor {factor}: expected a power of two, 2 or more")
        if refine not in REFINEMENTS:
            raise UserError(f"upsample.refine={refine}: expected one of {', '.join(REFINEMENTS)}")
        self.channels, self.factor = channels, factor
        self.strides, preblur, blur = REFINEMENTS[refine](self)
        self.preblurs = nn.ModuleList(preblur() for _ in self.strides)
        self.steps = nn.ModuleList(self.step(stride) for stride in self.strides)
        self.blurs = nn.ModuleList(blur() for _ in self.strides)

    def step(self, stride: int) -> nn.Module:
        """Returns the layer that climbs by ×stride.

        Its ``forward`` takes (x, switches of the levels climbed, coarse first).
        """
        raise UserError(
            f"{type(self).__name__} has no method step(self, stride).\n"
            "Expected one that returns the layer that climbs by ×stride, as Bilinear has"
        )

    def plain_steps(self) -> list[int]:
        """Returns the strides of a climb without refinement: by default one leap."""
        return [self.factor]

    def scale_length(self, length: int) -> int:
        """Returns the rows, or columns, that so many of the input become."""
        return length * self.factor

    def build_refinement(self) -> nn.Module:
        """Returns a 3×3 convolution that starts as the identity, or as a filter that fills gaps."""
        conv = nn.Conv2d(self.channels, self.channels, 3, padding=1, bias=False)
        kernel = (
            torch.outer(*[torch.tensor([0.5, 1.0, 0.5])] * 2) if self.sparse else dirac_kernel(3)
        )
        with torch.no_grad():
            # a small random start between the classes breaks their symmetry
            conv.weight.mul_(0.1)
            conv.weight[range(self.channels), range(self.channels)] = kernel
        # so few channels are convolved twice as fast on a CPU that has them last
        return conv.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, switches: Switches | None = None) -> Tensor:
        """Maps scores (N, C, h, w) -> (N, C, h·f, w·f).

        Raises:
            UserError: switches are missing, or a step of a class of one's own climbs elsewhere.
        """
        levels = self.require_switches(switches)
        height, width = x.shape[-2:]
        for stride, preblur, step, blur in zip(
            self.strides, self.preblurs, self.steps, self.blurs, strict=True
        ):
            level_count = stride.bit_length() - 1
            x = blur(step(preblur(x), levels[:level_count]))  # (N, C, h·stride, w·stride)
            levels = levels[level_count:]
        # what is exported or compiled has been run before, and its sizes may be symbols
        is_traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if not is_traced and not torch.compiler.is_compiling():
            self._require_size(x, height, width)
        return x

    def _require_size(self, x: Tensor, height: int, width: int) -> None:
        target = (self.scale_length(height), self.scale_length(width))
        if tuple(x.shape[-2:]) != target:
            raise UserError(
                f"{type(self).__name__} climbs by ×{self.factor} from {height}×{width} to "
                f"{x.shape[-2]}×{x.shape[-1]}, not to {target[0]}×{target[1]}.\n"
                "Expected of step(self, stride) a layer that climbs by ×stride"
            )

    def require_switches(self, switches: Switches | None) -> list[Tensor]:
        """Returns the switches of the levels climbed; none where unused.

        Raises:
            UserError: there is not one tensor for each level.
        """
        if not self.uses_switches:
            return []
        levels = [switches] if isinstance(switches, Tensor) else list(switches or ())
        level_count = self.factor.bit_length() - 1
        if len(levels) != level_count:
            raise UserError(
                f"{type(self).__name__}(factor={self.factor}) climbs {level_count} pooling "
                f"level(s) and needs the switches of each, got {len(levels)}"
            )
        return levels


def plan_plain_steps(operator: Upsampling) -> Plan:
    """Returns the strides of the operator's own climb, without a convolution at any step."""
    return operator.plain_steps(), nn.Identity, nn.Identity


def plan_refined_steps(operator: Upsampling) -> Plan:
    """Returns steps of two, with a learned 3×3 convolution after each."""
    return split_into_twos(operator.factor), nn.Identity, operator.build_refinement


def plan_preblurred_steps(operator: Upsampling) -> Plan:
    """Returns steps of two, with a learned 3×3 convolution before each.

    Raises:
        UserError: the operator is sparse.
    """
    if operator.sparse:
        raise UserError(
            f"upsample.refine=conv_first: {type(operator).__name__} leaves most pixels empty, and "
            "no convolution would come behind it.\nExpected conv or none"
        )
    return split_into_twos(operator.factor), operator.build_refinement, nn.Identity


REFINEMENTS = {
    "none": plan_plain_steps,
    "conv": plan_refined_steps,
    "conv_first": plan_preblurred_steps,
}


def split_into_twos(factor: int) -> list[int]:
    """Returns the steps of two whose product is a power of two."""
    return [2] * (factor.bit_length() - 1)


def dirac_kernel(size: int) -> Tensor:
    """Returns the kernel that changes nothing: 1 in the middle of size×size zeros."""
    kernel = torch.zeros(size, size)
    kernel[size // 2, size // 2] = 1
    return kernel


def require_divisor(groups: int, channels: int) -> None:
    """Refuses groups that do not divide the channels.

    Raises:
        UserError: they are not.
    """
    if channels % groups:
        raise UserError(f"upsample.groups={groups}: expected a divisor of the {channels} channels")
