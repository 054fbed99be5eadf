"""Whether the runner bears thousands of cells: python experiments/bench_plan.py [--cells 2000].

The real command line composes, checks and freezes that many cells, and the real loop hands them to
Ray, whose tasks write what a worker writes and do nothing else. Keeps the numbers in
experiments/planning/simulated.json and writes the page from all numbers there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import Any

import psutil
from bench_sweep import (
    FIRST_LINE_SECONDS,
    REPORT_BYTES,
    REPORT_SECONDS,
    SHARE_OF_BASIC,
    START_TO_IMPORT,
)

from fcn_lab.files import write_text
from fcn_lab.runs.attempts import HEARTBEAT_SECONDS, begin_attempt
from fcn_lab.runs.processor import describe_processor
from fcn_lab.sweeps.engines.ray import Ray
from fcn_lab.worker.supervisor import Job

ROOT = Path(__file__).parent.parent
PLANNING = Path(__file__).parent / "planning"
SECONDS, BYTES = 300, 2**30  # what 2,000 cells may cost the runner on two cores
CELL_SECONDS = 0.03  # of composing, checking and freezing one of many
FEW = 8  # cells of the sweep whose start is taken off, that of the check of the first
NUMBERS = ("simulated", "measured")
REAL = "camvid_cpu"  # the study whose cell is planned with
CELLS, SLOTS = (45, 450, 4500), (1, 8, 64)
LAUNCHER = """
_target_: hydra_plugins.fcn_lab_launcher.CellLauncher
engine: bench_plan.NoOps
"""


def leave_files(job: Job, environment: Mapping[str, str]) -> int:
    """Leaves in a folder what a worker leaves, without the work."""
    attempt = begin_attempt(job.folder)
    scores = {"protocol": "none", "val": {"mean_iou": 0.5}, "seconds": 0}
    write_text(job.folder / "metrics.json", json.dumps(scores))
    attempt.end("done")
    return 0


class NoOps(Ray):
    """The engine of the simulation."""

    task = staticmethod(leave_files)


def simulate(cells: int, folder: Path) -> dict[str, Any]:
    """Runs the sweep in `folder`; seconds of its phases, and bytes of the runner at its largest."""
    word = folder / "conf" / "hydra" / "launcher" / "no_op.yaml"
    word.parent.mkdir(parents=True)
    word.write_text(LAUNCHER)
    words = ["data=synthetic", "encoder=tiny", "logger=csv", f"seed=range(0,{cells})"]
    line = [sys.executable, str(ROOT / "run.py"), f"--config-dir={folder / 'conf'}", "-m", *words]
    start, peak, load = time.time(), 0, 0.0
    with (folder / "out.txt").open("w") as output:
        runner = subprocess.Popen(
            [*line, "hydra/launcher=no_op", f"sweep.dir={folder / 'all'}"],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        process = psutil.Process(runner.pid)
        while runner.poll() is None:
            peak = max(peak, process.memory_info().rss)
            times, load = process.cpu_times(), max(load, os.getloadavg()[0])
            time.sleep(0.2)
    if runner.returncode != 0:
        sys.exit((folder / "out.txt").read_text())
    end = time.time()
    freeze_time = (folder / "all" / "sweep.json").stat().st_mtime
    end_times = sorted(path.stat().st_mtime for path in folder.glob("all/*/metrics.json"))
    quarter = cells // 4
    return {
        "machine": describe_processor(),
        "cells": cells,
        "seconds": end - start,
        "frozen_after": freeze_time - start,
        "first_quarter": end_times[quarter - 1] - end_times[0],
        "last_quarter": end_times[-1] - end_times[-quarter],
        "peak_bytes": peak,
        "processor": times.user + times.system,
        "load": load,
    }


def main() -> None:
    """Simulates, and writes the page."""
    # brings torch and matplotlib, and the runner that is measured imports this file
    from publish import replace_block

    parser = argparse.ArgumentParser(description="the runner's own cost of many cells")
    parser.add_argument("--cells", type=int, default=2000, help="0 only writes the page again")
    cells = parser.parse_args().cells
    path = PLANNING / "simulated.json"
    if cells:
        with tempfile.TemporaryDirectory() as folder:
            few = simulate(FEW, Path(folder) / "few")
            many = simulate(cells, Path(folder) / "many")
        many["further_cell"] = (many["frozen_after"] - few["frozen_after"]) / (cells - FEW)
        path.write_text(json.dumps(many, indent=1) + "\n")
    page = PLANNING / "README.md"
    numbers = {name: json.loads((PLANNING / f"{name}.json").read_text()) for name in NUMBERS}
    figures = {
        "simulated": tabulate_simulation(**numbers),
        "measured": tabulate_engines(**numbers),
        **plan(**numbers),
    }
    for name, text in figures.items():
        replace_block(page, name, [text])
        print(text, end="\n\n")


Record = Mapping[str, Any]


def row(*cells: object) -> str:
    """Returns a line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def tabulate_simulation(simulated: Record, measured: Record) -> str:
    """Returns the table of the runner's own cost against its limits."""
    s = simulated
    return "\n".join(
        [
            row(f"{s['cells']} cells that do nothing", "measured", "limit"),
            row("---", "---:", "---:"),
            row("the whole command", f"{s['seconds']:.0f} s", f"{SECONDS} s"),
            row("processor time of the runner", f"{s['processor']:.0f} s", ""),
            row("of the whole: until all cells are frozen", f"{s['frozen_after']:.0f} s", ""),
            row(
                "a cell of that, after the first: composed, checked and frozen",
                f"{1e3 * s['further_cell']:.0f} ms",
                f"{1e3 * CELL_SECONDS:.0f} ms",
            ),
            row("first quarter of the cells", f"{s['first_quarter']:.1f} s", ""),
            row("last quarter", f"{s['last_quarter']:.1f} s", ""),
            row("memory of the runner", size(s["peak_bytes"]), size(BYTES)),
            row("other processes waiting for the two cores", f"{s['load']:.0f}", ""),
            "",
            describe_machine(s),
        ]
    )


def tabulate_engines(simulated: Record, measured: Record) -> str:
    """Returns the tables of short cells under each engine, and of a cell's start."""
    basic, ratio = measured["engines"]["basic"], measured["start"]["ratio"]
    lines = [row(f"{measured['cells']} short cells", "seconds", "of `basic`", "limit")]
    lines.append(row("---", "---:", "---:", "---:"))
    for name, seconds in measured["engines"].items():
        limit = "" if name == "basic" else f"{SHARE_OF_BASIC:g}"
        lines.append(row(f"`{name}`", f"{seconds:.0f}", f"{seconds / basic:.2f}", limit))
    return "\n".join(lines) + (
        f"\n\nStart of a cell, of `import torch, lightning`: {ratio['seconds']:.2f} × in time, "
        f"{ratio['processor']:.2f} × in processor time (limit {START_TO_IMPORT:g} ×)."
        f"{describe_starts(measured['start'])}\n\n{describe_report(measured['report'])} "
        f"{describe_machine(measured)}"
    )


def describe_starts(starts: Mapping[str, Mapping[str, float]]) -> str:
    """Returns a sentence on what a user waits for."""
    return (
        f" `--help` answers after {starts['help']['seconds']:.2f} s, and a training says its first "
        f"line after {starts['first line']['seconds']:.2f} s (limit {FIRST_LINE_SECONDS:g} s)."
    )


def describe_report(report: Record) -> str:
    """Returns a sentence on what a report on many runs takes."""
    return (
        f"A report on {report['runs']} runs of {report['arms']} arms: {report['seconds']:.1f} s "
        f"(limit {REPORT_SECONDS} s), {size(report['peak_bytes'])} (limit {size(REPORT_BYTES)})."
    )


def describe_machine(record: Record) -> str:
    """Returns a sentence on the processor that was measured."""
    return f"Processor: {record['machine']}."


def plan(simulated: Record, measured: Record) -> dict[str, str]:
    """Hours of the sweep, and what file system and engine bear meanwhile."""
    run = PLANNING.parent / REAL
    cell = json.loads((run / "metrics.json").read_text())["seconds"]
    epochs = (run / "history.csv").read_text().count("\n") - 1
    start = measured["start"]["cell"]["seconds"]
    overhead = simulated["seconds"] / simulated["cells"]
    hours = [row("cells", *(f"{slots} at once" for slots in SLOTS), "the runner's own")]
    load = [
        row("cells", "files", "bytes", *(f"files written a second, {n} at once" for n in SLOTS))
    ]
    for cells in CELLS:
        durations = (-(-cells // slots) * (cell + start) / 3600 for slots in SLOTS)
        hours.append(
            row(
                f"{cells:,}",
                *(f"{hour:,.1f} h" for hour in durations),
                f"{cells * overhead / 60:.1f} min",
            )
        )
        rates = (
            min(slots, cells) * (measured["cell_files"] / (cell + start) + 1 / HEARTBEAT_SECONDS)
            for slots in SLOTS
        )
        files, weight = cells * measured["cell_files"], cells * measured["cell_bytes"]
        texts = (f"{rate:.1f}" for rate in rates)
        load.append(row(f"{cells:,}", f"{files:,.0f}", size(weight), *texts))
    for lines in (hours, load):
        lines.insert(1, row("---", *["---:"] * (lines[0].count("|") - 2)))
    work = f"{cell:.0f} s of work ({epochs} epochs of `{REAL}`, two CPU cores)"
    cost = f"A cell: {work} and {start:.1f} s to start."
    return {"cost": cost, "hours": "\n".join(hours), "load": "\n".join(load)}


def size(count: float) -> str:
    """Bytes for people."""
    power = min(4, max(0, int(log(count, 1024))))
    return f"{count / 1024**power:.1f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


if __name__ == "__main__":
    main()
