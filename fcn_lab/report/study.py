"""Gathers what a report is about: the runs, their arms, and the factors that were varied.

Legend: A arms, S seeds, R draws, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from fcn_lab.report.arms import (
    find_varied,
    group_runs,
    name_settings,
    refuse_twins,
    tell_twins_apart,
)
from fcn_lab.report.blocks import count_draws, cut_blocks, cut_single_frames
from fcn_lab.report.comparison import Arm, Comparison, compare_runs
from fcn_lab.report.intervals import (
    LEVEL,
    Floats,
    compute_mean_iou,
)
from fcn_lab.report.questions import find_question
from fcn_lab.report.runs import (
    MissingRun,
    Run,
    find_missing_cells,
    find_runs,
)
from fcn_lab.report.variance import VarianceEffect, VarianceShare, build_projections, compute_shares
from fcn_lab.text.escaping import UNKNOWN_VALUE


@dataclass(frozen=True)
class Study:
    """The data that all pages of a report are made from.

    Args:
        runs: the finished runs, all of one protocol.
        missing_cells: cells without scores.
        comparison: the arms, best first.
        factors: the factors that were varied, each with its values in the order of the runs.
        values: the value of each factor, by arm.
        question: the question of the sweeps that all runs are cells of; empty where there is none.
    """

    runs: tuple[Run, ...]
    missing_cells: tuple[MissingRun, ...]
    comparison: Comparison
    factors: dict[str, tuple[str, ...]]
    values: dict[str, dict[str, str]]
    question: str = ""

    @classmethod
    def read(cls, folders: Sequence[Path]) -> "Study":
        """Reads the runs in these folders.

        Raises:
            UserError: there are none, they cannot be compared, or an arm has two runs of one seed.
        """
        all_runs, damages = find_runs(folders)
        runs = tell_twins_apart(name_settings(all_runs))
        factors = find_varied(runs)
        groups = group_runs(runs)
        for name, members in groups.items():
            refuse_twins(name, members)
        frames, scores = len(runs[0].names), len(runs) * len(runs[0].classes)
        blocks = cut_blocks(runs[0].drives, runs[0].names)
        cut = replace(blocks, draws=count_draws(frames, scores))
        weights = cut.weights()
        arms = [Arm.from_runs(name, members, weights) for name, members in groups.items()]
        values = {
            name: {factor: members[0].factors.get(factor, UNKNOWN_VALUE) for factor in factors}
            for name, members in groups.items()
        }
        damaged_folders = {run.folder for run in damages}
        cells = [cell for cell in find_missing_cells(folders) if cell.folder not in damaged_folders]
        missing_cells = (*damages, *cells)
        comparison, question = compare_runs(arms, cut), find_question(runs)
        return cls(tuple(runs), missing_cells, comparison, factors, values, question)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Returns the arms, the best first."""
        return self.comparison.arms

    @property
    def first_run(self) -> Run:
        """Returns the first run, for properties that all runs share."""
        return self.runs[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Returns the seeds of all runs, ascending."""
        return tuple(sorted({run.seed for run in self.runs}))

    @cached_property
    def too_narrow(self) -> float | None:
        """Returns by what factor blocks of single frames would narrow the best interval.

        It is about the frames' part of the interval; None where the frames do not determine that.
        """
        best_arm, draws = self.arms[0], self.comparison.blocks.draws
        cut = replace(cut_single_frames(self.first_run.drives), draws=draws)
        arm = Arm.from_runs(best_arm.name, best_arm.runs, cut.weights())
        single_frames = Comparison((arm,), cut).means[best_arm.name]
        in_blocks = self.comparison.means[best_arm.name]
        both_known = in_blocks.is_known and single_frames.is_known and single_frames.frames
        return in_blocks.half_of_frames() / single_frames.half_of_frames() if both_known else None

    @property
    def common_seeds(self) -> tuple[int, ...]:
        """Returns the seeds that every arm has."""
        return tuple(sorted(set.intersection(*(set(arm.seeds) for arm in self.arms))))

    @property
    def is_grid(self) -> bool:
        """Returns whether every combination of values has an arm, with a seed that all have."""
        combinations = {tuple(values.values()) for values in self.values.values()}
        return combinations == set(product(*self.factors.values())) and bool(self.common_seeds)

    def average_arms(self, values: Mapping[str, str]) -> Arm:
        """Returns the mean of all arms with these values of factors, over the seeds that all have.

        The averaged arm has one score, the mean IoU, in place of the classes' IoU.
        """
        members = [
            arm.select_seeds(self.common_seeds)
            for arm in self.arms
            if values.items() <= self.values[arm.name].items()
        ]
        points, draws = (
            np.mean([compute_mean_iou(getattr(arm, part)) for arm in members], axis=0)[..., None]
            for part in ("points", "draws")
        )
        return Arm(" ".join(values.values()), members[0].runs, points, draws, len(members))

    def shares(self) -> dict[str, VarianceShare] | None:
        """Divides the variance between arms among the factors and their interaction.

        Returns None where all of it may be error: no pair of arms differs, the arms together do
        not, or the arms share fewer than two seeds, which leaves the variance of trainings unknown.
        """
        arms = [arm.select_seeds(self.common_seeds) for arm in self.arms]
        if len(self.common_seeds) < 2 or not any(gap.is_distinct for gap in self.comparison.gaps):
            return None
        # by arm and seed
        points = np.array([compute_mean_iou(arm.points) for arm in arms])
        # by arm and draw
        draws = np.array([compute_mean_iou(arm.draws).mean(0) for arm in arms])
        levels = [[self.values[arm.name][factor] for arm in arms] for factor in self.factors]

        def effect(projection: Floats) -> VarianceEffect:
            freedom, seeds = self.comparison.blocks.freedom, points.shape[1]
            spread = np.cov(draws), freedom, np.cov(points), seeds
            return VarianceEffect(projection, points.mean(1), *spread)

        matrices = dict(zip((*self.factors, "interaction"), build_projections(levels), strict=True))
        total = np.sum(list(matrices.values()), axis=0)
        if effect(total).interval(LEVEL)[0] <= 0:
            return None
        rest = {name: effect(total - matrix) for name, matrix in matrices.items()}
        return compute_shares({name: effect(matrix) for name, matrix in matrices.items()}, rest)
