"""Measures what a training will cost before it begins: counts operations, times a few steps."""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from fcn_lab.cost.macs import count_cost
from fcn_lab.runs.run import RunFolder
from fcn_lab.tasks.train import Train
from fcn_lab.training.module import Batch
from fcn_lab.training.scoring import image_size
from fcn_lab.training.splits import find_scored_splits

# the most batches that are timed, after an untimed first one
TIMED_BATCHES = 6
TIMING_SECONDS = 2.0


@dataclass(frozen=True)
class Workload:
    """The amount of computation of one training.

    Args:
        macs: multiply-accumulates of one frame's forward pass.
        trained_frames: frames trained on, those of all epochs together.
        scored_frames: frames scored on the way and at the end.
    """

    macs: int
    trained_frames: float
    scored_frames: float


@dataclass(frozen=True)
class Pace:
    """Seconds a frame, with reading and augmenting it."""

    training: float
    scoring: float

    def seconds(self, work: Workload) -> float:
        """Returns the seconds that the work takes at this pace."""
        return work.trained_frames * self.training + work.scored_frames * self.scoring


def count_workload(task: Train) -> Workload:
    """Counts the work; nothing is computed."""
    splits = find_scored_splits(task.data)
    frames = {name: task.data.source.frames(name) for name in ("train", *splits)}
    training = task.training
    validations = training.max_epochs // training.val_every
    scored_frames = sum(len(frames[name]) for name in splits)
    processes = training.processes
    return Workload(
        count_cost(task.net, *image_size(frames["val"])).macs,
        len(frames["train"]) * training.max_epochs / processes,
        (len(frames["val"]) * validations + scored_frames) / processes,
    )


def measure_pace(task: Train) -> Pace:
    """Times a few steps of the training itself, on one device and not compiled."""
    # other devices would start ranks, and compiling takes longer than everything timed here
    settings = replace(task.training, devices=1, num_nodes=1, strategy="auto", compile=False)
    watch, module = Stopwatch(), replace(task, training=settings).create_module()
    with tempfile.TemporaryDirectory() as folder:
        trainer = settings.create_trainer(RunFolder(Path(folder)), [], [watch])
        trainer.limit_train_batches, trainer.limit_val_batches = TIMED_BATCHES + 1, 0
        trainer.fit_loop.max_epochs = 1
        trainer.fit(module, task.data)
        training = watch.seconds()
        scorer = settings.create_trainer(RunFolder(Path(folder)), [], [watch])
        scorer.limit_val_batches = TIMED_BATCHES + 1
        scorer.validate(module, task.data, verbose=False)
    return Pace(training, watch.seconds())


class Stopwatch(Callback):
    """Notes when batches end, and ends the training when it has been timed for long enough."""

    def __init__(self) -> None:
        # the time, and the number of frames done by then
        self._marks: list[tuple[float, int]] = []

    def seconds(self) -> float:
        """Returns the seconds a frame, without the first batch if others follow; starts anew."""
        marks, self._marks = self._marks, []
        marks_used = marks[1:] if len(marks) > 2 else marks
        return (marks_used[-1][0] - marks_used[0][0]) / (marks_used[-1][1] - marks_used[0][1])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._record_frames(0)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._record_frames(0)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: object, batch: Batch, *_: int
    ) -> None:
        self._record_frames(len(batch["image"]))
        # the first batch, untimed, waits for the data's processes to start
        has_timed = len(self._marks) > 2
        trainer.should_stop = has_timed and self._marks[-1][0] - self._marks[0][0] > TIMING_SECONDS

    def on_validation_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: object, batch: Batch, *_: int
    ) -> None:
        self._record_frames(len(batch["image"]))

    def _record_frames(self, frames: int) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        frames_before = self._marks[-1][1] if self._marks else 0
        self._marks.append((time.perf_counter(), frames_before + frames))
