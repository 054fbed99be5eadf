"""What the READMEs tell a reader to type exists."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from fcn_lab.runs.sweep import Cell, Progress, SweepFolder
from fcn_lab.sweeps.loop import Sweep
from support.commandline import METRICS, TypeLine
from support.fakeruns import write_grid
from support.pages import PAGES, find_blocks
from support.places import ROOT

BLOCKS = find_blocks("", "bash", "sh", "console")
LINES = [
    re.split(r"\s+#\s", line.strip().removeprefix("$ "))[0]
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
]
RUNS = sorted({line for line in LINES if re.match(r"(\S*python\S* run\.py|fcn-lab)\s", line)})
MAKES = sorted({line for line in LINES if line.startswith("make ")})
# one serves a page for ever, the other waits seconds for W&B; their own tests run them
SERVING = ("demo.task.Demo", "dashboard.task.Dashboard")
# the least of a done cell from which a search goes on
SCORED = '{"protocol": "stub", "val": {"mean_iou": 0.25}}'
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_readme_names_the_two_commands() -> None:
    assert {"make demo", "make test"} <= set(MAKES)


def test_no_command_of_the_pages_is_passed_over() -> None:
    # in the pages as they stand, whatever blocks they have
    typed = {
        re.split(r"\s+#\s", line.removeprefix("$ "))[0]
        for page in PAGES
        for line in page.read_text().splitlines()
        if re.match(r"(\$ )?([\w./]*python\S* run\.py|fcn-lab)\s", line)
    }
    assert typed == set(RUNS)


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


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms of two seeds in the folder of a sweep that is done."""
    folder = write_grid(
        tmp_path_factory.mktemp("made") / "study", ("fcn8s",), ("bilinear", "nearest"), (0, 1), 6
    )
    cells = [Cell(path.name, path, {}) for path in sorted(folder.iterdir())]
    SweepFolder(folder, cells).write()
    return folder


def finish_cells(sweep: Sweep) -> dict[str, Progress]:
    """Stands for hours of training."""
    for cell in sweep.cells:
        (cell.folder / "metrics.json").write_text(SCORED)
    return {cell.name: Progress("done") for cell in sweep.cells}


@pytest.mark.parametrize("line", RUNS)
def test_a_command_does_what_it_says_up_to_where_training_begins(
    line: str,
    study: Path,
    type_line: TypeLine,
    record: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Sweep, "run", finish_cells)
    monkeypatch.setattr("fcn_lab.sweeps.freeze._preflight", lambda *cells: None)
    for task in SERVING:
        monkeypatch.setattr(f"fcn_lab.{task}.run", lambda self: None)
    record("RUN_DIR")
    if "resume=" not in line:
        Path("RUN_DIR/metrics.json").write_text(METRICS)
    words = [re.sub(r"=runs/\S+", "=RUN_DIR", word) for word in shlex.split(line)]
    words = [re.sub(r"^runs=(?!RUN_DIR).*", f"runs={study}", word) for word in words]
    if "task=status" in words:
        words = [re.sub(r"^sweep\.dir=.*", f"sweep.dir={study}", word) for word in words]
    if {"hydra/sweeper=optuna", "experiment=tune"} & set(words):
        words.append("hydra.sweeper.n_trials=2")  # of 40, which take as long as they are many
    ended = type_line(*words[2 if "run.py" in words[1] else 1 :])
    assert ended.status == 0, ended.err
    if "task=report" in words:
        assert (
            "Asked were operators (bilinear, nearest): 2 arms"
            in (study / "report" / "report.md").read_text()
        )
    if "task=status" in words:
        assert "4 done" in ended.out
    if "hydra.sweeper.n_trials=2" in words:
        assert len(list(Path().glob("multirun/*/best.yaml"))) == 1


def test_the_continuous_check_runs_the_readmes_commands() -> None:
    commands = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in commands if line.startswith("make ")] == ["make test demo"]
