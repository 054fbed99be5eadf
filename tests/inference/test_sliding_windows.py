"""Windows and scales against the network over the whole image."""

from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from fcn_lab import create_model
from fcn_lab.cost.memory import count_peak_bytes
from fcn_lab.errors import UserError
from fcn_lab.inference.multi_scale import MultiScale
from fcn_lab.inference.predictor import Predictor
from fcn_lab.inference.sliding_windows import (
    SlidingWindows,
    blend_weights,
    place_windows,
    score_strips,
)
from fcn_lab.networks.receptive_field import receptive_radius
from fcn_lab.tasks.evaluate import Evaluate
from fcn_lab.tasks.predict import Predict
from support.commandline import METRICS, TypeLine
from support.tiny import WORDS, Net, make_train


class Small(nn.Module):
    """Stride 4 and a receptive field of 17 pixels or so, for images of any size."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Sequential(
            *(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 1)),
        )
        self.up = nn.ConvTranspose2d(3, 3, 8, 4, 2)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 3, H, W)."""
        height, width = x.shape[2:]
        wide = F.pad(x, (0, -width % 4, 0, -height % 4))
        result: Tensor = self.up(self.down(wide))
        return result[..., :height, :width]


def picture(height: int, width: int) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, height, width, generator=rng, dtype=torch.float64)


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize(
    ("length", "size", "overlap", "margin"),
    [*product((1, 63, 64, 65, 160, 333), (64, 96), (0, 1, 32, 60), (0, 16)), (500, 96, 64, 32)],
)
def test_the_weights_of_all_windows_sum_to_one_at_every_pixel(
    length: int, size: int, overlap: int, margin: int
) -> None:
    margin = min(margin, overlap // 2)
    windows, total = place_windows(length, size, overlap), torch.zeros(length, dtype=torch.float64)
    for (first, last), weight in zip(windows, blend_weights(windows, overlap, margin), strict=True):
        total[first:last] += weight
        assert (weight >= 0).all()
        inner = slice(margin * (first > 0), last - first - margin * (last < length))
        outside = torch.ones(last - first, dtype=torch.bool)
        outside[inner] = False
        assert not weight[outside].any()
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-15)
    assert windows[0][0] == 0
    assert windows[-1][1] == length
    assert all(last - first == size for first, last in windows[:-1])


def test_weights_change_smoothly() -> None:
    """Over an overlap of o pixels, by no more than the steepest step of sin², π/2 / o."""
    windows = place_windows(200, 96, 64)
    for weight in blend_weights(windows, 64, 8):
        assert weight.diff().abs().max() <= torch.pi / 2 / (64 - 2 * 8)


def reaches(net: nn.Module, size: int, position: int) -> int:
    """How far from a row of NaN the scores are NaN."""
    image = torch.zeros(1, 3, size, 32, dtype=torch.float64)
    image[:, :, position] = torch.nan
    found = net(image).isnan().any(3).any(1)[0].nonzero()[:, 0]
    return int((found - position).abs().max())


def test_the_context_is_how_far_a_pixel_reaches() -> None:
    found = receptive_radius(Small())
    assert found == max(reaches(Small(), 128, i) for i in range(60, 64))
    for scale in (0.5, 0.75, 1.5):
        assert found is not None
        net = MultiScale(Small(), [scale])
        assert (
            0.5
            < max(reaches(net, 192, i) for i in range(92, 100)) / net.receptive_radius(found)
            <= 1
        )


class Gated(nn.Module):
    """Its gate has no place in the image: a vector that is a mean of it all."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x.relu() * self.gate(x)[:, :, None, None]


class Halves(nn.Module):
    """Joins a part of a map that keeps its place with one that loses it."""

    def forward(self, x: Tensor) -> Tensor:
        first, second, _ = x.split(1, 1)
        return first.relu() * second.cumsum(-1)


class Context(nn.Module):
    """Adds the mean of the image, climbed to its size."""

    def forward(self, x: Tensor) -> Tensor:
        mean = F.interpolate(x.mean((2, 3), keepdim=True), x.shape[2:], mode="nearest")
        return F.interpolate(F.max_pool2d(x + mean, 4), scale_factor=4, mode="bilinear")


@pytest.mark.parametrize(
    "net",
    [
        create_model("fcn8s", encoder="tiny"),
        create_model("unet", "bicubic", "tiny"),
        nn.Identity(),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softmax(-1)),
        nn.Sequential(nn.MaxPool2d(2), nn.UpsamplingBilinear2d(scale_factor=2)),
        Gated(),
        Halves(),
        Context(),
    ],
    ids=lambda net: type(net[-1] if isinstance(net, nn.Sequential) else net).__name__,
)
def test_a_network_that_reads_the_whole_image_or_in_unknown_ways_has_no_context(
    net: nn.Module,
) -> None:
    assert receptive_radius(net) is None


def test_pointwise_layers_leave_the_context_as_it_is() -> None:
    layers = [
        nn.BatchNorm2d(4),
        nn.SiLU(True),
        nn.GELU(),
        nn.Hardswish(),
        nn.PReLU(),
        nn.Softmax2d(),
    ]
    assert receptive_radius(nn.Sequential(nn.Conv2d(3, 4, 5, padding=2), *layers)) == 2


@pytest.mark.parametrize("size", [(150, 173), (64, 300), (97, 1), (33, 40)])
@pytest.mark.parametrize("overlap", [32, 64])
def test_with_an_overlap_of_the_receptive_field_windows_equal_the_whole_image(
    size: tuple[int, int], overlap: int
) -> None:
    net, image = Small(), picture(*size)
    windows = SlidingWindows(net, 96, overlap)
    assert windows.is_exact
    torch.testing.assert_close(windows(image), net(image))


def test_windows_are_exact_from_an_overlap_of_the_receptive_field_on() -> None:
    """A score of this network reads between 112 and 127 pixels far."""
    narrow, wide = (SlidingWindows(create_model("segnet_basic"), 512, o) for o in (224, 256))
    assert narrow.receptive_radius is not None
    assert 112 <= narrow.receptive_radius < 128
    assert not narrow.is_exact
    assert wide.is_exact


def test_with_less_overlap_windows_equal_the_whole_image_away_from_their_borders() -> None:
    net, image = Small(), picture(150, 173)
    windows, reach = SlidingWindows(net, 64, 0), receptive_radius(net)
    assert reach is not None
    assert not windows.is_exact
    near = [torch.zeros(length, dtype=torch.bool) for length in image.shape[2:]]
    for beside, length in zip(near, image.shape[2:], strict=True):
        for border in (first for first, _ in place_windows(length, 64, 0)[1:]):
            beside[border - reach : border + reach] = True
    far = ~(near[0][:, None] | near[1])
    found, expected = windows(image), net(image)
    assert 0 < far.float().mean() < 1
    torch.testing.assert_close(found[..., far], expected[..., far])
    assert (found[..., ~far] - expected[..., ~far]).abs().max() > 1e-3


def test_windows_of_several_scales_equal_those_scales_of_the_whole_image() -> None:
    scales = (0.5, 1, 1.5)
    image = picture(300, 261)
    windows = SlidingWindows(Small(), 192, 128, scales)
    assert windows.is_exact
    torch.testing.assert_close(windows(image), MultiScale(Small(), scales)(image))


def test_an_image_that_fits_one_window_is_scored_as_ever_bit_by_bit() -> None:
    for net in (Small(), create_model("fcn8s", "max_unpool").double().eval()):
        image = picture(50, 61)
        assert torch.equal(SlidingWindows(net, 64, 32)(image), net(image))
        assert torch.equal(MultiScale(net, [1])(image), net(image))


def test_scales_average_probabilities_as_the_formula_says() -> None:
    """Halving by the triangle 1 3 3 1, and back by bilinear interpolation."""
    net, image = Small(), picture(64, 72)
    tap = torch.tensor([1, 3, 3, 1], dtype=torch.float64) / 8
    kernel = (tap[:, None] * tap).expand(3, 1, 4, 4)
    half = F.conv2d(F.pad(image, (1, 1, 1, 1)), kernel, stride=2, groups=3)
    back = F.interpolate(net(half).softmax(1), scale_factor=2, mode="bilinear")
    expected = (back + net(image).softmax(1)) / 2
    found = MultiScale(net, [0.5, 1])(image)
    middle = slice(24, 40)  # where no tap reads beyond a border
    torch.testing.assert_close(found.softmax(1)[..., middle, middle], expected[..., middle, middle])
    torch.testing.assert_close(found.exp().sum(1), torch.ones_like(found[:, 0]))


@pytest.mark.parametrize("size", [(1, 1), (37, 50)])
def test_every_size_can_be_scaled(size: tuple[int, int]) -> None:
    net = create_model("fcn4s").eval()
    assert MultiScale(net, [0.33, 0.7, 2])(torch.rand(2, 3, *size)).shape == (2, 11, *size)


def test_scores_stay_finite_where_a_class_is_impossible() -> None:
    class Sure(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.new_tensor([1000.0, -1000.0]).view(1, 2, 1, 1).expand(len(x), 2, *x.shape[2:])

    assert MultiScale(Sure(), [0.5, 1])(torch.rand(1, 3, 4, 4)).isfinite().all()


def test_flip_and_windows_average_as_flip_over_the_whole_image() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(256, size=(150, 130, 3), dtype=np.uint8)
    net = Small().float()
    for flip in (False, True):
        whole = Predictor(net, "abc", (), flip, "cpu")
        tiled = Predictor(SlidingWindows(net, 96, 64), "abc", (), flip, "cpu")
        scaled = Predictor(MultiScale(net, [1]), "abc", (), flip, "cpu")
        assert np.allclose(whole.probabilities(image), tiled.probabilities(image), atol=1e-6)
        assert (whole(image) == tiled(image)).mean() > 0.999  # ties
        assert np.array_equal(whole.probabilities(image), scaled.probabilities(image))
        assert np.array_equal(whole(image), scaled(image))


def test_strips_come_from_top_to_bottom_from_pixels_as_from_numbers() -> None:
    pixels = torch.randint(256, (1, 3, 200, 70), dtype=torch.uint8)
    net = SlidingWindows(Small().float(), 64, 32)
    strips = list(score_strips(net, pixels))
    assert [strip.shape[2] for strip in strips] == 5 * [32] + [40]  # 5 steps of 32, and the rest
    assert torch.equal(torch.cat(strips, 2), net(pixels.float() / 255))


class Labels(nn.Module):
    """The labels of an image, strip by strip."""

    def __init__(self, net: SlidingWindows) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*map(label, self.net.strips(x))], 1)


def label(scores: Tensor) -> Tensor:
    return scores.argmax(1).to(torch.uint8)


@pytest.mark.slow
def test_memory_grows_with_the_rows_by_image_and_labels_and_two_weights_a_row_alone() -> None:
    net = Labels(SlidingWindows(Small().float(), 64, 32))
    low, high = (count_peak_bytes(net, rows, 128) for rows in (256, 2048))
    assert high - low == (2048 - 256) * (128 * (3 * 4 + 1) + 2 * 8)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (partial(SlidingWindows, size=64, overlap=64), "smaller than the size"),
        (partial(SlidingWindows, size=64, overlap=-32), "at least 0"),
        (partial(SlidingWindows, size=100, overlap=32), "multiples of 32"),
        (partial(SlidingWindows, size=96, overlap=32, scales=[0.5]), "multiples of 64"),
        (partial(MultiScale, scales=[1, 0]), "from 0.01 to 8"),
        (partial(MultiScale, scales=[-1]), "from 0.01 to 8"),
        (partial(MultiScale, scales=[float("nan")]), "from 0.01 to 8"),
        (partial(MultiScale, scales=[]), "from 0.01 to 8"),
    ],
)
def test_windows_and_scales_that_cannot_be_are_refused(
    wrong: partial[nn.Module], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        wrong(Net())


@pytest.mark.slow
def test_both_are_words_of_evaluate_and_predict(type_line: TypeLine) -> None:
    type_line("hydra.run.dir=run", "model=fcn2s")
    Path("run/metrics.json").write_text(METRICS)
    for task in (["evaluate"], ["predict", "input=a.png", "output=out"]):
        for word in ("windows", "scales"):
            place = f"hydra.run.dir={task[0]}_{word}"
            asked = ("run=run", place, f"task={task[0]}", *task[1:], f"dense={word}")
            ended = type_line(*asked, "dense.scales=[0.25,1]")
            assert ended.config["task"]["dense"]["scales"] == [0.25, 1]


def test_a_run_is_evaluated_and_predicts_in_windows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, image, dense = tmp_path / "run", tmp_path / "wide.png", partial(SlidingWindows, size=32)
    with torch.enable_grad():
        task = make_train({"max_epochs": 1})
        task.run(run)
    pixels = np.random.default_rng(0).integers(256, size=(70, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(image)
    for name, how in (("whole", None), ("windows", partial(dense, overlap=0))):
        (tmp_path / name).mkdir()
        Predict(run, Net(), str(image), str(tmp_path / name), dense=how).run(tmp_path)
    assert "equal to the whole image" in capsys.readouterr().out
    Evaluate(run, Net(), task.data, task.training, WORDS, dense=partial(dense, overlap=0)).run(
        tmp_path / "windows"
    )
    assert "SlidingWindows" in capsys.readouterr().out
