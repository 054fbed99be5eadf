"""A search for the best settings: every trial of an Optuna study is a cell of a sweep.

The study is a file beside the cells, SWEEP/study.log, to which lines are only ever appended: a
runner that is killed leaves its trials open in it, and the next one takes them up, each with its
values and in its cell's folder. A trial is judged by val's mean IoU and by nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

from fcn_lab.commands import format_command as typed
from fcn_lab.commands import format_operand
from fcn_lab.config.build import build
from fcn_lab.config.frozen import read_recorded, resolve
from fcn_lab.config.yaml_text import dump_yaml
from fcn_lab.errors import SweepFailure, guard_writing
from fcn_lab.files import write_text
from fcn_lab.runs.statuses import RunStatus
from fcn_lab.runs.sweep import Cell, Progress, SweepFolder
from fcn_lab.sweeps.search_space import SearchSpace
from fcn_lab.sweeps.study_log import open_study
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
        folder: the sweep's.
        space: what is searched.
        sampler: node of an optuna.samplers class; its seed is that of the first trial, and moves on
            with the trials, so that a study taken up goes on as it would have.
        pruner: node of an optuna.pruners class; its steps are epochs.
        n_trials: how many in all, those included that failed or were pruned.
        n_jobs: how many are drawn at a time, to run together.
        name_cell: the name of the cell that these overrides make.
        launch: runs cells, given by their overrides, the number of the first, and what prunes.
        stop: end at the first trial that fails.
        accept_changes: the settings of all trials may differ from those it was begun with.

    Raises:
        UserError: the folder holds a study of something else.
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
        """Returns the best trial; its configuration lies in best.yaml, kept up to date on the way.

        Args:
            split: what that configuration will be scored on.

        Raises:
            SweepFailure: no trial came through, or one failed and that is to end the search.
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
        """Trials that a dead runner left open, then new ones."""
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
            # drawn now: the next one is to differ from it
            self.space.draw_overrides(batch[-1])
        return batch

    def _run(self, batch: Sequence[Trial]) -> list[str]:
        """Runs the cells of a batch, one for trials that agree; gives those that failed."""
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
            # the next command takes it up
            if progress.status not in TRIAL_STATES:
                raise SweepFailure(name)
            for trial in cells[name]:
                self._report_result(trial, progress)
        return [name for name, progress in progress_by_name.items() if progress.status == "failed"]

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
