"""fc6 over maps smaller than its kernel: as fast as over others, and the same layer."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fcn_lab.encoders.fully_connected import ClassifierConv


class Paddings(TorchDispatchMode):
    """Notes what each convolution pads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[list[int]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204
        if func is torch.ops.aten.convolution.default:
            self.found.append(list(args[4]))
        return func(*args, **(kwargs or {}))


def make_pair() -> tuple[nn.Conv2d, ClassifierConv]:
    plain, ours = nn.Conv2d(3, 5, 7, padding=3), ClassifierConv(3, 5, 7, padding=3)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


def differentiate(conv: nn.Conv2d, image: Tensor) -> list[Tensor]:
    leaf = image.clone().requires_grad_()
    scores = conv(leaf)
    scores.square().sum().backward()
    assert conv.weight.grad is not None
    assert leaf.grad is not None
    return [scores.detach(), conv.weight.grad, leaf.grad]


@pytest.mark.parametrize("size", [(1, 1), (6, 8), (8, 6), (7, 7), (9, 12)])
def test_it_computes_what_the_convolution_does_forwards_and_backwards(
    size: tuple[int, int],
) -> None:
    image = torch.rand(2, 3, *size)
    (found, *gradients), (expected, *others) = (
        differentiate(conv, image) for conv in reversed(make_pair())
    )
    torch.testing.assert_close(found, expected)
    for gradient, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-4)


def test_the_padding_is_an_operation_of_its_own_where_a_small_map_is_trained_alone() -> None:
    _, conv = make_pair()
    small, large = torch.rand(1, 3, 6, 8), torch.rand(1, 3, 9, 12)
    with Paddings() as seen:
        conv(small)
        conv(large)
        with torch.no_grad():
            conv(small)
        conv.eval()(small)
    assert seen.found == [[0, 0], [3, 3], [3, 3], [3, 3]]
