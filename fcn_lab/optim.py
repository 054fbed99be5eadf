"""Optimiser and learning-rate schedule: what `optim=` and `schedule=` build.

A schedule maps progress, the fraction of all optimiser steps taken (0…1), to a factor of the
learning rate.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypedDict

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from fcn_lab.errors import UserError

WARMUP_START = 0.01  # a ramp from 0 would waste the first step


class SchedulerConfig(TypedDict):
    """Lightning's description of a schedule."""

    scheduler: LambdaLR
    interval: str


class Configured(TypedDict):
    """Lightning's description of an optimiser with its schedule."""

    optimizer: Optimizer
    lr_scheduler: SchedulerConfig


@dataclass(frozen=True)
class Schedule(ABC):
    """A linear ramp over the first `warmup` of the training, then `decay` over the rest.

    Raises:
        UserError: for a warm-up outside 0…1.
    """

    warmup: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise UserError(
                f"schedule.warmup={self.warmup}: "
                "expected a fraction of the training, from 0 to below 1"
            )

    def __call__(self, progress: float) -> float:
        """The factor of the learning rate at `progress` in 0…1."""
        if progress < self.warmup:
            return self.ramp(progress / self.warmup)
        return self.decay(min((progress - self.warmup) / (1 - self.warmup), 1.0))

    def ramp(self, progress: float) -> float:
        """The factor during warm-up."""
        return WARMUP_START + (1 - WARMUP_START) * progress

    @abstractmethod
    def decay(self, progress: float) -> float:
        """The factor after warm-up, from 1 downwards."""


@dataclass(frozen=True)
class Constant(Schedule):
    """No decay."""

    def decay(self, progress: float) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True)
class Poly(Schedule):
    """(1 − progress)^power (Liu, Rabinovich, Berg, "ParseNet", 2015)."""

    power: float = 0.9

    def decay(self, progress: float) -> float:
        """From 1 to 0."""
        return float((1 - progress) ** self.power)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine wave (Loshchilov, Hutter, "SGDR", 2017)."""

    def decay(self, progress: float) -> float:
        """From 1 to 0."""
        return cosine(1.0, 0.0, progress)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Cosine from 1/start up to 1, then down to 1/(start·end) (Smith, Topin, 2018)."""

    warmup: float = 0.3
    start: float = 25.0
    end: float = 1e4

    def ramp(self, progress: float) -> float:
        """From 1/start to 1."""
        return cosine(1 / self.start, 1.0, progress)

    def decay(self, progress: float) -> float:
        """From 1 to 1/(start·end)."""
        return cosine(1.0, 1 / (self.start * self.end), progress)


def cosine(first: float, last: float, progress: float) -> float:
    """From `first` to `last` along half a cosine wave."""
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class Optim:
    """An optimiser with its schedule, stepped after every batch.

    Weight decay acts on convolution kernels alone: biases and the scales of normalisation layers
    (every parameter of fewer than two dimensions) are left free, as the FCN authors left their
    biases.

    Args:
        optimizer: a torch optimiser waiting for parameters, lr and weight_decay.
        lr: the schedule's factors multiply it.
        weight_decay: of the kernels.
        schedule: factor of lr at a progress in 0…1.

    Raises:
        UserError: for a negative lr or weight decay.
    """

    optimizer: Callable[..., Optimizer]
    lr: float
    schedule: Callable[[float], float]
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise UserError(f"optim.lr={self.lr}: expected a number above 0")
        if self.weight_decay < 0:
            raise UserError(f"optim.weight_decay={self.weight_decay}: expected 0 or more")

    def configure(self, net: nn.Module, steps: int) -> Configured:
        """Both for `net`, over `steps` optimiser steps; frozen parameters are left out."""
        optimizer = self.optimizer(
            groups(net.parameters(), self.weight_decay), lr=self.lr, weight_decay=self.weight_decay
        )
        scheduler = LambdaLR(optimizer, lambda step: self.schedule(step / max(steps, 1)))
        return Configured(
            optimizer=optimizer, lr_scheduler=SchedulerConfig(scheduler=scheduler, interval="step")
        )


def groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    """Kernels with weight decay, the rest without; no empty group."""
    trained = [p for p in parameters if p.requires_grad]
    kernels = [p for p in trained if p.ndim > 1]
    others = [p for p in trained if p.ndim <= 1]
    split = (
        {"params": kernels, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    )
    return [dict(group) for group in split if group["params"]]
