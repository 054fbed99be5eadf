"""Describes the processor, since times and the last bits of sums depend on it."""

import os
import platform
from contextlib import suppress
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# the instructions that decide how fast a network runs, and in which precision
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")


def describe_processor(cpuinfo: Path = CPUINFO) -> str:
    """Returns the processor's name with its vector instructions, as "AMD EPYC (avx2)".

    Args:
        cpuinfo: Linux's description of the processors; elsewhere Python's answer stands for it.
    """
    text = ""
    with suppress(OSError):
        text = cpuinfo.read_text(errors="replace")
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    entries = {key.strip(): value.strip() for key, _, value in pairs}
    name = entries.get("model name") or platform.processor() or platform.machine()
    flags = (entries.get("flags") or entries.get("Features", "")).split()
    instructions = [word for word in INSTRUCTIONS if word in flags]
    return f"{name} ({' '.join(instructions)})" if instructions else name


def count_bound_cores() -> int:
    """Returns how many cores this process may run on, whatever the quota of their time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
