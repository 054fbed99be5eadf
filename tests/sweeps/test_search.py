"""A search draws what was declared, loses no trial to a kill, and its best is the best."""

import csv
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from fcn_lab.errors import SweepFailure, UserError
from fcn_lab.runs.attempts import begin_attempt
from fcn_lab.runs.records import DamagedFile
from fcn_lab.runs.statuses import FINAL_STATUSES
from fcn_lab.runs.sweep import Cell, Progress, SweepFolder
from fcn_lab.sweeps.loop import Sweep
from fcn_lab.sweeps.search import Search
from fcn_lab.sweeps.search_space import SearchSpace
from fcn_lab.sweeps.study_log import open_study
from support.commandline import TypeLine
from support.damage import KINDS

AXES = ("lr=tag(log,interval(1e-4,1.0))", "loss=ce,dice", "width=range(8,33,8)", "data=synthetic")
SAMPLER = {"_target_": "optuna.samplers.TPESampler", "seed": 3, "n_startup_trials": 4}
PRUNER = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 2, "n_warmup_steps": 2}
EPOCHS = 6


class Killed(BaseException):
    """Stands for kill -9 of the runner."""


def space(*overrides: str) -> SearchSpace:
    return SearchSpace.from_overrides(OverridesParser.create().parse_overrides(list(overrides)))


def name_of(overrides: Sequence[str]) -> str:
    return ",".join(o for o in overrides if not o.startswith("data="))


def by_learning_rate(overrides: Sequence[str]) -> float:
    return 1 - abs(float(overrides[1].partition("=")[2]) - 0.1)


@dataclass
class Stage:
    """Cells that are done at once: their val score is a function of their overrides."""

    folder: Path
    score: Callable[[Sequence[str]], float] = by_learning_rate
    killed_at: int | None = None
    ran: list[list[str]] = field(default_factory=list)

    def launch(
        self, batch: Sequence[Sequence[str]], first: int, unpromising: Callable[[Cell], bool]
    ) -> None:
        before = SweepFolder.read(self.folder).cells if self.ran else ()
        new = [Cell(n, self.folder / n, {}, epochs=EPOCHS) for n in map(name_of, batch)]
        cells = list({cell.name: cell for cell in (*before, *new)}.values())
        record = SweepFolder(self.folder, cells)
        record.write()
        for overrides, cell in zip(batch, new, strict=True):
            cell.folder.mkdir(exist_ok=True)
            if len(self.ran) == self.killed_at:
                raise Killed
            self.ran.append(list(overrides))
            if cell.read_progress().status not in FINAL_STATUSES:
                self.run(cell, self.score(overrides), unpromising)
        record.write_results({cell.name: cell.read_progress() for cell in cells})

    def run(self, cell: Cell, score: float, unpromising: Callable[[Cell], bool]) -> None:
        attempt = begin_attempt(cell.folder)
        config = {"data": {"split": "val"}, "choices": {"task": "train"}, "seed": 0}
        (cell.folder / "config.yaml").write_text(
            yaml.safe_dump({**config, "task": {}, "links": {}, "cell": cell.name})
        )
        history = "seconds,val/mean_iou\n"
        for epoch in range(1, EPOCHS + 1):
            history += f"{epoch},{score * epoch / EPOCHS}\n"
            (cell.folder / "history.csv").write_text(history)
            if unpromising(cell):
                return attempt.end("pruned")
        (cell.folder / "metrics.json").write_text(
            json.dumps({"protocol": "stub", "val": {"mean_iou": score}})
        )
        attempt.end("done")

    def search(self, n_trials: int, n_jobs: int = 1, **options: object) -> Search:
        settings: dict[str, Any] = {"space": space(*AXES), "sampler": SAMPLER, "pruner": PRUNER}
        return Search(
            self.folder,
            **{**settings, **options},
            n_trials=n_trials,
            n_jobs=n_jobs,
            name_cell=name_of,
            launch=self.launch,
        )

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return open_study(self.folder, space(*AXES)).trials

    def params(self) -> list[dict[str, Any]]:
        return [trial.params for trial in self.trials()]

    def results(self) -> list[dict[str, str]]:
        with (self.folder / "results.csv").open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "all")


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        ("interval(0.5,2)", FloatDistribution(0.5, 2)),
        ("tag(log,interval(1e-4,1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
        ("int(interval(1,9))", IntDistribution(1, 9)),
        ("range(8,33,8)", IntDistribution(8, 32, step=8)),
        ("range(0,1,0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("range(0,1,0.3)", FloatDistribution(0, 0.9, step=0.3)),
        ("choice(ce,dice)", CategoricalDistribution(["ce", "dice"])),
        ("1,2", CategoricalDistribution(["1", "2"])),
    ],
)
def test_an_axis_is_the_distribution_that_it_says(axis: str, expected: BaseDistribution) -> None:
    assert space(f"key={axis}").axes == {"key": expected}


def test_every_value_drawn_is_one_that_was_declared() -> None:
    declared = space(*AXES)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [declared.draw_overrides(study.ask()) for _ in range(50)]
    data, *columns = zip(*drawn, strict=True)
    assert set(data) == {"data=synthetic"}
    rates, losses, widths = ([o.partition("=")[2] for o in column] for column in columns)
    assert all(1e-4 <= float(rate) <= 1 for rate in rates)
    assert sum(float(rate) < 1e-2 for rate in rates) > 50 / 4  # half of the logarithms, not 1 %
    assert set(losses) == {"ce", "dice"}
    assert set(widths) == {"8", "16", "24", "32"}


def test_an_override_takes_an_axis_of_the_experiment_away() -> None:
    assert list(space("a=1,2", "b=1,2", "a=3").axes) == ["b"]


@pytest.mark.parametrize(
    "words",
    [
        *(["a=1"], ["a=range(3,3)"], ["a=tag(log,interval(0,1))"], ["a=interval(2,1)"]),
        *(["a=interval(0,nan)"], ["a=interval(0,inf)"], ["a=range(0,5,0)"]),
    ],
)
def test_what_cannot_be_searched_is_refused(words: list[str]) -> None:
    with pytest.raises(UserError, match="search"):
        space(*words)


@pytest.mark.parametrize("n_jobs", [1, 3])
@pytest.mark.parametrize("killed_at", [0, 2, 5])
def test_a_search_that_was_killed_ends_like_one_that_was_not(
    killed_at: int, n_jobs: int, tmp_path: Path
) -> None:
    whole, broken = Stage(tmp_path / "whole"), Stage(tmp_path / "broken", killed_at=killed_at)
    whole.search(8, n_jobs).run("test")
    with pytest.raises(Killed):
        broken.search(8, n_jobs).run("test")
    open_trials = [t.params for t in broken.trials() if t.state == TrialState.RUNNING]
    assert open_trials
    broken.killed_at = None
    broken.search(8, n_jobs).run("test")
    assert all(trial.state.is_finished() for trial in broken.trials())
    assert broken.params() == whole.params()
    assert len(broken.ran) >= 8
    assert {row["cell"] for row in broken.results()} == {row["cell"] for row in whole.results()}


def test_a_trial_of_which_only_a_part_was_drawn_gets_the_rest(stage: Stage) -> None:
    begun = open_study(stage.folder, space(*AXES)).ask()
    rate = begun.suggest_float("lr", 1e-4, 1, log=True)
    stage.search(2).run("test")
    assert len(stage.trials()) == 2
    assert stage.params()[0]["lr"] == rate
    assert set(stage.params()[0]) == {"lr", "loss", "width"}


def test_a_study_with_half_a_last_line_goes_on(stage: Stage) -> None:
    stage.search(2).run("test")
    before = stage.params()
    with (stage.folder / "study.log").open("a") as file:
        file.write('{"op_code": 4, "half')
    stage.search(3).run("test")
    assert stage.params()[:2] == before
    assert len(stage.trials()) == 3


def test_a_study_cut_anywhere_keeps_what_it_still_says_and_every_cell(stage: Stage) -> None:
    stage.search(3).run("test")
    path, params = stage.folder / "study.log", stage.params()
    content, cells = path.read_bytes(), set(stage.folder.glob("*/metrics.json"))
    for part in (0.1, 0.5, 0.9):
        path.write_bytes(content[: int(part * len(content))])
        kept = [trial.params for trial in stage.trials() if trial.state == TrialState.COMPLETE]
        stage.search(3).run("test")
        assert stage.params()[: len(kept)] == params[: len(kept)] == kept
        assert len(stage.params()) == len(params)
        assert cells <= set(stage.folder.glob("*/metrics.json"))


def test_a_damaged_study_is_named_and_moved_away_it_is_drawn_again(stage: Stage) -> None:
    stage.search(3).run("test")
    path, params = stage.folder / "study.log", stage.params()
    content, rng, told = path.read_bytes(), random.Random(0), list[DamagedFile]()
    for kind in 3 * KINDS:
        path.write_bytes(kind(content, rng))
        try:
            stage.trials()
        except DamagedFile as error:
            told.append(error)
    assert len(told) >= len(KINDS)
    assert {error.path for error in told} == {path}
    assert {len(str(error).splitlines()) for error in told} == {3}
    path.rename(path.with_suffix(".damaged"))  # as the message says
    ran = len(stage.ran)
    stage.search(3).run("test")
    assert stage.params() == params
    assert len(list(stage.folder.glob("*/metrics.json"))) == len(stage.ran) - ran == 3
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(DamagedFile, match="a link"):
        stage.search(3)


def test_a_study_whose_scores_are_not_those_of_its_cells_is_named(stage: Stage) -> None:
    stage.search(2).run("test")
    path = stage.folder / "study.log"
    path.write_text(path.read_text().replace('"values":[0.', '"values":[0.0'))
    with pytest.raises(DamagedFile, match=r"in its folder and here 0\.0"):
        stage.search(2)


def test_more_trials_go_on_where_fewer_ended(stage: Stage, tmp_path: Path) -> None:
    stage.search(3).run("test")
    stage.search(6).run("test")
    at_once = Stage(tmp_path / "at once")
    at_once.search(6).run("test")
    assert stage.params() == at_once.params()


def test_a_study_of_other_axes_is_refused(stage: Stage) -> None:
    stage.search(1).run("test")
    with pytest.raises(UserError, match=r"holds a search of .*width"):
        stage.search(2, space=space("lr=interval(0,1)"))


def test_a_study_of_other_settings_is_refused_until_they_are_accepted(stage: Stage) -> None:
    stage.search(3).run("test")
    other, count = space(*AXES, "trainer.max_epochs=20"), len(stage.trials())
    with pytest.raises(UserError, match=r"this command says data=synthetic trainer\.max_epochs=20"):
        stage.search(4, space=other)
    # nor does what a sweep is run with make another search
    stage.search(3, space=space("allow=[my.Loss]", *AXES, "sweep.retries=1"))
    stage.search(3, space=other, accept_changes=True)
    assert len(stage.search(3, space=other).study.trials) == count


def test_a_study_of_which_no_cell_has_begun_gives_way_to_other_axes(stage: Stage) -> None:
    stage.killed_at = 0
    with pytest.raises(Killed):
        stage.search(1).run("test")
    stage.search(2, space=space("lr=interval(0,1)"))
    assert stage.search(2).study.trials == []


def test_a_study_whose_trials_all_failed_by_a_mistake_begins_anew(stage: Stage) -> None:
    stage.run = lambda cell, *_: begin_attempt(cell.folder).end("failed", "a mistake")  # type: ignore[method-assign]
    with pytest.raises(SweepFailure):
        stage.search(2).run("test")
    del stage.run
    stage.ran.clear()
    assert stage.search(2).run("test").number in (0, 1)
    assert [trial.state for trial in stage.trials()] == [TrialState.COMPLETE] * 2


def test_a_hopeless_trial_is_pruned_and_the_best_never(stage: Stage) -> None:
    hopeless = 5

    def score(overrides: Sequence[str]) -> float:
        return 0.01 if len(stage.ran) == hopeless + 1 else 0.5 + 0.01 * len(stage.ran)

    stage.score = score
    best = stage.search(9).run("test")
    states = {trial.number: trial.state for trial in stage.trials()}
    assert states[hopeless] == TrialState.PRUNED
    assert best.number == 8
    assert best.state == TrialState.COMPLETE
    rows = stage.results()
    assert rows[hopeless]["status"] == "pruned"
    curve = stage.trials()[hopeless].intermediate_values
    assert list(curve) == list(range(1, len(curve) + 1))
    assert len(curve) < EPOCHS


def test_the_best_configuration_is_that_of_the_best_row(stage: Stage) -> None:
    stage.search(7, 2).run("somewhere")
    scored = [row for row in stage.results() if row["val_mean_iou"]]
    best = max(scored, key=lambda row: float(row["val_mean_iou"]))
    written = yaml.safe_load((stage.folder / "best.yaml").read_text())
    assert written["cell"] == best["cell"]
    assert written["data"]["split"] == "somewhere"


def test_trials_that_agree_share_a_cell_and_a_score(stage: Stage) -> None:
    one = space("data=synthetic", "lr=choice(0.1)")
    stage.search(4, 2, space=one).run("test")
    assert [len(stage.results()), len({tuple(o) for o in stage.ran})] == [1, 1]
    values = [t.value for t in open_study(stage.folder, one).trials]
    assert values == [1.0] * 4


def test_a_failed_trial_counts_and_leaves_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(cell: Cell, score: float, unpromising: Callable[[Cell], bool]) -> None:
        if len(stage.ran) == 2:
            return begin_attempt(cell.folder).end("failed", "out of memory")
        Stage.run(stage, cell, score, unpromising)

    monkeypatch.setattr(stage, "run", run)
    stage.search(4).run("test")
    assert [t.state for t in stage.trials()].count(TrialState.FAIL) == 1
    assert len(stage.trials()) == 4
    monkeypatch.setattr(stage, "folder", stage.folder.with_name("stops"))
    stage.ran.clear()
    with pytest.raises(SweepFailure):
        stage.search(4, stop=True).run("test")
    assert len(stage.ran) == 2


def done(sweep: Sweep) -> dict[str, Progress]:
    for cell in sweep.cells:
        (cell.folder / "metrics.json").write_text('{"protocol": "stub", "val": {"mean_iou": 0.5}}')
    return {cell.name: cell.read_progress() for cell in sweep.cells}


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcn_lab.sweeps.loop.Sweep.run", done)
    monkeypatch.setattr("fcn_lab.sweeps.freeze._preflight", lambda *cells: None)


@pytest.mark.usefixtures("no_processes")
def test_a_search_never_looks_at_test_and_its_best_does(type_line: TypeLine) -> None:
    line = ("-m", "experiment=tune", "data=synthetic", "seed=5", "hydra.sweeper.n_trials=2")
    ended = type_line(*line)
    assert ended.status == 0, ended.err
    (folder,) = Path("multirun").glob("tune-*")
    cells = [yaml.safe_load(path.read_text()) for path in folder.glob("*/config.yaml")]
    assert [cell["task"]["data"]["split"] for cell in cells] == ["val"] * 2
    assert not any("split" in path.name for path in folder.iterdir())
    assert f"--config-path {folder} --config-name best" in ended.out
    again = type_line("--config-path", str(folder), "--config-name", "best", "trainer=cpu")
    assert again.status == 0, again.err
    best = yaml.safe_load((folder / "best.yaml").read_text())
    assert again.config["task"]["data"]["split"] == best["data"]["split"] == "test"
    assert again.config["optim"] == best["optim"]
    assert again.config["loss"] == best["loss"]
    assert again.config["seed"] == 5
    assert again.config["trainer"]["accelerator"] == "cpu"


@pytest.mark.slow
@pytest.mark.usefixtures("no_processes")
def test_a_searchs_folder_alone_stands_for_its_command(type_line: TypeLine) -> None:
    axis = "optim.lr=interval(0.1,0.2)"
    line = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", axis, "data=synthetic")
    assert type_line("-m", *line, "sweep.dir=all").status == 0
    ended = type_line("-m", "sweep.dir=all", "hydra.sweeper.n_trials=3")
    assert ended.status == 0, ended.err
    assert len(list(Path("all").glob("optim.lr=*"))) == 3
    status = type_line("task=status", "sweep.dir=all")
    assert "3 done" in status.out


def test_a_search_of_nothing_says_what_an_axis_looks_like(type_line: TypeLine) -> None:
    ended = type_line("-m", "hydra/sweeper=optuna", "seed=1", "sweep.dir=all")
    assert ended.status == 2
    assert "nothing to search" in ended.err
    assert "interval" in ended.err
