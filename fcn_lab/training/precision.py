"""Chooses the precision of the arithmetic, and measures what an emulated one costs.

A device computes a precision natively, or software does in its place, many times slower. "auto" is
bf16-mixed where that is native and 32-true elsewhere.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from fcn_lab.cost.measure import synchronized_time

AUTO = "auto"
FLOAT32 = "32-true"
BF16 = "bf16-mixed"
HALF_DTYPES = {BF16: torch.bfloat16, "16-mixed": torch.float16}
PRECISIONS = (AUTO, FLOAT32, *HALF_DTYPES)


def choose_precision(device: str) -> str:
    """Returns the precision that "auto" stands for on "cuda", "cpu" or "mps"."""
    return BF16 if is_native(BF16, device) else FLOAT32


def is_native(precision: str, device: str) -> bool:
    """Returns whether the device itself computes this precision."""
    if precision == FLOAT32:
        return True
    if device == "cuda":
        return precision != BF16 or torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and precision == BF16 and cpu_has_bf16()


def rounds_to_tf32(device: str) -> bool:
    """Returns whether float32 convolutions keep 10 bits of the mantissa, NVIDIA's TF32."""
    if device != "cuda" or torch.version.hip is not None:
        return False
    return torch.backends.cudnn.allow_tf32 and torch.cuda.get_device_capability() >= (8, 0)


def cpu_has_bf16() -> bool:
    """Returns whether oneDNN, which convolves on a CPU, has kernels of bf16 instructions."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    # oneDNN also says yes to AVX-512 without bf16, where it converts and computes in float32
    is_emulated = torch.cpu._is_avx512_supported() and not torch.cpu._is_avx512_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and not is_emulated


@cache
def measure_slowdown(precision: str, device: str, memory_format: torch.memory_format) -> float:
    """Measures how many float32 steps of a small network take as long as one in this precision.

    A single convolution would look too good: emulation costs most at the first stages, where maps
    are large, and between the layers. All steps together take a second where it is slow.

    Args:
        precision: one of `HALF_DTYPES`.
        device: "cuda", "cpu" or "mps".
        memory_format: memory format of weights and images in this precision.
    """
    with torch.random.fork_rng(devices=[]):
        net, image = _small_network().to(device), torch.rand(1, 3, 64, 64)
    full = time_step(net, image.to(device))
    net.to(memory_format=memory_format)
    with torch.autocast(device, HALF_DTYPES[precision]):
        return time_step(net, image.to(device, memory_format=memory_format)) / full


def _small_network() -> nn.Sequential:
    """Builds three stages as encoders have them: convolution, normalisation, pooling."""
    layers: list[nn.Module] = []
    for inputs, width in pairwise((3, 64, 128, 256)):
        conv = nn.Conv2d(inputs, width, 3, padding=1)
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def time_step(net: nn.Module, image: Tensor) -> float:
    """Times forward and backward on the image's device, the fastest of three tries."""
    times = []
    for _ in range(3):
        start = synchronized_time((image,))
        net(image).sum().backward()
        times.append(synchronized_time((image,)) - start)
    return min(times)


@dataclass(frozen=True)
class PrecisionChoice:
    """The choice of a run's precision, and its reasons.

    Args:
        request: what the configuration says.
        precision: the precision that is computed in, never "auto".
        device: "cuda", "cpu" or "mps".
        first_precision: the earlier precision of a run that is continued or scored again; None for
            a new run, and where the user asked for another one.
    """

    request: str
    precision: str
    device: str
    first_precision: str | None = None

    def describe(self, memory_format: torch.memory_format) -> list[str]:
        """Returns a line on the choice; a second one where the device is slow at it.

        Args:
            memory_format: memory format of weights and images.
        """
        default, note = choose_precision(self.device), ""
        if self.first_precision not in (None, self.precision):
            note = f"; the run began in {self.first_precision}, which this {self.device} emulates"
        elif self.request == AUTO and self.precision != default:
            note = f", as the run began; by itself this {self.device} would take {default}"
        elif self.request == AUTO:
            verb = "computes" if default == BF16 else "has no"
            note = f" (auto: this {self.device} {verb} bfloat16{' itself' * (default == BF16)})"
        if self.precision == FLOAT32 and rounds_to_tf32(self.device):
            note += "; convolutions round their inputs to TF32"
        lines = [f"precision: {self.precision}{note}"]
        if not is_native(self.precision, self.device):
            times = measure_slowdown(self.precision, self.device, memory_format)
            lines.append(
                f"trainer.precision={self.precision} is emulated on this {self.device}: a step of "
                f"a small network takes {times:.1f} times as long as in {FLOAT32}; "
                "trainer.precision=auto takes what is native"
            )
        return lines


def settle_precision(
    request: str, device: str, first_precision: str | None = None, keeps_first: bool = False
) -> PrecisionChoice:
    """Chooses the precision of a run.

    Args:
        request: what the configuration says.
        device: "cuda", "cpu" or "mps".
        first_precision: see `PrecisionChoice`.
        keeps_first: whether to keep the first precision also where the device emulates it.
    """
    if request != AUTO:
        return PrecisionChoice(request, request, device)
    if first_precision is not None and (keeps_first or is_native(first_precision, device)):
        return PrecisionChoice(request, first_precision, device, first_precision)
    return PrecisionChoice(request, choose_precision(device), device, first_precision)
