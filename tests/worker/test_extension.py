"""A run that gets more epochs ends like one that was asked for them, or says what to type."""

import json
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fcn_lab.errors import UserError
from fcn_lab.training.optim import Constant, Cosine, OneCycle, Poly, Schedule, keeps_rates
from fcn_lab.worker import __main__ as worker
from fcn_lab.worker.extension import read_extension
from support.commandline import TypeLine
from support.ends import end_of, same

SMALL = (
    *("model=fcn8s", "upsample=bilinear", "data=synthetic", "data.size=[16,16]"),
    *("data.batch_size=2", "+data.train=4", "+data.val=1", "+data.test=1", "augment=none"),
    *("encoder.widths=[4,4,4,4,4]", "encoder.head_width=4", "logger=none"),
    *("trainer.accelerator=cpu", "trainer.precision=32-true"),
)
AVERAGED = ("trainer.ema_decay=0.7", "trainer.val_every=2", "trainer.gradients_every=2")
FREE, BOUND = "schedule=constant", "schedule=poly"
Train = Callable[..., Path]


@pytest.fixture
def train(type_line: TypeLine, recorded: Path) -> Train:
    """`train("there", "seed=1", ...)`: a run of two epochs, finished; trained once a session."""

    def copy_or_train(name: str, *words: str) -> Path:
        kept = recorded / f"trained {' '.join(words)}"
        if not kept.exists():
            type_line(*SMALL, "trainer.max_epochs=2", *words, f"hydra.run.dir={name}")
            worker.run_config(Path(name) / "config.yaml")
            shutil.copytree(name, kept)
        else:
            shutil.copytree(kept, name)
        return Path(name)

    return copy_or_train


def extend(run: Path, epochs: int) -> None:
    worker.run_config(run / "config.yaml", resume=True, epochs=epochs)


def read_files(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file()}


@pytest.mark.parametrize("more", [(), pytest.param(AVERAGED, marks=pytest.mark.slow)])
def test_a_run_that_gets_more_epochs_ends_like_one_asked_for_them_from_the_start(
    train: Train, more: Sequence[str]
) -> None:
    asked = train("asked", FREE, *more, "trainer.max_epochs=4")
    grown = train("grown", FREE, *more)
    first = (grown / "metrics.json").read_bytes()
    extend(grown, 4)
    assert same(end_of(grown), end_of(asked))
    assert len(end_of(grown)["rows"]) == 4
    assert (grown / "config.yaml").read_text() == (asked / "config.yaml").read_text()
    assert (grown / "metrics.2_epochs.json").read_bytes() == first
    for name in ("confusions.npz", *(["gradients.csv"] if more else [])):
        assert (grown / name).read_bytes() == (asked / name).read_bytes()


def test_a_kill_between_the_two_files_leaves_a_run_that_is_scored_again(train: Train) -> None:
    run = train("run", FREE)
    scores = json.loads((run / "metrics.json").read_text())
    extension = read_extension(run, 4)
    assert extension is not None
    before = (run / "config.yaml").read_text()
    with pytest.MonkeyPatch.context() as killed:
        killed.setattr("fcn_lab.worker.extension.freeze", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            extension.apply()
    assert (run / "config.yaml").read_text() == before
    worker.run_config(run / "config.yaml", resume=True)
    again = json.loads((run / "metrics.json").read_text())
    assert {**again, "seconds": 0} == {**scores, "seconds": 0}


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def drop_late(progress: float) -> float:
    return 1.0 if progress < 0.6 else 0.1


@pytest.mark.parametrize(
    "schedule",
    [Constant(), Constant(0.1), Poly(), Poly(power=0), Cosine(), OneCycle(), drop_late],
)
@pytest.mark.parametrize("epochs", [(2, 2, 4), (1, 2, 4), (1, 10, 20), (6, 10, 20), (3, 10, 4)])
def test_rates_are_kept_where_every_step_so_far_had_the_rate_of_the_longer_training(
    schedule: Schedule, epochs: tuple[int, int, int]
) -> None:
    begun, before, after = epochs
    steps = 100  # an epoch
    rates = [
        [schedule(step / (steps * length)) for step in range(steps * begun + 1)]
        for length in (before, after)
    ]
    assert keeps_rates(schedule, begun / before, begun / after) == (rates[0] == rates[1])


def test_a_run_whose_rates_would_have_been_others_is_refused_and_left_as_it_is(
    train: Train, type_line: TypeLine
) -> None:
    run = train("run", BOUND)
    before = read_files(run)
    with pytest.raises(UserError, match="schedule=poly") as told:
        extend(run, 5)
    assert read_files(run) == before
    said, command = str(told.value).splitlines()
    assert "cannot go on to 5 epochs" in said
    words = shlex.split(command)[2:]
    assert words == ["again=run", "init_from=run", "trainer.max_epochs=3"]
    ended = type_line(*words, "hydra.run.dir=new")
    assert ended.status == 0, ended.err
    task = ended.config["task"]
    assert (task["init_from"], task["training"]["max_epochs"]) == ("run", 3)


def test_other_reasons_not_to_go_on_are_told_in_two_lines(train: Train) -> None:
    run = train("study/run", FREE)
    tall = train("patient", FREE, "trainer.patience=1", "optim.lr=1e-12", "trainer.max_epochs=5")
    cases = [(run, 1, "has trained 2 epochs already"), (tall, 9, "trainer.patience=1 ended it")]
    for folder, epochs, reason in cases:
        _require_refusal(folder, epochs, reason)
    lost = Path(shutil.copytree(run, "lost"))
    (lost / "checkpoints" / "last.ckpt").unlink()
    _require_refusal(lost, 3, "its last checkpoint is gone")
    Path("study/sweep.json").write_text("{}")
    _require_refusal(run, 3, "a cell of a sweep")
    for name in ("history.csv", "checkpoints/last.ckpt"):
        (run / name).unlink()
    _require_refusal(run, 3, "a cell of a sweep")


def _require_refusal(run: Path, epochs: int, reason: str) -> None:
    before = read_files(run)
    with pytest.raises(UserError, match=reason) as told:
        extend(run, epochs)
    assert len(str(told.value).splitlines()) == 2
    assert read_files(run) == before


def test_stages_are_not_trained_longer_since_their_share_would_have_been_another(
    record: Callable[..., None], type_line: TypeLine
) -> None:
    record("run", *SMALL, "task=staged", FREE, "trainer.max_epochs=3")
    with pytest.raises(UserError, match="stages") as told:
        extend(Path("run"), 6)
    words = shlex.split(str(told.value).splitlines()[1])[2:]
    ended = type_line(*words, "hydra.run.dir=new")
    assert ended.config["task"]["_target_"].endswith(".Train")
    assert ended.config["task"]["training"]["max_epochs"] == 3


def test_data_that_are_gone_leave_a_finished_run_finished(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train("run", FREE)
    before = read_files(run)

    def refuse(*_: object, **__: object) -> None:
        raise UserError("the data are gone")

    monkeypatch.setattr("fcn_lab.tasks.train.Train.preflight", refuse)
    with pytest.raises(UserError, match="gone"):
        extend(run, 4)
    assert read_files(run) == before


def test_epochs_may_stand_beside_a_resume_and_nothing_else_may(
    record: Callable[..., None], type_line: TypeLine
) -> None:
    record("run", *SMALL, "trainer.max_epochs=2")
    ended = type_line("resume=run", "trainer.max_epochs=4")
    assert ended.command[3:] == ["run/config.yaml", "--resume", "--epochs=4"]
    for value in ("0", "-1", "1.5", "many", "3,4", ""):
        ended = type_line("resume=run", f"trainer.max_epochs={value}")
        assert ended.status == 2
        assert "whole number" in ended.err
    refused = type_line("resume=run", "trainer.max_epochs=4", "seed=3")
    assert refused.status == 2
    assert "seed=3" in refused.err
    assert "trainer.max_epochs=N" in refused.err
