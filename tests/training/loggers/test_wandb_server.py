"""W&B online, against a stand-in for its server: what it takes, and that it holds no run up."""

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import wandb

from fcn_lab.errors import UserError
from fcn_lab.runs.next_steps import list_run_steps
from fcn_lab.training.loggers import wandb_run
from fcn_lab.training.loggers.base import RunInfo
from fcn_lab.training.loggers.wandb_run import Wandb, WandbRunLogger
from support.waiting import PATIENCE, wait_until
from support.wandb_stand_in import StandIn, stand_in

KEY = "0" * 40
WORDS = {"model": "fcn8s", "upsample": "bilinear"}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    monkeypatch.chdir(tmp_path)
    with stand_in() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        # W&B reads the environment once a process
        wandb.teardown()
        yield server
        server.status = 401
        wandb.teardown()


def start() -> WandbRunLogger:
    logger = Wandb()(RunInfo(Path("cell"), "abc", WORDS, {}, ["a"], [(0, 0, 0)]))
    assert isinstance(logger, WandbRunLogger)
    return logger


def test_what_is_logged_online_reaches_the_server(
    served: StandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("cell").mkdir()
    logger = start()
    logger.log_metrics({"val/mean_iou": 0.25}, 3)
    logger.close(0)
    wait_until(lambda: any("val/mean_iou" in text for text in served.taken))
    assert [path.name[:4] for path in Path("cell/wandb").glob("*run-*")] == ["run-"]
    assert capfd.readouterr().out == ""


def test_a_server_that_refuses_leaves_an_offline_run_and_two_lines(
    served: StandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("cell").mkdir()
    served.status = 401
    start().close(0)
    assert len(list(Path("cell/wandb").glob("offline-run-*"))) == 1
    first, second = capfd.readouterr().out.splitlines()
    assert first.startswith("W&B refuses the run: ")
    assert second.startswith("The run is logged offline")


def test_a_server_that_refuses_the_final_tables_costs_no_score(
    served: StandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("cell").mkdir()
    logger = start()
    served.status = 401
    matrix = np.ones((1, 1), np.int64)
    logger.conclude({"test/mean_iou": 1.0}, {"val": matrix, "test": matrix})
    assert capfd.readouterr().out.startswith("W&B does not take the tables of the scores")
    logger.close(0)


def test_a_server_that_no_longer_answers_does_not_hold_the_end_of_a_run_up(
    served: StandIn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("cell").mkdir()
    monkeypatch.setattr(wandb_run, "FINISH_SECONDS", 1.0)
    logger = start()
    served.status = 0
    logger.log_metrics({"val/mean_iou": 0.25}, 3)
    began = time.monotonic()
    logger.close(1)
    assert time.monotonic() - began < PATIENCE
    *_, reason, command = capfd.readouterr().out.splitlines()
    assert reason.endswith("To send it:")
    (kept,) = Path("cell/wandb").glob("run-*")
    assert command.endswith(f" sync --no-skip-online {kept}")
    assert next(kept.glob("*.wandb")).stat().st_size > 0


def test_what_the_server_did_not_take_is_among_the_next_steps_until_it_is_sent(
    served: StandIn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("cell").mkdir()
    start().close(0)
    assert "To the W&B server" not in list_run_steps(Path("cell"))
    monkeypatch.setattr(wandb_run, "FINISH_SECONDS", 1.0)
    logger = start()
    served.status = 0
    logger.log_metrics({"val/mean_iou": 0.75}, 3)
    logger.close(0)
    wandb.teardown()
    assert capfd.readouterr().out.endswith("it is on the disk.\n")
    command = str(list_run_steps(Path("cell"))["To the W&B server"])
    served.status = 200
    subprocess.run(shlex.split(command), check=True, timeout=PATIENCE)
    assert any("0.75" in text for text in served.taken)
    assert "To the W&B server" not in list_run_steps(Path("cell"))


@pytest.mark.parametrize(
    ("variable", "value", "signs"),
    [
        ("WANDB_MODE", "garbage", "WANDB_MODE=garbage in the environment: W&B refuses it"),
        ("WANDB_BASE_URL", "nowhere", "WANDB_BASE_URL=nowhere in the environment"),
        ("WANDB_MODE", "online", "No API key"),
    ],
)
def test_a_mistake_in_the_environment_is_told_before_the_first_step(
    variable: str, value: str, signs: str, served: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("cell").mkdir()
    if value == "online":
        monkeypatch.delenv("WANDB_API_KEY")
        monkeypatch.setenv("NETRC", os.devnull)
    monkeypatch.setenv(variable, value)
    wandb.teardown()
    with pytest.raises(UserError, match=signs) as refused:
        start()
    assert len(str(refused.value).splitlines()) == 2
