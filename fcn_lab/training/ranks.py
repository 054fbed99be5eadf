"""Reads from the environment which of several processes this is: torchrun and srun set variables.

Lightning reads the same variables, some of them while it is imported, and checks none: a rank that
a shell has left behind makes a process wait for others, or write nothing, without a message.
"""

import os
from collections.abc import Mapping

from fcn_lab.errors import UserError

TORCHRUN, SRUN = "TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS"
# command of a launcher → the variables that it must have set to a number
LAUNCHERS = {
    "torchrun": ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"),
    "srun --ntasks-per-node=": (
        *("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"),
        "SLURM_NTASKS_PER_NODE",
    ),
}
_RANK_VARIABLES = (
    "RANK",
    "LOCAL_RANK",
    "NODE_RANK",
    "GROUP_RANK",
    "SLURM_PROCID",
    "JSM_NAMESPACE_RANK",
)
_SINGLE_PROCESS_VALUES = {
    **dict.fromkeys(_RANK_VARIABLES, "0"),
    "WORLD_SIZE": "1",
    "LOCAL_WORLD_SIZE": "1",
}
_RENDEZVOUS_VARIABLES = ("MASTER_ADDR", "MASTER_PORT")
_LARGEST_PORT = 65535


def is_started_by_torchrun() -> bool:
    """Returns whether torchrun started this process."""
    return TORCHRUN in os.environ


def is_first_rank() -> bool:
    """Returns whether this process is the one that writes; needs no trainer."""
    return all(os.environ.get(name, "0") == "0" for name in _RANK_VARIABLES)


def count_processes() -> int:
    """Returns how many processes torchrun or srun has started, 1 without either."""
    return _read_number("WORLD_SIZE" if is_started_by_torchrun() else SRUN) or 1


def find_launcher() -> str:
    """Returns the launcher of several processes, a key of `LAUNCHERS`; empty without one."""
    torchrun, srun = LAUNCHERS
    return torchrun if is_started_by_torchrun() else srun if count_processes() > 1 else ""


def is_child() -> bool:
    """Returns whether this is a further rank that Lightning started from the first."""
    return not is_first_rank() and not find_launcher()


def check_ranks() -> None:
    """Checks the launchers' variables before Lightning reads them.

    Raises:
        UserError: one is missing or not a number, or one is set without its launcher.
    """
    launcher = find_launcher()
    for name in LAUNCHERS.get(launcher, ()):
        value = _read_number(name)
        if value is None or (name == "MASTER_PORT" and not 0 < value <= _LARGEST_PORT):
            form = f"a port, 1 to {_LARGEST_PORT}" if name == "MASTER_PORT" else "a number"
            raise UserError(
                f"{_describe_variable(name)}: expected {form}, as {launcher} sets it.\n"
                "Start it anew"
            )
    for name, default in {**_SINGLE_PROCESS_VALUES, SRUN: "1"}.items() if not launcher else ():
        if os.environ.get(name, default) != default:
            raise UserError(
                f"{_describe_variable(name)} says that this is one of several processes, but "
                f"neither torchrun nor srun has started it.\nType: unset {name}"
            )


def drop_stray_ranks(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment without variables that would make Lightning wait for other ranks."""
    names = () if find_launcher() else (*_SINGLE_PROCESS_VALUES, *_RENDEZVOUS_VARIABLES)
    return {name: value for name, value in environment.items() if name not in names}


def _read_number(name: str) -> int | None:
    text = os.environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None


def _describe_variable(name: str) -> str:
    return f"{name}={os.environ[name]}" if name in os.environ else f"{name} (not set)"
