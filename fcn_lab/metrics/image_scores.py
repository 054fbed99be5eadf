"""The confusion matrices and losses of a split, image by image.

Legend: N H W batches, K classes, M images of a split.
"""

import torch
from torch import Tensor
from torchmetrics import Metric

from fcn_lab.metrics.confusion import confusion_matrices


class ImageScores(Metric):
    """Per image a K×K confusion matrix and a loss, gathered from all ranks.

    One rank alone writes an image's row, so sums over ranks are exact and the same on any number.
    """

    matrices: Tensor
    losses: Tensor
    full_state_update = False

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.expect(0)

    def expect(self, images: int) -> None:
        """Sets all rows to zero, for M = `images` of them."""
        matrices = torch.zeros(images, self.num_classes, self.num_classes, dtype=torch.int64)
        self.add_state("matrices", matrices.to(self.device), dist_reduce_fx="sum")
        losses = torch.zeros(images, dtype=torch.float32)
        self.add_state("losses", losses.to(self.device), dist_reduce_fx="sum")
        self.reset()

    def update(
        self, prediction: Tensor, target: Tensor, losses: Tensor | None, index: Tensor
    ) -> None:
        """Writes N rows: prediction and target (N,H,W), losses, if any, and index (N,)."""
        self.matrices[index] = confusion_matrices(prediction, target, self.num_classes)
        if losses is not None:
            self.losses[index] = losses.float()

    def compute(self) -> tuple[Tensor, Tensor]:
        """Returns the confusion matrices (M,K,K) and the losses (M,)."""
        return self.matrices.clone(), self.losses.clone()
