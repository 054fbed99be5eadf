"""The space of a search, read from Hydra's own words for a sweep's axes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from fcn_lab.errors import UserError

# significant digits of a drawn number
VALUE_DIGITS = 4


@dataclass(frozen=True)
class SearchSpace:
    """The axes of a search, and the overrides that are not searched.

    Args:
        axes: the distribution of every key that is searched.
        fixed_overrides: the overrides that all trials share.
        text: the axes as they were typed.
    """

    axes: Mapping[str, BaseDistribution]
    fixed_overrides: Sequence[str]
    text: Mapping[str, str]

    @classmethod
    def from_overrides(cls, overrides: Sequence[Override]) -> "SearchSpace":
        """Reads the space from overrides, of which the last one of a key counts.

        Raises:
            UserError: none is an axis, or one has no values.
        """
        last = {override.get_key_element(): override for override in overrides}
        axes = {key: override for key, override in last.items() if override.is_sweep_override()}
        if not axes:
            raise UserError(
                "hydra/sweeper=optuna has nothing to search: type an axis, "
                "say 'optim.lr=tag(log,interval(1e-4,1e-2))' or loss=ce,ce_dice"
            )
        return cls(
            {key: create_distribution(override) for key, override in axes.items()},
            [str(override.input_line) for key, override in last.items() if key not in axes],
            {key: str(override.input_line) for key, override in axes.items()},
        )

    def draw_overrides(self, trial: Trial) -> list[str]:
        """Returns a trial's values as overrides; draws those that it lacks."""
        values = [f"{key}={suggest_value(trial, key, axis)}" for key, axis in self.axes.items()]
        return [*self.fixed_overrides, *values]


def create_distribution(override: Override) -> BaseDistribution:
    """Creates the distribution of an axis: an ordered interval or range, else a choice of words.

    Raises:
        UserError: it has no values.
    """
    sweep: Any = override.value()
    log = "log" in getattr(sweep, "tags", ())
    try:
        if isinstance(sweep, IntervalSweep):
            if isinstance(sweep.start, int) and isinstance(sweep.end, int):
                return IntDistribution(sweep.start, sweep.end, log=log)
            low, high = float(sweep.start or 0), float(sweep.end or 0)
            if not (math.isfinite(low) and math.isfinite(high)):
                raise ValueError("its ends must be finite")
            return FloatDistribution(low, high, log=log)
        if isinstance(sweep, RangeSweep):
            values, step = sorted(sweep.range()), abs(sweep.step)
            if values and all(isinstance(value, int) for value in values):
                return IntDistribution(int(values[0]), int(values[-1]), log, int(step))
            # range() adds up, and its last value may lie a rounding below
            length = (len(values) - 1) * Decimal(str(step))
            return FloatDistribution(values[0], float(Decimal(str(values[0])) + length), log, step)
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except (ValueError, IndexError) as error:
        raise UserError(f"{override.input_line}: it cannot be searched ({error})") from error


def suggest_value(trial: Trial, key: str, axis: BaseDistribution) -> str:
    """Returns the trial's value of `key` as Hydra reads it."""
    if isinstance(axis, FloatDistribution):
        value = trial.suggest_float(key, axis.low, axis.high, log=axis.log, step=axis.step)
        # shortened, since it becomes part of a cell's name
        short_value = float(f"{value:.{VALUE_DIGITS}g}")
        return repr(min(max(short_value, axis.low), axis.high))
    if isinstance(axis, IntDistribution):
        return str(trial.suggest_int(key, axis.low, axis.high, log=axis.log, step=axis.step))
    assert isinstance(axis, CategoricalDistribution)
    return str(trial.suggest_categorical(key, axis.choices))
