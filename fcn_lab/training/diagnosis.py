"""The causes of a run that learns nothing, told from its first steps.

Most of them cost others days: scores that stay constant for tens of epochs because a layer was zero
and no gradient reached it, weights fed with pictures they were not normalised for, a learning rate
of a summed loss with an averaged one or the other way round.

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
from fcn_lab.metrics.confusion import VOID

STEPS = 10  # that are watched
VOID_SHARE = 0.95  # of all pixels seen
LARGEST_STEP = 1.0  # of a kernel's own length
NEXT_TO_ZERO = 2e-3  # root mean square of a kernel
SMALLEST_STEP = 1e-7  # of it, below which float32 rounds it away
DEEP = 8  # convolutions in a row that need normalisation if they start at random
FAINT = 0.1  # spread of the scores over pixels; sound starts lie above 0.2
DRAWN_KURTOSIS = 3.3  # normal 3, uniform 1.8; trained kernels have heavier tails
ENOUGH = 4096  # numbers of a kernel whose kurtosis can be told
LARGEST_INPUT = 20.0  # no normalised picture reaches it; one in 0…255 does
SUMMED = 50.0  # times ln K, where the mean cross entropy of a network that knows nothing stands
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.ReLU)


class Vitals:
    """Watches the first steps of a network's training, and names what keeps it from learning.

    Args:
        net: float RGB 0…1 (N,3,H,W) → scores (N,K,H,W).
        num_classes: K.
        lr: the learning rate, for the messages.
        steps: how many steps will be watched; the last one tells what stays as it was.
    """

    def __init__(
        self, net: nn.Module, num_classes: int, lr: float = math.nan, steps: int = STEPS
    ) -> None:
        self.net, self.num_classes, self.lr, self.steps = net, num_classes, lr, steps
        self.signs: list[str] = []
        self.done = 0
        self._void = self._pixels = 0
        self._largest = 0.0
        self._loss = math.nan
        self._seen: dict[str, Tensor] = {}
        self._kernels: list[nn.Parameter] = []

    def before(self, label: Tensor) -> None:
        """Looks at the labels (N,H,W) of a step, before a loss would stumble over them.

        Raises:
            UserError: a label that is no class.
        """
        wrong = (label != VOID) & (label >= self.num_classes)
        if wrong.any():
            ids = ", ".join(map(str, sorted(set(label[wrong].tolist()))))
            raise UserError(
                f"labels hold {ids}; expected 0..{self.num_classes - 1}, or {VOID} for void.\n"
                "task=audit shows in which files; data.classes= says how many classes there are"
            )
        self._void += int((label == VOID).sum())
        self._pixels += label.numel()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around forward, backward and the optimiser's step of one batch."""
        if not self.done:
            self._kernels = some_kernels(self.net)
        before = [kernel.detach().clone() for kernel in self._kernels]
        handles = self._hook() if self.done in (0, self.steps - 1) else []
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        ratios = [
            float((kernel.detach() - old).norm() / old.norm())
            for kernel, old in zip(self._kernels, before, strict=True)
        ]
        self._largest = max([self._largest, *ratios])
        self.done += 1

    def judge(self, loss: float) -> list[str]:
        """What is new after a step that had this loss."""
        known = len(self.signs)
        if self.done == 1:
            self._loss = loss
            self._judge_start()
        if not math.isfinite(loss) or not self._largest <= LARGEST_STEP:
            self._too_fast(loss)
        elif self.done == self.steps:
            self._judge_end()
        self._seen.clear()
        return self.signs[known:]

    def _judge_start(self) -> None:
        drawn = self._as_drawn()
        convolutions = sum(isinstance(layer, nn.Conv2d) for layer in self.net.modules())
        normalised = any(isinstance(layer, NORMS) for layer in self.net.modules())
        faint = "signal" in self._seen and float(self._seen["signal"]) < FAINT
        if drawn and faint and convolutions >= DEEP and not normalised:
            self.signs.append(
                f"the encoder starts at random: {convolutions} convolutions without normalisation "
                "pass on next to no signal. Type encoder=vgg16_bn, or encoder.weights=imagenet"
            )
        if "input.low" not in self._seen:
            return
        low, high = float(self._seen["input.low"]), float(self._seen["input.high"])
        if high > LARGEST_INPUT or (not drawn and low >= 0 and high <= 1):
            self.signs.append(
                f"the first layer sees values of {low:.2f}…{high:.2f}: not normalised as its "
                "weights were trained, which is with each channel's mean at 0 and spread at 1"
            )

    def _judge_end(self) -> None:
        if self._void > VOID_SHARE * self._pixels:
            self.signs.append(
                f"{self._void / self._pixels:.1%} of the label pixels are void: nothing is left "
                "to learn from. Larger crops (augment.crop), or look at the labels: task=audit"
            )
        if self.steps == 1:
            return  # what is zero at first may be meant to be
        still = [name for name, alive in self._layers() if not alive]
        if still:
            self.signs.append(
                f"layer {still[0]} gives zero everywhere after {self.done} steps: no gradient "
                "passes it. Are its weights zero, or all its ReLUs dead?"
            )
        elif self._largest < SMALLEST_STEP:
            self.signs.append(
                f"weights do not move, by {self._largest:.1e} of their length a step at most: "
                f"optim.lr={self.lr:g} is too low for a loss that is averaged over the pixels; "
                "such rates belong to a sum (loss=ce_sum)"
            )
        if "scores" in self._seen and not self._seen["scores"].any():
            self.signs.append(
                f"the scores are the same at every pixel after {self.done} steps: nothing of the "
                "picture reaches them"
            )

    def _too_fast(self, loss: float) -> None:
        if any("optim.lr" in sign for sign in self.signs):
            return
        summed = self._loss > SUMMED * math.log(max(self.num_classes, 2))
        cause = (
            f"it is summed over the pixels, {self._loss:.0f} at first: type loss=ce, or a rate as "
            "many times lower as a batch has pixels"
            if summed
            else "lower it, or set trainer.gradient_clip_val=1.0"
        )
        self.signs.append(
            f"weights move by {self._largest:.3g} times their length in a step and the loss is "
            f"{loss:.3g}: optim.lr={self.lr:g} is too high for this loss; {cause}"
        )

    def _layers(self) -> Iterator[tuple[str, Tensor]]:
        for name, seen in self._seen.items():
            if name.startswith("layer."):
                yield name.removeprefix("layer."), seen

    def _hook(self) -> list[RemovableHandle]:
        handles = [self.net.register_forward_hook(self._see_scores)]
        first = next((m for m in self.net.modules() if isinstance(m, nn.Conv2d)), None)
        if first is not None:
            handles.append(first.register_forward_pre_hook(self._see_input))
        for name, layer in self.net.named_modules():
            if isinstance(layer, LAYERS):
                handles.append(layer.register_forward_hook(self._see_layer(name)))
        return handles

    def _see_input(self, layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        x = arguments[0].detach()
        self._seen["input.low"], self._seen["input.high"] = x.amin(), x.amax()

    def _see_layer(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def see(layer: nn.Module, arguments: object, output: Tensor) -> None:
            # a layer that is used twice is alive where one of its outputs is
            seen = output.detach().any()
            before = self._seen.get(f"layer.{name}")
            self._seen[f"layer.{name}"] = seen if before is None else seen | before

        return see

    def _see_scores(self, net: nn.Module, arguments: object, scores: Tensor) -> None:
        flat = scores.detach().transpose(0, 1).flatten(1)  # (K, N·H·W)
        self._seen["scores"] = flat != flat[:, :1]
        self._seen["signal"] = flat.float().std(1).mean()

    def _as_drawn(self) -> bool:
        """Whether the kernels look like numbers drawn at random: by the tails of half of them."""
        kernels = [p.detach() for p in self.net.parameters() if p.ndim > 1 and p.numel() >= ENOUGH]
        tails = [
            kurtosis(kernel.flatten()[:: max(1, kernel.numel() // 65536)]) for kernel in kernels
        ]
        return not tails or float(torch.stack(tails).median()) < DRAWN_KURTOSIS


def some_kernels(net: nn.Module) -> list[nn.Parameter]:
    """Three that are trained, from the first to the last; those that start next to zero left out.

    Any rate moves them by more than their length: they are to grow.
    """
    kernels = [p for p in net.parameters() if p.requires_grad and p.ndim > 1]
    trained = [p for p in kernels if p.detach().square().mean().sqrt() > NEXT_TO_ZERO]
    return [trained[i] for i in sorted({0, len(trained) // 2, len(trained) - 1})] if trained else []


def kurtosis(x: Tensor) -> Tensor:
    """E(x − μ)⁴ / σ⁴: 3 of a normal distribution, 1.8 of a uniform one."""
    centred = x.float() - x.float().mean()
    return centred.pow(4).mean() / centred.pow(2).mean().pow(2).clamp(min=1e-30)
