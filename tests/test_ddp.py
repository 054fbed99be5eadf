"""Scores on several ranks: the same to the last bit, in one folder."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from tiny import SIZES, Squares, make_train
from torch import Tensor

from fcn_lab.data.sampling import EvalSampler
from fcn_lab.module import SegmentationModule
from fcn_lab.optim import Constant, Optim
from fcn_lab.runfolder import RunFolder
from fcn_lab.tasks.evaluate import Evaluate

CLONE = Path(__file__).parents[1]
WORLDS = (1, 2, 3)
SCRIPT = """
import sys
from pathlib import Path
from tiny import make_train
make_train({"max_epochs": 1, "devices": 2, "strategy": "ddp"}).run(Path(sys.argv[1]))
"""


def score_share(rank: int, world: int, folder: Path) -> None:
    """One rank's part of the test split, and what all ranks make of it."""
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=world)
    try:
        task = make_train()
        optim = Optim(torch.optim.SGD, lr=1.0, schedule=Constant())
        module = SegmentationModule(task.net, task.loss, optim, Squares().classes).eval()
        module.test_scores.expect(SIZES["test"])
        frames = Squares().frames("test")
        for index in EvalSampler(SIZES["test"], rank, world):
            image = torch.from_numpy(frames.images[index]).permute(2, 0, 1)[None]
            label = torch.from_numpy(frames.labels[index])[None]
            with torch.no_grad():
                module.test_step({"image": image, "label": label, "index": torch.tensor([index])}, 0)
        torch.save(module.test_scores.compute(), folder / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def scored(world: int, folder: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """What each rank ends with."""
    folder.mkdir()
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=score_share, args=(rank, world, folder)) for rank in range(world)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
        assert process.exitcode == 0
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


def test_two_ranks_leave_one_run_whose_scores_one_rank_repeats(tmp_path: Path) -> None:
    script, folder = tmp_path / "train.py", tmp_path / "run"
    script.write_text(SCRIPT)
    folder.mkdir()
    paths = os.pathsep.join((str(CLONE), str(CLONE / "tests")))
    subprocess.run(
        [sys.executable, script, folder],
        env={**os.environ, "PYTHONPATH": paths},
        check=True,
        capture_output=True,
        timeout=110,
    )
    metrics = RunFolder(folder).read_metrics()
    assert len(RunFolder(folder).read_history()) == 1
    task = make_train()
    for split in ("val", "test"):
        task.data.split = split
        again = RunFolder(tmp_path / split)
        again.path.mkdir()
        Evaluate(folder, task.net, task.data, task.training, task.words).run(again.path)
        assert again.read_metrics()[split] == metrics[split]
