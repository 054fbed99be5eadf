"""Records that hold the right kinds and impossible values, or commands for a terminal."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fcn_lab.errors import UserError
from fcn_lab.runs.attempts import (
    LATEST_BEGINNING,
    RunConflict,
    begin_attempt,
    find_last_attempt,
)
from fcn_lab.runs.names import METRICS
from fcn_lab.runs.outcomes import SECONDS_LIMIT, read_metrics
from fcn_lab.runs.processes import read_touch_time
from fcn_lab.runs.records import DamagedFile
from fcn_lab.runs.sweep import Cell, SweepFolder
from fcn_lab.sweeps.status import Status
from fcn_lab.sweeps.studies import describe_time, locate_estimates
from fcn_lab.text.terminal import print_text

SPLIT = {"mean_iou": 0.5, "pixel_accuracy": 0.5, "iou": {"a": 0.5, "b": None}}
GOOD = {"protocol": "p", "test": SPLIT, "seconds": 60.0, "params": 1, "macs": 1}
ELSEWHERE = {"host": "h", "machine": "m", "pid": 1, "born": 1.0, "began": 1e9}
EVIL = "\x1b[2J\x07x\u202e"


def write_attempt(folder: Path, **values: object) -> Path:
    path = folder / "attempts" / "1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**ELSEWHERE, **values}))
    return path


def test_an_attempt_that_nobody_else_may_read_is_watched_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_attempt(tmp_path)

    def refuse(*_: object) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "open", refuse)
    assert read_touch_time(path) == path.stat().st_mtime_ns


@pytest.mark.parametrize("began", [-1.0, LATEST_BEGINNING, 9e18])
def test_an_attempt_of_no_calendar_is_judged_by_its_age(began: float, tmp_path: Path) -> None:
    write_attempt(tmp_path, began=began)
    with pytest.raises(RunConflict, match="is at work: another process"):
        begin_attempt(tmp_path)


def test_an_attempt_that_ended_in_no_known_way_is_judged_by_its_age(tmp_path: Path) -> None:
    write_attempt(tmp_path, status="weird")
    found = find_last_attempt(tmp_path)
    assert found is not None
    assert found.status is None
    assert found.is_alive()


@pytest.mark.parametrize(
    "make",
    [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere"), lambda p: p.symlink_to(".")],
    ids=["a folder", "a pipe", "a link to nothing", "a link"],
)
def test_what_is_no_file_holds_no_run(make: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "attempts").mkdir()
    make(tmp_path / "attempts" / "1.json")
    assert begin_attempt(tmp_path).number == 2


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": {}},
        {"seconds": {"a": 1}},
        {"seconds": -1},
        {"seconds": SECONDS_LIMIT},
        {"params": {"a": 1}},
        {"test": {**SPLIT, "pixel_accuracy": {}}},
        {"test": {**SPLIT, "iou": {"a": {}}}},
        {"test": {**SPLIT, "iou": {"a": {"b": 1}}}},
    ],
    ids=str,
)
def test_a_score_or_a_time_that_is_none_is_damage(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text(json.dumps(GOOD))
    assert read_metrics(tmp_path)["seconds"] == 60
    (tmp_path / METRICS).write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(DamagedFile, match=METRICS):
        read_metrics(tmp_path)


@pytest.mark.parametrize("seconds", [0, -5, 1e17])
def test_an_expected_time_that_is_none_is_not_told(seconds: float, tmp_path: Path) -> None:
    cells = [Cell(name, tmp_path / name, {"seed": 0}) for name in "ab"]
    cells[0].folder.mkdir()
    (cells[0].folder / METRICS).write_text(json.dumps(GOOD))
    SweepFolder(tmp_path, cells).write()
    locate_estimates(tmp_path).write_text(json.dumps(dict.fromkeys("ab", seconds)))
    told = describe_time(SweepFolder.read(tmp_path))
    assert told.startswith("Time: about 0:01:00 ")


@pytest.mark.parametrize("folder", ["..", "", "/", "a/.."])
def test_a_cell_lies_inside_its_sweep(folder: str, tmp_path: Path) -> None:
    cell = {"name": "a", "folder": folder, "words": {}}
    (tmp_path / "sweep.json").write_text(json.dumps({"cells": [cell]}))
    with pytest.raises(DamagedFile, match=r"sweep\.json"):
        SweepFolder.read(tmp_path)


def test_no_record_of_a_stranger_commands_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [Cell(f"{name}{EVIL}", tmp_path / name, {"seed": 0}) for name in "abc"]
    SweepFolder(tmp_path, cells).write()
    write_attempt(cells[0].folder, status="failed", reason=EVIL)
    write_attempt(cells[1].folder, host=EVIL)
    (cells[2].folder).mkdir()
    (cells[2].folder / METRICS).write_text(json.dumps(GOOD))
    Status(str(tmp_path)).run()
    print_text(f"{EVIL}\nb")
    with pytest.raises(RunConflict) as taken:
        begin_attempt(cells[1].folder)
    print(taken.value)
    print(UserError(f"{EVIL}\nb"))
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.splitlines())
    assert shown.count(r"\x1b[2J") >= 5
