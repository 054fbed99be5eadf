"""task=train: trains, saves the best weights, scores them once, and writes metrics.json last."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from fcn_lab.cost.macs import count_cost
from fcn_lab.data.balance import count_pixels
from fcn_lab.errors import Omissions, WriteFailure, first_line
from fcn_lab.runs.checkpoint import load_best_checkpoint, load_state
from fcn_lab.runs.run import RunFolder
from fcn_lab.signals import StoppedBySignal, StopRequest
from fcn_lab.text.commands import format_command
from fcn_lab.text.terminal import print_next, print_text
from fcn_lab.training.callbacks.checkpoints import BestAndLast, fit_from_last
from fcn_lab.training.callbacks.clock import Clock
from fcn_lab.training.callbacks.diagnosis import VitalSigns
from fcn_lab.training.callbacks.gradients import GradientNorms, require_stages
from fcn_lab.training.callbacks.history import History
from fcn_lab.training.callbacks.keep_frozen import FrozenLayers
from fcn_lab.training.callbacks.pictures import Pictures
from fcn_lab.training.callbacks.predictions import Predictions
from fcn_lab.training.callbacks.progress import create_progress
from fcn_lab.training.callbacks.steps import StepLog
from fcn_lab.training.callbacks.stop import StopOnSignal
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.execution import Execution
from fcn_lab.training.freeze import Freeze, Nothing, describe_trained
from fcn_lab.training.loggers.base import Factory, RunInfo, RunLogger, open_loggers
from fcn_lab.training.losses import Loss
from fcn_lab.training.module import SegmentationModule
from fcn_lab.training.opening import (
    EarlierStages,
    describe_recipe,
    load_initial_weights,
    prepare_folder,
    require_batch_statistics,
)
from fcn_lab.training.optim import Optim
from fcn_lab.training.precision import PrecisionChoice
from fcn_lab.training.ranks import is_first_rank
from fcn_lab.training.scoring import (
    ScoredSplit,
    conclude_loggers,
    image_size,
    publish_scores,
    score_split,
)
from fcn_lab.training.settings import TrainerSettings
from fcn_lab.training.splits import find_data_gaps, find_labelled_splits, require_trainable


@dataclass
class Train:
    """Trains `net` on `data`, and scores the best of its weights.

    Args:
        net: float RGB 0…1 (N,3,H,W) → scores (N,K,H,W).
        data: train, val and test loaders.
        loss: called with scores (N,K,H,W) and int64 target (N,H,W).
        optim: optimiser and schedule.
        training: the length of the training, its devices and its arithmetic.
        words: model, upsample, encoder.
        loggers: take the scores in addition to the folder.
        seed: decides every random draw of the training.
        flip: score the average over image and mirror image.
        freeze: which parts are not trained.
        init_from: the folder of a run whose best weights are loaded first, as far as they fit.
        resume: whether to continue the run in the folder.
        earlier_stages: the stages before this one, which have settled the precision of all stages.
    """

    net: nn.Module
    data: FrameDataModule
    loss: Loss
    optim: Optim
    training: TrainerSettings
    words: Mapping[str, str]
    loggers: Mapping[str, Factory] | None = field(default_factory=dict)
    seed: int = 0
    flip: bool = False
    freeze: Freeze = field(default_factory=Nothing)
    init_from: str | Path | None = None
    resume: bool = False
    earlier_stages: EarlierStages | None = None

    def run(self, folder: Path) -> None:
        """Writes a complete run into `folder`.

        Raises:
            UserError: the folder holds a finished run, or one that was not to be resumed.
            StoppedBySignal: a signal came; the run can be resumed.
        """
        run_folder = RunFolder(folder)
        go_on = format_command(f"resume={self._find_root(folder)}")
        clock = Clock(self.earlier_stages.seconds if self.earlier_stages else 0.0)
        self.training.check_devices()
        # called first, since it refuses data that cannot be trained on
        require_trainable(self.data, self.training.processes)
        choice = self._settle_precision(run_folder)
        if is_first_rank():
            self._open_folder(run_folder, choice)
        cost = count_cost(self.net, *image_size(self.data.source.frames("val")))
        with StopRequest() as request:
            try:
                # after all checks: loggers create folders, and W&B a run on its server
                frozen_layers = self._prepare_network(run_folder)
                module = self.create_module()
                omissions = Omissions()
                factories, info = (self.loggers or {}).values(), self._describe_run(run_folder)
                with open_loggers(factories, info, omissions) as loggers:
                    execution = Execution(run_folder, clock, request, loggers, omissions)
                    self._fit(module, frozen_layers, execution)
                    results = self._score(module, execution)
                if is_first_rank():
                    facts: dict[str, object] = {**self.words, "seed": self.seed, **asdict(cost)}
                    facts["seconds"] = clock.seconds
                    publish_scores(run_folder, self.data.protocol, facts, results, omissions)
                if self._find_root(folder) != folder:
                    # the next stage would not know of it
                    request.obey()
            except StoppedBySignal as stop:
                if is_first_rank():
                    print_next({"stopped; to go on": go_on})
                stop.is_told = True
                raise
            except WriteFailure as error:
                if not run_folder.last_checkpoint.exists():
                    raise
                raise WriteFailure(f"{first_line(error)} Then go on with:\n{go_on}") from error

    def preflight(self, on_other_machine: bool) -> None:
        """Refuses everything that `run` would refuse, and packs the data, without training.

        Args:
            on_other_machine: whether it will run on a machine whose devices are not known here.

        Raises:
            UserError: data, a device or a part of the network is missing or does not fit.
        """
        if not on_other_machine:
            self.training.check_devices()
        require_trainable(self.data, self.training.processes)
        find_data_gaps(self.data)
        if self.init_from is not None and not self.resume:
            load_initial_weights(self.net, Path(self.init_from))
        self._freeze_parts()

    def _settle_precision(self, folder: RunFolder) -> PrecisionChoice | None:
        """Settles the precision; returns the choice, or None where an earlier stage printed it."""
        if self.earlier_stages is not None:
            return None
        first_precision = folder.precision if self.resume else None
        self.training, choice = self.training.settle_precision(first_precision, keeps_first=True)
        return choice

    def _open_folder(self, folder: RunFolder, choice: PrecisionChoice | None) -> None:
        prepare_folder(folder, self.resume)
        folder.write_env(self.training.describe_device())
        lines = [self.data.describe(), *find_data_gaps(self.data)]
        lines += choice.describe(self.training.memory_format) if choice is not None else []
        print_text("\n".join([*lines, *self.training.describe_nondeterminism(self.net)]))

    def _find_root(self, folder: Path) -> Path:
        """Returns the folder that the user resumes."""
        return folder if self.earlier_stages is None else self.earlier_stages.root

    def _prepare_network(self, folder: RunFolder) -> list[nn.Module]:
        """Loads what the network starts from; returns the layers that are not trained."""
        is_start = self.init_from is not None and not folder.last_checkpoint.exists()
        lines = load_initial_weights(self.net, Path(self.init_from)) if is_start else []  # type: ignore[arg-type]
        frozen_layers = self._freeze_parts()
        if is_first_rank():
            recipe = describe_recipe(self.loss, self.optim, self.data, self.training.processes)
            print_text("\n".join([*lines, describe_trained(self.net), *recipe]))
        return frozen_layers

    def _freeze_parts(self) -> list[nn.Module]:
        """Freezes what is not trained, and checks what is; returns the normalisations frozen."""
        frozen_layers = self.freeze.apply(self.net)
        require_batch_statistics(self.net, frozen_layers, self.data)
        self.optim.parameter_groups(self.net)
        if self.training.gradients_every is not None:
            require_stages(self.net)
        return frozen_layers

    def create_module(self) -> SegmentationModule:
        """Returns what Lightning trains: the network, and the loss with weights from the labels."""
        counts, pixels = count_pixels(self.data.source.frames("train"), self.data.num_classes)
        self.loss.calibrate(torch.from_numpy(counts), torch.from_numpy(pixels))
        seed = self.seed + (self.earlier_stages.seed_shift if self.earlier_stages else 0)
        return SegmentationModule(
            self.training.prepare(self.net), self.loss, self.optim, self.data.classes,
            seed, self.flip, self.training.memory_format,
        )  # fmt: skip

    def _fit(
        self, module: SegmentationModule, frozen_layers: Sequence[nn.Module], execution: Execution
    ) -> None:
        folder, clock, loggers = execution.folder, execution.clock, execution.loggers
        checkpoints = BestAndLast(folder, self.training.patience)
        callbacks = [
            *self.training.create_averaging(),
            FrozenLayers(frozen_layers),
            clock,
            VitalSigns(),
            self._create_pictures(folder, loggers),
            History(folder, clock, self.data.classes),
            create_progress(clock),
            StepLog(self.training.log_every_n_steps),
            checkpoints,
            StopOnSignal(execution.request, checkpoints),
        ]
        if (interval := self.training.gradients_every) is not None:
            callbacks.append(GradientNorms(folder, self.net, interval))
        trainer = self.training.create_trainer(folder, loggers, callbacks)
        fit_from_last(trainer, module, self.data, folder)

    def _score(self, module: SegmentationModule, execution: Execution) -> dict[str, ScoredSplit]:
        folder, omissions = execution.folder, execution.omissions
        splits, checkpoint = find_labelled_splits(self.data), load_best_checkpoint(folder.path)
        load_state(module.net, checkpoint["state_dict"], folder.path)
        pictures = self._create_pictures(folder, execution.loggers, omissions)
        pictures.step = checkpoint["global_step"]
        predictions = Predictions(folder, self.data.palette, splits[-1], omissions)
        progress = create_progress(execution.clock)
        callbacks = [pictures, predictions, progress, StopOnSignal(execution.request)]
        # Lightning does not get the loggers, so a log that cannot be written costs no score
        trainer = self.training.create_trainer(folder, (), callbacks)
        parts = (trainer, module, self.data, folder, omissions, len(splits) == 1)
        results = {split: score_split(split, *parts) for split in splits}
        conclude_loggers(execution.loggers, results, omissions)
        return results

    def _create_pictures(
        self, folder: RunFolder, loggers: Sequence[RunLogger], omissions: Omissions | None = None
    ) -> Pictures:
        facts = (self.data.classes, self.data.palette, self.data.split)
        return Pictures(folder, *facts, loggers=loggers, omissions=omissions)

    def _describe_run(self, folder: RunFolder) -> RunInfo:
        config = RunFolder(self._find_root(folder.path)).read_config()
        facts = (self.data.classes, self.data.palette)
        return RunInfo(folder.path, folder.run_id, self.words, config, *facts)
