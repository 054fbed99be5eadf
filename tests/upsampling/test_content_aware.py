"""Carafe, DySample, pixel shuffle and bicubic against their papers' formulas, written slowly."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fcn_lab.upsampling import (
    BedOfNails,
    Bicubic,
    Bilinear,
    BilinearDeterministic,
    Carafe,
    DySample,
    Nearest,
    PixelShuffle,
)
from fcn_lab.upsampling.carafe import Reassembly, reassemble

FACTORS = (2, 4, 8, 32)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 4, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def keys(t: float, a: float) -> float:
    """The cubic as Keys prints it, from the highest power down."""
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


@pytest.mark.parametrize("factor", FACTORS)
def test_the_deterministic_bilinear_is_torchs_at_every_pixel(factor: int, x: Tensor) -> None:
    torch.testing.assert_close(
        BilinearDeterministic(4, factor).double()(x), Bilinear(4, factor)(x), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(("a", "antialias"), [(-0.75, False), (-0.5, True)])
def test_bicubic_inside_the_image_is_torchs(
    a: float, antialias: bool, factor: int, x: Tensor
) -> None:
    """Its two cubics: OpenCV's, and with antialiasing, which does nothing upwards, Keys' own."""
    reach = (..., slice(2 * factor, -2 * factor), slice(2 * factor, -2 * factor))
    theirs = F.interpolate(x, scale_factor=factor, mode="bicubic", antialias=antialias)
    torch.testing.assert_close(Bicubic(4, factor, a=a).double()(x)[reach], theirs[reach])


def test_bicubic_repeats_edges_as_torch_does(x: Tensor) -> None:
    theirs = F.interpolate(x, scale_factor=4, mode="bicubic")
    torch.testing.assert_close(Bicubic(4, 4, a=-0.75).double()(x), theirs)


@pytest.mark.parametrize("a", [-0.5, -0.75])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_bicubic_inside_the_image_is_nails_blurred_by_keys_kernel(
    factor: int, a: float, x: Tensor
) -> None:
    line = torch.tensor(
        [keys((j - 2 * factor + 0.5) / factor, a) for j in range(4 * factor)], dtype=x.dtype
    )
    kernel = torch.outer(line, line).expand(4, 1, -1, -1)
    nails = F.pad(BedOfNails(4, factor)(x), [4 * factor - 1] * 4)
    start = 2 * factor - factor // 2  # the kernel's centre on the cell's
    blurred = F.conv2d(nails, kernel, groups=4)[..., start:, start:]
    inside = (
        ...,
        slice(2 * factor, (5 - 2) * factor),
        slice(2 * factor, (6 - 2) * factor),
    )
    torch.testing.assert_close(Bicubic(4, factor, a=a).double()(x)[inside], blurred[inside])


@pytest.mark.parametrize(("a", "exact"), [(-0.5, True), (-0.75, False)])
def test_only_keys_own_slope_keeps_quadratics(a: float, exact: bool) -> None:
    places = torch.arange(9, dtype=torch.float64)
    fine = (torch.arange(36, dtype=torch.float64) + 0.5) / 4 - 0.5
    out = Bicubic(1, 4, a=a).double()((places**2).expand(1, 1, 9, 9))[0, 0, 18, 8:-8]
    assert torch.allclose(out, (fine**2)[8:-8]) == exact


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_pixel_shuffle_starts_as_nearest_behind_one_convolution(factor: int, x: Tensor) -> None:
    """ICNR: all f² kernels of a channel are alike."""
    built = PixelShuffle(4, factor).double()
    kernel = built.steps[0].conv.weight[:: factor**2]
    expected = Nearest(4, factor)(F.conv2d(x, kernel, padding=1))
    torch.testing.assert_close(built(x), expected)
    with torch.no_grad():  # less the small random mixture: nothing but nearest
        for channel in range(4):
            others = [other for other in range(4) if other != channel]
            own = slice(channel * factor**2, (channel + 1) * factor**2)
            built.steps[0].conv.weight[own, others] = 0
    torch.testing.assert_close(built(x), Nearest(4, factor)(x))


def test_pixel_shuffle_arranges_its_maps_as_the_paper_does(x: Tensor) -> None:
    built = PixelShuffle(4, 2).double()
    torch.nn.init.normal_(built.steps[0].conv.weight)
    maps, out = built.steps[0].conv(x), built(x)
    for down in range(2):
        for right in range(2):
            assert torch.equal(out[..., down::2, right::2], maps[:, 2 * down + right :: 4])


def test_carafe_reassembles_as_the_paper_says(x: Tensor) -> None:
    """Neighbour by neighbour, pixel by pixel."""
    size, stride = 3, 2
    kernels = torch.rand(2, 5, 6, stride**2, size**2, dtype=x.dtype)
    expected = torch.zeros(2, 4, 10, 12, dtype=x.dtype)
    for n, c, high, wide in torch.cartesian_prod(*map(torch.arange, expected.shape)).tolist():
        i, j, place = high // stride, wide // stride, high % stride * stride + wide % stride
        for m in range(size):
            for k in range(size):
                row, column = i + m - size // 2, j + k - size // 2
                if 0 <= row < 5 and 0 <= column < 6:
                    weight = kernels[n, i, j, place, m * size + k]
                    expected[n, c, high, wide] += weight * x[n, c, row, column]
    torch.testing.assert_close(reassemble(x, kernels, stride), expected)


def test_carafe_with_one_kernel_everywhere_is_nearest_behind_that_blur(x: Tensor) -> None:
    box = torch.full((2, 5, 6, 4, 25), 1 / 25, dtype=x.dtype)
    blurred = F.avg_pool2d(x, 5, 1, 2)  # counts the zeros beyond the image
    torch.testing.assert_close(reassemble(x, box, 2), Nearest(4, 2)(blurred))


def test_carafes_kernels_add_to_one_so_that_constants_are_kept(x: Tensor) -> None:
    step = Reassembly(4, 2, 5, 4).double()
    torch.nn.init.normal_(step.encode.weight)
    sums = step.kernels(x).sum(4)
    torch.testing.assert_close(sums, torch.ones_like(sums))
    inside = step(torch.full((1, 4, 9, 9), 3.0, dtype=x.dtype))[..., 4:-4, 4:-4]
    torch.testing.assert_close(inside, torch.full_like(inside, 3.0))


def test_carafe_climbs_by_twos() -> None:
    assert Carafe(4, 16).strides == [2, 2, 2, 2]


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("dynamic_scope", [False, True])
def test_dysample_without_offsets_is_bilinear(dynamic_scope: bool, factor: int, x: Tensor) -> None:
    built = DySample(4, factor, dynamic_scope=dynamic_scope).double()
    torch.nn.init.zeros_(built.steps[0].offset.weight)
    torch.testing.assert_close(built(x), Bilinear(4, factor)(x), rtol=0, atol=1e-12)


def test_dysample_reads_each_group_a_quarter_of_its_offset_away(x: Tensor) -> None:
    """Whole-pixel shifts, different for the two groups: a bias of 4 right, a bias of −4 down."""
    built = DySample(4, 2, groups=2).double()
    torch.nn.init.zeros_(built.steps[0].offset.weight)
    with torch.no_grad():  # channels: group by group, across and down, and their 2×2 places
        built.steps[0].offset.bias.view(2, 2, 4)[0, 0] = 4
        built.steps[0].offset.bias.view(2, 2, 4)[1, 1] = -4
    out, plain = built(x), Bilinear(4, 2)(x)
    torch.testing.assert_close(out[:, :2, :, 1:-3], plain[:, :2, :, 3:-1], rtol=0, atol=1e-12)
    torch.testing.assert_close(out[:, 2:, 3:-1], plain[:, 2:, 1:-3], rtol=0, atol=1e-12)
    assert not torch.allclose(out[:, 2:], plain[:, 2:])


def test_dysample_with_the_dynamic_scope_starts_with_the_same_reach(x: Tensor) -> None:
    fixed, dynamic = DySample(4, 2), DySample(4, 2, dynamic_scope=True)
    dynamic.load_state_dict(fixed.state_dict(), strict=False)
    torch.testing.assert_close(dynamic(x.float()), fixed(x.float()))


def test_dysample_takes_any_layout_of_memory(x: Tensor) -> None:
    built = DySample(4, 2, groups=2).double()
    torch.testing.assert_close(built(x.to(memory_format=torch.channels_last)), built(x))


def test_dysample_moves_four_groups_where_the_channels_allow() -> None:
    assert [DySample(channels, 2).groups for channels in (64, 6, 11)] == [4, 2, 1]
