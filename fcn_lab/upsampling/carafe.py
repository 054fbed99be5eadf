"""CARAFE: every place has a kernel of its own, predicted from the content around it."""

from collections.abc import Sequence
from typing import Annotated

import torch
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
        """Maps (N, C, h, w) -> kernels (N, h, w, f², k²), positive and summing to 1 over k²."""
        # channels last, and the values of a kernel side by side: a CPU is half again as fast
        x = self.compress(x.contiguous(memory_format=torch.channels_last))
        weight, bias = map(self._group_by_kernel, self.encode.parameters())
        logits = F.conv2d(x, weight, bias, padding=1)  # (N, f²·k², h, w)
        n, _, h, w = x.shape
        kernels = logits.permute(0, 2, 3, 1).reshape(n, h, w, self.stride**2, self.kernel**2)
        return kernels.softmax(4)

    def _group_by_kernel(self, parameter: Tensor) -> Tensor:
        """Maps (k²·f², …), as the layer has its channels, to (f²·k², …)."""
        parts = parameter.view(self.kernel**2, self.stride**2, *parameter.shape[1:])
        return parts.transpose(0, 1).flatten(0, 1)


def reassemble(x: Tensor, kernels: Tensor, stride: int) -> Tensor:
    """Returns, for each place in a cell, the weighted sum of its k×k neighbours, zero-padded.

    Args:
        x: (N, C, h, w).
        kernels: (N, h, w, f², k²); k odd.
        stride: f.

    Returns:
        (N, C, h·f, w·f).
    """
    n, c, h, w = x.shape
    size = int(kernels.shape[4] ** 0.5)
    margin = size // 2
    padded_x = F.pad(x.permute(0, 2, 3, 1), (0, 0, margin, margin, margin, margin))
    windows = padded_x.unfold(1, size, 1).unfold(2, size, 1)  # (N, h, w, C, k, k)
    neighbours = windows.permute(0, 1, 2, 4, 5, 3).reshape(n, h, w, size**2, c)
    cells = kernels.to(x.dtype) @ neighbours  # (N, h, w, f², C)
    # contiguous, since F.pixel_shuffle leaves channels last in memory as they are and torch.export
    # believes that it does not: convolutions behind it would round otherwise
    return F.pixel_shuffle(cells.permute(0, 4, 3, 1, 2).flatten(1, 2).contiguous(), stride)


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
