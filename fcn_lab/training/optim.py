"""Optimiser and learning-rate schedule: what `optim=` and `schedule=` build.

A schedule maps progress, the fraction of all optimiser steps taken (0…1), to a factor of the
learning rate.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, TypedDict

import torch
from annotated_types import Ge, Lt
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from fcn_lab.errors import UserError
from fcn_lab.training.sgd_equivalence import Descent
from fcn_lab.values import NotNegative, Positive, checked

WARMUP_START = 0.01  # a ramp from 0 would waste the first step
Part = Annotated[float, Ge(0), Lt(1)]  # of the training
AtLeastOne = Annotated[float, Ge(1)]


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
    """A linear ramp over the first `warmup` of the training, then `decay` over the rest."""

    warmup: Part = 0.0

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


@checked
@dataclass(frozen=True)
class Constant(Schedule):
    """No decay."""

    def decay(self, progress: float) -> float:
        """1."""
        return 1.0


@checked
@dataclass(frozen=True)
class Poly(Schedule):
    """(1 − progress)^power (Liu, Rabinovich, Berg, "ParseNet", 2015)."""

    power: NotNegative = 0.9

    def decay(self, progress: float) -> float:
        """From 1 to 0."""
        return float((1 - progress) ** self.power)


@checked
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine wave (Loshchilov, Hutter, "SGDR", 2017)."""

    def decay(self, progress: float) -> float:
        """From 1 to 0."""
        return cosine(1.0, 0.0, progress)


@checked
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Cosine from 1/start up to 1, then down to 1/(start·end) (Smith, Topin, 2018)."""

    warmup: Part = 0.3
    start: AtLeastOne = 25.0
    end: AtLeastOne = 1e4

    def ramp(self, progress: float) -> float:
        """From 1/start to 1."""
        return cosine(1 / self.start, 1.0, progress)

    def decay(self, progress: float) -> float:
        """From 1 to 1/(start·end)."""
        return cosine(1.0, 1 / (self.start * self.end), progress)


def cosine(first: float, last: float, progress: float) -> float:
    """From `first` to `last` along half a cosine wave."""
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


@checked
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
        bias_rate: factor of lr for biases; 2 in the FCN paper.
        rates: factors of lr by parts of the network ("encoder", "encoder.stages.0"); the longest
            name that fits a parameter counts, and 1 where none does.

    Raises:
        UserError: for a factor that is not above 0, and what the optimiser itself refuses.
    """

    optimizer: Callable[..., Optimizer]
    lr: Positive
    schedule: Callable[[float], float]
    weight_decay: NotNegative = 0.0
    bias_rate: float = 1.0
    rates: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, rate in {"bias_rate": self.bias_rate, **self.rates}.items():
            if rate <= 0:
                name = key if key == "bias_rate" else f"rates.{key}"
                raise UserError(
                    f"optim.{name}={rate}: expected a factor above 0; freeze= stops parts"
                )
        try:
            self._on([nn.Parameter(torch.zeros(1))])
        except (TypeError, ValueError) as error:
            raise UserError(f"optim.optimizer: {error}") from error

    def configure(self, net: nn.Module, steps: int) -> Configured:
        """Both for `net`, over `steps` optimiser steps; frozen parameters are left out."""
        optimizer = self._on(self.groups(net))
        scheduler = LambdaLR(optimizer, lambda step: self.schedule(step / max(steps, 1)))
        return Configured(
            optimizer=optimizer, lr_scheduler=SchedulerConfig(scheduler=scheduler, interval="step")
        )

    def descent(self, batch: int, pixels: float, summed: bool) -> Descent | None:
        """Its terms, for a cross entropy over so many images and pixels an image; SGD alone."""
        probe = self._on([nn.Parameter(torch.zeros(1))])
        if not isinstance(probe, torch.optim.SGD):
            return None
        momentum = probe.defaults["momentum"]
        return Descent(self.lr, momentum, self.weight_decay, batch, pixels, summed)

    def groups(self, net: nn.Module) -> list[dict[str, object]]:
        """What is trained, by rate and by decay: kernels at the plain rate first; no empty group.

        Raises:
            UserError: nothing is trained, or `rates` names a part that the network has not.
        """
        names = [name for name, _ in net.named_parameters()]
        for part, rate in self.rates.items():
            if rate != 1 and not any(within(name, part) for name in names):
                parts = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
                raise UserError(f"optim.rates.{part}: the network has no such part; it has {parts}")
        split: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in net.named_parameters():
            if parameter.requires_grad:
                key = (self.rate(name), parameter.ndim > 1)
                split.setdefault(key, []).append(parameter)
        if not split:
            raise UserError("every part of the network is frozen: expected one that is trained")
        return [
            {
                "params": split[rate, kernels],
                "weight_decay": self.weight_decay if kernels else 0.0,
                "lr": self.lr * rate,
            }
            for rate, kernels in sorted(split, key=lambda key: (key[0] != 1, not key[1]))
        ]

    def _on(self, parameters: Sequence[object]) -> Optimizer:
        return self.optimizer(parameters, lr=self.lr, weight_decay=self.weight_decay)

    def rate(self, name: str) -> float:
        """The factor of lr for the parameter of that name."""
        parts = [part for part in self.rates if within(name, part)]
        rate = self.rates[max(parts, key=len)] if parts else 1.0
        return rate * (self.bias_rate if name.endswith("bias") else 1.0)


def within(name: str, part: str) -> bool:
    """Whether a parameter of that name belongs to the part."""
    return name == part or name.startswith(f"{part}.")
