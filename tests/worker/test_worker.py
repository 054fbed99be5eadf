"""The whole way once: words, a trained run, and everything that reads one."""

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fcn_lab import load_run
from fcn_lab.errors import UserError
from fcn_lab.inference.sliding_windows import SlidingWindows
from fcn_lab.worker import __main__ as worker
from support.commandline import TypeLine
from support.places import RUN

SMALL = (
    *(
        "model=fcn8s",
        "upsample=bilinear",
        "data=synthetic",
        "data.size=[32,48]",
        "data.batch_size=2",
    ),
    *("+data.train=4", "+data.val=2", "+data.test=3", "encoder.widths=[4,4,8,8,8]"),
    *(
        "encoder.head_width=8",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "logger=none",
        "flip=true",
    ),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run in it."""
    place = tmp_path_factory.mktemp("place")
    line = [sys.executable, str(RUN), *SMALL, f"hydra.run.dir={place / 'run'}"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return place


def test_a_run_leaves_what_was_promised(place: Path) -> None:
    names = {path.name for path in (place / "run").iterdir()}
    promised = {"config.yaml", "env.json", "history.csv", "metrics.json", "confusions.npz"}
    assert promised | {"checkpoints", "panels"} <= names
    metrics = json.loads((place / "run" / "metrics.json").read_text())
    assert (metrics["model"], metrics["upsample"], metrics["seed"]) == ("fcn8s", "bilinear", 0)


def test_a_trained_run_labels_a_picture_of_any_size(place: Path) -> None:
    predictor = load_run(place / "run")
    image = np.zeros((37, 53, 3), np.uint8)
    labels = predictor(image)
    assert labels.shape == (37, 53)
    assert labels.max() < len(predictor.classes) == len(predictor.palette) == 11


def test_a_trained_run_labels_a_picture_in_windows_that_hold_it_as_ever(place: Path) -> None:
    image = np.random.default_rng(0).integers(256, size=(37, 53, 3), dtype=np.uint8)
    windows = load_run(place / "run", dense=partial(SlidingWindows, size=64, overlap=32))
    assert np.array_equal(
        windows.probabilities(image), load_run(place / "run").probabilities(image)
    )


def test_load_run_brings_the_best_weights(place: Path) -> None:
    state = torch.load(place / "run/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    net = load_run(place / "run").net
    for key, value in net.state_dict().items():
        assert torch.equal(value, state[f"net.{key}"])


def test_an_evaluation_repeats_the_score_of_training(place: Path, type_line: TypeLine) -> None:
    folder = place / "again"
    ended = type_line("task=evaluate", f"run={place / 'run'}", f"hydra.run.dir={folder}")
    assert ended.status == 0, ended.err
    worker.run_config(folder / "config.yaml")
    first, again = (
        json.loads((where / "metrics.json").read_text())["test"]
        for where in (place / "run", folder)
    )
    assert first == again
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["task"]["net"]["encoder"]["head_width"] == 8


@pytest.mark.parametrize(
    ("word", "expected"),
    [("trainer.max_epochs=abc", "trainer.max_epochs"), ("data.batch_size=-3", "data.batch_size")],
)
def test_a_wrong_value_is_named_in_two_lines(word: str, expected: str, type_line: TypeLine) -> None:
    ended = type_line(*SMALL, word, "hydra.run.dir=wrong")
    assert ended.status == 0, ended.err
    with pytest.raises(UserError, match=re.escape(expected)) as told:
        worker.run_config(ended.folder / "config.yaml")
    assert len(str(told.value).splitlines()) <= 2


@pytest.mark.slow
def test_lightning_would_start_a_further_rank_as_the_same_worker(tmp_path: Path) -> None:
    task = "import lightning.fabric.strategies.launchers.subprocess_script as s\n"
    task += "class Task:\n    def run(self, folder): print(*s._basic_subprocess_cmd())\n"
    (tmp_path / "task.py").write_text(task)
    config = tmp_path / "config.yaml"
    config.write_text("task: {_target_: task.Task}\nseed: 0\n")
    command = [sys.executable, "-m", "fcn_lab.worker", str(config)]
    environment = {"PYTHONPATH": str(tmp_path), "FCN_LAB_ALLOW": "task.Task"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    # by the name that Python gives a package that is run
    line = done.stdout.splitlines()[-1]
    assert line.split() == [*command[:2], "fcn_lab.worker.__main__", str(config)]


@pytest.mark.parametrize(("code", "of_child"), [(0, 0), (1, 1), (2, 2), (130, 0), (143, 0)])
def test_a_rank_that_lightning_started_ends_so_that_the_first_may_end_by_itself(
    code: int, of_child: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning kills the first one where a child ends with another status than 0."""
    monkeypatch.setattr(worker, "_run_and_report", lambda path, flags: (code, ""))
    monkeypatch.setattr(worker.signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(worker.threading, "excepthook", worker.threading.excepthook)
    monkeypatch.setattr(worker.logging, "raiseExceptions", True)
    for rank, ended in (("0", code), ("1", of_child)):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert worker.main([str(tmp_path / "config.yaml")]) == ended


def test_a_rank_that_lightning_started_ends_with_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents: list[int] = []
    monkeypatch.setattr(worker, "_follow_parent", parents.append)
    monkeypatch.setattr(worker, "run_config", lambda *_, **__: None)
    for rank in ("0", "1"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert worker._run_and_report(tmp_path / "config.yaml", []) == (0, "")
    assert parents == [worker.os.getppid()]
