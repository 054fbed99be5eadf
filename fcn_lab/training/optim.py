"""The optimiser and learning-rate schedules that `optim=` and `schedule=` build.

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
from fcn_lab.training.sgd_equivalence import SGDRecipe
from fcn_lab.values import NotNegative, Positive, check_arguments

# the first factor of the learning rate; a ramp from 0 would waste the first step
WARMUP_START = 0.01
# the number of points at which the rates of two trainings are compared
RATE_POINTS = 1000
# a part of a training
Part = Annotated[float, Ge(0), Lt(1)]
AtLeastOne = Annotated[float, Ge(1)]


class SchedulerConfig(TypedDict):
    """Lightning's description of a schedule."""

    scheduler: LambdaLR
    interval: str


class OptimizerConfig(TypedDict):
    """Lightning's description of an optimiser and its schedule."""

    optimizer: Optimizer
    lr_scheduler: SchedulerConfig


@dataclass(frozen=True)
class Schedule(ABC):
    """A linear ramp over the first `warmup` of the training, then `decay` over the rest."""

    warmup: Part = 0.0

    def __call__(self, progress: float) -> float:
        """Returns the factor of the learning rate at `progress` in 0…1."""
        if progress < self.warmup:
            return self.ramp(progress / self.warmup)
        return self.decay(min((progress - self.warmup) / (1 - self.warmup), 1.0))

    def ramp(self, progress: float) -> float:
        """Returns the factor during warm-up, `progress` in 0…1 through it."""
        return WARMUP_START + (1 - WARMUP_START) * progress

    @abstractmethod
    def decay(self, progress: float) -> float:
        """Returns the factor after warm-up, from 1 downwards."""


@check_arguments
@dataclass(frozen=True)
class Constant(Schedule):
    """A factor that stays at 1 after warm-up."""

    def decay(self, progress: float) -> float:
        """Returns 1 at any progress."""
        return 1.0


@check_arguments
@dataclass(frozen=True)
class Poly(Schedule):
    """(1 − progress)^power (Liu, Rabinovich, Berg, "ParseNet", 2015)."""

    power: NotNegative = 0.9

    def decay(self, progress: float) -> float:
        """Returns the factor that falls from 1 to 0."""
        return float((1 - progress) ** self.power)


@check_arguments
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine wave (Loshchilov, Hutter, "SGDR", 2017)."""

    def decay(self, progress: float) -> float:
        """Returns the factor that falls from 1 to 0."""
        return interpolate_cosine(1.0, 0.0, progress)


@check_arguments
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Cosine from 1/start up to 1, then down to 1/(start·end) (Smith, Topin, 2018)."""

    warmup: Part = 0.3
    start: AtLeastOne = 25.0
    end: AtLeastOne = 1e4

    def ramp(self, progress: float) -> float:
        """Returns the factor that rises from 1/start to 1."""
        return interpolate_cosine(1 / self.start, 1.0, progress)

    def decay(self, progress: float) -> float:
        """Returns the factor that falls from 1 to 1/(start·end)."""
        return interpolate_cosine(1.0, 1 / (self.start * self.end), progress)


def keeps_rates(schedule: Callable[[float], float], first: float, second: float) -> bool:
    """Returns whether a training of another length would have had the same rates up to here.

    Args:
        schedule: returns the factor of the rate at a progress in 0…1.
        first: the progress that the training has made.
        second: the progress that this would be at the other length.
    """
    shares = (point / RATE_POINTS for point in range(RATE_POINTS + 1))
    return first == second or all(schedule(first * s) == schedule(second * s) for s in shares)


def interpolate_cosine(first: float, last: float, progress: float) -> float:
    """Returns a value between `first` and `last` on half a cosine wave, `progress` in 0…1."""
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


@check_arguments
@dataclass(frozen=True)
class Optim:
    """An optimiser with its schedule, stepped after every batch.

    Weight decay acts on convolution kernels alone: biases and the scales of normalisation layers
    (every parameter of fewer than two dimensions) are left free, as the FCN authors left their
    biases.

    Args:
        optimizer: a torch optimiser waiting for parameters, lr and weight_decay.
        lr: the schedule's factors multiply it.
        weight_decay: factor of the kernels in their own gradient.
        schedule: returns the factor of lr at a progress in 0…1.
        bias_rate: factor of lr for biases; 2 in the FCN paper.
        rates: factors of lr by parts of the network ("encoder", "encoder.stages.0"); the longest
            name that fits a parameter counts, and 1 where none does.

    Raises:
        UserError: a factor is not above 0, or the optimiser itself refuses its settings.

    Example:
        >>> sgd = Optim(torch.optim.SGD, lr=0.1, schedule=Poly(), weight_decay=1e-4, bias_rate=2)
        >>> kernels, biases = sgd.parameter_groups(nn.Conv2d(3, 8, 3))
        >>> kernels["lr"], kernels["weight_decay"], biases["lr"], biases["weight_decay"]
        (0.1, 0.0001, 0.2, 0.0)
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
            self._create_optimizer([nn.Parameter(torch.zeros(1))])
        except (TypeError, ValueError) as error:
            raise UserError(f"optim.optimizer: {error}") from error

    def configure(self, net: nn.Module, steps: int) -> OptimizerConfig:
        """Returns optimiser and schedule for `steps` optimiser steps of what is not frozen."""
        optimizer = self._create_optimizer(self.parameter_groups(net))
        scheduler = LambdaLR(optimizer, lambda step: self.schedule(step / max(steps, 1)))
        return OptimizerConfig(
            optimizer=optimizer, lr_scheduler=SchedulerConfig(scheduler=scheduler, interval="step")
        )

    def to_sgd_recipe(self, batch: int, pixels: float, is_sum: bool) -> SGDRecipe | None:
        """Returns this optimiser as an `SGDRecipe`, or None where it is not SGD.

        Args:
            batch: images a batch.
            pixels: scored pixels an image.
            is_sum: whether the cross entropy is summed over the pixels.
        """
        probe = self._create_optimizer([nn.Parameter(torch.zeros(1))])
        if not isinstance(probe, torch.optim.SGD):
            return None
        momentum = probe.defaults["momentum"]
        return SGDRecipe(self.lr, momentum, self.weight_decay, batch, pixels, is_sum)

    def parameter_groups(self, net: nn.Module) -> list[dict[str, object]]:
        """Returns the trained parameters in groups of one rate and one decay; no group is empty.

        Kernels at the plain rate come first.

        Raises:
            UserError: nothing is trained, or `rates` names a part that the network does not have.
        """
        names = [name for name, _ in net.named_parameters()]
        for part, rate in self.rates.items():
            if rate != 1 and not any(belongs_to(name, part) for name in names):
                parts = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
                raise UserError(f"optim.rates.{part}: the network has no such part; it has {parts}")
        split: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in net.named_parameters():
            if parameter.requires_grad:
                key = (self.rate_factor(name), parameter.ndim > 1)
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

    def _create_optimizer(self, parameters: Sequence[object]) -> Optimizer:
        return self.optimizer(parameters, lr=self.lr, weight_decay=self.weight_decay)

    def rate_factor(self, name: str) -> float:
        """Returns the factor of lr for the parameter of that name."""
        parts = [part for part in self.rates if belongs_to(name, part)]
        rate = self.rates[max(parts, key=len)] if parts else 1.0
        return rate * (self.bias_rate if name.endswith("bias") else 1.0)


def belongs_to(name: str, part: str) -> bool:
    """Returns whether a parameter of that name belongs to the part."""
    return name == part or name.startswith(f"{part}.")
