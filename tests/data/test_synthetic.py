import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from numpy.typing import NDArray

from fcn_lab.data.classes import CAMVID11
from fcn_lab.data.synthetic import Synthetic
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from fcn_lab.training.sources import synthetic
from support.places import ROOT

K = len(CAMVID11)


@pytest.fixture(scope="module")
def source() -> Synthetic:
    return Synthetic(train=60, val=4, test=24)


def mean_iou(truth: NDArray[np.uint8], guess: NDArray[np.int64]) -> float:
    scored = truth != VOID
    pairs = truth[scored].astype(np.int64) * K + guess[scored]
    matrix = np.bincount(pairs, minlength=K * K).reshape(K, K)
    return float((matrix.diagonal() / (matrix.sum(0) + matrix.sum(1) - matrix.diagonal())).mean())


def test_scenes_are_a_function_of_seed_split_and_number(source: Synthetic) -> None:
    shorter = Synthetic(train=3, val=3, test=3)
    for split in ("train", "val", "test"):
        few, many = shorter.frames(split), source.frames(split)
        assert np.array_equal(few.images, many.images[:3])
        assert np.array_equal(few.labels, many.labels[:3])
        assert few.names == many.names[:3]
    other = Synthetic(train=3, val=3, test=3, seed=1)
    pictures = [s.frames(split).images[0] for s in (shorter, other) for split in s.splits]
    assert len({picture.tobytes() for picture in pictures}) == 6


def test_all_classes_and_a_little_void_appear(source: Synthetic) -> None:
    labels = source.frames("train").labels
    shares = np.bincount(labels.ravel(), minlength=256) / labels.size
    assert set(np.unique(labels)) == {*range(K), VOID}
    assert 0 < shares[VOID] < 0.03
    rare = shares[[list(CAMVID11).index(name) for name in ("Pole", "SignSymbol", "Pedestrian")]]
    assert (rare < 0.05).all()


def test_neither_colour_nor_place_alone_solves_the_scenes(source: Synthetic) -> None:
    train, test = source.frames("train"), source.frames("test")

    def cells(images: NDArray[np.uint8]) -> NDArray[np.int64]:
        return (images // 16).astype(np.int64) @ np.array([256, 16, 1])

    votes = np.zeros((4096, K))
    scored = train.labels != VOID
    np.add.at(votes, (cells(train.images)[scored], train.labels[scored]), 1)
    assert mean_iou(test.labels, votes.argmax(1)[cells(test.images)]) < 0.25
    usual = np.stack([(train.labels == k).sum(0) for k in range(K)]).argmax(0)
    assert mean_iou(test.labels, np.broadcast_to(usual, test.labels.shape)) < 0.3


def test_fine_structure_puts_a_ceiling_on_coarse_predictions(source: Synthetic) -> None:
    truth = torch.from_numpy(source.frames("test").labels).long()
    hot = F.one_hot(truth.clamp(max=K), K + 1).permute(0, 3, 1, 2)[:, :K].float()

    def ceiling(stride: int) -> float:
        coarse = F.interpolate(F.avg_pool2d(hot, stride), scale_factor=stride, mode="bilinear")
        return mean_iou(source.frames("test").labels, coarse.argmax(1).numpy())

    assert ceiling(8) > ceiling(16) + 0.1 > ceiling(32) + 0.2


@pytest.mark.parametrize("size", [(1, 1), (7, 33), (120, 60)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    source = Synthetic(size, train=2, val=1, test=1)
    frames = source.frames("train")
    assert frames.images.shape == (2, *size, 3)
    assert frames.labels.shape == (2, *size)
    usual = Synthetic(size, train=2)
    assert usual.protocol == f"synthetic11-{size[0]}x{size[1]}-void_ignored-seed0_split"


def test_the_number_of_frames_that_are_scored_is_part_of_the_protocol() -> None:
    counts = ({}, {"test": 5}, {"test": 6}, {"val": 5}, {"val": 5, "test": 5})
    assert len({Synthetic(**given).protocol for given in counts}) == len(counts)
    assert (
        Synthetic(train=5).protocol == Synthetic(val=40, test=60).protocol == Synthetic().protocol
    )


def test_impossible_wishes_are_refused() -> None:
    with pytest.raises(UserError, match=r"data\.classes=32.*type data\.classes=11"):
        Synthetic(classes=32)
    with pytest.raises(UserError, match=r"size=\[0, 5\]\): expected a list of 2"):
        Synthetic((0, 5))
    with pytest.raises(UserError, match=r"expected data\.split=train\|val\|test"):
        Synthetic().frames("minitest")


def test_the_word_builds_what_the_defaults_say() -> None:
    node = yaml.safe_load((ROOT / "conf/data/synthetic.yaml").read_text())
    assert node.pop("_target_") == "fcn_lab.training.sources.synthetic"
    plain = {key: value for key, value in node.items() if not str(value).startswith("${")}
    assert synthetic(**plain).protocol == synthetic().protocol
