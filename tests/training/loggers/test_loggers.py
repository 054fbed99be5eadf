"""Loggers: what an offline W&B run holds, where it lies, and how online or offline is decided."""

import errno
import importlib.util
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytest
import torch
import wandb
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import Tensor

from fcn_lab.errors import UserError, WriteFailure
from fcn_lab.rendering.pictures import Picture
from fcn_lab.runs.run import RunFolder
from fcn_lab.signals import StoppedBySignal
from fcn_lab.training.loggers import wandb_run as online
from fcn_lab.training.loggers import wandb_server as server
from fcn_lab.training.loggers.base import RunInfo, RunLogger
from fcn_lab.training.loggers.files import (
    Csv,
    TensorBoard,
    TensorBoardRunLogger,
    list_settings,
)
from fcn_lab.training.loggers.wandb_run import Wandb
from fcn_lab.training.losses import CrossEntropy
from support.accounts import CONFIG, nobodys_home  # noqa: F401  (a fixture for all tests here)
from support.offline import offline_runs
from support.places import CONF
from support.stopping import SignalAt
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
    make_train({"max_epochs": 2, "log_every_n_steps": 3}, {"wandb": Wandb(group="sweep")}).run(
        folder
    )
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
        for kind in ("confusion", "confusion_table", "classes")
    }
    steps = {"step/loss", "step/lr", "step/images_per_second"}
    assert scores | masks | tables | steps <= read.keys
    assert [row["trainer/global_step"] for row in read.rows if "step/loss" in row] == [3, 6]
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


def test_pictures_that_a_full_disk_cuts_short_are_removed(tmp_path: Path) -> None:
    media = tmp_path / "media" / "images"
    media.mkdir(parents=True)
    (media / "before.jpg").write_bytes(b"whole")

    def log(shown: dict[str, object]) -> None:
        (media / "cut.jpg").write_bytes(b"ha")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(media / "cut.jpg"))

    run = RunInfo(tmp_path, "id", {}, {}, ["a", "b"], [(0, 0, 0), (1, 1, 1)])
    logger = online.WandbRunLogger(run, SimpleNamespace(dir=str(tmp_path), log=log))  # type: ignore[arg-type]
    label = np.zeros((4, 6), np.uint8)
    picture = Picture("one", np.zeros((4, 6, 3), np.uint8), label, label)
    for show in (
        lambda: logger.show("val", [picture], 1),
        lambda: logger.conclude({}, {"val": np.eye(2, dtype=np.int64)}),
    ):
        with pytest.raises(WriteFailure, match=r"cut\.jpg cannot be written: no space is left"):
            show()
        assert [path.name for path in media.iterdir()] == ["before.jpg"]


def test_a_server_that_refuses_pictures_is_not_asked_again_and_gets_the_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[set[str]] = []

    def log(shown: dict[str, object]) -> None:
        asked.append(set(shown))
        if "val/predictions" in shown:
            raise wandb.errors.CommError("too large")

    run = RunInfo(tmp_path, "id", {}, {}, ["a", "b"], [(0, 0, 0), (1, 1, 1)])
    wandb_run = SimpleNamespace(dir=str(tmp_path), log=log, summary={})
    logger = online.WandbRunLogger(run, wandb_run)  # type: ignore[arg-type]
    label = np.zeros((4, 6), np.uint8)
    picture = Picture("one", np.zeros((4, 6, 3), np.uint8), label, label)
    for step in (1, 2):
        logger.show("val", [picture], step)
    logger.conclude({"test/mean_iou": 1.0}, {"val": np.eye(2, dtype=np.int64)})
    assert [len(names) for names in asked] == [2, 3]
    assert wandb_run.summary == {"test/mean_iou": 1.0}
    assert capsys.readouterr().out == (
        "W&B does not take the pictures of predictions, panels/ has them: too large\n"
    )


def test_what_tensorboard_cannot_write_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    logger = TensorBoardRunLogger(RunInfo(tmp_path, "id", {}, {}, ["a"], [(0, 0, 0)]))
    monkeypatch.setattr(logger.experiment, "add_scalar", refuse)
    monkeypatch.setattr(logger.experiment, "close", refuse)
    for write in (lambda: logger.log_metrics({"a": 1.0}, 1), lambda: logger.close(0)):
        with pytest.raises(WriteFailure, match="cannot be written: the place is read-only"):
            write()


class Memory(RunLogger):
    """Keeps what it is given."""

    name, version = "memory", 0

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.shown: list[tuple[str, int]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, *args: object, **more: object) -> None: ...

    def show(self, split: str, pictures: Sequence[Picture], step: int) -> None:
        self.shown.append((split, step))

    def find_steps(self) -> list[tuple[int, float, float]]:
        """Step, loss and rate of each record of a step."""
        return [(n, r["step/loss"], r["step/lr"]) for n, r in self.rows if "step/loss" in r]


class Noting(CrossEntropy):
    """Notes the loss of every training step."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[float] = []

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        loss = super().forward(scores, target)
        if scores.requires_grad:
            self.noted.append(float(loss.detach()))
        return loss


def test_every_third_step_has_its_own_loss_and_the_rate_it_was_made_with(tmp_path: Path) -> None:
    memory, loss = Memory(), Noting()
    train = make_train(
        {"max_epochs": 2, "log_every_n_steps": 3}, {"memory": lambda run: memory}, loss=loss
    )
    train.run(tmp_path)
    optim, steps = train.optim, len(loss.noted)
    expected = [
        (n, loss.noted[n - 1], optim.lr * optim.schedule((n - 1) / steps))
        for n in range(3, steps + 1, 3)
    ]
    for found, wanted in zip(memory.find_steps(), expected, strict=True):
        assert found == pytest.approx(wanted)
    speeds = [row["step/images_per_second"] for _, row in memory.rows if "step/loss" in row]
    assert min(speeds) > 0


def test_a_resumed_run_records_the_steps_of_one_never_stopped(tmp_path: Path) -> None:
    def run(name: str, **fields: object) -> Memory:
        memory = Memory()
        made = make_train(
            {"max_epochs": 2, "log_every_n_steps": 1}, {"m": lambda run: memory}, **fields
        )
        made.run(tmp_path / name)
        return memory

    whole = run("whole").find_steps()
    with pytest.raises(StoppedBySignal):
        run("stopped", loss=SignalAt(3))
    rest = run("stopped", resume=True).find_steps()
    assert 0 < len(rest) < len(whole)
    assert rest == whole[-len(rest) :]


def test_the_final_pictures_stand_at_the_step_of_the_weights_they_show(tmp_path: Path) -> None:
    memory = Memory()
    make_train({"max_epochs": 3}, {"memory": lambda run: memory}).run(tmp_path)
    best = torch.load(RunFolder(tmp_path).best_checkpoint, weights_only=True)["global_step"]
    assert memory.shown[-2:] == [("val", best), ("test", best)]
    assert best > 0


def test_tensorboard_has_steps_settings_final_scores_panels_and_the_table_of_classes(
    folder: Path,
) -> None:
    config = {
        "seed": 3,
        "choices": {"task": "train", "optim": "sgd", "freeze": None},
        "optim": {"_target_": "x", "lr": 0.25, "schedule": {"power": 2}},
        "links": {"optim.schedule": "schedule"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    made = {"max_epochs": 1, "log_every_n_steps": 2}
    make_train(made, {"tensorboard": TensorBoard()}).run(folder)
    read = EventAccumulator(str(folder / "tensorboard"), {"images": 0, "tensors": 0}).Reload()
    assert [event.step for event in read.Scalars("step/loss")] == [2, 4]
    metrics = RunFolder(folder).read_metrics()
    final = {f"final/test/{key}": metrics["test"][key] for key in ("mean_iou", "fw_iou")}
    final |= {"final/val/accuracy/Square": metrics["val"]["accuracy"]["Square"]}
    for tag, value in final.items():
        assert read.Scalars(tag)[0].value == pytest.approx(value)
    hparams = HParamsPluginData.FromString(
        read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    ).session_start_info.hparams
    found = {key: hparams[key].number_value or hparams[key].string_value for key in hparams}
    assert found == {"seed": 3, "optim": "sgd", "optim.lr": 0.25}
    named = HParamsPluginData.FromString(
        read.SummaryMetadata("_hparams_/experiment").plugin_data.content
    ).experiment.metric_infos
    assert final.keys() <= {info.name.tag for info in named}
    (table,) = read.Tensors("final/test/classes/text_summary")
    assert "| Square |" in table.tensor_proto.string_val[0].decode()
    shown = {tag.partition("/")[0] for tag in read.Tags()["images"]}
    assert {"val", "test"} <= shown


def test_without_a_key_a_run_is_offline_and_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *args: pytest.fail("it asked"))
    monkeypatch.setattr(socket, "create_connection", lambda *args: pytest.fail("it asked the net"))
    assert server.choose_mode() == "offline"


def test_a_given_mode_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert server.choose_mode() == "disabled"


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
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if answering:
            listening.listen()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        assert server.choose_mode() == ("online" if answering else "offline")


def test_settings_are_each_groups_word_and_the_plain_values_below_it() -> None:
    choices = {"task": "train", "loss": "ce", "logger": "csv", "freeze": "none"}
    parts = {
        "loss": {"_target_": "x.Loss", "weight": 2, "inner": {"_partial_": True, "rate": 3}},
        **{"logger": ["csv"], "freeze": None},
    }
    config = {"seed": 1, "choices": choices, "links": {"loss.inner": "optim"}, **parts}
    words = {"seed": 1, "loss": "ce", "logger": "csv", "freeze": "none"}
    assert list_settings(config) == {**words, "loss.weight": 2}
    assert list_settings({**config, "links": {}})["loss.inner.rate"] == 3


@pytest.mark.parametrize(
    ("variable", "proxy", "expected"),
    [
        ("https_proxy", "http://gate:3128", ("gate", 3128)),
        ("https_proxy", "gate:3128", ("gate", 3128)),
        ("http_proxy", "http://gate:3128", ("api.wandb.ai", 443)),
        ("no_proxy", "wandb.ai", ("api.wandb.ai", 443)),
    ],
)
def test_a_proxy_before_the_server_is_what_has_to_answer(
    variable: str, proxy: str, expected: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if variable == "no_proxy":
        monkeypatch.setenv("https_proxy", "http://gate:3128")
    monkeypatch.setenv(variable, proxy)
    assert server.find_gate(urlparse("https://api.wandb.ai")) == expected


def test_a_login_counts_as_a_key(
    nobodys_home: Path,  # noqa: F811
) -> None:
    assert not server.has_login("api.wandb.ai")
    netrc = nobodys_home / ".netrc"
    netrc.write_text("machine api.wandb.ai login user password secret\n")
    netrc.chmod(0o600)
    assert server.has_login("api.wandb.ai")
    assert not server.has_login("elsewhere")


def test_a_server_that_swallows_everything_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "PROBE_SECONDS", 0.1)
    over, answered = threading.Event(), threading.Event()

    def swallow(*args: object) -> None:
        over.wait(PATIENCE)
        answered.set()
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", swallow)
    assert not server.can_connect("example.invalid", 443)
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


@pytest.mark.parametrize("wrong", [{"project": "a/b"}, {"id": "a/b"}])
def test_what_wandb_does_not_take_is_told_in_two_lines(
    wrong: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"^W&B does not start: .*a/b|characters.*\n.*logger=csv$"):
        online.start_run(tmp_path, **wrong)


def test_a_file_of_logins_that_cannot_be_read_holds_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path))
    assert not server.has_login("api.wandb.ai")


def test_tensorboard_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install"):
        TensorBoard()


def test_every_logger_word_names_one_key_of_its_own() -> None:
    words = {path.stem: yaml.safe_load(path.read_text()) for path in CONF.glob("*.yaml")}
    assert words.pop("none") in ({}, None)
    assert {word: list(node) for word, node in words.items()} == {word: [word] for word in words}
    assert sorted(words) == ["csv", "tensorboard", "wandb"]
