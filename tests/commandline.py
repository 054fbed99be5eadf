"""How a command line ended, for tests that type one."""

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
