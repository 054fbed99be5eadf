"""Estimates the time of a study's cells from two of them that are timed for a few steps.

Between the network with the fewest operations and that with the most, the time of a frame is taken
to grow evenly with its operations; what a process takes to start comes on top.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from fcn_lab.tasks.train import Train
    from fcn_lab.worker.workload import Pace, Workload


def estimate_seconds(
    trainings: "Sequence[tuple[Train, Callable[[], Train]]]", start: float
) -> list[float]:
    """Returns the seconds of each training.

    Args:
        trainings: each training on the meta device, with a function that builds it with memory.
        start: seconds that a process takes before its first step.
    """
    from fcn_lab.worker.workload import count_workload, measure_pace

    workloads = [count_workload(training) for training, _ in trainings]
    order = sorted(range(len(workloads)), key=lambda number: workloads[number].macs)
    ends = {workloads[n].macs: n for n in (order[0], order[-1])}
    paces = {macs: measure_pace(trainings[n][1]()) for macs, n in ends.items()}
    return [round(start + interpolate_pace(paces, work).seconds(work), 1) for work in workloads]


def interpolate_pace(paces: "Mapping[int, Pace]", work: "Workload") -> "Pace":
    """Returns the pace for the work's operations, interpolated between the timed paces."""
    from fcn_lab.worker.workload import Pace

    low, high = min(paces), max(paces)
    part = (work.macs - low) / (high - low) if high > low else 0.0
    low_pace, high_pace = paces[low], paces[high]
    return Pace(
        low_pace.training + part * (high_pace.training - low_pace.training),
        low_pace.scoring + part * (high_pace.scoring - low_pace.scoring),
    )


def measure_uptime() -> float:
    """Returns the seconds since this process was started."""
    return time.time() - psutil.Process().create_time()
