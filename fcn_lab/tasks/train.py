"""task=train: train, keep the best, score it once, and write metrics.json last."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from fcn_lab.commands import command
from fcn_lab.cost.macs import count_cost
from fcn_lab.data.balance import count_pixels
from fcn_lab.errors import NotWritten, Omissions, UserError
from fcn_lab.files import clear_drafts, make_folder
from fcn_lab.inference.predictor import load_weights
from fcn_lab.runs.run import RunFolder
from fcn_lab.signals import Stopped, StopRequest
from fcn_lab.terminal import say
from fcn_lab.training.callbacks.checkpoints import BestAndLast
from fcn_lab.training.callbacks.clock import Clock
from fcn_lab.training.callbacks.diagnosis import VitalSigns
from fcn_lab.training.callbacks.gradients import GradientNorms
from fcn_lab.training.callbacks.history import History
from fcn_lab.training.callbacks.keep_frozen import Frozen
from fcn_lab.training.callbacks.pictures import Pictures
from fcn_lab.training.callbacks.predictions import Predictions
from fcn_lab.training.callbacks.progress import progress
from fcn_lab.training.callbacks.stop import StopOnSignal
from fcn_lab.training.datamodule import CamVidDataModule
from fcn_lab.training.freeze import Freeze, Nothing, account
from fcn_lab.training.loggers.base import Factory, RunInfo, RunLogger, open_loggers
from fcn_lab.training.losses import Loss
from fcn_lab.training.module import SegmentationModule
from fcn_lab.training.opening import gaps, require_spread, scored_splits, terms, warm
from fcn_lab.training.optim import Optim
from fcn_lab.training.precision import Choice
from fcn_lab.training.ranks import is_first_rank
from fcn_lab.training.scoring import Scored, conclude, image_size, score
from fcn_lab.training.settings import Training


@dataclass
class Train:
    """Trains `net` on `data`.

    Args:
        net: float RGB 0…1 (N,3,H,W) → scores (N,K,H,W).
        data: train, val and test loaders.
        loss: the loss.
        optim: optimiser and schedule.
        training: how long and on what.
        words: model, upsample, encoder.
        loggers: where scores go besides the folder.
        seed: of every draw in training.
        flip: score the average over image and mirror image.
        freeze: which parts are not trained.
        init_from: the folder of a run whose best weights are the start, as far as they fit.
        resume: go on with the run that the folder holds.
    """

    net: nn.Module
    data: CamVidDataModule
    loss: Loss
    optim: Optim
    training: Training
    words: Mapping[str, str]
    loggers: Mapping[str, Factory] | None = field(default_factory=dict)
    seed: int = 0
    flip: bool = False
    freeze: Freeze = field(default_factory=Nothing)
    init_from: str | Path | None = None
    resume: bool = False

    def run(self, folder: Path) -> None:
        """Leaves a complete run in `folder`.

        Raises:
            UserError: the folder holds a run that is finished, or was not to be resumed.
            Stopped: a signal came; the run can be resumed.
        """
        where, clock = RunFolder(folder), self._clock()
        self.training.check_devices()
        scored_splits(self.data)  # refuses data that cannot be trained on
        choice = self._settle(where)
        if is_first_rank():
            self._open(where, choice)
        height, width = image_size(self.data.source.frames("val"))
        spent = count_cost(self.net, height, width)
        with StopRequest() as request:
            try:
                # behind all that may refuse: loggers leave folders, W&B a run on a server
                self._start(where)
                module = self.module()
                with self._loggers(where) as loggers:
                    self._fit(module, where, clock, request, loggers)
                    omissions = Omissions()
                    scored = self._score(module, where, clock, request, loggers, omissions)
                if is_first_rank():
                    facts: dict[str, object] = {**self.words, "seed": self.seed, **asdict(spent)}
                    facts["seconds"] = round(clock.seconds, 1)
                    conclude(where, self.data.protocol, facts, scored, omissions)
            except Stopped:
                if is_first_rank():
                    say(f"stopped; go on with: {self._resume(folder)}")
                raise
            except NotWritten as error:
                if not where.last.exists():
                    raise
                reason = str(error).partition("\n")[0]
                raise NotWritten(f"{reason}\nThen go on with: {self._resume(folder)}") from error

    def preflight(self, elsewhere: bool) -> None:
        """Refuses what `run` would refuse, packs the data, and computes nothing.

        Args:
            elsewhere: it will run on another machine, whose devices are not known here.

        Raises:
            UserError: data are missing or broken, a device is, or parts of the network are.
        """
        if not elsewhere:
            self.training.check_devices()
        for split in ("train", *scored_splits(self.data)):
            self.data.source.frames(split)
        if self.init_from is not None:
            warm(self.net, Path(self.init_from))
        require_spread(self.net, self.freeze.apply(self.net), self.data)
        self.optim.groups(self.net)

    def _settle(self, folder: RunFolder) -> Choice | None:
        """Fixes the precision, also a resumed run's; how, unless that was said before."""
        began = folder.precision if self.resume else None
        self.training, choice = self.training.settle(began, keep=True)
        return choice

    def _open(self, folder: RunFolder, choice: Choice | None) -> None:
        if folder.finished:
            raise UserError(f"{folder.path}: this run is finished, its scores are in metrics.json")
        if folder.last.exists() and not self.resume:
            go_on = command(f"resume={folder.path}")
            raise UserError(
                f"{folder.path} holds a run already. hydra.run.dir= chooses another folder. "
                f"To go on with it:\n{go_on}"
            )
        folder.require_sound()
        make_folder(folder.last.parent)
        for place in (folder.path, folder.last.parent, folder.panels):
            clear_drafts(place, 0)  # of an attempt that was killed
        if not self.resume:  # one that never began may have left it
            folder.env.unlink(missing_ok=True)
        folder.write_env(self.training.device_name, self.training.precision)
        arithmetic = choice.describe(self.training.memory_format) if choice is not None else []
        say("\n".join([self.data.describe(), *gaps(self.data), *arithmetic]))
        for line in self.training.doubts(self.net):
            say(line)

    def _resume(self, folder: Path) -> str:
        return command(f"resume={self._root(folder)}")

    def _clock(self) -> Clock:
        return Clock()

    def _root(self, folder: Path) -> Path:
        """What the user resumes."""
        return folder

    def _start(self, folder: RunFolder) -> None:
        begins = self.init_from is not None and not folder.last.exists()
        told = warm(self.net, Path(self.init_from)) if begins else []  # type: ignore[arg-type]
        self._still = self.freeze.apply(self.net)
        require_spread(self.net, self._still, self.data)
        self.optim.groups(self.net)
        if is_first_rank():
            for line in (*told, account(self.net), *terms(self.loss, self.optim, self.data)):
                say(line)

    def module(self) -> SegmentationModule:
        """What Lightning trains: the network, and a loss that has seen the training labels."""
        counts, shown = count_pixels(self.data.source.frames("train"), self.data.num_classes)
        self.loss.calibrate(torch.from_numpy(counts), torch.from_numpy(shown))
        return SegmentationModule(
            self.training.prepare(self.net), self.loss, self.optim, self.data.classes,
            self.seed, self.flip, self.training.memory_format,
        )  # fmt: skip

    def _fit(
        self,
        module: SegmentationModule,
        folder: RunFolder,
        clock: Clock,
        request: StopRequest,
        loggers: list[RunLogger],
    ) -> None:
        keep = BestAndLast(folder, self.training.patience)
        callbacks = [
            *self.training.averaging(),
            Frozen(self._still),
            clock,
            VitalSigns(),
            self._pictures(folder),
            History(folder, clock, self.data.classes),
            progress(clock),
            keep,
            StopOnSignal(request, keep),
        ]
        if (every := self.training.gradients_every) is not None:
            callbacks.append(GradientNorms(folder, self.net, every))
        trainer = self.training.trainer(folder, loggers, callbacks)
        last = folder.last if folder.last.exists() else None
        trainer.fit(module, self.data, ckpt_path=last, weights_only=True)

    def _score(
        self,
        module: SegmentationModule,
        folder: RunFolder,
        clock: Clock,
        request: StopRequest,
        loggers: list[RunLogger],
        omissions: Omissions,
    ) -> dict[str, Scored]:
        splits = scored_splits(self.data)
        load_weights(module.net, folder.path)
        predictions = Predictions(folder, self.data.palette, omissions)
        pictures = self._pictures(folder, omissions)
        callbacks = [pictures, predictions, progress(clock), StopOnSignal(request)]
        trainer = self.training.trainer(folder, loggers, callbacks)
        scored = {
            split: score(split, trainer, module, self.data, folder, omissions, len(splits) == 1)
            for split in splits
        }
        for logger in loggers:
            logger.conclude(
                {f"{s}/{name}": value for s, r in scored.items() for name, value in r.figures()},
                {s: r.matrix for s, r in scored.items()},
            )
        return scored

    def _pictures(self, folder: RunFolder, omissions: Omissions | None = None) -> Callback:
        shown = (self.data.classes, self.data.palette, self.data.split)
        return Pictures(folder, *shown, omissions=omissions)

    def _loggers(self, folder: RunFolder) -> AbstractContextManager[list[RunLogger]]:
        config = RunFolder(self._root(folder.path)).read_config()
        run = RunInfo(
            folder.path, folder.run_id, self.words, config, self.data.classes, self.data.palette
        )
        return open_loggers((self.loggers or {}).values(), run)
