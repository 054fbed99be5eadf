"""Computes scores from one confusion matrix over the whole set; no other file has their formulas.

Legend: K classes, n_ij pixels of class i predicted as class j, t_i = Σ_j n_ij pixels of class i.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
# widths of a trimap: pixels on each side of a boundary
WIDTHS = (1, 2, 4, 8, 16)


class SplitScores(TypedDict):
    """A split's scores in 0…1, over all classes and by class.

    An ``iou`` is None where truth and prediction lack the class, an ``accuracy`` where truth does.
    """

    pixel_accuracy: float
    mean_accuracy: float
    mean_iou: float
    fw_iou: float
    iou: dict[str, float | None]
    accuracy: dict[str, float | None]


def compute_class_iou(matrices: Floats) -> Floats:
    """Maps (…,K,K), rows truth, to n_ii / (t_i + Σ_j n_ji − n_ii), (…,K).

    A class that is absent from truth and prediction is nan.
    """
    return divide(*count_overlaps(matrices))


def count_overlaps(matrices: Floats) -> tuple[Floats, Floats]:
    """Maps (…,K,K) to intersections n_ii and unions t_i + Σ_j n_ji − n_ii, both (…,K)."""
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    return hits, matrices.sum(-1) + matrices.sum(-2) - hits


def compute_class_accuracy(matrices: Floats) -> Floats:
    """Maps (…,K,K), rows truth, to n_ii / t_i, (…,K); a class that truth lacks is nan."""
    return divide(np.diagonal(matrices, axis1=-2, axis2=-1), matrices.sum(-1))


def compute_scores(matrix: ArrayLike, classes: Sequence[str]) -> SplitScores:
    """Returns the scores of Long, Shelhamer, Darrell 2015, section 5, and those of each class.

    pixel accuracy Σ_i n_ii / Σ_i t_i; mean accuracy (1/K) Σ_i n_ii / t_i; IU_i = n_ii / (t_i + Σ_j
    n_ji − n_ii); mean IoU (1/K) Σ_i IU_i; frequency weighted IU Σ_i t_i IU_i / Σ_k t_k. A class
    absent from truth and prediction drops out of the means; mean accuracy runs over the classes the
    truth has.

    Args:
        matrix: K×K, rows truth; an array, or a tensor on the CPU.
        classes: the K names.
    """
    n = np.asarray(matrix, np.float64)
    truth, iou, accuracy = n.sum(1), compute_class_iou(n), compute_class_accuracy(n)
    total, has_iou = max(truth.sum(), 1.0), np.isfinite(iou)
    return SplitScores(
        pixel_accuracy=float(n.trace() / total),
        mean_accuracy=_average_known(accuracy),
        mean_iou=_average_known(iou),
        fw_iou=float((truth[has_iou] * iou[has_iou]).sum() / total),
        iou=_name_values(classes, iou),
        accuracy=_name_values(classes, accuracy),
    )


def divide(numerator: Floats, denominator: Floats) -> Floats:
    """Returns the quotients, nan where the denominator is not above 0."""
    result: Floats = np.where(
        denominator > 0, numerator / np.where(denominator > 0, denominator, 1), np.nan
    )
    return result


def _average_known(values: Floats) -> float:
    finite_values = values[np.isfinite(values)]
    return float(finite_values.mean()) if len(finite_values) else 0.0


def _name_values(classes: Sequence[str], values: Floats) -> dict[str, float | None]:
    pairs = zip(classes, values.tolist(), strict=True)
    return {name: value if np.isfinite(value) else None for name, value in pairs}
