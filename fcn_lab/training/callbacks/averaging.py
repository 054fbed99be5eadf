"""The exponential average of the weights while they train."""

from collections.abc import Callable

from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


def create_warm_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """Returns an exponential average with decay min(decay, (1 + n)/(10 + n)) after n steps.

    At the full decay from the first step on, the random start would count for thousands of
    steps.
    """

    def average(means: list[Tensor], weights: list[Tensor], count: Tensor | int) -> None:
        steps = int(count)
        update = get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))  # type: ignore[no-untyped-call]
        update(means, weights, count)

    return average
