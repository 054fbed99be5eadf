"""A folder is free until a run in it has begun, and nobody's files in it are lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fcn_lab.errors import UserError
from fcn_lab.runs.attempts import begin_attempt, find_last_attempt
from fcn_lab.runs.processes import find_start_time
from fcn_lab.worker.claims import (
    LEFTOVER_FILES,
    RESULT_FILES,
    claim,
    count_levels,
    find_existing,
    has_begun,
    has_ended,
    require_free,
    withdraw,
)
from support.commandline import TypeLine
from support.places import RUN
from support.waiting import PATIENCE

CONFIG = "task: {_target_: stub.Task}\nseed: 0\nchoices: {}\nlinks: {}\n"


def put(folder: Path, *names: str) -> None:
    """Files with something in them; a name that ends in a slash is a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(CONFIG if path.name == "config.yaml" else "{}")


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def fail(folder: Path, status: str = "failed") -> None:
    begin_attempt(folder).end(status)


LEFT = ("config.yaml", "env.json", "error.txt", "git.diff", "checkpoints/", "wandb/run/files.txt")


@pytest.mark.parametrize(
    "leave",
    [
        lambda folder: None,
        lambda folder: put(folder, "notes.txt", "data/image.png"),
        lambda folder: put(folder, *LEFT),  # killed before runs had attempts
        lambda folder: (put(folder, *LEFT), fail(folder)),
        lambda folder: (put(folder, *LEFT), fail(folder, "stopped"), fail(folder)),
        # a task that ended in a refusal or a kill behind its first file: it is done when it is over
        lambda folder: (put(folder, *LEFT, "capacity.json"), fail(folder)),
        lambda folder: (put(folder, *LEFT, "confusions.npz", "panels/a.png"), fail(folder)),
    ],
)
def test_what_never_began_is_taken_over(leave: Callable[[Path], object], tmp_path: Path) -> None:
    leave(tmp_path)
    own = [name for name in tree(tmp_path) if name.startswith(("notes", "data", "capacity"))]
    assert not has_begun(tmp_path)
    attempt = claim(tmp_path)
    assert attempt == find_last_attempt(tmp_path)
    assert attempt.is_alive()
    assert [name for name in tree(tmp_path) if not name.startswith("attempts")] == own


@pytest.mark.parametrize(
    ("leave", "over"),
    [
        (lambda folder: put(folder, *LEFT, "history.csv"), False),
        (lambda folder: put(folder, *LEFT, "checkpoints/last.ckpt"), False),
        (lambda folder: put(folder, *LEFT, "stages/fcn32s/history.csv"), False),
        (lambda folder: (put(folder, *LEFT, "history.csv"), fail(folder)), False),
        (lambda folder: (put(folder, *LEFT), fail(folder, "done")), True),  # an audit, say
        (lambda folder: put(folder, *LEFT, "audit.json"), True),  # before runs had attempts
    ],
)
def test_a_run_that_has_begun_is_kept_and_said_how_to_go_on_with(
    leave: Callable[[Path], object], over: bool, tmp_path: Path
) -> None:
    leave(tmp_path)
    before = tree(tmp_path)
    assert (has_begun(tmp_path), has_ended(tmp_path)) == (True, over)
    with pytest.raises(UserError, match="finished" if over else f"\n.*resume={tmp_path}$"):
        claim(tmp_path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", [*LEFTOVER_FILES, *RESULT_FILES])
def test_files_of_ones_own_keep_a_run_out_that_would_write_over_them(
    name: str, tmp_path: Path
) -> None:
    mine = tmp_path / name.replace("*", "1")
    mine.write_text("mine")
    with pytest.raises(UserError, match=f"{mine.name}.*\n.*hydra.run.dir="):
        claim(tmp_path)
    assert tree(tmp_path) == [mine.name]
    assert mine.read_text() == "mine"


def test_a_folder_of_a_sweep_is_left_to_the_sweep(tmp_path: Path) -> None:
    put(tmp_path, "sweep.json", "cell/config.yaml", "other/notes.txt")
    for folder in (tmp_path, tmp_path / "cell"):
        with pytest.raises(UserError, match=f"\n.* -m sweep.dir={tmp_path}$"):
            require_free(folder)
    require_free(tmp_path / "other")


def test_a_refused_command_leaves_a_folder_as_it_was(tmp_path: Path) -> None:
    put(tmp_path, "a/", "d/notes.txt")
    for folder in (tmp_path / "a/b/c", tmp_path / "a", tmp_path / "d"):
        existing = find_existing(folder)
        before = tree(tmp_path)
        folder.mkdir(parents=True, exist_ok=True)  # as Hydra does
        attempt = claim(folder)
        put(folder, *LEFT, "env.json")
        attempt.end("failed")
        withdraw(attempt, count_levels(folder, existing))
        assert tree(tmp_path) == before


def test_what_was_computed_before_a_refusal_stays_and_makes_room_for_the_next(
    tmp_path: Path,
) -> None:
    attempt = claim(tmp_path)
    put(tmp_path, *LEFT, "capacity.json")
    attempt.end("failed", "not matched")
    withdraw(attempt, 5)
    assert {"capacity.json", "config.yaml"} <= set(tree(tmp_path))
    assert claim(tmp_path).number == 2


def test_a_link_among_the_leftovers_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/model.ckpt", "run/config.yaml")
    (tmp_path / "run" / "wandb").symlink_to(tmp_path / "elsewhere")
    claim(tmp_path / "run")
    assert not (tmp_path / "run" / "wandb").exists()
    assert (tmp_path / "elsewhere" / "model.ckpt").exists()


def type_stub(stub: str, *words: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, str(RUN), stub, "task=stub", "hydra.run.dir=a/here", *words]
    return subprocess.run(line, capture_output=True, text=True)


def test_after_a_mistake_the_corrected_command_works_in_the_same_folder(
    stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert type_stub(stub, "task.count=-1").returncode == 2
    assert not Path("a").exists()
    done = type_stub(stub)
    assert (done.returncode, done.stderr) == (0, "")
    assert [attempt.status for attempt in [find_last_attempt(Path("a/here"))] if attempt] == [
        "done"
    ]
    again = type_stub(stub)
    assert again.returncode == 2
    assert "finished" in again.stderr


@pytest.mark.slow
def test_a_run_killed_before_its_first_step_is_taken_over_or_started_by_a_resume(
    stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = [sys.executable, str(RUN), stub, "task=stub", "task.kind=sleep", "hydra.run.dir=here"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "asleep\n" in process.stdout
        process.kill()
    shutil.copytree("here", "other")
    taken = subprocess.run([*line[:4], "task.kind=train", line[-1]], capture_output=True, text=True)
    assert (taken.returncode, taken.stderr) == (0, "")
    assert json.loads(Path("here/facts.json").read_text())["resume"] is False
    # what was recorded sleeps again
    with subprocess.Popen(
        [*line[:2], "resume=other", "allow=[stub.Task]"], stdout=subprocess.PIPE, text=True
    ) as again:
        assert again.stdout is not None
        assert "asleep\n" in again.stdout
        again.send_signal(signal.SIGTERM)
    ended = find_last_attempt(Path("other"))
    assert ended is not None
    assert ended.status == "stopped"


@pytest.mark.slow
def test_of_two_resumes_at_once_one_runs_and_the_other_says_who_does(
    stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = [sys.executable, str(RUN), stub, "task=stub", "task.kind=flaky", "hydra.run.dir=here"]
    assert subprocess.run(line, capture_output=True).returncode == 1
    pair = [
        subprocess.Popen(
            [*line[:2], "resume=here", "allow=[stub.Task]"], stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=PATIENCE)[1] for process in pair]
    codes = [process.returncode for process in pair]
    assert sorted(codes) in ([0, 2], [0, 0])
    if codes != [0, 0]:  # the second came when the first was done
        assert f"process {pair[codes.index(0)].pid} on " in told[codes.index(2)]
    assert Path("here/steps.txt").read_text().split() == [str(step) for step in range(20)]


def test_a_command_that_only_looks_leaves_nothing(type_line: TypeLine) -> None:
    Path("mine").mkdir()
    type_line("task=report", "runs=mine", "hydra.run.dir=mine")
    type_line("task=status", "sweep.dir=mine")
    assert os.listdir() == ["mine"]


def test_a_held_folder_is_refused_by_name_of_the_holder_and_stays_as_it_is(
    type_line: TypeLine,
) -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        put(Path("here"), "config.yaml")
        mine = begin_attempt(Path("here"))
        known = {**json.loads(mine.path.read_text()), "pid": sleeper.pid, "host": "far"}
        mine.path.write_text(json.dumps({**known, "born": find_start_time(sleeper.pid)}))
        before = tree(Path("here"))
        for words in (["hydra.run.dir=here", "seed=3"], ["resume=here", "allow=[stub.Task]"]):
            ended = type_line(*words)
            assert ended.status == 2
            assert f"here is at work: process {sleeper.pid} on far, since " in ended.err
            assert tree(Path("here")) == before
        assert Path("here/config.yaml").read_text() == CONFIG
        sleeper.kill()
