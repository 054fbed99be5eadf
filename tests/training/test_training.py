"""The training task, whole: what it leaves, what repeats, what it refuses."""

import io
import itertools
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fcn_lab.config.build import check
from fcn_lab.cost.macs import count_cost
from fcn_lab.data.balance import MedianFrequency, count_pixels
from fcn_lab.errors import UserError
from fcn_lab.files import shorten_name
from fcn_lab.metrics.boundaries import EdgeRows
from fcn_lab.metrics.confusion import confusion_matrices
from fcn_lab.metrics.scores import compute_scores
from fcn_lab.runs.outcomes import read_history
from fcn_lab.runs.run import RunFolder
from fcn_lab.tasks.evaluate import Evaluate
from fcn_lab.training.callbacks.pictures import spread_indices
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.losses import CrossEntropy
from fcn_lab.training.settings import TrainerSettings
from support.tiny import SIZES, WORDS, Net, Squares, make_train, void_frames, weights

SCORES = ["pixel_accuracy", "mean_accuracy", "mean_iou", "fw_iou", "iou", "accuracy"]
EDGES = ["boundary_f1", "trimap_iou", "checkerboard_index"]
KEYS = [
    "protocol",
    "model",
    "upsample",
    "encoder",
    "seed",
    "params",
    "macs",
    "seconds",
    "val",
    "test",
]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("done")
    make_train().run(folder)
    return RunFolder(folder)


def test_a_run_leaves_the_promised_files_and_no_others(done: RunFolder) -> None:
    found = {str(p.relative_to(done.path)) for p in done.path.rglob("*") if p.is_file()}
    panels = {
        f"panels/{split}_{split}{i}.png"
        for split in ("val", "test")
        for i in spread_indices(SIZES[split], 4)
    }
    files = {"env.json", "history.csv", "metrics.json", "confusions.npz", "confusions_val.npz"}
    files |= {"predictions.zip"}
    assert found - {"git.diff"} == files | panels | {
        "checkpoints/SHA256SUMS",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }


def test_the_metrics_have_the_promised_keys(done: RunFolder) -> None:
    metrics = done.read_metrics()
    assert list(metrics) == KEYS
    assert {key: metrics[key] for key in WORDS} == WORDS
    assert metrics["protocol"] == Squares().protocol
    assert metrics["seed"] == 1
    for split in ("val", "test"):
        assert sorted(metrics[split]) == sorted(SCORES + EDGES)
        assert list(metrics[split]["iou"]) == ["Ground", "Square", "Unseen"]
        assert metrics[split]["iou"]["Unseen"] is metrics[split]["accuracy"]["Unseen"] is None
    assert metrics["test"]["mean_iou"] > 0.8


def test_the_metrics_follow_from_the_confusion_matrices(done: RunFolder) -> None:
    for split in ("val", "test"):
        kept = np.load(done.confusions(split))
        assert kept["matrices"].dtype == np.int64
        assert tuple(kept["names"]) == Squares().frames(split).names
        assert str(kept["split"]) == split
        classes = [str(c) for c in kept["classes"]]
        expected = compute_scores(torch.from_numpy(kept["matrices"].sum(0)), classes)
        rows = EdgeRows(*(torch.from_numpy(kept[name]) for name in EdgeRows._fields))
        assert done.read_metrics()[split] == {**expected, **rows.summarize(classes)}


def test_the_kept_predictions_are_those_that_were_scored(done: RunFolder) -> None:
    frames, matrices = Squares().frames("test"), np.load(done.confusions("test"))["matrices"]
    with zipfile.ZipFile(done.predictions()) as kept:
        for name, truth, matrix in zip(frames.names, frames.labels, matrices, strict=True):
            shown, guess = (
                np.asarray(Image.open(io.BytesIO(kept.read(name + ending))))
                for ending in (".truth.png", ".png")
            )
            assert np.array_equal(shown, truth)
            pair = (torch.from_numpy(labels.copy())[None] for labels in (guess, truth))
            assert torch.equal(confusion_matrices(*pair, 3)[0], torch.from_numpy(matrix))
            with Image.open(io.BytesIO(kept.read(f"{name}.jpg"))) as picture:
                assert picture.size == truth.shape[::-1]


def test_the_history_has_one_row_an_epoch_and_ends_with_the_best_score(done: RunFolder) -> None:
    rows = read_history(done.path)
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [row["step"] for row in rows] == ["4", "8", "12"]
    best = max(float(row["val/mean_iou"]) for row in rows)
    assert best == pytest.approx(done.read_metrics()["val"]["mean_iou"])


def test_the_cost_is_that_of_the_network_at_the_size_of_the_data(done: RunFolder) -> None:
    metrics, pixels = done.read_metrics(), 24 * 32
    assert metrics["params"] == sum(p.numel() for p in Net().parameters())
    assert metrics["macs"] == pixels * (3 * 8 * 9 + 8 * 3)


def test_counting_the_cost_computes_nothing_and_leaves_the_network_as_it_was() -> None:
    net = Net().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert count_cost(net, 720, 960).macs == 30**2 * count_cost(net, 24, 32).macs
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_the_same_seed_twice_gives_the_same_weights(done: RunFolder, tmp_path: Path) -> None:
    make_train().run(tmp_path)
    ours, theirs = weights(RunFolder(tmp_path).last_checkpoint), weights(done.last_checkpoint)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_another_seed_gives_other_weights(done: RunFolder, tmp_path: Path) -> None:
    make_train(seed=2).run(tmp_path)
    ours, theirs = weights(RunFolder(tmp_path).last_checkpoint), weights(done.last_checkpoint)
    assert any(not torch.equal(ours[name], theirs[name]) for name in theirs)


def test_an_averaged_run_scores_and_keeps_the_average(tmp_path: Path) -> None:
    make_train({"ema_decay": 0.5, "max_epochs": 1}).run(tmp_path)
    last = torch.load(RunFolder(tmp_path).last_checkpoint, weights_only=True)
    average, current = last["state_dict"], last["current_model_state"]
    assert any(not torch.equal(average[name], current[name]) for name in average)
    best = weights(RunFolder(tmp_path).best_checkpoint)
    assert all(torch.equal(average[name], best[name]) for name in average)
    row, metrics = read_history(tmp_path)[0], RunFolder(tmp_path).read_metrics()
    assert float(row["val/mean_iou"]) == pytest.approx(metrics["val"]["mean_iou"])


class Worsening(CrossEntropy):
    """Learns for one epoch and unlearns from then on."""

    steps = 0

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        self.steps += self.training
        return super().forward(scores, target) * (1 if self.steps <= 4 else -30)


def test_the_best_weights_are_scored_and_not_the_last(tmp_path: Path) -> None:
    make_train({"max_epochs": 2}, loss=Worsening()).run(tmp_path)
    best, last = (float(row["val/mean_iou"]) for row in read_history(tmp_path))
    assert best > last
    assert RunFolder(tmp_path).read_metrics()["val"]["mean_iou"] == pytest.approx(best)


def test_epochs_without_validation_leave_their_columns_empty(tmp_path: Path) -> None:
    make_train({"val_every": 2, "max_epochs": 3}).run(tmp_path)
    found = [row["val/mean_iou"] != "" for row in read_history(tmp_path)]
    assert found == [False, True, False]


@pytest.mark.parametrize(
    "training",
    [{"precision": "bf16-mixed"}, {"channels_last": True}, {"gradient_clip_val": 1e-3}],
    ids=lambda training: next(iter(training)),
)
def test_a_run_works_with(training: dict[str, Any], tmp_path: Path) -> None:
    make_train({**training, "max_epochs": 1}).run(tmp_path)
    assert RunFolder(tmp_path).read_metrics()["val"]["mean_iou"] > 0


def test_class_weights_come_from_the_training_set(tmp_path: Path) -> None:
    task = make_train({"max_epochs": 1}, loss=CrossEntropy(balance=MedianFrequency()))
    task.run(tmp_path)
    counts = (torch.from_numpy(c) for c in count_pixels(Squares().frames("train"), 3))
    assert isinstance(task.loss, CrossEntropy)
    assert isinstance(task.loss.weight, Tensor)
    assert torch.allclose(task.loss.weight, MedianFrequency()(*counts).float())


@pytest.mark.slow
def test_a_compiled_network_keeps_the_names_of_its_weights() -> None:
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    names = list(Net().state_dict())
    assert (
        list(TrainerSettings(accelerator="cpu", compile=True).prepare(Net()).state_dict()) == names
    )


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"there is no g\+\+.*install it"):
        TrainerSettings(accelerator="cpu", compile=True).check_devices()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("accelerator", "tpu", "auto, cpu, gpu, mps"),
        ("strategy", "ddp_spawn", "auto, ddp"),
        ("precision", "16", "bf16-mixed"),
        ("max_epochs", 0, "at least 1"),
        ("devices", 0, "from 1 to"),
        ("val_every", 99, "at most"),
        ("patience", 0, "at least 1"),
        ("gradient_clip_val", 0.0, "above 0"),
        ("ema_decay", 1.0, "between 0 and 1"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    field: str, value: object, expected: str
) -> None:
    # Python's callers hear of the argument, or of the key where the value depends on others
    said = rf"^(TrainerSettings\({field}={value}\)|trainer\.{field}={value}): expected .*{expected}"
    with pytest.raises(UserError, match=said):
        TrainerSettings(**{"accelerator": "cpu", field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "field", ["max_epochs", "devices", "val_every", "patience", "gradients_every", "ema_decay"]
)
def test_a_number_out_of_range_is_named_by_the_users_key(field: str) -> None:
    node = {"_target_": "fcn_lab.training.settings.TrainerSettings", field: -1}
    with pytest.raises(UserError, match=rf"^trainer\.{field}=-1: expected"):
        check(node, "task.training", {"task.training": "trainer"})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_here_is_refused() -> None:
    with pytest.raises(UserError, match=r"trainer\.accelerator=cpu"):
        TrainerSettings(accelerator="gpu").check_devices()


def test_more_gpus_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="there are 2 here"):
        TrainerSettings(devices=3).check_devices()


def test_a_split_of_void_alone_is_told_and_not_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Squares, "frames", void_frames)
    task = make_train({"max_epochs": 1})
    task.run(tmp_path / "run")
    assert "test has no pixel of any class" in capsys.readouterr().out
    metrics = RunFolder(tmp_path / "run").read_metrics()
    assert metrics["val"]["mean_iou"] > 0
    assert "test" not in metrics
    again = Evaluate(tmp_path / "run", Net(), task.data, task.training, WORDS)
    with pytest.raises(UserError, match="test has no pixel of any class"):
        again.run(tmp_path / "again")


@pytest.mark.parametrize("devices", [5, 6])
def test_each_process_needs_a_frame_to_score(devices: int) -> None:
    data = FrameDataModule(Squares(), batch_size=1)
    task = make_train({"devices": devices, "strategy": "ddp"}, data=data)
    if devices > len(task.data.source.frames("val")):
        with pytest.raises(UserError, match=r"val has 5 frames for 6 .*\n.*trainer\.devices=5"):
            task.preflight(on_other_machine=True)
    else:
        task.preflight(on_other_machine=True)


def test_what_no_cell_could_train_on_is_refused_before_a_sweep_starts() -> None:
    count = SIZES["train"]
    large = FrameDataModule(Squares(), batch_size=count + 1)
    with pytest.raises(UserError, match=f"more than the {count} training frames"):
        make_train(data=large).preflight(on_other_machine=True)
    two = make_train(
        {"devices": 2, "strategy": "ddp"}, data=FrameDataModule(Squares(), batch_size=count)
    )
    with pytest.raises(UserError, match=r"on 2 device\(s\) is more than"):
        two.preflight(on_other_machine=True)
    single = Squares()
    single.classes = ("Ground",)
    with pytest.raises(UserError, match="Ground is the only class"):
        make_train(data=FrameDataModule(single, batch_size=1)).preflight(on_other_machine=True)


def test_fewer_processes_than_asked_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    training = TrainerSettings(accelerator="cpu", max_epochs=1)
    trainer = training.create_trainer(RunFolder(tmp_path))
    trainer.callbacks[0].processes = 2  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="1 processes were started"):
        trainer.validate(make_train().create_module(), make_train().data, verbose=False)


@pytest.mark.parametrize(("length", "count"), [*itertools.product((1, 4, 5, 101), (1, 4))])
def test_pictures_are_taken_evenly(length: int, count: int) -> None:
    places = sorted(spread_indices(length, count))
    assert len(places) == min(length, count)
    assert 0 <= places[0] <= places[-1] < length
    gaps = [b - a for a, b in itertools.pairwise(places)]
    assert max(gaps, default=1) - min(gaps, default=1) <= 1


def test_a_second_signal_kills_at_once() -> None:
    code = (
        "import os, signal, sys, time; from fcn_lab.signals import StopRequest\n"
        "with StopRequest() as request:\n"
        "    os.kill(os.getpid(), signal.SIGINT); print(request.signum, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT); time.sleep(600); print('it went on')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (-2, "2\n")


def test_metrics_are_json_that_any_reader_takes(done: RunFolder) -> None:
    def refuse(name: str) -> float:
        raise AssertionError(name)

    json.loads(done.metrics.read_text(), parse_constant=refuse)


def test_a_frame_of_any_name_has_a_panel_of_its_own(tmp_path: Path) -> None:
    names = ["test_short", *(f"test_{'é' * 200}{end}" for end in "ab"), "test_\udcff" + "x" * 250]
    files = {shorten_name(name) for name in names}
    assert "test_short" in files
    for file in files:
        (tmp_path / f"{file}.png").touch()
    assert len(list(tmp_path.iterdir())) == len(names)
