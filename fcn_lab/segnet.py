"""SegNet: a decoder that mirrors the encoder and unpools with its own switches, by channel."""

from torch import Tensor, nn

from fcn_lab.encoders.base import LEVELS, STRIDE, Encoder, conv_bn_relu
from fcn_lab.fcn import UpsamplingFactory
from fcn_lab.geometry import crop_to, pad_to_multiple
from fcn_lab.upsampling import Upsampling


class SegNet(nn.Module):
    """Badrinarayanan, Kendall, Cipolla, "SegNet", PAMI 2017, over any encoder and any operator.

    No scores are fused and no map is handed over: the decoder knows of the finer levels by the
    switches alone. With max-unpooling they are per channel where a pool has as many channels as its
    map, as in the paper.

    Args:
        encoder: where pool5 and the switches come from; its head is not used.
        upsample: builds an operator from (channels, factor).
        num_classes: K.
    """

    def __init__(self, encoder: Encoder, upsample: UpsamplingFactory, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        widths = encoder.channels
        finer = [widths[0], *widths[:-1]]
        self.climb = nn.ModuleList(upsample(widths[i], 2) for i in range(LEVELS))
        self.decode = nn.ModuleList(
            nn.Sequential(conv_bn_relu(widths[i], widths[i]), conv_bn_relu(widths[i], finer[i]))
            for i in range(LEVELS)
        )
        self.score = nn.Conv2d(widths[0], num_classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """RGB in 0…1 (N, 3, H, W) -> scores (N, K, H, W), for any H, W ≥ 1."""
        features = self.encoder(pad_to_multiple(self.encoder.normalize(x), STRIDE))
        y = features.pools[-1]  # (N, C, /32)
        for i in reversed(range(LEVELS)):
            climb: Upsampling = self.climb[i]  # type: ignore[assignment]
            switches = (
                features.switches(i + 1, channels=y.shape[1]) if climb.uses_switches else None
            )
            y = self.decode[i](climb(y, switches))  # (N, finer[i], /2^i)
        return crop_to(self.score(y), x)
