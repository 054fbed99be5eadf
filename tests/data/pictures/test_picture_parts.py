"""Pictures of other channels than three: read, packed, resized, varied and shown."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fcn_lab.data.augment import Augmentation
from fcn_lab.data.files.picture_files import read_images
from fcn_lab.data.folder import Folder
from fcn_lab.data.packs.decode import read_parts, read_picture
from fcn_lab.data.pictures.opening import upright_size
from fcn_lab.data.pictures.parts import PicturePart, choose_channels, show_colours
from fcn_lab.data.pictures.unreadable import Unreadable, UnsupportedKind
from fcn_lab.data.resizing import resize_frame
from fcn_lab.errors import UserError
from support import fakes
from support.pictures import RGB, SIZE, by_opencv, encoded, png, stored, tiff

Pixels = NDArray[np.uint8]
BANDS = np.concatenate([RGB, RGB[::-1]], 2)  # six of them
FOUR = BANDS[..., :4]


def in_memory(values: NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def pages(values: Pixels) -> bytes:
    done, file = cv2.imencodemulti(".tiff", list(values.transpose(2, 0, 1)))
    assert done
    return bytes(file)


# how 8 bits a channel may lie in a file: its ending, its bytes, and what they are
FILES: Mapping[str, tuple[str, bytes, Pixels]] = {
    "transparency of PNG": ("png", encoded(Image.fromarray(FOUR), "png"), FOUR),
    "transparency of TIFF, differences": ("tif", by_opencv(FOUR, ".tiff"), FOUR),
    "samples": ("tif", tiff(BANDS), BANDS),
    "samples, large end first": ("tif", tiff(BANDS, ">"), BANDS),
    "samples, turned": ("tif", tiff(stored(BANDS, 6), t274=6), BANDS),
    "planes": ("tif", tiff(BANDS, planar=True), BANDS),
    "pages": ("tif", pages(BANDS), BANDS),
    "two samples": ("tif", tiff(BANDS[..., :2]), BANDS[..., :2]),
    "grey with transparency": (
        "png", encoded(Image.merge("LA", [Image.fromarray(b) for b in (RGB[..., 0], RGB[..., 1])]),
                       "png"), RGB[..., :2],
    ),
    "an array": ("npy", in_memory(BANDS), BANDS),
    "an array of one": ("npy", in_memory(RGB[..., 0]), RGB[..., :1]),
    "grey as colours": ("png", encoded(Image.fromarray(RGB[..., [0, 0, 0]]), "png"), RGB[..., :1]),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_every_channel_of_a_file_is_read_as_it_is(case: str, tmp_path: Path) -> None:
    ending, content, shows = FILES[case]
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content)
    assert np.array_equal(read_parts([path], parts=[PicturePart(shows.shape[2])]), shows)
    assert upright_size(path) == SIZE


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_deep_channels_are_scaled_by_the_range_that_was_said(
    kind: type, order: str, planar: bool, tmp_path: Path
) -> None:
    values = (BANDS.astype(np.float64) * 40).astype(kind)
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(values, order, planar))
    found = read_parts([path], parts=[PicturePart(6, 8000)])
    assert np.array_equal(found, np.rint(np.minimum(values, 8000) * (255 / 8000)))
    with pytest.raises(Unreadable, match=rf"values of {8 * values.itemsize} bits, up to 10200"):
        read_parts([path], parts=[PicturePart(6)])


def test_every_file_of_depth_is_scaled_alike(tmp_path: Path) -> None:
    """What is two metres away in a near scene is so in a far one."""
    near, far = np.full(SIZE, 2000, np.uint16), np.full(SIZE, 2000, np.uint16)
    far[0] = 9000
    for name, depth in (("near", near), ("far", far)):
        (tmp_path / f"{name}.png").write_bytes(png(depth[..., None], 0))
    found = [read_parts([tmp_path / f"{n}.png"], parts=[PicturePart(1, 10000)]) for n in
             ("near", "far")]  # fmt: skip
    assert np.array_equal(found[0][1:], found[1][1:])
    assert (found[0] == round(2000 * 255 / 10000)).all()


def test_sixteen_bits_of_colours_and_transparency_are_four_channels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(FOUR.astype(np.uint16) * 257, 6))
    assert np.array_equal(read_parts([tmp_path / "a.png"], parts=[PicturePart(4, 65535)]), FOUR)
    assert np.array_equal(read_picture(tmp_path / "a.png"), FOUR[..., :3])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.full((4, 4, 2), np.nan, np.float32), "no numbers"),
        (np.full((4, 4, 2), -1, np.int16), "from -1"),
        (np.zeros((4, 4, 3), np.uint8), "has 3 channels, expected 2"),
        (np.zeros((4, 4, 2), np.complex64), "complex64"),
        (np.zeros((4,), np.uint8), r"array \(4,\)"),
        (np.zeros((4, 4, 0), np.uint8), r"array \(4, 4, 0\)"),
        (np.array([[{}]]), "object"),
    ],
)
def test_an_array_that_is_no_such_picture_is_named(
    values: NDArray[np.generic], says: str, tmp_path: Path
) -> None:
    (tmp_path / "a.npy").write_bytes(in_memory(values))
    with pytest.raises(Unreadable, match=says):
        read_parts([tmp_path / "a.npy"], parts=[PicturePart(2, 255)])


def test_more_bands_than_opencv_takes_in_a_row_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(np.zeros((2, 6000, 200), np.uint8)))
    says = r"has 200 channels of 2x6000 pixels, more than can be decoded.*\n.*\.npy"
    with pytest.raises(Unreadable, match=says):
        read_parts([path], parts=[PicturePart(200)])


def test_what_has_other_channels_or_pages_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bytes can describe many gigabytes."""

    def decode(*arguments: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)
    path = tmp_path / "a.tif"
    for content in (tiff(BANDS), tiff(BANDS, planar=True), pages(BANDS)):
        path.write_bytes(content)
        with pytest.raises(Unreadable, match=r"has 6 channels, expected 5.\n.*channels: 1"):
            read_parts([path], parts=[PicturePart(5)])
    small, large = (Image.new("L", (side, side)) for side in (4, 8))
    small.save(path, save_all=True, append_images=[large])
    with pytest.raises(Unreadable, match="pages of several sizes"):
        read_parts([path], parts=[PicturePart(2)])


def test_a_cut_file_of_bands_is_named(tmp_path: Path) -> None:
    for ending, content in (("tif", tiff(BANDS)), ("npy", in_memory(BANDS)), ("tif", pages(BANDS))):
        path = tmp_path / f"a.{ending}"
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(Unreadable, match=rf"a\.{ending} "):
            read_parts([path], parts=[PicturePart(6)])


def test_colours_are_not_taken_for_one_channel() -> None:
    with pytest.raises(UnsupportedKind, match="has 3 channels, expected 1"):
        choose_channels(RGB, 1)
    assert np.array_equal(choose_channels(RGB[..., :1], 3), RGB[..., [0, 0, 0]])


def rooms(root: Path, sizes: tuple[tuple[int, int], ...] = (SIZE, (32, 24), (16, 40))) -> Path:
    for number, size in enumerate(sizes):
        name = f"f{number}"
        fakes.save(root / f"photos/{name}.png", fakes.picture(name, size))
        fakes.save(root / f"depth/{name}.png", fakes.ids(name, 255, size))
        fakes.save(root / f"masks/{name}.png", fakes.ids(name, 2, size))
    return root


RGBD = {"images": ["photos/*.png", "depth/*.png"], "masks": "masks/*.png", "names": ["a", "b"]}
ALL = {"train": 0.4, "val": 0.3, "test": 0.3}


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("size", [None, SIZE])
def test_frames_of_colours_and_depth_are_their_files_behind_each_other(
    pack: bool, size: tuple[int, int] | None, tmp_path: Path
) -> None:
    root, given = rooms(tmp_path), {**RGBD, "splits": ALL, "pack": pack, "size": size}
    both, colours = Folder(root, **given), Folder(root, **{**given, "images": "photos/*.png"})
    assert "4 channels (3 of photos/*.png, 1 of depth/*.png)" in both.describe()
    assert both.protocol == colours.protocol
    for split in ALL:
        seen, plain = both.frames(split), colours.frames(split)
        for name, image, other in zip(seen.names, seen.images, plain.images, strict=True):
            assert np.array_equal(image[..., :3], other)
            if size is None:
                depth = np.asarray(Image.open(root / f"depth/{name}.png"))
                assert np.array_equal(image[..., 3], depth)


def test_a_changed_file_of_depth_is_noticed(tmp_path: Path) -> None:
    root = rooms(tmp_path)
    Folder(root, **RGBD, splits=ALL).frames("train")
    fakes.save(root / "depth/f0.png", fakes.ids("other", 255))
    with pytest.raises(UserError, match="has changed"):
        Folder(root, **RGBD, splits=ALL).frames("train")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda depth: (depth / "f1.png").unlink(), r"photos/f1\.png has no partner"),
        (lambda depth: fakes.save(depth / "f9.png", RGB[..., 0]), r"f9\.png has no picture"),
        (lambda depth: fakes.save(depth / "f1.png", RGB[..., 0]), r"f1\.png is 32x24 but .*24x"),
        (lambda depth: fakes.save(depth / "f1.png", fakes.picture("x", (32, 24))), "expected 1"),
    ],
)
def test_files_that_are_no_picture_together_are_named(
    spoil: Callable[[Path], None], says: str, tmp_path: Path
) -> None:
    root = rooms(tmp_path)
    spoil(root / "depth")
    with pytest.raises(UserError, match=says):
        [*map(Folder(root, **RGBD, splits=ALL).frames, ALL)]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("resize", ["fit", "fill", "stretch"])
def test_each_channel_is_resized_as_it_would_be_alone(channels: int, resize: str) -> None:
    label = fakes.ids("a", 3)
    image = BANDS[..., :channels]
    whole, brought = resize_frame(image, label, (20, 36), resize)
    assert whole.shape == (20, 36, channels)
    for k in range(channels):
        alone, ids = resize_frame(image[..., [k]], label, (20, 36), resize)
        seen = brought != 255
        assert np.array_equal(whole[..., k][seen], alone[..., 0][seen])
        assert np.array_equal(ids, brought)


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_light_varies_colours_alone_and_geometry_moves_all(channels: int) -> None:
    image, label = BANDS[..., :channels], fakes.ids("a", 3)
    lit = Augmentation(gamma=(0.5, 2), brightness=0.3, contrast=0.3, cast=0.2, saturation=0.5,
                       light=1, blur=1)  # fmt: skip
    colours = 3 if channels > 3 else 1
    found, same = lit(image, label, 3)
    assert np.array_equal(found[..., colours:], image[..., colours:])
    assert not np.array_equal(found[..., 0], image[..., 0])
    assert np.array_equal(same, label)
    moved = Augmentation(scale=(0.5, 1.5), crop=(16, 16), flip=0.5)
    for seed in range(4):
        whole, _ = moved(image, label, seed)
        for k in range(channels):
            alone, _ = moved(image[..., [k, k, k]], label, seed)
            inside = moved(image, np.zeros_like(label), seed)[1] == 0
            assert np.array_equal(whole[..., k][inside], alone[..., 0][inside])


def test_what_is_shown_are_three_channels_or_one_as_grey() -> None:
    assert np.array_equal(show_colours(BANDS), RGB)
    assert np.array_equal(show_colours(BANDS[..., :2]), RGB[..., [0, 0, 0]])


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ([], "expected a pattern"),
        (7, "expected a pattern"),
        ({"channels": 4}, "no pattern under files"),
        ({"files": "a/*", "chanels": 4}, "no mapping of files, channels and range"),
        ({"files": "a/*", "channels": 0}, "channels: 0 of a"),
        ({"files": "a/*", "channels": True}, "channels: True of a"),
        (["a/*", {"files": "b/*", "range": -1}], "range: -1 of b"),
        (["a/*", 7], "7 is no pattern"),
    ],
)
def test_what_are_no_files_of_channels_is_refused(images: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read_images(images)
