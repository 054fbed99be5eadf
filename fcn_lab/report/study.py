"""What a report is about: the runs, their arms, and what was varied.

Legend: S seeds, R draws, K classes.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from fcn_lab.errors import UserError
from fcn_lab.report.comparison import Arm, Comparison, compare
from fcn_lab.report.intervals import Estimate, blocks, single_frames
from fcn_lab.report.runs import Missing, Run, find_runs, missing_cells

TITLES = {"model": "skips", "upsample": "operators", "encoder": "encoders"}
WIDTHS = (1, 2, 4, 8, 16)  # pixels on each side of a boundary, as fcn_lab/edges.py measures them


@dataclass(frozen=True)
class Study:
    """All that the pages are made from.

    Args:
        runs: finished ones, of one protocol.
        missing: cells without scores.
        comparison: the arms, best first.
        factors: what was varied, each with its values in the order of the runs.
        values: by arm, the value of each factor.
    """

    runs: tuple[Run, ...]
    missing: tuple[Missing, ...]
    comparison: Comparison
    factors: dict[str, tuple[str, ...]]
    values: dict[str, dict[str, str]]

    @classmethod
    def read(cls, folders: Sequence[Path]) -> "Study":
        """The runs in these folders.

        Raises:
            UserError: there are none, they cannot be compared, or a seed of an arm is there twice.
        """
        runs = find_runs(folders)
        factors = varied(runs)
        groups: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            groups[arm_name(run, factors)].append(run)
        for name, members in groups.items():
            _refuse_twins(name, members)
        cut = blocks(runs[0].drives)
        weights = cut.weights()
        arms = [Arm.of(name, members, weights) for name, members in groups.items()]
        values = {
            name: {factor: members[0].factors.get(factor, "–") for factor in factors}
            for name, members in groups.items()
        }
        missing = tuple(missing_cells(folders))
        return cls(tuple(runs), missing, compare(arms, cut), factors, values)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Best first."""
        return self.comparison.arms

    @property
    def first(self) -> Run:
        """Any run, for what all share."""
        return self.runs[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of all runs."""
        return tuple(sorted({run.seed for run in self.runs}))

    @cached_property
    def too_narrow(self) -> float:
        """How many times narrower a bootstrap over single frames makes the best arm's interval."""
        best, cut = self.arms[0], single_frames(self.first.drives)
        alone = Arm.of(best.name, best.runs, cut.weights()).mean_iou(cut.freedom)
        now = self.comparison.means[best.name]
        return now.half_of_frames() / alone.half_of_frames() if alone.frames else 1.0

    @property
    def common_seeds(self) -> tuple[int, ...]:
        """Those that every arm has."""
        return tuple(sorted(set.intersection(*(set(arm.seeds) for arm in self.arms))))

    @property
    def is_grid(self) -> bool:
        """Whether every combination of values has an arm, with a seed that all have."""
        there = {tuple(values.values()) for values in self.values.values()}
        return there == set(product(*self.factors.values())) and bool(self.common_seeds)

    def level(self, factor: str, value: str) -> Arm:
        """The mean of all arms with that value, over the seeds that every arm has."""
        chosen = [arm for arm in self.arms if self.values[arm.name][factor] == value]
        members = [arm.only(self.common_seeds) for arm in chosen]
        points, draws = (
            np.mean([getattr(arm, part) for arm in members], axis=0) for part in ("points", "draws")
        )
        return Arm(value, members[0].runs, points, draws)

    def mean(self, arm: Arm) -> Estimate:
        """Of any arm, also of one that `level` has made."""
        return arm.mean_iou(self.comparison.blocks.freedom)

    def shares(self) -> dict[str, float]:
        """Of the variance between arms: each factor's part, and that of their interaction."""
        cells = np.array([self.mean(arm.only(self.common_seeds)).value for arm in self.arms])
        total = float(cells.var()) or 1.0
        alone: dict[str, float] = {}
        for factor, values in self.factors.items():
            levels = np.array([self.mean(self.level(factor, value)).value for value in values])
            alone[factor] = float(((levels - cells.mean()) ** 2).mean()) / total
        return {**alone, "interaction": max(0.0, 1 - sum(alone.values()))}


def varied(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """The factors in which runs differ, with their values."""
    names = dict.fromkeys(name for run in runs for name in run.factors)
    values = {n: tuple(dict.fromkeys(run.factors.get(n, "–") for run in runs)) for n in names}
    return {name: _in_order(found) for name, found in values.items() if len(found) > 1}


def title(factor: str) -> str:
    """What a factor is called in a sentence."""
    return TITLES.get(factor, factor)


def arm_name(run: Run, factors: Sequence[str] | dict[str, tuple[str, ...]]) -> str:
    """The values of what was varied, as "fcn8s lr=0.01"; the three words where nothing was."""
    named = factors or ("model", "upsample", "encoder")
    return " ".join(_shown(factor, run.factors.get(factor, "–")) for factor in named)


def _shown(factor: str, value: str) -> str:
    _, dot, key = factor.rpartition(".")
    return f"{key}={value}" if dot else value  # a value alone says little, a word enough


def _in_order(values: tuple[str, ...]) -> tuple[str, ...]:
    """FCNs from coarse to fine, other values as they come."""
    strides = [value.removeprefix("fcn").removesuffix("s") for value in values]
    if all(stride.isdigit() for stride in strides):
        return tuple(sorted(values, key=lambda v: -int(v.removeprefix("fcn").removesuffix("s"))))
    return values


def _refuse_twins(name: str, runs: Sequence[Run]) -> None:
    by_seed: dict[int, Run] = {}
    for run in runs:
        other = by_seed.setdefault(run.seed, run)
        if other is not run:
            raise UserError(
                f"{other.folder} and {run.folder} are both {name}, seed {run.seed}: leave one out "
                "(what a table shows of them must differ in a word, a key or the seed)"
            )
