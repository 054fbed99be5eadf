"""Measures edges image by image: boundary F1, IoU in a trimap, the checkerboard index.

Legend: N batch, M images of a split, H W rows and columns, K classes, B band widths. A pixel is
boundary where one of its four neighbours has another class; void neither is nor makes a boundary,
and the image's border makes none.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from fcn_lab.metrics.checkerboard import checkerboard_index
from fcn_lab.metrics.scores import WIDTHS, compute_scores
from fcn_lab.pixels import VOID

TOLERANCE_SHARE = 0.0075  # of the image's diagonal
CLASSES_AT_ONCE = 62


class EdgeSummary(TypedDict):
    """The edge scores of a split, in 0…1; `trimap_iou` by band width in pixels.

    A value is None where no image has what it measures: a boundary, or two cells a side.
    """

    boundary_f1: float | None
    trimap_iou: dict[str, float | None]
    checkerboard_index: float | None


class EdgeRows(NamedTuple):
    """The edge counts of each of M images.

    Attributes:
        boundary: int64 (M,K,4): boundary pixels predicted, of these near one of their class in the
            truth, boundary pixels of the truth, of these near one of their class predicted.
        trimap: int64 (M,B,K,K): the confusion matrix within each width of the truth's boundaries.
        checkerboard_index: float (M,).
    """

    boundary: Tensor
    trimap: Tensor
    checkerboard_index: Tensor

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Returns the counts as arrays by name, and the band widths."""
        arrays = {name: rows.numpy() for name, rows in self._asdict().items()}
        return {**arrays, "widths": np.array(WIDTHS)}

    def summarize(self, classes: Sequence[str]) -> EdgeSummary:
        """Returns F1 and checkerboard index as means over images, IoU from summed matrices."""
        bands = zip(WIDTHS, self.trimap.sum(0), strict=True)
        return EdgeSummary(
            boundary_f1=finite_mean(boundary_f1(self.boundary)),
            trimap_iou={
                str(width): compute_scores(band, classes)["mean_iou"] if band.any() else None
                for width, band in bands
            },
            checkerboard_index=finite_mean(self.checkerboard_index),
        )


def find_boundaries(labels: Tensor) -> Tensor:
    """Marks the boundary pixels of labels (N,H,W), as bool (N,H,W)."""
    boundaries = torch.zeros_like(labels, dtype=torch.bool)
    for axis in (1, 2):
        steps = labels.shape[axis] - 1
        first, second = labels.narrow(axis, 0, steps), labels.narrow(axis, 1, steps)
        is_boundary = (first != second) & (first != VOID) & (second != VOID)
        boundaries.narrow(axis, 0, steps).logical_or_(is_boundary)
        boundaries.narrow(axis, 1, steps).logical_or_(is_boundary)
    return boundaries


def count_boundary_pixels(
    prediction: Tensor, target: Tensor, num_classes: int, tolerance: float = TOLERANCE_SHARE
) -> Tensor:
    """Returns the counts behind the boundary F1 of each class, see `EdgeRows.boundary`.

    Two boundary pixels are near where their Euclidean distance is at most a share of the image's
    diagonal, 0.75 % as in SegNet's paper (Badrinarayanan, Kendall, Cipolla 2017, after Csurka et
    al. 2013).

    Args:
        prediction: labels 0…K−1, (N,H,W), any integer type.
        target: labels 0…K−1 or ``VOID``, (N,H,W).
        num_classes: K.
        tolerance: the share of the diagonal.

    Returns:
        int64 (N,K,4).
    """
    truth = target.long()
    guess = torch.where(truth == VOID, VOID, prediction.long())
    radius = tolerance * math.hypot(*truth.shape[1:])
    of_truth, of_guess = (
        torch.where(find_boundaries(labels), labels, num_classes) for labels in (truth, guess)
    )
    counts = [
        *_count_near(of_guess, of_truth, num_classes, radius),
        *_count_near(of_truth, of_guess, num_classes, radius),
    ]
    return torch.stack(counts, 2)


def boundary_f1(counts: Tensor) -> Tensor:
    """Maps counts (M,K,4) to (M,): per image the mean over classes of 2PR / (P + R).

    P is the share of predicted boundary pixels that lie near the truth's, R that of the truth's
    near a predicted one. A class with no boundary in either drops out, one with a boundary in one
    of them counts 0, and an image with no boundary at all is nan.
    """
    prediction_count, prediction_hits, truth_count, truth_hits = counts.double().unbind(2)
    precision = prediction_hits / prediction_count.clamp(min=1)
    recall = truth_hits / truth_count.clamp(min=1)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    return f1.where(prediction_count + truth_count > 0, math.nan).nanmean(1)


def trimap_matrices(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Returns the confusion matrices of the bands along the truth's boundaries.

    A band of width w holds, on each side, the boundary pixel itself and those less than w away
    (Kohli, Ladický, Torr 2009; Krähenbühl and Koltun 2011).

    Returns:
        int64 (N,B,K,K), rows truth, one for each of `WIDTHS`.
    """
    n, cells, truth = len(target), num_classes**2, target.long()
    squares = torch.tensor([width**2 for width in WIDTHS], device=truth.device)
    distance = _squared_distance(find_boundaries(truth), max(WIDTHS))
    ring = torch.bucketize(distance, squares, right=True)  # (N,H,W), B beyond the widest
    cell = (ring * cells + truth * num_classes + prediction.long()).where(
        truth != VOID, len(WIDTHS) * cells
    )
    size = (len(WIDTHS) + 1) * cells
    cell = cell.flatten(1) + torch.arange(n, device=truth.device)[:, None] * size
    rings = torch.bincount(cell.flatten(), minlength=n * size).view(n, -1, num_classes, num_classes)
    return rings[:, :-1].cumsum(1)


def finite_mean(values: Tensor) -> float | None:
    """Returns the mean of the values that are not nan, or None if there are none."""
    finite_values = values[values.isfinite()].double()
    return float(finite_values.mean()) if len(finite_values) else None


class ImageEdges(Metric):
    """Collects the `EdgeRows` of a split from all ranks; exactly one rank writes each image.

    Args:
        num_classes: K.
        period: the stride of the network's last climb; None where unknown.
    """

    boundary: Tensor
    trimap: Tensor
    checkerboard_index: Tensor
    full_state_update = False

    def __init__(self, num_classes: int, period: int | None) -> None:
        super().__init__()
        self.num_classes, self.period = num_classes, period
        self.expect(0)

    def expect(self, images: int) -> None:
        """Empties the rows and makes room for M = `images`."""
        k = self.num_classes
        for name, rows in {
            "boundary": torch.zeros(images, k, 4, dtype=torch.int64),
            "trimap": torch.zeros(images, len(WIDTHS), k, k, dtype=torch.int64),
            "checkerboard_index": torch.zeros(images),
        }.items():
            self.add_state(name, rows.to(self.device), dist_reduce_fx="sum")
        self.reset()

    def update(self, scores: Tensor, prediction: Tensor, target: Tensor, index: Tensor) -> None:
        """Writes N rows: scores (N,K,H,W), prediction and target (N,H,W), index (N,)."""
        self.boundary[index] = count_boundary_pixels(prediction, target, self.num_classes)
        self.trimap[index] = trimap_matrices(prediction, target, self.num_classes)
        self.checkerboard_index[index] = checkerboard_index(scores, self.period)

    def compute(self) -> EdgeRows:
        """Returns the rows of all ranks on the CPU."""
        return EdgeRows(self.boundary.cpu(), self.trimap.cpu(), self.checkerboard_index.cpu())


def _count_near(
    labels: Tensor, reference: Tensor, num_classes: int, radius: float
) -> tuple[Tensor, Tensor]:
    """Returns, per class, the boundary pixels of `labels` and those near one in `reference`.

    Both hold a boundary pixel's class and elsewhere K, (N,H,W). Each class is a bit of an int64,
    one more bit stands for none, so that a map is spread over the disk for many classes at once.
    """
    totals, hits = [], []
    for first in range(0, num_classes, CLASSES_AT_ONCE):
        size = min(CLASSES_AT_ONCE, num_classes - first)
        # 0…size − 1 for the classes of this turn, size for all others
        marks, sources = (
            torch.where((m >= first) & (m < first + size), m - first, size)
            for m in (labels, reference)
        )
        is_near = (_dilate(torch.ones_like(sources) << sources, radius) >> marks) & 1
        image = torch.arange(len(marks), device=marks.device).view(-1, 1, 1)
        cell = (2 * image + is_near) * (size + 1) + marks
        counts = torch.bincount(cell.flatten(), minlength=len(marks) * 2 * (size + 1))
        counts = counts.view(len(marks), 2, size + 1)[:, :, :size]
        totals.append(counts.sum(1))
        hits.append(counts[:, 1])
    return torch.cat(totals, 1), torch.cat(hits, 1)


def _dilate(marks: Tensor, radius: float) -> Tensor:
    """Returns (N,H,W): each pixel's bits spread over the disk of that radius."""
    reach, row, result = int(radius), marks.clone(), torch.zeros_like(marks)
    half_width = 0
    for down in range(min(reach, marks.shape[1] - 1), -1, -1):
        while half_width + 1 <= math.sqrt(radius**2 - down**2) and half_width + 1 < marks.shape[2]:
            # rows nearer to the disk's centre are longer
            half_width += 1
            row[:, :, half_width:] |= marks[:, :, :-half_width]
            row[:, :, :-half_width] |= marks[:, :, half_width:]
        result[:, down:] |= row[:, : row.shape[1] - down]
        result[:, : row.shape[1] - down] |= row[:, down:]
    return result


def _squared_distance(marks: Tensor, reach: int) -> Tensor:
    """Returns the squared distance to the nearest marked pixel, (N,H,W), at most 2·`reach`²."""
    limit = torch.tensor(2 * reach**2, dtype=torch.int16, device=marks.device)
    distance = torch.where(marks, torch.zeros_like(limit), limit)
    for axis in (1, 2):
        start = distance.clone()
        for step in range(1, min(reach, marks.shape[axis])):
            size = marks.shape[axis] - step
            for source, destination in ((0, step), (step, 0)):
                neighbours, target = (
                    start.narrow(axis, source, size),
                    distance.narrow(axis, destination, size),
                )
                torch.minimum(target, neighbours + step**2, out=target)
    return distance
