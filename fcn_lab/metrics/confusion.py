"""The confusion matrix of each image, from which all scores are computed."""

import torch
from torch import Tensor

from fcn_lab.pixels import VOID


def confusion_matrices(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Returns one K×K matrix per image, rows truth, columns prediction, without void pixels.

    Args:
        prediction: labels 0…K−1, (N, H, W), any integer type.
        target: labels 0…K−1 or ``VOID``, (N, H, W), any integer type.
        num_classes: K.

    Returns:
        int64 (N, K, K).
    """
    n, cells = len(target), num_classes**2
    pairs = target.long() * num_classes + prediction.long()  # (N, H, W)
    # void counts in one more cell, which is cut off below
    cell = torch.where(target == VOID, cells, pairs).flatten(1)
    cell = cell + torch.arange(n, device=cell.device).unsqueeze(1) * (cells + 1)
    counts = torch.bincount(cell.flatten(), minlength=n * (cells + 1)).view(n, cells + 1)
    return counts[:, :cells].reshape(n, num_classes, num_classes)
