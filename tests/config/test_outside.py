"""What is added from outside the package, by one class and one YAML each, runs to the end."""

import csv
import json
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml

from fcn_lab import load_run
from fcn_lab.errors import UserError
from fcn_lab.worker import __main__ as worker
from support import fakes
from support.commandline import TypeLine

CODE = """
from pathlib import Path

import torch
from torch import nn

from fcn_lab.data.classes import keep_classes
from fcn_lab.data.label_codecs import IndexLabels
from fcn_lab.data.layouts.layout import SPLITS, Layout, Pair
from fcn_lab.data.packs.source import PackedSource
from fcn_lab.encoders.base import Encoder, Features, Normalize
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.losses import Loss
from fcn_lab.upsampling.base import Upsampling
from fcn_lab.upsampling.interpolation import Interpolate


class Copy(Upsampling):
    def step(self, stride):
        return Interpolate(stride, mode="nearest")


class Thin(Encoder):
    def __init__(self, width: int = 4):
        super().__init__()
        self.normalize = Normalize()
        self.channels = (width,) * 5
        self.map_channels = (3, *self.channels[1:])
        self.head_channels = width
        inputs = (3, *self.channels[1:])
        self.stages = nn.ModuleList(nn.Conv2d(i, width, 3, padding=1) for i in inputs)

    def forward(self, x):
        maps, pools = [], []
        for stage in self.stages:
            maps.append(x)
            x = torch.max_pool2d(stage(x), 2).relu()
            pools.append(x)
        return Features(pools, maps, pools[-1])


class Confidence(Loss):
    def forward(self, scores, target):
        seen = target != 255
        right = scores.softmax(1).gather(1, target.where(seen, 0).unsqueeze(1)).squeeze(1)
        return ((1 - right) * seen).sum() / seen.sum().clamp(min=1)


def fields(root: str, size=None, classes=2, **loading):
    codec = IndexLabels(["field", "barn"], [(0, 128, 0), (200, 0, 0)])
    pairs = {
        split: tuple(
            Pair(photo.stem, photo, Path(root) / split / "masks" / photo.name)
            for photo in sorted((Path(root) / split / "photos").glob("*.png"))
        )
        for split in SPLITS
    }
    layout = Layout("Fields", codec, pairs, "own_split")
    scored = keep_classes(codec.names, codec.colours, "fields2", with_void=False)
    return FrameDataModule(PackedSource(Path(root), layout, scored, lambda _: "", size), **loading)
"""
WORDS = {
    "upsample/copy": "{_target_: mine.Copy, _partial_: true, refine: none}",
    "encoder/thin": "{_target_: mine.Thin, width: 4}",
    "loss/confidence": "{_target_: mine.Confidence}",
    "data/fields": (
        "{_target_: mine.fields, root: farm, size: null, classes: 2, split: test, batch_size: 2, "
        "augment: '${augment}', seed: '${seed}'}"
    ),
}
CHOICES = [word.replace("/", "=") for word in WORDS]
FEW = ("trainer.max_epochs=1", "trainer.accelerator=cpu", "logger=none", "hydra.run.dir=run")
OWN_NAMES = ["mine.Copy", "mine.Thin", "mine.fields"]

Run = Callable[..., Path]


@pytest.fixture
def run(type_line: TypeLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Types a line beside code, words and data of one's own, and lets the worker run it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mine.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    for word, node in WORDS.items():
        file = tmp_path / "own" / f"{word}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(node)
    for split, count in {"train": 4, "val": 1, "test": 2}.items():
        for name in (f"{split}{number}" for number in range(count)):
            folder = tmp_path / "farm" / split
            fakes.save(folder / "photos" / f"{name}.png", fakes.picture(name))
            fakes.save(folder / "masks" / f"{name}.png", fakes.ids(name, 2))
    # the command hands them to the process that it becomes
    monkeypatch.setenv("FCN_LAB_ALLOW", ",".join([*OWN_NAMES, "mine.Confidence"]))

    def type_and_work(*words: str) -> Path:
        ended = type_line("--config-dir=own", *words)
        assert ended.status == 0, ended.err
        worker.run_config(ended.folder / "config.yaml")
        return ended.folder

    return type_and_work


def test_operator_encoder_loss_and_data_of_ones_own_train_together(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run("model=fcn8s", *CHOICES, *FEW)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["upsample"], metrics["encoder"]) == ("copy", "thin")
    assert metrics["protocol"] == "fields2-24x32-void_ignored-own_split"
    assert set(metrics["test"]["iou"]) == {"field", "barn"}
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["task"]["loss"]["_target_"] == "mine.Confidence"
    monkeypatch.delenv("FCN_LAB_ALLOW")
    image = np.zeros((30, 41, 3), np.uint8)
    assert load_run(folder, allow=OWN_NAMES)(image).shape == (30, 41)
    with pytest.raises(UserError, match=r"would run mine\.Copy, mine\.Thin"):
        load_run(folder)


def test_the_cost_sheet_and_the_match_have_networks_of_ones_own_words(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own" / "model").mkdir()
    (tmp_path / "own" / "model" / "plain.yaml").write_text("{defaults: [fcn8s], skips: false}")
    lists = ("models=[plain,fcn8s]", "upsamples=[copy,bilinear]", "data=synthetic")
    small = ("data.size=[32,32]", "encoder.widths=[4,4,8,8,8]", "encoder.head_width=8")
    folder = run("task=profile", *lists, *small, "task.turns=1", "hydra.run.dir=run")
    with (folder / "costs.csv").open(newline="") as file:
        rows = {(row["model"], row["upsample"]) for row in csv.DictReader(file)}
    assert rows == set(product(("plain", "fcn8s"), ("copy", "bilinear")))
    capfd.readouterr()
    lists = ("models=[plain]", *lists[1:])
    run("task=capacity", *lists, *small, "refines=[none]", "task.tolerance=1", "hydra.run.dir=two")
    command = capfd.readouterr().out.splitlines()[-1]
    assert "--config-dir=own model=plain upsample=bilinear" in command
    assert "data=synthetic" in command
    assert "'encoder.widths=[4,4,8,8,8]' encoder.head_width=8" in command


@pytest.mark.usefixtures("run")
def test_words_of_ones_own_are_listed_and_suggested(type_line: TypeLine) -> None:
    listed = type_line("--config-dir=own", "--help").out
    for group, name in (word.split("/") for word in WORDS):
        assert re.search(rf"\b{name}\b", listed)
        wrong = type_line("--config-dir=own", f"{group}={name}s")
        assert wrong.status == 2
        assert f"Did you mean {name}?" in wrong.err
