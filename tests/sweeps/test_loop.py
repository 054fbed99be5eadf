"""Every cell gets done once, whatever becomes of workers, runners and machines."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from fcn_lab.errors import UserError
from fcn_lab.runs.attempts import (
    EXIT_TAKEN,
    RunConflict,
    begin_attempt,
    find_last_attempt,
    list_attempts,
)
from fcn_lab.runs.sweep import Cell, Progress, SweepFolder
from fcn_lab.sweeps.engines.base import EndedJob
from fcn_lab.sweeps.loop import Policy, Sweep
from fcn_lab.worker.supervisor import Job
from support.commandline import METRICS
from support.places import RUN
from support.waiting import PATIENCE


class Scripted:
    """An engine whose workers end as they were told to, one after the other.

    Args:
        ends: by the cell's name, the exit statuses of its attempts in turn; then 0.
    """

    runs_here = True

    def __init__(self, **ends: list[int]) -> None:
        self.ends = ends
        self.queue: list[Job] = []
        self.started: list[str] = []
        self.never_started: list[EndedJob] = []
        self.closed = False

    def submit(self, jobs: Sequence[Job]) -> None:
        self.queue += jobs

    def collect_ended(self, patience: float) -> list[EndedJob]:
        if not self.queue:
            gone, self.never_started = self.never_started, []
            return gone
        job = self.queue.pop(0)
        name = job.folder.name
        self.started.append(name)
        code = self.ends[name].pop(0) if self.ends.get(name) else 0
        if code != EXIT_TAKEN:
            attempt = begin_attempt(job.folder)
            if code == 0:
                (job.folder / "metrics.json").write_text(METRICS)
            attempt.end("failed" if code else "done")
        return [(job, code)]

    def stop(self, jobs: Sequence[Job] | None = None) -> None:
        gone = [job for job in self.queue if jobs is None or job in jobs]
        self.queue = [job for job in self.queue if job not in gone]
        self.never_started += [(job, 128 + signal.SIGTERM) for job in gone]

    def close(self) -> None:
        self.closed = True


def make(folder: Path, engine: Scripted, policy: Policy, names: str = "abc") -> Sweep:
    cells = [Cell(name, folder / name, {}) for name in names]
    for cell in cells:
        cell.folder.mkdir(exist_ok=True)
    return Sweep(SweepFolder(folder, cells, code="1"), cells, engine, policy)


def statuses(progress: dict[str, Progress]) -> dict[str, str]:
    return {name: now.status for name, now in progress.items()}


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_a_failed_cell_is_tried_again_as_often_as_was_said(retries: int, tmp_path: Path) -> None:
    engine = Scripted(b=[1, 1])
    ended = make(tmp_path, engine, Policy(retries=retries)).run()
    assert Counter(engine.started) == {"a": 1, "b": min(retries, 2) + 1, "c": 1}
    assert statuses(ended)["b"] == ("done" if retries == 2 else "failed")
    assert engine.closed


def test_a_users_mistake_is_not_tried_again(tmp_path: Path) -> None:
    engine = Scripted(b=[2])
    make(tmp_path, engine, Policy(retries=5)).run()
    assert engine.started == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("on_failure", "started"), [("continue", ["a", "b", "c"]), ("stop", ["a", "b"])]
)
def test_a_sweep_goes_on_after_a_failure_or_ends_as_was_said(
    on_failure: str, started: list[str], tmp_path: Path
) -> None:
    engine = Scripted(b=[1])
    policy = Policy(on_failure=on_failure)  # type: ignore[arg-type]
    ended = make(tmp_path, engine, policy).run()
    assert engine.started == started
    assert statuses(ended)["c"] == ("done" if on_failure == "continue" else "waiting")


def test_a_cell_that_is_done_is_not_run_again(tmp_path: Path) -> None:
    make(tmp_path, Scripted(b=[1]), Policy()).run()
    engine = Scripted()
    ended = make(tmp_path, engine, Policy()).run()
    assert engine.started == ["b"]
    assert set(statuses(ended).values()) == {"done"}


def test_a_cell_of_another_runner_is_waited_for_and_taken_up_when_that_dies(tmp_path: Path) -> None:
    engine = Scripted(b=[EXIT_TAKEN])
    sweep = make(tmp_path, engine, Policy())
    other = begin_attempt(tmp_path / "b")
    update, looks = sweep._resubmit_free_jobs, []

    def look() -> int:
        looks.append(list(engine.started))
        if len(looks) == 5:
            other.end("stopped")
        return update()

    sweep._resubmit_free_jobs = look  # type: ignore[method-assign]
    ended = sweep.run()
    assert looks[3] == ["a", "b", "c"]  # the loop had long nothing else to do
    assert engine.started == ["a", "b", "c", "b"]
    assert statuses(ended)["b"] == "done"


def test_a_sweep_that_stops_does_not_wait_for_cells_of_another_runner(tmp_path: Path) -> None:
    engine = Scripted(a=[1], b=[EXIT_TAKEN])
    # its worker was about to find that another has the cell
    engine.stop = lambda jobs=None: None  # type: ignore[method-assign]
    make(tmp_path, engine, Policy(on_failure="stop")).run()
    assert engine.started == ["a", "b", "c"]


def test_an_attempt_with_scores_is_done_whatever_ended_its_process(tmp_path: Path) -> None:
    engine = Scripted()
    sweep = make(tmp_path, engine, Policy(retries=1, on_failure="stop"))
    killed, failed = begin_attempt(tmp_path / "a"), begin_attempt(tmp_path / "b")
    for attempt in (killed, failed):
        (attempt.path.parent.parent / "metrics.json").write_text(METRICS)
    failed.end("failed", "killed by SIGKILL")
    assert statuses(sweep.run()) == dict.fromkeys("abc", "done")
    assert engine.started == ["c"]
    assert [find_last_attempt(tmp_path / name).status for name in "abc"] == ["done"] * 3  # type: ignore[union-attr]
    with pytest.raises(RunConflict, match="a is done"):
        begin_attempt(tmp_path / "a")


def test_an_unpromising_cell_is_stopped_and_stays_so(tmp_path: Path) -> None:
    engine = Scripted()
    sweep = make(tmp_path, engine, Policy())
    stopped: list[str] = []

    def stop(jobs: Sequence[Job] | None = None) -> None:
        for job in jobs or ():
            stopped.append(job.folder.name)
            engine.ends[job.folder.name] = [143]

    engine.stop = stop  # type: ignore[method-assign]
    sweep.is_unpromising = lambda cell: cell.name == "c"
    ended = sweep.run()
    assert stopped == ["c"]
    assert statuses(ended) == {"a": "done", "b": "done", "c": "pruned"}
    again = Scripted()
    make(tmp_path, again, Policy()).run()
    assert again.started == []


@pytest.mark.parametrize("field", [{"retries": -1}, {"timeout": 0}])
def test_a_policy_out_of_range_is_refused(field: dict[str, int]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(field))}=.*: expected"):
        Policy(**field)  # type: ignore[arg-type]


def sweep_of(cells: int, stub: str, *words: str) -> list[str]:
    seeds = ",".join(map(str, range(cells)))
    line = [stub, "-m", "task=stub", f"seed={seeds}", "sweep.dir=all", *words]
    return [sys.executable, str(RUN), *line]


def done_once(folder: Path, cells: int) -> bool:
    """Whether every cell has its scores, made by its last attempt and by no other."""
    names = [folder / f"seed={n}" for n in range(cells)]
    ends = [[attempt.status for attempt in list_attempts(name)] for name in names]
    made = all((name / "metrics.json").exists() for name in names)
    return made and all(end.count("done") == 1 and end[-1] == "done" for end in ends)


@pytest.mark.slow
@pytest.mark.xdist_group("cells")
@pytest.mark.parametrize("engine", ["basic", "local"])
def test_kills_at_random_moments_lose_a_step_each_and_no_cell(
    engine: str, stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seed = int.from_bytes(os.urandom(4))
    print(f"the moments are those of random.Random({seed})")
    moments, cells, kills = random.Random(seed), 4, 3
    line = sweep_of(cells, stub, "task.kind=train", f"hydra/launcher={engine}", "sweep.retries=9")
    for _ in range(kills):
        runner = subprocess.Popen(line, stdout=subprocess.DEVNULL, start_new_session=True)
        time.sleep(moments.uniform(1.0, 4.0))
        running = [
            a
            for n in range(cells)
            if (a := find_last_attempt(Path(f"all/seed={n}"))) and a.is_alive()
        ]
        if running and moments.random() < 0.5:
            os.kill(moments.choice(running).pid, signal.SIGKILL)
            time.sleep(moments.uniform(0.0, 1.0))
        runner.kill()
        runner.wait()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    assert done_once(Path("all"), cells)
    for number in range(cells):
        cell = Path(f"all/seed={number}")
        steps = [int(step) for step in (cell / "steps.txt").read_text().split()]
        assert sorted(set(steps)) == list(range(20))
        assert len(steps) - 20 <= len(list_attempts(cell)) - 1  # one step for each interruption


@pytest.mark.slow
@pytest.mark.xdist_group("cells")
def test_two_runners_share_a_sweep(
    stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = sweep_of(4, stub, "task.kind=train")
    runners = [subprocess.Popen(line, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [runner.wait(PATIENCE) for runner in runners] == [0, 0]
    assert done_once(Path("all"), 4)
    for number in range(4):
        steps = Path(f"all/seed={number}/steps.txt").read_text().split()
        assert steps == [str(step) for step in range(20)]


@pytest.mark.slow
def test_a_cell_tried_again_goes_on_from_its_checkpoint(
    stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = sweep_of(2, stub, "task.kind=flaky", "sweep.retries=1")
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    assert [a.status for a in list_attempts(Path("all/seed=0"))] == ["failed", "done"]
    assert Path("all/seed=0/steps.txt").read_text().split() == [str(n) for n in range(20)]
    assert json.loads(Path("all/seed=0/facts.json").read_text())["resume"] is True
