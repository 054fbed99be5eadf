"""One worker from its start to the record of its end, however it ends."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest
import yaml

from fcn_lab.runs.attempts import EXIT_TAKEN, Attempt, begin_attempt, find_last_attempt
from fcn_lab.worker import supervisor
from fcn_lab.worker.supervisor import Job, Supervisor
from support.commandline import NO_TORCH, STUB
from support.places import ROOT
from support.waiting import PATIENCE, wait_until

CODE = ROOT


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command line lets its workers know."""
    monkeypatch.setenv("FCN_LAB_ALLOW", "stub.Task,own.Task")


def make(folder: Path, kind: str, minutes: float | None = None, target: str = "stub.Task") -> Job:
    cell = folder / kind
    cell.mkdir()
    task = {"_target_": target, "kind": kind, "seed": 0}
    (cell / "config.yaml").write_text(yaml.safe_dump({"seed": 0, "task": task}))
    return Job(cell, CODE, folder, minutes=minutes)


def record_of(job: Job) -> Attempt:
    attempt = find_last_attempt(job.folder)
    assert attempt is not None
    return attempt


def wait_until_asleep(job: Job) -> int:
    wait_until(lambda: job.log.exists() and "asleep" in job.log.read_text())
    pid: int = json.loads((job.folder / "facts.json").read_text())["pid"]
    return pid


@pytest.mark.parametrize(
    ("kind", "code", "status", "reason"),
    [
        ("work", 0, "done", ""),
        ("fail", 1, "failed", "RuntimeError: went wrong"),
        ("memory", 1, "failed", "MemoryError: no room"),
        ("refuse", 2, "failed", "fcn-lab: this is not for me"),
        ("segfault", -signal.SIGSEGV, "failed", "killed by SIGSEGV"),
    ],
)
def test_the_end_of_a_worker_is_written_down(
    kind: str, code: int, status: str, reason: str, stub: str, tmp_path: Path
) -> None:
    job = make(tmp_path, kind)
    assert Supervisor(job).run() == code
    attempt = record_of(job)
    assert (attempt.number, attempt.status, attempt.reason) == (1, status, reason)
    assert not attempt.is_alive()
    traced = (job.folder / "error.txt").exists()
    assert traced == (code == 1)


def test_a_worker_that_takes_too_long_is_ended(stub: str, tmp_path: Path) -> None:
    job = make(tmp_path, "sleep", minutes=0.02)
    # as the worker tells it, or, where that had not even started, as the system does
    assert Supervisor(job).run() in (128 + signal.SIGTERM, -signal.SIGTERM)
    assert record_of(job).status == "failed"
    assert record_of(job).reason == "timed out after 0.02 min"


def test_a_worker_killed_from_outside_has_failed(stub: str, tmp_path: Path) -> None:
    job, codes = make(tmp_path, "sleep"), list[int]()
    thread = threading.Thread(target=lambda: codes.append(Supervisor(job).run()))
    thread.start()
    os.kill(wait_until_asleep(job), signal.SIGKILL)
    thread.join(PATIENCE)
    assert codes == [-signal.SIGKILL]
    assert record_of(job).reason == "killed by SIGKILL (out of memory?)"


def test_a_worker_that_is_asked_to_stop_counts_as_stopped(stub: str, tmp_path: Path) -> None:
    job, codes = make(tmp_path, "sleep"), list[int]()
    running = Supervisor(job)
    thread = threading.Thread(target=lambda: codes.append(running.run()))
    thread.start()
    wait_until_asleep(job)
    running.stop(signal.SIGTERM)
    thread.join(PATIENCE)
    assert codes == [128 + signal.SIGTERM]
    assert record_of(job).status == "stopped"


def test_what_will_not_stop_is_killed_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = """
import signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen(["sleep", "600"]).pid, "asleep", flush=True)
time.sleep(600)
"""
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(
        supervisor, "build_worker_command", lambda _: [sys.executable, "-c", stubborn]
    )
    job, codes = make(tmp_path, "work"), list[int]()
    running = Supervisor(job)
    thread = threading.Thread(target=lambda: codes.append(running.run()))
    thread.start()
    wait_until(lambda: job.log.exists() and job.log.read_text().endswith("asleep\n"))
    running.stop(signal.SIGTERM)
    thread.join(PATIENCE)
    assert codes == [-signal.SIGKILL]
    child = Path("/proc", job.log.read_text().split()[0], "stat")
    wait_until(lambda: not child.exists() or child.read_text().split()[2] == "Z")


def test_a_cell_that_another_process_has_is_left_alone(stub: str, tmp_path: Path) -> None:
    job = make(tmp_path, "work")
    mine = begin_attempt(job.folder)
    assert Supervisor(job).run() == EXIT_TAKEN
    assert record_of(job) == mine
    assert not (job.folder / "facts.json").exists()


def test_a_process_of_the_same_number_on_another_machine_is_another(
    stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make(tmp_path, "work")
    path = begin_attempt(job.folder).path
    fields = {**json.loads(path.read_text()), "machine": "elsewhere"}
    # of a container, say, where the numbers begin anew
    script = f"import json, os; fields = {{**{fields!r}, 'pid': os.getpid()}}\n"
    script += f"json.dump(fields, open({str(path)!r}, 'w')); exit(1)"
    command = [sys.executable, "-c", script]
    monkeypatch.setattr(supervisor, "build_worker_command", lambda _: command)
    assert Supervisor(job).run() == 1
    assert (record_of(job).machine, record_of(job).status) == ("elsewhere", None)


def test_a_worker_asked_to_stop_before_it_starts_never_does(stub: str, tmp_path: Path) -> None:
    job = make(tmp_path, "work")
    stopped = Supervisor(job)
    stopped.stop(signal.SIGTERM)
    assert stopped.run() == 128 + signal.SIGTERM
    assert find_last_attempt(job.folder) is None


def test_a_worker_whose_runner_died_while_it_began_ends_itself(
    stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make(tmp_path, "sleep")
    # by then the worker is another process's child
    monkeypatch.setattr(supervisor.os, "getpid", lambda: 2**22)
    assert Supervisor(job).run() == 128 + signal.SIGTERM
    assert record_of(job).status == "stopped"


def test_a_worker_runs_the_frozen_sources_and_finds_modules_where_it_stands(tmp_path: Path) -> None:
    decoy = tmp_path / "fcn_lab"
    decoy.mkdir()
    (decoy / "__init__.py").write_text("raise RuntimeError('not these sources')")
    (tmp_path / "own.py").write_text(STUB)
    (tmp_path / "torch.py").write_text(NO_TORCH)
    job = make(tmp_path, "work", target="own.Task")
    assert Supervisor(job).run() == 0
