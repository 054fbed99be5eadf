"""``python -m fcn_lab.worker RUN_DIR/config.yaml [--fresh=N | --resume | --cell]``: runs it.

Exit status: 0 done, 1 failed (traceback in RUN_DIR/error.txt), 2 a user's mistake, 75 another
worker runs this cell or has done it, 130 and 143 stopped by SIGINT and SIGTERM. Under
``trainer.strategy=ddp`` Lightning starts the further ranks with this very command.

It holds RUN_DIR while it runs. The command line starts it with ``--fresh``: if it refuses before
its first step it leaves the folder as it was, and removes the N folders that were made for it. With
``--epochs=N`` a resumed run is trained for N epochs in all. Sweeps start it with ``--cell``: it
continues where an earlier attempt was, ends when the process that started it does
(``--parent=PID``), and leaves it to that process to write down how it ended.
"""

import copy
import inspect
import logging
import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcn_lab.config.build import build, locate
from fcn_lab.config.frozen import forget_start, read_frozen
from fcn_lab.config.plain_keys import require_plain_keys
from fcn_lab.config.trust import find_own_modules, require_allowed
from fcn_lab.errors import UserError, WriteFailure, find_refusal
from fcn_lab.files import write_text
from fcn_lab.runs.attempts import EXIT_TAKEN, Attempt, RunConflict, begin_attempt, keep_alive
from fcn_lab.runs.names import LAST_CHECKPOINT, TRACEBACK
from fcn_lab.runs.statuses import RunStatus
from fcn_lab.signals import StoppedBySignal, raise_stopped
from fcn_lab.text.terminal import print_refusal, print_stop, show_waiting
from fcn_lab.training.ranks import is_child, is_first_rank
from fcn_lab.worker.claims import require_no_links_outside, withdraw
from fcn_lab.worker.flags import CELL_FLAG, EPOCHS_FLAG, FRESH_FLAG, PARENT_FLAG, RESUME_FLAG
from fcn_lab.worker.shell import mend_streams
from fcn_lab.worker.supervisor import EXIT_MISTAKE, GRACE_SECONDS, TRACEBACK_VARIABLE

if TYPE_CHECKING:
    from fcn_lab.worker.extension import Extension

# warnings that a user can neither change nor act upon, each with its reason
QUIET_WARNINGS = (
    # Lightning 2.6 against torch 2.15's pytree
    r".*isinstance\(treespec, LeafSpec\).*",
    # Lightning's hint wherever Slurm's client is installed
    r".*srun.*",
    # what is logged has been gathered from all ranks already
    r".*sync_dist=True.*",
    # trainer.accelerator=cpu was typed
    r".*GPU available but not used.*",
    # the data lie in memory: workers would cost, not help
    r".*does not have many workers.*",
    # a line of the lab says how many workers there will be
    r".*This DataLoader will create.*",
)
QUIET_LOGGERS = (
    # device lines, and tips to install Lightning's other products
    "lightning.pytorch",
    # the same, a second time
    "lightning.fabric",
)
# exit status → how an attempt has ended; failed where it is another
STATUSES = {
    0: RunStatus.DONE,
    128 + signal.SIGINT: RunStatus.STOPPED,
    128 + signal.SIGTERM: RunStatus.STOPPED,
}


def main(arguments: list[str]) -> int:
    """Runs the task of the config that the first argument names; returns the exit status."""
    path, flags = Path(arguments[0]), arguments[1:]
    signal.signal(signal.SIGTERM, raise_stopped)
    # a full disk fails libraries' own logs, which is no error of the task
    logging.raiseExceptions = False
    threading.excepthook = _report_thread_failure
    attempt = None
    try:
        if is_first_rank():
            attempt = begin_attempt(path.parent)
            keep_alive(attempt)
    except RunConflict as conflict:
        print(conflict)
        return EXIT_TAKEN
    code, reason = _run_and_report(path, flags)
    # with another status Lightning would kill the first rank, which is about to end
    if is_child() and STATUSES.get(code) == RunStatus.STOPPED:
        return 0
    if attempt is not None and CELL_FLAG not in flags:
        _end_attempt(attempt, code, reason, flags)
    return code


def _run_and_report(path: Path, flags: list[str]) -> tuple[int, str]:
    """Returns the exit status, and a line that describes a failure."""
    try:
        if CELL_FLAG in flags or is_child():
            parents = [] if is_child() else _read_numbers(flags, PARENT_FLAG)
            _follow_parent(*parents or [os.getppid()])
        has_begun = CELL_FLAG in flags and (path.parent / LAST_CHECKPOINT).exists()
        if resume := RESUME_FLAG in flags or has_begun:
            require_no_links_outside(path.parent)
        epochs = next(iter(_read_numbers(flags, EPOCHS_FLAG)), None)
        # what cells print is the sweep's log, and the last of it the reason if they fail
        run_config(path, resume, epochs, shows_waiting=CELL_FLAG not in flags)
    except UserError as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        print_refusal(error)
        return EXIT_MISTAKE, str(error)
    except KeyboardInterrupt:
        _tell_stop(path, flags)
        return 128 + signal.SIGINT, ""
    except StoppedBySignal as stop:
        if not stop.is_told:
            _tell_stop(path, flags)
        return 128 + stop.signum, ""
    except Exception as error:
        if (refusal := find_refusal(error, path.parent)) is not None:
            print_refusal(refusal)
            return EXIT_MISTAKE, refusal
        traceback.print_exc()
        _write_traceback(path.parent)
        return 1, f"{type(error).__name__}: {error}"
    return 0, ""


def _tell_stop(path: Path, flags: list[str]) -> None:
    """Prints what to type next, where a person has typed this command."""
    if is_first_rank() and CELL_FLAG not in flags:
        # results that were written already are in the way of their successors
        print_stop(*["overwrite=true"] * ("overwrite" in read_frozen(path)["task"]))


def _end_attempt(attempt: Attempt, code: int, reason: str, flags: list[str]) -> None:
    folder_count = _read_numbers(flags, FRESH_FLAG)
    # while it is alive it keeps others out
    if code == EXIT_MISTAKE and folder_count and withdraw(attempt, *folder_count):
        return
    # a full disk has been reported, and ends attempts by itself
    with suppress(WriteFailure):
        attempt.end(STATUSES.get(code, RunStatus.FAILED), reason)


def _read_numbers(flags: list[str], name: str) -> list[int]:
    return [int(flag.removeprefix(name)) for flag in flags if flag.startswith(name)]


def run_config(
    path: Path, resume: bool = False, epochs: int | None = None, shows_waiting: bool = True
) -> None:
    """Checks, seeds, builds and runs the task of one frozen config.

    Args:
        path: the config's path.
        resume: go on where the run was stopped.
        epochs: the epochs that a resumed run is trained for in all; None keeps its own.
        shows_waiting: whether to say that libraries are loaded, which takes seconds.

    Raises:
        UserError: a value that a constructor does not take, or what the task itself refuses.
    """
    for message in QUIET_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    with show_waiting("loading libraries", shows_waiting and is_first_rank()):
        product, extension = _build_task(path, resume, epochs)
    for name in QUIET_LOGGERS:
        # here, because Lightning sets it when it is imported
        logging.getLogger(name).setLevel(logging.WARNING)
    if extension is not None:
        extension.require_same_past(product)
        if is_first_rank():
            product.preflight(on_other_machine=False)
            extension.apply()
    product.run(path.parent)


def _build_task(path: Path, resume: bool, epochs: int | None) -> "tuple[Any, Extension | None]":
    extension = None
    if epochs is not None:
        # imported here, since it brings torch and Lightning, which other tasks may not need
        from fcn_lab.worker.extension import read_extension

        extension = read_extension(path.parent, epochs)
    # a copy, since it is changed below and the frozen one is not
    config = copy.deepcopy(extension.config) if extension else read_frozen(path)
    task, links = config["task"], config.get("links", {})
    require_allowed(task, str(path))
    find_own_modules(task)
    # other tasks that were stopped begin anew
    if resume and "resume" in inspect.signature(locate(task["_target_"], "task")).parameters:
        task["resume"] = True
        if "net" in task and (path.parent / LAST_CHECKPOINT).exists():
            forget_start(task["net"])
    # a file may have been edited by hand
    require_plain_keys(config)
    _set_seed(config["seed"])
    product = build(task, "task", links)
    if not hasattr(product, "run"):
        raise UserError(f"{path}: {task['_target_']} is no task, since it has no method run")
    return product, extension


def _set_seed(seed: int) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _follow_parent(parent: int) -> None:
    """Ends this process, so that it can be resumed, once its parent has died, say by kill -9."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _write_traceback(folder: Path) -> None:
    if is_first_rank():
        # it stands in the terminal, too
        with suppress(UserError):
            write_text(folder / TRACEBACK, traceback.format_exc())


def _report_thread_failure(failure: threading.ExceptHookArgs) -> None:
    """Prints a thread's error unless a disk is full, which the main thread reports by name."""
    if failure.exc_value is None or find_refusal(failure.exc_value) is None:
        threading.__excepthook__(failure)


if __name__ == "__main__":
    mend_streams()
    sys.exit(main(sys.argv[1:]))
