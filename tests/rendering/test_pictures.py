"""The pictures: where each part lies, what colour errors and void have."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fcn_lab.pixels import VOID, VOID_COLOUR
from fcn_lab.rendering.pictures import (
    ERROR_COLOUR,
    GAP,
    LEAST_WIDTH,
    MARGIN,
    SWATCH,
    Picture,
    colourise,
    draw_confusion,
    draw_errors,
    draw_legend,
    draw_panel,
    wrong_share,
)

CLASSES = ("Sky", "Road", "Pole")
PALETTE = ((10, 20, 30), (40, 50, 60), (70, 80, 90))


def picture(height: int = 12, width: int = 16) -> Picture:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (height, width)).astype(np.uint8)
    truth[0] = VOID
    prediction = truth.copy()
    prediction[0], prediction[1] = 0, (truth[1] + 1) % 3
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Picture("frame", image, truth, prediction)


def colours(image: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(map(int, c)) for c in np.asarray(image).reshape(-1, 3)}


def test_every_label_has_its_colour() -> None:
    labels = np.array([[0, 1], [2, VOID]], np.uint8)
    assert colourise(labels, PALETTE).tolist() == [
        [list(PALETTE[0]), list(PALETTE[1])],
        [list(PALETTE[2]), list(VOID_COLOUR)],
    ]


def test_exactly_the_wrong_pixels_are_marked_and_void_is_never_wrong() -> None:
    shown = draw_errors(picture())
    assert (shown[0] == VOID_COLOUR).all()
    assert (shown[1] == ERROR_COLOUR).all()
    assert not (shown[2:] == ERROR_COLOUR).all(-1).any()


def test_the_share_of_errors_leaves_void_out() -> None:
    assert wrong_share(picture(height=12)) == pytest.approx(1 / 11)
    void = np.full((2, 2), VOID, np.uint8)
    assert wrong_share(Picture("void", np.zeros((2, 2, 3), np.uint8), void, void)) == 0


@pytest.mark.parametrize(("height", "width", "factor"), [(360, 480, 1), (96, 128, 3), (12, 16, 23)])
def test_small_pictures_are_enlarged_by_a_whole_factor(
    height: int, width: int, factor: int
) -> None:
    shown = draw_panel(picture(height, width), CLASSES, PALETTE)
    assert factor * width >= LEAST_WIDTH
    assert shown.width == 2 * MARGIN + 4 * factor * width + 3 * GAP
    top = MARGIN + SWATCH + GAP
    part = np.asarray(shown)[top : top + factor * height, MARGIN : MARGIN + factor * width]
    assert np.array_equal(part[::factor, ::factor], picture(height, width).image)


@pytest.mark.parametrize("name", ["truth", "prediction"])
def test_a_frame_may_be_called_as_a_column_is(name: str) -> None:
    top = MARGIN + SWATCH + GAP
    frame = picture()
    panels = [draw_panel(f, CLASSES, PALETTE) for f in (frame, replace(frame, name=name))]
    assert np.array_equal(*(np.asarray(panel)[top:] for panel in panels))


def test_the_legend_shows_every_class_void_and_error_in_the_width_it_is_given() -> None:
    for width in (90, 400, 2000):
        legend = draw_legend(CLASSES, PALETTE, width)
        assert legend.width == width
        assert {*PALETTE, VOID_COLOUR, ERROR_COLOUR} <= colours(legend)


def test_a_perfect_confusion_matrix_is_a_diagonal() -> None:
    shown = np.asarray(draw_confusion(np.diag([5, 7, 9]), CLASSES)).astype(int)
    side = 46
    left = shown.shape[1] - MARGIN - 3 * side
    cells = [
        [shown[left + r * side + 3, left + c * side + 3].sum() for c in range(3)] for r in range(3)
    ]
    assert [[cell < 3 * 255 for cell in row] for row in cells] == np.eye(3, dtype=bool).tolist()


def test_a_class_without_truth_has_an_empty_row() -> None:
    draw_confusion(np.zeros((3, 3), np.int64), CLASSES)
