"""A file that is not what it was ends nothing but what needs it, and is named."""

import json
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fcn_lab.config.frozen import read_frozen, read_recorded
from fcn_lab.errors import UserError
from fcn_lab.report.runs import Run, find_runs
from fcn_lab.report.study import Study
from fcn_lab.report.writing import write_report
from fcn_lab.runs.attempts import begin_attempt, list_attempts
from fcn_lab.runs.digests import require_sound, write_listed
from fcn_lab.runs.outcomes import is_finished, read_history, read_metrics
from fcn_lab.runs.records import DamagedFile, read_arrays
from fcn_lab.runs.run import RunFolder
from fcn_lab.runs.sweep import Cell, SweepFolder
from fcn_lab.runs.table import CsvFile
from fcn_lab.sweeps.status import Status
from fcn_lab.sweeps.studies import describe_time
from support import damage, fakeruns
from support.commandline import TypeLine

SEED = 10
CELLS = ("model=fcn8s,seed=0", "model=fcn16s,seed=0", "model=fcn32s,seed=0")
FILES = ("metrics.json", "config.yaml", "history.csv", "confusions.npz", "predictions.zip")
READERS: dict[str, Callable[[Path], object]] = {
    "metrics.json": lambda path: read_metrics(path.parent),
    "config.yaml": read_recorded,
    "history.csv": lambda path: read_history(path.parent),
    "confusions.npz": read_arrays,
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of three cells that are done."""
    sweep = tmp_path_factory.mktemp("sound") / "all"
    frames, source = fakeruns.street(12)
    for name in CELLS:
        model = re.findall(r"fcn\w+", name)[0]
        (sweep / name).parent.mkdir(exist_ok=True)
        folder = sweep / name
        attempt = begin_attempt(folder)
        folder.rename(kept := sweep / "kept")
        fakeruns.write_run(folder, frames, source, model)
        (kept / "attempts").rename(folder / "attempts")
        kept.rmdir()
        attempt.end("done")
        text = (folder / "config.yaml").read_text()
        more = "task: {_target_: fcn_lab.tasks.train.Train}\nchoices: {}\nlinks: {}\n"
        (folder / "config.yaml").write_text(text + more)
        (folder / "env.json").write_text('{"run_id": "0123", "precision": "32-true"}\n')
    cells = [Cell(name, sweep / name, {"seed": 0}, epochs=3) for name in CELLS]
    study = {"question": "Which?", "report": "task=report"}
    SweepFolder(sweep, cells, asked=["seed=0"], code="1", study=study).write()
    (sweep / "estimate.json").write_text(json.dumps(dict.fromkeys(CELLS, 60.0)))
    return sweep


@pytest.fixture
def sweep(sound: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(sound, tmp_path / "all"))


def reported(sweep: Path) -> str:
    """What the pages of a report say."""
    written = write_report(Study.read([sweep]), sweep.parent / "report")
    return "".join(path.read_text() for path in written)


@pytest.mark.parametrize("name", FILES)
def test_a_report_leaves_a_damaged_run_out_and_says_so(name: str, sweep: Path) -> None:
    (sweep / CELLS[0] / name).write_bytes(b"{ half")
    text = reported(sweep)
    assert name in text
    assert CELLS[0] in text
    left = 3 if name == "predictions.zip" else 2
    assert len(find_runs([sweep])[0]) == left


def test_a_report_of_nothing_but_damage_names_the_first(sweep: Path) -> None:
    for name in CELLS:
        (sweep / name / "metrics.json").write_text("")
    with pytest.raises(UserError, match=r"metrics\.json.*\nNo run there can be read"):
        Study.read([sweep])


def test_a_report_goes_on_without_a_sweeps_own_record(sweep: Path) -> None:
    (sweep / "sweep.json").write_text("[]")
    assert "sweep.json: it holds no object" in reported(sweep)


@pytest.mark.parametrize("content", ["", '{"protocol": "p", "te', "{}", "[]", '{"protocol": "p"}'])
def test_a_cell_with_half_its_scores_is_not_done_and_is_run_again(
    content: str, sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sweep / CELLS[0]
    (folder / "metrics.json").write_text(content)
    assert not is_finished(folder)
    progress = SweepFolder.read(sweep).cells[0].read_progress()
    assert progress.status == "failed"
    assert "metrics.json is damaged" in progress.reason
    Status(str(sweep)).run()
    told = capsys.readouterr().out
    assert "2 done" in told
    assert "metrics.json is damaged" in told.replace("\n", " ")
    assert begin_attempt(folder).number == 2  # nobody is kept from it


def test_a_count_of_thousands_of_digits_is_damage(tmp_path: Path) -> None:
    """Python refuses to read it as a number."""
    (tmp_path / "history.csv").write_text(f"epoch,step,seconds\n{'1' * 5000},1,1.0\n")
    with pytest.raises(DamagedFile, match="line 2 describes no epoch"):
        read_history(tmp_path)


def test_a_run_whose_scores_are_damaged_is_gone_on_with(type_line: TypeLine) -> None:
    type_line("data=synthetic", "logger=none", "hydra.run.dir=here")
    shutil.rmtree("here/attempts")
    Path("here/history.csv").write_text("epoch,seconds\n0,1.0\n")
    Path("here/metrics.json").write_text("")
    ended = type_line("task=evaluate", "run=here")
    assert ended.status == 2
    assert "here/metrics.json is damaged" in ended.err
    assert "resume=here" in ended.err
    assert type_line("resume=here").command[-1] == "--resume"


def test_a_damaged_environment_is_put_aside_and_a_resume_goes_on(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(sweep / CELLS[0])
    run.env.write_text('{"run_id": "01')
    assert run.precision is None
    run.write_env({"device": "cpu", "precision": "32-true"})
    assert "env.json is damaged" in capsys.readouterr().out
    assert (run.path / "env.damaged.json").read_text() == '{"run_id": "01'
    assert json.loads(run.env.read_text())["run_id"] == run.run_id


def test_a_damaged_history_keeps_a_resume_from_cutting_it(sweep: Path) -> None:
    rows = CsvFile(RunFolder(sweep / CELLS[0]).history, ("epoch", "seconds"))
    rows.path.write_text("epoch,seconds\n0,1.0\n1,\x00\n")
    with pytest.raises(DamagedFile, match=r"history\.csv is damaged: line 3"):
        rows.keep(lambda row: True)
    assert "\x00" in rows.path.read_text()


def test_a_report_names_a_record_of_a_sweep_that_is_no_file(sweep: Path) -> None:
    (sweep / "sweep.json").unlink()
    (sweep / "sweep.json").mkdir()
    assert "sweep.json" in reported(sweep)


def refusal_of(read: Callable[[], object]) -> str:
    """What a user is told; nothing where it works."""
    try:
        read()
    except UserError as error:
        return str(error)
    return ""


def cases(name: str, count: int) -> Iterator[random.Random]:
    for number in range(count):
        yield random.Random(f"{SEED} {name} {number}")


@pytest.mark.parametrize("name", READERS)
def test_a_reader_gives_what_a_file_is_to_hold_or_names_it(name: str, sweep: Path) -> None:
    path, counts = sweep / CELLS[0] / name, Counter[str]()
    whole = path.read_bytes()
    for rng in cases(name, 120):
        damage.spoil(path, rng)
        told = refusal_of(lambda: READERS[name](path))
        assert not told or name in told
        assert len(told.splitlines()) <= 2
        counts["named" if told else "read"] += 1
        for one in path.parent.glob(f"{name}*"):
            damage.remove(one)
        path.write_bytes(whole)
    assert counts["named"] > 40
    assert READERS[name](path) is not None


OF_A_SWEEP = ("sweep.json", "estimate.json")
OF_A_CELL = (*FILES, "env.json", "attempts/1.json")
DAMAGES = 20  # of each file


def look(sweep: Path, name: str) -> str:
    """All that reads a sweep; gives the pages of the report."""
    cell = sweep / CELLS[0]
    is_finished(cell)
    list_attempts(cell)
    run = RunFolder(cell)
    assert isinstance(run.run_id, str)
    assert isinstance(run.precision, str | None)
    told = refusal_of(lambda: look_at_cells(sweep))
    assert not told or (name == "sweep.json" and name in told)
    for read in (read_frozen, read_recorded):
        told = refusal_of(lambda read=read: read(cell / "config.yaml"))  # type: ignore[misc]
        assert not told or name == "config.yaml"
    return reported(sweep)


def look_at_cells(sweep: Path) -> None:
    """What a runner and task=status read."""
    record = SweepFolder.read(sweep)
    record.write_results({cell.name: cell.read_progress() for cell in record.cells})
    describe_time(record)
    Status(str(sweep)).run()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", [*OF_A_CELL, *OF_A_SWEEP])
def test_no_damage_to_any_file_ends_a_report_or_a_status(
    name: str, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = Counter[str]()
    for number, rng in enumerate(cases(name, DAMAGES)):
        sweep = Path(shutil.copytree(sound, tmp_path / f"{number}" / "all"))
        path = sweep / name if name in OF_A_SWEEP else sweep / CELLS[0] / name
        kind = damage.spoil(path, rng)
        pages: list[str] = []
        refused = refusal_of(lambda: pages.append(look(sweep, name)))  # noqa: B023
        if refused:  # a file that is whole and says something else: no damage can be seen
            assert name == "metrics.json", refused
            assert "were scored by different protocols" in refused or "are both" in refused
        elif len(find_runs([sweep])[0]) < len(CELLS):
            assert path.name in pages[0]
        told = "a refusal" if refused else "named" if path.name in pages[0] else "not seen"
        counts[f"{kind}: {told}"] += 1
        shutil.rmtree(sweep.parent)
    capsys.readouterr()
    print(f"{name}, seed {SEED}: {', '.join(f'{n} {what}' for what, n in sorted(counts.items()))}")


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(sweep: Path) -> None:
    path = sweep / CELLS[0] / "metrics.json"
    path.unlink()
    os.mkfifo(path)
    assert not is_finished(path.parent)
    with pytest.raises(DamagedFile, match="it is no file"):
        Run.read(path.parent)


@pytest.mark.parametrize("name", ["best.ckpt", "SHA256SUMS"])
def test_a_pipe_in_the_place_of_a_checkpoint_is_not_waited_for(name: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.best_checkpoint.parent.mkdir()
    write_listed(run.best_checkpoint, b"no file of torch.save")
    (run.best_checkpoint.parent / name).unlink()
    os.mkfifo(run.best_checkpoint.parent / name)
    with pytest.raises(DamagedFile, match="it is no file"):
        require_sound(run.best_checkpoint)
