"""A cell is run by one process at a time, wherever the others are, and taken up when that dies."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fcn_lab import attempts
from fcn_lab.attempts import LIFETIME, TAKEN, Attempt, Taken, begin, born, last

HERE = {"machine": attempts.machine(), "host": "here"}
THERE = {"machine": "another", "host": "there"}


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
    then = time.time() - LIFETIME - 1
    os.utime(attempt.path, (then, then))


def claim(folder: Path, gate: Path, answers: "multiprocessing.Queue[bool]") -> None:
    while not gate.exists():
        pass
    try:
        begin(folder)
        answers.put(True)
    except Taken:
        answers.put(False)
    time.sleep(60)  # a claim of a dead process could be taken over


def test_of_many_processes_at_once_one_gets_the_cell(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    for round_ in range(5):
        folder, gate = tmp_path / str(round_), tmp_path / f"{round_}.gate"
        folder.mkdir()
        answers = fork.Queue()
        rivals = [fork.Process(target=claim, args=(folder, gate, answers)) for _ in range(8)]
        for rival in rivals:
            rival.start()
        gate.touch()
        won = [answers.get(timeout=20) for _ in rivals]
        for rival in rivals:
            rival.kill()
            rival.join()
        assert won.count(True) == 1


def test_a_process_that_lives_keeps_its_cell(tmp_path: Path, sleeper: int) -> None:
    grow_old(write(tmp_path, sleeper, born(sleeper), HERE))  # on its own machine age says nothing
    with pytest.raises(Taken, match=f"process {sleeper}"):
        begin(tmp_path)


def test_a_number_given_to_another_process_is_not_the_one_that_had_the_cell(
    tmp_path: Path, sleeper: int
) -> None:
    write(tmp_path, sleeper, born(sleeper) - 1000, HERE)
    assert begin(tmp_path).number == 2


def test_a_dead_process_loses_its_cell_at_once(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"])
    write(tmp_path, process.pid, born(process.pid), HERE)
    process.kill()
    while born(process.pid):  # dead and not yet waited for: a zombie holds nothing
        time.sleep(0.01)
    assert begin(tmp_path).number == 2
    process.wait()


def test_on_another_machine_a_cell_is_held_while_its_file_is_touched(tmp_path: Path) -> None:
    attempt = write(tmp_path, os.getpid(), born(os.getpid()), THERE)
    with pytest.raises(Taken, match="there"):
        begin(tmp_path)
    grow_old(attempt)
    assert not attempt.alive()
    assert begin(tmp_path).number == 2


def test_an_attempt_that_has_ended_holds_nothing(tmp_path: Path, sleeper: int) -> None:
    write(tmp_path, sleeper, born(sleeper), HERE).end("failed", "why")
    ended = last(tmp_path)
    assert ended is not None
    assert (ended.status, ended.reason) == ("failed", "why")
    assert begin(tmp_path).number == 2


def test_a_file_that_was_created_and_never_written_is_judged_by_its_age(tmp_path: Path) -> None:
    attempt = write(tmp_path, 1, 1.0, THERE)
    attempt.path.write_text("")
    with pytest.raises(Taken):
        begin(tmp_path)
    grow_old(attempt)
    assert begin(tmp_path).number == 2


def test_attempts_count_on_beyond_nine(tmp_path: Path) -> None:
    for number in range(1, 12):
        write(tmp_path, 0, 0.0, HERE, number).end("failed")
    assert begin(tmp_path).number == 12


def test_a_process_that_was_overtaken_ends_itself(tmp_path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from fcn_lab import attempts
attempts.HEARTBEAT = 0.02
attempts.keep_alive(attempts.begin(Path({str(tmp_path)!r})))
print("began", flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n"
        mine = last(tmp_path)
        assert mine is not None
        assert mine.alive()
        before = mine.path.stat().st_mtime_ns
        while mine.path.stat().st_mtime_ns == before:  # its heart beats
            assert process.poll() is None
            time.sleep(0.01)
        replace(mine, path=mine.path.with_stem("2")).end("failed")
        assert process.wait(10) == TAKEN
