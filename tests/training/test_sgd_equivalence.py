"""The same training in other terms: what is exact step by step, and what is about the same."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from fcn_lab.text.terminal import print_text
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.losses import CrossEntropy
from fcn_lab.training.module import SegmentationModule
from fcn_lab.training.opening import describe_recipe
from fcn_lab.training.optim import Constant, Optim
from fcn_lab.training.sgd_equivalence import SGDRecipe
from support.tiny import Net, Squares, make_train

STEPS, SIDE, BATCH = 20, 16, 2
PIXELS = SIDE * SIDE  # a power of two, and so is a batch of two: to scale by it loses no bit
LIGHT = SGDRecipe(lr=0.1, momentum=0.9, weight_decay=1e-3, batch=20, pixels=1, is_sum=True)
HEAVY = LIGHT.to_batch_size(1)


def trajectory(recipe: SGDRecipe) -> list[Tensor]:
    """All weights after each of STEPS steps on images without void."""
    torch.manual_seed(0)
    net = Net().double().eval()
    loss = CrossEntropy("sum" if recipe.is_sum else "mean")
    optim = Optim(sgd(recipe.momentum), recipe.lr, Constant(), recipe.weight_decay, bias_rate=2.0)
    optimizer = optim.configure(net, STEPS)["optimizer"]
    found = []
    for _ in range(STEPS):
        image = torch.rand(recipe.batch, 3, SIDE, SIDE, dtype=torch.float64)
        optimizer.zero_grad()
        loss(net(image), torch.randint(3, (recipe.batch, SIDE, SIDE))).backward()
        optimizer.step()
        found.append(nn.utils.parameters_to_vector(net.parameters()).detach())
    return found


def sgd(momentum: float) -> Callable[..., torch.optim.Optimizer]:
    return lambda p, **kw: torch.optim.SGD(p, momentum=momentum, **kw)


def weight_after(recipe: SGDRecipe, gradients: Sequence[float]) -> list[float]:
    """A weight after each batch, of images whose gradients do not depend on it; no decay."""
    weight = nn.Parameter(torch.zeros((), dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], recipe.lr, recipe.momentum)
    found = []
    for first in range(0, len(gradients), recipe.batch):
        weight.grad = torch.tensor(sum(gradients[first : first + recipe.batch])).double()
        optimizer.step()
        found.append(weight.item())
    return found


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.99])
def test_a_summed_loss_at_the_rate_translated_takes_the_very_steps_of_the_mean(
    momentum: float,
) -> None:
    mean = SGDRecipe(0.25, momentum, 2**-10, BATCH, PIXELS, is_sum=False)
    steps = trajectory(mean)
    assert torch.equal(torch.stack(trajectory(mean.to_reduction(True))), torch.stack(steps))
    assert not torch.equal(steps[0], steps[-1])


def test_without_its_decay_translated_a_summed_loss_goes_elsewhere() -> None:
    mean = SGDRecipe(0.25, 0.9, 2**-10, BATCH, PIXELS, is_sum=False)
    sums = mean.to_reduction(True)
    other = SGDRecipe(sums.lr, 0.9, mean.weight_decay, BATCH, PIXELS, is_sum=True)
    assert not torch.equal(trajectory(other)[-1], trajectory(mean)[-1])


def test_translations_undo_each_other() -> None:
    recipe = SGDRecipe(1e-10, 0.99, 5e-4, 1, 172_800, is_sum=True)
    for back in (
        recipe.to_reduction(False).to_reduction(True),
        recipe.to_batch_size(20).to_batch_size(1),
    ):
        assert vars(back) == pytest.approx(vars(recipe))
    assert vars(recipe.to_batch_size(20).to_reduction(False)) == pytest.approx(
        vars(recipe.to_reduction(False).to_batch_size(20))
    )


def test_the_papers_heavy_momentum_is_the_twentieth_root_of_the_light_one() -> None:
    assert HEAVY.momentum**20 == pytest.approx(LIGHT.momentum)
    assert round(HEAVY.momentum, 2) == 0.99


def test_velocities_fade_alike_and_coefficients_differ_by_the_floor() -> None:
    gradients = [1.0] + [0.0] * (STEPS * LIGHT.batch - 1)
    heavy, light = (weight_after(recipe, gradients) for recipe in (HEAVY, LIGHT))
    speeds = [b - a for a, b in pairwise([0.0, *heavy])]
    coarse = [b - a for a, b in pairwise([0.0, *light])]
    for speeds_of, over in ((speeds, LIGHT.batch), (coarse, 1)):
        later = speeds_of[over:]
        assert later == pytest.approx([LIGHT.momentum * v for v in speeds_of[: len(later)]])
    for age, speed in enumerate(speeds):
        ratio = (speed / HEAVY.lr) / (coarse[age // LIGHT.batch] / LIGHT.lr)
        assert LIGHT.momentum ** (1 - 1 / LIGHT.batch) <= ratio * (1 + 1e-9)
        assert ratio <= 1 + 1e-9


def test_every_image_has_the_same_whole_effect_in_the_end() -> None:
    gradients = [*torch.linspace(-1, 3, 40).tolist(), *[0.0] * 8000]
    heavy, light = (weight_after(recipe, gradients)[-1] for recipe in (HEAVY, LIGHT))
    expected = -LIGHT.lr / (1 - LIGHT.momentum) * sum(gradients)
    assert heavy == pytest.approx(expected)
    assert light == pytest.approx(expected)


def test_over_twenty_batches_of_even_gradients_the_two_part_by_less_than_a_batch() -> None:
    gradients = [1.0] * (STEPS * LIGHT.batch)
    heavy = weight_after(HEAVY, gradients)[LIGHT.batch - 1 :: LIGHT.batch]
    light = weight_after(LIGHT, gradients)
    batch = LIGHT.lr / (1 - LIGHT.momentum) * LIGHT.batch  # the whole effect of one batch
    assert 0 < max(abs(a - b) for a, b in zip(heavy, light, strict=True)) < batch


def test_biases_go_at_their_own_rate_without_decay_and_parts_at_theirs() -> None:
    net = nn.ModuleDict({"encoder": nn.Conv2d(3, 4, 3), "score": nn.Conv2d(4, 2, 1)})
    optim = Optim(torch.optim.SGD, 0.5, Constant(), 0.1, 2.0, {"encoder": 0.25, "score.weight": 3})
    groups = optim.configure(net, STEPS)["optimizer"].param_groups
    named = {id(p): name for name, p in net.named_parameters()}
    found = {named[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert found == {
        "encoder.weight": (0.125, 0.1),
        "encoder.bias": (0.25, 0),
        "score.weight": (1.5, 0.1),
        "score.bias": (1.0, 0),
    }


def test_the_translation_is_said_at_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    task = make_train({"max_epochs": 1}, loss=CrossEntropy("sum"))
    for line in describe_recipe(task.loss, task.optim, task.data, 1):
        print_text(line)
    said = " ".join(capsys.readouterr().out.split())
    assert "on the sum over 3 x" in said
    assert "momentum 0.9" in said
    assert "exactly" in said
    assert "about: lr" in said


def test_frames_that_are_void_and_a_momentum_of_one_stop_no_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len(replace(LIGHT, momentum=1.0).describe()) == 2
    monkeypatch.setattr("fcn_lab.training.opening.count_scored_pixels", lambda _: 0.0)
    for reduction in ("sum", "mean"):
        task = make_train(loss=CrossEntropy(reduction))
        assert describe_recipe(task.loss, task.optim, task.data, 1) == []


def test_a_sum_over_several_ranks_is_that_over_one_batch_of_all_their_images() -> None:
    task = make_train(loss=CrossEntropy("sum"))
    whole = make_train(loss=CrossEntropy("sum"), data=FrameDataModule(Squares(), batch_size=6))
    ranks = describe_recipe(task.loss, task.optim, task.data, 2)
    assert ranks == describe_recipe(whole.loss, whole.optim, whole.data, 1)

    def average(batches: Sequence[Tensor]) -> Tensor:
        """The gradient that ranks of a batch each have in the end."""
        module = SegmentationModule(net, CrossEntropy("sum"), task.optim, Squares().classes)
        module._trainer = SimpleNamespace(world_size=len(batches))  # type: ignore[assignment]
        module.log = lambda *_, **__: None  # type: ignore[method-assign]
        losses = [
            module.training_step({"image": b, "label": torch.zeros(len(b), 8, 8)}, 0)
            for b in batches
        ]
        gradient: Tensor = torch.autograd.grad(torch.stack(losses).mean(), net.weight)[0]
        return gradient

    net = torch.nn.Conv2d(3, 3, 1)
    images = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    torch.testing.assert_close(average([images[:2], images[2:]]), average([images]))
