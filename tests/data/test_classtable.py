"""What may be written for data.names and data.ignore, and what pixels come of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcn_lab.data.class_table import read_names
from fcn_lab.data.classes import keep_classes
from fcn_lab.data.colours import generate_colour
from fcn_lab.data.folder import Folder
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID, VOID_COLOUR, Pixels
from support import fakes

FRAMES = tuple("abcdef")
# what a class table says → value on disk → class id, written by hand
IDS = {
    "a list": (["road", "car", "void"], None, {0: 0, 1: 1, 2: VOID, 255: VOID}),
    "a list and ids to ignore": (["road", "car"], [7, 9], {0: 0, 1: 1, 7: VOID, 9: VOID}),
    "ids by number": ({7: "road", 3: "car"}, None, {3: 0, 7: 1, 255: VOID}),
    "ids by number in quotes": ({"7": "road", "3": "car"}, None, {3: 0, 7: 1}),
    "one and two": ({"road": [7, 8], "car": 26}, [0, 1], {7: 0, 8: 0, 26: 1, 0: VOID, 1: VOID}),
    "three": ({"road": {"ids": [7, 8, 9]}, "car": 0}, None, {7: 0, 8: 0, 9: 0, 0: 1}),
    "four": ({"road": [1, 2, 3, 4], "void": 0}, None, {1: 0, 2: 0, 3: 0, 4: 0, 0: VOID}),
    "255": ({"road": 255, "car": 0}, None, {255: 0, 0: 1}),
    "254": ({"road": 254, "car": {"ids": 0, "color": [9, 9, 9]}}, None, {254: 0, 0: 1}),
}
RED, BLUE, PINK, NONE = (200, 0, 0), (0, 0, 200), (200, 0, 200), (1, 2, 3)
COLOURS = {
    "one": ({"road": list(RED), "car": list(BLUE)}, None, {RED: 0, BLUE: 1}),
    "several": ({"road": [list(RED), list(PINK)], "car": list(BLUE)}, [list(NONE)],
                {RED: 0, PINK: 0, BLUE: 1, NONE: VOID}),
    "by key": ({"road": {"colour": list(RED)}, "void": [0, 0, 0]}, None,
               {RED: 0, VOID_COLOUR: VOID}),
}  # fmt: skip


def save(root: Path, label: Pixels) -> None:
    for name in FRAMES:
        fakes.save(root / "photos" / f"{name}.png", fakes.picture(name))
        fakes.save(root / "masks" / f"{name}.png", label)


def source(root: Path, names: object, ignore: object = None) -> Folder:
    return Folder(str(root), "photos", "masks", names, ignore=ignore)


@pytest.mark.parametrize("case", IDS)
def test_ids_mean_the_classes_that_are_written_beside_them(case: str, tmp_path: Path) -> None:
    names, ignore, meaning = IDS[case]
    label = np.random.default_rng(0).choice([*meaning], fakes.SIZE).astype(np.uint8)
    save(tmp_path, label)
    found = source(tmp_path, names, ignore)
    assert len(found.classes) == len({*meaning.values()} - {VOID})
    wanted = np.vectorize(meaning.__getitem__)(label)
    assert np.array_equal(found.frames("train").labels[0], wanted)


def test_ids_to_ignore_are_void_however_many_they_are(tmp_path: Path) -> None:
    label = np.resize(np.arange(459, dtype=np.uint16), fakes.SIZE)
    save(tmp_path, label)
    wanted = np.where(label < 2, label, VOID)
    for ignore in (list(range(2, 459)), "others"):
        found = source(tmp_path, {"road": 0, "car": 1}, ignore)
        assert np.array_equal(found.frames("train").labels[0], wanted)


@pytest.mark.parametrize("case", COLOURS)
def test_colours_mean_the_classes_that_are_written_beside_them(case: str, tmp_path: Path) -> None:
    names, ignore, meaning = COLOURS[case]
    index = np.random.default_rng(0).integers(0, len(meaning), fakes.SIZE)
    save(tmp_path, np.array([*meaning], np.uint8)[index])
    found = source(tmp_path, names, ignore)
    wanted = np.array([*meaning.values()], np.uint8)[index]
    assert np.array_equal(found.frames("train").labels[0], wanted)
    assert found.palette[0] == RED


def test_an_id_that_nothing_is_written_beside_is_named_with_those_that_are(tmp_path: Path) -> None:
    save(tmp_path, np.full(fakes.SIZE, 5, np.uint8))
    with pytest.raises(UserError, match=r"holds id 5 .*expected 7 road, 8 road, 26 car, 0 void"):
        source(tmp_path, {"road": [7, 8], "car": 26}, [0]).frames("train")


def test_the_order_of_ids_and_what_is_ignored_make_protocols_of_their_own(tmp_path: Path) -> None:
    save(tmp_path, np.zeros(fakes.SIZE, np.uint8))
    tables = ({"x": 0, "y": 1}, {"x": 1, "y": 0}, {"x": [0, 2], "y": 1}, {"x": 0, "y": [1, 2]})
    ids = {source(tmp_path, names).protocol for names in tables}
    assert len(ids | {source(tmp_path, tables[1], [2]).protocol}) == len(tables) + 1
    assert source(tmp_path, tables[0]).protocol == source(tmp_path, ["x", "y"]).protocol


def test_a_number_of_classes_that_is_not_that_of_the_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.classes=5: data\.names has 2 classes besides void"):
        Folder(str(tmp_path), "photos", "masks", ["x", "y", "void"], classes=5)


@pytest.mark.parametrize(
    ("names", "ignore", "says"),
    [
        (None, None, r"data\.names: expected the classes, such as"),
        ("road", None, r"data\.names=road: expected the classes"),
        ([], None, "expected the classes"),
        ({}, None, "expected the classes"),
        (["void"], None, "no class to score"),
        (["a", "b", "a"], None, "the class a 2 times"),
        (["a", " a "], None, "the class a 2 times"),
        (["a", "a\u200b", "\ufeffVoid"], None, "the class a 2 times"),
        ({0: "a", 1: "a"}, None, "the class a 2 times"),
        (["a", " "], None, "a class without a name"),
        ([False, "b"], None, r"no without quotes.*\n.*names: \['no', b\]"),
        ([True, 0, "b"], None, r"yes without quotes.*\n.*names: \['yes', '0', b\]"),
        ([None, 1.5], None, r"null without quotes.*\n.*\['null', '1.5'\]"),
        ({False: 3}, None, r"no without quotes.*\n.*'no': 3"),
        ({0: [1, 2, 3]}, None, r"0 without quotes.*\n.*'0': \[1, 2, 3\]"),
        ({0: "a", "b": 3}, None, "0: a beside b: 3; expected id: class or class: ids for all"),
        ([["a"]], None, r"\['a'\] is no class"),
        ([{"a": 1}], None, "is no class"),
        ({"a": None}, None, r"data\.names\.a=null: expected ids"),
        ({"a": "b"}, None, r"data\.names\.a=b: expected ids"),
        ({"a": []}, None, r"data\.names\.a=\[\]: expected ids"),
        ({"a": 65535}, None, r"data\.names\.a=65535: expected ids from 0 to 65534"),
        ({"a": -1}, None, "expected ids from 0 to 65534"),
        ({"a": True}, None, "expected ids from 0 to 65534"),
        ({"a": [1, 2, 300]}, None, r"three whole numbers from 0 to 255"),
        ({"a": [0.5, 0.5, 0.5]}, None, "expected ids"),
        ({"a": [1, 2, 3, 255]}, None, r"a colour has three numbers: \[1, 2, 3\]"),
        ({"a": {"id": 3}}, None, "expected the keys ids and colour"),
        ({"a": {"ids": 3, "colour": 7}}, None, r"expected \[red, green, blue\]"),
        ({"a": [7, 8, 9], "b": 3}, None, r"a a colour and b ids.*\n.*{ids: \[7, 8, 9\]}"),
        ({"a": [7, 8], "b": 8}, None, "gives 8 to a and to b"),
        ({"a": [1, 2, 3], "b": [1, 2, 3]}, None, r"gives \[1, 2, 3\] to a and to b"),
        (["a", "b"], [1], "gives 1 to b and to void"),
        (["a"], [[1, 2, 3]], r"data\.ignore=\[\[1, 2, 3\]\]: expected ids"),
        (["a"], "b", r"data\.ignore=b: expected ids"),
        ({"a": [1, 2, 3]}, [0, 0, 0], r"data\.ignore=\[0, 0, 0\]: expected a list of colours"),
        ({"a": [1, 2, 3]}, [7], r"data\.ignore=7: expected \[red, green, blue\]"),
        ([f"c{n}" for n in range(300)], None, "has 300 classes; expected 255 at most"),
        ({f"c{n}": [n // 256, n % 256, 0] for n in range(256)}, None, "256 classes; expected 255"),
        (["void", *[f"c{n}" for n in range(255)]], None, "gives id 255 to c254"),
    ],
)  # fmt: skip
def test_what_could_be_meant_in_two_ways_or_in_none_is_refused_with_what_settles_it(
    names: object, ignore: object, says: str
) -> None:
    with pytest.raises(UserError, match=says) as caught:
        read_names(names, ignore)
    assert len(str(caught.value).splitlines()) <= 2


def test_255_classes_are_labelled_and_no_more(tmp_path: Path) -> None:
    save(tmp_path, np.arange(24 * 32).reshape(24, 32).astype(np.uint8))
    names = [f"c{number}" for number in range(255)]
    found = source(tmp_path, names)
    assert len(found.classes) == len(set(found.palette)) == 255
    assert set(np.unique(found.frames("train").labels)) == set(range(256))
    found = source(tmp_path, [*names, "void"])
    assert len(found.classes) == 255


def test_no_scored_class_is_drawn_in_voids_black() -> None:
    assert VOID_COLOUR not in map(generate_colour, range(255))
    assert len({*map(generate_colour, range(255))}) == 255
    greys = [(grey, grey, grey) for grey in range(255)]
    for colours in ([VOID_COLOUR, (64, 64, 64), RED], greys):
        names = [f"c{number}" for number in range(len(colours))]
        palette = keep_classes(names, colours, "set", with_void=False).palette
        assert VOID_COLOUR not in palette
        assert len(set(palette)) == len(palette)
        assert palette[1:] == tuple(colours[1:])


@pytest.mark.parametrize(
    ("palette", "drawn"),
    [
        ([VOID_COLOUR, RED, BLUE], [(64, 64, 64), RED, BLUE]),
        (
            [RED, BLUE, BLUE],
            [generate_colour(0), generate_colour(1), generate_colour(2)],
        ),  # which does not tell them apart
        (
            [(0, 0, 0), (1, 1, 1), (2, 2, 2)],
            [generate_colour(0), generate_colour(1), generate_colour(2)],
        ),
    ],
)
def test_masks_with_a_palette_bring_the_classes_colours(
    palette: list[tuple[int, int, int]], drawn: list[tuple[int, int, int]], tmp_path: Path
) -> None:
    label = fakes.ids("a", 3)
    save(tmp_path, label)
    for file in (tmp_path / "masks").iterdir():
        picture = Image.fromarray(label)
        picture.putpalette([part for colour in palette for part in colour])
        picture.save(file)
    found = source(tmp_path, ["background", "cat", "dog"])
    assert list(found.palette) == drawn
    assert np.array_equal(found.frames("train").labels[0], label)
    stated = source(tmp_path, {"background": 0, "cat": {"ids": 1, "colour": [9, 9, 9]}, "dog": 2})
    assert stated.palette[1] == (9, 9, 9)


def test_colours_of_grey_masks_are_what_ids_are_drawn_in_or_refused(tmp_path: Path) -> None:
    save(tmp_path, fakes.ids("a", 2))
    assert source(tmp_path, {"x": list(RED), "y": list(BLUE)}).palette == (RED, BLUE)
    with pytest.raises(UserError, match=r"masks/a\.png holds one number a pixel"):
        source(tmp_path, {"x": [list(RED), list(PINK)], "y": list(BLUE)})


def test_a_grey_mask_among_coloured_ones_is_coloured_too(tmp_path: Path) -> None:
    """Programs that make PNGs smaller save a mask without colours as grey."""
    grey, colours = (9, 9, 9), {"x": [9, 9, 9], "y": list(BLUE)}
    save(tmp_path, np.array([grey, BLUE], np.uint8)[fakes.ids("a", 2)])
    fakes.save(tmp_path / "masks" / "a.png", np.full(fakes.SIZE, 9, np.uint8))
    labels = source(tmp_path, colours).frames("train").labels
    assert not labels[0].any()
    assert np.array_equal(labels[1], fakes.ids("a", 2))
