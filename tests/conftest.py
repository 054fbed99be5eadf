"""A command line that stops before it becomes a worker, and a task that needs no torch."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest
import yaml

from commandline import Ended, TypeLine
from fcn_lab import cli

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
            time.sleep(60)
        if self.kind == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.kind == "memory":
            raise MemoryError("no room")
        if self.kind == "flaky" and not self.resume:
            self.train(folder, steps=1)
            raise RuntimeError("went wrong once")
        if self.kind in ("train", "flaky"):
            self.train(folder, steps=20)
        (folder / "metrics.json").write_text(json.dumps({"test": {"mean_iou": 0.25}, "params": 7}))

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
WORD = {"_target_": "stub.Task", "kind": "work", "seed": "${seed}", "count": 1}


class Became(SystemExit):
    """Stands for the process being replaced."""


@pytest.fixture
def type_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> TypeLine:
    """`type_line("model=fcn8s", ...)` in an empty folder."""
    became: list[Sequence[str]] = []

    def replace(path: str, command: Sequence[str], environment: dict[str, str]) -> NoReturn:
        became.append(command)
        raise Became(0)

    monkeypatch.setattr("os.execve", replace)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FCN_LAB_COMMAND", "")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")

    def run(*arguments: str) -> Ended:
        became.clear()
        wanted = os.environ["HYDRA_FULL_ERROR"]
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        status: int | str | None = 0
        try:
            cli.main()
        except SystemExit as stop:
            status = stop.code
        finally:
            monkeypatch.setenv("HYDRA_FULL_ERROR", wanted)  # a command line lives in one process
        out, err = capfd.readouterr()
        assert isinstance(status, int)
        return Ended(status, out, err, became[0] if became else ())

    return run


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The argument that adds the word task=stub, whose task does as `task.kind` says."""
    (tmp_path / "stub.py").write_text(STUB)
    word = tmp_path / "own" / "task" / "stub.yaml"
    word.parent.mkdir(parents=True)
    word.write_text(yaml.safe_dump(WORD))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return f"--config-dir={tmp_path / 'own'}"
