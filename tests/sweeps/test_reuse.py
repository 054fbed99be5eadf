"""A cell that was trained before is the same run; one that differs in a setting is not."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fcn_lab.runs.attempts import begin_attempt
from fcn_lab.runs.sweep import Progress, SweepFolder
from fcn_lab.sweeps import freeze as freezing
from fcn_lab.sweeps.loop import Sweep
from support.commandline import METRICS, Ended, TypeLine

TypeSweep = Callable[..., Ended]


@pytest.fixture
def sweep(type_line: TypeLine, stub: str, monkeypatch: pytest.MonkeyPatch) -> TypeSweep:
    """`sweep("new", …)` types one of two cells into that folder; no worker starts."""

    def stand_still(sweep: Sweep) -> dict[str, Progress]:
        return {cell.name: cell.read_progress() for cell in sweep.cells}

    monkeypatch.setattr(Sweep, "run", stand_still)
    monkeypatch.setattr(freezing, "_preflight", lambda *cells: None)
    return lambda folder, *words: type_line(
        stub, "-m", "task=stub", "seed=1,2", f"sweep.dir={folder}", *words
    )


@pytest.fixture
def done(sweep: TypeSweep) -> Path:
    """A sweep of which seed 1 is done."""
    sweep("old")
    cell = Path("old/seed=1")
    (cell / "metrics.json").write_text(METRICS)
    (cell / "checkpoints").mkdir()
    (cell / "checkpoints/best.ckpt").write_text("weights")
    return cell


def statuses(folder: str) -> list[str]:
    return [cell.read_progress().status for cell in SweepFolder.read(Path(folder)).cells]


def test_a_cell_of_the_same_settings_is_taken_with_its_weights(
    sweep: TypeSweep, done: Path
) -> None:
    ended = sweep("new", "sweep.reuse=[old]", "group=another")
    assert "seed=1: taken from old/seed=1" in ended.out
    assert statuses("new") == ["done", "waiting"]
    taken = Path("new/seed=1")
    assert (taken / "checkpoints/best.ckpt").read_text() == "weights"
    assert "group: another" in (taken / "config.yaml").read_text()
    assert "group: old" in (done / "config.yaml").read_text()


@pytest.mark.slow
def test_a_folder_alone_and_one_with_commas_are_taken(sweep: TypeSweep, done: Path) -> None:
    name = "model=fcn8s,old"
    done.parent.rename(name)
    for number, folders in enumerate((name, f"[{name}]")):
        assert "taken from" in sweep(f"new{number}", f"sweep.reuse={folders}").out


@pytest.mark.usefixtures("done")
def test_a_cell_of_another_setting_is_trained(sweep: TypeSweep) -> None:
    ended = sweep("new", "sweep.reuse=[old]", "task.count=7")
    assert "taken" not in ended.out
    assert statuses("new") == ["waiting", "waiting"]


@pytest.mark.slow
@pytest.mark.usefixtures("done")
def test_a_cell_that_has_begun_is_left_alone(sweep: TypeSweep) -> None:
    sweep("new")
    Path("new/seed=1/history.csv").touch()
    ended = sweep("new", "sweep.reuse=[old]")
    assert "taken" not in ended.out
    assert statuses("new") == ["waiting", "waiting"]


@pytest.mark.slow
def test_runs_are_copied_where_links_are_not_to_be_had(
    sweep: TypeSweep, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: str) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    sweep("new", "sweep.reuse=[old]")
    assert statuses("new") == ["done", "waiting"]
    assert os.stat(done / "metrics.json").st_nlink == 1


def test_a_folder_that_is_not_there_is_refused_before_anything_is_frozen(
    sweep: TypeSweep,
) -> None:
    refused = sweep("new", "sweep.reuse=[nowhere]")
    assert refused.status == 2
    assert "sweep.reuse=nowhere: there is no such folder" in refused.err
    assert not Path("new").exists()


def test_a_run_takes_its_place_at_once_and_leaves_what_was_there(
    sweep: TypeSweep, done: Path
) -> None:
    (done / "wandb").mkdir()
    (done / "wandb" / "latest-run").symlink_to("..")
    sweep("new")
    cell = Path("new/seed=1")
    (cell / "notes.txt").write_text("mine")
    # as a killed command has left it that linked file by file
    os.link(done / "checkpoints/best.ckpt", cell / "log.txt")
    assert "taken from" in sweep("new", "sweep.reuse=[old]").out
    assert (cell / "notes.txt").read_text() == "mine"
    assert (cell / "wandb/latest-run").is_symlink()
    assert (cell / "metrics.json").samefile(done / "metrics.json")
    assert not list(Path("new").glob(".part-*"))


def test_a_cell_that_another_runner_has_just_begun_is_left_to_it(
    sweep: TypeSweep, done: Path
) -> None:
    sweep("new")
    run = begin_attempt(Path("new/seed=1")).path
    sweep("new", "sweep.reuse=[old]")
    assert run.exists()
    assert not Path("new/seed=1/metrics.json").exists()
