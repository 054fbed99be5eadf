"""Frames that are read from their files, and places that have no room for a pack."""

import errno
import logging
import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from fcn_lab.data.augment import Augmentation
from fcn_lab.data.folder import Folder
from fcn_lab.data.packs import disk
from fcn_lab.errors import UserError
from fcn_lab.training.datamodule import FrameDataModule
from support import fakes, mixed

GIVEN = {"images": "photos", "masks": "masks", "names": ["left", "right"]}
Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return mixed.folder(tmp_path / "set")


def test_frames_from_files_are_those_of_a_pack_and_nothing_is_packed(root: Path) -> None:
    packed, unpacked = Folder(str(root), **GIVEN), Folder(str(root), **GIVEN, pack=False, cache="c")
    assert unpacked.protocol == packed.protocol
    for split in packed.splits:
        ours, theirs = unpacked.frames(split), packed.frames(split)
        assert (ours.names, ours.sizes) == (theirs.names, theirs.sizes)
        for kind in ("images", "labels"):
            here, there = getattr(ours, kind), getattr(theirs, kind)
            assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True))
            assert np.array_equal(here[3], there[3])
        for one, two in zip(ours.label_counts, theirs.label_counts, strict=True):
            assert np.array_equal(one, two)
    assert [path.name for path in Path("c").iterdir()] == ["sources"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_read_files_and_hand_on_a_users_mistake_in_a_line(root: Path) -> None:
    source = Folder(str(root), **GIVEN, pack=False)
    crop = Augmentation(crop=(20, 24))
    batches = [
        list(FrameDataModule(source, crop, 4, workers, "val").train_dataloader())
        for workers in (0, 1)
    ]
    for one, two in zip(*batches, strict=True):
        assert all(np.array_equal(one[key], two[key]) for key in ("image", "label"))
    broken = root / "photos" / "frame_30.png"
    broken.write_bytes(broken.read_bytes()[:-30])
    source = Folder(str(root), **GIVEN, pack=False, cache="other")
    with pytest.raises(UserError) as caught:
        list(FrameDataModule(source, crop, 4, 1, "val").val_dataloader())
    assert str(caught.value).startswith(f"{broken} is truncated or corrupt")
    assert str(caught.value).count("\n") == 1


def test_a_file_that_changed_is_named_without_a_pack_too(root: Path) -> None:
    Folder(str(root), **GIVEN, pack=False).frames("train")
    mask = root / "masks" / "frame_00.png"
    fakes.save(mask, mixed.draw("other", mixed.SIZES[0], (1, 0))[1])
    with pytest.raises(UserError, match=r"frame_00\.png has changed since"):
        Folder(str(root), **GIVEN, pack=False).frames("train")


def test_strange_colours_are_judged_over_the_whole_split_without_a_pack_too(root: Path) -> None:
    colours = {"left": [10, 20, 30], "right": [40, 50, 60]}
    palette = np.array([*colours.values(), *[[9, 9, 9]] * 254], np.uint8)
    for mask in (root / "masks").iterdir():
        picture = mixed.draw(mask.stem, (20, 24), (0, 1))[1]
        picture[0, 0] = 2
        fakes.save(mask, palette[picture])
        fakes.save(root / "photos" / mask.name, np.zeros((20, 24, 3), np.uint8))
    for _ in range(2):
        data = Folder(str(root), **{**GIVEN, "names": colours}, pack=False)
        with pytest.raises(UserError, match=r"0\.21% of the label pixels have colours of no class"):
            data.frames("train")


def test_a_few_strange_pixels_are_said_without_a_pack_too_and_looked_for_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    colours = {"left": [10, 20, 30], "right": [40, 50, 60], "void": [0, 0, 0]}
    palette = np.array([*colours.values(), *[[0, 0, 0]] * 253], np.uint8)
    for mask in (root / "masks").iterdir():
        label = palette[mixed.draw(mask.stem, (100, 120), (0, 1, 2))[1]]
        label[0, 0] = 9 if mask.stem == "frame_03" else label[0, 0]
        fakes.save(mask, label)
        fakes.save(root / "photos" / mask.name, np.zeros((100, 120, 3), np.uint8))
    for _ in range(2):
        data = Folder(str(root), **{**GIVEN, "names": colours}, pack=False)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            frames = [data.frames(split) for split in data.splits]
        assert "train: colours of no class became void: (9,9,9) in 1 pixel" in caplog.text
        assert sum(map(len, frames)) == 40
        monkeypatch.setattr("fcn_lab.data.packs.census.open_mask", None)


def test_a_pack_that_the_disk_has_no_room_for_is_refused_before_anything_is_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(9, 9, 1000))
    monkeypatch.setattr("fcn_lab.data.packs.pack.read_pair", None)
    with pytest.raises(UserError, match=r"takes .* GB, and .* free there\.\n.*data\.pack=false"):
        Folder(str(root), **GIVEN).frames("train")
    assert [path.name for path in Path(".cache/fcn_lab").iterdir()] == ["sources"]
    assert len(Folder(str(root), **GIVEN, pack=False).frames("train")) == 28


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.ENOSPC, "no space is left on its disk"), (errno.ESTALE, "the network file system")],
)
def test_a_full_disk_and_a_lost_network_are_told_apart(
    number: int, says: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(UserError, match=rf"cannot be written: {says}.*\n.*data\.cache="):
        Folder(str(root), **GIVEN).frames("train")
    assert [path.name for path in Path(".cache/fcn_lab").iterdir()] == ["sources"]


def test_a_cache_on_a_network_file_system_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mount = namedtuple("mount", "mountpoint fstype")
    mounts = [mount("/", "ext4"), mount(os.path.realpath("."), "nfs4"), mount("/proc", "proc")]
    monkeypatch.setattr(disk.psutil, "disk_partitions", lambda **_: mounts)
    with caplog.at_level(logging.WARNING):
        Folder(str(root), **GIVEN).frames("val")
    assert "lies on a network file system (nfs4)" in caplog.text
    caplog.clear()
    monkeypatch.setattr(disk.psutil, "disk_partitions", lambda **_: mounts[:1])
    with caplog.at_level(logging.WARNING):
        Folder(str(root), **GIVEN).frames("train")
    assert caplog.text == ""
