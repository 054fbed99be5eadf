"""Which operators repeat their backward bit for bit, and what is said of those that do not."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from fcn_lab.pixels import VOID
from fcn_lab.training.losses import CrossEntropy
from fcn_lab.training.settings import TrainerSettings
from fcn_lab.upsampling import Bilinear, DySample, Nearest, Upsampling
from support.operators import FORMS, OPERATORS, random_switches
from support.places import CONF

CONF = CONF / "upsample"


@pytest.fixture
def strict() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize(("operator", "refine"), FORMS)
def test_every_operator_runs_under_torchs_strict_mode_and_repeats_its_gradients(
    operator: type[Upsampling], refine: str
) -> None:
    built = operator(3, 4, refine=refine)
    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    switches = random_switches(x, 4, 1)

    def gradients() -> list[torch.Tensor]:
        return list(
            torch.autograd.grad(built(x, switches).square().sum(), [x, *built.parameters()])
        )

    assert all(map(torch.equal, gradients(), gradients()))


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_says_whether_it_repeats_itself_and_what_to_choose_if_not(
    operator: type[Upsampling],
) -> None:
    assert isinstance(operator.deterministic, bool)
    assert operator.deterministic != bool(operator.deterministic_word)
    assert operator.deterministic or (CONF / f"{operator.deterministic_word}.yaml").exists()


@pytest.mark.parametrize("operator", OPERATORS)
def test_what_calls_a_kernel_that_torch_lists_as_unordered_says_so(
    operator: type[Upsampling],
) -> None:
    """torch's list of backwards without a deterministic GPU kernel, looked for in the graph."""
    unordered = ("UpsampleBilinear", "UpsampleBicubic", "GridSampler", "MaxUnpool", "Replication",
                 "ReflectionPad", "AdaptiveAvgPool")  # fmt: skip
    x = torch.randn(1, 3, 4, 4, requires_grad=True)
    out = operator(3, 2)(x, random_switches(x, 2, 1))
    called, left = set(), [out.grad_fn]
    while left:
        if (node := left.pop()) is not None:
            called.add(node.name())
            left += [following for following, _ in node.next_functions]
    assert operator.deterministic != any(name.startswith(unordered) for name in called)


def test_trainers_that_shall_repeat_themselves_name_the_operators_that_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = nn.Sequential(Bilinear(3, 2), Nearest(3, 2), DySample(3, 2), Bilinear(3, 2))
    assert TrainerSettings().describe_nondeterminism(net) == []
    monkeypatch.setattr(TrainerSettings, "device", "cuda")
    lines = TrainerSettings().describe_nondeterminism(net)
    assert ["upsample=bilinear_deterministic" in lines[0], "upsample=carafe" in lines[1]] == [
        True,
        True,
    ]
    assert len(lines) == 2
    assert TrainerSettings(deterministic=False).describe_nondeterminism(net) == []


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy_adds_up_to_torchs(reduction: str) -> None:
    scores, target = torch.randn(2, 5, 6, 7), torch.randint(0, 5, (2, 6, 7))
    target[:, 0] = VOID
    expected = nn.functional.cross_entropy(scores, target, ignore_index=VOID, reduction=reduction)
    torch.testing.assert_close(CrossEntropy(reduction)(scores, target), expected)
