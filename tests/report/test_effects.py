"""Means over the arms that share a factor's value, and the sentences on them."""

import re
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from fcn_lab.report import charts
from fcn_lab.report.answer import describe_answer, describe_method, describe_question
from fcn_lab.report.study import Study
from support import fakeruns


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two models, two operators and two rates, of which the second ruins every score."""
    folder = tmp_path_factory.mktemp("cube")
    frames, source = fakeruns.street(12)
    guesses = {"0.1": None, "9": "nearest"}
    for model, upsample, rate, seed in product(
        ("fcn8s", "fcn32s"), ("bilinear", "transposed"), guesses, (0, 1)
    ):
        cell = folder / f"{model},{upsample},{rate},{seed}"
        fakeruns.write_run(cell, frames, source, model, guesses[rate] or upsample, seed)
        metrics = cell / "metrics.json"
        metrics.write_text(metrics.read_text().replace("nearest", upsample))
        arm = f"model={model},upsample={upsample},optim.lr={rate}"
        (cell / "config.yaml").write_text(f"arm: '{arm}'\nseed: {seed}\n")
    return Study.read([folder])


def test_a_mean_over_arms_is_that_of_their_means(cube: Study) -> None:
    members = [arm for arm in cube.arms if cube.values[arm.name]["model"] == "fcn8s"]
    mean = cube.comparison.estimate_mean(cube.average_arms({"model": "fcn8s"}))
    assert len(members) == 4
    own = [cube.comparison.means[arm.name].value for arm in members]
    assert mean.value == pytest.approx(np.mean(own))


def test_an_interaction_of_two_factors_is_drawn_over_the_third(cube: Study) -> None:
    spec = charts.draw_interaction(cube, "upsample", "model")
    for line in spec["data"]:
        for upsample, percent in zip(line["x"], line["y"], strict=True):
            own = [
                cube.comparison.means[arm.name].value
                for arm in cube.arms
                if cube.values[arm.name]["model"] == line["name"]
                and cube.values[arm.name]["upsample"] == upsample
            ]
            assert len(own) == 2
            assert percent == pytest.approx(100 * np.mean(own), abs=1e-3)


def test_an_effect_is_called_none_exactly_where_its_interval_holds_zero(
    cube: Study, tmp_path: Path
) -> None:
    fakeruns.write_grid(tmp_path / "grid", ["fcn8s", "fcn16s"], ["bilinear", "nearest"], (0, 1))
    kinds = set()
    for study in (cube, Study.read([tmp_path / "grid"])):
        text = " ".join(describe_answer(study))
        found = re.findall(
            r"by [+-][\d.]+ points \[([+-][\d.]+), ([+-][\d.]+)\](, which is no)?", text
        )
        assert len(found) == len(study.factors)
        for low, high, none in found:
            assert bool(none) == (float(low) <= 0 <= float(high))
            kinds.add(bool(none))
    assert kinds == {True, False}


def test_runs_that_were_not_trained_have_no_time_of_training(tmp_path: Path) -> None:
    fakeruns.write_grid(tmp_path, ["fcn8s"], ["bilinear", "nearest"], (0,))
    study = Study.read([tmp_path])
    both = charts.draw_cost(study, "seconds", "minutes", 60)
    assert both is not None
    assert len(both["data"]) == 2
    for path in tmp_path.glob("*bilinear*/history.csv"):
        path.unlink()
    one = charts.draw_cost(Study.read([tmp_path]), "seconds", "minutes", 60)
    assert one is not None
    assert len(one["data"]) == 1
    assert charts.draw_cost(study, "unheard-of", "", 1) is None


def test_frames_of_no_drive_are_not_said_to_be_of_one(tmp_path: Path) -> None:
    frames, source = fakeruns.street(12)
    fakeruns.write_run(tmp_path / "a", frames, source, predictions=False)
    content = dict(np.load(tmp_path / "a" / "confusions.npz"))
    for kind, drives, sign in (
        ("single", [f"d{i}" for i in range(12)], "resampled one by one"),
        ("whole", [f"d{i % 11}" for i in range(12)], "the drives, of which there are 11"),
        ("blocks", ["a"] * 4 + ["b"] * 8, "The frames of each drive (4 + 8)"),
    ):
        shutil.copytree(tmp_path / "a", tmp_path / kind / "a")
        np.savez(tmp_path / kind / "a" / "confusions.npz", **{**content, "drives": drives})
        study = Study.read([tmp_path / kind])
        text = " ".join([*describe_question(study), *describe_method(study)])
        assert sign in text
        assert ("drive" in describe_question(study)[1]) == (kind != "single")
        assert study.comparison.means[study.arms[0].name].is_known
        assert "no interval is given" not in text
