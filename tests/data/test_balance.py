import numpy as np
import pytest
import torch

from fcn_lab.data.balance import MedianFrequency, count_pixels, describe_gaps
from fcn_lab.data.frames import Frames
from fcn_lab.errors import UserError


def two_images() -> Frames:
    """Class 0 fills 6 of 8 pixels of one image, 1 two of it and two of the other; 255 is void."""
    labels = np.array([[[0] * 4, [0, 0, 1, 1]], [[1, 1, 2, 255], [255] * 4]], np.uint8)
    return Frames(np.zeros((2, 2, 4, 3), np.uint8), labels, ("a", "b"))


def test_counts_are_of_pixels_and_of_the_images_that_show_a_class() -> None:
    counts, shown = count_pixels(two_images(), 4)
    assert counts.tolist() == [6, 4, 1, 0]
    assert shown.tolist() == [8, 16, 8, 0]


def test_weights_are_median_over_frequency_and_nothing_for_a_class_never_seen() -> None:
    counts, shown = (torch.from_numpy(array) for array in count_pixels(two_images(), 4))
    weights = MedianFrequency()(counts, shown)
    frequency = [6 / 8, 4 / 16, 1 / 8]
    assert weights.tolist() == pytest.approx([np.median(frequency) / f for f in frequency] + [0])


def test_an_even_number_of_classes_has_the_mean_of_the_middle_two_as_median() -> None:
    weights = MedianFrequency()(torch.tensor([1, 3]), torch.tensor([4, 4]))
    assert weights.tolist() == pytest.approx([0.5 / 0.25, 0.5 / 0.75])


def test_half_the_power_is_the_square_root() -> None:
    counts, shown = torch.tensor([5, 80, 9]), torch.tensor([100, 100, 50])
    assert MedianFrequency(0.5)(counts, shown) ** 2 == pytest.approx(
        MedianFrequency()(counts, shown)
    )


def labels(*pixels: int) -> Frames:
    shown = np.array(pixels, np.uint8).reshape(1, 1, -1)
    return Frames(np.zeros((*shown.shape, 3), np.uint8), shown, ("a",))


@pytest.mark.parametrize(
    ("train", "val", "says"),
    [
        ((0, 1, 2, 3), (0, 0), []),
        ((0, 1, 255), (0, 2), ["no pixel of c, d: nothing", "val has pixels of c, which"]),
        (
            (0, 0, 0),
            (0, 0),
            ["no pixel of b, c, d", "all scored pixels of train are a: task=audit"],
        ),
        ((0, 1, 2, 3, *[255] * 12), (0,), ["75.0% of train's pixels are void"]),
    ],
)
def test_what_train_lacks_is_named_with_where_it_is(
    train: tuple[int, ...], val: tuple[int, ...], says: list[str]
) -> None:
    frames, classes = labels(*train), ("a", "b", "c", "d", "void")
    counts, _ = count_pixels(frames, len(classes))
    lines = list(describe_gaps(counts, classes, len(train), {"val": labels(*val)}))
    assert len(lines) == len(says)
    for line, words in zip(lines, says, strict=True):
        assert words in line


def test_a_class_that_is_the_only_one_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"crack is the only .*\n.*data\.names=\[background,crack\]"
    ):
        list(describe_gaps(np.array([3]), ["crack"], 3, {}))


def test_labels_that_are_all_void_are_refused() -> None:
    counts, _ = count_pixels(labels(255, 255), 2)
    with pytest.raises(UserError, match=r"no pixel of a, b: all are void.*\n.*data\.names"):
        list(describe_gaps(counts, ("a", "b"), 2, {}))


def test_a_val_that_is_all_void_is_refused_and_such_a_test_is_told() -> None:
    counts, _ = count_pixels(labels(0, 1), 2)
    parts, void = (counts, ("a", "b"), 2), labels(255, 255)
    with pytest.raises(UserError, match=r"val has no pixel of any class.*\n.*task=audit"):
        list(describe_gaps(*parts, {"val": void}))
    (line,) = describe_gaps(*parts, {"val": labels(0, 255), "test": void})
    assert line.startswith("test has no pixel of any class")
