"""Losses: modules called as ``loss(scores, target)``.

``scores`` are (N, K, H, W), ``target`` int64 (N, H, W) with 0…K−1 or ``VOID``; void pixels add
nothing, and a batch of void alone gives 0. ``calibrate(counts, pixels)`` is called once before
training with, for each class, its pixels in the training set and the pixels of the images that show
it: losses that weight classes learn the weights there.

    >>> scores = torch.zeros(1, 4, 2, 2)
    >>> target = torch.tensor([[[0, 1], [3, VOID]]])
    >>> loss = CrossEntropy()(scores, target)
    >>> torch.isclose(loss, torch.tensor(4.0).log())
    tensor(True)
    >>> WeightedSum([CrossEntropy(), Dice()], weights=[1.0, 0.5])(scores, target).shape
    torch.Size([])
    >>> CrossEntropy(reducton="sum")
    Traceback (most recent call last):
    fcn_lab.errors.UserError: CrossEntropy has no argument reducton. Did you mean reduction?
    It takes reduction, balance
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from fcn_lab.values import NotNegative, check_arguments

Balance = Callable[[Tensor, Tensor], Tensor]


@check_arguments
class Loss(nn.Module):
    """The base of all losses; see the top of this file."""

    def __init__(self) -> None:
        super().__init__()

    def calibrate(self, counts: Tensor, pixels: Tensor) -> None:
        """Learns from the training set's class counts; most losses have nothing to learn."""


@check_arguments
class CrossEntropy(Loss):
    """− Σ w_y log softmax(scores)_y over the pixels, summed or divided by Σ w_y.

    Args:
        reduction: "mean", or "sum" as in the FCN paper's published solvers.
        balance: class weights from (counts, shown), e.g. ``MedianFrequency``; None weights all
            classes alike.

    Raises:
        UserError: the reduction is neither of the two.
    """

    weight: Tensor | None

    def __init__(self, reduction: str = "mean", balance: Balance | None = None) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise UserError(f"loss.reduction={reduction}: expected one of {', '.join(REDUCTIONS)}")
        self.reduction, self.reduce = reduction, REDUCTIONS[reduction]
        # whether the loss sums over the images of a batch instead of averaging them
        self.is_sum = reduction == "sum"
        self.balance = balance
        self.register_buffer("weight", None)

    def calibrate(self, counts: Tensor, pixels: Tensor) -> None:
        """Sets the class weights that `balance` computes from the counts."""
        if self.balance is not None:
            self.weight = self.balance(counts, pixels).float().to(counts.device)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Returns the loss as a scalar."""
        # torch's own sum over pixels adds in no fixed order on a GPU
        losses = F.cross_entropy(scores, target, self.weight, ignore_index=VOID, reduction="none")
        return self.reduce(losses.sum(), target, self.weight)


def divide_by_weights(total: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """Returns the sum divided by the weights of the pixels it ran over."""
    labels = target[target != VOID]
    mass = (
        weight[labels].sum()
        if weight is not None
        else torch.tensor(labels.numel(), device=total.device)
    )
    return total / mass.clamp(min=torch.finfo(torch.float32).tiny) if labels.numel() else total


def keep_sum(total: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """Returns the sum unchanged."""
    return total


REDUCTIONS = {"mean": divide_by_weights, "sum": keep_sum}


@check_arguments
class SmpLoss(Loss):
    """A loss of segmentation-models-pytorch under our void rule.

    Args:
        loss: built with ``mode="multiclass"`` and, where it takes one, ``ignore_index=255``.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Returns the loss as a scalar."""
        if not (target != VOID).any():
            return scores.sum() * 0
        value: Tensor = self.loss(scores.float(), target)
        return value


class Dice(Loss):
    """1 − mean over the K classes of 2|P∩T| / (|P| + |T|), 0 for those the batch does not show.

    Milletari, Navab, Ahmadi, "V-Net", 2016. Equal to segmentation-models-pytorch's up to rounding,
    in a third of its time: the truth is looked up, not expanded to K planes.
    """

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Returns the loss as a scalar."""
        num_classes, is_labelled = scores.shape[1], target != VOID
        truth = target.where(is_labelled, 0)
        p = scores.float().softmax(1) * is_labelled.unsqueeze(1)  # (N, K, H, W)
        overlaps = sum_by_class(p.gather(1, truth.unsqueeze(1)).squeeze(1), truth, num_classes)
        counts = torch.bincount(target[is_labelled], minlength=num_classes)
        dice = 2 * overlaps / (p.sum((0, 2, 3)) + counts).clamp(min=1e-7)
        return ((1 - dice) * (counts > 0)).mean()


def sum_by_class(values: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Returns the sum (K,) of the values (N,H,W) at the pixels of each label (N,H,W).

    It sums row by row first: float32 would lose most values that are added one by one to millions.
    """
    rows = values.shape[:2].numel()
    first_cells = torch.arange(rows, device=labels.device).unsqueeze(1) * num_classes
    cells = (labels.flatten(0, 1) + first_cells).flatten()
    row_sums = values.new_zeros(rows * num_classes).index_add(0, cells, values.flatten())
    return row_sums.view(rows, num_classes).sum(0)


@check_arguments
class Focal(SmpLoss):
    """− (1 − p_t)^γ log p_t of each class against the rest, p by a sigmoid.

    Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", 2017.

    Args:
        gamma: γ.
    """

    def __init__(self, gamma: Annotated[float, Ge(0), Le(100)] = 2.0) -> None:
        from segmentation_models_pytorch import losses as smp

        super().__init__(smp.FocalLoss("multiclass", gamma=gamma, ignore_index=VOID))


@check_arguments
class Lovasz(SmpLoss):
    """The Lovász extension of 1 − IoU (Berman, Triki, Blaschko, "Lovász-Softmax", 2018)."""

    def __init__(self, per_image: bool = False) -> None:
        from segmentation_models_pytorch import losses as smp

        super().__init__(smp.LovaszLoss("multiclass", per_image=per_image, ignore_index=VOID))


@check_arguments
class WeightedSum(Loss):
    """Σ w_i L_i, a weighted sum of losses.

    Args:
        losses: the L_i.
        weights: the w_i, as many.

    Raises:
        UserError: there are not as many weights as losses.
    """

    def __init__(self, losses: Sequence[Loss], weights: Sequence[NotNegative]) -> None:
        super().__init__()
        if len(losses) != len(weights):
            raise UserError(
                f"loss: {len(losses)} losses and {len(weights)} weights: expected as many"
            )
        self.losses, self.weights = nn.ModuleList(losses), tuple(weights)

    def calibrate(self, counts: Tensor, pixels: Tensor) -> None:
        """Passes the counts on to each loss."""
        for loss in self.losses:
            loss.calibrate(counts, pixels)  # type: ignore[operator]

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Returns the loss as a scalar."""
        return compute_on_rank(self, scores, target, ranks=1)


def compute_on_rank(loss: nn.Module, scores: Tensor, target: Tensor, ranks: int) -> Tensor:
    """Returns what each of several ranks learns from, on its part of a batch.

    Ranks average their gradients: a mean over pixels stays as it is, and a sum is over the images
    of all, also as a part of a weighted sum.
    """
    if isinstance(loss, WeightedSum):
        pairs = zip(loss.weights, loss.losses, strict=True)
        parts = [w * compute_on_rank(part, scores, target, ranks) for w, part in pairs]
        return torch.stack(parts).sum()
    value: Tensor = loss(scores, target)
    return value * ranks if getattr(loss, "is_sum", False) else value
