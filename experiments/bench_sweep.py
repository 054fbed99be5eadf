"""What a sweep costs here: python experiments/bench_sweep.py [--cells 8] [--repeat 5].

Runs the same short cells on drawn pictures under each engine with one thread each, and starts a
cell, up to the first call of its loss, beside a bare ``import torch, lightning``, the help, and a
command up to its first line. Keeps the numbers in
experiments/planning/measured.json, of which experiments/bench_plan.py makes a page.
"""

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import yaml
from rich.console import Console
from rich.table import Table

from fcn_lab.config.trust import ALLOW_VARIABLE
from fcn_lab.runs.processor import describe_processor

ROOT = Path(__file__).parent.parent
RESULT = Path(__file__).parent / "planning" / "measured.json"
ENGINES = ("basic", "local", "ray")
SHARE_OF_BASIC = 0.65  # what cells on two cores may take of the time they take one by one
START_TO_IMPORT = 1.3  # a cell's start, up to its first step
FIRST_LINE_SECONDS = 1.0
CELL = (
    *("data=folder", "data.images=photos", "data.masks=masks"),
    *("data.size=[96,128]", "model=fcn32s", "encoder=tiny", "logger=csv"),
    *("trainer.accelerator=cpu", "trainer.max_epochs=1"),
)
PICTURES = 200
PUBLISHED = Path(__file__).parent / "operators" / "runs.zip"
REPORT_RUNS, REPORT_SECONDS, REPORT_BYTES = 200, 10, 500e6
IMPORT = [sys.executable, "-c", "import torch, lightning"]
LEAVE = """
import os
from fcn_lab.training.losses import CrossEntropy

class Leave(CrossEntropy):
    def forward(self, *given):
        os._exit(0)
"""


def main() -> None:
    """Prints both tables and keeps their numbers."""
    parser = argparse.ArgumentParser(description="what engines and the start of a cell cost")
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=5, help="starts; their medians count")
    arguments = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", WANDB_MODE="offline")
    with tempfile.TemporaryDirectory() as scratch:
        result = measure(arguments.cells, arguments.repeat, Path(scratch))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print_tables(result)


def measure(cells: int, repeat: int, folder: Path) -> dict[str, Any]:
    """Returns all numbers; the sweeps stay in the folder."""
    # brings torch, and the runner that bench_plan.py measures imports this file
    from bench_packs import NAMES, draw_pictures

    root = folder / "pictures"
    root.mkdir()
    draw_pictures(root, PICTURES)
    cell = [*CELL, f"data.root={root}", f"data.names={NAMES}"]
    return {
        "machine": describe_processor(),
        "cores": len(os.sched_getaffinity(0)),
        "cells": cells,
        "engines": {
            engine: time_sweep([*cell, f"seed=range(0,{cells})"], engine, folder / engine)
            for engine in ENGINES
        },
        "start": measure_starts(cell, folder / "basic" / "seed=0", folder, repeat),
        "report": measure_report(folder / "runs"),
        **describe_cell(folder / "basic"),
    }


def time_sweep(words: Sequence[str], engine: str, folder: Path) -> float:
    """Seconds of the whole command, the engine's own start included."""
    command = [sys.executable, str(ROOT / "run.py"), "-m", *words]
    command += [f"hydra/launcher={engine}", f"sweep.dir={folder}"]
    return measure_command(command, {})["seconds"]


def measure_starts(
    words: Sequence[str], cell: Path, folder: Path, repeat: int
) -> dict[str, dict[str, float]]:
    """Measures wall and processor seconds of a bare import and of the lab's starts in turns.

    Medians of each, and of the ratio of a cell's to the import that was taken with it.
    """
    (folder / "leave.py").write_text(LEAVE)
    config: dict[str, Any] = yaml.safe_load((cell / "config.yaml").read_text())
    config["task"]["loss"]["_target_"] = "leave.Leave"
    command = [sys.executable, str(ROOT / "run.py")]
    samples: dict[str, list[dict[str, float]]] = {
        name: [] for name in ("import", "cell", "help", "first line")
    }
    for number in range(repeat + 1):  # the first of each fills the page cache
        run = folder / f"start{number}"
        run.mkdir()
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        worker = [sys.executable, "-m", "fcn_lab.worker", str(run / "config.yaml"), "--cell"]
        samples["import"].append(measure_command(IMPORT, {}))
        trust = {"PYTHONPATH": str(folder), ALLOW_VARIABLE: "leave.Leave"}
        samples["cell"].append(measure_command(worker, trust))
        samples["help"].append(measure_command([*command, "--help"], {}))
        samples["first line"].append(
            measure_first_line([*command, *words, f"hydra.run.dir={run}/r"])
        )
        shutil.rmtree(run)
    samples["ratio"] = [
        {unit: cell_times[unit] / import_times[unit] for unit in cell_times}
        for cell_times, import_times in zip(samples["cell"], samples["import"], strict=True)
    ]
    return {
        command_name: {unit: median(sample[unit] for sample in times[1:]) for unit in times[0]}
        for command_name, times in samples.items()
    }


def measure_command(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, float]:
    """Measures wall and processor seconds of a command that has to succeed."""
    usage_before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    seconds, usage_after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
    processor = (
        usage_after.ru_utime + usage_after.ru_stime - usage_before.ru_utime - usage_before.ru_stime
    )
    return {"seconds": seconds, "processor": processor}


def measure_first_line(command: Sequence[str]) -> dict[str, float]:
    """Measures wall and processor seconds until a command prints; it is ended then."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
        times = psutil.Process(process.pid).cpu_times()
        process.kill()
    if not line:
        sys.exit(f"{' '.join(command)} said nothing")
    return {"seconds": seconds, "processor": times.user + times.system}


def measure_report(folder: Path) -> dict[str, float]:
    """Measures a report on many runs: those of a published study, copied under other rates."""
    with zipfile.ZipFile(PUBLISHED) as archive:
        archive.extractall(folder / "published")
    published = sorted(path.parent for path in (folder / "published").glob("*/config.yaml"))
    for number in range(REPORT_RUNS):
        run = folder / "all" / str(number)
        turn, original = divmod(number, len(published))
        shutil.copytree(published[original], run)
        config = yaml.safe_load((run / "config.yaml").read_text())
        config["optim"]["lr"] *= 1 + turn
        (run / "config.yaml").write_text(yaml.safe_dump(config))
    words = ["task=report", f"runs={folder / 'all'}", f"output={folder / 'report'}"]
    command = [sys.executable, str(ROOT / "run.py"), *words]
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        # not getrusage's, which begins with what the process that started this one holds
        report = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, report.memory_info().rss)
            time.sleep(0.02)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed")
    arms = (folder / "report" / "arms.csv").read_text().count("\n") - 1
    return {
        "runs": REPORT_RUNS,
        "arms": arms,
        "seconds": time.perf_counter() - start,
        "peak_bytes": peak,
    }


def describe_cell(folder: Path) -> dict[str, float]:
    """Returns what a cell leaves, on average: seconds of training, files, bytes."""
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    cells = [folder / row["cell"] for row in rows]
    files = [path for cell in cells for path in cell.rglob("*") if path.is_file()]
    return {
        "cell_seconds": sum(float(row["seconds"]) for row in rows) / len(rows),
        "cell_files": len(files) / len(rows),
        "cell_bytes": sum(path.stat().st_size for path in files) / len(rows),
    }


def print_tables(result: Mapping[str, Any]) -> None:
    """Prints the two tables, each with its limit."""
    engines, starts = result["engines"], result["start"]
    table = Table(title=f"{result['cells']} cells on {result['cores']} cores, one thread each")
    for name in ("hydra/launcher=", "seconds", "of basic", "limit"):
        table.add_column(name, justify="right")
    for name, seconds in engines.items():
        limit = "" if name == "basic" else f"{SHARE_OF_BASIC:g}"
        table.add_row(name, f"{seconds:.1f}", f"{seconds / engines['basic']:.2f}", limit)
    console = Console()
    console.print(table)
    table = Table(title="start of a process; of a cell, up to its first step")
    for name in ("", "seconds", "processor seconds", "limit"):
        table.add_column(name, justify="right")
    for command, times in starts.items():
        limit = f"{START_TO_IMPORT:g}" if command == "ratio" else ""
        table.add_row(command, *(f"{value:.2f}" for value in times.values()), limit)
    console.print(table)
    report = result["report"]
    console.print(
        f"a report on {report['runs']} runs of {report['arms']} arms: {report['seconds']:.1f} s "
        f"(limit {REPORT_SECONDS} s), {report['peak_bytes'] / 1e6:.0f} MB "
        f"(limit {REPORT_BYTES / 1e6:.0f} MB)"
    )


if __name__ == "__main__":
    main()
