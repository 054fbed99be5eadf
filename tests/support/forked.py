"""A command line in a copy of a process that has imported torch and Lightning: it costs no start.

The copied process is the standard library's fork server: it has run nothing, so no thread and no
lock of a test is copied with it.
"""

import atexit
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from support.commandline import Ended
from support.places import RUN

_HEAVY = (
    *("torchvision", "lightning", "albumentations", "segmentation_models_pytorch", "scipy.stats"),
    *("hydra", "fcn_lab.cli.main", "fcn_lab.worker.__main__"),
    *("fcn_lab.tasks.train", "fcn_lab.report.writing"),
)
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(list(_HEAVY))


def type_line(words: Sequence[str], cwd: Path) -> Ended:
    """What `python run.py WORDS` does in `cwd`, to its end; what it says is kept beside `cwd`."""
    said = {name: cwd.parent / f"{cwd.name}.{name}" for name in ("out", "err")}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
    process = _PROCESSES.Process(target=_run, args=(list(words), cwd, said, environment))
    process.start()
    process.join()
    assert process.exitcode is not None
    return Ended(process.exitcode, said["out"].read_text(), said["err"].read_text(), ())


def _run(
    words: list[str], cwd: Path, said: Mapping[str, Path], environment: Mapping[str, str]
) -> None:
    from fcn_lab.cli import main as cli
    from fcn_lab.worker import __main__ as worker

    def become(path: str, command: list[str], environment: dict[str, str]) -> NoReturn:
        os.environ.update(environment)
        sys.exit(worker.main(list(command[3:])))

    for number, name in ((1, "out"), (2, "err")):
        with said[name].open("w") as file:
            os.dup2(file.fileno(), number)
    if (media := sys.modules.get("wandb.sdk.data_types._private")) is not None:
        # W&B makes it once a process, and the copy before has removed it at its end
        Path(media.MEDIA_TMP.name).mkdir(exist_ok=True)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    os.execve = become  # type: ignore[assignment]
    sys.argv = [str(RUN), *words]
    try:
        cli.main()
    finally:
        atexit._run_exitfuncs()  # a copy ends without them
