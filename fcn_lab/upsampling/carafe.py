"""CARAFE: every place has a kernel of its own, predicted from the content around it."""

from collections.abc import Sequence
from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from fcn_lab.errors import UserError
from fcn_lab.upsampling.base import Upsampling, split_into_twos
from fcn_lab.values import Width, check_arguments


class Reassembly(nn.Module):
    """Predicts f² kernels of k×k for each cell and sums the cell's neighbours with them."""

    def __init__(self, channels: int, stride: int, kernel: int, compressed_channels: int) -> None:
        super().__init__()
        self.stride, self.kernel = stride, kernel
        self.compress = nn.Conv2d(channels, compressed_channels, 1)
        self.encode = nn.Conv2d(compressed_channels, kernel**2 * stride**2, 3, padding=1)
        # nearly a box kernel at the start
        nn.init.normal_(self.encode.weight, std=0.001)
        nn.init.zeros_(self.encode.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, switches: Sequence[Tensor] = ()) -> Tensor:
        """Maps (N, C, h, w) -> (N, C, h·stride, w·stride)."""
        return reassemble(x, self.kernels(x), self.stride)

    def kernels(self, x: Tensor) -> Tensor:
        """Maps (N, C, h, w) -> kernels (N, k², f², h, w), positive and summing to 1 over k²."""
        n, _, h, w = x.shape
        # contiguous, so that it rounds alike behind a refinement and behind a sum with a skip
        logits: Tensor = self.encode(self.compress(x.contiguous()))  # (N, k²·f², h, w)
        return logits.view(n, self.kernel**2, self.stride**2, h, w).softmax(1)


def reassemble(x: Tensor, kernels: Tensor, stride: int) -> Tensor:
    """Returns, for each place in a cell, the weighted sum of its k×k neighbours, zero-padded.

    Args:
        x: (N, C, h, w).
        kernels: (N, k², f², h, w); k odd.
        stride: f.

    Returns:
        (N, C, h·f, w·f).
    """
    n, c, h, w = x.shape
    size = int(kernels.shape[1] ** 0.5)
    neighbours = F.unfold(x, size, padding=size // 2).view(n, c, size**2, h, w)
    cells = neighbours.permute(0, 3, 4, 1, 2) @ kernels.to(x.dtype).permute(0, 3, 4, 1, 2)
    # contiguous, since F.pixel_shuffle leaves channels last in memory as they are and torch.export
    # believes that it does not: convolutions behind it would round otherwise
    return F.pixel_shuffle(cells.flatten(3).permute(0, 3, 1, 2).contiguous(), stride)


@check_arguments
class Carafe(Upsampling):
    """Content-aware reassembly of features, in steps of two as in the paper.

    out[f·i + a, f·j + b] = Σ_mn W_{ij,ab}[m, n] x[i + m, j + n], with W a softmax over k×k of
    what a 1×1 convolution to C_m maps and a 3×3 convolution say of the place: Wang, Chen, Xu, Liu,
    Loy, Lin, "CARAFE: Content-Aware ReAssembly of FEatures", 2019, section 3. Kernels add to 1, so
    constants stay as they are; beyond the image there are zeros.

    Args:
        channels: C.
        factor: the scale.
        refine: see ``Upsampling``.
        kernel: k, odd; 5 in the paper.
        compressed: C_m; null is the paper's 64, or C where that is less.

    Raises:
        UserError: the kernel is even.
    """

    def __init__(
        self,
        channels: Width,
        factor: int,
        refine: str = "none",
        kernel: Annotated[int, Ge(1), Le(31)] = 5,
        compressed: Width | None = None,
    ) -> None:
        self.kernel = kernel
        self.compressed = min(64, channels) if compressed is None else compressed
        if kernel % 2 == 0:
            raise UserError(f"upsample.kernel={kernel}: expected an odd number")
        super().__init__(channels, factor, refine)

    def plain_steps(self) -> list[int]:
        """Returns steps of two: the kernels of ×32 in one step would be 25600 maps."""
        return split_into_twos(self.factor)

    def step(self, stride: int) -> nn.Module:
        """Returns the layer that predicts kernels of k×k and reassembles the cells by them."""
        return Reassembly(self.channels, stride, self.kernel, self.compressed)
