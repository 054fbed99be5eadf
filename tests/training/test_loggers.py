"""Loggers: what an offline W&B run holds, where it lies, and how online or offline is decided."""

import importlib.util
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from test_resume import SignalAt

from fcn_lab.errors import UserError
from fcn_lab.runs.run import RunFolder
from fcn_lab.signals import StoppedBySignal
from fcn_lab.training.loggers import wandb_run as online
from fcn_lab.training.loggers.files import Csv, TensorBoard
from fcn_lab.training.loggers.wandb_run import Wandb
from support.accounts import CONFIG, nobodys_home  # noqa: F401  (a fixture for all tests here)
from support.offline import offline_runs
from support.places import CONF
from support.tiny import make_train
from support.waiting import PATIENCE

CONF = CONF / "logger"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "cell"
    path.mkdir()
    (path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return path


def test_an_offline_run_holds_what_was_promised(
    folder: Path,
    nobodys_home: Path,  # noqa: F811
) -> None:
    make_train({"max_epochs": 2}, {"wandb": Wandb(group="sweep")}).run(folder)
    (read,) = offline_runs(folder)
    assert (read.run.project, read.run.run_group, read.run.job_type) == (
        "fcn_lab",
        "sweep",
        "fcn8s",
    )
    assert list(read.run.tags) == ["fcn8s", "bilinear"]
    assert {key: read.config[key] for key in CONFIG} == CONFIG
    assert read.status == [0]
    assert [row["epoch"] for row in read.rows if "epoch" in row] == [0, 1]
    scores = {"train/loss", "train/lr", "val/loss", "val/mean_iou", "val/iou/Ground"}
    masks = {f"{split}/predictions/all_masks" for split in ("val", "test")}
    tables = {
        f"{split}/{kind}/path"
        for split in ("val", "test")
        for kind in ("confusion", "confusion_table")
    }
    assert scores | masks | tables <= read.keys
    metrics = RunFolder(folder).read_metrics()
    assert read.summary["test/mean_iou"] == metrics["test"]["mean_iou"]
    assert read.summary["val/iou/Square"] == metrics["val"]["iou"]["Square"]
    assert list(nobodys_home.iterdir()) == []


def test_a_resumed_run_goes_on_as_the_same_run(folder: Path) -> None:
    loggers = {"wandb": Wandb()}
    with pytest.raises(StoppedBySignal):
        make_train({"max_epochs": 1}, loggers, loss=SignalAt(3)).run(folder)
    time.sleep(1)  # W&B names a run's folder by the second
    make_train({"max_epochs": 1}, loggers, resume=True).run(folder)
    first, second = offline_runs(folder)
    assert first.run.run_id == second.run.run_id == RunFolder(folder).run_id
    assert (first.status, second.status) == ([143], [0])


def test_a_run_that_fails_is_finished_as_failed(folder: Path) -> None:
    class Broken(SignalAt):
        def forward(self, *args: object) -> Any:  # noqa: ANN401
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        make_train({"max_epochs": 1}, {"wandb": Wandb()}, loss=Broken(1)).run(folder)
    (read,) = offline_runs(folder)
    assert read.status == [1]


def test_several_loggers_write_beside_each_other(folder: Path) -> None:
    make_train({"max_epochs": 1}, {"csv": Csv(), "tensorboard": TensorBoard()}).run(folder)
    assert "val/mean_iou" in (folder / "csv" / "version_0" / "metrics.csv").read_text()
    assert list((folder / "tensorboard").rglob("events.out.tfevents.*"))


def test_without_a_key_a_run_is_offline_and_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *args: pytest.fail("it asked"))
    monkeypatch.setattr(socket, "create_connection", lambda *args: pytest.fail("it asked the net"))
    assert online.choose_mode() == "offline"


def test_a_given_mode_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert online.choose_mode() == "disabled"


@pytest.fixture
def reading_the_environment() -> Iterator[None]:
    """W&B reads it once a process, and here again."""
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.usefixtures("reading_the_environment")
@pytest.mark.parametrize("answering", [True, False])
def test_with_a_key_a_run_is_online_where_the_server_answers(
    answering: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if answering:
            server.listen()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert online.choose_mode() == ("online" if answering else "offline")


def test_a_login_counts_as_a_key(
    nobodys_home: Path,  # noqa: F811
) -> None:
    assert not online.has_login("api.wandb.ai")
    netrc = nobodys_home / ".netrc"
    netrc.write_text("machine api.wandb.ai login user password secret\n")
    netrc.chmod(0o600)
    assert online.has_login("api.wandb.ai")
    assert not online.has_login("elsewhere")


def test_a_server_that_swallows_everything_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(online, "PROBE_SECONDS", 0.1)
    over, answered = threading.Event(), threading.Event()

    def swallow(*args: object) -> None:
        over.wait(PATIENCE)
        answered.set()
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", swallow)
    assert not online.can_connect("example.invalid", 443)
    assert not answered.is_set()
    over.set()


def test_a_server_that_refuses_at_the_start_leaves_an_offline_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, tried = wandb.init, []

    def refuse_online(**settings: Any) -> Any:  # noqa: ANN401
        tried.append(settings["mode"])
        if settings["mode"] == "online":
            raise wandb.errors.CommError("refused")
        return start(**settings)

    monkeypatch.setattr(online, "choose_mode", lambda: "online")
    monkeypatch.setattr(wandb, "init", refuse_online)
    make_train({"max_epochs": 1}, {"wandb": Wandb()}).run(folder)
    assert tried == ["online", "offline"]
    assert len(offline_runs(folder)) == 1


def test_tensorboard_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install"):
        TensorBoard()


def test_every_logger_word_names_one_key_of_its_own() -> None:
    words = {path.stem: yaml.safe_load(path.read_text()) for path in CONF.glob("*.yaml")}
    assert words.pop("none") in ({}, None)
    assert {word: list(node) for word, node in words.items()} == {word: [word] for word in words}
    assert sorted(words) == ["csv", "tensorboard", "wandb"]
