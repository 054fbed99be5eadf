"""A cell is run by one process at a time, wherever the others are, and taken up when that dies."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psutil
import pytest

from fcn_lab.runs import attempts
from fcn_lab.runs.attempts import (
    EXIT_TAKEN,
    LIFETIME_SECONDS,
    Attempt,
    RunConflict,
    begin_attempt,
    find_last_attempt,
)
from fcn_lab.runs.processes import find_start_time, identify_machine
from support.waiting import PATIENCE

HERE = {"machine": identify_machine(), "host": "here"}
THERE = {"machine": "another", "host": "there"}


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(attempts, "WATCH_SECONDS", 0.2)


def birth(pid: int) -> float:
    known = find_start_time(pid)
    assert known
    return known


@pytest.fixture
def sleeper() -> Iterator[int]:
    """The number of a process that lives for the length of the test."""
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid
    process.kill()
    process.wait()


def write(folder: Path, pid: int, born: float, where: dict[str, str], number: int = 1) -> Attempt:
    """An attempt as another process would have left it."""
    path = folder / "attempts" / f"{number}.json"
    path.parent.mkdir(exist_ok=True)
    known = {"pid": pid, "born": born, "began": time.time(), **where}
    path.write_text(json.dumps(known))
    return Attempt(path, **known)  # type: ignore[arg-type]


def grow_old(attempt: Attempt) -> None:
    then = time.time() - LIFETIME_SECONDS - 1
    os.utime(attempt.path, (then, then))


def test_a_holder_that_has_just_come_is_named_once_it_has_written_its_name(
    sleeper: int, tmp_path: Path
) -> None:
    claimed = tmp_path / "attempts" / "1.json"
    claimed.parent.mkdir()
    claimed.touch()
    naming = threading.Timer(0.1, write, (tmp_path, sleeper, birth(sleeper), HERE))
    naming.start()
    with pytest.raises(RunConflict, match=f"process {sleeper}"):
        begin_attempt(tmp_path)
    naming.join()


def test_a_holder_that_never_writes_its_name_is_another_process(tmp_path: Path) -> None:
    (tmp_path / "attempts").mkdir()
    (tmp_path / "attempts" / "1.json").touch()
    with pytest.raises(RunConflict, match="is at work: another process"):
        begin_attempt(tmp_path)


def claim(folder: Path, gate: Barrier, answers: "multiprocessing.Queue[bool]") -> None:
    gate.wait()
    try:
        begin_attempt(folder)
        answers.put(True)
    except RunConflict:
        answers.put(False)
    time.sleep(60)  # a claim of a dead process could be taken over


@pytest.mark.slow
def test_of_many_processes_at_once_one_gets_the_cell(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    for round_ in range(5):
        folder, gate, answers = tmp_path / str(round_), fork.Barrier(8), fork.Queue()
        folder.mkdir()
        rivals = [fork.Process(target=claim, args=(folder, gate, answers)) for _ in range(8)]
        for rival in rivals:
            rival.start()
        won = [answers.get(timeout=PATIENCE) for _ in rivals]
        for rival in rivals:
            rival.kill()
            rival.join()
        assert won.count(True) == 1


def test_a_process_that_lives_keeps_its_cell(tmp_path: Path, sleeper: int) -> None:
    grow_old(write(tmp_path, sleeper, birth(sleeper), HERE))  # on its own machine age says nothing
    with pytest.raises(RunConflict, match=f"process {sleeper}"):
        begin_attempt(tmp_path)


def test_a_number_given_to_another_process_is_not_the_one_that_had_the_cell(
    tmp_path: Path, sleeper: int
) -> None:
    write(tmp_path, sleeper, birth(sleeper) - 1000, HERE)
    assert begin_attempt(tmp_path).number == 2


def test_a_dead_process_loses_its_cell_at_once(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"])
    write(tmp_path, process.pid, birth(process.pid), HERE)
    process.kill()
    while find_start_time(process.pid):  # dead and not yet waited for: a zombie holds nothing
        time.sleep(0.01)
    assert begin_attempt(tmp_path).number == 2
    process.wait()


def test_on_another_machine_a_cell_is_held_while_its_file_is_touched(tmp_path: Path) -> None:
    attempt = write(tmp_path, os.getpid(), birth(os.getpid()), THERE)
    with pytest.raises(RunConflict, match="there"):
        begin_attempt(tmp_path)
    grow_old(attempt)
    assert not attempt.is_alive()
    assert begin_attempt(tmp_path).number == 2


@pytest.mark.parametrize("hours", [-5, 5])
def test_on_another_machine_a_clock_that_was_set_takes_no_run_from_a_living_process(
    hours: int, tmp_path: Path
) -> None:
    attempt = write(tmp_path, 1, 1.0, THERE)
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.02):
            then = time.time() + 3600 * hours
            os.utime(attempt.path, (then, then))

    heart = threading.Thread(target=beat)
    heart.start()
    while attempt.is_alive():
        pass
    with pytest.raises(RunConflict, match="there"):
        begin_attempt(tmp_path)
    stop.set()
    heart.join()
    assert (
        begin_attempt(tmp_path).number == 2
    )  # and no dead one keeps it, until that hour or for ever


@pytest.mark.parametrize("hours", [-5, 5])
def test_on_its_own_machine_a_process_lives_however_the_clock_is_set(
    hours: int, tmp_path: Path, sleeper: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = write(tmp_path, sleeper, birth(sleeper), HERE)
    booted, now = psutil.boot_time(), time.time()
    monkeypatch.setattr(psutil, "boot_time", lambda: booted + 3600 * hours)
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 3600 * hours)
    monkeypatch.setattr(time, "time", lambda: now + 3600 * hours)
    then = now - 3600 * hours
    os.utime(attempt.path, (then, then))
    assert attempt.is_alive()
    with pytest.raises(RunConflict, match=f"process {sleeper}"):
        begin_attempt(tmp_path)


def test_the_time_an_attempt_took_is_not_that_of_a_clock_that_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, now = begin_attempt(tmp_path), time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    attempt.end("failed")
    ended = find_last_attempt(tmp_path)
    assert ended is not None
    assert 0 <= ended.seconds < 60


def test_a_process_that_becomes_another_program_keeps_its_folder(tmp_path: Path) -> None:
    assert begin_attempt(tmp_path) == begin_attempt(tmp_path)


def test_files_that_are_no_attempts_are_passed_over(tmp_path: Path) -> None:
    begin_attempt(tmp_path)
    (tmp_path / "attempts" / "notes.json").write_text("[]")
    (tmp_path / "attempts" / "2.json").write_text("[1]")
    damaged = find_last_attempt(tmp_path)
    assert damaged is not None
    assert (damaged.number, damaged.status) == (2, None)


def test_an_attempt_that_has_ended_holds_nothing(tmp_path: Path, sleeper: int) -> None:
    write(tmp_path, sleeper, birth(sleeper), HERE).end("failed", "why")
    ended = find_last_attempt(tmp_path)
    assert ended is not None
    assert (ended.status, ended.reason) == ("failed", "why")
    assert begin_attempt(tmp_path).number == 2


def test_a_file_that_was_created_and_never_written_is_judged_by_its_age(tmp_path: Path) -> None:
    attempt = write(tmp_path, 1, 1.0, THERE)
    attempt.path.write_text("")
    with pytest.raises(RunConflict):
        begin_attempt(tmp_path)
    grow_old(attempt)
    assert begin_attempt(tmp_path).number == 2


def test_attempts_count_on_beyond_nine(tmp_path: Path) -> None:
    for number in range(1, 12):
        write(tmp_path, 0, 0.0, HERE, number).end("failed")
    assert begin_attempt(tmp_path).number == 12


def test_a_process_that_was_overtaken_ends_itself(tmp_path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from fcn_lab.runs import attempts
attempts.HEARTBEAT_SECONDS = 0.02
attempts.keep_alive(attempts.begin_attempt(Path({str(tmp_path)!r})))
print("began", flush=True)
time.sleep(600)
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n"
        mine = find_last_attempt(tmp_path)
        assert mine is not None
        assert mine.is_alive()
        before = mine.path.stat().st_mtime_ns
        while mine.path.stat().st_mtime_ns == before:  # its heart beats
            assert process.poll() is None
            time.sleep(0.01)
        replace(mine, path=mine.path.with_stem("2")).end("failed")
        assert process.wait(PATIENCE) == EXIT_TAKEN
