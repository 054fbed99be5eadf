"""A study is a file: it composes into its cells, whose arms differ in its axes and nothing else."""

import json
import time
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import Tensor

from fcn_lab.runs.sweep import Cell, Progress, SweepFolder
from fcn_lab.sweeps.loop import Sweep
from fcn_lab.sweeps.studies import (
    describe_opening,
    describe_time,
    locate_estimates,
)
from fcn_lab.text.commands import format_command
from fcn_lab.training.module import Batch, SegmentationModule
from fcn_lab.worker.estimate import estimate_seconds, interpolate_pace
from fcn_lab.worker.workload import Pace, Workload, count_workload, measure_pace
from support.commandline import METRICS, TypeLine
from support.places import CONF
from support.thin import thin_out
from support.tiny import make_train

FILES = {file.stem: file for file in sorted((CONF / "experiment").glob("*.yaml"))}
STUDIES = [name for name, file in FILES.items() if "study" in yaml.safe_load(file.read_text())]
GRIDS = [name for name in STUDIES if name != "tune"]


def axes(study: str) -> dict[str, list[str]]:
    params = yaml.safe_load(FILES[study].read_text())["hydra"]["sweeper"]["params"]
    every = {"upsample": sorted(stem("upsample") - {"bilinear_deterministic"})}  # of glob(*)
    return {
        key: every[key] if "glob" in str(values) else str(values).split(",")
        for key, values in params.items()
    }


def stem(group: str, pattern: str = "*") -> set[str]:
    return {file.stem for file in (CONF / group).glob(f"{pattern}.yaml")}


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    if isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, f"{key}.{name}" if key else name)
    else:
        yield key, node


def chosen(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config without copies of other keys, and without what names the cell."""
    names = ("task", "links", "words", "choices", "name", "arm")
    copies = tuple(f"{copy}." for copy in config["links"])
    found = leaves({key: value for key, value in config.items() if key not in names})
    own = {k: v for k, v in found if k not in config["links"] and not k.startswith(copies)}
    return {**own, "task": config["choices"]["task"]}


def stand_still(sweep: Sweep) -> dict[str, Progress]:
    return {cell.name: Progress("done") for cell in sweep.cells}


@pytest.fixture(autouse=True)
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcn_lab.sweeps.loop.Sweep.run", stand_still)
    monkeypatch.setattr("fcn_lab.sweeps.freeze._preflight", lambda *cells: None)


@pytest.mark.parametrize("study", ["1", "{foo:1}", "{question:1}", "[a]"])
def test_a_study_that_asks_nothing_is_refused(study: str, type_line: TypeLine) -> None:
    refused = type_line("-m", "data=synthetic", f"study={study}", "seed=0,1", "sweep.dir=all")
    assert refused.status == 2
    assert "a mapping with a `question`" in refused.err
    assert not Path("all/seed=0").exists()


def test_the_studies_asked_for_are_there() -> None:
    asked = {"skips", "operators", "grid", "pretraining", "augmentation", "tune"}
    asked |= {"staged", "momentum", "gradient_flow", "drives"}
    assert asked <= set(STUDIES)


@pytest.mark.parametrize("study", STUDIES)
def test_the_head_of_a_study_is_its_entry_in_the_notebook(study: str) -> None:
    head = [line for line in FILES[study].read_text().splitlines() if line.startswith("#")]
    for entry in ("Question", "Command", "Time", "Expected"):
        assert any(line.startswith(f"# {entry}:") for line in head), entry
    assert any(f"python run.py -m experiment={study}" in line for line in head)


@pytest.mark.parametrize("study", thin_out(GRIDS, every=2))
def test_a_study_composes_into_all_its_cells_which_differ_in_its_axes_alone(
    study: str, type_line: TypeLine
) -> None:
    varied = axes(study)
    # the same in less time: the last three values of an axis, and one seed
    fewer = {key: values[-3:] for key, values in varied.items()} | {"seed": ["0"]}
    words = [f"{key}={','.join(values)}" for key, values in fewer.items()]
    ended = type_line("-m", f"experiment={study}", *words, "sweep.dir=all")
    assert ended.status == 0, ended.err
    configs = [yaml.safe_load(p.read_text()) for p in sorted(Path("all").glob("*/config.yaml"))]
    assert len(configs) == prod(map(len, fewer.values()))
    settings = [chosen(config) for config in configs]
    different = {
        key
        for key in set().union(*settings)
        if len({json.dumps(setting.get(key, "absent")) for setting in settings}) > 1
    }
    assert different
    if "matched" in configs[0]:  # capacity=matched: widths differ so that the arms' sizes do not
        different -= {"encoder.widths", "encoder.head_width"}
    if "start" in varied:  # one word for both
        assert different == {"encoder.weights", "freeze._target_"}
        different = set()
    if "optim" in varied:  # heavy brings its loss, schedule and batch along
        brought = {"loss.reduction", "schedule._target_", "schedule.power", "data.batch_size"}
        assert brought <= different
        different -= brought
    for key in different:
        assert any(key == axis or key.startswith(f"{axis}.") for axis in varied), key
    record = SweepFolder.read(Path("all"))
    assert record.study["question"].endswith("?")
    assert f"{len(configs)} cells: {record.study['question']}" in ended.out
    assert "Time:" in ended.out
    assert f"The report:\n  {format_command('task=report', 'runs=all')}\n" in ended.out


def test_every_seed_of_a_study_is_a_cell_that_differs_in_its_seed_alone(
    type_line: TypeLine,
) -> None:
    assert type_line("-m", "experiment=skips", "model=fcn8s", "sweep.dir=all").status == 0
    configs = [yaml.safe_load(p.read_text()) for p in sorted(Path("all").glob("*/config.yaml"))]
    assert [str(config["seed"]) for config in configs] == axes("skips")["seed"]
    assert [chosen(c) | {"seed": 0} for c in configs] == [chosen(configs[0])] * len(configs)


def test_axes_are_the_words_there_are() -> None:
    strides = {word for word in stem("model", "fcn*") if not word.endswith("_caffe")}
    assert set(axes("skips")["model"]) == strides
    assert set(axes("augmentation")["augment"]) == stem("augment")
    five = {"transposed", "bilinear", "nearest", "max_unpool", "bed_of_nails"}
    assert set(axes("operators")["upsample"]) == five
    assert set(axes("grid")["upsample"]) > five
    assert set(axes("grid")["model"]) == {"fcn32s", "fcn16s", "fcn8s"}  # the paper's


def test_a_study_without_m_says_what_to_type(type_line: TypeLine) -> None:
    ended = type_line("experiment=skips", "data=synthetic")
    assert ended.status == 2
    assert "python run.py -m experiment=skips" in ended.err


@pytest.mark.slow
def test_a_cell_of_a_study_runs_again_by_itself(type_line: TypeLine) -> None:
    type_line("-m", "experiment=skips", "model=fcn8s", "seed=4,5", "sweep.dir=all")
    ended = type_line("--config-path", "all/seed=4", "--config-name", "config")
    assert ended.status == 0, ended.err
    assert ended.config["seed"] == 4


def test_work_and_time_grow_with_the_epochs() -> None:
    short = count_workload(make_train({"max_epochs": 2}))
    long = count_workload(make_train({"max_epochs": 6}))
    assert long.trained_frames == 3 * short.trained_frames
    assert long.macs == short.macs
    assert Pace(2.0, 1.0).seconds(Workload(1, 30, 4)) == 64


def test_work_counts_the_frames_that_are_trained_on_and_scored() -> None:
    task = make_train({"max_epochs": 6, "val_every": 3})
    sizes = {split: len(task.data.source.frames(split)) for split in ("train", "val", "test")}
    work = count_workload(task)
    assert work.trained_frames == 6 * sizes["train"]
    assert work.scored_frames == 2 * sizes["val"] + sizes["val"] + sizes["test"]


def test_a_pace_is_measured_and_leaves_nothing(tmp_path: Path) -> None:
    measured = measure_pace(make_train())
    assert measured.training > 0
    assert measured.scoring > 0
    assert not list(tmp_path.iterdir())


def test_a_slow_first_step_is_not_taken_for_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    first_step, training_step = 0.5, SegmentationModule.training_step

    def start_slowly(module: SegmentationModule, batch: Batch, number: int) -> Tensor:
        time.sleep(first_step if number == 0 else 0)
        return training_step(module, batch, number)

    monkeypatch.setattr(SegmentationModule, "training_step", start_slowly)
    monkeypatch.setattr("fcn_lab.worker.workload.TIMING_SECONDS", first_step / 2)
    task = make_train()
    assert measure_pace(task).training < first_step / task.data.batch_size


def test_between_two_networks_the_pace_goes_with_the_operations() -> None:
    ends = {10: Pace(1.0, 0.5), 30: Pace(3.0, 1.0)}
    assert interpolate_pace(ends, Workload(10, 1, 1)) == ends[10]
    assert interpolate_pace(ends, Workload(30, 1, 1)) == ends[30]
    assert interpolate_pace(ends, Workload(20, 1, 1)) == Pace(2.0, 0.75)
    assert interpolate_pace({10: ends[10]}, Workload(10, 1, 1)) == ends[10]


def test_trainings_of_one_network_are_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = []

    def measure(training: int) -> Pace:
        timed.append(training)
        return Pace(1.0, 1.0)

    monkeypatch.setattr("fcn_lab.worker.workload.count_workload", lambda macs: Workload(macs, 1, 1))
    monkeypatch.setattr("fcn_lab.worker.workload.measure_pace", measure)
    for macs, count in (([5, 5, 5], 1), ([5, 9, 7], 2)):
        timed.clear()
        trainings = [(number, lambda number=number: number) for number in macs]
        assert len(estimate_seconds(trainings, 0.0)) == len(macs)
        assert len(timed) == count


def record(folder: Path, cells: int, seconds: float) -> SweepFolder:
    made = [Cell(str(number), folder / str(number), {}) for number in range(cells)]
    for cell in made:
        cell.folder.mkdir(parents=True)
    locate_estimates(folder).write_text(json.dumps({cell.name: seconds for cell in made}))
    study = {"question": "Why?", "report": "task=report"}
    return SweepFolder(folder, made, study=study)


def test_the_estimate_grows_with_the_cells(tmp_path: Path) -> None:
    assert "about 0:01:00 " in describe_time(record(tmp_path / "a", 3, 20.0))
    assert "about 0:02:00 " in describe_time(record(tmp_path / "b", 6, 20.0))
    assert "about 0:10:00 " in describe_time(record(tmp_path / "c", 1, 20.0), cell_count=30)


def test_cells_that_are_done_correct_the_estimate_of_the_others(tmp_path: Path) -> None:
    study = record(tmp_path / "a", 4, 20.0)
    (study.cells[0].folder / "metrics.json").write_text(
        METRICS.replace("{", '{"seconds": 40.0, ', 1)
    )
    assert "about 0:02:00 " in describe_time(study)
    assert "the 1 that are done" in describe_time(study)


def test_a_sweep_that_is_no_study_asks_nothing(tmp_path: Path) -> None:
    assert describe_opening(SweepFolder(tmp_path), []) == []
