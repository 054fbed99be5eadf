"""What the READMEs tell a reader to type exists."""

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from fcn_lab.runs.sweep import Progress
from support.commandline import METRICS, TypeLine
from support.places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "fcn_lab").rglob("README.md"))]
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(
        r"^```(?:bash|sh|console)?\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL
    )
]
LINES = [
    re.split(r"\s+#\s", line.strip().removeprefix("$ "))[0]
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
]
RUNS = sorted({line for line in LINES if re.match(r"(\S*python\S* run\.py|fcn-lab)\s", line)})
MAKES = sorted({line for line in LINES if line.startswith("make ")})
# tasks that need a folder full of runs, or serve a page
LOOKING = (
    "report.task.Report",
    "demo.task.Demo",
    "dashboard.task.Dashboard",
    "sweeps.status.Status",
)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_readme_names_the_two_commands() -> None:
    assert {"make demo", "make test"} <= set(MAKES)
    assert len(RUNS) >= 4


def test_the_front_page_is_short_and_the_rest_lies_in_the_folders() -> None:
    assert len(PAGES[0].read_text().splitlines()) <= 170
    assert {page.parent.name for page in PAGES[1:]} >= {"data", "sweeps", "report", "inference"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("line", MAKES)
def test_a_make_target_exists(line: str) -> None:
    assert {word for word in line.split()[1:] if "=" not in word} <= TARGETS


@pytest.mark.parametrize("line", RUNS)
def test_a_command_composes(
    line: str, type_line: TypeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Progress("done")
    best = SimpleNamespace(value=0.5, user_attrs={"cell": "cell"})
    monkeypatch.setattr("fcn_lab.sweeps.search.Search.run", lambda self, split: best)
    monkeypatch.setattr(
        "fcn_lab.sweeps.loop.Sweep.run", lambda self: {cell.name: done for cell in self.cells}
    )
    monkeypatch.setattr("fcn_lab.sweeps.freeze._preflight", lambda *cells: None)
    for task in LOOKING:
        monkeypatch.setattr(f"fcn_lab.{task}.run", lambda self: None)
    type_line("hydra.run.dir=RUN_DIR")
    if "resume=" not in line:
        Path("RUN_DIR/metrics.json").write_text(METRICS)
    words = [re.sub(r"=runs/\S+", "=RUN_DIR", word) for word in shlex.split(line)]
    ended = type_line(*words[2 if "run.py" in words[1] else 1 :])
    assert ended.status == 0, ended.err


def test_the_continuous_check_runs_the_readmes_commands() -> None:
    commands = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in commands if line.startswith("make ")] == ["make test demo"]
