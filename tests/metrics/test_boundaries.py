"""Edges against references that go pixel by pixel, and against a Fourier transform."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fcn_lab.metrics.boundaries import (
    WIDTHS,
    EdgeRows,
    ImageEdges,
    boundary_f1,
    count_boundary_pixels,
    find_boundaries,
    trimap_matrices,
)
from fcn_lab.metrics.checkerboard import checkerboard_index
from fcn_lab.metrics.confusion import confusion_matrices
from fcn_lab.pixels import VOID

K = 4
TOLERANCE = 0.13  # of the diagonal: 2.6 pixels here


def random_case(seed: int) -> tuple[Tensor, Tensor]:
    """Two patchy label maps (2,13,16), the truth with void and with one class missing."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.randint(K, (2, 2, 5, 6), generator=draw)
    prediction, target = coarse.repeat_interleave(3, 2).repeat_interleave(3, 3)[:, :, :13, :16]
    noise = torch.rand(2, *target.shape, generator=draw)
    target = torch.where(target == seed % K, (seed + 1) % K, target)
    return torch.where(noise[0] < 0.05, seed % K, prediction), torch.where(
        noise[1] < 0.1, VOID, target
    )


def slow_boundary(labels: np.ndarray) -> dict[int, list[tuple[int, int]]]:
    """Class → its boundary pixels."""
    found: dict[int, list[tuple[int, int]]] = {c: [] for c in range(K)}
    height, width = labels.shape
    for y, x in itertools.product(range(height), range(width)):
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        others = {labels[v, u] for v, u in around if 0 <= v < height and 0 <= u < width}
        if labels[y, x] != VOID and others - {labels[y, x], VOID}:
            found[labels[y, x]].append((y, x))
    return found


def near(pixel: tuple[int, int], others: list[tuple[int, int]], radius: float) -> bool:
    return any(math.dist(pixel, other) <= radius for other in others)


def slow_counts(prediction: np.ndarray, target: np.ndarray) -> list[list[int]]:
    prediction = np.where(target == VOID, VOID, prediction)
    radius = TOLERANCE * math.hypot(*target.shape)
    guess, truth = slow_boundary(prediction), slow_boundary(target)
    return [
        [
            len(guess[c]),
            sum(near(p, truth[c], radius) for p in guess[c]),
            len(truth[c]),
            sum(near(p, guess[c], radius) for p in truth[c]),
        ]
        for c in range(K)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_boundary_counts_equal_those_of_a_search_over_all_pairs(seed: int) -> None:
    prediction, target = random_case(seed)
    got = count_boundary_pixels(prediction, target, K, TOLERANCE)
    pairs = zip(prediction.numpy(), target.numpy(), strict=True)
    assert got.tolist() == [slow_counts(p, t) for p, t in pairs]


@pytest.mark.parametrize("num_classes", [62, 63, 64, 150])
def test_classes_keep_their_boundary_counts_under_other_numbers(num_classes: int) -> None:
    prediction, target = random_case(0)
    numbers = torch.full((VOID + 1,), VOID)
    numbers[:K] = torch.linspace(0, num_classes - 1, K).long()
    got = count_boundary_pixels(numbers[prediction], numbers[target], num_classes, TOLERANCE)
    expected = torch.zeros_like(got)
    expected[:, numbers[:K]] = count_boundary_pixels(prediction, target, K, TOLERANCE)
    assert torch.equal(got, expected)


@pytest.mark.parametrize("seed", range(6))
def test_a_trimap_is_every_pixel_nearer_than_its_width(seed: int) -> None:
    prediction, target = random_case(seed)
    got = trimap_matrices(prediction, target, K)
    for image, (p, t) in enumerate(zip(prediction, target, strict=True)):
        marked = list(itertools.chain(*slow_boundary(t.numpy()).values()))
        for band, width in enumerate(WIDTHS):
            inside = [
                [any(math.dist((y, x), m) < width for m in marked) for x in range(t.shape[1])]
                for y in range(t.shape[0])
            ]
            kept = torch.where(torch.tensor(inside), t, VOID)
            expected = confusion_matrices(p[None], kept[None], K)[0]
            assert torch.equal(got[image, band], expected)


def test_the_narrowest_trimap_is_the_boundary_itself() -> None:
    prediction, target = random_case(1)
    got = trimap_matrices(prediction, target, K)[:, 0].sum((1, 2))
    assert torch.equal(got, find_boundaries(target).sum((1, 2)))


def test_the_truth_itself_has_a_perfect_boundary() -> None:
    _, target = random_case(2)
    assert torch.allclose(
        boundary_f1(count_boundary_pixels(target, target, K)), torch.ones(2).double()
    )


def test_the_score_ignores_what_is_predicted_on_void() -> None:
    prediction, target = random_case(3)
    other = torch.where(target == VOID, (prediction + 1) % K, prediction)
    for measure in (count_boundary_pixels, trimap_matrices):
        assert torch.equal(measure(prediction, target, K), measure(other, target, K))


def test_a_shifted_square_scores_one_within_the_tolerance_and_less_beyond() -> None:
    target = torch.zeros(1, 60, 80, dtype=torch.long)  # diagonal 100
    target[:, 20:40, 20:50] = 1
    score = [
        float(boundary_f1(count_boundary_pixels(target.roll(step, 2), target, 2, 0.03))[0])
        for step in (0, 3, 4, 8)
    ]
    assert score[:2] == [1, 1]
    assert 1 > score[2] > score[3]


def test_a_class_seen_on_one_side_only_counts_zero_and_on_neither_nothing() -> None:
    counts = torch.tensor([[[4, 4, 4, 4], [3, 0, 0, 0], [0, 0, 0, 0]], [[0, 0, 0, 0]] * 3])
    alone, empty = boundary_f1(counts).tolist()
    assert alone == 0.5
    assert math.isnan(empty)


def test_rows_are_those_of_the_images_written_in_any_order() -> None:
    prediction, target = random_case(4)
    scores = torch.rand(2, K, 13, 16, generator=torch.Generator().manual_seed(4))
    rows = ImageEdges(K, 2)
    rows.expect(2)
    for place in (1, 0):
        only = slice(place, place + 1)
        rows.update(scores[only], prediction[only], target[only], torch.tensor([place]))
    got = rows.compute()
    expected = EdgeRows(
        count_boundary_pixels(prediction, target, K),
        trimap_matrices(prediction, target, K),
        checkerboard_index(scores, 2),
    )
    assert all(torch.equal(g, e) for g, e in zip(got, expected, strict=True))


def test_what_no_image_has_is_unknown_and_not_zero() -> None:
    plain = torch.ones(2, 8, 8, dtype=torch.long)
    rows = EdgeRows(
        count_boundary_pixels(plain, plain, K),
        trimap_matrices(plain, plain, K),
        checkerboard_index(torch.rand(2, K, 8, 8), 8),
    )
    summary = rows.summarize("abcd")
    assert summary == {
        "boundary_f1": None,
        "trimap_iou": {str(width): None for width in WIDTHS},
        "checkerboard_index": None,
    }


def test_the_summary_of_the_truth_itself_is_perfect() -> None:
    _, target = random_case(5)
    rows = EdgeRows(
        count_boundary_pixels(target, target, K), trimap_matrices(target, target, K), torch.zeros(2)
    )
    summary = rows.summarize("abcd")
    assert summary["boundary_f1"] == pytest.approx(1)
    assert summary["trimap_iou"] == {str(width): 1 for width in WIDTHS}
