"""Pictures and masks spoilt at random: two lines or a picture, the same for every reader."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fcn_lab.audit.audit import Audit
from fcn_lab.data.classes import keep_classes
from fcn_lab.data.folder import Folder
from fcn_lab.data.label_codecs import IndexLabels
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.data.packs.decode import open_mask, read_picture
from fcn_lab.data.packs.pack import Recipe, load_frames
from fcn_lab.data.pictures.unreadable import Limit
from fcn_lab.data.survey import survey_pair
from fcn_lab.demo.views import open_picture
from fcn_lab.errors import UserError
from fcn_lab.inference import media as footage
from support import pictures
from support.masks import SAME
from support.pictures import Case, encoded, exif

COUNT = 1700
FRAMES = 200
LIMIT = Limit(1)
CODEC = IndexLabels(("a", "b"), ((0, 0, 0), (1, 1, 1)))
CLASSES = keep_classes(CODEC.names, CODEC.colours, "own2", with_void=False)
Pixels = NDArray[np.uint8]


def spoilt(content: bytes, rng: np.random.Generator) -> bytes:
    """The file cut, with flipped bits, with a stretch of noise, or with a number changed."""
    data = bytearray(content)
    kind = rng.integers(5)
    place = int(rng.integers(len(data)))
    if kind == 0:
        return bytes(data[:place])
    if kind == 1:
        for bit in rng.integers(0, 8 * len(data), rng.integers(1, 9)):
            data[bit // 8] ^= 1 << bit % 8
    elif kind == 2:
        stretch = rng.bytes(int(rng.integers(1, 40)))
        data[place : place + len(stretch)] = stretch
    elif kind == 3:
        place = int(rng.integers(min(120, len(data))))  # where headers are
        data[place : place + 2] = rng.bytes(2)
    else:
        data[place:place] = data[: int(rng.integers(1, 200))]
    return bytes(data)


def masks() -> list[Case]:
    """Ids of two classes in every way that masks hold them."""
    return [Case(name, make(), pictures.RGB) for name, make in SAME.items()]


def corpus(folder: Path, cases: Sequence[Case], count: int, seed: int) -> list[Path]:
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        case = cases[number % len(cases)]
        path = folder / f"{number:04d}_{case.name}"
        path.write_bytes(spoilt(case.content, rng) if number % 7 else case.content)
        paths.append(path)
    return paths


def outcome(read: object, *given: object) -> Pixels | None:
    """What was read; None where it was refused in the words that a user gets."""
    assert callable(read)
    try:
        found: Pixels = read(*given)
    except (UserError, footage.MediaError) as error:
        told = str(error)
    else:
        return found
    assert told.count("\n") <= 1, told
    return None


def through_pack(path: Path, size: tuple[int, int]) -> Pixels:
    pair = masked(path, size)
    recipe = Recipe(CODEC, CLASSES, size, LIMIT)
    return np.asarray(
        load_frames("train", [pair], recipe, path.parent / "packs" / path.name).images[0]
    )


def through_audit(path: Path, size: tuple[int, int]) -> Pixels:
    seen = survey_pair(masked(path, size), "", Recipe(CODEC, CLASSES, size, LIMIT))
    if seen.fault:
        raise UserError(seen.fault)
    return seen.image


def masked(path: Path, size: tuple[int, int]) -> Pair:
    mask = path.parent / "masks" / f"{path.name}.png"
    mask.parent.mkdir(exist_ok=True)
    mask.write_bytes(encoded(Image.new("L", size[::-1]), "png", exif=exif(1)))
    return Pair(path.stem, path, mask)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_spoilt_pictures_are_read_or_refused_alike_by_every_reader(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    for path in corpus(tmp_path, list(pictures.sound()), COUNT, seed=1):
        found = outcome(read_picture, path, LIMIT)
        size = pictures.SIZE if found is None else (found.shape[0], found.shape[1])
        others = {
            "predict": outcome(footage.read_image, path, LIMIT),
            "demo": outcome(open_picture, path, 20, 1),
            "training": outcome(through_pack, path, size),
            "audit": outcome(through_audit, path, size),
        }
        for name, other in others.items():
            same = other is found is None or np.array_equal(other, found)
            assert same, (path.name, name)
        counts["refused" if found is None else "read"] += 1
    print(f"pictures: {dict(counts)}, each by {1 + len(others)} readers")
    assert counts["read"] > COUNT / 7
    assert counts["refused"] > COUNT / 7


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_spoilt_masks_are_ids_or_refused_and_surveyed_alike(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()

    def decoded(path: Path) -> Pixels:
        return CODEC.decode(open_mask(path, LIMIT))[0]

    def surveyed(path: Path) -> Pixels:
        seen = CODEC.survey(open_mask(path, LIMIT))
        if seen.strange_values:
            raise UserError("strange")
        return seen.ids

    for path in corpus(tmp_path, masks(), COUNT, seed=2):
        found, other = outcome(decoded, path), outcome(surveyed, path)
        assert other is found is None or np.array_equal(other, found), path.name
        counts["refused" if found is None else "read"] += 1
    print(f"masks: {dict(counts)}, by training and audit")
    assert min(counts["read"], counts["refused"]) > COUNT / 7


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_an_audit_of_spoilt_frames_counts_them_all(tmp_path: Path) -> None:
    for kind, cases, seed in (("photos", list(pictures.sound()), 3), ("masks", masks(), 4)):
        (tmp_path / kind).mkdir()
        for path in corpus(tmp_path / kind, cases, FRAMES, seed):
            path.rename(path.with_name(f"{path.name[:4]}.png"))
    source = Folder(str(tmp_path), "photos", "masks", ["a", "b"], megapixels=1)
    audit = Audit.measure(source)
    frames = sum(len(split.frames) for split in audit.data.splits.values())
    faults = sum(len(split.faults) for split in audit.data.splits.values())
    print(f"audit: {frames} frames, {faults} faults")
    assert frames + faults == FRAMES
    with pytest.raises(UserError):
        source.frames("train")
