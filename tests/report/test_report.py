"""The report from fake runs: what it reads, refuses, says and writes."""

import csv
import io
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from fcn_lab.data.frames import Frames
from fcn_lab.errors import UserError
from fcn_lab.report import charts, heatmaps, tables
from fcn_lab.report.answer import describe_answer, describe_method
from fcn_lab.report.formatting import (
    format_ends,
    format_interval,
    format_probability,
    format_setting,
)
from fcn_lab.report.frames import (
    SMALLEST_DISTANCE,
    build_gallery,
    choose_arms,
    draw_errors,
    measure_accuracy,
    rank_frames,
)
from fcn_lab.report.intervals import Estimate
from fcn_lab.report.recipe import tabulate_differing_recipes, tabulate_recipe
from fcn_lab.report.runs import find_drive, find_runs
from fcn_lab.report.study import Study
from fcn_lab.report.task import Report
from fcn_lab.report.writing import format_html, format_markdown, list_sections, write_report
from fcn_lab.text.terminal import format_percent
from support import fakeruns
from support.commandline import TypeLine


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakeruns.write_grid(tmp_path_factory.mktemp("grid"), seeds=(0, 1))


@pytest.fixture(scope="module")
def study(grid: Path) -> Study:
    return Study.read([grid])


def test_arms_are_what_was_varied_without_the_seed(study: Study) -> None:
    assert {arm.name for arm in study.arms} == {
        f"{model} {upsample}" for model in fakeruns.STRIDES for upsample in fakeruns.HARM
    }
    assert {arm.seeds for arm in study.arms} == {(0, 1)}
    assert list(study.factors) == ["model", "upsample"]
    assert study.factors["model"] == ("fcn32s", "fcn16s", "fcn8s")
    assert study.is_grid


def test_an_arms_score_is_the_mean_of_its_runs(study: Study) -> None:
    for arm in study.arms:
        recorded = [run.metrics["test"]["mean_iou"] for run in arm.runs]
        assert study.comparison.means[arm.name].value == pytest.approx(np.mean(recorded))


def test_the_shares_of_the_variance_are_about_those_of_a_two_way_table(study: Study) -> None:
    models, operators = study.factors["model"], study.factors["upsample"]
    means = {name: found.value for name, found in study.comparison.means.items()}
    table = np.array([[means[f"{m} {o}"] for o in operators] for m in models])
    grand = table.mean()
    rows, columns = table.mean(1, keepdims=True), table.mean(0, keepdims=True)
    rest = table - rows - columns + grand
    squares = [((rows - grand) ** 2).mean(), ((columns - grand) ** 2).mean(), (rest**2).mean()]
    found = study.shares()
    assert found is not None
    for share, expected in zip(found.values(), np.array(squares) / table.var(), strict=True):
        assert share.low <= expected <= share.high
        assert share.low <= share.value <= share.high


def test_shares_are_not_given_where_no_pair_differs_or_seeds_are_too_few(tmp_path: Path) -> None:
    frames, source = fakeruns.street(12)
    for model, upsample, seed in itertools.product(
        ("fcn8s", "fcn16s"), ("bilinear", "nearest"), (0, 1)
    ):
        # every arm is the same but for its noise
        made = fakeruns.write_run(tmp_path / f"{model}{upsample}{seed}", frames, source, seed=seed)
        words = {"model": model, "upsample": upsample}
        for name in ("metrics.json", "config.yaml"):
            record = yaml.safe_load((made / name).read_text())
            record |= (
                words if name == "metrics.json" else {"arm": f"model={model},upsample={upsample}"}
            )
            (made / name).write_text(json.dumps(record))
    alike = Study.read([tmp_path])
    assert alike.is_grid
    assert alike.shares() is None
    assert "may all be error" in " ".join(describe_answer(alike))


def test_one_frame_or_one_seed_gives_no_false_certainty(tmp_path: Path) -> None:
    fakeruns.write_grid(tmp_path, upsamples=("bilinear", "nearest"), seeds=(0,), count=1)
    study = Study.read([tmp_path])
    assert study.shares() is None
    assert not any(gap.is_distinct for gap in study.comparison.gaps)
    for text in (*describe_answer(study), *(text_of(study, tmp_path / "report"))):
        assert not re.search(r"\b(nan|inf|Infinity)\b", text)


def text_of(study: Study, folder: Path) -> Iterator[str]:
    for path in write_report(study, folder):
        if path.suffix != ".html":
            yield path.read_text()
        else:  # what the page shows, without the libraries inside it
            yield from re.findall(r"<(?:td|p)[^>]*>([^<]*)<", path.read_text())


def test_a_class_that_a_resample_lacks_has_no_nan_in_its_interval(tmp_path: Path) -> None:
    frames, source = fakeruns.street(24)
    rare = frames.labels.copy()
    rare[rare == 9] = 255
    rare[5, :6, :6] = 9  # in one frame alone
    only = Frames(frames.images, rare, frames.names)
    for model in ("fcn8s", "fcn16s"):
        for seed in (0, 1):
            fakeruns.write_run(tmp_path / f"{model}{seed}", only, source, model, seed=seed)
    study = Study.read([tmp_path])
    assert any(np.isnan(arm.draws[..., 9]).any() for arm in study.arms)
    for text in text_of(study, tmp_path / "report"):
        assert not re.search(r"\bnan\b", text)
    table = tables.tabulate_classes(study)
    (row,) = [row for row in table.rows if row[0] == source.classes[9]]
    assert row[table.columns.index("interval")] == "–"


def test_an_arm_of_one_seed_has_no_spread(tmp_path: Path) -> None:
    frames, source = fakeruns.street(12)
    for model, seed in (("fcn8s", 0), ("fcn8s", 1), ("fcn16s", 0)):
        fakeruns.write_run(tmp_path / f"{model}{seed}", frames, source, model, seed=seed)
    table = tables.tabulate_arms(Study.read([tmp_path]))
    spreads = {row[0]: row[table.columns.index("sd seeds")] for row in table.rows}
    assert spreads["fcn16s"] is None
    assert float(str(spreads["fcn8s"])) > 0


def test_the_table_of_classes_has_each_accuracy_beside_the_iou(study: Study) -> None:
    table = tables.tabulate_classes(study)
    for arm in (study.arms[0], study.arms[-1]):
        column = table.columns.index(f"accuracy, {arm.name}")
        for row in table.rows:
            found = arm.average_number(study.first_run.split, "accuracy", str(row[0]))
            assert row[column] == format_percent(found)


def test_no_probability_is_called_zero(study: Study) -> None:
    assert [format_probability(p) for p in (0.0, 0.0004, 0.001, 0.25)] == [
        "< 0.001",
        "< 0.001",
        "0.001",
        "0.250",
    ]
    chances = {row[5] for row in tables.tabulate_gaps(study).rows}
    assert chances == {format_probability(gap.adjusted_p) for gap in study.comparison.gaps}


@pytest.mark.parametrize(
    ("protocol", "field"),
    [
        ("camvid11-96x128-void_ignored-segnet_split", "size 48x64 against 96x128"),
        ("camvid32-48x64-void_ignored-segnet_split", "classes camvid11 against camvid32"),
        ("camvid11-48x64-void_counted-segnet_split", "void rule void_ignored against void_counted"),
        ("camvid11-48x64-void_ignored-kaggle_split", "split segnet_split against kaggle_split"),
    ],
)
def test_two_protocols_are_refused_with_the_field_that_differs(
    protocol: str, field: str, tmp_path: Path
) -> None:
    frames, source = fakeruns.street(6)
    fakeruns.write_run(tmp_path / "a", frames, source)
    fakeruns.write_run(tmp_path / "b", frames, source, seed=1, protocol=protocol)
    with pytest.raises(UserError, match=field):
        Study.read([tmp_path])


def test_of_many_runs_those_of_another_protocol_are_named(tmp_path: Path) -> None:
    frames, source = fakeruns.street(3)
    other = {"c": fakeruns.PROTOCOL.replace("48x64", "96x64")}
    for seed, name in enumerate("abcd"):
        protocol = other.get(name, fakeruns.PROTOCOL)
        fakeruns.write_run(tmp_path / name, frames, source, seed=seed, protocol=protocol)
    with pytest.raises(UserError, match=r"size 48x64 against 96x64(.|\n)*3 of 4 runs") as refused:
        find_runs([tmp_path])
    assert str(refused.value).endswith(f"but not of {tmp_path / 'c'}.")


def test_runs_that_were_scored_against_other_labels_are_not_compared(tmp_path: Path) -> None:
    """Their protocol, frames and classes are the same: another folder of masks, another order."""
    frames, source = fakeruns.street(3)
    swapped_labels = np.array([1, 0, *range(2, 256)], np.uint8)[frames.labels]
    swapped = replace(frames, labels=swapped_labels)
    for seed, (name, own_frames) in enumerate({"a": frames, "b": swapped}.items()):
        fakeruns.write_run(tmp_path / name, own_frames, source, seed=seed)
    with pytest.raises(UserError, match="scored against different labels: leave one out"):
        find_runs([tmp_path])
    # what was changed since is told of the run itself
    metrics = json.loads((tmp_path / "b" / "metrics.json").read_text())
    metrics["test"]["mean_iou"] = 0.99
    (tmp_path / "b" / "metrics.json").write_text(json.dumps(metrics))
    assert len(find_runs([tmp_path])[0]) == 2


def test_an_arm_with_the_same_seed_twice_is_refused(tmp_path: Path) -> None:
    frames, source = fakeruns.street(6)
    for name in ("a", "b"):
        fakeruns.write_run(tmp_path / name, frames, source)
    with pytest.raises(UserError, match="leave one out"):
        Study.read([tmp_path])


def test_runs_that_differ_in_a_setting_alone_are_two_arms(tmp_path: Path) -> None:
    frames, source = fakeruns.street(6)
    for name, rate in (("a", 0.1), ("b", 0.2)):
        for seed in (0, 1):
            run = fakeruns.write_run(tmp_path / f"{name}{seed}", frames, source, seed=seed)
            config = {"optim": {"lr": rate}, "data": {"root": name}, "name": name}
            (run / "config.yaml").write_text(yaml.safe_dump(config))
    study = Study.read([tmp_path])
    assert study.factors == {"optim.lr": ("0.1", "0.2")}
    assert [arm.name for arm in study.arms] == ["lr=0.1", "lr=0.2"]


def test_a_setting_that_an_arm_does_not_have_is_not_in_its_name(tmp_path: Path) -> None:
    frames, source = fakeruns.street(6)
    for name, model in (("a", {}), ("b", {"skips": False})):
        run = fakeruns.write_run(tmp_path / name, frames, source)
        (run / "config.yaml").write_text(yaml.safe_dump({"model": model}))
    names = {arm.name for arm in Study.read([tmp_path]).arms}
    assert len(names) == 2
    assert "skips=false" in names


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_folders_without_runs_are_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=rf"runs=.*{folder}"):
        find_runs([tmp_path / folder])


@pytest.mark.parametrize(
    ("name", "drive"),
    [("0001TP_008550", "0001TP"), ("Seq05VD_f00030", "Seq05VD"), ("0016E5_07959", "0016E5")],
)
def test_a_frames_drive_is_what_stands_before_its_number(name: str, drive: str) -> None:
    assert find_drive(name) == drive


def test_drives_that_are_read_from_names_are_said_to_be(tmp_path: Path) -> None:
    frames, source = fakeruns.street(12)
    fakeruns.write_run(tmp_path / "run", frames, source, "fcn8s")
    sentence = "The data do not say which frames belong to one drive"
    study = Study.read([tmp_path])
    assert sentence in " ".join(describe_method(study))
    path = tmp_path / "run" / "confusions.npz"
    with np.load(path) as content:
        arrays = {**content, "drives": np.array(study.first_run.drives)}
    np.savez(path, **arrays)
    again = Study.read([tmp_path])
    assert again.first_run.drives == study.first_run.drives
    assert sentence not in " ".join(describe_method(again))


def test_effects_are_over_the_seeds_that_all_arms_have(grid: Path, tmp_path: Path) -> None:
    for cell in grid.iterdir():
        if not cell.name.endswith("bilinear,seed=1"):
            shutil.copytree(cell, tmp_path / cell.name)
    study = Study.read([tmp_path])
    assert study.is_grid
    assert study.common_seeds == (0,)
    members = [arm for arm in study.arms if study.values[arm.name]["model"] == "fcn8s"]
    recorded = [arm.runs[0].metrics["test"]["mean_iou"] for arm in members]
    level = study.comparison.estimate_mean(study.average_arms({"model": "fcn8s"}))
    assert level.value == pytest.approx(np.mean(recorded))
    assert "3 of the arms have one seed" in format_markdown(study)


def test_a_grid_with_holes_says_why_it_has_no_effects(grid: Path, tmp_path: Path) -> None:
    for name in ("model=fcn8s,upsample=bilinear,seed=0", "model=fcn16s,upsample=nearest,seed=0"):
        shutil.copytree(grid / name, tmp_path / name)
    assert "Effects of single factors are not given" in format_markdown(Study.read([tmp_path]))


def test_a_single_run_has_a_report_too(tmp_path: Path) -> None:
    frames, source = fakeruns.street(9)
    fakeruns.write_run(tmp_path / "only", frames, source, predictions=False)
    written = write_report(Study.read([tmp_path]), tmp_path / "report")
    assert all(path.stat().st_size for path in written)
    page = written[0].read_text()
    assert "predictions.zip" in page
    assert "It has one seed: its interval" in page
    assert "<p>There is one arm: 1 finished run with seed 0.</p>" in page
    assert "<h1>fcn8s bilinear tiny: what the runs show</h1>" in page


@pytest.mark.parametrize("keys", ["mean_iou", "pixel_accuracy", "fw_iou", "iou.Sky"])
@pytest.mark.parametrize("split", ["test", "val"])
def test_scores_that_were_altered_are_told_and_not_believed(
    split: str, keys: str, tmp_path: Path
) -> None:
    frames, source = fakeruns.street(9)
    folder = fakeruns.write_run(tmp_path / "only", frames, source, predictions=False)
    with np.load(folder / "confusions.npz") as kept:
        arrays = {**kept, "split": np.array("val")}
    np.savez_compressed(folder / "confusions_val.npz", **arrays)
    (sound,) = find_runs([tmp_path])[0]
    assert not sound.alterations
    metrics = json.loads((folder / "metrics.json").read_text())
    *above, last = (split, *keys.split("."))
    entry = metrics
    for key in above:
        entry = entry[key]
    entry[last] = entry[last] / 2
    (folder / "metrics.json").write_text(json.dumps(metrics))
    study = Study.read([tmp_path])
    assert study.first_run.number(split, *keys.split(".")) == pytest.approx(2 * entry[last])
    (sentence,) = study.first_run.alterations
    assert f"{folder}: metrics.json was altered" in sentence
    assert f"on {split} it says" in sentence
    assert sentence in " ".join(describe_answer(study))


@pytest.mark.parametrize(
    "change",
    [{"names": np.array("a")}, {"classes": np.array("a")}, {"matrices": np.array(3)}],
    ids=str,
)
def test_arrays_of_another_form_are_damage(change: dict[str, Any], tmp_path: Path) -> None:
    fakeruns.write_grid(tmp_path, ["fcn8s"], ["bilinear"], (0, 1), count=4)
    damaged = tmp_path / "model=fcn8s,upsample=bilinear,seed=0"
    content = dict(np.load(damaged / "confusions.npz"))
    np.savez(damaged / "confusions.npz", **{**content, **change})
    np.savez(damaged / "confusions_val.npz", **{**content, "matrices": np.array("a")})
    runs, damages = find_runs([tmp_path])
    assert len(runs) == len(damages) == 1
    assert f"it holds no {next(iter(change))}" in damages[0].reason


def test_a_history_that_lacks_a_column_has_no_curve(tmp_path: Path) -> None:
    fakeruns.write_grid(tmp_path, ["fcn8s"], ["bilinear"], (0,), count=4)
    for path in tmp_path.glob("*/history.csv"):
        path.write_text("step,val/mean_iou\n1,0.5\n")
    assert charts.draw_learning(Study.read([tmp_path])) is None


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.0003, 0.05), "[+0.03, +5.00]"),
        ((-0.05, -0.00001), "[-5.000, -0.001]"),
        ((0.0, 0.05), "[+0.0, +5.0]"),
        ((-0.01, 0.02), "[-1.0, +2.0]"),
    ],
)
def test_no_end_of_an_interval_is_rounded_to_zero(ends: tuple[float, float], text: str) -> None:
    assert format_ends(*ends) == text


def test_the_interval_of_a_score_ends_where_scores_do() -> None:
    few_frames = Estimate(0.188, 0.01, 1.0)
    assert few_frames.interval()[0] < 0 < 1 < few_frames.interval()[1]
    assert format_interval(few_frames) == "[0.0, 100.0]"
    assert format_interval(few_frames, sign=True).startswith("[-")


def test_cells_without_scores_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [{"name": "seed=9,model=fcn8s", "folder": "x", "words": {"model": "fcn8s"}}]
    (tmp_path / "sweep.json").write_text(json.dumps({"cells": cells}))
    frames, source = fakeruns.street(6)
    fakeruns.write_run(tmp_path / "a", frames, source)
    study = Study.read([tmp_path])
    assert [cell.name for cell in study.missing_cells] == ["seed=9,model=fcn8s"]
    Report(str(tmp_path)).run()
    assert "without scores: 1 cell, on the page" in capsys.readouterr().out
    assert "seed=9,model=fcn8s" in format_markdown(study)
    assert "seed=9,model=fcn8s" in format_html(study)


def test_frames_are_shown_where_arms_differ_most_and_not_twice(study: Study) -> None:
    shown = rank_frames(study, study.first_run.names)
    each = np.stack([measure_accuracy(arm) for arm in study.arms]).std(0)
    assert shown[0] == each.argmax()
    drives = study.first_run.drives
    for a in shown:
        assert not any(
            b != a and drives[a] == drives[b] and abs(a - b) < SMALLEST_DISTANCE for b in shown
        )


def test_errors_are_marked_where_labels_differ_and_are_not_void() -> None:
    truth = np.array([[0, 1, 255, 2]], np.uint8)
    guess = np.array([[0, 2, 1, 2]], np.uint8)
    with Image.open(io.BytesIO(draw_errors(truth, guess))) as image:
        shown = np.asarray(image.convert("RGBA"))
    assert (shown[0, :, 3] > 0).tolist() == [False, True, False, False]


def test_the_gallery_holds_every_arm_and_the_classes_colours(study: Study) -> None:
    shown = build_gallery(study)
    assert shown is not None
    assert set(shown["frames"][0]["arms"]) == {arm.name for arm in study.arms}
    _, source = fakeruns.street(1)
    assert shown["legend"] == [
        (name, "#{:02x}{:02x}{:02x}".format(*colour))
        for name, colour in zip(source.classes, source.palette, strict=True)
    ]


def test_the_page_says_how_many_arms_are_shown(tmp_path: Path) -> None:
    models = ["fcn32s", "fcn16s", "fcn8s"]
    grid = fakeruns.write_grid(tmp_path, models, ["nearest"], (0, 1), 12)
    assert "are shown" not in describe_frames(grid)
    next(grid.glob("model=fcn16s*seed=0*/predictions.zip")).unlink()
    assert "Of 3 arms 2 are shown" in describe_frames(grid)


def describe_frames(grid: Path) -> str:
    sections = list_sections(Study.read([grid]))
    return next(section.lead for section in sections if section.title == "Frames side by side")


def numbers(spec: object) -> Iterator[float]:
    if isinstance(spec, dict):
        for value in spec.values():
            yield from numbers(value)
    elif isinstance(spec, list | tuple):
        for value in spec:
            yield from numbers(value)
    elif isinstance(spec, float):
        yield spec


def test_charts_are_plain_numbers(study: Study) -> None:
    specs = [
        charts.draw_forest(study), charts.draw_trimaps(study), charts.draw_learning(study),
        charts.draw_generalisation(study), charts.draw_cost(study, "macs", "x", 1.0),
        charts.draw_effect(study, "model"), charts.draw_interaction(study, "model", "upsample"),
        heatmaps.draw_pairs(study), heatmaps.draw_classes(study),
        heatmaps.draw_confusion(study, study.arms[0]),
    ]  # fmt: skip
    for spec in specs:
        json.dumps(spec, allow_nan=False)
        assert list(numbers(spec))


@pytest.mark.parametrize(
    "counts", [(1,), (11,), (20,), (5, 3), (11, 2), (3, 2, 2), (2, 2, 2, 2), (5, 3, 4), (11, 2, 2)]
)
def test_no_two_arms_look_alike_in_a_figure(counts: tuple[int, ...]) -> None:
    places = list(itertools.product(*map(range, counts)))
    arms = [SimpleNamespace(name=str(place)) for place in places]
    values = {str(p): {f"f{n}": str(v) for n, v in enumerate(p)} for p in places}
    factors = {f"f{n}": tuple(map(str, range(count))) for n, count in enumerate(counts)}
    made: Any = SimpleNamespace(arms=arms, values=values, factors=factors)
    lines = [charts.style_arm(made, arm.name) for arm in arms]
    looks = [(look["line"]["color"], look["marker"]["symbol"]) for look in lines]
    assert len(set(looks)) == len(arms)


def test_values_that_are_numbers_stand_as_names(study: Study) -> None:
    specs = charts.draw_effect(study, "model"), charts.draw_interaction(study, *study.factors)
    axes = [spec["layout"]["xaxis"] for spec in specs]
    axes.append(charts.draw_forest(study)["layout"]["yaxis"])
    assert {axis["type"] for axis in axes} == {"category"}
    assert all(axis["title"]["text"] for axis in axes[:2])


def test_the_page_fetches_nothing_and_stays_small(study: Study) -> None:
    page = format_html(study)
    tags = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", tags)
    assert len(page.encode()) < 15e6


def test_page_markdown_and_csv_say_the_same_numbers(study: Study, tmp_path: Path) -> None:
    written = {path.name: path.read_text() for path in write_report(study, tmp_path)}
    page, text, arms = (written[name] for name in ("report.html", "report.md", "arms.csv"))
    rows = list(csv.DictReader(arms.splitlines()))
    assert [row["arm"] for row in rows] == [arm.name for arm in study.arms]
    for row in rows:
        low, high = (f"{100 * float(row[end]):.1f}" for end in ("low", "high"))
        assert f"[{low}, {high}]" in page
        assert f"[{low}, {high}]" in text


def test_the_command_writes_beside_the_runs_and_prints_the_answer(
    grid: Path, type_line: TypeLine, tmp_path: Path
) -> None:
    ended = type_line("task=report", f"runs={grid}", f"output={tmp_path / 'out'}")
    assert ended.status == 0, ended.err
    assert "The highest mean IoU" in ended.out
    assert (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").rglob("config.yaml"))


def test_the_command_says_what_it_needs(type_line: TypeLine) -> None:
    ended = type_line("task=report")
    assert ended.status == 2
    assert "runs=FOLDER" in ended.err


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_differences_are_numbers_for_other_programs(study: Study) -> None:
    rows = read_csv(tables.tabulate_raw_gaps(study).csv())
    assert len(rows) == len(study.comparison.gaps)
    for row, gap in zip(rows, study.comparison.gaps, strict=True):
        assert (row["first"], row["second"]) == (gap.first, gap.second)
        numbers = {key: float(value) for key, value in row.items() if key[0] in "dlhp" and value}
        assert numbers["difference"] == pytest.approx(gap.gap.value)
        assert (numbers["distinct"] == 1) is gap.is_distinct
        assert gap.is_distinct is not (numbers["low"] <= 0 <= numbers["high"])
        assert numbers["p_holm"] == pytest.approx(gap.adjusted_p)


def test_of_many_pairs_those_against_the_best_and_along_a_factor_are_shown(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = study.comparison.gaps
    assert tables.choose_gaps(study) == whole
    monkeypatch.setattr(tables, "PAIRS_LIMIT", 1)
    shown = tables.choose_gaps(study)
    assert len(shown) < len(whole)
    assert {gap.second for gap in shown if gap.first == study.arms[0].name} == {
        arm.name for arm in study.arms[1:]
    }
    for gap in shown[len(study.arms) - 1 :]:
        first, second = study.values[gap.first], study.values[gap.second]
        assert sum(first[factor] != second[factor] for factor in study.factors) == 1
    caption = tables.tabulate_gaps(study).caption
    assert f"{len(shown)} of {len(whole)} pairs" in caption
    assert "differ in one factor" in caption


def test_of_many_pairs_along_one_factor_those_against_the_best_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = ["fcn32s", "fcn16s", "fcn8s"]
    study = Study.read([fakeruns.write_grid(tmp_path, models, ["nearest"], (0, 1), 12)])
    monkeypatch.setattr(tables, "PAIRS_LIMIT", 1)
    assert len(tables.choose_gaps(study)) == 2
    assert tables.tabulate_gaps(study).caption.endswith(": those against the best arm")


def test_the_page_says_how_the_runs_were_trained(tmp_path: Path) -> None:
    grid = fakeruns.write_grid(tmp_path, ["fcn8s"], ["nearest"], (3, 5), 12)
    for number, cell in enumerate(sorted(grid.iterdir())):
        made = {
            "git_commit": "0123456789abcdef",
            "processor": "a processor",
            "device": number or None,
        }
        (cell / "env.json").write_text(json.dumps(made))
        (cell / "config.yaml").write_text(yaml.safe_dump({"trainer": {"max_epochs": 321}}))
    study = Study.read([grid])
    facts = {str(name): text for name, text in tabulate_recipe(study).rows}
    assert (facts["epochs"], facts["seeds"]) == ("321", "3, 5")
    assert (facts["commit"], facts["processor"]) == ("0123456789ab", "a processor")
    assert facts["device"] == "1"  # the device of none is not there
    assert "321" in format_html(study)
    assert "a processor" in format_markdown(study)


def test_where_recipes_differ_the_page_says_which_arm_has_which(tmp_path: Path) -> None:
    grid = fakeruns.write_grid(tmp_path, ["fcn8s"], fakeruns.HARM, (3, 5), 12)
    heavy = {"lr": 2e-9, "weight_decay": 5e-4, "optimizer": {"momentum": 0.99}}
    for cell in grid.iterdir():
        config = yaml.safe_load((cell / "config.yaml").read_text())
        optim = heavy if "nearest" in cell.name else {"lr": 0.003, "weight_decay": 5e-4}
        text = yaml.safe_dump({**config, "optim": optim, "data": {"batch_size": 8}})
        (cell / "config.yaml").write_text(text)
    study = Study.read([grid])
    recipes = tabulate_differing_recipes(study)
    assert recipes
    assert list(recipes.columns) == ["arm", "learning rate", "momentum"]
    others = ", ".join(arm.name for arm in study.arms if arm.name != "nearest")
    rows = {str(arm): rest for arm, *rest in recipes.rows}
    assert rows == {others: ["0.003", None], "nearest": ["2×10⁻⁹", "0.99"]}
    facts = {str(name): text for name, text in tabulate_recipe(study).rows}
    assert (facts["batch size"], facts["weight decay"]) == ("8", "0.0005")
    assert facts.keys().isdisjoint(recipes.columns)
    assert "| nearest | 2×10⁻⁹ | 0.99 |" in format_markdown(study)
    assert "<td>2×10⁻⁹</td>" in format_html(study)


def test_one_recipe_has_no_table_of_differences(study: Study) -> None:
    assert tabulate_differing_recipes(study) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2e-9, "2×10⁻⁹"),
        (1.5e-5, "1.5×10⁻⁵"),
        (0.003, "0.003"),
        (2.0, "2"),
        (8, "8"),
        (True, "True"),
    ],
)
def test_a_setting_is_readable(value: object, text: str) -> None:
    assert format_setting(value) == text


@pytest.mark.parametrize("count", [1, 24, 25, 200])
def test_many_arms_are_shown_from_the_best_to_the_last(count: int) -> None:
    arms: Any = list(range(count))
    shown: Any = choose_arms(arms)
    assert shown == sorted(set(shown))
    assert len(shown) == min(count, 24)
    assert (shown[0], shown[-1]) == (0, count - 1)


def test_the_latex_table_has_every_cell_and_no_letter_that_latex_would_read(study: Study) -> None:
    table = tables.Table(
        "a_b %", ["arm", "score"], [["a_b & 5 %{x}^~\\\\", None], ["fcn8s", "< 0.001"]]
    )
    begin, *lines = table.latex().splitlines()[1:]
    assert begin == r"\begin{tabular}{lr}"
    escaped = r"a\_b \& 5 \%\{x\}\textasciicircum{}\textasciitilde{}"
    assert lines[3].startswith(escaped)
    assert lines[3].endswith(r" & -- \\")
    assert lines[4] == r"fcn8s & $<$ 0.001 \\"
    whole = tables.tabulate_arms(study).latex().splitlines()
    assert len(whole) == len(study.arms) + 7
