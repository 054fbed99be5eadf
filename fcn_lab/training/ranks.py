"""Which of several processes this one is: torchrun, srun and Lightning say so in the environment.

Lightning reads the same variables, some of them while it is imported, and believes each: a rank
that a shell has left behind makes a process wait for others, or write nothing, without a word.
"""

import os
from collections.abc import Mapping

from fcn_lab.errors import UserError

TORCHRUN, SRUN = "TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS"
# by the launcher's own mark: what it must have set to a number
LAUNCHERS = {
    "torchrun": ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"),
    "srun --ntasks-per-node=": (
        *("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"),
        "SLURM_NTASKS_PER_NODE",
    ),
}
_PLACES = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
_ALONE = {**dict.fromkeys(_PLACES, "0"), "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
_MEETING = ("MASTER_ADDR", "MASTER_PORT")
_PORTS = 65535


def is_torchruns() -> bool:
    """Whether torchrun started this process."""
    return TORCHRUN in os.environ


def is_first_rank() -> bool:
    """Whether this process is the one that writes, known before any trainer is."""
    return all(os.environ.get(name, "0") == "0" for name in _PLACES)


def processes_started() -> int:
    """By torchrun or srun; each would take itself for the only one without a word to Lightning."""
    return _number("WORLD_SIZE" if is_torchruns() else SRUN) or 1


def launcher() -> str:
    """What started this process as one of several: a key of `LAUNCHERS`, or nothing."""
    torchrun, srun = LAUNCHERS
    return torchrun if is_torchruns() else srun if processes_started() > 1 else ""


def check_ranks() -> None:
    """Looks at the variables of launchers before anything else does.

    Raises:
        UserError: one is missing or no number, or there is one without its launcher.
    """
    by = launcher()
    for name in LAUNCHERS.get(by, ()):
        value = _number(name)
        if value is None or (name == "MASTER_PORT" and not 0 < value <= _PORTS):
            expected = f"a port, 1 to {_PORTS}" if name == "MASTER_PORT" else "a number"
            raise UserError(f"{_shown(name)}: expected {expected}, as {by} sets it.\nStart it anew")
    for name, harmless in {**_ALONE, SRUN: "1"}.items() if not by else ():
        if os.environ.get(name, harmless) != harmless:
            raise UserError(
                f"{_shown(name)} says that this is one of several processes, but neither torchrun "
                f"nor srun has started it.\nType: unset {name}"
            )


def without_stray_ranks(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what Lightning would make of a process alone one of several."""
    stray = () if launcher() else (*_ALONE, *_MEETING)
    return {name: value for name, value in environment.items() if name not in stray}


def _number(name: str) -> int | None:
    given = os.environ.get(name, "")
    return int(given) if given.isascii() and given.isdigit() else None


def _shown(name: str) -> str:
    return f"{name}={os.environ[name]}" if name in os.environ else f"{name} (not set)"
