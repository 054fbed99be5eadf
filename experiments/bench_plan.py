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
from pathlib import Path
from typing import Any

import psutil

from fcn_lab.attempts import begin
from fcn_lab.engines.ray import Ray
from fcn_lab.supervisor import Job
from fcn_lab.sweepfolder import replace_text

ROOT = Path(__file__).parent.parent
PLANNING = Path(__file__).parent / "planning"
SECONDS, BYTES = 300, 2**30  # what 2,000 cells may cost the runner on two cores
LAUNCHER = """
_target_: hydra_plugins.fcn_lab_launcher.CellLauncher
engine: bench_plan.NoOps
"""


def no_op(job: Job, environment: Mapping[str, str]) -> int:
    """What a worker leaves in its folder, without the work."""
    attempt = begin(job.folder)
    scores = {"val": {"mean_iou": 0.5}, "seconds": 0}
    replace_text(job.folder / "metrics.json", json.dumps(scores))
    attempt.end("done")
    return 0


class NoOps(Ray):
    """The engine of the simulation."""

    task = staticmethod(no_op)


def simulate(cells: int, folder: Path) -> dict[str, Any]:
    """Runs the sweep in `folder`; seconds of its phases, and bytes of the runner at its largest."""
    word = folder / "conf" / "hydra" / "launcher" / "no_op.yaml"
    word.parent.mkdir(parents=True)
    word.write_text(LAUNCHER)
    words = ["data=synthetic", "encoder=tiny", "logger=csv", f"seed=range(0,{cells})"]
    line = [sys.executable, str(ROOT / "run.py"), f"--config-dir={folder / 'conf'}", "-m", *words]
    began, peak = time.time(), 0
    with (folder / "out.txt").open("w") as out:
        runner = subprocess.Popen(
            [*line, "hydra/launcher=no_op", f"sweep.dir={folder / 'all'}"],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        watched = psutil.Process(runner.pid)
        while runner.poll() is None:
            peak = max(peak, watched.memory_info().rss)
            time.sleep(0.2)
    if runner.returncode != 0:
        sys.exit((folder / "out.txt").read_text())
    ended = time.time()
    frozen = (folder / "all" / "sweep.json").stat().st_mtime
    done = sorted(path.stat().st_mtime for path in folder.glob("all/*/metrics.json"))
    quarter = cells // 4
    return {
        "cells": cells,
        "seconds": ended - began,
        "frozen_after": frozen - began,
        "first_quarter": done[quarter - 1] - done[0],
        "last_quarter": done[-1] - done[-quarter],
        "peak_bytes": peak,
        "files": sum(1 for path in (folder / "all").rglob("*") if path.is_file()),
    }


def main() -> None:
    """Simulates, and writes the page."""
    parser = argparse.ArgumentParser(description="the runner's own cost of many cells")
    parser.add_argument("--cells", type=int, default=2000)
    cells = parser.parse_args().cells
    with tempfile.TemporaryDirectory() as folder:
        found = simulate(cells, Path(folder))
    print(found)


if __name__ == "__main__":
    main()
