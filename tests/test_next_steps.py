"""Every command ends with what to type next, and it can be pasted as it was printed."""

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from fcn_lab.report.task import Report
from fcn_lab.runs.attempts import begin_attempt
from fcn_lab.runs.next_steps import list_run_steps
from fcn_lab.runs.records import DamagedFile
from fcn_lab.runs.sweep import Cell, SweepFolder
from fcn_lab.sweeps.next_steps import list_sweep_steps
from fcn_lab.sweeps.status import read_progress
from fcn_lab.text import commands
from fcn_lab.text.commands import format_tool
from fcn_lab.text.terminal import print_next
from support import fakeruns
from support.commandline import METRICS, TypeLine

NAMES = ("run", "a b", "it's", "$HOME", "-x", "a=b,[c]", "ü;rm")


def paste(line: str) -> list[str]:
    """The words that a shell makes of a line."""
    script = f"printf '%s\\0' {line}"
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    return said.split("\0")[:-1]


def commands_of(text: str) -> list[str]:
    """What stands alone on a line below what it does."""
    lines = text.splitlines()
    return [
        line.strip()
        for above, line in pairwise(lines)
        if above.endswith(":") and line.startswith("  ")
    ]


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(commands.START_VARIABLE, "fcn-lab")
    monkeypatch.setattr("fcn_lab.text.terminal.find_opener", lambda: "open")


@pytest.mark.parametrize("name", NAMES)
def test_a_finished_run_leads_to_pictures_wandb_and_the_report(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(name)
    for part in ("panels", "wandb/offline-run-1", "wandb/offline-run-2", "wandb/cache"):
        (folder / part).mkdir(parents=True)
    (folder / "confusions.npz").touch()
    print_next(list_run_steps(folder))
    found = [paste(line) for line in commands_of(capsys.readouterr().out)]
    own = f"./{name}" if name.startswith("-") else name
    assert found == [
        ["open", f"{own}/panels"],
        [*paste(format_tool("wandb", "leet")), f"{own}/wandb"],
        [*paste(format_tool("wandb", "sync")), *(f"{own}/wandb/offline-run-{n}" for n in "12")],
        ["fcn-lab", "task=report", f"runs={name}"],
    ]


def test_a_run_leads_to_nothing_that_it_does_not_have(tmp_path: Path) -> None:
    assert list_run_steps(tmp_path) == {}
    (tmp_path / "wandb" / "run-1").mkdir(parents=True)
    assert list(list_run_steps(tmp_path).values()) == [
        format_tool("wandb", "leet", str(tmp_path / "wandb"))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_leads_on_while_cells_are_left_and_to_its_report(name: str) -> None:
    cells = [Cell(cell, Path(name) / cell, {"seed": 0}) for cell in "ab"]
    record = SweepFolder(Path(name), cells, engine="local", study={"report": "task=report"})
    for cell in cells:
        cell.folder.mkdir(parents=True)

    def steps() -> list[str | Path]:
        return list(list_sweep_steps(record, read_progress(record, {})).values())

    go_on = f"fcn-lab -m {commands.quote(f'sweep.dir={name}')} hydra/launcher=local"
    report = f"fcn-lab task=report {commands.quote(f'runs={name}')}"
    assert steps() == [go_on]
    (cells[0].folder / "metrics.json").write_text(METRICS)
    assert steps() == [go_on, report]
    attempt = begin_attempt(cells[1].folder)
    log = commands.format_operand(cells[1].log)
    assert steps() == [f"tail -f {commands.quote(log)}", report]
    attempt.end("done")
    (cells[1].folder / "metrics.json").write_text(METRICS)
    assert steps() == [report]


@pytest.mark.parametrize(
    "report",
    [
        *(
            "task=report task._target_=os.system",
            "--config-dir=theirs task=report",
            "task='",
            "a;b",
        ),
        *("allow=[os.system]", "task=../theirs", "hydra.searchpath=[file:///tmp]"),
        *(5, None, ["task=report"]),
    ],
)
def test_the_report_that_a_record_asks_for_is_of_words_and_plain_values(report: object) -> None:
    cell = Cell("a", Path("all/a"), {"seed": 0})
    cell.folder.mkdir(parents=True)
    (cell.folder / "metrics.json").write_text(METRICS)
    record = SweepFolder(Path("all"), [cell], study={"report": report})
    steps = list_sweep_steps(record, read_progress(record, {}))
    assert steps == {"The report": "fcn-lab task=report runs=all"}


@pytest.mark.parametrize("engine", ["../../../tmp/evil", "", "a;b", 5, None])
def test_an_engine_that_is_no_word_is_damage(engine: object) -> None:
    record = SweepFolder(Path("all"), engine=engine)  # type: ignore[arg-type]
    record.path.mkdir()
    record.write()
    with pytest.raises(DamagedFile, match="wrong type"):
        SweepFolder.read(record.path)


@pytest.mark.parametrize(
    "more",
    [
        ("hydra/launcher=local", "hydra.launcher.slots=1"),
        ("hydra.sweeper.max_batch_size=2",),
        ("task._target_=stub.Task",),
    ],
    ids=" ".join,
)
def test_a_sweep_that_its_folder_does_not_stand_for_goes_on_by_the_command_that_was_typed(
    more: tuple[str, ...], type_line: TypeLine, stub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcn_lab.sweeps.freeze._preflight", lambda *cells: None)
    monkeypatch.setattr(
        "fcn_lab.sweeps.loop.Sweep.run",
        lambda sweep: {cell.name: cell.read_progress() for cell in sweep.cells},
    )
    ended = type_line(stub, "-m", "task=stub", "seed=1,2", "sweep.dir=a b", *more)
    (go_on,) = commands_of(ended.out)
    words = paste(go_on)
    assert set(more) < set(words)
    assert commands_of(type_line(*words[words.index(stub) :]).out) == [go_on]


@pytest.mark.slow
def test_a_sweep_that_failed_and_its_status_print_the_command_that_goes_on(
    type_line: TypeLine, stub: str
) -> None:
    ended = type_line("-m", stub, "task=stub", "task.kind=fail,work", "sweep.dir=all")
    assert ended.status == 1
    (go_on,) = commands_of(ended.out)
    assert go_on.endswith(f"run.py {stub} -m sweep.dir=all")
    assert commands_of(type_line(stub, "task=status", "sweep.dir=all").out) == [go_on]


@pytest.mark.parametrize("flags", [("--config-dir", "a b"), ("-cd=a b",), ("--config-dir=-c",)])
def test_what_is_printed_finds_the_words_of_ones_own_again(
    flags: tuple[str, ...], type_line: TypeLine, stub: str
) -> None:
    for folder in ("a b", "-c"):
        shutil.copytree(stub.partition("=")[2], folder)
    assert type_line(*flags, "task=stub", "hydra.run.dir=one").status == 0
    words = paste(commands.format_command("task=stub", "hydra.run.dir=two"))
    assert type_line(*words[-3:]).folder == Path("two")


def test_where_else_words_are_looked_for_is_repeated(type_line: TypeLine, stub: str) -> None:
    place = f"hydra.searchpath=[file://{stub.partition('=')[2]}]"
    refused = type_line(place, "experiment=skips", "data.root=ab", "task=stub")
    assert refused.status == 2
    words = paste(refused.err.splitlines()[-1])[-5:]
    assert words == [place, "-m", "experiment=skips", "data.root=ab", "task=stub"]


def test_what_was_trusted_is_repeated_once(type_line: TypeLine, stub: str) -> None:
    trust = "allow=[my_losses.Own, stub.Task]"
    refused = type_line(stub, trust, "experiment=skips", "data.root=ab", "task=stub")
    assert refused.status == 2
    words = paste(refused.err.splitlines()[-1])[-6:]
    assert words == [stub, trust, "-m", "experiment=skips", "data.root=ab", "task=stub"]


def test_the_report_leads_to_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    fakeruns.write_grid(Path("a b"), ["fcn8s"], ["nearest"], (0,))
    Report("a b").run()
    assert commands_of(capsys.readouterr().out) == ["open 'a b/report/report.html'"]


def test_the_first_line_comes_before_any_library_is_imported(
    type_line: TypeLine, stub: str
) -> None:
    ended = type_line(stub, "task=stub", "hydra.run.dir=a b")
    assert ended.out == "task=stub: a b\n"
    assert ended.command
