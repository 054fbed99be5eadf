"""PASCAL VOC as the FCN paper uses it: its layout, SBD's masks, and the images it scores."""

import io
import tarfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from fcn_lab.audit.audit import Audit
from fcn_lab.audit.finding import Level
from fcn_lab.audit.findings import collect_findings
from fcn_lab.data.frames import Frames
from fcn_lab.data.packs.decode import open_mask
from fcn_lab.data.pictures.unreadable import Limit, Unreadable
from fcn_lab.data.voc import Voc, draw_colours
from fcn_lab.errors import UserError
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.sources import voc as voc_module
from fcn_lab.training.splits import find_data_gaps
from support import voc
from support.server import Server
from support.tiny import Squares


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return voc.make(tmp_path / "pascal")


def test_the_release_alone_has_its_own_splits(tmp_path: Path) -> None:
    place = voc.make(tmp_path / "pascal", sbd=False)
    for folder in (place, place / "VOCdevkit", place / "VOCdevkit" / "VOC2012"):
        data = Voc(str(folder))
        assert {split: data.frames(split).names for split in data.splits} == {
            "train": voc.TRAIN, "val": voc.VAL
        }  # fmt: skip
        assert data.protocol == "voc21-own_size-void_ignored-voc2012_split"
    assert data.frames("val").drives == voc.VAL  # a photograph stands alone
    assert len(data.classes) == len(data.palette) == 21
    for name, label in zip(voc.TRAIN, data.frames("train").labels, strict=True):
        mask = place / "VOCdevkit" / "VOC2012" / "SegmentationClass" / f"{name}.png"
        assert np.array_equal(label, np.asarray(Image.open(mask)))
    assert voc_module(str(place)).split == "val"


def test_with_sbd_train_and_its_masks_are_sbds_and_no_scored_frame_is_trained_on(
    root: Path,
) -> None:
    data = Voc(str(root))
    unseen = tuple(name for name in voc.VAL if name not in voc.SBD_TRAIN)
    assert data.frames("seg11valid").names == data.frames("val").names == unseen
    train = data.frames("train")
    assert train.names == tuple(sorted(voc.SBD_TRAIN))
    for name, label in zip(train.names, train.labels, strict=True):
        assert np.array_equal(label, voc.sbd_mask(name))
    assert data.protocol == "voc21-own_size-void_ignored-voc2012_sbd_split"
    assert voc_module(str(root)).split == "seg11valid"
    apart = Voc(str(root), merge=False)
    assert apart.frames("train").names == voc.TRAIN
    assert apart.frames("val").names == voc.VAL
    assert apart.frames("seg11valid").names == unseen
    assert apart.protocol == "voc21-own_size-void_ignored-voc2012_split"


def test_the_list_of_voc2011_is_the_papers_where_it_lies_beside(root: Path) -> None:
    older = root / "VOCdevkit" / "VOC2011" / "ImageSets" / "Segmentation"
    older.mkdir(parents=True)
    (older / "val.txt").write_text("\n".join(voc.VAL[4:12]) + "\n")
    data = Voc(str(root))
    assert data.frames("seg11valid").names == voc.VAL[6:12]
    assert data.protocol.endswith("-voc2012_of_2011_sbd_split")


def test_a_training_says_that_the_epoch_is_chosen_on_frames_that_are_scored(root: Path) -> None:
    scored = len(Voc(str(root)).frames("seg11valid"))
    line = f"seg11valid shares {scored} frames with val, by which the best epoch is chosen"
    assert [gap for gap in find_data_gaps(voc_module(str(root))) if line in gap]
    # a split alone shares nothing with itself
    assert not [
        gap for gap in find_data_gaps(voc_module(str(root), split="val")) if "shares" in gap
    ]


def test_names_alone_do_not_make_frames_the_same() -> None:
    """Folders of two splits may number their pictures alike."""
    data = FrameDataModule(Squares())
    names = tuple(map(str, range(5)))

    def number_alike(split: str) -> Frames:
        frames = Squares().frames(split)
        return Frames(frames.images[:5], frames.labels[:5], names)

    data.source.frames = number_alike  # type: ignore[method-assign]
    assert not [gap for gap in find_data_gaps(data) if "shares" in gap]


def test_the_audit_finds_nothing_wrong_with_either(root: Path) -> None:
    found = collect_findings(Audit.measure(Voc(str(root), merge=False)))
    files = [f.title for f in found if f.level is Level.WRONG and "never shows" not in f.title]
    assert all("copying" in title for title in files)


def test_the_colours_are_those_of_the_release() -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 15: (192, 128, 128)}
    found = draw_colours(21)
    assert {number: found[number] for number in known} == known


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float64])
def test_masks_of_matlab_are_read_in_and_out_of_structs(tmp_path: Path, kind: type) -> None:
    mask = np.arange(12, dtype=kind).reshape(3, 4)
    names = np.array([["sky"], ["sea"]], object)
    savemat(tmp_path / "plain.mat", {"S": mask, "names": names})
    savemat(tmp_path / "inside.mat", {"GTcls": {"Segmentation": mask, "Score": 0.5}})
    for file in ("plain.mat", "inside.mat"):
        assert np.array_equal(np.asarray(open_mask(tmp_path / file)), mask)


def test_a_mask_of_matlab_may_end_in_capitals(tmp_path: Path) -> None:
    savemat(tmp_path / "A.MAT", {"S": voc.sbd_mask(voc.FRAMES[4])})
    assert np.array_equal(open_mask(tmp_path / "A.MAT"), voc.sbd_mask(voc.FRAMES[4]))


def test_no_changed_byte_of_a_file_of_matlabs_is_more_than_a_bad_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    voc.write_mat(path, voc.sbd_mask(voc.FRAMES[4]))
    whole = path.read_bytes()
    # what the header of 128 bytes says of the version leads to other readers
    for place in np.random.default_rng(0).integers(128, len(whole), 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with suppress(Unreadable):
            open_mask(path)


def test_a_map_of_matlabs_is_refused_by_its_size_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"nothing": np.zeros((0, 0)), "S": np.ones((2000, 1000), np.uint8)})
    monkeypatch.setattr("scipy.io.loadmat", None)
    with pytest.raises(Unreadable, match=r"is 1000x2000 pixels, more than 1 million"):
        open_mask(path, Limit(1))


def test_a_frame_that_a_list_names_twice_is_refused(root: Path) -> None:
    listing = root / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation" / "val.txt"
    listing.write_text(f"{listing.read_text()}{voc.VAL[3]}\n")
    with pytest.raises(UserError, match=rf"val\.txt names {voc.VAL[3]} 2 times; expected every"):
        Voc(str(root))


def test_a_split_of_which_training_leaves_nothing_is_left_out(root: Path) -> None:
    listing = root / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation" / "val.txt"
    listing.write_text("\n".join(set(voc.VAL) & set(voc.SBD_TRAIN)) + "\n")
    assert Voc(str(root)).splits == ("train",)
    assert Voc(str(root), merge=False).splits == ("train", "val")


def test_files_of_matlab_without_a_mask_are_named(tmp_path: Path) -> None:
    mask = np.zeros((3, 4), np.uint8)
    cases = {
        "none.mat": ({"x": 0.5}, "holds none where one map"),
        "two.mat": ({"a": mask, "b": mask}, r"holds 2 \(a, b\) where one map"),
    }
    for name, (content, says) in cases.items():
        savemat(tmp_path / name, content)
        with pytest.raises(UserError, match=rf"{name} {says}"):
            open_mask(tmp_path / name)
    (tmp_path / "text.mat").write_text("<html>404</html>" * 20)
    (tmp_path / "empty.mat").write_bytes(b"")
    whole = (tmp_path / "two.mat").read_bytes()
    (tmp_path / "cut.mat").write_bytes(whole[: len(whole) - 20])
    for name in ("text.mat", "empty.mat", "cut.mat"):
        with pytest.raises(UserError, match=rf"{name} (is truncated or corrupt|holds)"):
            open_mask(tmp_path / name)


def test_what_is_missing_is_named_with_what_to_type(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No PASCAL VOC: .*\n.*data\.root="):
        Voc(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"data\.sbd=.*no folder cls beside a train\.txt.*\n"):
        Voc(str(root), sbd=str(tmp_path))
    with pytest.raises(UserError, match=r"data\.classes=20: VOC has 21"):
        voc_module(str(root), classes=20)
    gone = root / "VOCdevkit" / "VOC2012" / "JPEGImages" / f"{voc.VAL[0]}.jpg"
    gone.unlink()
    with pytest.raises(UserError, match=rf"{voc.VAL[0]}\.jpg is missing, which a list names"):
        Voc(str(root), merge=False)


def archive_of(root: Path, folder: str, mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        archive.add(root / folder, folder)
    return file.getvalue()


def test_both_archives_are_fetched_checked_and_found(root: Path, tmp_path: Path) -> None:
    with Server().serving() as release, Server().serving() as extra:
        release.content = archive_of(root, "VOCdevkit", "w")
        release.cuts = [5000]
        extra.content = archive_of(root, "benchmark_RELEASE", "w:gz")
        given = {"root": str(tmp_path / "fetched"), "download": True, "url": release.url}
        data = Voc(**given, sbd_url=extra.url)
        assert release.asked == [None, "bytes=5000-"]
        assert data.frames("seg11valid").names == Voc(str(root)).frames("seg11valid").names
        Voc(**given, sbd_url=extra.url)
        assert len(extra.asked) == 1
        for damage in (release.content[:30_000], b"<html>moved</html>"):
            release.content = damage
            with pytest.raises(UserError, match=r"corrupt or not VOC2012 .*removed"):
                Voc(str(tmp_path / "other"), download=True, url=release.url, sbd_url=extra.url)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["VOC2012.lock"]
    with pytest.raises(UserError, match=r"No PASCAL VOC.*\n.*data\.download=true to fetch"):
        Voc(str(tmp_path / "other"))
