"""Decides which runs may stand in one table: those of one protocol."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fcn_lab.errors import UserError
from fcn_lab.text.terminal import shorten_list

# the parts of a protocol id, joined by dashes
FIELDS = ("classes", "size", "void rule", "split")
MOST_NAMES = 5


class ScoredRun(Protocol):
    """The facts about a run that decide whether its numbers can be compared with others."""

    @property
    def folder(self) -> Path:
        """Returns the folder in which it lies."""

    @property
    def protocol(self) -> str:
        """Returns the id that its numbers carry."""

    @property
    def split(self) -> str:
        """Returns the split that it was scored on."""

    @property
    def names(self) -> Sequence[str]:
        """Returns the names of the frames, in their order."""

    @property
    def classes(self) -> Sequence[str]:
        """Returns the classes in their order, without void."""

    @property
    def matrices(self) -> NDArray[np.int64]:
        """Returns a confusion matrix a frame, (N,K,K), rows truth."""

    @property
    def alterations(self) -> Sequence[str]:
        """Returns sentences on how its files were changed since."""


def refuse_mixed(runs: Sequence[ScoredRun]) -> None:
    """Refuses runs of two protocols, since their numbers cannot stand in one table.

    Raises:
        UserError: the runs differ in protocol, in the split scored, in its frames or their labels.
    """
    protocol, count = Counter(run.protocol for run in runs).most_common(1)[0]
    first = next(run for run in runs if run.protocol == protocol)
    odd_runs = [run for run in runs if run.protocol != protocol]
    if odd_runs:
        others = shorten_list([str(run.folder) for run in odd_runs], MOST_NAMES)
        raise UserError(
            f"{first.folder} and {odd_runs[0].folder} were scored by different protocols: "
            f"{find_differing_fields(first, odd_runs[0])}.\n"
            "Numbers of different protocols are not compared; give each a report of its own. "
            f"The first is that of {count} of {len(runs)} runs, but not of {others}."
        )
    for run in runs:
        pair = f"{first.folder} and {run.folder}"
        if run.split != first.split:
            raise UserError(f"{pair} were scored on {first.split} and {run.split}: leave one out.")
        if run.names != first.names or run.classes != first.classes:
            raise UserError(
                f"{pair} say {run.protocol}, but their frames or classes differ: leave one out."
            )
        # of a run whose files were changed a sentence says so, and what stands in it is believed
        is_whole = not run.alterations and not first.alterations
        if is_whole and not np.array_equal(run.matrices.sum(-1), first.matrices.sum(-1)):
            raise UserError(
                f"{pair} say {run.protocol}, but were scored against different labels: leave one "
                "out."
            )


def find_differing_fields(first: ScoredRun, second: ScoredRun) -> str:
    """Returns the fields of the protocol in which two runs differ, with both values."""
    first_values, second_values = (run.protocol.split("-") for run in (first, second))
    if len(first_values) != len(second_values) or len(first_values) != len(FIELDS):
        return f"{first.protocol} against {second.protocol}"
    fields = zip(FIELDS, first_values, second_values, strict=True)
    return ", ".join(f"{name} {a} against {b}" for name, a, b in fields if a != b)
