"""A large matrix: a part of it in `make test`, spread over its rows and columns, the rest apart."""

from collections.abc import Iterable
from typing import Any

import pytest


def thin_out(cases: Iterable[Any], every: int | None = None) -> list[Any]:
    """Returns all cases, for `parametrize`: all but those numbered 0, every, 2·every … are slow.

    In a product, an `every` that shares no divisor with the last axis takes each of its values.
    """
    marks = (pytest.mark.slow, pytest.mark.long)
    return [
        case
        if every and number % every == 0
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=marks)
        for number, case in enumerate(cases)
    ]
