"""The check of a sweep's cells takes any number of them, and tells why it could not be made."""

import signal
import sys
from pathlib import Path

import pytest

from fcn_lab.errors import UserError
from fcn_lab.runs.sweep import Cell
from fcn_lab.sweeps import freeze as freezing
from support.commandline import TypeLine
from support.places import ROOT


def list_cells(folder: Path, count: int) -> list[Cell]:
    """Cells whose names together are longer than a command line."""
    return [Cell(str(n), folder / f"{n:0>120}", {}) for n in range(count)]


def test_more_cells_are_checked_than_a_command_line_holds(stub: str, tmp_path: Path) -> None:
    cells = list_cells(tmp_path, 20000)
    cells[0].folder.mkdir()
    (cells[0].folder / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(UserError, match="it lacks the keys `task` and `seed`"):
        freezing._preflight(cells, ROOT, True, None)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import sys; sys.exit('no such disk')", "no such disk"),
        (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})", "its exit status is -9"),
    ],
)
def test_a_check_that_breaks_is_told_in_a_line(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(UserError, match=f"^the cells cannot be checked: {reason}$"):
        freezing._preflight(list_cells(tmp_path, 1), ROOT, True, None)


def test_a_cell_named_after_its_mistake_is_not_named_twice(type_line: TypeLine, stub: str) -> None:
    refused = type_line(stub, "-m", "task=stub", "task.count=x,1", "sweep.dir=all")
    assert refused.status == 2
    assert refused.err.count("task.count=x: ") == 1
    assert "task.count=x: expected an integer" in refused.err
