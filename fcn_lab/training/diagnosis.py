"""Finds in the first steps of a training why the network will learn nothing.

Most of these causes have cost people days: scores that stay constant for tens of epochs because a
layer was zero and no gradient reached it, weights fed with pictures they were not normalised for, a
learning rate for a summed loss used with an averaged one, or the other way round.

Legend: N C H W batches, K classes.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from fcn_lab.training.freeze import NORM_LAYERS

WATCHED_STEPS = 10
# share of the void pixels among all pixels seen
VOID_SHARE_LIMIT = 0.95
# length of a step over the length of the kernel
RELATIVE_STEP_LIMIT = 1.0
# the relative step below which float32 rounds it away
SMALLEST_RELATIVE_STEP = 1e-7
# root mean square of a kernel's weights; a kernel below it was set next to zero on purpose
SMALLEST_KERNEL_RMS = 2e-3
# convolutions in a row that need normalisation if they start at random
PLAIN_DEPTH_LIMIT = 8
# standard deviation of a class's scores over the pixels; sound starts lie above 0.2
SMALLEST_SCORE_SPREAD = 0.1
# normal 3, uniform 1.8; trained kernels have heavier tails
RANDOM_KURTOSIS_LIMIT = 3.3
# a kernel of fewer weights has too few for an estimate of their kurtosis
KURTOSIS_MIN_WEIGHTS = 4096
# a value that no normalised picture reaches, but one in 0…255 does
INPUT_LIMIT = 20.0
# in units of ln K, the mean cross entropy of a network that has learned nothing
SUMMED_LOSS_RATIO = 50.0
HOOKED_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.ReLU)


class TrainingDiagnosis:
    """Watches the first steps of a network's training, and names what keeps it from learning.

    Args:
        net: float RGB 0…1 (N,3,H,W) → scores (N,K,H,W).
        num_classes: K.
        lr: the learning rate, for the messages.
        steps: how many steps will be watched; the last one tells what stays as it was.
    """

    def __init__(
        self, net: nn.Module, num_classes: int, lr: float = math.nan, steps: int = WATCHED_STEPS
    ) -> None:
        self.net, self.num_classes, self.lr, self.steps = net, num_classes, lr, steps
        self.signs: list[str] = []
        self.steps_done = 0
        self._void = self._pixels = 0
        self._largest = 0.0
        self._loss = math.nan
        self._signals: dict[str, Tensor] = {}
        self._kernels: list[nn.Parameter] = []

    def check_labels(self, label: Tensor) -> None:
        """Checks the labels (N,H,W) of a step, before the loss fails on them.

        Raises:
            UserError: a label that is no class.
        """
        is_wrong = (label != VOID) & (label >= self.num_classes)
        if is_wrong.any():
            ids = ", ".join(map(str, sorted(set(label[is_wrong].tolist()))))
            raise UserError(
                f"labels hold {ids}; expected 0..{self.num_classes - 1}, or {VOID} for void.\n"
                "task=audit shows in which files; data.classes= says how many classes there are"
            )
        self._void += int((label == VOID).sum())
        self._pixels += label.numel()

    @contextmanager
    def watch_step(self) -> Iterator[None]:
        """Wraps the forward pass, the backward pass and the optimiser's step of one batch."""
        if not self.steps_done:
            self._kernels = choose_kernels(self.net)
        earlier_kernels = [kernel.detach().clone() for kernel in self._kernels]
        handles = self._add_hooks() if self.steps_done in (0, self.steps - 1) else []
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        ratios = [
            float((kernel.detach() - kernel_before).norm() / kernel_before.norm())
            for kernel, kernel_before in zip(self._kernels, earlier_kernels, strict=True)
        ]
        # not Python's max, which may lose a NaN
        self._largest = float(torch.tensor([self._largest, *ratios]).max())
        self.steps_done += 1

    def find_signs(self, loss: float) -> list[str]:
        """Returns a line for each problem that first shows after a step that had this loss."""
        count = len(self.signs)
        if self.steps_done == 1:
            self._loss = loss
            self._check_start()
        if not math.isfinite(loss) or not self._largest <= RELATIVE_STEP_LIMIT:
            self._report_fast_steps(loss)
        elif self.steps_done == self.steps:
            self._check_end()
        self._signals.clear()
        return self.signs[count:]

    def _check_start(self) -> None:
        looks_random = self._looks_random()
        convolutions = sum(isinstance(layer, nn.Conv2d) for layer in self.net.modules())
        has_norms = any(isinstance(layer, NORM_LAYERS) for layer in self.net.modules())
        is_faint = float(self._signals.get("signal", math.inf)) < SMALLEST_SCORE_SPREAD
        if looks_random and is_faint and convolutions >= PLAIN_DEPTH_LIMIT and not has_norms:
            self.signs.append(
                f"the encoder starts at random: {convolutions} convolutions without normalisation "
                "pass on next to no signal. Type encoder=vgg16_bn, or encoder.weights=imagenet"
            )
        if "input.low" not in self._signals:
            return
        low, high = float(self._signals["input.low"]), float(self._signals["input.high"])
        limits = (getattr(part, "largest_input", 0.0) for part in self.net.modules())
        if high > max(INPUT_LIMIT, *limits) or (not looks_random and low >= 0 and high <= 1):
            self.signs.append(
                f"the first layer sees values of {low:.2f}…{high:.2f}: not normalised as its "
                "weights were trained, which is with each channel's mean at 0 and spread at 1"
            )

    def _check_end(self) -> None:
        if self._void > VOID_SHARE_LIMIT * self._pixels:
            self.signs.append(
                f"{self._void / self._pixels:.1%} of the label pixels are void: nothing is left "
                "to learn from. Larger crops (augment.crop), or look at the labels: task=audit"
            )
        if self.steps == 1:
            # a layer that is zero at first may be meant to be so
            return
        layers = ((n, s) for n, s in self._signals.items() if n.startswith("layer."))
        dead_layers = [name.removeprefix("layer.") for name, signal in layers if not signal]
        if dead_layers:
            self.signs.append(
                f"layer {dead_layers[0]} gives zero everywhere after {self.steps_done} steps: no "
                "gradient passes it. Are its weights zero, or all its ReLUs dead?"
            )
        elif self._largest < SMALLEST_RELATIVE_STEP and not self._looks_summed():
            self.signs.append(
                f"weights do not move, by {self._largest:.1e} of their length a step at most: "
                f"optim.lr={self.lr:g} is too low for a loss that is averaged over the pixels; "
                "such rates belong to a sum (loss=ce_sum)"
            )
        if "scores" in self._signals and not self._signals["scores"].any():
            self.signs.append(
                f"the scores are the same at every pixel after {self.steps_done} steps: nothing of "
                "the picture reaches them"
            )

    def _looks_summed(self) -> bool:
        """Returns whether the first loss is too large for a mean over pixels."""
        return self._loss > SUMMED_LOSS_RATIO * math.log(max(self.num_classes, 2))

    def _report_fast_steps(self, loss: float) -> None:
        if any("optim.lr" in sign for sign in self.signs):
            return
        is_sum = self._looks_summed()
        cause = (
            f"it is summed over the pixels, {self._loss:.0f} at first: type loss=ce, or a rate as "
            "many times lower as a batch has pixels"
            if is_sum
            else "lower it, or set trainer.gradient_clip_val=1.0"
        )
        self.signs.append(
            f"weights move by {self._largest:.3g} times their length in a step and the loss is "
            f"{loss:.3g}: optim.lr={self.lr:g} is too high for this loss; {cause}"
        )

    def _add_hooks(self) -> list[RemovableHandle]:
        handles = [self.net.register_forward_hook(self._record_scores)]
        first = next((m for m in self.net.modules() if isinstance(m, nn.Conv2d)), None)
        if first is not None:
            handles.append(first.register_forward_pre_hook(self._record_input))
        for name, layer in self.net.named_modules():
            if isinstance(layer, HOOKED_LAYERS):
                handles.append(layer.register_forward_hook(self._create_layer_hook(name)))
        return handles

    def _record_input(self, layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        x = arguments[0].detach()
        self._signals["input.low"], self._signals["input.high"] = x.amin(), x.amax()

    def _create_layer_hook(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def see(layer: nn.Module, arguments: object, output: Tensor) -> None:
            # a layer that is used twice is alive where one of its outputs is
            is_alive = output.detach().any()
            signal_before = self._signals.get(f"layer.{name}")
            self._signals[f"layer.{name}"] = (
                is_alive if signal_before is None else is_alive | signal_before
            )

        return see

    def _record_scores(self, net: nn.Module, arguments: object, scores: Tensor) -> None:
        rows = scores.detach().transpose(0, 1).flatten(1)  # (K, N·H·W)
        self._signals["scores"] = rows != rows[:, :1]
        self._signals["signal"] = rows.float().std(1).mean()

    def _looks_random(self) -> bool:
        """Returns whether the weights look drawn at random: their median kurtosis is low."""
        kernels = [
            p.detach()
            for p in self.net.parameters()
            if p.ndim > 1 and p.numel() >= KURTOSIS_MIN_WEIGHTS
        ]
        tails = [
            kurtosis(kernel.flatten()[:: max(1, kernel.numel() // 65536)]) for kernel in kernels
        ]
        return not tails or float(torch.stack(tails).median()) < RANDOM_KURTOSIS_LIMIT


def choose_kernels(net: nn.Module) -> list[nn.Parameter]:
    """Returns three trained kernels: the first, the middle and the last one.

    Kernels that start next to zero are left out: any rate moves them by more than their length.
    """
    kernels = [p for p in net.parameters() if p.requires_grad and p.ndim > 1]
    choice = [p for p in kernels if p.detach().square().mean().sqrt() > SMALLEST_KERNEL_RMS]
    return [choice[i] for i in sorted({0, len(choice) // 2, len(choice) - 1})] if choice else []


def kurtosis(x: Tensor) -> Tensor:
    """Returns E(x − μ)⁴ / σ⁴: 3 for a normal distribution, 1.8 for a uniform one."""
    deviations = x.float() - x.float().mean()
    return deviations.pow(4).mean() / deviations.pow(2).mean().pow(2).clamp(min=1e-30)
