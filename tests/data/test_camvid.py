"""Facts of the real CamVid, where it is at hand."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fcn_lab.data.balance import MedianFrequency, count_pixels
from fcn_lab.data.camvid import CamVid
from fcn_lab.data.layouts.splits import find_segnet_split
from fcn_lab.pixels import VOID


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def source(camvid_root: Path, cache: str) -> CamVid:
    return CamVid(str(camvid_root), cache=cache)


def test_the_segnet_release_is_found_with_its_counts_and_protocol(source: CamVid) -> None:
    assert source.protocol == "camvid11-360x480-void_ignored-segnet_split"
    assert "SegNet release" in source.describe()
    assert "train 367, val 101, test 233" in source.describe()


def test_the_split_follows_from_the_frame_names_alone(camvid_root: Path) -> None:
    for split, count in (("train", 367), ("val", 101), ("test", 233)):
        names = [path.stem for path in (camvid_root / split).glob("*.png")]
        assert len(names) == count
        assert {find_segnet_split(name) for name in names} == {split}


def test_a_name_of_no_camvid_drive_has_no_split() -> None:
    assert find_segnet_split("berlin_000001") is None
    assert find_segnet_split("0016E5_07959_L") is None


@pytest.mark.slow
def test_every_split_is_read_and_no_label_is_out_of_range(source: CamVid) -> None:
    for split, count in (("train", 367), ("val", 101), ("test", 233)):
        frames = source.frames(split)
        assert frames.images.shape == (count, 360, 480, 3)
        seen = sum(np.bincount(label.ravel(), minlength=256) for label in frames.labels)
        assert set(np.flatnonzero(seen)) == {*range(11), VOID}


def test_the_second_start_opens_no_picture_and_reads_no_file_again(
    camvid_root: Path, source: CamVid, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.frames("train")
    monkeypatch.setattr(Image, "open", lambda *args: pytest.fail("a picture was opened"))
    monkeypatch.setattr(hashlib, "file_digest", lambda *args: pytest.fail("a file was read"))
    CamVid(str(camvid_root), cache=cache).frames("train")


def test_frequency_balancing_gives_the_sign_weight_of_the_facts(source: CamVid) -> None:
    counts, shown = count_pixels(source.frames("train"), 11)
    weights = MedianFrequency()(torch.from_numpy(counts), torch.from_numpy(shown))
    assert float(weights[source.classes.index("SignSymbol")]) == pytest.approx(3.85, abs=0.005)
