import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fcn_lab.data.classes import CAMVID11, CAMVID32
from fcn_lab.data.colour_labels import ColourLabels
from fcn_lab.data.label_codecs import IndexLabels
from fcn_lab.data.resizing import resize_image, resize_label
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from support.fakes import COLOURS

RNG = np.random.default_rng(3)


def by_masks(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The slow reference: one comparison a class."""
    found = np.full(pixels.shape[:2], VOID, np.uint8)
    for number, colour in enumerate(COLOURS):
        found[(pixels == colour).all(-1)] = number
    return found


def camvid_colours() -> ColourLabels:
    return ColourLabels(tuple(CAMVID32), tuple(CAMVID32.values()))


def test_the_look_up_table_equals_thirty_two_masks_on_known_and_unknown_colours() -> None:
    pixels = COLOURS[RNG.integers(0, 32, (40, 50))]
    wild = RNG.random((40, 50)) < 0.3
    pixels[wild] = RNG.integers(0, 256, (wild.sum(), 3))
    ids, _ = camvid_colours().decode(Image.fromarray(pixels))
    assert np.array_equal(ids, by_masks(pixels))


def test_colours_of_no_class_become_void_and_are_counted_by_name() -> None:
    pixels = np.zeros((4, 5, 3), np.uint8)
    pixels[0, :3] = (1, 2, 3)
    pixels[1, 0] = (255, 254, 253)
    ids, strange = camvid_colours().decode(Image.fromarray(pixels))
    assert strange == {"(1,2,3)": 3, "(255,254,253)": 1}
    assert (ids == VOID).sum() == 4


def test_a_palette_png_is_read_by_its_colours_where_labels_are_colours() -> None:
    pixels = COLOURS[RNG.integers(0, 32, (9, 9))]
    paletted = Image.fromarray(pixels).quantize(256, dither=Image.Dither.NONE)
    plain, _ = camvid_colours().decode(Image.fromarray(pixels))
    assert np.array_equal(camvid_colours().decode(paletted)[0], plain)


def test_a_palette_png_is_read_by_its_indices_where_labels_are_indices() -> None:
    ids = RNG.integers(0, 11, (9, 9), np.uint8)
    paletted = Image.fromarray(ids)
    paletted.putpalette([number for colour in CAMVID11.values() for number in colour])
    codec = IndexLabels(tuple(CAMVID11), tuple(CAMVID11.values()))
    assert np.array_equal(codec.decode(paletted)[0], ids)


def test_void_ids_become_void_and_other_ids_past_the_classes_are_named() -> None:
    codec = IndexLabels(("a", "b"), ((0, 0, 0), (1, 1, 1)), void_ids=(7,))
    ids, _ = codec.decode(Image.fromarray(np.array([[0, 1, 7, 255]], np.uint8)))
    assert ids.tolist() == [[0, 1, VOID, VOID]]
    with pytest.raises(UserError, match=r"id 2, id 9 \(3 pixels\); expected 0\.\.1 .*7 or 255"):
        codec.decode(Image.fromarray(np.array([[2, 9, 9, 1]], np.uint8)))


def test_labels_of_the_wrong_kind_are_refused() -> None:
    wide, coloured = Image.new("I", (3, 3)), Image.new("RGB", (3, 3), (1, 2, 3))
    with pytest.raises(UserError, match="mode I; expected RGB"):
        camvid_colours().decode(wide)
    with pytest.raises(UserError, match=r"mode RGB\); expected one number"):
        IndexLabels(("a",), ((0, 0, 0),)).decode(coloured)


@pytest.mark.parametrize("colours", [((5, 5, 5), (5, 5, 5)), ((1, 1, 1), (0, 256, 0))])
def test_a_class_file_with_impossible_colours_is_refused(
    colours: tuple[tuple[int, int, int], ...],
) -> None:
    with pytest.raises(UserError, match="from 0 to 255, and no colour twice"):
        ColourLabels(("a", "b"), colours)


def test_labels_are_resized_by_taking_pixels_and_never_by_mixing_them() -> None:
    label = RNG.choice(np.array([0, 10, 255], np.uint8), (12, 16))
    assert np.array_equal(resize_label(label, (24, 32)), label.repeat(2, 0).repeat(2, 1))
    smaller = resize_label(label, (7, 9))
    assert smaller.shape == (7, 9)
    assert set(np.unique(smaller)) <= {0, 10, 255}


def test_images_shrink_by_area_average() -> None:
    image = RNG.integers(0, 256, (8, 10, 3), np.uint8)
    blocks = image.reshape(4, 2, 5, 2, 3).mean((1, 3))
    assert np.abs(resize_image(image, (4, 5)) - blocks).max() <= 0.5
    assert resize_image(image, (8, 10)) is image


@pytest.mark.parametrize("others", [False, True])
def test_the_void_of_sixteen_bits_is_no_class_of_id_255(others: bool) -> None:
    """65535 is what 255 is to eight bits, and here 255 is a car."""
    codec = IndexLabels(
        ("car", "road"), ((1, 1, 1), (2, 2, 2)), ids=(255, 300), are_others_void=others
    )
    values = np.array([[255, 300, 65535]], np.int32)
    assert codec.decode(Image.fromarray(values))[0].tolist() == [[0, 1, VOID]]
