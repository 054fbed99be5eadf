"""A loss that stops a training, and where in a training of `support.tiny` it may do so."""

import os
import signal

from torch import Tensor

from fcn_lab.training.losses import CrossEntropy

# of an epoch; the loss is computed once for each
STEPS, VAL_IMAGES = 4, 5


class SignalAt(CrossEntropy):
    """Sends this process a signal while the loss is computed for the `call`-th time, from 1."""

    def __init__(self, call: int, signum: int = signal.SIGTERM) -> None:
        super().__init__()
        self.left, self.signum = call, signum

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """The cross-entropy."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.signum)
        return super().forward(scores, target)
