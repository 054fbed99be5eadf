"""task=ceilings: a slow oracle on a small mask, and the facts known of CamVid."""

import csv
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchmetrics.functional import classification

from fcn_lab.data.camvid import CamVid
from fcn_lab.data.locations import find_default_folder
from fcn_lab.errors import UserError
from fcn_lab.tasks.ceilings import Ceilings, downsample_and_upsample
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.sources import synthetic
from fcn_lab.upsampling import Bilinear
from support.tiny import Squares, void_frames

VOID = 255


def oracle(label: NDArray[np.uint8], classes: int, stride: int) -> NDArray[np.int64]:
    """Pixel by pixel, with nothing but counting and the definition of linear interpolation."""
    height, width = label.shape
    rows, columns = -(-height // stride), -(-width // stride)
    shares = np.zeros((classes, rows, columns))
    for y, x in product(range(height), range(width)):
        if label[y, x] != VOID:
            shares[label[y, x], y // stride, x // stride] += 1 / stride**2

    def weights(place: int, count: int) -> list[tuple[int, float]]:
        at = min(max((place + 0.5) / stride - 0.5, 0), count - 1)
        first = int(at)
        return [(first, 1 - (at - first)), (min(first + 1, count - 1), at - first)]

    seen = np.zeros((height, width), np.int64)
    for y, x in product(range(height), range(width)):
        value = sum(
            a * b * shares[:, u, v]
            for (u, a), (v, b) in product(weights(y, rows), weights(x, columns))
        )
        seen[y, x] = np.argmax(value)
    return seen


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_a_mask_comes_back_as_counted_pixel_by_pixel(stride: int) -> None:
    rng = np.random.default_rng(stride)
    for size in ((9, 13), (16, 8), (1, 5)):
        label = rng.choice(np.array([0, 1, 2, VOID], np.uint8), size)
        ours = downsample_and_upsample(torch.from_numpy(label)[None], Bilinear(3, stride))[0]
        assert np.array_equal(ours, oracle(label, 3, stride))


def test_no_stride_is_refused() -> None:
    with pytest.raises(UserError, match="strides"):
        Ceilings(FrameDataModule(Squares(), split="val"), [])


def test_the_scores_are_those_of_all_frames_together(tmp_path: Path) -> None:
    data = FrameDataModule(Squares(), split="val")
    task = Ceilings(data, [4, 16])
    task.run(tmp_path)
    told = json.loads((tmp_path / "ceilings.json").read_text())
    assert (told["protocol"], told["split"]) == (data.protocol, "val")
    labels = data.source.frames("val").labels
    with (tmp_path / "ceilings.csv").open(newline="") as file:
        rows = {row["stride"]: row for row in csv.DictReader(file)}
    for stride in (4, 16):
        seen = np.stack([oracle(label, 3, stride) for label in labels])
        truth = torch.from_numpy(labels.astype(int))
        expected = classification.multiclass_jaccard_index(
            torch.from_numpy(seen), truth, 3, ignore_index=VOID,
            average="none",
        )  # fmt: skip
        iou = told["strides"][str(stride)]["iou"]
        assert iou["Unseen"] is None
        assert [iou["Ground"], iou["Square"]] == pytest.approx(expected[:2].tolist())
        assert rows[str(stride)]["Unseen"] == ""
        assert float(rows[str(stride)]["Square"]) == iou["Square"]


def test_on_synthetic_streets_finer_maps_lose_less() -> None:
    data = synthetic(size=(45, 60), val=3, split="val")
    found = Ceilings(data).measure(data.source.frames("val"))
    assert list(found) == [64, 32, 16, 8, 4, 2]
    accuracies = [score["pixel_accuracy"] for score in found.values()]
    assert accuracies == sorted(accuracies)


def test_labels_that_are_all_void_have_no_ceiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Squares, "frames", void_frames)
    with pytest.raises(UserError, match=r"test has no pixel of any class.*\ndata\.split= chooses"):
        Ceilings(FrameDataModule(Squares())).run(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_stride_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(UserError, match="12: expected a power of two"):
        Ceilings(FrameDataModule(Squares()), [12])


@pytest.mark.slow
def test_the_ceilings_of_camvid_are_those_published_with_the_lab(tmp_path: Path) -> None:
    """FACTS.md: 63.7 and 75.3 mean IoU, 91.8 and 95.2 % of the pixels of test."""
    root = find_default_folder()
    if not (root / "testannot").is_dir():
        pytest.skip("real CamVid absent: set FCN_LAB_CAMVID to its folder")
    data = FrameDataModule(CamVid(str(root), [360, 480], cache=str(tmp_path)))
    found = Ceilings(data, [32, 16]).measure(data.source.frames("test"))
    for stride, mean_iou, accuracy in ((32, 63.7, 91.8), (16, 75.3, 95.2)):
        assert 100 * found[stride]["mean_iou"] == pytest.approx(mean_iou, abs=0.1)
        assert 100 * found[stride]["pixel_accuracy"] == pytest.approx(accuracy, abs=0.1)
