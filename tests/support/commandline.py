"""How a command line ended, for tests that type one, and a task that needs no torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Ended:
    """How one command line ended."""

    status: int
    out: str
    err: str
    command: Sequence[str]  # of the worker it became; empty where it became none

    @property
    def folder(self) -> Path:
        return Path(self.command[3]).parent

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = yaml.safe_load((self.folder / "config.yaml").read_text())
        return config


TypeLine = Callable[..., Ended]

# the least that makes a run a finished one
METRICS = '{"protocol": "stub", "test": {"mean_iou": 0.25}}'

# tests write it to torch.py before a worker whose task needs no torch: it starts seconds earlier
NO_TORCH = """
def manual_seed(seed: int) -> None: ...
def get_num_threads() -> int: return 1
"""

# tests write it to stub.py; `kind` says what it does
STUB = """
import json, os, signal, sys, time
from pathlib import Path

class Task:
    def __init__(self, kind: str, seed: int, count: int = 1, resume: bool = False) -> None:
        if count < 0:
            raise ValueError(f"count={count}: expected 0 or more")
        self.kind, self.resume = kind, resume

    def run(self, folder: Path) -> None:
        siblings = sorted(p.parent.name for p in folder.parent.glob("*/config.yaml"))
        facts = {"pid": os.getpid(), "argv": sys.argv, "siblings": siblings, "resume": self.resume}
        (folder / "facts.json").write_text(json.dumps(facts))
        if self.kind == "fail":
            raise RuntimeError("went wrong")
        if self.kind == "refuse":
            from fcn_lab.errors import UserError
            raise UserError("this is not for me")
        if self.kind == "sleep":
            print("asleep", flush=True)
            time.sleep(600)
        if self.kind == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.kind == "memory":
            raise MemoryError("no room")
        if self.kind == "flaky" and not self.resume:
            self.train(folder, steps=1)
            raise RuntimeError("went wrong once")
        if self.kind in ("train", "flaky"):
            self.train(folder, steps=20)
        scores = {"protocol": "stub", "test": {"mean_iou": 0.25}, "params": 7}
        (folder / "metrics.json").write_text(json.dumps(scores))

    def train(self, folder: Path, steps: int) -> None:
        "A step leaves a checkpoint, and a line that tells how often it was made."
        checkpoint = folder / "checkpoints" / "last.ckpt"
        checkpoint.parent.mkdir(exist_ok=True)
        first = int(checkpoint.read_text()) if self.resume else 0
        for step in range(first, steps):
            with (folder / "steps.txt").open("a") as file:
                print(step, file=file)
            time.sleep(0.03)
            half = checkpoint.with_suffix(".half")
            half.write_text(str(step + 1))
            half.replace(checkpoint)
"""
