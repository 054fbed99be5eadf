"""Splits by drive."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fcn_lab.data.camvid import CamVid
from fcn_lab.data.folder import Folder
from fcn_lab.data.layouts.splits import find_drive
from fcn_lab.errors import UserError
from support import fakes

DRIVES = {"0001TP", "0006R0", "0016E5", "Seq05VD"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fakes.segnet(tmp_path / "camvid")


@pytest.mark.parametrize("held_out", sorted(DRIVES))
def test_no_drive_is_in_two_splits_and_no_frame_is_left_out(root: Path, held_out: str) -> None:
    source = CamVid(str(root), split_by="drive", held_out=held_out)
    drives = {split: set(source.frames(split).drives) for split in source.splits}
    assert drives["test"] == {held_out}
    assert len(drives["val"]) == 1
    assert sum(map(len, drives.values())) == len(set.union(*drives.values())) == len(DRIVES)
    names = [name for split in source.splits for name in source.frames(split).names]
    assert sorted(names) == sorted(fakes.NAMES)


def test_every_drive_is_val_for_one_other(root: Path) -> None:
    chosen = {
        CamVid(str(root), split_by="drive", held_out=held_out).frames("val").drives[0]
        for held_out in DRIVES
    }
    assert chosen == DRIVES


def test_the_protocol_says_which_drive_was_held_out(root: Path) -> None:
    ids = {CamVid(str(root), split_by="drive", held_out=d).protocol for d in DRIVES}
    assert len(ids | {CamVid(str(root)).protocol}) == len(DRIVES) + 1


def test_a_frame_has_the_same_pixels_under_either_split(root: Path) -> None:
    own, by_drive = CamVid(str(root)), CamVid(str(root), split_by="drive", held_out="Seq05VD")
    there = by_drive.frames("test")
    here = own.frames("test")
    place = here.names.index(there.names[0])
    assert np.array_equal(here.labels[place], there.labels[0])
    assert here.drives == tuple(map(find_drive, here.names))


@pytest.mark.parametrize(
    ("split_by", "held_out", "says"),
    [
        ("drive", None, "0001TP.*Seq05VD"),
        ("drive", "0002", "no such drive"),
        ("block", None, "expected drive"),
        (None, "0001TP", "needs data.split_by=drive"),
    ],
)
def test_a_drive_that_cannot_be_held_out_is_refused(
    root: Path, split_by: str | None, held_out: str | None, says: str
) -> None:
    with pytest.raises(UserError, match=f"(?s){says}"):
        CamVid(str(root), split_by=split_by, held_out=held_out)


def test_two_drives_are_too_few(tmp_path: Path) -> None:
    few = {"train": ["0001TP_006690"], "test": ["Seq05VD_f00000"]}
    root = fakes.segnet(tmp_path / "few", few)
    with pytest.raises(UserError, match="needs 3 drives"):
        CamVid(str(root), split_by="drive", held_out="Seq05VD")


def numbered(root: Path, names: object = ("a", "b"), prefix: str = "", **words: Any) -> Folder:  # noqa: ANN401
    """Three drives that are called by a number, with equal files whatever the prefix."""
    for drive in "123":
        fakes.save(root / f"{prefix}{drive}" / "rgb" / "0.png", fakes.picture(drive))
        fakes.save(root / f"{prefix}{drive}" / "ids" / "0.png", fakes.ids(drive, 2))
    return Folder(str(root), "*/rgb/*.png", "*/ids/*.png", names, blocks=1, **words)


def test_equal_files_that_are_called_otherwise_keep_their_own_names_and_drives(
    tmp_path: Path,
) -> None:
    for prefix in ("", "drive"):
        found = numbered(tmp_path / f"set{prefix}", prefix=prefix)
        frames = [found.frames(split) for split in found.splits]
        assert [part.names for part in frames] == [(f"{prefix}{n}_0",) for n in "123"]
        assert [part.drives for part in frames] == [(f"{prefix}{n}",) for n in "123"]


def test_what_masks_mean_is_told_apart_where_a_drive_is_held_out_too(tmp_path: Path) -> None:
    tables = (["a", "b"], {"a": 1, "b": [0, 7]}, {"a": 0, "b": 1})
    ids = [numbered(tmp_path, names, split_by="drive", held_out=2).protocol for names in tables]
    assert ids[0] == ids[2] != ids[1]
    assert all("-without_2_" in protocol for protocol in ids)


def test_a_drive_whose_name_is_a_number_is_typed_as_one(tmp_path: Path) -> None:
    found = numbered(tmp_path, split_by="drive", held_out=2)
    assert found.frames("test").names == ("2_0",)
