"""A value fits its annotation, or is refused in the user's words, from a config and from Python."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, Unpack

import numpy as np
import pytest
from annotated_types import Ge, Gt, Len, Lt
from torch import nn

from fcn_lab.errors import UserError
from fcn_lab.values import (
    Count,
    Names,
    Share,
    Size,
    check_arguments,
    describe_type,
    is_admitted,
    list_arguments,
)

NODE = {"_target_": "torch.nn.Identity"}


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, [0, -1, 10**18, np.int64(3)], [1.0, True, "1", None, [1], {}, float("nan")]),
        (float, [0, 1.5, 1e30, np.float32(2)], [float("nan"), float("inf"), "1", True, None]),
        (Count, [1, 10**18], [0, -1, 1.5]),
        (Share | None, [0, 1, 0.5, None], [-1e-9, 1.5, "x", float("nan")]),
        (str, ["", "ü ✓", "\udcff"], [1, None, ["x"]]),
        (str | Path, ["x", Path("x")], [1, None]),
        (str | Names, ["a", ["a"], ("a", "b")], [[], (), None, [1]]),
        (Size, [[1, 2], (3, 4)], [[1], [1, 0], [1, 2, 3], "12", 5, {}]),
        (tuple[float, float], [[1, 2], (0.5, 1)], [[1], [1, "x"], None]),
        (Mapping[str, float], [{}, {"a": 1}], [{"a": "x"}, {"a": float("inf")}, [], 3]),
        (Literal["a", "b"], ["a"], ["c", 1, None]),
        (Callable[[int], int], [abs, NODE], [None, 3, "x", [], {}]),
        (Callable[[int], int] | None, [abs, None, NODE], [3, "x"]),
        (nn.Module, [nn.Identity(), NODE], [None, 3, abs, {"x": 1}]),
        (Sequence[nn.Module], [[nn.Identity()], [NODE], []], [[3], None, NODE["_target_"]]),
        (Mapping[str, Callable[[], int]], [{}, {"a": NODE}], [{"a": 3}, [], None]),
        (Any, [None, 3, "x", abs], []),
    ],
    ids=str,
)
def test_an_annotation_admits_what_it_says(
    annotation: object, good: Sequence[object], bad: Sequence[object]
) -> None:
    assert [value for value in good if not is_admitted(annotation, value)] == []
    assert [value for value in bad if is_admitted(annotation, value)] == []


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Count, "an integer of at least 1"),
        (Share, "a number from 0 to 1"),
        (Annotated[float, Gt(0), Lt(1)], "a number between 0 and 1"),
        (Annotated[float, Ge(0), Lt(1)] | None, "a number from 0 to below 1 or null"),
        (Annotated[Sequence[Share], Len(3, 3)], "a list of 3, each a number from 0 to 1"),
        (Annotated[Sequence[str], Len(1)], "a list of at least 1, each a word"),
        (Sequence[int] | None, "null or a list, each an integer"),
        (Mapping[str, Count], "a mapping, each value an integer of at least 1"),
        (Literal["a", "b"], "a or b"),
        (nn.Module, "a Module"),
    ],
)
def test_an_annotation_is_told_in_plain_words(annotation: object, words: str) -> None:
    assert describe_type(annotation) == words


class More(TypedDict, total=False):
    rate: Share


@check_arguments
class Part:
    def __init__(self, count: Count, net: nn.Module | None = None, **more: Unpack[More]) -> None:
        self.count = count


@check_arguments
def build(count: Count = 1, **free: object) -> int:
    """One more than `count`."""
    return count + 1


def test_a_checked_class_or_function_names_the_argument_it_refuses() -> None:
    for wrong, message in (
        (lambda: Part(0), r"^Part\(count=0\): expected an integer of at least 1$"),
        (lambda: Part(1, nn.ReLU), r"^Part\(net=.*ReLU.*\): expected a Module or null$"),
        (lambda: Part(1, rate=2), r"^Part\(rate=2\): expected a number from 0 to 1$"),
        (lambda: build(count="x" * 999), r"^build\(count='x{76} \.\.\.'\): expected an integer"),
    ):
        with pytest.raises(UserError, match=message):
            wrong()
    with pytest.raises(TypeError, match="missing 1 required"):
        Part()  # type: ignore[call-arg]
    assert Part(2, nn.Identity(), rate=1).count == build(1, other=3) == 2


def test_arguments_are_known_by_name_with_those_that_are_spread() -> None:
    assert list_arguments(Part) == ({"count": Count, "net": nn.Module | None, "rate": Share}, False)
    assert list_arguments(build) == ({"count": Count}, True)
    assert list_arguments(dict) == ({}, True)


def test_what_only_type_checkers_know_of_the_result_hides_no_argument() -> None:
    def load(folder: str) -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821
        return folder

    assert list_arguments(load) == ({"folder": str}, False)
