"""The operators against each other, against torch's own, and against the papers' formulas."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcn_lab.errors import UserError
from fcn_lab.upsampling import (
    BedOfNails,
    Bilinear,
    Carafe,
    DySample,
    MaxUnpool,
    Nearest,
    PixelShuffle,
    TransposedConv,
    UpConv,
    Upsampling,
    bilinear_kernel,
)
from fcn_lab.upsampling.interpolation import Interpolate
from support.operators import FORMS, OPERATORS, REFINED_FORMS, random_switches, switches_of
from support.thin import thin_out

FACTORS = (2, 4, 8, 32)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(("operator", "refine"), FORMS)
def test_every_operator_multiplies_the_size_and_keeps_the_channels(
    operator: type[Upsampling], refine: str, factor: int, x: Tensor
) -> None:
    y = operator(3, factor, refine=refine).double()(x, random_switches(x, factor, 1))
    assert y.shape == (2, 3, 4 * factor, 5 * factor)


@pytest.mark.parametrize("factor", FACTORS)
def test_nails_keep_each_value_at_its_corner_and_zeros_elsewhere(factor: int, x: Tensor) -> None:
    y = BedOfNails(3, factor)(x)
    assert torch.equal(y[..., ::factor, ::factor], x)
    assert int((y != 0).sum()) == x.numel()


@pytest.mark.parametrize("factor", FACTORS)
def test_nearest_is_nails_blurred_by_a_box(factor: int, x: Tensor) -> None:
    box = torch.ones(3, 1, factor, factor, dtype=x.dtype)
    nails = F.pad(BedOfNails(3, factor)(x), (factor - 1, 0, factor - 1, 0))
    torch.testing.assert_close(Nearest(3, factor)(x), F.conv2d(nails, box, groups=3))


@pytest.mark.parametrize("factor", FACTORS)
def test_bilinear_inside_the_image_is_nails_blurred_by_the_triangle(factor: int, x: Tensor) -> None:
    # the kernel is a column times a row, and its largest row is the row times the largest weight
    kernel = bilinear_kernel(factor).double()
    row = kernel[factor] / kernel[factor, factor].sqrt()
    torch.testing.assert_close(row[:, None] * row, kernel)
    reach, half = 2 * factor - 1, factor // 2
    blurred = F.pad(BedOfNails(3, factor)(x), [reach] * 4)
    for weights in (row[:, None], row[None]):
        blurred = F.conv2d(blurred, weights.expand(3, 1, -1, -1), groups=3)
    aligned = blurred[..., half : half + 4 * factor, half : half + 5 * factor]
    inside = (..., slice(half, -half), slice(half, -half))
    torch.testing.assert_close(Bilinear(3, factor)(x)[inside], aligned[inside])


@pytest.mark.parametrize("factor", FACTORS)
def test_transposed_convolution_starts_as_bilinear_inside_the_image(factor: int, x: Tensor) -> None:
    inside = (..., slice(factor // 2, -(factor // 2)), slice(factor // 2, -(factor // 2)))
    torch.testing.assert_close(
        TransposedConv(3, factor).double()(x)[inside], Bilinear(3, factor)(x)[inside]
    )


def test_one_kernel_a_class_and_the_dense_kernel_start_alike(x: Tensor) -> None:
    torch.testing.assert_close(
        TransposedConv(3, 4, groups=1).double()(x), TransposedConv(3, 4).double()(x)
    )


def test_a_frozen_transposed_convolution_has_nothing_to_train() -> None:
    assert not any(p.requires_grad for p in TransposedConv(3, 4, trainable=False).parameters())
    assert all(p.requires_grad for p in TransposedConv(3, 4).parameters())


def test_up_convolution_starts_close_to_nearest_and_never_overlaps(x: Tensor) -> None:
    operator = UpConv(3, 4).double()
    own = operator.steps[0].weight[range(3), range(3)]
    assert torch.equal(own, torch.ones_like(own))
    moved = x.clone()
    moved[..., 1, 2] += 1
    changed = (operator(moved) != operator(x)).any(1)[0].nonzero()
    assert changed.min(0).values.tolist() == [4, 8]
    assert changed.max(0).values.tolist() == [7, 11]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", FACTORS)
def test_unpooling_is_torchs_own_level_by_level(factor: int, channels: int, x: Tensor) -> None:
    switches = random_switches(x, factor, channels)
    expected = x
    for indices in switches:
        expected = F.max_unpool2d(expected, indices.expand(-1, 3, -1, -1).contiguous(), 2)
    assert torch.equal(MaxUnpool(3, factor)(x, switches), expected)


def test_unpooling_gives_back_the_maxima_it_was_pooled_from() -> None:
    image = torch.rand(2, 3, 8, 12)
    pooled, indices = F.max_pool2d(image, 2, return_indices=True)
    unpooled = MaxUnpool(3, 2)(pooled, indices)
    assert torch.equal(unpooled[unpooled != 0], image[unpooled != 0])
    assert torch.equal(F.max_pool2d(unpooled, 2), pooled)


def test_unpooling_with_switches_at_the_corners_is_the_bed_of_nails(x: Tensor) -> None:
    ramp = (
        -torch.arange(32.0 * 40).view(1, 1, 32, 40).expand(2, -1, -1, -1)
    )  # largest at each upper left
    assert torch.equal(MaxUnpool(3, 8)(x, switches_of(ramp, 3)), BedOfNails(3, 8)(x))


@pytest.mark.parametrize("refine", ["none", "conv"])
def test_unpooling_takes_its_levels_coarse_first_and_in_no_other_order(
    refine: str, x: Tensor
) -> None:
    switches = random_switches(x, 8, 1)
    assert [level.shape[-1] for level in switches] == [x.shape[-1] << level for level in range(3)]
    operator = MaxUnpool(3, 8, refine).double()
    operator(x, switches)
    with pytest.raises(UserError, match="coarse first"):
        operator(x, switches[::-1])


def test_unpooling_without_the_right_switches_is_a_user_error(x: Tensor) -> None:
    with pytest.raises(UserError, match="climbs 3 pooling level"):
        MaxUnpool(3, 8)(x)
    with pytest.raises(UserError, match="sizes must agree"):
        MaxUnpool(3, 2)(x, torch.zeros(2, 1, 3, 5, dtype=torch.long))


@pytest.mark.parametrize(("operator", "refine"), REFINED_FORMS)
def test_refined_operators_start_by_keeping_a_constant_where_no_border_interferes(
    operator: Callable[..., Upsampling], refine: str
) -> None:
    """Before its small random start, a refinement keeps what is dense and fills what is sparse."""
    built = operator(2, 4, refine=refine)
    for blur in built.blurs if refine == "conv" else built.preblurs:
        off_diagonal = ~torch.eye(2, dtype=torch.bool)
        with torch.no_grad():
            blur.weight[off_diagonal] = 0
    if operator in (UpConv, PixelShuffle):
        for kernels in (p for step in built.steps for p in step.parameters()):
            own = torch.eye(2, dtype=torch.bool).repeat_interleave(len(kernels) // 2, 0)
            with torch.no_grad():
                kernels[~own] = 0
    ones = torch.ones(1, 2, 8, 8)
    corner = switches_of(-torch.arange(32.0 * 32).view(1, 1, 32, 32), 2)
    middle = built(ones, corner)[..., 12:20, 12:20]
    torch.testing.assert_close(middle, torch.ones_like(middle))


def test_all_refined_operators_have_equal_capacity_up_to_their_own_kernels() -> None:
    counts = {
        form: sum(p.numel() for p in form[0](11, 8, refine=form[1]).parameters())
        for form in REFINED_FORMS
    }
    shared = 3 * 11 * 11 * 9
    own = {
        TransposedConv: 3 * 11 * 16,
        UpConv: 3 * 11 * 11 * 4,
        PixelShuffle: 3 * 11 * 44 * 9,
        Carafe: 3 * ((11 + 1) * 11 + (11 * 9 + 1) * 25 * 4),
        DySample: 3 * (11 + 1) * 2 * 4,
    }
    assert counts == {form: shared + own.get(form[0], 0) for form in REFINED_FORMS}


def test_a_convolution_comes_before_each_step_or_behind_it(x: Tensor) -> None:
    climb = partial(F.interpolate, scale_factor=2, mode="bilinear")
    first, behind = (Bilinear(3, 4, refine=form).double() for form in ("conv_first", "conv"))
    one, two = first.preblurs
    assert torch.equal(first(x), climb(two(climb(one(x)))))
    one, two = behind.blurs
    assert torch.equal(behind(x), two(climb(one(climb(x)))))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (partial(Nearest, 3, 6), "factor 6: expected a power of two"),
        (partial(Nearest, 3, 1), "factor 1: expected a power of two"),
        (partial(Nearest, 3, 2, "dense"), "refine=dense: expected one of none, conv"),
        (partial(BedOfNails, 3, 2, "conv_first"), "leaves most pixels empty.*\nExpected conv or n"),
        (partial(MaxUnpool, 3, 2, "conv_first"), "leaves most pixels empty.*\nExpected conv or n"),
        (partial(TransposedConv, 3, 2, groups=2), "groups=2: expected a divisor of the 3"),
        (partial(DySample, 3, 2, groups=2), "groups=2: expected a divisor of the 3"),
        (partial(Carafe, 3, 2, kernel=4), "kernel=4: expected an odd number"),
        (partial(Carafe, 3, 2, compressed=0), r"compressed=0\): expected an integer from 1"),
    ],
)
def test_impossible_operators_are_refused_in_the_users_words(
    build: Callable[[], Upsampling], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        build()


class Unfinished(Upsampling):
    """An operator of one's own, as far as one gets at first."""


class TooFar(Upsampling):
    """An operator that climbs by twice as much as it is told."""

    def step(self, stride: int) -> nn.Module:
        return Interpolate(2 * stride, mode="nearest")


def test_an_operator_of_ones_own_that_does_not_climb_as_it_should_is_named() -> None:
    with pytest.raises(UserError, match=r"^Unfinished has no method step\(self, stride\)"):
        Unfinished(3, 8)
    with pytest.raises(UserError, match=r"^TooFar climbs by ×8 from 2×5 to 32×80, not to 16×40"):
        TooFar(3, 8)(torch.zeros(1, 3, 2, 5))


def test_the_worked_example_of_a_transposed_convolution() -> None:
    """Stride 1: every input value stamps the kernel, overlaps add."""
    image = torch.tensor([[55.0, 52.0], [57.0, 50.0]]).view(1, 1, 2, 2)
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 2.0, 2.0], [1.0, 1.0, 2.0]]).view(1, 1, 3, 3)
    expected = [[55, 162, 159, 52], [167, 378, 371, 154], [169, 321, 376, 204], [57, 107, 164, 100]]
    stamped = torch.zeros(4, 4)
    for i in range(2):
        for j in range(2):
            stamped[i : i + 3, j : j + 3] += image[0, 0, i, j] * kernel[0, 0]
    assert stamped.tolist() == expected
    assert F.conv_transpose2d(image, kernel)[0, 0].tolist() == expected


@pytest.mark.parametrize("factor", FACTORS)
def test_the_bilinear_kernel_is_a_partition_of_unity(factor: int) -> None:
    """Each output pixel of an endless image is covered by weights that add to one."""
    kernel = bilinear_kernel(factor)
    folded = kernel.view(2, factor, 2, factor).sum((0, 2))
    torch.testing.assert_close(folded, torch.ones(factor, factor))


# along random directions at once, or value by value
@pytest.mark.parametrize("fast", [True, *thin_out([False])])
@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_hand_gradients_back(operator: type[Upsampling], fast: bool, x: Tensor) -> None:
    x.requires_grad_()
    switches = random_switches(x, 4, 1)
    assert torch.autograd.gradcheck(operator(3, 4).double(), (x, switches), fast_mode=fast)
