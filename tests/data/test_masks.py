"""Masks of every mode hold the same ids, and 255 is the object where masks hold 0 and 255 alone."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from fcn_lab.data import binary_masks as binary
from fcn_lab.data.camvid import CamVid
from fcn_lab.data.folder import Folder
from fcn_lab.data.label_codecs import IndexLabels
from fcn_lab.data.packs.decode import open_mask
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from support import fakes
from support.masks import IDS, SAME
from support.pictures import encoded, tiff

Pixels = NDArray[np.uint8]
FRAMES = tuple("abcdef")
CODEC = IndexLabels(("ground", "object"), ((0, 0, 0), (1, 1, 1)))
WHITE: Pixels = IDS * 255
# as a set with 0, 1 and void has it
BORDERED: Pixels = np.where(np.arange(IDS.shape[1]) < 3, VOID, IDS).astype(np.uint8)


def cut_out(mode: str) -> Image.Image:
    """An object that is where a picture of one colour is not transparent."""
    picture = Image.new(mode, IDS.shape[::-1], 0)
    picture.putalpha(Image.fromarray(255 * (IDS > 0).astype(np.uint8)))
    return picture


STENCILS = (cut_out("L"), cut_out("RGB"))


@pytest.mark.parametrize("name", SAME)
def test_a_mask_of_any_mode_holds_the_ids_that_were_drawn(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(SAME[name]())
    ids, strange = CODEC.decode(open_mask(path))
    assert np.array_equal(ids, IDS)
    assert not strange


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_the_largest_number_of_sixteen_bits_is_void_as_255_is(
    kind: type[np.number[Any]], tmp_path: Path
) -> None:
    path = tmp_path / "wide.tiff"
    path.write_bytes(tiff(np.where(IDS == 1, 65535, IDS).astype(kind)))
    ids, _ = CODEC.decode(open_mask(path))
    assert np.array_equal(ids, np.where(IDS == 1, VOID, 0))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_minus_one_is_void_where_numbers_have_signs(
    kind: type[np.number[Any]], tmp_path: Path
) -> None:
    path = tmp_path / "signed.tiff"
    path.write_bytes(tiff(IDS.astype(kind) - 1))
    ids, strange = CODEC.decode(open_mask(path))
    assert np.array_equal(ids, np.where(IDS == 0, VOID, 0))
    assert not strange


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (tiff(IDS.astype(np.uint16) * 1000), r"holds id 1000 \(\d+ pixels\); expected 0\.\.1"),
        (tiff(IDS.astype(np.int32) - 2), r"holds id -2 \("),
        (tiff(IDS.astype(np.float32) - 2), r"holds id -2 \("),
        (tiff(IDS.astype(np.uint32) * 70000), r"holds id 70000 \("),
        (tiff(IDS.astype(np.float32) / 2), "holds fractions; expected whole numbers"),
        (encoded(Image.fromarray(fakes.picture("x")), "png"), r"has colours \(mode RGB\)"),
        (encoded(Image.new("CMYK", (4, 4)), "tiff"), r"has colours \(mode CMYK\)"),
        (tiff(fakes.picture("x").astype(np.uint16)), "colours of more than 8 bits a channel"),
        *((encoded(clear, "png"), "a shape in its transparency; .*\nSave") for clear in STENCILS),
        (b"P5 2 1 3\n\x01\x02", "declares a largest value of its own"),
    ],
)
def test_a_mask_that_holds_no_ids_is_refused_with_what_it_holds(
    content: bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says):
        CODEC.decode(open_mask(path))


def written(root: Path, masks: Sequence[Pixels]) -> Path:
    """Frames whose masks are these, in turn."""
    for number, name in enumerate(FRAMES):
        fakes.save(root / "photos" / f"{name}.png", fakes.picture(name))
        fakes.save(root / "masks" / f"{name}.png", masks[number % len(masks)])
    return root


def source(root: Path, names: object, ignore: object = None) -> Folder:
    return Folder(str(root), "photos", "masks", names, ignore=ignore)


def said(text: str) -> Mapping[str, object]:
    """The classes that a message says to type."""
    (names,) = re.findall(r"'data\.names=(\{.*?\})'", text)
    found: Mapping[str, object] = yaml.safe_load(names)
    return found


@pytest.mark.parametrize(
    "names",
    [["ground", "object"], ["void", "object"], ["ground", "object", "void"]],
)
def test_white_is_the_object_where_masks_hold_0_and_255_alone(
    names: list[str], tmp_path: Path
) -> None:
    found = source(written(tmp_path, [WHITE]), names)
    place = found.classes.index("object")
    ground = VOID if names[0] == "void" else 0
    for split in found.splits:
        for label in found.frames(split).labels:
            assert np.array_equal(label, np.where(IDS == 1, place, ground))
    assert "255 is read as object; data.ignore=[255] makes it void" in found.describe()


VOID_THEN: dict[str, tuple[Sequence[Pixels], object, object]] = {
    "one mask has a 1, too": ([WHITE, WHITE, BORDERED], ["ground", "object"], None),
    "255 is to be ignored": ([WHITE], ["ground", "object"], [255]),
    "the ids are said, and masks hold both": (
        [WHITE, WHITE, WHITE, IDS],
        {"ground": 0, "object": 1},
        None,
    ),
    "the ids are said, and so is void": ([WHITE], {"ground": 0, "object": 1}, [255]),
    "there are three classes": ([WHITE], ["ground", "object", "other"], None),
}


@pytest.mark.parametrize("case", VOID_THEN)
def test_white_is_void_where_masks_or_words_say_so(case: str, tmp_path: Path) -> None:
    masks, names, ignore = VOID_THEN[case]
    found = source(written(tmp_path, masks), names, ignore)
    assert np.array_equal(found.frames("train").labels[0], np.where(IDS == 1, VOID, 0))
    assert "255 is" not in found.describe()


@pytest.mark.parametrize("number", [1, 7])
def test_an_id_that_no_mask_holds_is_refused_where_255_may_be_its_object(
    number: int, tmp_path: Path
) -> None:
    root = written(tmp_path, [WHITE])
    says = rf"gives object the id {number}, but masks hold 0 and 255 alone\.\nType '"
    with pytest.raises(UserError, match=says) as caught:
        source(root, {"ground": 0, "object": number})
    found = source(root, said(str(caught.value)))
    assert np.array_equal(found.frames("train").labels[0], IDS)


MIXED = {
    "object": ([WHITE] * 5 + [IDS], IDS),
    "void": ([IDS] * 5 + [WHITE], np.where(IDS, VOID, 0)),
}


@pytest.mark.parametrize("case", MIXED)
def test_masks_of_0_and_1_beside_masks_of_0_and_255_are_refused_with_what_settles_it(
    case: str, tmp_path: Path
) -> None:
    masks, white = MIXED[case]
    root = written(tmp_path, masks)
    with pytest.raises(UserError, match=r"holds 1, .* holds 255, and no mask.*\nType") as caught:
        source(root, ["ground", "object"])
    names, ignore = said(str(caught.value)), [VOID]
    settled = (
        source(root, names) if case == "object" else source(root, ["ground", "object"], ignore)
    )
    labels = [label for split in settled.splits for label in settled.frames(split).labels]
    whites = [label for label, mask in zip(labels, masks, strict=True) if mask is WHITE]
    assert whites
    assert all(np.array_equal(label, white) for label in whites)


def test_masks_are_refused_whatever_was_stated_of_them_before(tmp_path: Path) -> None:
    root = written(tmp_path, [IDS, WHITE])
    labels = source(root, {"ground": 0, "object": 1}).frames("train").labels
    assert any((label == VOID).any() for label in labels)
    with pytest.raises(UserError, match="and no mask holds both"):
        source(root, ["ground", "object"])


def test_masks_that_hold_255_alone_have_no_object(tmp_path: Path) -> None:
    found = source(written(tmp_path, [np.full_like(IDS, VOID)]), ["ground", "object"])
    assert "255 is read" not in found.describe()
    assert (found.frames("train").labels[0] == VOID).all()


def test_the_first_of_many_masks_tell_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(binary, "SAMPLED_MASKS", 2)
    monkeypatch.setattr(binary, "open_mask", lambda p, n: looked.append(p) or open_mask(p, n))
    source(written(tmp_path, [IDS]), ["ground", "object"])
    assert [path.stem for path in looked] == ["a", "d"]


def test_a_sample_without_the_object_does_not_tell_what_255_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binary, "SAMPLED_MASKS", 2)
    empty = np.zeros_like(IDS)
    found = source(written(tmp_path, [empty, WHITE, empty]), ["ground", "object"])
    assert "255 is read as object" in found.describe()


def test_palettes_that_number_the_colours_anew_are_refused_or_read_by_colour(
    tmp_path: Path,
) -> None:
    root = written(tmp_path, [IDS])
    palettes = ([9, 9, 9, 200, 0, 0], [200, 0, 0, 9, 9, 9])
    for number, name in enumerate(FRAMES):
        picture = Image.fromarray(IDS if number < 5 else 1 - IDS)
        picture.putpalette(palettes[number == 5])
        picture.save(root / "masks" / f"{name}.png")
    found = source(root, ["ground", "object"])
    with pytest.raises(UserError, match=r"f\.png gives id 0 the colour \[200, 0, 0\]") as caught:
        [found.frames(split) for split in found.splits]
    found = source(root, said(str(caught.value)))
    labels = [label for split in found.splits for label in found.frames(split).labels]
    assert all(np.array_equal(label, IDS) for label in labels)


@pytest.mark.parametrize("is_renumbered", [False, True])
def test_zeros_that_fill_a_palette_up_make_void_no_class(
    is_renumbered: bool, tmp_path: Path
) -> None:
    root = written(tmp_path, [BORDERED])
    for name in FRAMES:
        picture = Image.fromarray(BORDERED)
        colours = [200, 0, 0, 0, 0, 0] if is_renumbered and name == "f" else [0, 0, 0, 200, 0, 0]
        picture.putpalette(colours + [0] * 762)
        picture.save(root / "masks" / f"{name}.png")
    found = source(root, ["ground", "object"])
    if is_renumbered:
        with pytest.raises(
            UserError, match=r"f\.png gives id 0 the colour .*\nSave the masks anew"
        ):
            [found.frames(split) for split in found.splits]
    else:
        assert np.array_equal(found.frames("train").labels[0], BORDERED)


def test_white_is_a_class_where_it_is_said_to_be(tmp_path: Path) -> None:
    found = source(written(tmp_path, [WHITE]), {"object": 255, "ground": 0})
    assert np.array_equal(found.frames("train").labels[0], 1 - IDS)


def test_masks_of_one_bit_beside_masks_of_0_and_255_show_the_same(tmp_path: Path) -> None:
    root = written(tmp_path, [WHITE])
    for name in FRAMES[::2]:
        (root / "masks" / f"{name}.png").write_bytes(SAME["1.png"]())
    found = source(root, ["ground", "object"])
    assert all(np.array_equal(label, IDS) for label in found.frames("train").labels)


def test_grey_masks_are_read_by_colours_that_are_grey(tmp_path: Path) -> None:
    found = source(written(tmp_path, [WHITE]), {"ground": [0] * 3, "object": [255] * 3})
    assert np.array_equal(found.frames("train").labels[0], IDS)


def test_white_of_a_known_layout_is_settled_too(tmp_path: Path) -> None:
    root = fakes.fastai(tmp_path / "set")
    (root / "codes.txt").write_text("ground\nobject\n")
    for path in (root / "labels").iterdir():
        fakes.save(path, WHITE)
    found = CamVid(str(root), classes=2)
    assert np.array_equal(found.frames("train").labels[0], IDS)
    assert "255 is read as object\n" in found.describe()


def test_masks_are_looked_through_once_until_one_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = written(tmp_path, [WHITE])
    source(root, ["ground", "object"])
    with monkeypatch.context() as patch:
        patch.setattr(binary, "open_mask", lambda *_: pytest.fail("a mask was read"))
        assert "255 is read" in source(root, ["ground", "object"]).describe()
    fakes.save(root / "masks" / "f.png", BORDERED)
    assert "255 is" not in source(root, ["ground", "object"]).describe()


@pytest.mark.parametrize("levels", [(0, 128, 255), (10, 20, 30), (0, 1, 7), (0, 256, 999)])
def test_grey_levels_in_place_of_ids_are_refused_with_the_line_that_settles_it(
    levels: tuple[int, ...], tmp_path: Path
) -> None:
    ids = np.random.default_rng(6).integers(0, 3, fakes.SIZE)
    depth = np.uint8 if max(levels) < 256 else np.uint16
    root = written(tmp_path, [np.array(levels, depth)[ids]])
    with pytest.raises(UserError, match=r"masks.a\.png holds id .*\nSay which") as caught:
        source(root, ["a", "b", "c"]).frames("train")
    found = source(root, said(str(caught.value)))
    assert np.array_equal(found.frames("train").labels[0], ids)


def test_masks_saved_as_jpeg_are_told_as_such(tmp_path: Path) -> None:
    blocks = np.kron(IDS[:8, :8], np.ones((3, 4), np.uint8)) * 255
    root = written(tmp_path, [blocks])
    for name in FRAMES:
        (root / "masks" / f"{name}.png").write_bytes(
            encoded(Image.fromarray(blocks), "jpeg", quality=30)
        )
    with pytest.raises(UserError, match=r"and \d+ more \(.*\n.*saved as JPEG") as caught:
        source(root, ["ground", "object"]).frames("train")
    assert str(caught.value).count("\n") == 1


def test_a_first_mask_that_cannot_be_read_is_named_when_its_frame_is_asked_for(
    tmp_path: Path,
) -> None:
    root = written(tmp_path, [WHITE])
    (root / "masks" / "a.png").write_bytes(b"")
    found = source(root, ["ground", "object"])
    with pytest.raises(UserError, match=r"masks.a\.png is truncated or corrupt"):
        found.frames("train")


def test_the_palette_of_masks_is_what_classes_are_drawn_in(tmp_path: Path) -> None:
    root = written(tmp_path, [IDS])
    for name in FRAMES:
        (root / "masks" / f"{name}.png").write_bytes(SAME["P.png"]())
    shown = Image.open(io.BytesIO(SAME["P.png"]())).getpalette()
    assert shown is not None
    assert source(root, ["ground", "object"]).palette == ((9, 9, 9), (200, 0, 0))
