"""Slurm: what is asked of it, how its answers are read, and, where there is one, the real thing.

The quick tests put small scripts in place of Slurm's commands; `.ci/slurm` starts what the slow
ones need.
"""

import csv
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fcn_lab.config.build import build
from fcn_lab.errors import UserError
from fcn_lab.runs.attempts import EXIT_TAKEN, begin_attempt, find_last_attempt, list_attempts
from fcn_lab.sweeps.engines import slurm, slurm_submission
from fcn_lab.sweeps.engines import slurm_job as slurmjob
from fcn_lab.sweeps.engines.slurm import Slurm
from fcn_lab.worker.supervisor import Job
from support import clusters
from support.commandline import METRICS, TypeLine
from support.places import RUN
from support.waiting import PATIENCE, wait_until

SCRIPTS = {
    "sbatch": 'cp "$1" script; cat refusal >&2 2>/dev/null && exit 1; echo Submitted batch job 7',
    "squeue": "cat queue",
    "scancel": 'echo "$@" >> cancelled',
    "scontrol": 'echo "$@" >> controlled',
    "srun": "exit 1",
}


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that answers for Slurm: `queue` is what squeue prints."""
    for name, lines in SCRIPTS.items():
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\n{lines}\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(slurm, "QUERY_SECONDS", 0.0)
    monkeypatch.setattr(slurm_submission, "GONE_SECONDS", 0.0)
    (tmp_path / "queue").write_text("")
    return tmp_path


def job(place: Path, name: str = "cell", devices: int = 1, on_cpu: bool = False) -> Job:
    folder = place / "sweep" / name
    folder.mkdir(parents=True, exist_ok=True)
    return Job(folder, place / "code", place, devices, on_cpu)


def asked(place: Path) -> dict[str, str]:
    """The options in the script that sbatch was given."""
    lines = (place / "script").read_text().splitlines()
    options = [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH --")]
    return {name: value for name, _, value in (option.partition("=") for option in options)}


def leave(place: Path, number: str, result: tuple[str, object]) -> None:
    """What a job's end leaves."""
    (place / "sweep/slurm" / f"{number}_0_result.pkl").write_bytes(pickle.dumps(result))


def test_every_word_reaches_sbatch(pretended: Path) -> None:
    options = {"partition": "debug", "minutes": 30, "gpus": 3, "cpus": 5, "gigabytes": 1.5}
    extra = {"qos": "low", "signal": "B:USR2@7"}
    Slurm(**options, setup=["module load x"], extra=extra, at_once=2).submit(  # type: ignore[arg-type]
        [job(pretended, str(n)) for n in range(4)]
    )
    expected = {
        "partition": "debug",
        "time": "30",
        "gpus-per-node": "3",
        "cpus-per-task": "5",
        "mem": "1536M",
        "array": "0-3%2",
        **extra,
    }
    assert expected.items() <= asked(pretended).items()
    script = (pretended / "script").read_text()
    assert (
        script.index("module load x") < script.index(f"{pretended / 'code'}") < script.index("-P")
    )


def test_what_nobody_said_is_the_clusters_to_say(pretended: Path) -> None:
    Slurm().submit([job(pretended, "cell")])
    assert not asked(pretended).keys() & {"partition", "time", "mem", "array", "wckey", "qos"}


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("on_cpu", [True, False])
def test_a_cell_asks_for_its_devices(pretended: Path, devices: int, on_cpu: bool) -> None:
    Slurm().submit([job(pretended, "cell", devices, on_cpu)])
    assert asked(pretended).get("gpus-per-node") == (None if on_cpu else str(devices))
    assert asked(pretended)["cpus-per-task"] == str(devices)
    assert asked(pretended)["ntasks"] == "1"


def test_the_words_of_sbatch_are_the_users(
    pretended: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (pretended / "refusal").write_text("sbatch: error: no such thing\nsbatch: it failed\n")
    with pytest.raises(UserError, match=r"no such thing\n.*hydra\.launcher\.partition="):
        Slurm().submit([job(pretended)])
    assert capfd.readouterr() == ("", "")


def test_without_slurm_the_user_is_told_where_to_type(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no sbatch on the PATH"):
        Slurm()


@pytest.mark.parametrize("name", ["minutes", "at_once", "cpus", "gpus"])
def test_a_number_out_of_range_is_named(name: str) -> None:
    with pytest.raises(UserError, match=rf"^Slurm\({name}=-1\): expected"):
        Slurm(**{name: -1})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=rf"^hydra\.launcher\.{name}=-1: expected"):
        build({"_target_": "fcn_lab.sweeps.engines.slurm.Slurm", name: -1}, "hydra.launcher", {})


def test_each_job_ends_once_with_the_status_it_left(pretended: Path) -> None:
    engine, jobs = Slurm(), [job(pretended, str(n)) for n in range(3)]
    engine.submit(jobs)
    (pretended / "queue").write_text("".join(f"7_{n}|RUNNING|None\n" for n in range(3)))
    assert engine.collect_ended(0) == []
    leave(pretended, "7_1", ("success", 75))
    leave(pretended, "7_2", ("error", "Traceback\nImportError: no fcn_lab"))
    assert engine.collect_ended(0) == [(jobs[1], 75), (jobs[2], 1)]
    assert engine.collect_ended(0) == []
    assert jobs[2].folder.joinpath("attempts/1.json").read_text().count("no fcn_lab") == 1


@pytest.mark.parametrize("state", ["PENDING|BeginTime", "COMPLETING|None", "SUSPENDED|None"])
def test_a_requeued_job_is_waited_for(pretended: Path, state: str) -> None:
    engine, only = Slurm(), job(pretended)
    engine.submit([only])
    begin_attempt(only.folder).end("stopped")
    (pretended / "queue").write_text(f"7|{state}\n")
    assert engine.collect_ended(0.3) == []


@pytest.mark.parametrize(
    ("queue", "why"),
    [
        ("7|CANCELLED|None\n", "CANCELLED"),
        ("7|NODE_FAIL|None\n", "NODE_FAIL"),
        ("7|PENDING|PartitionTimeLimit\n", "PartitionTimeLimit"),
        ("", "no longer known to Slurm, as one cancelled while it waits"),
    ],
)
def test_a_lost_job_is_a_failed_cell_that_says_why(pretended: Path, queue: str, why: str) -> None:
    engine, only = Slurm(), job(pretended)
    engine.submit([only])
    (pretended / "queue").write_text(queue)
    assert engine.collect_ended(0) == [(only, 1)]
    attempt = find_last_attempt(only.folder)
    assert attempt is not None
    assert (attempt.status, attempt.reason) == ("failed", f"Slurm job 7: {why}")


def test_a_job_that_scored_is_done_whatever_slurm_thinks(pretended: Path) -> None:
    engine, only = Slurm(), job(pretended)
    engine.submit([only])
    (only.folder / "metrics.json").write_text(METRICS)
    assert engine.collect_ended(0) == [(only, 0)]


def test_a_lost_job_whose_cell_runs_elsewhere_leaves_it_there(
    pretended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, only = Slurm(), job(pretended)
    engine.submit([only])
    begin_attempt(only.folder)  # this process: it lives
    assert engine.collect_ended(0) == []
    monkeypatch.setattr(slurm_submission, "LIFETIME_SECONDS", 0.0)
    assert engine.collect_ended(0) == [(only, EXIT_TAKEN)]


def test_while_slurm_does_not_answer_nothing_is_lost(pretended: Path) -> None:
    engine = Slurm()
    engine.submit([job(pretended)])
    (pretended / "queue").unlink()
    assert engine.collect_ended(0.3) == []


def test_only_what_is_unwanted_is_cancelled(pretended: Path) -> None:
    engine, jobs = Slurm(), [job(pretended, str(n)) for n in range(2)]
    engine.submit(jobs)
    engine.stop([jobs[1]])
    pending, running = (pretended / "cancelled").read_text().splitlines()
    assert pending.split()[1:] == ["--state=PENDING", "7_1"]
    assert running.split()[1:] == ["--batch", "--signal=INT", "7_1"]


@pytest.fixture
def inside(pretended: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`inside(signal, saves=True, code=143)`: a Slurm job in which that happens."""
    before = {n: signal.getsignal(n) for n in (signal.SIGUSR2, signal.SIGINT, signal.SIGTERM)}

    def run(signum: int | None, saves: bool = True, code: int = 143) -> int:
        def work(supervisor: slurmjob.Supervisor) -> int:
            assert not [name for name in os.environ if name.startswith("SLURM_")]
            if saves:
                (only.folder / "checkpoints").mkdir()
                (only.folder / "checkpoints/last.ckpt").touch()
            begin_attempt(only.folder).end("stopped")
            if signum is not None:
                os.kill(os.getpid(), signum)
            # of what all processes of a job hear, the worker needs no second telling
            told = signum not in (None, signal.SIGTERM)
            assert supervisor.requested_signal == (signal.SIGTERM if told else None)
            return code

        monkeypatch.setattr(slurmjob.Supervisor, "run", work)
        monkeypatch.setenv("SLURM_JOB_ID", "9")
        monkeypatch.setenv("SLURM_NTASKS", "1")
        only = job(pretended)
        try:
            return slurmjob.run_job(only)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    return run


@pytest.mark.parametrize("signum", [signal.SIGUSR2, signal.SIGTERM])
def test_a_job_that_slurm_wants_back_is_requeued(
    inside: Callable[..., int], signum: int, pretended: Path
) -> None:
    (pretended / "queue").write_text("RUNNING\n")
    with pytest.raises(SystemExit):
        inside(signum)
    assert (pretended / "controlled").read_text() == "requeue 9\n"


def test_a_job_that_slurm_ends_itself_is_not_requeued(
    inside: Callable[..., int], pretended: Path
) -> None:
    (pretended / "queue").write_text("COMPLETING\n")
    with pytest.raises(SystemExit):
        inside(signal.SIGTERM)
    assert not (pretended / "controlled").exists()


def test_a_time_limit_before_the_first_checkpoint_is_a_failure(
    inside: Callable[..., int], pretended: Path
) -> None:
    assert inside(signal.SIGUSR2, saves=False) == 143
    attempt = find_last_attempt(pretended / "sweep/cell")
    assert attempt is not None
    assert attempt.status == "failed"
    assert "time limit" in attempt.reason


@pytest.mark.parametrize("code", [0, 1, EXIT_TAKEN, 143])
def test_a_job_that_ends_by_itself_or_by_us_says_how(inside: Callable[..., int], code: int) -> None:
    assert inside(signal.SIGINT if code == 143 else None, code=code) == code


def test_a_job_done_as_the_warning_comes_is_done(inside: Callable[..., int]) -> None:
    assert inside(signal.SIGUSR2, code=0) == 0


TRAINING = (
    *("data=synthetic", "data.size=[32,32]", "model=fcn32s", "encoder=tiny", "logger=none"),
    *("augment=none", "trainer.accelerator=cpu", "+data.val=4", "+data.test=4"),
)


class Cluster:
    """Sweeps typed under Slurm, and their jobs."""

    def __init__(self) -> None:
        self.runners: list[subprocess.Popen[bytes]] = []

    def type(self, *words: str) -> "subprocess.Popen[bytes]":
        """Starts a sweep in the folder `all`."""
        line = [sys.executable, str(RUN), *words, "-m", "hydra/launcher=slurm", "sweep.dir=all"]
        with Path("err").open("w") as err, Path("out").open("w") as out:
            self.runners.append(subprocess.Popen(line, stdout=out, stderr=err))
        return self.runners[-1]

    def jobs(self) -> dict[str, str]:
        """Those that Slurm has, and their states."""
        own = {path.name.split("_")[0] for path in Path("all/slurm").glob("*_submission.sh")}
        asked = ["squeue", "--noheader", "--array", "--format=%i %T"]
        lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        states = dict(line.split() for line in lines.splitlines())
        return {number: state for number, state in states.items() if number.split("_")[0] in own}

    def end(self) -> None:
        """Leaves nothing."""
        for runner in self.runners:
            runner.kill()
            runner.wait()
        for number in self.jobs():
            subprocess.run(["scancel", number], check=False)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """In an empty folder."""
    clusters.need_slurm()
    monkeypatch.chdir(tmp_path)
    cluster = Cluster()
    yield cluster
    cluster.end()


def histories() -> list[Path]:
    return list(Path("all").glob("*/history.csv"))


def asleep(name: str) -> bool:
    log = Path("all", name, "log.txt")
    return log.exists() and "asleep" in log.read_text()


def rows() -> dict[str, dict[str, str]]:
    with Path("all/results.csv").open(newline="") as file:
        return {row["cell"]: row for row in csv.DictReader(file)}


def statuses() -> list[str]:
    return [row["status"] for row in rows().values()]


@pytest.mark.slow
@pytest.mark.xdist_group("cells")
def test_a_cancelled_job_is_a_failed_cell_and_the_others_of_its_array_run(
    stub: str, cluster: Cluster
) -> None:
    one = "hydra.launcher.at_once=1"  # the first runs, the second waits
    sweep = cluster.type(stub, "task=stub", "task.kind=sleep,work", "seed=1,2", one)
    wait_until(lambda: asleep("seed=1,task.kind=sleep") or asleep("task.kind=sleep,seed=1"))
    numbers = sorted(cluster.jobs())
    assert len({number.split("_")[0] for number in numbers}) == 1
    subprocess.run(["scancel", *numbers[:2]], check=True)
    assert sweep.wait(PATIENCE) == 1
    assert statuses() == ["failed", "failed", "done", "done"]
    words = [row["reason"].removeprefix("Slurm job ") for row in rows().values()]
    assert words == [f"{numbers[0]}: CANCELLED", f"{numbers[1]}: {slurm.UNKNOWN_STATE}", "", ""]
    assert not cluster.jobs()


@pytest.mark.slow
@pytest.mark.xdist_group("cells")
def test_ctrl_c_ends_the_jobs_and_the_same_command_takes_them_up(
    stub: str, cluster: Cluster
) -> None:
    words = (stub, "task=stub", "task.kind=sleep", "seed=1,2", "hydra.launcher.at_once=1")
    sweep = cluster.type(*words)
    wait_until(lambda: asleep("seed=1"))
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(PATIENCE) == 130
    assert statuses() == ["stopped", "waiting"]
    wait_until(lambda: not cluster.jobs())
    Path("stub.py").write_text(Path("stub.py").read_text().replace("sleep(600)", "sleep(0)"))
    assert cluster.type(*words).wait(PATIENCE) == 0
    assert statuses() == ["done"] * 2


@pytest.mark.slow
@pytest.mark.xdist_group("cells")
def test_a_requeued_job_goes_on_where_it_was(cluster: Cluster) -> None:
    sweep = cluster.type(*TRAINING, "trainer.max_epochs=6")
    wait_until(lambda: any(len(read.read_text().splitlines()) > 1 for read in histories()))
    (history,) = histories()
    (number,) = cluster.jobs()
    subprocess.run(["scontrol", "requeue", number], check=True)
    wait_until(lambda: cluster.jobs()[number] == "PENDING")
    # Slurm lets a requeued job wait for two minutes
    subprocess.run(["scontrol", "update", f"JobId={number}", "StartTime=now"], check=True)
    assert sweep.wait(PATIENCE) == 0
    assert [attempt.status for attempt in list_attempts(history.parent)] == ["stopped", "done"]
    with history.open(newline="") as file:
        epochs = [int(row["epoch"]) for row in csv.DictReader(file)]
    assert epochs == list(range(epochs[0], epochs[0] + 6))


@pytest.mark.slow
@pytest.mark.xdist_group("cells")
def test_a_cell_of_two_ranks_is_one_job_of_one_task(cluster: Cluster) -> None:
    ddp = ("trainer.devices=2", "trainer.strategy=ddp", "hydra.launcher.cpus=1")
    assert cluster.type(*TRAINING, *ddp, "trainer.max_epochs=1").wait(PATIENCE) == 0
    (folder,) = (history.parent for history in histories())
    assert "2 x cpu" in (folder / "env.json").read_text()
    assert json.loads((folder / "metrics.json").read_text())["test"]["mean_iou"] >= 0
    assert len(list_attempts(folder)) == 1


@pytest.mark.slow
@pytest.mark.xdist_group("cells")
def test_a_partition_that_is_not_there_is_the_users_mistake(type_line: TypeLine, stub: str) -> None:
    clusters.need_slurm()
    wrong = ("hydra/launcher=slurm", "hydra.launcher.partition=nowhere", "sweep.dir=all")
    ended = type_line(stub, "-m", "task=stub", "seed=1,2", *wrong)
    assert ended.status == 2
    assert "invalid partition specified: nowhere" in ended.err
    assert len(ended.err.splitlines()) == 2
