"""The scores against a ten-line numpy reference and against torchmetrics."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex

from fcn_lab.metrics.confusion import confusion_matrices
from fcn_lab.metrics.scores import compute_scores
from fcn_lab.pixels import VOID


def reference(
    prediction: np.ndarray, target: np.ndarray, k: int
) -> tuple[float, float, float, float, list[float], list[float]]:
    """Straight from the definitions, class by class, with sets of pixels."""
    p, t = prediction[target != VOID], target[target != VOID]
    hit = [((p == c) & (t == c)).sum() for c in range(k)]
    iou = [h / u if (u := ((p == c) | (t == c)).sum()) else np.nan for c, h in enumerate(hit)]
    accuracy = [h / n if (n := (t == c).sum()) else np.nan for c, h in enumerate(hit)]
    frequency = [(t == c).mean() for c in range(k)]
    weighted = np.nansum(np.array(frequency) * np.array(iou))
    return (p == t).mean(), np.nanmean(accuracy), np.nanmean(iou), weighted, iou, accuracy


def random_case(seed: int, k: int) -> tuple[Tensor, Tensor]:
    """Labels with void, with classes that are absent from the truth, the prediction, or both."""
    draw = torch.Generator().manual_seed(seed)
    shown = torch.randperm(k, generator=draw)[: 1 + seed % k]
    guessed = torch.randperm(k, generator=draw)[: 1 + seed // 2 % k]
    target = shown[torch.randint(len(shown), (3, 9, 7), generator=draw)]
    prediction = guessed[torch.randint(len(guessed), (3, 9, 7), generator=draw)]
    target[torch.rand(3, 9, 7, generator=draw) < 0.2] = VOID
    return prediction, target


@pytest.mark.parametrize("seed", range(12))
def test_scores_equal_the_reference_with_void_and_absent_classes(seed: int) -> None:
    prediction, target = random_case(seed, k=6)
    got = compute_scores(confusion_matrices(prediction, target, 6).sum(0), list("abcdef"))
    g, c, m, f, *by_class = reference(prediction.numpy(), target.numpy(), 6)
    summary = [got["pixel_accuracy"], got["mean_accuracy"], got["mean_iou"], got["fw_iou"]]
    assert summary == pytest.approx([g, c, m, f])
    for values, expected in zip((got["iou"], got["accuracy"]), by_class, strict=True):
        known = [np.nan if v is None else v for v in values.values()]
        assert known == pytest.approx(expected, nan_ok=True)


def test_pixel_accuracy_is_the_accuracies_of_the_classes_by_their_share() -> None:
    prediction, target = random_case(3, k=6)
    matrix = confusion_matrices(prediction, target, 6).sum(0)
    got, share = compute_scores(matrix, "abcdef"), matrix.sum(1) / matrix.sum()
    weighted = [s * (v or 0) for s, v in zip(share.tolist(), got["accuracy"].values(), strict=True)]
    assert got["pixel_accuracy"] == pytest.approx(sum(weighted))


@pytest.mark.parametrize("seed", range(4))
def test_confusions_equal_torchmetrics(seed: int) -> None:
    prediction, target = random_case(seed, k=6)
    oracle = MulticlassConfusionMatrix(6, ignore_index=VOID)(prediction, target)
    assert torch.equal(confusion_matrices(prediction, target, 6).sum(0), oracle)
    jaccard = MulticlassJaccardIndex(6, ignore_index=VOID)(prediction, target)
    got = compute_scores(oracle, list("abcdef"))["mean_iou"]
    assert got == pytest.approx(float(jaccard))


def test_each_image_has_its_own_matrix() -> None:
    prediction, target = random_case(5, k=6)
    together = confusion_matrices(prediction, target, 6)
    alone = [confusion_matrices(prediction[i : i + 1], target[i : i + 1], 6)[0] for i in range(3)]
    assert torch.equal(together, torch.stack(alone))


def test_void_pixels_count_nowhere() -> None:
    target = torch.full((1, 4, 4), VOID)
    matrix = confusion_matrices(torch.ones(1, 4, 4, dtype=torch.long), target, 3)
    assert matrix.sum() == 0
    assert set(compute_scores(matrix[0], "abc")["iou"].values()) == {None}


def test_bytes_are_counted_as_integers() -> None:
    """uint8 labels must not wrap around at 255 when they are combined into cells."""
    prediction, target = random_case(7, k=6)
    narrow = confusion_matrices(prediction.to(torch.uint8), target.to(torch.uint8), 6)
    assert torch.equal(narrow, confusion_matrices(prediction, target, 6))
