"""Searches the best settings: every trial of an Optuna study is a cell of a sweep.

The study is a file beside the cells, SWEEP/study.log, to which lines are only appended. A runner
that is killed leaves its trials open in it, and the next one continues them, each with its values
and in its cell's folder. A trial is judged by val's mean IoU alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

from fcn_lab.config.build import build
from fcn_lab.config.frozen import read_recorded, resolve
from fcn_lab.config.yaml_text import dump_yaml
from fcn_lab.errors import SweepFailure, guard_writing
from fcn_lab.files import write_text
from fcn_lab.runs.statuses import RunStatus
from fcn_lab.runs.sweep import Cell, Progress, SweepFolder
from fcn_lab.sweeps.search_space import SearchSpace
from fcn_lab.sweeps.study_log import open_study
from fcn_lab.text.commands import format_command as typed
from fcn_lab.text.commands import format_operand
from fcn_lab.values import Count

TRIAL_STATES: dict[str, TrialState] = {
    RunStatus.DONE: TrialState.COMPLETE,
    RunStatus.PRUNED: TrialState.PRUNED,
    RunStatus.FAILED: TrialState.FAIL,
}
Launch = Callable[[Sequence[Sequence[str]], int, Callable[[Cell], bool]], None]


@dataclass
class Search:
    """Runs the trials of a folder's study until there are enough.

    Args:
        folder: the sweep's folder.
        space: the axes that are searched.
        sampler: a node that describes an object of optuna.samplers; its seed is that of the first
            trial and moves on with the trials, so that a continued study draws the same values.
        pruner: a node that describes an object of optuna.pruners; its steps are epochs.
        n_trials: trials in all, failed and pruned ones included.
        n_jobs: trials drawn at a time, to run together.
        name_cell: returns the name of the cell that these overrides make.
        launch: runs cells by their overrides, the number of the first, and a function that prunes.
        stop: whether to end at the first trial that fails.
        accept_changes: whether settings may differ from those the study was begun with.

    Raises:
        UserError: the folder holds another study.
    """

    folder: Path
    space: SearchSpace
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any]
    n_trials: Count
    n_jobs: Count
    name_cell: Callable[[Sequence[str]], str]
    launch: Launch
    stop: bool = False
    accept_changes: bool = False
    # the epochs reported so far, by the trial's number
    _last_epochs: dict[int, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        pruner = build(self.pruner, "hydra.sweeper.pruner", {})
        with guard_writing(self.folder / "study.log"):
            self.study = open_study(self.folder, self.space, pruner, self.accept_changes)

    def run(self, split: str) -> FrozenTrial:
        """Returns the best trial so far; best.yaml always holds its configuration.

        Args:
            split: the split that this configuration will be scored on.

        Raises:
            SweepFailure: no trial was completed, or one failed and `stop` is set.
        """
        with guard_writing(self.folder / "study.log"):
            while batch := self._next_batch():
                failures = self._run(batch)
                if self._has_result():
                    write_best(self.folder, self.study.best_trial, split)
                if failures and self.stop:
                    raise SweepFailure(", ".join(failures))
        if not self._has_result():
            raise SweepFailure("no trial came through")
        return self.study.best_trial

    def _has_result(self) -> bool:
        return bool(self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))

    def _next_batch(self) -> list[Trial]:
        """Returns the trials that a dead runner left open, then new ones."""
        trials = self.study.get_trials(deepcopy=False)
        rest = [trial for trial in trials if trial.state == TrialState.RUNNING][: self.n_jobs]
        self._last_epochs = {trial.number: trial.last_step or 0 for trial in rest}
        # Optuna has no public way to hold a trial that another process began
        factories = {trial.number: partial(Trial, self.study, trial._trial_id) for trial in rest}
        new_numbers = range(len(trials), self.n_trials)[: self.n_jobs - len(rest)]
        batch = []
        for number in (*factories, *new_numbers):
            node = {**self.sampler, "seed": (self.sampler.get("seed") or 0) + number}
            self.study.sampler = build(node, "hydra.sweeper.sampler", {})
            batch.append(factories.get(number, self.study.ask)())
            # drawn now, so that the next trial differs from it
            self.space.draw_overrides(batch[-1])
        return batch

    def _run(self, batch: Sequence[Trial]) -> list[str]:
        """Runs the cells of a batch, one for equal trials; returns those that failed."""
        cells: dict[str, list[Trial]] = {}
        commands: dict[str, list[str]] = {}
        for trial in batch:
            overrides = self.space.draw_overrides(trial)
            name = self.name_cell(overrides)
            trial.set_user_attr("cell", name)
            cells.setdefault(name, []).append(trial)
            commands[name] = overrides
        prune = partial(self._is_unpromising, cells)
        self.launch(list(commands.values()), batch[0].number, prune)
        cells_by_name = {cell.name: cell for cell in SweepFolder.read(self.folder).cells}
        progress_by_name = {name: cells_by_name[name].read_progress() for name in cells}
        for name, progress in progress_by_name.items():
            # the next command continues it
            if progress.status not in TRIAL_STATES:
                raise SweepFailure(name)
            for trial in cells[name]:
                self._report_result(trial, progress)
        return [name for name, p in progress_by_name.items() if p.status == RunStatus.FAILED]

    def _report_result(self, trial: Trial, progress: Progress) -> None:
        state, value = TRIAL_STATES[progress.status], None
        if state == TrialState.COMPLETE:
            value = progress.score("val", "mean_iou")
            state = TrialState.FAIL if value is None else state
        self.study.tell(trial, value, state, skip_if_finished=True)

    def _is_unpromising(self, cells: Mapping[str, Sequence[Trial]], cell: Cell) -> bool:
        """Reports the cell's new epochs, and asks the pruner whether to go on.

        A cell that has trained to its end keeps its score.
        """
        curve = cell.curve()
        trials = cells[cell.name]
        last = self._last_epochs.get(trials[0].number, 0)
        new_epochs = [epochs for epochs in curve if epochs > last]
        if not new_epochs or max(new_epochs) == cell.epochs:
            return False
        for trial in trials:
            for epochs in new_epochs:
                trial.report(curve[epochs], epochs)
            self._last_epochs[trial.number] = max(new_epochs)
        return trials[0].should_prune()


def write_best(folder: Path, trial: FrozenTrial, split: str) -> Path:
    """Writes the best cell's configuration, to be trained and scored on `split`, to best.yaml."""
    cell, path = trial.user_attrs["cell"], folder / "best.yaml"
    config = read_recorded(folder / cell)
    config.data.split = split
    head = (
        f"val mean IoU {trial.value:.4f}, the best of {folder.name}: {cell}\n"
        f"Trains it and scores {split}: {build_command(folder)}\n"
    )
    write_text(path, indent(head, "# ") + dump_yaml(resolve(config)))
    return path


def build_command(folder: Path) -> str:
    """Returns the command that trains the best configuration."""
    return typed("--config-path", format_operand(folder), "--config-name", "best")
