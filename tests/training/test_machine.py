"""What a process may use of its machine, and how a data loader divides it."""

import os
import sys
from pathlib import Path

import pytest

from fcn_lab.training import machine, workers
from fcn_lab.training.machine import count_bound_cores, count_cores, read_quotas
from fcn_lab.training.workers import (
    WORKERS_PER_CORE,
    WORKERS_PER_GPU,
    explain_loader,
    settle_loader,
)
from fcn_lab.worker.supervisor import build_worker_environment

Files = dict[str, str]
UNLIMITED: Files = {}
HALVED = {"cpu.max": "50000 100000"}
VERSION_2 = {"cpu.max": "max 100000", "job/cpu.max": "300000 100000", "job/step/cpu.max": "max 1"}
VERSION_1 = {
    "cpu/cpu.cfs_quota_us": "-1",
    "cpu/cpu.cfs_period_us": "100000",
    "cpu/docker/cpu.cfs_quota_us": "250000",
    "cpu/docker/cpu.cfs_period_us": "100000",
}


def written(folder: Path, files: Files) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("0::/", UNLIMITED, []),
        ("0::/", HALVED, [0.5]),
        ("0::/job/step", VERSION_2, [3.0]),
        ("0::/../outside/of/the/container", HALVED, [0.5]),
        ("12:memory:/docker\n4:cpu,cpuacct:/docker\n0::/", VERSION_1, [2.5]),
        ("0::/", {"cpu.max": "garbage"}, []),
        ("", HALVED, []),
    ],
)
def test_a_quota_is_found_in_the_groups_of_the_process(
    group: str, files: Files, expected: list[float], tmp_path: Path
) -> None:
    (tmp_path / "group").write_text(group)
    assert read_quotas(tmp_path / "group", written(tmp_path / "groups", files)) == expected


@pytest.mark.parametrize(
    ("quota", "expected"), [("150000 100000", 1), ("50000 100000", 1), ("900000 100000", 4)]
)
def test_whole_cores_are_counted_at_least_one_and_none_that_are_not_ours(
    quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "group").write_text("0::/")
    monkeypatch.setattr(machine, "CGROUP_FILE", tmp_path / "group")
    monkeypatch.setattr(machine, "CGROUP_ROOT", written(tmp_path / "groups", {"cpu.max": quota}))
    monkeypatch.setattr(machine, "count_bound_cores", lambda: 4)
    assert count_cores() == expected


def test_a_worker_starts_no_more_threads_than_its_container_has_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("fcn_lab.worker.supervisor.count_bound_cores", lambda: 64)
    for cores in (64, 3):
        monkeypatch.setattr("fcn_lab.worker.supervisor.count_cores", lambda cores=cores: cores)
        assert build_worker_environment().get("OMP_NUM_THREADS") == (None if cores == 64 else "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # who says a number means it
    assert build_worker_environment()["OMP_NUM_THREADS"] == "7"


def test_the_cores_are_those_that_the_process_is_bound_to() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system binds no process")
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert count_bound_cores() == count_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize("cores", [1, 2, 16, 64])
def test_workers_suit_the_machine_unless_they_are_asked_for(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "count_cores", lambda: cores)
    assert settle_loader(None, on_gpu=False)["num_workers"] == 0
    for ranks in (1, 2, 8):
        found = settle_loader(None, on_gpu=True, ranks=ranks)["num_workers"]
        assert 1 <= found <= min(WORKERS_PER_GPU, max(1, cores))
        assert found * ranks <= max(cores, ranks)
    for asked in (0, 1, cores, WORKERS_PER_CORE * cores, 300):
        started = settle_loader(asked, on_gpu=False)["num_workers"]
        assert started == min(asked, WORKERS_PER_CORE * cores)
        assert bool(explain_loader(asked)) == (started < asked)
    assert not explain_loader(None)


@pytest.mark.parametrize("on_gpu", [True, False])
def test_memory_is_pinned_for_a_gpu_alone_and_workers_share_the_frames(on_gpu: bool) -> None:
    for asked in (0, 2):
        settings = settle_loader(asked, on_gpu)
        assert settings["pin_memory"] == on_gpu
        assert settings["persistent_workers"] == (asked > 0)
        forked = asked > 0 and sys.platform == "linux"
        assert (settings["multiprocessing_context"] == "fork") == forked
