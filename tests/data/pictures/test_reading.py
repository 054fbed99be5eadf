"""Every kind of picture is read in one way, and what is not read is named."""

import errno
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from fcn_lab.data.classes import keep_classes
from fcn_lab.data.label_codecs import IndexLabels
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.data.packs.decode import open_pair, read_picture
from fcn_lab.data.packs.pack import Recipe, load_frames
from fcn_lab.data.pictures.opening import upright_size
from fcn_lab.data.pictures.unreadable import Limit, Unreadable
from fcn_lab.data.survey import survey_pair
from fcn_lab.demo.views import open_picture
from fcn_lab.errors import UserError
from fcn_lab.inference import media as footage
from fcn_lab.inference.predictor import Predictor
from support import pictures
from support.pictures import GREY, RGB, SIZE, Case, encoded, exif, stored

CASES = list(pictures.sound())
CODEC = IndexLabels(("a", "b"), ((0, 0, 0), (1, 1, 1)))
RECIPE = Recipe(CODEC, keep_classes(CODEC.names, CODEC.colours, "own2", with_void=False), SIZE)
Pixels = NDArray[np.uint8]


UPRIGHT = 1
Pixels = NDArray[np.uint8]
Reader = Callable[[Path], Pixels]


class Red(nn.Module):
    """A network of 256 classes whose label of a pixel is the red that it was shown."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N,3,H,W) → (N,256,H,W)."""
        levels = torch.arange(256, dtype=torch.float32).view(1, 256, 1, 1)
        return -(image[:, :1] * 255 - levels).abs()


def written(folder: Path, case: Case) -> Path:
    path = folder / case.name
    path.write_bytes(case.content)
    return path


def masked(picture: Path, size: tuple[int, int] = SIZE, note: int | None = UPRIGHT) -> Pair:
    """The picture with a mask that says of itself how it was held."""
    mask = picture.parent / "masks" / f"{picture.name}.png"
    mask.parent.mkdir(exist_ok=True)
    marks = np.zeros(size, np.uint8)
    marks[: size[0] // 2, : size[1] // 2] = 1
    options = {} if note is None else {"exif": exif(note)}
    mask.write_bytes(encoded(Image.fromarray(stored(marks, note or UPRIGHT)), "png", **options))
    return Pair(picture.name, picture, mask)


def by_training(path: Path) -> Pixels:
    frames = load_frames("train", [masked(path)], RECIPE, path.parent / f"cache_{path.name}")
    return np.asarray(frames.images[0])


def by_audit(path: Path) -> Pixels:
    seen = survey_pair(masked(path), "", RECIPE)
    if seen.fault:
        raise UserError(seen.fault)
    return seen.image


def by_predict(path: Path) -> Pixels:
    try:
        return footage.read_image(path)
    except footage.MediaError as error:
        raise UserError(f"{path.name}: {error}") from error


def by_demo(path: Path) -> Pixels:
    return open_picture(path, megabytes=20, megapixels=40)


def by_load_run(path: Path) -> Pixels:
    """Red alone."""
    return Predictor(Red(), [""] * 256, (), device="cpu")(path)


READERS: dict[str, Reader] = {
    "training": by_training, "audit": by_audit, "predict": by_predict, "demo": by_demo,
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_reader_sees_in_a_file_what_it_shows(case: Case, tmp_path: Path) -> None:
    path = written(tmp_path, case)
    assert np.array_equal(read_picture(path), case.shows)
    assert upright_size(path) == SIZE
    for name, read in READERS.items():
        assert np.array_equal(read(path), case.shows), name
    assert np.array_equal(by_load_run(path), case.shows[..., 0])


def test_every_reader_names_the_file_it_refuses_and_why(tmp_path: Path) -> None:
    found = pictures.refused(tmp_path)
    for path, says in found.items():
        for name, read in {**READERS, "load_run": by_load_run}.items():
            with pytest.raises(UserError) as caught:
                read(path)
            text = str(caught.value)
            assert re.search(says, text), (name, text)
            assert path.name in text.splitlines()[0], (name, text)
            assert text.count("\n") == (name != "predict"), (name, text)
    assert len(found) == 32


def test_a_frame_without_right_to_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, CASES[0])

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(Unreadable, match=r"rgb\.png cannot be read \(Permission denied\)\.\n"):
        read_picture(path)


@pytest.mark.parametrize("pixels", [1, 2])
def test_the_limit_is_on_pixels_and_says_how_to_raise_it(tmp_path: Path, pixels: int) -> None:
    path = tmp_path / "wide.png"
    path.write_bytes(encoded(Image.new("1", (1000, 1000 * pixels)), "png"))
    limit = Limit(1, "task.megapixels")
    if pixels == 1:
        assert read_picture(path, limit).shape == (1000, 1000, 3)
        return
    with pytest.raises(Unreadable, match=r"wide\.png is 1000x2000 .*\n.*type task\.megapixels=2$"):
        read_picture(path, limit)
    assert read_picture(path, Limit(2)).shape == (2000, 1000, 3)


def test_a_picture_above_the_limit_of_pillow_itself_is_read_where_ours_allows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert np.array_equal(read_picture(written(tmp_path, CASES[0])), RGB)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_overshoot_of_a_float_picture_is_cut_and_not_taken_for_another_range(
    tmp_path: Path,
) -> None:
    values = np.where(GREY == 255, 1.1, GREY / 255).astype(np.float32)
    values[GREY == 0] = -0.1
    path = tmp_path / "sharp.tiff"
    path.write_bytes(pictures.tiff(values))
    assert np.array_equal(read_picture(path)[..., 0], GREY)


def test_a_tiff_with_smaller_copies_of_its_picture_is_one_picture(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.tiff"
    small = Image.fromarray(RGB[::2, ::2])
    small.encoderinfo = {"tiffinfo": {254: 1}}
    path.write_bytes(encoded(Image.fromarray(RGB), "tiff", save_all=True, append_images=[small]))
    assert np.array_equal(read_picture(path), RGB)


def marked(shape: tuple[int, ...]) -> Pixels:
    """What `masked` marks: the upper left quarter."""
    found = np.zeros(shape, np.uint8)
    found[: shape[0] // 2, : shape[1] // 2] = 1
    return found


@pytest.mark.parametrize("number", pictures.ORIENTATIONS)
def test_picture_and_mask_that_were_held_alike_are_turned_together(
    tmp_path: Path, number: int
) -> None:
    path = written(tmp_path, next(case for case in CASES if case.name == f"held_{number}.png"))
    image, label = open_pair(masked(path, note=number))
    assert np.array_equal(image, RGB)
    assert np.array_equal(np.asarray(label), marked(SIZE))


@pytest.mark.parametrize("number", [5, 6, 7, 8])
@pytest.mark.parametrize("drawn", ["as shown", "as stored"])
def test_the_size_of_a_mask_tells_what_it_was_drawn_over(
    tmp_path: Path, number: int, drawn: str
) -> None:
    path = written(tmp_path, next(case for case in CASES if case.name == f"held_{number}.tiff"))
    pair = masked(path, SIZE if drawn == "as shown" else SIZE[::-1], note=None)
    _, label = open_pair(pair)
    as_stored = marked(SIZE[::-1])
    turned = next(
        upright
        for upright in (np.asarray(label),)
        if drawn == "as shown" or np.array_equal(stored(upright, number), as_stored)
    )
    assert turned.shape == SIZE
    if drawn == "as shown":
        assert np.array_equal(turned, marked(SIZE))


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_mask_that_may_have_been_drawn_either_way_is_refused(tmp_path: Path, number: int) -> None:
    path = written(tmp_path, next(case for case in CASES if case.name == f"held_{number}.webp"))
    with pytest.raises(UserError, match=rf"orientation {number}\).*nothing tells.*\n.*exiftool"):
        open_pair(masked(path, note=None))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_metadata_do_not_spoil_a_sound_picture(tmp_path: Path) -> None:
    path = tmp_path / "note.jpg"
    path.write_bytes(encoded(Image.fromarray(RGB), "jpeg", exif=b"Exif\0\0MM\0*broken"))
    plain = Image.open(io.BytesIO(encoded(Image.fromarray(RGB), "jpeg")))
    assert np.array_equal(read_picture(path), np.asarray(plain))


@pytest.mark.parametrize("note", [exif(6).tobytes(), None])
@pytest.mark.parametrize("is_late", [False, True])
def test_a_png_says_how_it_is_turned_before_its_pixels_or_after_and_is_not_decoded(
    note: bytes | None, is_late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    content = encoded(Image.fromarray(RGB), "png", **({} if note is None else {"exif": note}))
    if note is not None and is_late:
        start = content.index(b"eXIf") - 4
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        content = content[:start] + content[end:-12] + content[start:end] + content[-12:]
    path.write_bytes(content)
    decoded = []
    if note is None or not is_late:
        name = "PIL.PngImagePlugin.PngImageFile.load"
        monkeypatch.setattr(name, lambda picture: decoded.append(picture))
    assert upright_size(path) == (SIZE if note is None else SIZE[::-1])
    assert not decoded
