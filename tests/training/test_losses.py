"""The losses' common rule for void, and each against its definition."""

import pytest
import torch
import torch.nn.functional as F
from segmentation_models_pytorch import losses as smp_losses
from torch import Tensor

from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from fcn_lab.training.losses import (
    CrossEntropy,
    Dice,
    Focal,
    Loss,
    Lovasz,
    WeightedSum,
    compute_on_rank,
)

LOSSES = (
    CrossEntropy(),
    CrossEntropy("sum"),
    Dice(),
    Focal(),
    Lovasz(),
    WeightedSum([CrossEntropy(), Dice()], [1, 2]),
)


@pytest.fixture
def case() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    target = torch.randint(4, (2, 6, 5), generator=draw)
    target[:, :2] = VOID
    return torch.randn(2, 4, 6, 5, generator=draw), target


@pytest.mark.parametrize("loss", LOSSES)
def test_void_pixels_have_no_gradient(loss: Loss, case: tuple[Tensor, Tensor]) -> None:
    scores, target = case
    scores.requires_grad_()
    loss(scores, target).backward()
    assert scores.grad is not None
    assert torch.count_nonzero(scores.grad[:, :, :2]) == 0
    assert torch.count_nonzero(scores.grad[:, :, 2:]) > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_of_void_alone_costs_nothing_and_is_differentiable(loss: Loss) -> None:
    scores = torch.randn(1, 4, 3, 3, requires_grad=True)
    value = loss(scores, torch.full((1, 3, 3), VOID))
    value.backward()
    assert value.item() == 0
    assert scores.grad is not None
    assert torch.count_nonzero(scores.grad) == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_of_half_precision_scores_is_that_of_the_same_numbers_in_float32(
    loss: Loss, case: tuple[Tensor, Tensor]
) -> None:
    scores, target = case[0].bfloat16(), case[1]
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(scores, target)
    torch.testing.assert_close(value, loss(scores.float(), target), check_dtype=False)


def test_mean_cross_entropy_is_torchs_own(case: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(CrossEntropy()(*case), F.cross_entropy(*case, ignore_index=VOID))


def test_the_sum_is_the_mean_times_the_pixels(case: tuple[Tensor, Tensor]) -> None:
    seen = int((case[1] != VOID).sum())
    torch.testing.assert_close(CrossEntropy("sum")(*case), CrossEntropy()(*case) * seen)


def test_class_weights_come_from_the_counts_and_are_torchs_weights(
    case: tuple[Tensor, Tensor],
) -> None:
    loss = CrossEntropy(balance=lambda counts, shown: shown / counts)
    counts, shown = torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.full((4,), 8.0)
    loss.calibrate(counts, shown)
    expected = F.cross_entropy(*case, weight=torch.tensor([8.0, 4.0, 2.0, 1.0]), ignore_index=VOID)
    torch.testing.assert_close(loss(*case), expected)


def test_dice_of_a_sure_and_right_answer_is_zero_and_of_a_wrong_one_is_one() -> None:
    target = torch.tensor([[[0, 1], [1, 0]]])
    right = F.one_hot(target, 2).movedim(-1, 1) * 100.0
    assert Dice()(right, target).item() == pytest.approx(0, abs=1e-5)
    assert Dice()(right.flip(1), target).item() == pytest.approx(1, abs=1e-5)


def test_dice_is_that_of_segmentation_models(case: tuple[Tensor, Tensor]) -> None:
    scores, target = case
    mine, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    target[target == 3] = 0  # a class the batch does not show
    ours, oracle = (
        Dice()(mine, target),
        smp_losses.DiceLoss("multiclass", ignore_index=VOID)(theirs, target),
    )
    torch.testing.assert_close(ours, oracle)
    torch.testing.assert_close(
        *torch.autograd.grad(ours, mine), *torch.autograd.grad(oracle, theirs)
    )


def test_dice_of_sure_answers_on_large_images_is_that_of_double_precision() -> None:
    scores = 7 + torch.rand(1, 1, 700, 700, generator=torch.Generator().manual_seed(0))
    scores = torch.cat([scores, torch.zeros_like(scores)], 1)
    target = torch.zeros(1, 700, 700, dtype=torch.long)
    oracle = smp_losses.DiceLoss("multiclass")(scores.double(), target)
    torch.testing.assert_close(Dice()(scores, target).double(), oracle, rtol=0.01, atol=0)


def test_focal_with_gamma_zero_is_binary_cross_entropy_class_by_class(
    case: tuple[Tensor, Tensor],
) -> None:
    scores, target = case
    by_class = F.one_hot(target.where(target != VOID, 0), 4).movedim(-1, 1)[:, :, 2:].float()
    expected = F.binary_cross_entropy_with_logits(scores[:, :, 2:], by_class)
    torch.testing.assert_close(Focal(gamma=0)(scores, target), expected)


def test_lovasz_of_hard_answers_is_one_minus_the_mean_iou_of_the_classes_shown() -> None:
    target = torch.tensor([[[0, 0, 1, 1]]])
    predicted = torch.tensor([[[0, 1, 1, 1]]])
    scores = F.one_hot(predicted, 2).movedim(-1, 1) * 100.0
    assert Lovasz()(scores, target).item() == pytest.approx(1 - (1 / 2 + 2 / 3) / 2, abs=1e-5)


def test_a_weighted_sum_is_the_sum(case: tuple[Tensor, Tensor]) -> None:
    both = WeightedSum([CrossEntropy(), Dice()], [2.0, 3.0])(*case)
    torch.testing.assert_close(both, 2 * CrossEntropy()(*case) + 3 * Dice()(*case))


def test_impossible_losses_are_refused_in_the_users_words() -> None:
    with pytest.raises(UserError, match=r"loss\.reduction=median: expected one of mean, sum"):
        CrossEntropy("median")
    with pytest.raises(UserError, match="1 losses and 2 weights"):
        WeightedSum([Dice()], [1, 2])


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_that_average_learn_what_one_learns_from_the_whole_batch(ranks: int) -> None:
    """Of a mean that needs as many pixels on each rank, of a sum any number."""
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 3, 2, 5, generator=draw)
    target = torch.randint(3, (4, 2, 5), generator=draw)
    parts = [CrossEntropy("sum"), CrossEntropy()]
    for loss in (*parts, WeightedSum(parts, [1.0, 20.0])):
        shares = zip(scores.chunk(ranks), target.chunk(ranks), strict=True)
        learned = torch.stack([compute_on_rank(loss, *share, ranks) for share in shares])
        torch.testing.assert_close(learned.mean(), loss(scores, target))
