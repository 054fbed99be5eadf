"""What the README tells a reader to type exists."""

import re
import shlex
from pathlib import Path

import pytest

from fcn_lab.runs.sweep import Progress
from support.commandline import METRICS, TypeLine
from support.places import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(?:bash|sh|console)?\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
LINES = [
    re.split(r"\s+#\s", line.strip().removeprefix("$ "))[0]
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
]
RUNS = sorted({line for line in LINES if re.match(r"(\S*python\S* run\.py|fcn-lab)\s", line)})
MAKES = sorted({line for line in LINES if line.startswith("make ")})
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_readme_names_the_two_commands() -> None:
    assert {"make demo", "make test"} <= set(MAKES)
    assert len(RUNS) >= 4


@pytest.mark.parametrize("line", MAKES)
def test_a_make_target_exists(line: str) -> None:
    assert {word for word in line.split()[1:] if "=" not in word} <= TARGETS


@pytest.mark.parametrize("line", RUNS)
def test_a_command_composes(
    line: str, type_line: TypeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Progress("done")
    monkeypatch.setattr(
        "fcn_lab.sweeps.loop.Sweep.run", lambda self: {cell.name: done for cell in self.cells}
    )
    monkeypatch.setattr("fcn_lab.sweeps.freeze._preflight", lambda *cells: None)
    type_line("hydra.run.dir=RUN_DIR")
    if "resume=" not in line:
        Path("RUN_DIR/metrics.json").write_text(METRICS)
    words = [re.sub(r"=runs/\S+", "=RUN_DIR", word) for word in shlex.split(line)]
    ended = type_line(*words[2 if "run.py" in words[1] else 1 :])
    assert ended.status == 0, ended.err


def test_the_continuous_check_runs_the_readmes_commands() -> None:
    commands = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in commands if line.startswith("make ")] == ["make test test-all demo"]
