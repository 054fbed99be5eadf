"""Labels that tell the networks of one page apart, and which networks one page may show."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from fcn_lab.data.classes import describe_difference
from fcn_lab.errors import UserError
from fcn_lab.report.arms import find_varied, format_arm
from fcn_lab.report.protocols import FIELDS
from fcn_lab.report.runs import Run
from fcn_lab.text.escaping import UNKNOWN_VALUE


def require_one_list(runs: Sequence[Run]) -> None:
    """Refuses networks whose classes differ; their protocols may differ.

    Raises:
        UserError: the names of the classes differ, or their order.
    """
    classes, count = Counter(run.classes for run in runs).most_common(1)[0]
    first = next(run for run in runs if run.classes == classes)
    for run in runs:
        if run.classes != classes:
            raise UserError(
                f"{first.folder} and {run.folder} have different classes: "
                f"{describe_difference(classes, run.classes)}.\n"
                "One page shows networks of the same classes in the same order, "
                f"as {count} of these {len(runs)} runs have; leave the others out of runs="
            )


def label_runs(runs: Sequence[Run]) -> dict[str, Run]:
    """Returns the runs by the words that tell them apart, models from coarse to fine.

    Where only their protocols differ, the differing fields of these are among the words.
    """
    named_runs = runs if _are_told_apart(runs) else [_tell_protocol(run, runs) for run in runs]
    factors = find_varied(named_runs)
    several_seeds = len({run.seed for run in named_runs}) > 1
    labels: dict[str, Run] = {}
    for run in sorted(named_runs, key=lambda run: _sort_key(run, factors)):
        label = format_arm(run, factors) + (f", seed {run.seed}" if several_seeds else "")
        labels[f"{label} ({run.folder})" if label in labels else label] = run
    return labels


def _are_told_apart(runs: Sequence[Run]) -> bool:
    factors = find_varied(runs)
    names = {(format_arm(run, factors), run.seed, run.protocol) for run in runs}
    return len(names) == len({words[:2] for words in names})


def _tell_protocol(run: Run, runs: Sequence[Run]) -> Run:
    fields = [other.protocol.split("-") for other in runs]
    if {len(parts) for parts in fields} != {len(FIELDS)}:
        return replace(run, told_by={**run.told_by, "protocol": run.protocol})
    numbers = [i for i in range(len(FIELDS)) if len({parts[i] for parts in fields}) > 1]
    parts_of_run = run.protocol.split("-")
    return replace(run, told_by={**run.told_by, **{FIELDS[i]: parts_of_run[i] for i in numbers}})


def _sort_key(run: Run, factors: dict[str, tuple[str, ...]]) -> tuple[int, ...]:
    places = [
        values.index(run.factors.get(name, UNKNOWN_VALUE)) for name, values in factors.items()
    ]
    return (*places, run.seed)
