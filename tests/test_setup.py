"""`make setup` chooses torch's build; the installers are stand-ins that note what they are told."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.places import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")
STAND_IN = '#!/bin/sh\necho "$@" >> "$TOLD"\ncase "$*" in *--dry-run*) exit "$REACHED";; esac\n'
NO_GPU, CPU_BUILD = "no NVIDIA GPU here", "--torch-backend cpu"


def set_up(folder: Path, *words: str, reached: bool, gpu: bool = False) -> tuple[str, list[str]]:
    """What is printed, and the installs; the stamp stays in `folder`."""
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True, exist_ok=True)
    for name in ("python", "uv", "nvidia-smi"):
        (tools / name).write_text(
            STAND_IN if name != "nvidia-smi" else f"#!/bin/sh\nexit {not gpu:d}\n"
        )
        (tools / name).chmod(0o755)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        if not (folder / name).exists():
            shutil.copy(ROOT / name, folder)
    path = f"{tools}:{os.environ['PATH']}"
    told = folder / "told.txt"
    told.unlink(missing_ok=True)
    done = subprocess.run(
        ["make", "setup", *words],
        cwd=folder,
        env={**os.environ, "PATH": path, "TOLD": str(told), "REACHED": str(int(not reached))},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = told.read_text().splitlines() if told.exists() else []
    return done.stdout, [line for line in lines if " install " in line and "--dry-run" not in line]


needs_no_gpu = pytest.mark.skipif(
    Path("/proc/driver/nvidia/version").exists(), reason="this machine has a GPU"
)


@needs_no_gpu
def test_without_a_gpu_the_cpu_build_is_installed_and_stays(tmp_path: Path) -> None:
    printed, installs = set_up(tmp_path, reached=True)
    assert NO_GPU in printed
    assert CPU_BUILD in installs[-1]
    assert [path.name for path in (tmp_path / ".venv").glob(".set-up*")] == [".set-up-cpu"]
    assert set_up(tmp_path, reached=True)[1] == []


@needs_no_gpu
def test_where_its_index_cannot_be_reached_the_locked_build_is_and_the_reason_is_told(
    tmp_path: Path,
) -> None:
    printed, installs = set_up(tmp_path, reached=False)
    assert "cannot be reached" in printed
    assert not any(CPU_BUILD in line for line in installs)
    assert "--require-hashes" in installs[-2]


def test_with_a_gpu_or_a_word_nothing_is_asked(tmp_path: Path) -> None:
    for name, words, gpu in (("gpu", [], True), ("cuda", ["TORCH=cuda"], False)):
        printed, installs = set_up(tmp_path / name, *words, reached=True, gpu=gpu)
        assert NO_GPU not in printed
        assert "--require-hashes" in installs[-2]
    _, installs = set_up(tmp_path / "cpu", "TORCH=cpu", reached=False, gpu=True)
    assert CPU_BUILD in installs[-1]
