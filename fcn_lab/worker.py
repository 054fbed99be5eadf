"""``python -m fcn_lab.worker RUN_DIR/config.yaml [--resume | --cell]``: runs one frozen config.

Exit status: 0 done, 1 failed (traceback in RUN_DIR/error.txt), 2 a user's mistake, 75 another
worker runs this cell or has done it, 130 and 143 stopped by SIGINT and SIGTERM. Under
``trainer.strategy=ddp`` Lightning starts the further ranks with this very command.

``--cell`` is how sweeps start it: it takes the cell for itself, goes on where an earlier attempt
was, and ends when the process that started it does.
"""

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
from types import FrameType
from typing import Any, NoReturn

from omegaconf import OmegaConf

from fcn_lab.attempts import TAKEN, Taken, begin, keep_alive
from fcn_lab.checks import build, locate
from fcn_lab.errors import UserError, find_refusal
from fcn_lab.files import write_text
from fcn_lab.signals import Stopped
from fcn_lab.supervisor import GRACE_SECONDS

# of each the reason: what a user can neither change nor act upon
QUIET_WARNINGS = (
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning 2.6 against torch 2.15's pytree
    r".*srun.*",  # Lightning's hint wherever Slurm's client is installed
    r".*sync_dist=True.*",  # what is logged has been gathered from all ranks already
    r".*does not have many workers.*",  # the data lie in memory: workers would cost, not help
)
QUIET_LOGGERS = (
    "lightning.pytorch",  # device lines, and tips to install Lightning's other products
    "lightning.fabric",  # the same, a second time
)


# each launcher of ranks sets one or two of these
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")


def main(arguments: list[str]) -> int:
    """Runs the task of the config named first and gives the exit status."""
    path, flags = Path(arguments[0]), arguments[1:]
    signal.signal(signal.SIGTERM, _stop)
    resume = "--resume" in flags
    try:
        if "--cell" in flags:
            _follow_parent()
            if first_rank():
                keep_alive(begin(path.parent))
            resume = (path.parent / "checkpoints" / "last.ckpt").exists()
        run(path, resume)
    except Taken as other:
        print(other)
        return TAKEN
    except UserError as error:
        print(f"fcn-lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        if (refusal := find_refusal(error, path.parent)) is not None:
            print(f"fcn-lab: {refusal}", file=sys.stderr)
            return 2
        traceback.print_exc()
        _keep_traceback(path.parent)
        return 1
    return 0


def run(path: Path, resume: bool = False) -> None:
    """Checks, seeds, builds and runs the task of one frozen config.

    Raises:
        UserError: a value that a constructor does not take, or what the task itself refuses.
    """
    for message in QUIET_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    config: Any = OmegaConf.to_container(OmegaConf.load(path))
    task, links = config["task"], config.get("links", {})
    if resume:
        if "resume" not in inspect.signature(locate(task["_target_"], "task")).parameters:
            raise UserError(
                f"resume={path.parent}: it holds no training run, and only one of those can go on"
            )
        task["resume"] = True
    _seed(config["seed"])
    try:
        built = build(task, "task", links)
    except UserError:
        _keep_traceback(path.parent)
        raise
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(
            logging.WARNING
        )  # here, because Lightning sets it when it is imported
    built.run(path.parent)


def _seed(seed: int) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def first_rank() -> bool:
    """Whether no launcher says that this is a further process of a run."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def _follow_parent() -> None:
    """Ends this process where it can be resumed once its parent has died, say by kill -9."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _keep_traceback(folder: Path) -> None:
    if first_rank():
        with suppress(UserError):  # it stands in the terminal, too
            write_text(folder / "error.txt", traceback.format_exc())


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    raise Stopped(signum)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
