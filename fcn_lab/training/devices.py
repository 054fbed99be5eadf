"""Compares the devices and compilers that a training asks for with what this machine has."""

import importlib.util
import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

import torch

from fcn_lab.errors import UserError
from fcn_lab.training.machine import count_cores

# by device: the variable that names the compiler torch.compile calls, and its choices without it
COMPILERS = {
    "cpu": ("CXX", ("clang++" if sys.platform == "darwin" else "g++",)),
    "cuda": ("CC", ("gcc", "clang")),
}


def find_device(accelerator: str) -> str:
    """Returns the "cuda", "mps" or "cpu" that "auto", "gpu", "mps" or "cpu" means here.

    "auto" leaves an Apple GPU alone: the lab has not been tried on one, and several operators of
    torch are missing there.

    Raises:
        UserError: this machine has no such device.
    """
    if accelerator in ("auto", "gpu") and torch.cuda.is_available():
        return "cuda"
    if accelerator == "mps" and torch.backends.mps.is_available():
        return "mps"
    if accelerator in ("auto", "cpu"):
        return "cpu"
    kind = "GPU that torch could use" if accelerator == "gpu" else "Apple GPU"
    raise UserError(
        f"trainer.accelerator={accelerator}: there is no {kind} here, "
        "type trainer.accelerator=cpu or auto"
    )


def check_device_count(device: str, count: int) -> None:
    """Refuses more processes than there are devices for them.

    Raises:
        UserError: there are fewer devices; the message says how many.
    """
    # two processes are allowed on any CPU, to try whether a network trains on several
    limit = max(2, count_cores()) if device == "cpu" else 1
    devices = torch.cuda.device_count() if device == "cuda" else limit
    if count > devices:
        phrase = "is 1" if devices == 1 else f"are {devices}"
        reason = f"there {phrase} here" if device != "cpu" else "each needs a CPU core"
        raise UserError(
            f"trainer.devices={count}: {reason}, type trainer.devices={devices} or fewer"
        )


def check_compiler(device: str) -> None:
    """Refuses ``trainer.compile`` where torch.compile would fail minutes later.

    Raises:
        UserError: something is not installed; the message names it.
    """
    if device not in COMPILERS:
        return
    variable, names = COMPILERS[device]
    compilers = shlex.split(os.environ.get(variable, ""))[:1] or names
    gaps = []
    if not any(map(shutil.which, compilers)):
        gaps.append(f"{compilers[0]}, a compiler")
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        gaps.append("Python.h, of the package python3-dev")
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        gaps.append("the package triton")
    if gaps:
        raise UserError(
            f"trainer.compile=true: there is no {', no '.join(gaps)}; "
            "install it, or type trainer.compile=false"
        )
