"""This machine's slots: each cell gets its own devices, and gives them back however it ends."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from fcn_lab.errors import UserError
from fcn_lab.runs.attempts import find_last_attempt
from fcn_lab.sweeps.engines import local
from fcn_lab.sweeps.engines.local import Basic, DeviceShares, Local, ThreadEngine, list_visible_gpus
from fcn_lab.training import machine
from fcn_lab.training.workers import settle_loader
from fcn_lab.worker.supervisor import Job, Supervisor
from support.waiting import PATIENCE


def jobs(count: int, devices: int = 1, on_cpu: bool = False) -> list[Job]:
    here = Path()
    return [Job(here / str(number), here, here, devices, on_cpu) for number in range(count)]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Job, dict[str, str]]]:
    """What workers were started with; none really is."""
    started: list[tuple[Job, dict[str, str]]] = []

    def run(self: Supervisor) -> int:
        started.append((self.job, dict(self.environment)))
        return 0

    monkeypatch.setattr(Supervisor, "run", run)
    return started


@contextmanager
def gpus(names: str, monkeypatch: pytest.MonkeyPatch, **options: int) -> Iterator[Local]:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
    engine = Local(**options)
    try:
        yield engine
    finally:
        engine.close()


def drain(engine: ThreadEngine, count: int) -> dict[Job, int]:
    ended: dict[Job, int] = {}
    while len(ended) < count:
        ended |= dict(engine.collect_ended(1.0))
    return ended


def test_a_cell_that_cannot_be_started_has_failed_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(self: Supervisor) -> int:
        if self.job.folder.name == "2":
            return 0
        raise OSError("no process can be started\nor so")

    monkeypatch.setattr(Supervisor, "run", run)
    # the folder of the first was removed
    cells = [Job(tmp_path / name, tmp_path, tmp_path) for name in "012"]
    for cell in cells[1:]:
        cell.folder.mkdir()
    engine = Basic()
    engine.submit(cells)
    codes = {job.folder.name: code for job, code in drain(engine, 3).items()}
    assert codes == {"0": 1, "1": 1, "2": 0}
    engine.close()
    assert "1: no process can be started" in capsys.readouterr().err
    assert not cells[0].folder.exists()
    attempt = find_last_attempt(cells[1].folder)
    assert attempt is not None
    assert (attempt.status, attempt.reason) == ("failed", "no process can be started")


@pytest.mark.parametrize(("each", "devices"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_no_gpu_is_ever_held_more_often_than_it_may_be(
    each: int, devices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gpus("0,3,7", monkeypatch, cells_per_gpu=each) as engine, ExitStack() as held:
        full = 3 * each // devices
        names = [
            held.enter_context(engine.lease(job))["CUDA_VISIBLE_DEVICES"].split(",")
            for job in jobs(full, devices)
        ]
        assert {name for own in names for name in own} <= {"0", "3", "7"}
        assert all(len(set(own)) == devices for own in names)
        for gpu in ("0", "3", "7"):
            assert sum(gpu in own for own in names) <= each
        refused = threading.Event()
        waiting = threading.Thread(target=lambda: (_enter(engine, devices), refused.set()))
        waiting.start()
        assert not refused.wait(0.1)  # there is no room
        held.close()
        assert refused.wait(PATIENCE)  # there is again
        waiting.join()


def _enter(engine: Local, devices: int) -> None:
    with engine.lease(jobs(1, devices)[0]):
        pass


def test_a_slot_comes_back_from_a_cell_that_fails() -> None:
    shares = DeviceShares(["0"], 1)
    for _ in range(3):
        with pytest.raises(RuntimeError), shares.lease(1):
            raise RuntimeError
    with shares.lease(1) as names:
        assert names == ["0"]


def test_a_cell_told_to_stay_off_the_gpu_takes_none(
    monkeypatch: pytest.MonkeyPatch, seen: list[tuple[Job, dict[str, str]]]
) -> None:
    with gpus("0", monkeypatch, slots=1) as engine:
        engine.submit([*jobs(1), *jobs(1, on_cpu=True)])
        drain(engine, 2)
    leased = {job.on_cpu: "CUDA_VISIBLE_DEVICES" in environment for job, environment in seen}
    assert leased == {False: True, True: False}


def test_cells_on_the_cpu_divide_its_threads(
    monkeypatch: pytest.MonkeyPatch, seen: list[tuple[Job, dict[str, str]]]
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(local, "count_cores", lambda: 8)
    with gpus("", monkeypatch, slots=4) as engine:
        engine.submit(jobs(5))
        drain(engine, 5)
    assert [environment["OMP_NUM_THREADS"] for _, environment in seen] == ["2"] * 5
    assert len({job for job, _ in seen}) == 5


def test_cells_on_the_cpu_divide_its_threads_beside_a_gpu_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(local, "count_cores", lambda: 16)
    with (
        gpus("0", monkeypatch, slots=4) as engine,
        engine.lease(*jobs(1, on_cpu=True)) as on_cpu,
        engine.lease(*jobs(1)) as on_gpu,
    ):
        assert (on_cpu["OMP_NUM_THREADS"], on_gpu["OMP_NUM_THREADS"]) == ("4", "16")


def test_cells_that_share_a_gpu_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "count_cores", lambda: 16)
    with (
        gpus("0,1", monkeypatch, cells_per_gpu=2) as engine,
        engine.lease(*jobs(1)) as environment,
        engine.lease(*jobs(1, devices=2)) as both,
    ):
        shares = environment[machine.CORES_SHARE], both[machine.CORES_SHARE]
    assert shares == ("4", "8")
    monkeypatch.setattr(machine, "count_bound_cores", lambda: 16)
    monkeypatch.setattr(machine, "read_quotas", lambda *_: [])
    monkeypatch.setenv(machine.CORES_SHARE, "4")
    assert (machine.count_cores(), settle_loader(None, on_gpu=True)["num_workers"]) == (4, 3)


def test_basic_runs_one_after_the_other_in_order(seen: list[tuple[Job, dict[str, str]]]) -> None:
    engine = Basic()
    engine.submit(jobs(4))
    assert drain(engine, 4) == dict.fromkeys(jobs(4), 0)
    engine.close()
    assert seen == [(job, {}) for job in jobs(4)]


def test_a_cell_of_more_devices_than_there_are_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    # the worker then says how many there are
    with gpus("1,2", monkeypatch) as engine, engine.lease(jobs(1, devices=5)[0]) as environment:
        assert environment["CUDA_VISIBLE_DEVICES"].split(",") == ["1", "2"]


@pytest.mark.parametrize(
    ("given", "expected"), [("", []), ("-1", []), ("2,5", ["2", "5"]), ("1,x,2", ["1"])]
)
def test_only_visible_gpus_are_used(
    given: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert list_visible_gpus() == expected


@pytest.mark.parametrize("option", ["slots", "cells_per_gpu"])
def test_less_than_one_is_refused(option: str) -> None:
    with pytest.raises(UserError, match=f"{option}=0.*: expected an integer from 1"):
        Local(**{option: 0})
