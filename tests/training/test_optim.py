"""Schedules against torch's own, and which parameters are decayed."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LRScheduler,
    OneCycleLR,
    PolynomialLR,
)

from fcn_lab.errors import UserError
from fcn_lab.training.optim import Constant, Cosine, OneCycle, Optim, Poly, Schedule

STEPS = 40
SCHEDULES = (Constant, Poly, Cosine, OneCycle)


def sgd(lr: float = 0.5) -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)


def rates(optimizer: torch.optim.Optimizer, scheduler: LRScheduler, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("ours", "oracle"),
    [
        (Poly(power=0.9), lambda o: PolynomialLR(o, STEPS, power=0.9)),
        (Poly(power=2.0), lambda o: PolynomialLR(o, STEPS, power=2.0)),
        (Cosine(), lambda o: CosineAnnealingLR(o, STEPS)),
    ],
)
def test_a_schedule_is_torchs_own(
    ours: Schedule, oracle: Callable[[torch.optim.Optimizer], LRScheduler]
) -> None:
    optimizer = sgd()
    expected = rates(optimizer, oracle(optimizer), STEPS)
    assert [0.5 * ours(step / STEPS) for step in range(STEPS)] == pytest.approx(expected)


def test_one_cycle_is_torchs_own() -> None:
    # torch counts its last step as the end and puts the peak one step before the fraction
    warmup, last = 0.3, STEPS - 1
    optimizer = sgd()
    oracle = OneCycleLR(optimizer, 0.5, STEPS, pct_start=warmup, cycle_momentum=False)
    expected = rates(optimizer, oracle, last)
    ours = OneCycle(warmup=(warmup * STEPS - 1) / last)
    assert [0.5 * ours(step / last) for step in range(last)] == pytest.approx(expected)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_warm_up_rises_to_the_peak_and_the_rest_never_rises(schedule: type[Schedule]) -> None:
    factors = [schedule(warmup=0.25)(step / 100) for step in range(101)]
    assert factors[:26] == sorted(factors[:26])
    assert factors[25] == pytest.approx(1)
    assert factors[25:] == sorted(factors[25:], reverse=True)
    assert 0 < factors[0] < 0.05


def test_a_schedule_without_warm_up_starts_at_the_peak() -> None:
    assert [schedule(warmup=0.0)(0.0) for schedule in SCHEDULES] == [1.0] * len(SCHEDULES)


@pytest.mark.parametrize("warmup", [-0.1, 1.0])
def test_a_warm_up_outside_the_training_is_refused(warmup: float) -> None:
    with pytest.raises(UserError, match=r"warmup=.*: expected a number from 0 to below 1"):
        Poly(warmup=warmup)


def test_only_kernels_are_decayed_and_frozen_ones_are_left_out() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, bias=False))
    net[2].weight.requires_grad_(False)
    optim = Optim(torch.optim.AdamW, lr=0.1, schedule=Constant(), weight_decay=0.02)
    kernels, others = optim.configure(net, STEPS)["optimizer"].param_groups
    assert kernels["params"] == [net[0].weight]
    assert kernels["weight_decay"] == 0.02
    assert {id(p) for p in others["params"]} == {
        id(net[0].bias),
        id(net[1].weight),
        id(net[1].bias),
    }
    assert others["weight_decay"] == 0


def test_the_rate_follows_the_schedule_over_all_steps() -> None:
    configured = Optim(torch.optim.SGD, lr=0.2, schedule=Poly()).configure(
        nn.Conv2d(1, 1, 1), STEPS
    )
    found = rates(configured["optimizer"], configured["lr_scheduler"]["scheduler"], STEPS + 1)
    assert found == pytest.approx([0.2 * Poly()(step / STEPS) for step in range(STEPS + 1)])


@pytest.mark.parametrize(("lr", "weight_decay"), [(0.0, 0.0), (-1.0, 0.0), (0.1, -1.0)])
def test_a_rate_that_cannot_train_is_refused(lr: float, weight_decay: float) -> None:
    with pytest.raises(UserError, match="expected a number"):
        Optim(torch.optim.SGD, lr=lr, schedule=Constant(), weight_decay=weight_decay)
