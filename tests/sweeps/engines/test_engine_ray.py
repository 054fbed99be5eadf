"""Ray leases, queues and spreads; what is killed is given back once, and nothing runs twice."""

import csv
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fcn_lab.config.build import build
from fcn_lab.errors import UserError
from fcn_lab.runs.attempts import find_start_time, list_attempts
from fcn_lab.runs.sweep import Cell, SweepFolder
from fcn_lab.sweeps.engines.base import EndedJob
from fcn_lab.sweeps.engines.ray import Ray
from fcn_lab.sweeps.loop import Policy, Sweep
from fcn_lab.worker.supervisor import Job
from support.commandline import NO_TORCH
from support.places import ROOT
from support.waiting import PATIENCE, wait_until

if TYPE_CHECKING:
    from ray._private.node import Node
    from ray.cluster_utils import Cluster

if importlib.util.find_spec("ray") is None:
    pytest.skip("needs the extra ray", allow_module_level=True)
pytestmark = pytest.mark.xdist_group("cells")  # one after the other: each wants both cores
STEPS = """
import json, os, time
import psutil
from pathlib import Path

class Steps:
    def __init__(self, seed: int = 0, count: int = 1, resume: bool = False) -> None:
        self.count = count

    def run(self, folder: Path) -> None:
        kept = folder / "checkpoints" / "last.ckpt"
        kept.parent.mkdir(exist_ok=True)
        done = json.loads(kept.read_text()) if kept.exists() else []
        seen = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
        me = {"pid": os.getpid(), "parent": os.getppid()}
        me["node"] = psutil.Process(os.getppid()).ppid()  # its raylet
        (folder / "facts.json.part").write_text(json.dumps({**me, **seen}))
        (folder / "facts.json.part").replace(folder / "facts.json")
        for step in range(len(done), self.count):
            if (folder.parent / "hurry").exists():
                break
            time.sleep(0.1)
            done.append([step, os.getpid()])
            kept.with_suffix(".part").write_text(json.dumps(done))
            kept.with_suffix(".part").replace(kept)
        scores = {"protocol": "stub", "test": {"mean_iou": 0.25}}
        (folder / "metrics.json").write_text(json.dumps(scores))
"""
ENDLESS = 3000
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",  # or Ray would write a key to the home folder
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # or cells would give way to whatever else is tested
}


@pytest.fixture(scope="module")
def head() -> "Iterator[Cluster]":
    """A cluster whose head runs nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        cluster = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        yield cluster
        cluster.shutdown()


@pytest.fixture
def cluster(head: "Cluster") -> "Cluster":
    """Two nodes with two CPUs and a GPU each; the GPUs are pretended."""
    while len(head.worker_nodes) < 2:  # a test may have killed one
        head.add_node(num_cpus=2, num_gpus=1)
    return head


@pytest.fixture
def make_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    """`make_job("a", count=5)`: a frozen cell of so many steps of a tenth of a second."""
    (tmp_path / "steps.py").write_text(STEPS)
    (tmp_path / "torch.py").write_text(NO_TORCH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("FCN_LAB_ALLOW", "steps.Steps")

    def make(name: str, count: int = 1, **known: int) -> Job:
        folder = tmp_path / "all" / name
        folder.mkdir(parents=True)
        config = {"seed": 0, "task": {"_target_": "steps.Steps", "count": count}}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        return Job(folder, ROOT, tmp_path, **known)

    return make


@pytest.fixture
def engine(cluster: "Cluster") -> Iterator[Callable[..., Ray]]:
    """`engine(gpus_per_cell=0.5)` on the two nodes."""
    made: list[Ray] = []

    def make(**options: float) -> Ray:
        made.append(Ray(cluster.address, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def facts(job: Job) -> dict[str, Any]:
    path = job.folder / "facts.json"
    wait_until(path.exists, lambda: job.log.read_text() if job.log.exists() else "no log")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def raylet(node: "Node") -> int:
    process: int = node.all_processes["raylet"][0].process.pid
    return process


def all_ended(engine: Ray, count: int) -> list[EndedJob]:
    ended: list[EndedJob] = []
    deadline = time.monotonic() + PATIENCE
    while len(ended) < count and time.monotonic() < deadline:
        ended += engine.collect_ended(1.0)
    return ended


def is_alive(pid: int) -> bool:
    return find_start_time(pid) > 0


@pytest.mark.parametrize(
    ("option", "value"), [("gpus_per_cell", -1.0), ("gpus_per_cell", 1.5), ("cpus_per_cell", 0.0)]
)
def test_a_lease_that_ray_cannot_give_is_refused_by_name(option: str, value: float) -> None:
    said = rf"^(hydra\.launcher\.{option}={value:g}|Ray\({option}={value}\)): expected"
    with pytest.raises(UserError, match=said):
        Ray(**{option: value})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=rf"^hydra\.launcher\.{option}={value:g}(\.0)?: expected"):
        build({"_target_": "fcn_lab.sweeps.engines.ray.Ray", option: value}, "hydra.launcher", {})


def test_an_address_where_nobody_answers_is_told_at_once() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(UserError, match=f"address={address} leads to no Ray cluster"):
            Ray(address)


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(UserError, match="HOST:PORT"):
        Ray("ray://127.0.0.1")


@pytest.mark.slow
def test_cells_share_gpus_on_both_nodes_and_see_no_others(
    engine: Callable[..., Ray], make_job: Callable[..., Job], tmp_path: Path
) -> None:
    jobs = [make_job(str(number), ENDLESS) for number in range(4)]
    ray = engine(gpus_per_cell=0.5)
    ray.submit(jobs)
    seen = [facts(job) for job in jobs]  # all four at once
    (tmp_path / "all" / "hurry").touch()
    assert sorted(all_ended(ray, 4), key=str) == sorted([(job, 0) for job in jobs], key=str)
    assert sorted(Counter(fact["node"] for fact in seen).values()) == [2, 2]
    assert {fact["CUDA_VISIBLE_DEVICES"] for fact in seen} == {"0"}
    assert ray.collect_ended(0.0) == []


@pytest.mark.slow
def test_a_cell_is_leased_what_it_trains_on_and_a_cell_on_the_cpu_no_gpu(
    engine: Callable[..., Ray], make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    on_gpu, on_cpu = make_job("gpu"), make_job("cpu", devices=2, on_cpu=True)
    ray = engine()
    assert ray.lease(on_gpu) == {"CPU": 1, "GPU": 1}
    assert ray.lease(on_cpu) == {"CPU": 2, "GPU": 0}
    ray.submit([on_gpu, on_cpu])
    assert len(all_ended(ray, 2)) == 2
    assert [facts(job)["CUDA_VISIBLE_DEVICES"] for job in (on_gpu, on_cpu)] == ["0", ""]
    assert [facts(job)["OMP_NUM_THREADS"] for job in (on_gpu, on_cpu)] == ["1", "1"]
    wide = make_job("wide", on_cpu=True)
    ray.close()
    ray = engine(cpus_per_cell=2)
    ray.submit([wide])
    assert all_ended(ray, 1) == [(wide, 0)]
    assert facts(wide)["OMP_NUM_THREADS"] == "2"


@pytest.mark.slow
def test_a_cell_larger_than_every_node_is_refused_with_what_there_is(
    engine: Callable[..., Ray], make_job: Callable[..., Job]
) -> None:
    ray = engine()
    fits, large = make_job("fits"), make_job("large", devices=2)
    with pytest.raises(UserError, match=r"large asks for 2 GPUs and 2 CPUs(.|\n)*trainer.devices="):
        ray.submit([fits, large])
    assert ray.collect_ended(2.0) == []
    assert not (fits.folder / "log.txt").exists()


@pytest.mark.slow
def test_a_killed_ray_worker_gives_its_cell_back_once_its_process_has_ended(
    engine: Callable[..., Ray], make_job: Callable[..., Job]
) -> None:
    job = make_job("a", ENDLESS)
    ray = engine()
    ray.submit([job])
    seen = facts(job)
    os.kill(seen["parent"], signal.SIGKILL)
    assert all_ended(ray, 1) == [(job, 1)]
    assert not is_alive(seen["pid"])
    assert ray.collect_ended(3.0) == []
    [attempt] = list_attempts(job.folder)  # and Ray has not run it again
    assert attempt.status == "failed"
    assert attempt.reason.startswith("Ray lost it: The worker died")


@pytest.mark.slow
def test_a_cell_whose_folder_a_node_does_not_see_says_so(
    engine: Callable[..., Ray], make_job: Callable[..., Job], tmp_path: Path
) -> None:
    made = make_job("a")
    job = Job(made.folder, made.code, tmp_path / "elsewhere")
    ray = engine()
    ray.submit([job])
    assert all_ended(ray, 1) == [(job, 1)]
    [attempt] = list_attempts(job.folder)
    assert "No such file or directory" in attempt.reason
    assert str(tmp_path / "elsewhere") in attempt.reason


@pytest.mark.slow
def test_stop_leaves_running_cells_their_grace_and_those_queued_never_start(
    engine: Callable[..., Ray], make_job: Callable[..., Job]
) -> None:
    first, second, other = (make_job(name, ENDLESS) for name in ("first", "second", "other"))
    ray = engine(cpus_per_cell=2)
    ray.submit([first, other])
    running = facts(first), facts(other)
    ray.submit([second])
    ray.stop([first])
    assert all_ended(ray, 1) == [(first, 128 + signal.SIGTERM)]
    assert is_alive(running[1]["pid"])
    facts(second)  # has first's place
    last = make_job("last", ENDLESS)
    ray.submit([last])
    ray.stop()
    assert {job: code for job, code in all_ended(ray, 3)} == dict.fromkeys(
        (other, second, last), 128 + signal.SIGTERM
    )
    assert [a.status for job in (first, second, other) for a in list_attempts(job.folder)] == (
        ["stopped"] * 3
    )
    assert not (last.folder / "log.txt").exists()


@pytest.mark.slow
def test_the_cell_of_a_dead_node_is_resumed_on_another(
    cluster: "Cluster", engine: Callable[..., Ray], make_job: Callable[..., Job], tmp_path: Path
) -> None:
    job = make_job("a", 40)
    record = SweepFolder(tmp_path / "all", [Cell("a", job.folder, {})])
    killed: list[int] = []

    def kill_its_node() -> None:
        killed.append(facts(job)["node"])
        while not (job.folder / "checkpoints" / "last.ckpt").exists():
            time.sleep(0.05)
        [node] = [node for node in cluster.worker_nodes if raylet(node) == killed[0]]
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill_its_node)
    killer.start()
    progress = Sweep(record, record.cells, engine(), Policy(retries=1)).run()
    killer.join()
    assert progress["a"].status == "done"
    assert facts(job)["node"] != killed[0]
    steps = json.loads((job.folder / "checkpoints" / "last.ckpt").read_text())
    assert [step for step, _ in steps] == list(range(40))  # none lost, none twice
    assert len({pid for _, pid in steps}) == 2
    assert [attempt.status for attempt in list_attempts(job.folder)] == ["failed", "done"]


@pytest.fixture
def word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A sweep of four cells of task=steps on a Ray of its own."""
    (tmp_path / "steps.py").write_text(STEPS)
    (tmp_path / "torch.py").write_text(NO_TORCH)
    (tmp_path / "own" / "task").mkdir(parents=True)
    node = {"_target_": "steps.Steps", "seed": "${seed}", "count": 30}
    (tmp_path / "own" / "task" / "steps.yaml").write_text(yaml.safe_dump(node))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    line = [sys.executable, str(ROOT / "run.py"), f"--config-dir={tmp_path / 'own'}"]
    return [*line, "-m", "task=steps", "seed=1,2,3,4", "sweep.dir=all", "hydra/launcher=ray"]


@pytest.fixture
def runner(word: list[str]) -> "Iterator[subprocess.Popen[str]]":
    """The sweep, begun; it does not outlive a test that fails."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(word, **pipes) as begun:  # type: ignore[call-overload]
        yield begun
        begun.kill()


def wait_while_it_runs(runner: "subprocess.Popen[str]", *paths: Path) -> None:
    wait_until(lambda: runner.poll() is not None or all(path.exists() for path in paths))
    assert runner.poll() is None, runner.communicate()


@pytest.mark.slow
def test_a_killed_runner_is_taken_up_and_every_cell_is_done_once(
    word: list[str], runner: "subprocess.Popen[str]"
) -> None:
    folders = [Path("all", f"seed={seed}") for seed in (1, 2, 3, 4)]
    kept = [folder / "checkpoints" / "last.ckpt" for folder in folders[:2]]
    wait_while_it_runs(runner, *kept)
    runner.kill()
    runner.wait()
    # one core runs a cell at a time, and the first may be done
    before = [[attempt.status for attempt in list_attempts(folder)] for folder in folders]
    cut = [bool(end) and end[-1] != "done" for end in before]
    assert any(cut)
    again = subprocess.run(word, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (0, "")
    ends = [[attempt.status for attempt in list_attempts(folder)] for folder in folders]
    assert [end.count("done") for end in ends] == [1] * 4
    assert [len(end) for end in ends] == [2 if was_cut else 1 for was_cut in cut]
    for folder in folders:
        steps = json.loads((folder / "checkpoints" / "last.ckpt").read_text())
        assert [step for step, _ in steps] == list(range(30))


@pytest.mark.slow
def test_ctrl_c_ends_the_cells_ray_and_the_sweep(
    runner: "subprocess.Popen[str]",
) -> None:
    wait_while_it_runs(runner, Path("all/seed=1/facts.json"))
    runner.send_signal(signal.SIGINT)
    _, err = runner.communicate(timeout=PATIENCE)
    assert (runner.returncode, err) == (130, "")
    with Path("all/results.csv").open(newline="") as file:
        ends = Counter(row["status"] for row in csv.DictReader(file))
    assert ends["stopped"] >= 1
    assert set(ends) <= {"stopped", "waiting"}
    assert not is_alive(json.loads(Path("all/seed=1/facts.json").read_text())["parent"])


@pytest.mark.slow
def test_a_cell_on_two_ranks_trains_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    two = ["trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu"]
    data = ["data=synthetic", "data.size=[32,32]", "data.batch_size=8"]
    data += ["+data.val=4", "+data.test=4"]
    small = [*data, "model=fcn32s", "encoder=tiny", "logger=csv"]
    line = [*two, *small, "trainer.max_epochs=1", "sweep.dir=all", "seed=1,2", "-m"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *line, "hydra/launcher=ray"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.parent.name for path in Path("all").glob("*/metrics.json")) == [
        "seed=1",
        "seed=2",
    ]
    for folder in Path("all").glob("seed=*"):
        with (folder / "history.csv").open(newline="") as file:
            [row] = csv.DictReader(file)
        images = re.search(r"train (\d+)", (folder / "log.txt").read_text())
        assert images is not None
        assert int(row["step"]) * 2 * 8 == int(images[1])  # each of two ranks had half of them
        assert [attempt.status for attempt in list_attempts(folder)] == ["done"]
