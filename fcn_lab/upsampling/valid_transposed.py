"""The deconvolutions of the published nets."""

from torch import nn

from fcn_lab.upsampling.kernels import TransposedConv


class ValidTransposedConv(TransposedConv):
    """Interpolates bilinearly without padding: (N, C, h, w) -> (N, C, (h + 1)·f, (w + 1)·f).

    out = (in − 1)·f + 2f. The network's crops cut the borders off; the kernels tell where.
    """

    def step(self, stride: int) -> nn.Module:
        """Returns a transposed convolution of ×stride without padding."""
        conv = super().step(stride)
        conv.padding = (0, 0)  # type: ignore[assignment]
        return conv

    def scale_length(self, length: int) -> int:
        """Returns the rows, or columns, that so many of the input become."""
        return (length + 1) * self.factor
