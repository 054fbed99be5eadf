"""A run that was stopped anywhere and resumed ends like the run that was never stopped."""

import csv
import dataclasses
import re
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fcn_lab.errors import UserError
from fcn_lab.runs.digests import LIST_NAME
from fcn_lab.runs.outcomes import read_history
from fcn_lab.runs.run import RunFolder
from fcn_lab.signals import StoppedBySignal
from fcn_lab.tasks.train import Train
from fcn_lab.training.losses import CrossEntropy
from fcn_lab.training.optim import Optim, Poly
from support.ends import end_of, same
from support.stopping import STEPS, VAL_IMAGES, SignalAt
from support.thin import thin_out
from support.tiny import make_train

PLAIN: dict[str, Any] = {}
AVERAGED = {"ema_decay": 0.7, "val_every": 2, "max_epochs": 4, "gradient_clip_val": 0.5}


@pytest.fixture(scope="module")
def unstopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The ends of the runs that were never stopped."""
    ends = {}
    for name, training in {"plain": PLAIN, "averaged": AVERAGED}.items():
        folder = tmp_path_factory.mktemp(name)
        make_train(training).run(folder)
        ends[name] = end_of(folder)
    return ends


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped in its second epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(StoppedBySignal):
        make_train(loss=SignalAt(STEPS + VAL_IMAGES + 2)).run(folder)
    return folder


STOPS = [
    ("plain", PLAIN, 1),  # the first batch of all
    ("plain", PLAIN, STEPS),  # the last batch of an epoch
    ("plain", PLAIN, STEPS + 2),  # a validation
    ("plain", PLAIN, STEPS + VAL_IMAGES + 2),  # inside the second epoch
    ("plain", PLAIN, 3 * (STEPS + VAL_IMAGES) + 3),  # training done, while scoring
    ("averaged", AVERAGED, 3),
    ("averaged", AVERAGED, STEPS + 1),  # the second epoch's first batch: no validation between
    ("averaged", AVERAGED, 3 * STEPS + VAL_IMAGES + 2),
    ("averaged", AVERAGED, 2 * STEPS + 2),  # a validation, with the averaged weights swapped in
]


@pytest.mark.parametrize(("name", "training", "call"), thin_out(STOPS, every=2))
def test_a_stopped_run_ends_like_one_never_stopped(
    name: str,
    training: dict[str, Any],
    call: int,
    unstopped: dict[str, dict[str, Any]],
    tmp_path: Path,
) -> None:
    with pytest.raises(StoppedBySignal) as stopped:
        make_train(training, loss=SignalAt(call)).run(tmp_path)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert not RunFolder(tmp_path).metrics.exists()
    make_train(training, resume=True).run(tmp_path)
    end = end_of(tmp_path)
    for part, expected in unstopped[name].items():
        assert same(end[part], expected), part


def test_a_checkpoint_from_before_the_data_module_had_its_name_goes_on_inside_its_epoch(
    unstopped: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(StoppedBySignal):
        make_train(PLAIN, loss=SignalAt(STEPS + VAL_IMAGES + 2)).run(tmp_path)
    last = RunFolder(tmp_path).last_checkpoint
    checkpoint = torch.load(last, weights_only=True)
    checkpoint["CamVidDataModule"] = checkpoint.pop("FrameDataModule")
    assert checkpoint["CamVidDataModule"]["batches"] % STEPS > 0
    torch.save(checkpoint, last)
    (last.parent / LIST_NAME).unlink()
    make_train(PLAIN, resume=True).run(tmp_path)
    assert same(end_of(tmp_path)["last"], unstopped["plain"]["last"])


@pytest.mark.slow
def test_a_run_stopped_at_every_third_batch_ends_the_same(
    unstopped: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    for _ in range(20):
        try:
            make_train(AVERAGED, loss=SignalAt(3, signal.SIGINT), resume=True).run(tmp_path)
        except StoppedBySignal as stopped:
            assert stopped.code == 128 + signal.SIGINT  # noqa: PT017
        else:
            break
        if len(read_history(tmp_path)) == AVERAGED["max_epochs"]:
            break
    make_train(AVERAGED, resume=True).run(tmp_path)
    assert same(end_of(tmp_path), unstopped["averaged"])


def test_a_run_that_stopped_early_does_not_train_on_when_resumed(tmp_path: Path) -> None:
    def make(loss: CrossEntropy, resume: bool) -> Train:
        stuck = make_train({"max_epochs": 9, "patience": 1}, loss=loss, resume=resume)
        body: Any = stuck.net.body
        body[1].momentum = 0.0
        return dataclasses.replace(stuck, optim=dataclasses.replace(stuck.optim, lr=1e-12))

    with pytest.raises(StoppedBySignal):
        make(SignalAt(2 * (STEPS + VAL_IMAGES) + 2), resume=False).run(tmp_path)
    assert len(read_history(tmp_path)) == 2
    make(CrossEntropy(), resume=True).run(tmp_path)
    assert len(read_history(tmp_path)) == 2


def test_rows_that_the_checkpoint_does_not_know_are_dropped(tmp_path: Path) -> None:
    with pytest.raises(StoppedBySignal):
        make_train(loss=SignalAt(STEPS + VAL_IMAGES + 2)).run(tmp_path)
    history = RunFolder(tmp_path).history
    with history.open(newline="") as file:
        rows = list(csv.reader(file))
    with history.open("a", newline="") as file:
        csv.writer(file).writerow(["1", *rows[1][1:]])  # as if killed between row and checkpoint
    make_train(resume=True).run(tmp_path)
    assert [row["epoch"] for row in read_history(tmp_path)] == ["0", "1", "2"]


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(StoppedBySignal):
        make_train(loss=SignalAt(2)).run(tmp_path)
    with pytest.raises(UserError, match="resume="):
        make_train().run(tmp_path)


def test_a_finished_run_is_not_resumed(tmp_path: Path) -> None:
    make_train({"max_epochs": 1}).run(tmp_path)
    with pytest.raises(UserError, match="finished"):
        make_train({"max_epochs": 1}, resume=True).run(tmp_path)


def test_a_checkpoint_holds_tensors_and_plain_values_only(tmp_path: Path) -> None:
    make_train({**AVERAGED, "patience": 5}).run(tmp_path)
    for path in (RunFolder(tmp_path).best_checkpoint, RunFolder(tmp_path).last_checkpoint):
        assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["state_dict"].update({"net.body.0.weight": torch.zeros(9, 3, 3, 3)}),
        lambda c: c["optimizer_states"][0]["param_groups"].pop(),
        lambda c: c.pop("epoch_loss"),
        lambda c: c.update(state_dict="x"),
        lambda c: c.pop("loops"),
        lambda c: c["loops"]["fit_loop"].clear(),
    ],
)
def test_a_checkpoint_that_does_not_fit_its_run_is_named_in_two_lines(
    change: Callable[[dict[str, Any]], object], stopped: Path, tmp_path: Path
) -> None:
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    last = RunFolder(tmp_path).last_checkpoint
    checkpoint = torch.load(last, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, last)
    (last.parent / LIST_NAME).unlink()
    with pytest.raises(UserError, match=r"last\.ckpt is of another network or training") as told:
        make_train(resume=True).run(tmp_path)
    assert str(told.value).splitlines()[1].endswith(f"again={tmp_path}")
    assert len(str(told.value).splitlines()) == 2


SGD = partial(torch.optim.SGD, momentum=0.9)


@pytest.mark.parametrize(
    ("optim", "reason"),
    [
        (Optim(torch.optim.AdamW, 0.1, Poly(0.1), 1e-3), "config.yaml beside it describes"),
        (Optim(partial(SGD, momentum=0.5), 0.1, Poly(0.1), 1e-3), "momentum 0.9, not 0.5"),
        (Optim(SGD, 0.2, Poly(0.1), 1e-3), "initial_lr 0.1, not 0.2"),
        (Optim(SGD, 0.1, Poly(0.1), 1e-2), "weight_decay 0.001, not 0.01"),
        (Optim(SGD, 0.1, Poly(0.1), 1e-3, bias_rate=2), "different number of parameter groups"),
    ],
)
def test_an_optimiser_that_is_not_the_checkpoints_is_refused(
    optim: Optim, reason: str, stopped: Path, tmp_path: Path
) -> None:
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    before = RunFolder(tmp_path).last_checkpoint.read_bytes()
    with pytest.raises(UserError, match=re.escape(reason)) as told:
        make_train(optim=optim, resume=True).run(tmp_path)
    assert str(told.value).splitlines()[1].endswith(f"again={tmp_path}")
    assert RunFolder(tmp_path).last_checkpoint.read_bytes() == before


def test_a_failure_of_the_training_itself_blames_no_checkpoint(
    stopped: Path, tmp_path: Path
) -> None:
    class Broken(CrossEntropy):
        def forward(self, scores: Tensor, target: Tensor) -> Tensor:
            raise RuntimeError("broken")

    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    with pytest.raises(RuntimeError, match=r"^broken"):
        make_train(loss=Broken(), resume=True).run(tmp_path)
