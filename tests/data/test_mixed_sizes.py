"""Frames of any size keep it from file to score, or are brought to one in the way asked for."""

import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fcn_lab.audit.audit import Audit
from fcn_lab.audit.file_checks import check_sizes
from fcn_lab.audit.tables import tabulate_splits
from fcn_lab.data.camvid import CamVid
from fcn_lab.data.classes import CAMVID11, keep_classes
from fcn_lab.data.folder import Folder
from fcn_lab.data.label_codecs import IndexLabels
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.data.packs.decode import DecodedFrame, read_pair
from fcn_lab.data.packs.folder import open_pack
from fcn_lab.data.packs.pack import Recipe
from fcn_lab.data.packs.sealed import unseal
from fcn_lab.data.packs.sizes import read_sizes
from fcn_lab.data.packs.writing import PART_FRAMES
from fcn_lab.data.pictures.unreadable import LIMIT
from fcn_lab.data.resizing import IMAGENET_MEAN, resize_frame, resize_image
from fcn_lab.data.sampling import EqualSizeSampler
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from support import fakes, mixed

NAMES = ["left", "right"]
CACHE = Path(".cache/fcn_lab")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return mixed.folder(tmp_path / "set")


def source(root: Path, **changes: object) -> Folder:
    given = {"root": str(root), "images": "photos", "masks": "masks", "names": NAMES}
    return Folder(**{**given, **changes})  # type: ignore[arg-type]


def as_stored(root: Path, name: str) -> tuple[mixed.Pixels, mixed.Pixels]:
    kinds = ("photos", "masks")
    picture, mask = (np.asarray(Image.open(root / kind / f"{name}.png")) for kind in kinds)
    return picture, mask


def test_every_frame_keeps_its_size_and_its_pixels_in_one_memory_map(root: Path) -> None:
    data = source(root)
    assert data.protocol.split("-")[1] == "own_size"
    assert "pictures of 40 sizes, from 20x24 to 55x60: each is kept" in data.describe()
    sizes = []
    for split in data.splits:
        frames = data.frames(split)
        for name, image, label in zip(frames.names, frames.images, frames.labels, strict=True):
            picture, mask = as_stored(root, name)
            assert np.array_equal(image, picture)
            assert np.array_equal(label, mask)
            assert isinstance(image.base, np.memmap)
        assert frames.sizes == tuple(label.shape for label in frames.labels)
        assert frames.pixel_count == sum(label.size for label in frames.labels)
        sizes += frames.sizes
    assert sorted(sizes) == sorted(mixed.SIZES)


def test_a_flipped_bit_in_a_pack_of_many_sizes_is_seen(root: Path) -> None:
    source(root).frames("train")
    (folder,) = (path for path in CACHE.iterdir() if path.name != "sources")
    for name in ("images.npy", "labels.npy", "manifest.json"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        assert open_pack(folder) is None
        (folder / name).write_bytes(whole)
    assert open_pack(folder) is not None


def test_sizes_of_pictures_that_occur_twice_are_kept_too(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = sorted((root / "photos").iterdir())
    sizes = read_sizes(pictures + pictures[:3], CACHE, LIMIT)
    assert sorted(sizes.values()) == sorted(mixed.SIZES)
    monkeypatch.setattr("fcn_lab.data.packs.sizes.upright_size", None)
    assert read_sizes(pictures + pictures[:3], CACHE, LIMIT) == sizes


def test_sizes_are_read_once_and_again_after_a_change(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = source(root).protocol
    with monkeypatch.context() as patch:
        patch.setattr("fcn_lab.data.packs.sizes.upright_size", None)
        assert source(root).protocol == before
    for number in range(40):
        picture, mask = mixed.draw(f"frame_{number:02d}", (20, 24), (0, 1))
        fakes.save(root / "photos" / f"frame_{number:02d}.png", picture)
        fakes.save(root / "masks" / f"frame_{number:02d}.png", mask)
    assert source(root).protocol.split("-")[1] == "20x24"


@pytest.mark.parametrize("stored", mixed.SIZES[::7])
@pytest.mark.parametrize("size", [(30, 40), (40, 30), (31, 31)])
def test_fit_shows_the_whole_frame_in_its_shape_and_fill_no_void(
    stored: tuple[int, int], size: tuple[int, int]
) -> None:
    image = np.full((*stored, 3), 7, np.uint8)
    label = np.zeros(stored, np.uint8)
    fitted, shown = resize_frame(image, label, size, "fit")
    rows, columns = (np.flatnonzero((shown == 0).any(axis)) for axis in (1, 0))
    inside = (len(rows), len(columns))
    assert (shown == 0).sum() == inside[0] * inside[1]
    # the frame's shape, up to half a pixel of the shorter side, and as large as it goes
    factor = min(size[0] / stored[0], size[1] / stored[1])
    assert all(
        abs(length - side * factor) <= 0.5 for length, side in zip(inside, stored, strict=True)
    )
    assert any(length == side for length, side in zip(inside, size, strict=True))
    # in the middle, up to the pixel that cannot be halved
    assert abs(rows[0] - (size[0] - 1 - rows[-1])) <= 1
    assert abs(columns[0] - (size[1] - 1 - columns[-1])) <= 1
    assert (fitted[shown == VOID] == IMAGENET_MEAN).all()
    assert (fitted[shown == 0] == 7).all()
    filled, covered = resize_frame(image, label, size, "fill")
    assert filled.shape == (*size, 3)
    assert not covered.any()
    assert resize_frame(image, label, size, "stretch")[1].shape == size


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("rows", [100, 130, 200])
def test_what_shrinks_is_averaged_whatever_the_other_axis_does(rows: int, is_turned: bool) -> None:
    image = np.zeros((100, 400, 3), np.uint8)
    image[:, ::4] = 255
    size = (rows, 100)
    if is_turned:
        image, size = image.swapaxes(0, 1), size[::-1]
    assert (resize_image(np.ascontiguousarray(image), size) == round(255 / 4)).all()


def test_packs_are_named_anew_where_axes_are_resized_apart_and_nowhere_else() -> None:
    codec = IndexLabels(("a", "b"), ((0, 0, 0), (1, 1, 1)))
    classes = keep_classes(codec.names, codec.colours, "set", with_void=False)

    def is_named_anew(shape: tuple[int, int], target: tuple[int, int] | None) -> bool:
        recipe = Recipe(codec, classes, target)
        return recipe.key([shape]) != recipe.key()

    assert all(is_named_anew((100, 400), size) for size in ((100, 200), (200, 100), (50, 500)))
    kept = (None, (100, 400), (50, 400), (50, 200), (200, 400), (100, 500), (200, 500))
    assert not any(is_named_anew((100, 400), size) for size in kept)


def test_fill_keeps_the_middle() -> None:
    label = np.repeat(np.arange(9, dtype=np.uint8), 4)[None].repeat(8, 0)  # 8 x 36
    image = np.stack([label] * 3, -1)
    kept, ids = resize_frame(image, label, (8, 12), "fill")
    assert np.array_equal(ids, label[:, 12:24])
    assert np.array_equal(kept, image[:, 12:24])


def test_a_size_fits_mixed_pictures_and_stretches_equal_ones(root: Path, tmp_path: Path) -> None:
    assert source(root, size=[30, 40]).protocol.split("-")[1] == "30x40_fit"
    assert source(root, size=[30, 40], resize="fill").protocol.split("-")[1] == "30x40_fill"
    assert source(root, size=[30, 40], resize="stretch").protocol.split("-")[1] == "30x40"
    assert source(root, size=[30, 40]).frames("val").images.shape == (6, 30, 40, 3)
    assert "brought to 30x40 by data.resize=fit" in source(root, size=[30, 40]).describe()
    alike = mixed.folder(tmp_path / "alike", count=1)
    for number in (1, 2):
        for kind in ("photos", "masks"):
            file = alike / kind / "frame_00.png"
            (alike / kind / f"frame_0{number}.png").write_bytes(file.read_bytes())
    assert source(alike, size=[30, 40]).protocol.split("-")[1] == "30x40"
    # 20x24 is of the shape of 40x48: there is nothing to fit
    assert source(alike, size=[40, 48], resize="fit").protocol.split("-")[1] == "40x48"
    with pytest.raises(UserError, match=r"data\.resize=fit needs a size.*\n.*data\.size="):
        source(root, resize="fit")


def test_the_audit_reads_frames_of_many_sizes(root: Path) -> None:
    measured = Audit.measure(source(root))
    (finding,) = check_sizes(measured)
    assert finding.title == "the files have 40 sizes"
    assert "at its own" in finding.text
    assert measured.copy_scores["val"]["prior"]["pixel_accuracy"] > 0
    assert set(measured.weights) == set(Audit.measure(source(root, size=[30, 40])).weights)
    (finding,) = check_sizes(Audit.measure(source(root, size=[30, 40])))
    assert "brought to 30x40, their shapes kept" in finding.text
    (finding,) = check_sizes(Audit.measure(source(root, size=[30, 40], resize="stretch")))
    assert "stretched to 30x40, whatever their shape" in finding.text


@pytest.mark.parametrize("world", [1, 2, 3])
def test_batches_of_whole_frames_have_one_size_and_leave_none_out(world: int) -> None:
    sizes = [(4, 6)] * 7 + [(6, 4)] * 5 + [(5, 5)]
    shares = [EqualSizeSampler(sizes, 3, 1, rank, world) for rank in range(world)]
    orders = set()
    for epoch in range(3):
        seen: list[int] = []
        for share in shares:
            share.set_epoch(epoch)
            batches = list(share)
            assert len(batches) == len(share) == 6 // world
            for batch in batches:
                assert {drawn for drawn, _ in batch} == {epoch}
                assert len({sizes[index] for _, index in batch}) == 1
                assert len(batch) <= 3
                seen += [index for _, index in batch]
        assert max(Counter(seen).values()) == 1
        assert world > 1 or len(seen) == len(sizes)
        orders.add(tuple(seen))
    assert len(orders) == 3


def test_batches_of_equal_sizes_go_on_where_a_run_was_stopped() -> None:
    sizes = [(4, 6)] * 7 + [(6, 4)] * 5
    whole = list(EqualSizeSampler(sizes, 2, 5))
    stopped = EqualSizeSampler(sizes, 2, 5)
    stopped.resume(0, 3)
    assert list(stopped) == whole[3:]
    assert len(stopped) == len(whole)


def test_what_a_killed_process_packed_is_not_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, count = tmp_path / "set", 2 * PART_FRAMES + 20
    for number in range(count):
        picture, mask = mixed.draw(f"{number:03d}", mixed.SIZES[number % 40], (0, 1, 255))
        fakes.save(root / "photos" / f"{number:03d}.png", picture)
        fakes.save(root / "masks" / f"{number:03d}.png", mask)
    shares = {"splits": {"train": 1 - 2 / count, "val": 2 / count}}
    monkeypatch.setattr("fcn_lab.data.packs.writing.count_bound_cores", lambda: 1)
    monkeypatch.setattr("fcn_lab.data.packs.writing._PIECE", 1000)
    decoded: list[str] = []
    killed = f"{PART_FRAMES + 3:03d}"

    def read(pair: Pair, *given: Any) -> DecodedFrame:  # noqa: ANN401
        if pair.name == killed:
            raise KeyboardInterrupt
        decoded.append(pair.name)
        return read_pair(pair, *given)

    monkeypatch.setattr("fcn_lab.data.packs.pack.read_pair", read)
    with pytest.raises(KeyboardInterrupt):
        source(root, **shares).frames("train")
    assert [path.name[:6] for path in CACHE.iterdir() if path.name != "sources"] == [".part-"]
    decoded.clear()
    killed = ""
    frames = source(root, **shares).frames("train")
    assert decoded == [f"{number:03d}" for number in range(PART_FRAMES, count - 2)]
    assert not list(CACHE.glob(".part-*"))
    monkeypatch.setattr("fcn_lab.data.packs.writing.count_bound_cores", lambda: 4)
    other = source(root, **shares, cache="elsewhere").frames("train")
    for one, two in zip(frames.images, other.images, strict=True):
        assert np.array_equal(one, two)
    for name in ("images.npy", "labels.npy", "manifest.json"):
        first, second = (next(Path(c).glob(f"*/{name}")) for c in (CACHE, Path("elsewhere")))
        assert first.read_bytes() == second.read_bytes()


def test_camvids_packs_are_bit_for_bit_those_of_before_frames_had_sizes(tmp_path: Path) -> None:
    """The name, the arrays and the manifest as they were defined then, written without the lab."""
    root = fakes.segnet(tmp_path / "set")
    data = CamVid(str(root), size=[12, 16])
    assert data.protocol == "camvid11-12x16-void_ignored-segnet_part_split"
    data.frames("test")
    table = np.full(256, VOID, np.uint8)
    table[:11] = np.arange(11)
    legal = np.zeros(256, np.bool_)
    legal[[*range(12), VOID]] = True
    codec = repr(("index", tuple(CAMVID11), legal.tobytes(), table.tobytes()))
    words = [repr((2, codec, table.tobytes().hex(), (12, 16)))]
    for name in fakes.SPLITS["test"]:
        for folder in ("test", "testannot"):
            content = (root / folder / f"{name}.png").read_bytes()
            words.append(f"{name}.png {hashlib.sha256(content).hexdigest()}")
    folder = CACHE / hashlib.sha256("\0".join(words).encode()).hexdigest()[:24]
    assert sorted(path.name for path in folder.iterdir()) == [
        "images.npy", "labels.npy", "manifest.json"
    ]  # fmt: skip
    frames = data.frames("test")
    for name, array in (("images", frames.images), ("labels", frames.labels)):
        file = io.BytesIO()
        np.lib.format.write_array(file, np.asarray(array), version=(2, 0))
        assert (folder / f"{name}.npy").read_bytes() == file.getvalue()
    text = (folder / "manifest.json").read_text()
    assert list(json.loads(text)["content"]) == ["names", "size", "strange", "digests", "format"]
    assert unseal(text)["size"] == [12, 16]


def test_a_table_of_forty_sizes_names_the_commonest_and_counts_the_rest(root: Path) -> None:
    rows = tabulate_splits(Audit.measure(source(root))).rows
    assert str(rows[0][2]).endswith(" and 24 more")
    assert str(rows[1][2]).count("x") == 4
