"""The files of a run folder."""

import importlib.metadata
import json
import os
from pathlib import Path

import numpy as np
import pytest

from fcn_lab.runs import provenance
from fcn_lab.runs.run import PACKAGES, RunFolder

METRICS = {"protocol": "squares", "test": {"mean_iou": 0.5}}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    run.config.write_text("seed: 1\n")
    return run


def test_the_environment_names_every_fixed_package_and_the_users_command(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FCN_LAB_COMMAND", "run.py seed=3")
    folder.write_env({"device": "1 x cpu", "precision": "32-true"})
    env = json.loads(folder.env.read_text())
    assert tuple(env["versions"]) == PACKAGES
    assert env["device"] == "1 x cpu"
    assert env["command"] == "run.py seed=3"
    assert {"python", "platform", "git_commit", "git_dirty"} <= set(env)


def test_a_package_that_is_missing_has_no_version(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcn_lab.runs.run.PACKAGES", ("torch", "no-such-package"))
    folder.write_env({"device": "1 x cpu", "precision": "32-true"})
    versions = json.loads(folder.env.read_text())["versions"]
    assert versions == {"torch": importlib.metadata.version("torch"), "no-such-package": None}


def test_a_resume_adds_its_environment_and_leaves_the_first(folder: RunFolder) -> None:
    folder.write_env({"device": "first", "precision": "32-true"})
    first = json.loads(folder.env.read_text())
    folder.write_env({"device": "second", "precision": "32-true"})
    folder.write_env({"device": "third", "precision": "32-true"})
    now = json.loads(folder.env.read_text())
    assert [env["device"] for env in now.pop("resumed")] == ["second", "third"]
    assert now == first


def test_a_dirty_tree_leaves_its_difference(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "run_git", lambda *command: "changed\n")
    folder.write_env({"device": "cpu", "precision": "32-true"})
    assert (folder.path / "git.diff").read_text() == "changed\n"
    assert json.loads(folder.env.read_text())["git_dirty"] is True


def test_without_git_the_environment_says_so(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    folder.write_env({"device": "cpu", "precision": "32-true"})
    assert json.loads(folder.env.read_text())["git_commit"] is None
    assert not (folder.path / "git.diff").exists()


def test_the_run_id_stays_with_the_folder_and_differs_between_folders(
    folder: RunFolder, tmp_path: Path
) -> None:
    folder.write_env({"device": "cpu", "precision": "32-true"})
    first = folder.run_id
    moved = RunFolder(folder.path.rename(tmp_path.parent / f"{tmp_path.name}_moved"))
    assert moved.run_id == first
    other = RunFolder(tmp_path)
    other.path.mkdir()
    other.config.write_text("seed: 2\n")
    assert other.run_id != first
    # another run in the same place, of the same config
    moved.env.unlink()
    moved.write_env({"device": "cpu", "precision": "32-true"})
    assert moved.run_id != first


def test_metrics_appear_whole_or_not_at_all(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(source: object, target: object) -> None:
        raise Killed

    monkeypatch.setattr(os, "replace", kill)
    with pytest.raises(Killed):
        folder.write_metrics(METRICS)
    assert not folder.metrics.exists()
    monkeypatch.undo()
    folder.write_metrics(METRICS)
    assert folder.read_metrics() == METRICS


def test_confusions_come_back_as_they_were(folder: RunFolder) -> None:
    matrices = np.arange(2 * 3 * 3).reshape(2, 3, 3)
    folder.write_confusions("test", ["a", "b"], matrices, ["x", "y", "z"])
    kept = np.load(folder.path / "confusions.npz")
    assert np.array_equal(kept["matrices"], matrices)
    assert [list(kept["names"]), list(kept["classes"])] == [["a", "b"], ["x", "y", "z"]]
