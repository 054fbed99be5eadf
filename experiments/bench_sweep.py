"""What a sweep costs here: python experiments/bench_sweep.py [--cells 8] [--repeat 1].

Runs the same short cells under each engine with one thread each, and starts a cell that has
nothing to do beside a bare ``import torch, lightning``. Keeps the numbers in
experiments/planning/measured.json, from which experiments/bench_plan.py writes its page.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
MEASURED = Path(__file__).parent / "planning" / "measured.json"
ENGINES = ("basic", "local", "ray")
SHARE_OF_BASIC = 0.65  # what two cores may take of the time of one after the other
START_TO_IMPORT = 1.5
CELL = (
    *("data=synthetic", "model=fcn32s", "encoder=tiny", "logger=csv", "trainer.accelerator=cpu"),
    "trainer.max_epochs=1",
)
EMPTY = "class Task:\n    def run(self, folder):\n        pass\n"


def main() -> None:
    """Prints both tables and keeps their numbers."""
    parser = argparse.ArgumentParser(description="the cost of a sweep's engines and of a start")
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=1, help="the medians count")
    chosen = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", WANDB_MODE="offline")
