"""What is printed fits the terminal, is cut nowhere, and reads as people write."""

import io
import math
import re
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from fcn_lab.rendering.tables import split_table
from fcn_lab.text import terminal
from fcn_lab.text.commands import format_command
from fcn_lab.text.terminal import (
    format_amount,
    format_count,
    format_duration,
    format_number,
    print_refusal,
    report_progress,
    show_waiting,
    wrap_line,
)
from fcn_lab.training.callbacks.progress import GAP, describe_epoch, fit_figures

COLUMNS = ("layer", "params M", "written MB", "forward ms", "receptive field", "p (Holm)")
NAMES = [
    f"encoder.stages.{stage}.{block}.conv{c}" for stage in "34" for block in "01" for c in "12"
]
ROWS = [(name, "3.43", "1,980", "12.3\n(1.2)", "563", "< 0.001") for name in NAMES]
FIGURES = {"loss": "1.064", "mean IoU": "0.223", "images/s": "9.1", "": "93 s"}


def draw(tables: list[Table], width: int) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width)
    for table in tables:
        console.print(table)
    return file.getvalue().splitlines()


def read_names(lines: list[str]) -> Iterator[str]:
    """The first column of a drawn table, the lines of a name joined again."""
    rule = next(number for number, line in enumerate(lines) if "──" in line)
    name = ""
    for line in lines[rule + 1 :]:
        if len(line) > 3 and line[2] != " ":
            name += line.split()[0]
            if name in NAMES:
                yield name
                name = ""


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_a_table_is_as_wide_as_the_terminal_at_most_and_nothing_of_it_is_cut(width: int) -> None:
    tables = split_table(COLUMNS, ROWS, "", 1, width)
    lines = draw(tables, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    for table in tables:
        assert list(read_names(draw([table], width))) == NAMES
    for number in {number for row in ROWS for cell in row[1:] for number in cell.splitlines()}:
        assert text.count(number) >= len(ROWS), number
    for word in {word for title in COLUMNS for word in title.split()}:
        assert word in text


def test_a_wide_terminal_shows_one_table_with_names_in_one_piece() -> None:
    (table,) = split_table(COLUMNS, ROWS, "", 1, 200)
    assert all(name in "\n".join(draw([table], 200)) for name in NAMES)


@pytest.mark.parametrize("width", [20, 40, 80])
def test_text_is_broken_between_words_and_a_path_never(width: int) -> None:
    path = "/a/folder-with/a-very-long-name/of-more/than-eighty/characters-in-all/indeed/so/it-is"
    line = f"careful  val shows Pedestrian (4), Bicyclist (2) in fewer than 5 images: {path}"
    broken = wrap_line(line, width)
    assert broken.split() == line.split()
    assert all(len(part) <= width or part == path for part in broken.splitlines())


@pytest.mark.parametrize("value", [0, 7, 360, 1980, 12345678, 0.5, 117.1, 1980.3, 0.01234, 4e-4])
def test_numbers_are_written_out_and_keep_their_value(value: float) -> None:
    for text in (format_number(value), format_amount(value), format_amount(-value)):
        assert "e" not in text
        read = float(text.replace(",", "").removesuffix(" M")) * (1e6 if "M" in text else 1)
        assert abs(read) == pytest.approx(value, rel=0.01)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.98, "1,980 ms"),
        (0.0123, "12.3 ms"),
        (45, "45.0 s"),
        (250, "4 min 10 s"),
        (179.6, "3 min 0 s"),
    ],
)
def test_a_time_is_told_in_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("width", range(0, 90, 5))
def test_a_line_drops_figures_from_the_end_and_never_wraps(width: int) -> None:
    kept = fit_figures(FIGURES, width)
    assert list(FIGURES)[: len(kept)] == list(kept)
    assert sum(len(f"{n}: {v}") for n, v in kept.items()) + len(GAP) * (len(kept) - 1) <= max(
        width, 0
    )
    trainer: Any = SimpleNamespace(current_epoch=2, max_epochs=100, callback_metrics={})
    clock: Any = SimpleNamespace(seconds=12.0, images_per_second=math.pi)
    line = describe_epoch(trainer, clock, width)
    assert re.match(r"epoch 3/100", line)
    assert len(line) <= max(width, len("epoch 3/100"))


def test_work_of_a_moment_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(report_progress(range(3), 3, "frames")) == [0, 1, 2]
    assert capsys.readouterr().out == ""


def test_long_work_tells_in_a_pipe_what_it_does_before_its_first_item_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(terminal, "LINE_SECONDS", 0.1)
    said = []
    for item in report_progress(range(4), 4, "frames"):
        time.sleep(0.15)
        said.append((item, capsys.readouterr().out))
    assert said[0] == (0, "frames: 0 of 4\n")
    assert all(re.fullmatch(rf"frames: {n} of 4, about 0:00:0\d to go\n", s) for n, s in said[1:])


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal receives, in which work is long after a fiftieth of a second."""
    file = io.StringIO()
    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(terminal, "Console", lambda: Console(file=file, force_terminal=True))
    return file


def test_long_work_is_a_bar_in_a_terminal_that_goes_when_it_ends(screen: io.StringIO) -> None:
    for _ in report_progress(range(2), 2, "frames"):
        time.sleep(0.2)
    assert re.search(r"frames .*1/2", screen.getvalue())
    assert screen.getvalue().endswith("\x1b[2K")  # the line is empty again


def test_of_two_bars_one_inside_the_other_one_at_a_time_is_live(screen: io.StringIO) -> None:
    with show_waiting("loading"):
        for _ in report_progress(range(2), 2, "kinds"):
            time.sleep(0.2)
            for _ in report_progress(range(2), 2, "scenes"):
                time.sleep(0.2)
            time.sleep(0.2)
    # each line is emptied before another begins
    lines = re.sub(r"\x1b\[[\d;?]*[a-zA-JL-Z]", "", screen.getvalue())
    parts = [part for part in re.split(r"\r\x1b\[2K|\n", lines) if part.strip()]
    named = [[word for word in ("loading", "kinds", "scenes") if word in part] for part in parts]
    assert all(len(words) == 1 for words in named), parts
    turns = [words for words, last in zip(named, [[], *named], strict=False) if words != last]
    inner = [["scenes"], ["kinds"]]
    assert turns == [["loading"], ["kinds"], *inner, *inner, ["loading"]]


def test_a_refusal_is_broken_between_words_and_its_command_nowhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "cannot go on, " * 9 + "To go on:"
    command = format_command("resume=" + "x" * 90, "a=b")
    print_refusal(f"{reason}\n{command}")
    assert capsys.readouterr().err == f"fcn-lab: {reason}\n{command}\n"
    wide = Console(width=80, force_terminal=True)
    monkeypatch.setattr(terminal, "Console", lambda **_: wide)
    print_refusal(f"{reason}\n{command}")
    *words, last = capsys.readouterr().err.splitlines()
    assert last == command
    assert " ".join(words) == f"fcn-lab: {reason}"
    assert len(words) > 1
    assert max(map(len, words)) <= 80


@pytest.mark.parametrize("wanted", [True, False])
def test_what_cannot_be_counted_is_named_at_once_in_a_terminal_and_after_a_moment_in_a_pipe(
    wanted: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with show_waiting("loading libraries", wanted):
        pass
    assert capfd.readouterr().out == ""
    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0.02)
    with show_waiting("loading libraries", wanted):
        time.sleep(0.3)
    assert capfd.readouterr().out == "loading libraries\n" * wanted
    file = io.StringIO()
    monkeypatch.setattr(terminal, "Console", lambda: Console(file=file, force_terminal=True))
    with show_waiting("loading libraries", wanted):
        pass
    assert ("loading libraries" in file.getvalue()) is wanted


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [(0, "cell", "0 cells"), (1, "cell", "1 cell"), (2000, "class", "2,000 classes")],
)
def test_one_of_something_is_one(number: int, unit: str, text: str) -> None:
    assert format_count(number, unit) == text
