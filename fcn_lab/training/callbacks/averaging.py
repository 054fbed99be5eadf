"""How the weights are averaged while they train."""

from collections.abc import Callable

from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


def warmed_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """Exponential average whose memory grows with the steps n taken: min(decay, (1 + n)/(10 + n)).

    With the full decay from the first step on, the random start would weigh in for thousands of
    steps.
    """

    def average(means: list[Tensor], current: list[Tensor], averaged: Tensor | int) -> None:
        steps = int(averaged)
        update = get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))  # type: ignore[no-untyped-call]
        update(means, current, averaged)

    return average
