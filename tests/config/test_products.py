"""A node makes what stands in its place, or is refused before anything is built."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import Tensor, nn
from torch.optim import Optimizer

from fcn_lab.config.build import check, locate
from fcn_lab.config.products import suits
from fcn_lab.errors import UserError
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.freeze import Freeze
from fcn_lab.training.losses import Balance, Loss
from fcn_lab.training.optim import Schedule
from fcn_lab.upsampling.base import Upsampling
from support.commandline import TypeLine

ANY, LOSS, NODE = "hydra.utils.get_method", "fcn_lab.training.losses.Dice", "_target_"
POLY, DATA = "fcn_lab.training.optim.Poly", "fcn_lab.training.sources.synthetic"


class OwnLoss(nn.Module):
    """Has the method of a loss and is none by its bases."""

    def calibrate(self, counts: Tensor, shown: Tensor) -> None: ...


def make_something(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    return x


OWN, UNKNOWN = f"{__name__}.OwnLoss", f"{__name__}.make_something"
HALF, WHOLE, NOT_BUILT = {"_partial_": True}, {"_partial_": False}, {"_recursive_": False}


@pytest.mark.parametrize(
    ("annotation", "node", "expected"),
    [
        (Loss, {NODE: LOSS}, True),
        (Loss, {NODE: OWN}, True),
        (Loss, {NODE: UNKNOWN}, True),
        (Loss, {NODE: "torch.nn.CrossEntropyLoss"}, False),
        (nn.Module, {NODE: "torch.nn.CrossEntropyLoss"}, True),
        (nn.Module, {NODE: POLY}, False),
        (Freeze, {NODE: "fcn_lab.encoders.TinyEncoder"}, False),
        (FrameDataModule, {NODE: DATA}, True),
        (FrameDataModule, {NODE: LOSS}, False),
        (Callable[[float], float], {NODE: POLY}, True),
        (Callable[[float], float], {NODE: POLY, **HALF}, False),
        (Callable[[float], float], {NODE: UNKNOWN, **HALF}, True),
        (Callable[[float], float], {NODE: DATA}, False),
        (Callable[..., Optimizer], {NODE: "torch.optim.SGD", **HALF}, True),
        (Callable[..., Optimizer], {NODE: POLY, **HALF}, False),
        (Callable[[int, int], Upsampling], {NODE: "fcn_lab.upsampling.Nearest", **HALF}, True),
        (Callable[[Path], nn.Module], {NODE: ANY, "path": LOSS}, True),
        (Balance | None, None, True),
        (Balance | None, {NODE: LOSS, **HALF}, False),
        (Mapping[str, Loss] | None, {"a": {NODE: LOSS}, "b": {NODE: POLY}}, False),
        (Any, {NODE: POLY, **HALF}, True),
        (int, {NODE: UNKNOWN}, True),
    ],
)
def test_what_a_target_makes_is_known_before_it_is_built(
    annotation: object, node: object, expected: bool
) -> None:
    assert suits(annotation, node, lambda name: locate(name, "")) is expected


@pytest.mark.parametrize("annotation", [Loss, Schedule, int, Callable[[float], float]])
def test_a_node_that_would_be_handed_over_as_it_is_stands_for_no_object(annotation: object) -> None:
    assert not suits(annotation, {NODE: LOSS}, lambda name: locate(name, ""), is_built=False)
    for taking in (Any, Mapping[str, Any] | None):
        assert suits(taking, {NODE: LOSS}, lambda name: locate(name, ""), is_built=False)


@pytest.mark.parametrize(
    ("place", "change", "told"),
    [
        ("loss", {NODE: "torch.nn.CrossEntropyLoss"}, "loss= chooses it: ce, "),
        ("freeze", {NODE: "fcn_lab.encoders.TinyEncoder"}, "freeze= chooses it: "),
        ("data", NOT_BUILT, "augment= chooses it: "),
        ("optim", {1: 2}, "has no such argument"),
        ("training", {None: 2}, "has no such argument"),
    ],
)
def test_a_part_of_another_kind_is_named_in_two_lines(
    place: str, change: dict[Any, Any], told: str, record: Callable[..., None]
) -> None:
    record("there", "model=fcn8s", "data=synthetic", "logger=none")
    config = yaml.safe_load(Path("there/config.yaml").read_text())
    node = config["task"][place]
    if NODE in change:
        node.clear()
    node.update(change)
    with pytest.raises(UserError) as refusal:
        check(config["task"], "task", config["links"])
    assert told in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 2


def test_a_part_of_another_kind_is_refused_as_it_is_typed(type_line: TypeLine) -> None:
    typed = type_line("data=synthetic", "loss._target_=torch.nn.CrossEntropyLoss")
    config = yaml.safe_load((typed.folder / "config.yaml").read_text())
    with pytest.raises(UserError, match="loss= chooses it"):
        check(config["task"], "task", config["links"])
