"""The share of this machine that a process may use: a job is bound to cores, a container pays."""

import os
from contextlib import suppress
from pathlib import Path

GROUP, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def count_cores() -> int:
    """Those this process may run on, and no more than its containers' quota of their time."""
    return max(1, min([bound_cores(), *map(int, quotas(GROUP, GROUPS))]))


def bound_cores() -> int:
    """Those this process may run on, for however little of their time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def quotas(group: Path, groups: Path) -> list[float]:
    """In cores, of a control group and those around it; Linux has them in two versions.

    Args:
        group: the file that names the process's control groups.
        groups: where the control groups are shown as folders.
    """
    found = []
    for line in _read(group).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
        inner = groups / ("cpu" if controllers else "") / path.strip("/")
        for folder in (inner, *inner.parents):  # inside a container the inner ones are not shown
            words = " ".join(_read(folder / name).strip() for name in names)
            quota, _, period = words.partition(" ")
            if quota.isdigit() and period.isdigit():  # else "max", or -1
                found.append(int(quota) / int(period))
    return found


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
