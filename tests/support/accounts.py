"""A home without an account, and the configuration that loggers are handed."""

import os
from pathlib import Path

import pytest

from support.tiny import WORDS

CONFIG = {"seed": 1, "optim": {"lr": 0.1}, "words": WORDS}


@pytest.fixture(autouse=True)
def nobodys_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, and no account."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("WANDB", "XDG", "NETRC"))]:
        monkeypatch.delenv(name)
    for name in ("CACHE", "DATA"):  # the logger sets them: undo it
        monkeypatch.setenv(f"WANDB_{name}_DIR", "")
        monkeypatch.delenv(f"WANDB_{name}_DIR")
    monkeypatch.setenv("HOME", str(home))
    return home
