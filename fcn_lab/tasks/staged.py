"""task=staged: FCN-32s, then 16s, then 8s, each from the one before, on one budget.

Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015, section
4.2. The new score layers begin at zero, so that each stage begins with the scores of the one before
(``fcn_lab.networks.weights.warm_start`` says for which operators its output is the same too).

    RUN_DIR/stages/fcn32s    the first stage, a run of its own
    RUN_DIR/stages/fcn16s    the second
    RUN_DIR                  the last one: a run like any other
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from torch import nn

from fcn_lab.encoders.base import STRIDE
from fcn_lab.errors import UserError
from fcn_lab.networks.fcn import FCN, coarsen
from fcn_lab.runs.run import RunFolder
from fcn_lab.tasks.train import Train
from fcn_lab.terminal import say
from fcn_lab.training.callbacks.clock import Clock
from fcn_lab.training.ranks import is_first_rank
from fcn_lab.values import Positive

FAR = 1_000_003  # between the seeds of two stages, so that no stage repeats another's draws


class Earlier(NamedTuple):
    """What a stage follows: the folder that the user knows, and the seconds spent before."""

    root: Path
    seconds: float


@dataclass
class Stage(Train):
    """One training of several that are resumed and timed as one."""

    earlier: Earlier = field(kw_only=True)

    def _clock(self) -> Clock:
        return Clock(self.earlier.seconds)

    def _settle(self, folder: RunFolder) -> None:
        """The precision is that of all stages."""

    def _root(self, folder: Path) -> Path:
        return self.earlier.root


@dataclass
class Staged(Train):
    """Trains `net` through all coarser ones; the epochs of all stages add up to max_epochs.

    Args:
        rates: factors of optim.lr, one a stage, coarse first; all 1 where none are given. The
            paper's are 1, 0.01 and 0.0001.

    Raises:
        UserError: the network has no coarser ones, the epochs are fewer than the stages, or the
            rates are not as many.
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
                f"task.rates: {len(self.rates)} factors, expected {len(self._strides)}, one a stage"
            )
        share = self.training.max_epochs // len(self._strides)
        if share < self.training.val_every:
            raise UserError(
                f"trainer.max_epochs={self.training.max_epochs} over {len(self._strides)} stages "
                f"leaves the first {share}; expected trainer.val_every={self.training.val_every} "
                "at least"
            )

    def run(self, folder: Path) -> None:
        """Leaves a complete run in `folder`, and those of the earlier stages below it.

        A stage that is done is not trained again, one that was stopped goes on.

        Raises:
            UserError: the folder holds a run that is finished, or was not to be resumed.
            Stopped: a signal came; the run can be resumed.
        """
        start, seconds = self.init_from, 0.0
        assert isinstance(self.net, FCN)
        first = RunFolder(folder / "stages" / f"fcn{self._strides[0]}s")
        self.training, choice = self.training.settle(
            first.precision if first.last.exists() else None, keep=True
        )
        for line in choice.describe(self.training.memory_format) if is_first_rank() else ():
            say(line)
        for number, stride in enumerate(self._strides[:-1]):
            place = RunFolder(folder / "stages" / f"fcn{stride}s")
            if not place.finished:
                net = coarsen(self.net, stride)
                stage = self._stage(number, net, start, Earlier(folder, seconds))
                replace(stage, resume=place.last.exists()).run(place.path)
            start = place.path
            if is_first_rank():  # which alone writes them
                seconds = place.read_metrics()["seconds"]
        last = self._stage(len(self._strides) - 1, self.net, start, Earlier(folder, seconds))
        replace(last, resume=self.resume).run(folder)

    def _stage(
        self, number: int, net: nn.Module, start: str | Path | None, earlier: Earlier
    ) -> Stage:
        epochs = budget(self.training.max_epochs, len(self._strides))[number]
        return Stage(
            net=net,
            data=self.data.anew(self.data.seed + number * FAR),
            loss=self.loss,
            optim=replace(
                self.optim, lr=self.optim.lr * (self.rates[number] if self.rates else 1.0)
            ),
            training=replace(self.training, max_epochs=epochs),
            words={**self.words, "model": f"fcn{self._strides[number]}s"},
            loggers=self.loggers,
            seed=self.seed,
            flip=self.flip,
            freeze=self.freeze,
            init_from=start,
            earlier=earlier,
        )


def budget(epochs: int, stages: int) -> list[int]:
    """The epochs of each stage: equal parts, and what is left to the last."""
    share = epochs // stages
    return [share] * (stages - 1) + [epochs - share * (stages - 1)]
