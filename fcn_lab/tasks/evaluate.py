"""task=evaluate: score the best weights of a run on one split, `data.split`."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from fcn_lab.cost.comparison import compare_costs
from fcn_lab.cost.macs import count_cost
from fcn_lab.errors import Omissions
from fcn_lab.inference.predictor import load_weights
from fcn_lab.inference.sliding_windows import SlidingWindows
from fcn_lab.runs.run import RunFolder
from fcn_lab.signals import StopRequest
from fcn_lab.terminal import say
from fcn_lab.training.callbacks.clock import Clock
from fcn_lab.training.callbacks.pictures import Pictures
from fcn_lab.training.callbacks.predictions import Predictions
from fcn_lab.training.callbacks.progress import progress
from fcn_lab.training.callbacks.stop import StopOnSignal
from fcn_lab.training.datamodule import CamVidDataModule
from fcn_lab.training.losses import CrossEntropy
from fcn_lab.training.module import SegmentationModule
from fcn_lab.training.optim import Constant, Optim
from fcn_lab.training.ranks import is_first_rank
from fcn_lab.training.scoring import conclude, image_size, score
from fcn_lab.training.settings import Training

NOT_TRAINED = Optim(torch.optim.SGD, lr=1.0, schedule=Constant())


class Evaluate:
    """Scores a run again, on another split or with another `flip`, into a folder of its own.

    Args:
        run: the folder of the training run.
        net: its network.
        data: its data; `data.split` says what to score.
        training: on what to compute.
        words: model, upsample, encoder.
        seed: the run's.
        flip: average over image and mirror image.
        dense: makes of the network the one that scores: every pixel for itself, in windows, …
    """

    def __init__(
        self,
        run: str | Path,
        net: nn.Module,
        data: CamVidDataModule,
        training: Training,
        words: Mapping[str, str],
        seed: int = 0,
        flip: bool = False,
        dense: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        self.source, self.net, self.data, self.training = Path(run), net, data, training
        self.words, self.seed, self.flip, self.dense = words, seed, flip, dense

    def run(self, folder: Path) -> None:
        """Leaves metrics.json, the confusion matrices and panels in `folder`.

        Raises:
            UserError: where the run has no weights, or others, or `dense` is not for its network.
        """
        where, split, clock = RunFolder(folder), self.data.split, Clock()
        self.training.check_devices()
        training, choice = self.training.settle(RunFolder(self.source).precision)
        plain = load_weights(self.net, self.source)
        net = plain if self.dense is None else self.dense(plain)
        if is_first_rank():
            where.write_env(training.device_name, training.precision)
            for line in (self.data.describe(), *choice.describe(training.memory_format)):
                say(line)
        size = image_size(self.data.source.frames(split))
        if self.dense is not None and is_first_rank():
            if isinstance(net, SlidingWindows):
                say(net.describe())
            say(compare_costs({"upsampled": plain, type(net).__name__: net}, *size))
        spent = count_cost(net, *size)
        module = SegmentationModule(
            training.prepare(net), CrossEntropy(), NOT_TRAINED, self.data.classes,
            self.seed, self.flip, training.memory_format,
        )  # fmt: skip
        omissions = Omissions()
        pictures = Pictures(where, self.data.classes, self.data.palette, split, omissions=omissions)
        with StopRequest() as request:
            trainer = training.trainer(
                where,
                (),
                [
                    pictures,
                    Predictions(where, self.data.palette, omissions),
                    progress(clock),
                    StopOnSignal(request),
                ],
            )
            result = score(split, trainer, module, self.data, where, omissions)
        if trainer.is_global_zero:
            facts: dict[str, object] = {**self.words, "seed": self.seed, **asdict(spent)}
            if self.dense is not None:
                facts["dense"] = type(net).__name__
            facts["seconds"] = round(clock.seconds, 1)
            scored = {split: result}
            conclude(where, self.data.protocol, facts, scored, omissions, run=self.source)
