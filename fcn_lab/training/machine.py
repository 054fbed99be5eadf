"""Counts the cores that this process may use: jobs are bound to some, containers have a quota."""

import os
from contextlib import suppress
from pathlib import Path

from fcn_lab.runs.processor import count_bound_cores

# the variable with the cores of each cell, set where cells share a GPU
CORES_SHARE = "FCN_LAB_CORES"
CGROUP_FILE, CGROUP_ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def count_cores() -> int:
    """Returns how many cores this process may use.

    Limits are the cores it is bound to, its containers' quota of CPU time, and its share of a GPU.
    """
    quotas = map(int, read_quotas(CGROUP_FILE, CGROUP_ROOT))
    share = os.environ.get(CORES_SHARE, "")
    shares = [int(share)] if share.isdecimal() else []
    return max(1, min([count_bound_cores(), *quotas, *shares]))


def read_quotas(group: Path, groups: Path) -> list[float]:
    """Returns the CPU quotas, in cores, of a control group and of those around it.

    Linux has control groups in two versions.

    Args:
        group: the file that names the process's control groups.
        groups: where the control groups are shown as folders.
    """
    quotas = []
    for line in _read(group).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
        inner = groups / ("cpu" if controllers else "") / path.strip("/")
        # inside a container the inner groups are not shown
        for folder in (inner, *inner.parents):
            words = " ".join(_read(folder / name).strip() for name in names)
            quota, _, period = words.partition(" ")
            # without a quota the file says "max" or -1
            if quota.isdigit() and period.isdigit():
                quotas.append(int(quota) / int(period))
    return quotas


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
