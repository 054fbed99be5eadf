"""A command line that stops before it becomes a worker, a task without torch, the real CamVid."""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
import yaml

from fcn_lab.cli import main as cli
from fcn_lab.data.locations import find_default_folder
from support.commandline import NO_TORCH, STUB, Ended, TypeLine

REAL = find_default_folder().absolute()
WORD = {"_target_": "stub.Task", "kind": "work", "seed": "${seed}", "count": 1}


class Became(SystemExit):
    """Stands for the process being replaced."""


@pytest.fixture(autouse=True)
def draw_the_same() -> None:
    """Lets a test draw the same numbers alone as behind others."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


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
    for name in ("FCN_LAB_COMMAND", "FCN_LAB_STARTED", "FCN_LAB_TRACEBACK", "FCN_LAB_WORDS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")
    monkeypatch.setenv("FCN_LAB_ALLOW", "")

    def run(*arguments: str) -> Ended:
        became.clear()
        wanted, allowed = os.environ["HYDRA_FULL_ERROR"], os.environ["FCN_LAB_ALLOW"]
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        status: int | str | None = 0
        try:
            cli.main()
        except SystemExit as stop:
            status = stop.code
        finally:
            # a command line lives in a process of its own
            monkeypatch.setenv("HYDRA_FULL_ERROR", wanted)
            monkeypatch.setenv("FCN_LAB_ALLOW", allowed)
        out, err = capfd.readouterr()
        assert isinstance(status, int)
        return Ended(status, out, err, became[0] if became else ())

    return run


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes no cache into the working tree, and does not find the real data by accident."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FCN_LAB_CAMVID", raising=False)


@pytest.fixture(scope="session")
def camvid_root() -> Path:
    """The folder of the real CamVid."""
    if not (REAL / "trainannot").is_dir():
        pytest.skip("real CamVid absent: set FCN_LAB_CAMVID to its folder")
    return REAL


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `record` keeps what was typed once."""
    return tmp_path_factory.mktemp("recorded")


@pytest.fixture
def record(type_line: TypeLine, recorded: Path) -> Callable[..., None]:
    """`record("there", "model=fcn8s", ...)`: the folder of a command, typed once a session."""

    def copy_or_type(folder: str, *words: str) -> None:
        kept = recorded / hashlib.sha256(repr((folder, words)).encode()).hexdigest()
        if not kept.exists():
            type_line(*words, f"hydra.run.dir={folder}")
            shutil.copytree(folder, kept)
        else:
            shutil.copytree(kept, folder)

    return copy_or_type


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The argument that adds the word task=stub, whose task does as `task.kind` says."""
    (tmp_path / "stub.py").write_text(STUB)
    (tmp_path / "torch.py").write_text(NO_TORCH)
    word = tmp_path / "own" / "task" / "stub.yaml"
    word.parent.mkdir(parents=True)
    word.write_text(yaml.safe_dump(WORD))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return f"--config-dir={tmp_path / 'own'}"
