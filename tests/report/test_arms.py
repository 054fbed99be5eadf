"""What an arm is called where its runs come from several sweeps."""

import json
from pathlib import Path

import pytest

from fcn_lab.report.arms import find_varied, group_runs, name_settings, tell_twins_apart
from fcn_lab.report.runs import Run
from support.fakeruns import street, write_run

RUNS = {
    # of a sweep over both steps and operators
    "upsample=bilinear,upsample.refine=conv": ("bilinear", "conv"),
    "upsample=bilinear,upsample.refine=none": ("bilinear", "none"),
    # of a sweep over seeds alone
    "operators": ("nearest", "conv"),
}


def make_run(arm: str, operator: str, refine: str, augment: str = "strong") -> Run:
    metrics = {"model": "fcn8s", "upsample": operator, "encoder": "tiny", "seed": 0}
    choices = {"upsample": operator, "augment": augment}
    config = {"arm": arm, "upsample": {"refine": refine}, "choices": choices}
    return Run(Path(arm), metrics, config)


def name_arms(*runs: Run) -> list[str]:
    return list(group_runs(name_settings(runs)))


def test_fcns_come_before_other_models_from_coarse_to_fine() -> None:
    models = ("fcn16s", "unet", "fcn8s", "segnet", "fcn32s")
    runs = [
        Run(Path(m), {"model": m, "upsample": "nearest", "encoder": "tiny"}, {"arm": f"model={m}"})
        for m in models
    ]
    assert find_varied(runs)["model"] == ("fcn32s", "fcn16s", "fcn8s", "unet", "segnet")


def test_a_sweep_over_seeds_names_the_key_that_another_sweep_varied() -> None:
    runs = [make_run(arm, *words) for arm, words in RUNS.items()]
    assert name_arms(*runs) == [
        "bilinear refine=conv",
        "bilinear refine=none",
        "nearest refine=conv",
    ]


def test_runs_that_are_silent_about_a_key_and_differ_in_it_are_told_apart() -> None:
    named = make_run("upsample.refine=mlp", "bilinear", "mlp")
    silent = [make_run("operators", "nearest", refine) for refine in ("conv", "none")]
    found = name_arms(named, *silent)
    assert found == ["bilinear refine=mlp", "nearest refine=conv", "nearest refine=none"]


def test_the_usual_value_that_no_other_run_names_stays_unsaid() -> None:
    cut = make_run("upsample=nearest,upsample.refine=none", "nearest", "none")
    usual = make_run("operators", "bilinear", "conv")
    assert name_arms(cut, usual) == ["nearest refine=none", "bilinear"]


def test_true_is_one_value_however_it_is_spelled() -> None:
    named = [make_run(f"upsample.trainable={value}", "bilinear", "conv") for value in (True, False)]
    silent = make_run("study", "bilinear", "conv")
    config = {**silent.config, "upsample": {"refine": "conv", "trainable": True}}
    silent = Run(silent.folder, silent.metrics, config)
    assert name_arms(*named, silent) == ["trainable=True", "trainable=False"]


@pytest.mark.parametrize("word", ["strong", "light"])
def test_a_word_is_found_among_the_choices(word: str) -> None:
    named = make_run(f"augment={word}", "bilinear", "conv", word)
    other = make_run("augment=none", "bilinear", "conv", "none")
    silent = make_run("study", "bilinear", "conv", word)
    assert name_arms(named, other, silent) == [word, "none"]


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        (("1 x cpu", "1 x H100"), ["1 x cpu", "1 x H100"]),
        # where one of them is not known
        (("1 x cpu", None), ["precision=32-true", "precision=bf16-mixed"]),
        (("1 x cpu", "1 x cpu"), ["precision=32-true", "precision=bf16-mixed"]),
    ],
)
def test_twins_are_told_apart_by_their_device_or_else_by_their_settings(
    devices: tuple[str, str | None], expected: list[str], tmp_path: Path
) -> None:
    runs = []
    for device, precision in zip(devices, ("32-true", "bf16-mixed"), strict=True):
        folder = tmp_path / precision
        folder.mkdir()
        (folder / "env.json").write_text(json.dumps({} if device is None else {"device": device}))
        run = make_run("operators", "bilinear", "conv")
        config = {**run.config, "trainer": {"precision": precision}}
        runs.append(Run(folder, run.metrics, config))
    assert list(group_runs(tell_twins_apart(runs))) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # what only the younger of two records states did not tell them apart when they were made
        ({"choices": {"task": "staged"}, "encoder": {"young": 3}}, ["train", "staged"]),
        ({"trainer": {"max_epochs": 9}, "encoder": {"young": 3}}, ["max_epochs=5", "max_epochs=9"]),
        # unless nothing else does
        ({"encoder": {"young": 3}}, ["young=–", "young=3"]),
    ],
)
def test_twins_are_told_apart_by_their_task_and_by_what_both_state(
    changes: dict[str, dict[str, object]], expected: list[str]
) -> None:
    twins = []
    for folder, added in {"old": {}, "new": changes}.items():
        run = make_run("study", "bilinear", "conv")
        config = {**run.config, "choices": {"task": "train"}, "trainer": {"max_epochs": 5}, **added}
        twins.append(Run(Path(folder), run.metrics, config))
    assert list(group_runs(tell_twins_apart(twins))) == expected


def test_a_recorded_target_has_todays_name(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", *street(3), predictions=False)
    (folder / "config.yaml").write_text("trainer: {_target_: fcn_lab.trainer.Training}")
    target = Run.read(folder).config["trainer"]["_target_"]
    assert target == "fcn_lab.training.settings.TrainerSettings"
