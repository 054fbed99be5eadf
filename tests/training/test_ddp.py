"""Scores on several ranks: the same to the last bit, in one folder."""

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn

from fcn_lab.data.sampling import EvalSampler
from fcn_lab.errors import UserError
from fcn_lab.runs.outcomes import read_history
from fcn_lab.runs.run import RunFolder
from fcn_lab.signals import StoppedBySignal
from fcn_lab.tasks.evaluate import Evaluate
from fcn_lab.training.losses import CrossEntropy
from fcn_lab.training.module import SegmentationModule
from support.stopping import SignalAt
from support.tiny import SIZES, Net, Squares, make_train
from support.waiting import PATIENCE

WORLDS = (1, 2, 3)


def score_share(rank: int, world: int, folder: Path) -> None:
    """One rank's part of the test split, and what all ranks make of it."""
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=world)
    try:
        task = make_train()
        module = SegmentationModule(task.net, task.loss, None, Squares().classes).eval()
        module.test_scores.expect(SIZES["test"])
        frames = Squares().frames("test")
        for index in EvalSampler(SIZES["test"], rank, world):
            image = torch.from_numpy(frames.images[index]).permute(2, 0, 1)[None]
            label = torch.from_numpy(frames.labels[index])[None]
            with torch.no_grad():
                module.test_step(
                    {"image": image, "label": label, "index": torch.tensor([index])}, 0
                )
        torch.save(module.test_scores.compute(), folder / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def resume_share(rank: int, world: int, folder: Path) -> None:
    """One rank of an epoch that is stopped after a step or two, and goes on for another."""
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=world)
    try:
        modules = [
            SegmentationModule(make_train().net, None, None, Squares().classes) for _ in range(2)
        ]
        for module in modules:
            module._trainer = SimpleNamespace(datamodule=None, is_global_zero=rank == 0)  # type: ignore[assignment]
        stopped, resumed = modules
        stopped.train_loss.update(torch.tensor(float(rank)))
        checkpoint: dict[str, Any] = {}
        stopped.on_save_checkpoint(checkpoint)
        checkpoints: list[Any] = [None] * world
        dist.all_gather_object(checkpoints, checkpoint)
        resumed.on_load_checkpoint(checkpoints[0])
        resumed.train_loss.update(torch.tensor(10.0 + rank))
        stopped.train_loss.update(torch.tensor(10.0 + rank))
        torch.save(
            (stopped.train_loss.compute(), resumed.train_loss.compute()), folder / f"{rank}.pt"
        )
    finally:
        dist.destroy_process_group()


def join(rank: int, world: int, folder: Path) -> dict[str, Any]:
    """Makes this process one that Lightning has started; gives the settings of its trainer."""
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": (folder / "port").read_text()}
    rank_zero_only.rank = rank  # type: ignore[attr-defined]
    return {"max_epochs": 2, "devices": world, "strategy": "ddp"}


def train_share(rank: int, world: int, folder: Path) -> None:
    """One rank of a run."""
    make_train(join(rank, world, folder)).run(folder)


def stop_share(rank: int, world: int, folder: Path) -> None:
    """One rank of a run whose last rank alone gets a signal, in its first step."""
    training = join(rank, world, folder)
    loss = SignalAt(1) if rank == world - 1 else CrossEntropy()
    with pytest.raises(StoppedBySignal) as stopped:
        make_train(training, loss=loss).run(folder)
    (folder / f"{rank}.txt").write_text(str(stopped.value.signum))


class HalfUsed(Net):
    """A network with a layer that no score depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.rest = nn.Conv2d(8, 3, 1)


def train_half(rank: int, world: int, folder: Path) -> None:
    """One rank of a run that waits for a gradient that never comes."""
    with pytest.raises(
        UserError, match=r"\nType trainer\.strategy=ddp_find_unused_parameters_true"
    ):
        make_train(join(rank, world, folder), net=HalfUsed()).run(folder)


def start(share: Callable[[int, int, Path], None], world: int, folder: Path) -> None:
    """Runs it in forked processes, which need not import everything again."""
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=share, args=(rank, world, folder)) for rank in range(world)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(PATIENCE)
        assert process.exitcode == 0


def make_meeting_place(folder: Path) -> Path:
    """Makes the folder, which names the port where ranks find each other."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (folder / "port").write_text(str(free.getsockname()[1]))
    return folder


def scored(world: int, folder: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """What each rank ends with."""
    folder.mkdir()
    start(score_share, world, folder)
    for rank in range(world):
        matrices, losses = torch.load(folder / f"{rank}.pt", weights_only=True)
        yield matrices, losses


def test_scores_are_the_same_to_the_last_bit_on_any_number_of_ranks(tmp_path: Path) -> None:
    assert all(SIZES["test"] % world for world in WORLDS[1:])
    ends = [end for world in WORLDS for end in scored(world, tmp_path / str(world))]
    assert len(ends) == sum(WORLDS)
    first_matrices, first_losses = ends[0]
    assert first_matrices.sum() > 0
    for matrices, losses in ends[1:]:
        assert torch.equal(matrices, first_matrices)
        assert torch.equal(losses, first_losses)


def test_the_loss_of_an_epoch_stopped_in_between_is_that_of_all_its_steps(tmp_path: Path) -> None:
    start(resume_share, 2, tmp_path)
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt") == (torch.tensor(5.5), torch.tensor(5.5))


def test_two_ranks_leave_one_run_whose_scores_one_rank_repeats(tmp_path: Path) -> None:
    folder = make_meeting_place(tmp_path / "run")
    start(train_share, 2, folder)
    metrics = RunFolder(folder).read_metrics()
    assert [row["epoch"] for row in read_history(folder)] == ["0", "1"]
    task = make_train()
    for split in ("val", "test"):
        task.data.split = split
        again = RunFolder(tmp_path / split)
        again.path.mkdir()
        Evaluate(folder, task.net, task.data, task.training, task.words).run(again.path)
        assert again.read_metrics()[split] == metrics[split]


def test_parameters_without_a_gradient_are_refused_with_what_to_type(tmp_path: Path) -> None:
    start(train_half, 2, make_meeting_place(tmp_path / "run"))


def test_a_signal_to_one_rank_stops_all_with_a_checkpoint(tmp_path: Path) -> None:
    folder = make_meeting_place(tmp_path / "run")
    start(stop_share, 2, folder)
    assert {(folder / f"{rank}.txt").read_text() for rank in range(2)} == {f"{signal.SIGTERM:d}"}
    assert torch.load(RunFolder(folder).last_checkpoint, weights_only=True)["global_step"] == 1
    assert not RunFolder(folder).metrics.exists()
