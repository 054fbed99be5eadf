"""Scores from one confusion matrix over the whole set.

Legend: K classes, n_ij pixels of class i predicted as class j, t_i = Σ_j n_ij pixels of class i.
"""

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor

VOID = 255


class SplitScores(TypedDict):
    """A split's scores in 0…1; an ``iou`` is None where truth and prediction lack the class."""

    pixel_accuracy: float
    mean_accuracy: float
    mean_iou: float
    fw_iou: float
    iou: dict[str, float | None]


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
    # void goes to one more cell, which is cut off below
    cell = torch.where(target == VOID, cells, pairs).flatten(1)
    cell = cell + torch.arange(n, device=cell.device).unsqueeze(1) * (cells + 1)
    counts = torch.bincount(cell.flatten(), minlength=n * (cells + 1)).view(n, cells + 1)
    return counts[:, :cells].reshape(n, num_classes, num_classes)


def compute_scores(matrix: Tensor, classes: Sequence[str]) -> SplitScores:
    """Returns the four scores of Long, Shelhamer, Darrell 2015, section 5, and each class's IoU.

    pixel accuracy Σ_i n_ii / Σ_i t_i; mean accuracy (1/K) Σ_i n_ii / t_i; IU_i = n_ii / (t_i + Σ_j
    n_ji − n_ii); mean IoU (1/K) Σ_i IU_i; frequency weighted IU Σ_i t_i IU_i / Σ_k t_k. A class
    absent from truth and prediction drops out of the means; mean accuracy runs over the classes the
    truth has.

    Args:
        matrix: K×K, rows truth.
        classes: the K names.
    """
    n = matrix.double()
    hits, truth, union = n.diag(), n.sum(1), n.sum(0) + n.sum(1) - n.diag()
    shown, present = truth > 0, union > 0
    iou = hits[present] / union[present]
    total = truth.sum().clamp(min=1)
    return SplitScores(
        pixel_accuracy=float(hits.sum() / total),
        mean_accuracy=mean_or_zero(hits[shown] / truth[shown]),
        mean_iou=mean_or_zero(iou),
        fw_iou=float((truth[present] * iou).sum() / total),
        iou={
            name: float(hits[i] / union[i]) if present[i] else None
            for i, name in enumerate(classes)
        },
    )


def mean_or_zero(values: Tensor) -> float:
    """Returns the mean, or 0 where there are no values."""
    return float(values.mean()) if len(values) else 0.0
