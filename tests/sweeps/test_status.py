"""What a sweep shows while it runs, and what another terminal sees of it."""

import csv
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from fcn_lab.runs.attempts import begin_attempt
from fcn_lab.runs.sweep import Cell, Progress, SweepFolder
from fcn_lab.sweeps import status
from fcn_lab.sweeps.overview import build_table, estimate_remaining, summarize
from fcn_lab.sweeps.status import SweepWatch, read_progress
from support.commandline import TypeLine
from support.waiting import wait_until


def make(folder: Path, names: str, epochs: int | None = 10) -> SweepFolder:
    cells = [Cell(name, folder / name, {"seed": n}, epochs=epochs) for n, name in enumerate(names)]
    for cell in cells:
        cell.folder.mkdir(parents=True)
    record = SweepFolder(folder, cells, code="1")
    record.write()
    return record


def finish(cell: Cell, val: float, seconds: float = 10.0, test: str = "test") -> None:
    scores = {"mean_iou": val, "pixel_accuracy": 0.9}
    metrics = {"protocol": "stub", "seconds": seconds, "val": scores, test: scores}
    (cell.folder / "metrics.json").write_text(json.dumps(metrics))


def shown(record: SweepFolder, rows: int | None = None) -> str:
    console = Console(width=120)
    progress = read_progress(record, {})
    with console.capture() as capture:
        console.print(build_table(record, progress, rows), summarize(record, progress))
    return capture.get()


def test_every_state_of_a_cell_is_read_from_its_folder(tmp_path: Path) -> None:
    record = make(tmp_path, "abcdefg")
    a, b, c, d, e, f, _ = record.cells
    finish(a, 0.5)
    begin_attempt(b.folder)
    begin_attempt(c.folder).end("failed", "RuntimeError: why")
    begin_attempt(d.folder).end("stopped")
    begin_attempt(e.folder).end("pruned")
    begin_attempt(f.folder).end("done")  # and yet there is no metrics.json
    states = [now.status for now in read_progress(record, {}).values()]
    assert states == ["done", "running", "failed", "stopped", "pruned", "failed", "waiting"]
    reasons = [now.reason for now in read_progress(record, {}).values()]
    assert reasons[2] == "RuntimeError: why"
    assert str(os.getpid()) in reasons[1]


def test_scores_of_a_finished_cell_count_whatever_its_last_attempt_says(tmp_path: Path) -> None:
    (cell,) = make(tmp_path, "a").cells
    attempt = begin_attempt(cell.folder)
    finish(cell, 0.5)
    attempt.end("failed", "killed by SIGKILL")  # while it said goodbye
    assert cell.read_progress().status == "done"


@pytest.mark.parametrize(("done", "running", "waiting"), [(1, 1, 3), (2, 2, 5), (3, 1, 0)])
def test_the_time_left_is_what_finished_cells_say(done: int, running: int, waiting: int) -> None:
    names = [f"{n}" for n in range(done + running + waiting)]
    record = SweepFolder(Path(), [Cell(name, Path(name), {}, epochs=10) for name in names])
    states: Mapping[str, Progress] = dict(
        zip(
            names,
            [
                *(Progress("done", seconds=40.0) for _ in range(done)),
                *(Progress("running", epochs=5) for _ in range(running)),
                *(Progress("waiting") for _ in range(waiting)),
            ],
            strict=True,
        )
    )
    # half of each running cell, and the waiting ones in turns of as many
    assert estimate_remaining(record, states) == pytest.approx(40.0 * (0.5 + waiting / running))


def test_no_time_is_guessed_before_a_cell_has_ended(tmp_path: Path) -> None:
    record = make(tmp_path, "ab")
    begin_attempt(record.cells[0].folder)
    assert estimate_remaining(record, read_progress(record, {})) is None
    assert "to go" not in shown(record)


def test_the_table_names_the_best_and_counts_all(tmp_path: Path) -> None:
    record = make(tmp_path, "abc")
    finish(record.cells[0], 0.25)
    finish(record.cells[1], 0.5)
    text = shown(record)
    assert "2 done · 1 waiting · best val mean IoU 50.00 (b)" in text


def test_a_split_of_another_name_is_shown_and_written_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As PASCAL VOC's, which has no test."""
    record = make(tmp_path, "ab")
    with SweepWatch(record) as watch:
        finish(record.cells[0], 0.25, test="seg11valid")
        wait_until(lambda: watch.update() or "seg11valid" in record.results.read_text())
    with record.results.open(newline="") as file:
        done, other = csv.DictReader(file)
    assert (done["val_mean_iou"], done["seg11valid_mean_iou"]) == ("0.25", "0.25")
    assert other["seg11valid_mean_iou"] == ""
    assert "test_mean_iou" not in done
    assert "seg11valid G" in shown(record)
    assert "val mean IoU 25.00, seg11valid mean IoU 25.00" in capsys.readouterr().out
    finish(record.cells[1], 0.5)
    assert "scored G" in shown(record)


def test_a_table_cut_short_keeps_those_at_work(tmp_path: Path) -> None:
    record = make(tmp_path, "abcdefgh")
    for cell in record.cells[:5]:
        finish(cell, 0.5)
    begin_attempt(record.cells[7].folder)
    rows = [line.split()[1] for line in shown(record, rows=2).splitlines() if "│" in line]
    assert rows == ["e", "h"]


@pytest.mark.parametrize(
    ("height", "expected"), [(10, []), (16, [27]), (24, [22, 23, 24, 27]), (200, [*range(30)])]
)
def test_the_live_view_fits_the_terminal_with_its_summary_and_the_cells_at_work(
    height: int, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "model=fcn32s,upsample=bed_of_nails,encoder=vgg16_bn"
    cells = [Cell(f"{words},seed={n}", tmp_path / f"s/{n}", {}, epochs=10) for n in range(30)]
    for number, cell in enumerate(cells):
        cell.folder.mkdir(parents=True)
        if number < 25:
            finish(cell, 0.5)
    begin_attempt(cells[27].folder)
    file = io.StringIO()
    console = Console(file=file, width=80, height=height, force_terminal=True)
    monkeypatch.setattr(status, "Console", lambda: console)
    with SweepWatch(SweepFolder(tmp_path / "s", cells, code="1")):
        view = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", file.getvalue())
    lines = view.splitlines()
    assert len(lines) < height
    assert "…" not in view
    assert "25 done · 1 running · 4 waiting · best val mean IoU 50.00" in lines[-3]
    assert lines[-1] == "go"
    assert [int(seed) for seed in re.findall(r"seed=(\d+) +│", view)] == expected
    rest = f"{30 - len(expected)} {'more ' if expected else ''}cells"
    assert (f"not shown: {rest}" in lines) is (len(expected) < 30)


def test_results_grow_as_cells_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = make(tmp_path, "ab")

    def states() -> list[str]:
        with record.results.open(newline="") as file:
            return [row["status"] for row in csv.DictReader(file)]

    with SweepWatch(record) as watch:
        assert states() == ["waiting", "waiting"]
        finish(record.cells[0], 0.5)
        # it looks now and then
        wait_until(lambda: watch.update() or states() == ["done", "waiting"])
    assert (
        "[1/2] a: done after 10 s, val mean IoU 50.00, test mean IoU 50.00"
        in capsys.readouterr().out
    )


def test_another_terminal_sees_the_same(tmp_path: Path, type_line: TypeLine) -> None:
    record = make(tmp_path / "all", "ab")
    finish(record.cells[0], 0.5)
    begin_attempt(record.cells[1].folder).end("failed", "MemoryError: no room")
    ended = type_line("task=status", "sweep.dir=all")
    assert (ended.status, ended.err, ended.command) == (0, "", ())
    assert "1 done · 1 failed · best val mean IoU 50.00 (a)" in ended.out
    assert "b failed: MemoryError: no room" in ended.out
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), "needs sweep.dir=FOLDER"), (("sweep.dir=nowhere",), "nowhere does not exist")],
)
def test_a_status_of_nothing_is_refused(
    words: tuple[str, ...], expected: str, type_line: TypeLine
) -> None:
    ended = type_line("task=status", *words)
    assert ended.status == 2
    assert expected in ended.err
