"""What a sweep was frozen with is what its cells run, and a change is told before it counts."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fcn_lab.runs.attempts import begin_attempt
from fcn_lab.runs.sweep import Progress, SweepFolder
from fcn_lab.sweeps import freeze as freezing
from fcn_lab.sweeps import snapshot
from fcn_lab.sweeps.loop import Sweep
from support.commandline import METRICS, Ended, TypeLine

Again = Callable[..., Ended]


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one file in the place of ours."""
    package = tmp_path / "sources" / "fcn_lab"
    package.mkdir(parents=True)
    (package / "net.py").write_text("depth = 1\n")
    monkeypatch.setattr(snapshot, "PACKAGE", package)
    return package


@pytest.fixture
def again(type_line: TypeLine, stub: str, sources: Path, monkeypatch: pytest.MonkeyPatch) -> Again:
    """`again("task.count=3")` types one sweep of two cells with words added; no worker starts."""

    def stand_still(sweep: Sweep) -> dict[str, Progress]:
        return {cell.name: cell.read_progress() for cell in sweep.cells}

    monkeypatch.setattr(Sweep, "run", stand_still)
    monkeypatch.setattr(freezing, "_preflight", lambda *cells: None)
    return lambda *words: type_line(stub, "-m", "task=stub", "seed=1,2", "sweep.dir=all", *words)


def make_a_step(cell: str = "seed=1") -> None:
    """Leaves what a training leaves at its first."""
    Path("all", cell, "history.csv").touch()


def count_of(cell: str) -> int:
    config = yaml.safe_load(Path("all", cell, "config.yaml").read_text())
    count: int = config["task"]["count"]
    return count


def test_cells_run_the_sources_as_they_were(again: Again, sources: Path) -> None:
    again()
    (sources / "net.py").write_text("depth = 2\n")
    (copy,) = Path("all/code").glob("*/fcn_lab/net.py")
    assert copy.read_text() == "depth = 1\n"
    assert copy.parent.parent.name == SweepFolder.read(Path("all")).code


def test_a_folder_that_pythons_search_path_would_split_is_refused(again: Again) -> None:
    ended = again("sweep.dir=at 12:00")
    assert ended.status == 2
    assert ended.err.splitlines() == [
        "fcn-lab: at 12:00: Python's search path cannot name a folder with : in its path, so "
        "that cells would run other sources.",
        "Type sweep.dir=FOLDER without it",
    ]
    assert not Path("at 12:00").exists()


def test_changed_sources_are_named_and_taken_only_when_accepted(
    again: Again, sources: Path
) -> None:
    again()
    make_a_step()
    (sources / "net.py").write_text("depth = 2\n")
    refused = again()
    assert refused.status == 2
    assert "changed since all was frozen: net.py" in refused.err
    assert "sweep.accept_changes=true" in refused.err
    again("sweep.accept_changes=true")
    assert "sweep.accept_changes=true" not in SweepFolder.read(Path("all")).asked
    code = SweepFolder.read(Path("all")).code
    assert Path("all/code", code, "fcn_lab/net.py").read_text() == "depth = 2\n"
    assert again().status == 1  # accepted once, the new sources are the frozen ones


def test_changed_code_of_ones_own_is_named_and_taken_only_when_accepted(
    again: Again, tmp_path: Path
) -> None:
    again()
    make_a_step()
    module = tmp_path / "stub.py"
    module.write_text(f"{module.read_text()}\n# another task than before\n")
    refused = again()
    assert refused.status == 2
    assert "changed since all was frozen: stub.py." in refused.err
    again("sweep.accept_changes=true")
    assert again().status == 1  # nothing is refused, and not all is done


def test_code_of_ones_own_is_a_module_or_a_package_and_what_is_installed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts" / "deep").mkdir(parents=True)
    for name in ("parts/__init__.py", "parts/deep/net.py", "alone.py", "other.py", "parts/a.txt"):
        (tmp_path / name).touch()
    targets = ("alone.Task", "parts.deep.net.Net", "torch.nn.Conv2d", "math.sqrt", "absent.Net")
    hashes = snapshot.hash_own_code([{"part": {"_target_": name}} for name in targets])
    assert {*hashes} == {"alone.py", "parts/__init__.py", "parts/deep/net.py"}


def test_changed_sources_do_not_matter_when_all_is_done(again: Again, sources: Path) -> None:
    again()
    for cell in ("seed=1", "seed=2"):
        Path("all", cell, "metrics.json").write_text(METRICS)
    (sources / "net.py").write_text("depth = 2\n")
    assert again().status == 0


@pytest.mark.slow
def test_a_word_whose_file_changed_is_named_with_the_key(again: Again, tmp_path: Path) -> None:
    again()
    make_a_step()
    word = tmp_path / "own" / "task" / "stub.yaml"
    word.write_text(word.read_text().replace("count: 1", "count: 5"))
    assert count_of("seed=1") == 1
    refused = again()
    assert refused.status == 2
    assert "task.count=1" in refused.err
    assert "task.count=5" in refused.err


def test_a_done_cell_of_other_settings_does_not_pass_for_what_is_asked(again: Again) -> None:
    again("trainer.max_epochs=10")
    for cell in ("seed=1", "seed=2"):
        Path("all", cell, "metrics.json").write_text(METRICS)
    assert again("trainer.max_epochs=10").status == 0
    other = ("trainer.max_epochs=20", "seed=1,2,3")
    refused = again(*other)
    assert (refused.status, Path("all/seed=3").exists()) == (2, False)
    assert "seed=1 was frozen with trainer.max_epochs=10" in refused.err
    again(*other, "sweep.accept_changes=true")
    assert [cell.epochs for cell in SweepFolder.read(Path("all")).cells] == [10, 10, 20]


def test_a_done_cell_may_be_logged_otherwise_and_lack_what_is_younger(again: Again) -> None:
    again()
    for cell in ("seed=1", "seed=2"):
        Path("all", cell, "metrics.json").write_text(METRICS)
        config = Path("all", cell, "config.yaml")
        config.write_text(config.read_text().replace("flip: ", "older: "))
    assert again("seed=1,2,3", "logger=csv", "data.root=moved").status == 1


def test_accepted_settings_reach_the_cells_that_have_not_begun(again: Again) -> None:
    again()
    make_a_step()
    again("task.count=5", "sweep.accept_changes=true")
    assert (count_of("seed=1"), count_of("seed=2")) == (1, 5)


@pytest.mark.parametrize("status", ["failed", "stopped"])
def test_a_sweep_of_which_no_cell_has_begun_is_taken_over(again: Again, status: str) -> None:
    again("task.count=-5")  # cells that refuse it when they run
    for cell in ("seed=1", "seed=2"):
        begin_attempt(Path("all", cell)).end(status)
        Path("all", cell, "error.txt").touch()
    assert again("task.count=5").err == ""
    assert count_of("seed=1") == count_of("seed=2") == 5
    assert not list(Path("all").glob("*/error.txt"))


def test_a_config_that_was_cut_off_is_named_with_what_to_do(again: Again) -> None:
    again()
    Path("all/seed=1/config.yaml").write_text("task: {")
    refused = again()
    assert refused.status == 2
    assert refused.err.splitlines() == [
        "fcn-lab: all/seed=1/config.yaml was not written by a run, and a run would overwrite it.",
        "sweep.dir= chooses another folder.",
    ]


def test_a_sweep_with_a_cell_at_work_is_not_taken_over(again: Again) -> None:
    again("task.count=4")
    begin_attempt(Path("all/seed=1"))
    assert "task.count=4" in again("task.count=5").err
    assert count_of("seed=1") == count_of("seed=2") == 4


def test_a_cell_that_another_runner_begins_meanwhile_keeps_what_it_has(
    again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    again("task.count=4")
    environment, freeze = Path("all/seed=2/env.json"), freezing.freeze

    def begin_the_other(content: Mapping[str, Any], folder: Path) -> None:
        freeze(content, folder)
        begin_attempt(environment.parent)
        environment.touch()

    monkeypatch.setattr(freezing, "freeze", begin_the_other)
    assert "task.count=4" in again("task.count=5").err
    assert environment.exists()
    assert count_of("seed=2") == 4


@pytest.mark.parametrize("name", ["results.csv", "seed=1/metrics.json", "seed=2/config.yaml"])
def test_files_of_ones_own_keep_a_sweep_out(again: Again, name: str) -> None:
    mine = Path("all", name)
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    ended = again()
    assert ended.status == 2
    assert mine.name in ended.err
    assert [path for path in Path("all").rglob("*") if path.is_file()] == [mine]


@pytest.mark.slow
def test_a_sweep_that_is_refused_leaves_a_folder_as_it_was(type_line: TypeLine, stub: str) -> None:
    for name in ("task.count=-1/notes.txt", "code/mine.py", "notes.txt"):
        Path("all", name).parent.mkdir(parents=True, exist_ok=True)
        Path("all", name).write_text("mine")
    before = sorted(Path("all").rglob("*"))
    ended = type_line(stub, "-m", "task=stub", "task.count=1,-1", "sweep.dir=all")
    assert ended.status == 2
    assert sorted(Path("all").rglob("*")) == before
    type_line(stub, "-m", "task=stub", "task.count=-1,-2")
    assert not Path("multirun").exists()


def test_cells_may_be_added_to_a_sweep(again: Again) -> None:
    again()
    assert again("seed=2,3").status == 1
    names = [cell.name for cell in SweepFolder.read(Path("all")).cells]
    assert names == ["seed=1", "seed=2", "seed=3"]


def test_a_cell_that_cannot_be_built_stops_all_and_leaves_nothing(
    type_line: TypeLine, stub: str
) -> None:
    ended = type_line(stub, "-m", "task=stub", "task.count=1,-1", "sweep.dir=all")
    assert ended.status == 2
    assert "task.count=-1: " in ended.err
    assert "expected 0 or more" in ended.err
    assert not list(Path("all").glob("*/config.yaml"))
    assert not Path("all/code").exists()


@pytest.mark.slow
def test_the_folder_alone_stands_for_its_command(
    again: Again, type_line: TypeLine, stub: str
) -> None:
    again("task.count=7")
    before = json.loads(Path("all/sweep.json").read_text())
    ended = type_line(stub, "-m", "sweep.dir=all")
    assert ended.status == 1
    assert json.loads(Path("all/sweep.json").read_text()) == before
    without_own_words = type_line("-m", "sweep.dir=all")
    assert without_own_words.status == 2
    assert "task=stub, and there is no such word here" in without_own_words.err
    assert "Type --config-dir=FOLDER for words of your own" in without_own_words.err


def test_what_is_trusted_is_said_beside_the_folder_and_not_recorded(
    again: Again, type_line: TypeLine, stub: str
) -> None:
    again("allow=[my.Loss]")
    before = json.loads(Path("all/sweep.json").read_text())
    assert not any("allow" in word for word in before["asked"])
    assert type_line(stub, "-m", "sweep.dir=all", "allow=[my.Loss]").status == 1
    assert json.loads(Path("all/sweep.json").read_text()) == before


def test_changes_that_were_accepted_once_are_not_accepted_by_the_folder(
    again: Again, sources: Path, type_line: TypeLine, stub: str
) -> None:
    again()
    make_a_step()
    record = Path("all/sweep.json")
    # as it was recorded once
    asked = '"asked": ['
    record.write_text(record.read_text().replace(asked, f'{asked}"sweep.accept_changes=true",'))
    (sources / "net.py").write_text("depth = 2\n")
    refused = type_line(stub, "-m", "sweep.dir=all")
    assert refused.status == 2
    assert "net.py" in refused.err


def test_a_folder_that_holds_no_sweep_cannot_stand_for_one(type_line: TypeLine) -> None:
    Path("empty").mkdir()
    ended = type_line("task=status", "sweep.dir=empty")
    assert ended.status == 2
    assert "empty holds no sweep" in ended.err


@pytest.mark.slow
def test_the_same_words_in_any_order_have_the_same_folder(
    type_line: TypeLine, stub: str, again: Again
) -> None:
    for words in (("seed=1,2", "model=fcn8s"), ("model=fcn8s", "seed=1,2")):
        type_line(stub, "-m", "task=stub", *words)
    type_line(stub, "-m", "task=stub", "seed=1,2", "model=fcn8s", "sweep.retries=3")
    (folder,) = Path("multirun").iterdir()
    assert folder.name.startswith("seed-")
    type_line(stub, "-m", "task=stub", "seed=1,2", "model=unet")
    assert len(list(Path("multirun").iterdir())) == 2


def test_the_same_axes_in_any_order_are_the_same_cells(
    type_line: TypeLine, stub: str, again: Again
) -> None:
    axes = ("seed=1,2", "model=fcn8s,unet")
    for place in ((), ("sweep.dir=mine",)):
        frozen = []
        for words in (axes, axes[::-1]):
            assert type_line(stub, "-m", "task=stub", *words, *place).err == ""
            frozen.append(sorted(str(path) for path in Path().rglob("config.yaml")))
        assert frozen[0] == frozen[1]
    assert len(frozen[0]) == 8
