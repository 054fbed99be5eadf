"""The command line: words are composed into one config, it is frozen, and a fresh worker runs it.

Nothing heavy is imported here, so that ``--help`` and a misspelt word answer at once. The worker
knows nothing of Hydra's command line: Lightning's DDP can start it again by its own arguments, and
a sweep starts it once a cell.
"""

import copy
import os
import shlex
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import hydra

# a deep copy of it for each group takes half of the time of the help
from hydra._internal.config_repository import ConfigRepository

# its `get_mode` composes the whole config once more: a quarter of a second of every command
from hydra._internal.hydra import Hydra
from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fcn_lab.cli.arguments import rewrite_arguments
from fcn_lab.cli.help import fit_help
from fcn_lab.cli.paths import find_path
from fcn_lab.cli.resuming import hold_resumed, read_resumption
from fcn_lab.config.explain import explain
from fcn_lab.config.frozen import (
    find_conf_folder,
    find_references,
    freeze,
    require_read_operands,
)
from fcn_lab.config.inheritance import resolve_command
from fcn_lab.config.own_words import find_word_folders, keep_own_folders
from fcn_lab.config.trust import allow, read_names
from fcn_lab.config.unread import list_unread
from fcn_lab.errors import SweepFailure, UserError, find_refusal
from fcn_lab.runs.folders import require_folders
from fcn_lab.runs.names import CONFIG
from fcn_lab.text.commands import COMMAND_VARIABLE, START_VARIABLE, format_command, format_start
from fcn_lab.worker import torchrun
from fcn_lab.worker.claims import (
    claim,
    count_levels,
    find_existing,
    remove_empty,
    withdraw,
)
from fcn_lab.worker.flags import FRESH_FLAG
from fcn_lab.worker.shell import check_shell, mend_streams, mend_width, speak_utf8
from fcn_lab.worker.supervisor import (
    EXIT_MISTAKE,
    TRACEBACK_VARIABLE,
    build_worker_command,
    build_worker_environment,
)

# the words that Hydra keeps for its own launcher and sweeper; the others are files of conf/hydra
BASIC = {
    "hydra/launcher": {
        "_target_": "hydra_plugins.fcn_lab_launcher.CellLauncher",
        "engine": "fcn_lab.sweeps.engines.local.Basic",
    },
    "hydra/sweeper": {
        "_target_": "hydra_plugins.fcn_lab_grid.GridSweeper",
        "max_batch_size": None,
        "params": None,
    },
}
# the tasks that leave no run and need no worker, with the key that each reads and its meaning
ONLY_LOOK = {
    "status": ("sweep.dir", "FOLDER, the folder of a sweep"),
    **dict.fromkeys(
        ("report", "demo", "dashboard"), ("runs", "FOLDER, or runs=[A,B]: folders that hold runs")
    ),
}
MISTAKES = (UserError, HydraException, OmegaConfBaseException, ValueError, YAMLError)


def main() -> None:
    """Runs one command line; a user's mistake ends it with one or two lines and status 2."""
    speak_utf8()
    mend_streams()
    mend_width()
    try:
        check_shell()
        torchrun.refuse_srun()
    except UserError as error:
        _refuse(str(error))
    traceback_wanted = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # env.json records it
    os.environ[COMMAND_VARIABLE] = shlex.join(sys.argv)
    os.environ[START_VARIABLE] = format_start()
    os.environ[TRACEBACK_VARIABLE] = "1" if traceback_wanted else ""
    # with it Hydra raises its errors instead of printing them
    os.environ["HYDRA_FULL_ERROR"] = "1"
    if torchrun.is_follower():
        _become_worker(*torchrun.receive_arguments())
    with torchrun.dismiss_followers():
        _run_line(traceback_wanted)


def _run_line(traceback_wanted: bool) -> None:
    try:
        overrides = rewrite_arguments()
        if (resumption := read_resumption(overrides)) is not None:
            hold_resumed(resumption)
            _become_worker(str(resumption.folder / CONFIG), *resumption.flags)
        _run_hydra(find_existing(Path(find_path("hydra.run.dir", overrides) or "runs")))
    except SweepFailure:
        sys.exit(1)
    except KeyboardInterrupt:
        from fcn_lab.text.terminal import print_stop

        print_stop()
        sys.exit(128 + signal.SIGINT)
    except MISTAKES as error:
        if traceback_wanted:
            raise
        _refuse(explain(error))
    except OSError as error:
        refusal = find_refusal(error) or _explain_closed_place(error)
        if traceback_wanted or refusal is None:
            raise
        _refuse(refusal)


def _explain_closed_place(error: OSError) -> str | None:
    """Returns a message about a place that this user may not look into; None for other errors."""
    if not isinstance(error, PermissionError) or error.filename is None:
        return None
    return f"{os.fsdecode(error.filename)} cannot be read: this user may not look into its folder"


def _run_hydra(parent: Path) -> None:
    """Composes what the command line asks for, and starts it; `parent` is there already."""
    Hydra.get_mode = _leave_mode_to_flags  # type: ignore[method-assign]
    Hydra.get_help = fit_help  # type: ignore[method-assign, assignment]
    ConfigRepository.__deepcopy__ = _share_sources  # type: ignore[attr-defined]
    # registers Hydra's own `basic`, before that word becomes ours
    Plugins.instance()
    for group, node in BASIC.items():
        ConfigStore.instance().store(group=group, name="basic", node=node, provider="fcn_lab")
    run = hydra.main(version_base="1.3", config_path=str(find_conf_folder()), config_name="config")
    run(partial(_start, parent))()


def _leave_mode_to_flags(*_: object, **__: object) -> None:
    """Stands for Hydra's look at ``hydra.mode``: here ``-m`` alone makes a sweep."""


def _share_sources(repository: ConfigRepository, memo: object) -> ConfigRepository:
    """Copies as deep as Hydra needs, which gives the copy another list of sources at most."""
    return copy.copy(repository)


def _start(parent: Path, config: DictConfig) -> None:
    settings = HydraConfig.get()
    folder = Path(os.path.relpath(settings.run.dir))
    folder_count = count_levels(folder, parent)
    attempt = None
    sources = settings.runtime.config_sources
    try:
        keep_own_folders(Path(source.path) for source in sources if source.schema == "file")
        if config.choices.task in ONLY_LOOK:
            remove_empty(folder, folder_count)
            return _inspect_run(config)
        content = _settle_config(config, settings)
        attempt = claim(folder)
        path = freeze(content, folder)
    except MISTAKES as error:
        if attempt is not None:
            withdraw(attempt, folder_count)
        remove_empty(folder, folder_count)
        _refuse(explain(error))
    # libraries take seconds from here
    print(f"task={config.choices.task}: {folder}", flush=True)
    for line in list_unread(content, settings.overrides.task):
        print(line, flush=True)
    _become_worker(str(path), f"{FRESH_FLAG}{folder_count}")


def _settle_config(config: DictConfig, settings: HydraConf) -> dict[str, Any]:
    if config.study is not None and config.again is None and config.run is None:
        word = f"experiment={config.choices.experiment}"
        go_on = format_command("-m", *settings.overrides.task)
        raise UserError(f"{word} is a study, and a study is a sweep:\n{go_on}")
    return resolve_command(config, settings.overrides.task, find_word_folders())


def _inspect_run(config: DictConfig) -> None:
    from fcn_lab.config.build import build
    from fcn_lab.text.terminal import show_waiting

    allow(read_names(config.allow))
    require_read_operands(config)
    key, operand = ONLY_LOOK[config.choices.task]
    if OmegaConf.select(config, key) is None:
        raise UserError(f"task={config.choices.task} needs {key}={operand}")
    # before the libraries that read them load
    if key == "runs":
        require_folders(config.runs)
    if config.choices.task != "status":
        print(f"task={config.choices.task}: {key}={OmegaConf.select(config, key)}", flush=True)
    task = OmegaConf.to_container(config, resolve=True)["task"]  # type: ignore[index, call-overload]
    # `status` is quick, and followed by programs
    with show_waiting("loading libraries", config.choices.task != "status"):
        look = build(task, "task", find_references(config))
    look.run()


def _become_worker(config: str, *flags: str) -> NoReturn:
    if not torchrun.is_follower():
        torchrun.send_arguments([config, *flags])
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(
        sys.executable, [*build_worker_command(Path(config)), *flags], build_worker_environment()
    )


def _refuse(reason: str) -> NoReturn:
    # brings rich, which most commands need later
    from fcn_lab.text.terminal import print_refusal

    print_refusal(reason)
    sys.exit(EXIT_MISTAKE)
