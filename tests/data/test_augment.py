import pickle
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch.utils.data import DataLoader

from fcn_lab.data.augment import IDENTITY, Augmentation
from fcn_lab.data.frames import FrameDataset, Frames
from fcn_lab.data.sampling import TrainSampler
from fcn_lab.pixels import VOID, Pixels
from support.places import CONF

CONF = CONF / "augment"
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (48, 64, 3), np.uint8)
LABEL = np.kron(RNG.choice(np.array([0, 10], np.uint8), (6, 8)), np.ones((8, 8), np.uint8))


def word(name: str, **others: tuple[int, int]) -> Augmentation:
    fields: dict[str, Any] = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert fields.pop("_target_") == "fcn_lab.data.augment.Augmentation"
    return Augmentation(**fields | others)


def equal(left: tuple[Pixels, Pixels], right: tuple[Pixels, Pixels]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("name", ["light", "strong"])
def test_a_seed_gives_the_same_frame_whatever_was_drawn_before(name: str) -> None:
    forward, backward = word(name), word(name)
    first = [forward(IMAGE, LABEL, seed) for seed in range(12)]
    again = [backward(IMAGE, LABEL, seed) for seed in reversed(range(12))][::-1]
    assert all(equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({image.tobytes() for image, _ in first}) == 12


@pytest.mark.parametrize("name", ["light", "strong"])
def test_sizes_stay_and_labels_are_never_mixed(name: str) -> None:
    augment = word(name)
    for seed in range(30):
        image, label = augment(IMAGE, LABEL, seed)
        assert (image.shape, label.shape) == (IMAGE.shape, LABEL.shape)
        assert image.dtype == label.dtype == np.uint8
        assert set(np.unique(label)) <= {0, 10, VOID}


def test_a_crop_has_its_own_size_and_is_padded_where_the_frame_is_smaller() -> None:
    for crop in ((32, 40), (64, 40)):
        augment = Augmentation(crop=crop)
        image, label = augment(IMAGE, LABEL, 7)
        assert (image.shape, label.shape) == ((*crop, 3), crop)
        assert (label == VOID).sum() == max(0, crop[0] - 48) * crop[1]


def test_a_crop_from_a_config_is_a_list_and_cuts_the_same() -> None:
    listed = word("strong", crop=[32, 40])  # type: ignore[arg-type]
    assert equal(listed(IMAGE, LABEL, 3), word("strong", crop=(32, 40))(IMAGE, LABEL, 3))


def test_what_zooming_out_uncovers_is_void() -> None:
    image, label = Augmentation(scale=(0.5, 0.5), flip=0)(IMAGE, LABEL, 0)
    assert (label != VOID).sum() == LABEL.size // 4
    assert (image[label == VOID] == (124, 116, 104)).all()


def test_picture_and_label_move_together() -> None:
    twin = np.repeat(LABEL[..., None] * 20, 3, axis=2)  # a picture that is its own label
    augment = word("light")
    for seed in range(20):
        image, label = augment(twin, LABEL, seed)
        inside = label != VOID
        assert (image[..., 0] // 20 == label)[inside].mean() > 0.8  # edges are blended


@pytest.mark.parametrize("zoom", [0.7, 0.8, 0.95, 1.1, 1.25, 1.41, 2.0])
def test_an_edge_comes_to_lie_at_one_place_in_picture_and_label(zoom: float) -> None:
    augment = Augmentation(scale=(zoom, zoom), crop=(20, 200))
    columns = np.arange(96)
    gaps = []
    for edge in range(8, 88):
        label = np.tile(columns >= edge, (8, 1)).astype(np.uint8)
        image, cut = augment(np.repeat(label[..., None] * np.uint8(255), 3, 2), label, edge)
        inside = cut != VOID
        rows = inside.any(1).sum()
        # what is white, the pixel that the edge divides in part
        gaps.append((image[inside][:, 0] / 255.0 - cut[inside]).sum() / rows)
    assert abs(np.mean(gaps)) < 0.1
    assert np.abs(gaps).max() <= 0.75


def test_scale_and_gamma_are_drawn_apart() -> None:
    grey = np.full((48, 64, 3), 100, np.uint8)
    augment = Augmentation(scale=(0.5, 1.0), flip=0, gamma=(0.5, 2.0), light=1.0)
    zooms, shades = [], []
    for seed in range(80):
        image, label = augment(grey, np.zeros((48, 64), np.uint8), seed)
        zooms.append((label == 0).sum())
        shades.append(image[label == 0].mean())
    assert abs(np.corrcoef(zooms, shades)[0, 1]) < 0.3


def test_colours_vary_by_every_knob() -> None:
    for knob in ({"gamma": (0.5, 2.0)}, {"cast": 0.3}, {"brightness": 0.3}, {"saturation": 0.5}):
        augment = Augmentation(flip=0, light=1.0, **knob)
        image, label = augment(IMAGE, LABEL, 3)
        assert not np.array_equal(image, IMAGE)
        assert np.array_equal(label, LABEL)


def test_a_gamma_with_no_room_is_that_gamma() -> None:
    image, _ = Augmentation(gamma=(0.5, 0.5), light=1.0)(IMAGE, LABEL, 3)
    assert np.abs(image - 255 * (IMAGE / 255) ** 0.5).max() <= 1


def test_none_changes_nothing() -> None:
    assert equal(IDENTITY(IMAGE, LABEL, 5), (IMAGE, LABEL))
    assert word("none") == IDENTITY


def test_none_with_a_crop_cuts_it_out_of_the_frame_as_it_is() -> None:
    image, label = word("none", crop=(8, 8))(IMAGE, LABEL, 5)
    cuts = np.lib.stride_tricks.sliding_window_view(IMAGE, (8, 8, 3)).reshape(-1, 8, 8, 3)
    assert label.shape == (8, 8)
    assert (cuts == image).all((1, 2, 3)).any()


def dataset(seed: int = 0) -> FrameDataset:
    images = RNG.integers(0, 256, (6, 24, 32, 3), np.uint8)
    labels = RNG.integers(0, 11, (6, 24, 32), np.uint8)
    return FrameDataset(Frames(images, labels, tuple("abcdef")), word("strong"), seed)


def test_an_item_is_a_function_of_seed_epoch_and_index() -> None:
    data = dataset()
    copy = pickle.loads(pickle.dumps(data))  # what a worker process gets
    draws = [(epoch, index) for epoch in range(3) for index in range(6)]
    items = {draw: data[draw]["image"] for draw in draws}
    for draw in reversed(draws):
        assert torch.equal(items[draw], copy[draw]["image"])
    assert torch.equal(data[2]["image"], data[0, 2]["image"])
    assert len({image.numpy().tobytes() for image in items.values()}) == len(draws)
    other = FrameDataset(data.frames, data.augment, seed=1)
    assert not torch.equal(other[0, 0]["image"], data[0, 0]["image"])


# Python 3.12 on warns of forking beside torch's idle threads, which is how loaders start workers.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on one core
def test_workers_do_not_change_a_batch() -> None:
    data = dataset()

    def batches(workers: int) -> list[torch.Tensor]:
        sampler = TrainSampler(6, 2)
        loader = DataLoader(data, 2, sampler=sampler, num_workers=workers)
        found = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            found += [batch["image"] for batch in loader]
        return found

    assert all(torch.equal(a, b) for a, b in zip(batches(0), batches(2), strict=True))
