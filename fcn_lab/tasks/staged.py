"""task=staged: trains FCN-32s, then 16s, then 8s, each from the last one, in max_epochs together.

Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015, section
4.2. The new score layers start at zero, so that each stage starts with the scores of the one before
(``fcn_lab.networks.weights.warm_start`` says for which operators its output is the same too).

    RUN_DIR/stages/fcn32s    the first stage, a run of its own
    RUN_DIR/stages/fcn16s    the second
    RUN_DIR                  the last one: a run like any other
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from fcn_lab.data.seeds import seed_of
from fcn_lab.encoders.base import STRIDE
from fcn_lab.errors import UserError
from fcn_lab.networks.fcn import FCN, coarsen
from fcn_lab.runs.names import STAGES
from fcn_lab.runs.run import RunFolder
from fcn_lab.tasks.train import Train
from fcn_lab.text.terminal import print_text
from fcn_lab.training.opening import EarlierStages
from fcn_lab.training.optim import belongs_to
from fcn_lab.training.ranks import is_first_rank
from fcn_lab.values import Positive

# difference of the seeds of two stages, so that no stage repeats another's draws
STAGE_SEED_STEP = 1_000_003


@dataclass
class TrainInStages(Train):
    """Trains all coarser networks, then `net`; the epochs of all stages add up to max_epochs.

    Args:
        rates: factors of optim.lr, one a stage, coarse first; by default all are 1. The paper's
            are 1, 0.01 and 0.0001.

    Raises:
        UserError: there is no coarser network, a stage would end before its first validation, or
            the rates are not as many as the stages.
    """

    rates: Sequence[Positive] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if not isinstance(self.net, FCN) or self.net.stride >= STRIDE:
            raise UserError(
                f"task=staged: model={self.words['model']} has no coarser stage; "
                "expected fcn16s, fcn8s, fcn4s or fcn2s"
            )
        self._strides = [STRIDE]
        while self._strides[-1] > self.net.stride:
            self._strides.append(self._strides[-1] // 2)
        if self.rates and len(self.rates) != len(self._strides):
            raise UserError(
                f"stage_rates: {len(self.rates)} factors, "
                f"expected {len(self._strides)}, one a stage"
            )
        share = self.training.max_epochs // len(self._strides)
        if share < self.training.val_every:
            raise UserError(
                f"trainer.max_epochs={self.training.max_epochs} over {len(self._strides)} stages "
                f"leaves the first {share}; expected trainer.val_every={self.training.val_every} "
                "at least"
            )

    def run(self, folder: Path) -> None:
        """Writes a complete run into `folder`, and those of the earlier stages below it.

        A stage that is done is not trained again; one that was stopped is resumed.

        Raises:
            UserError: the folder holds a finished run, or one that was not to be resumed.
            StoppedBySignal: a signal came; the run can be resumed.
        """
        start, seconds = self.init_from, 0.0
        assert isinstance(self.net, FCN)
        # an earlier stage may lack a part that a rate is for
        self.optim.parameter_groups(self.net)
        first = RunFolder(folder / STAGES / f"fcn{self._strides[0]}s")
        self.training, choice = self.training.settle_precision(
            first.precision if first.last_checkpoint.exists() else None, keeps_first=True
        )
        for line in choice.describe(self.training.memory_format) if is_first_rank() else ():
            print_text(line)
        for number, stride in enumerate(self._strides[:-1]):
            stage_folder = RunFolder(folder / STAGES / f"fcn{stride}s")
            if not stage_folder.is_finished:
                net = self._coarsen_net(number)
                stage = self._build_stage(number, net, start, folder, seconds)
                replace(stage, resume=stage_folder.last_checkpoint.exists()).run(stage_folder.path)
            start = stage_folder.path
            # the other ranks may come here before the file is written, so the first one reads it
            if is_first_rank():
                seconds = stage_folder.read_metrics()["seconds"]
        last = self._build_stage(len(self._strides) - 1, self.net, start, folder, seconds)
        replace(last, resume=self.resume).run(folder)

    def _coarsen_net(self, number: int) -> FCN:
        """Returns a stage's network; its new layers are the same after a stop between stages."""
        assert isinstance(self.net, FCN)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.seed, number))
            return coarsen(self.net, self._strides[number])

    def _build_stage(
        self, number: int, net: nn.Module, start: str | Path | None, root: Path, seconds: float
    ) -> Train:
        epochs = split_epochs(self.training.max_epochs, len(self._strides))[number]
        shift = number * STAGE_SEED_STEP
        names = [name for name, _ in net.named_parameters()]
        rates = {
            part: rate
            for part, rate in self.optim.rates.items()
            if any(belongs_to(name, part) for name in names)
        }
        return Train(
            net=net,
            data=self.data.reseed(self.data.seed + shift),
            loss=self.loss,
            optim=replace(
                self.optim,
                lr=self.optim.lr * (self.rates[number] if self.rates else 1.0),
                rates=rates,
            ),
            training=replace(self.training, max_epochs=epochs),
            words={**self.words, "model": f"fcn{self._strides[number]}s"},
            loggers=self.loggers,
            seed=self.seed,
            flip=self.flip,
            freeze=self.freeze,
            init_from=start,
            earlier_stages=EarlierStages(root, seconds, shift),
        )


def split_epochs(epochs: int, stages: int) -> list[int]:
    """Returns the epochs of each stage: equal parts, and the remainder to the last."""
    share = epochs // stages
    return [share] * (stages - 1) + [epochs - share * (stages - 1)]
