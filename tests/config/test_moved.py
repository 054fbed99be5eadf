"""Runs recorded before modules moved live on; recorded/ holds one, and the names of its time."""

import copy
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fcn_lab import load_run
from fcn_lab.config.build import locate
from fcn_lab.config.moved import NEW_NAMES, find_current_name, rename_targets
from fcn_lab.data.synthetic import Synthetic
from fcn_lab.metrics.confusion import confusion_matrices
from support.forked import type_line

RECORDED = Path(__file__).parent / "recorded"
NAMES = (RECORDED / "targets.txt").read_text().split()


@pytest.fixture
def recorded_run(tmp_path: Path) -> Path:
    with zipfile.ZipFile(RECORDED / "run.zip") as archive:
        archive.extractall(tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_name_leads_to_what_it_named(name: str) -> None:
    found = locate(find_current_name(name), "key")
    renamed = {
        "fcn_lab.api.network": "build_network",
        "fcn_lab.data.augment.Unchanged": "Augmentation",  # built without arguments
        "fcn_lab.datamodule.camvid": "CamVidDataModule",
        "fcn_lab.tasks.staged.Staged": "TrainInStages",
        "fcn_lab.trainer.Training": "TrainerSettings",
        "fcn_lab.training.datamodule.camvid": "CamVidDataModule",
        "fcn_lab.training.settings.Training": "TrainerSettings",
    }
    assert found.__name__ == renamed.get(name, name.rpartition(".")[2])


def test_every_row_of_the_table_is_needed() -> None:
    used = {old for old in NEW_NAMES for name in NAMES if f"{name}.".startswith(f"fcn_lab.{old}.")}
    assert used == set(NEW_NAMES)


def test_only_targets_are_renamed() -> None:
    node = {"_target_": "fcn_lab.fcn.FCN", "name": "fcn_lab.fcn.FCN", "parts": [{"a": 1}]}
    assert rename_targets(node) == {**node, "_target_": "fcn_lab.networks.fcn.FCN"}


def test_a_recorded_run_labels_pictures_as_it_did(recorded_run: Path) -> None:
    predictor = load_run(recorded_run)
    frames = Synthetic(size=(32, 64)).frames("test")
    known = np.load(recorded_run / "confusions.npz")
    assert list(known["names"]) == list(frames.names)
    count = len(known["classes"])
    exact = copy.deepcopy(predictor.net).double()
    for image, label, matrix in zip(frames.images, frames.labels, known["matrices"], strict=True):
        found = torch.from_numpy(predictor(image))[None], torch.from_numpy(np.array(label))[None]
        again = confusion_matrices(*found, count)[0].numpy()
        # processors round otherwise, each as far from the exact scores as this one: a pixel may
        # turn where its two best classes are nearer than the errors of both, on both processors
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
        with torch.inference_mode():
            scores = exact(pixels.double() / 255)
            error = (predictor.net(pixels.float() / 255).double() - scores).abs().max()
        best, second = scores[0].topk(2, 0).values
        ties = int((best - second <= 4 * error).sum())
        assert np.abs(again - matrix).sum() <= 2 * ties


@pytest.mark.slow
def test_a_recorded_run_is_resumed_scored_again_and_reported(recorded_run: Path) -> None:
    def run(*words: str) -> None:
        ended = type_line(words, recorded_run.parent)
        assert ended.status == 0, ended.err

    (recorded_run / "metrics.json").unlink()
    run(f"resume={recorded_run}")
    run("task=evaluate", f"run={recorded_run}", "data.split=val", "hydra.run.dir=again")
    run("task=report", f"runs={recorded_run}", "output=pages")
    assert (recorded_run.parent / "pages" / "report.html").is_file()
