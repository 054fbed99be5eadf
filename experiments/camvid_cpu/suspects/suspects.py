"""Changes of camvid_cpu's network that its words do not offer, for experiment=suspects."""

from torch import Tensor, nn
from torch.nn import functional as F

from fcn_lab.encoders.base import STRIDE, conv_bn_relu
from fcn_lab.networks.fcn import FCN
from fcn_lab.training.losses import Loss


class ConvolvedFCN(FCN):
    """Convolves pool1 and pool2 by 3×3 before it scores them; arguments are those of `FCN`."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        for level in (1, 2):
            channels = self.encoder.channels[level - 1]
            convolution = conv_bn_relu(channels, channels)
            nn.init.kaiming_normal_(convolution[0].weight, mode="fan_out", nonlinearity="relu")
            score = getattr(self, f"score_pool{level}")
            setattr(self, f"score_pool{level}", nn.Sequential(convolution, score))


class SupervisedFCN(FCN):
    """Hands the scores of each coarser stride to the loss; arguments are those of `FCN`.

    They are the attribute ``coarse`` of the scores while it trains: a list of (N, K, H, W), each
    spread over the image by a bilinear step, from stride 32 to twice the finest.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps RGB in 0…1 (N, 3, H, W) to scores (N, K, H, W)."""
        self.coarse: list[Tensor] = []
        hook = self.score_fr.register_forward_hook(lambda *call: self.coarse.append(call[-1]))
        scores = super().forward(x)
        hook.remove()
        if self.training:
            # the finest is what the last climb begins with, and is judged behind it
            scores.coarse = [self.spread(score, x, i) for i, score in enumerate(self.coarse[:-1])]
        del self.coarse
        return scores

    def fuse(self, upscore: Tensor, score_pool: Tensor) -> Tensor:
        """Returns the sum, and keeps it."""
        fused = super().fuse(upscore, score_pool)
        self.coarse.append(fused)
        return fused

    def spread(self, score: Tensor, image: Tensor, fused_pools: int) -> Tensor:
        """Maps scores (N, K, /s) to (N, K, H, W)."""
        spread = F.interpolate(
            score.float(), scale_factor=STRIDE >> fused_pools, mode="bilinear", align_corners=False
        )
        return self.alignment.leave(spread, image)


class DeepSupervision(Loss):
    """Adds the mean of a loss over the coarser scores, if a network hands them on.

    Args:
        loss: judges scores (N, K, H, W) by labels (N, H, W).
        weight: what the coarser scores' mean counts beside the finest's.
    """

    def __init__(self, loss: Loss, weight: float) -> None:
        super().__init__()
        self.loss, self.weight = loss, weight

    def calibrate(self, counts: Tensor, pixels: Tensor) -> None:
        """Passes the class counts on to the loss."""
        self.loss.calibrate(counts, pixels)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of the scores and of the coarser ones."""
        coarse = [self.loss(score, target) for score in getattr(scores, "coarse", ())]
        loss: Tensor = self.loss(scores, target)
        return loss + self.weight * sum(coarse) / len(coarse) if coarse else loss
