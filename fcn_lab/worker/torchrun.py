"""``torchrun … run.py WORDS``: the first rank composes the words, all run its config.

The ranks meet in the store that torchrun itself keeps for them.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from fcn_lab.errors import UserError
from fcn_lab.training.ranks import count_processes, is_started_by_torchrun

if TYPE_CHECKING:
    # public, but not marked so for type checkers
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

_STORE_KEY = "fcn_lab/worker"
_TIMEOUT = timedelta(minutes=5)


def is_follower() -> bool:
    """Returns whether another rank composes the words."""
    return is_started_by_torchrun() and os.environ["RANK"] != "0"


def send_arguments(arguments: list[str]) -> None:
    """Sends the arguments of the worker to the other ranks."""
    if is_started_by_torchrun():
        _connect_store().set(_STORE_KEY, "\n".join(arguments))


@contextmanager
def dismiss_followers() -> Iterator[None]:
    """Ends the other ranks with this process's status, where it does not become a worker."""
    status = 1
    try:
        yield
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    finally:
        send_arguments([str(status)])


def receive_arguments() -> list[str]:
    """Waits for the first rank's arguments; ends this process where there is nothing to run."""
    arguments = _connect_store().get(_STORE_KEY).decode()
    if arguments.isdecimal():
        sys.exit(int(arguments))
    return arguments.split("\n")


def refuse_sweeps() -> None:
    """Refuses a sweep under torchrun, which would run it once a rank.

    Raises:
        UserError: this process is one of torchrun's.
    """
    if is_started_by_torchrun():
        raise UserError(
            "torchrun starts the ranks of one run; a sweep starts those of its cells by itself.\n"
            "Leave out torchrun, and say trainer.devices=2 trainer.strategy=ddp"
        )


def refuse_srun() -> None:
    """Refuses a command in several tasks of srun, each of which would begin a run of its own.

    Raises:
        UserError: this process is one of them.
    """
    if not is_started_by_torchrun() and (tasks := count_processes()) > 1:
        raise UserError(
            f"srun started this command in {tasks} tasks, and each would begin a run of its own.\n"
            "Type srun --ntasks-per-node=1 torchrun …, or one task with trainer.devices=2 "
            "trainer.strategy=ddp"
        )


def _connect_store() -> "TCPStore":
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(host, port, is_master=False, timeout=_TIMEOUT)
