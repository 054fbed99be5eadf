"""Colours that are given to classes without any."""

import itertools

import numpy as np
import pytest

from fcn_lab.data.colours import VISIONS, convert_to_lab, list_distinct_colours


def test_the_usual_eye_sees_the_primaries_where_cielab_has_them() -> None:
    # sRGB's primaries and white under D65
    expected = [(53.24, 80.09, 67.20), (87.73, -86.18, 83.18), (32.30, 79.19, -107.86), (100, 0, 0)]
    primaries = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)], np.uint8)
    np.testing.assert_allclose(convert_to_lab(primaries, "usual"), expected, atol=0.05)


@pytest.mark.parametrize("vision", VISIONS)
def test_every_eye_sees_grey_as_grey(vision: str) -> None:
    greys = np.arange(256, dtype=np.uint8).repeat(3).reshape(-1, 3)
    assert np.abs(convert_to_lab(greys, vision)[:, 1:]).max() < 0.5


def test_red_and_green_of_one_lightness_meet_in_the_eyes_that_cannot_tell_them_apart() -> None:
    pair = np.array([(200, 80, 60), (118, 124, 60)], np.uint8)
    apart = {v: float(np.linalg.norm(np.subtract(*convert_to_lab(pair, v)))) for v in VISIONS}
    assert apart["deuteranopia"] < apart["usual"] / 3


@pytest.mark.parametrize(("count", "least"), [(4, 40), (12, 20), (20, 15), (40, 10)])
def test_the_first_colours_and_voids_black_are_apart_for_every_eye(count: int, least: int) -> None:
    colours = np.array([(0, 0, 0), *list_distinct_colours()[:count]], np.uint8)
    for vision in VISIONS:
        seen = convert_to_lab(colours, vision)
        assert all(np.linalg.norm(a - b) > least for a, b in itertools.combinations(seen, 2))
