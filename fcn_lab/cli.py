"""The command line: words are composed into one config, it is frozen, and a fresh worker runs it.

Nothing heavy is imported here, so that ``--help`` and a misspelt word answer at once. The worker
knows nothing of Hydra's command line: Lightning's DDP can start it again by its own arguments, and
a sweep starts it once a cell.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fcn_lab import torchrun
from fcn_lab.arguments import rewrite_arguments, value_of
from fcn_lab.config import conf_folder, finished, freeze, recorded, references, resolve
from fcn_lab.errors import SweepFailed, UserError, find_refusal
from fcn_lab.inheritance import inherit
from fcn_lab.mistakes import explain
from fcn_lab.supervisor import worker_command, worker_environment

# the words that Hydra keeps for its own launcher and sweeper; the others are files of conf/hydra
BASIC = {
    "hydra/launcher": {
        "_target_": "hydra_plugins.fcn_lab_launcher.CellLauncher",
        "engine": "fcn_lab.engines.local.Basic",
    },
    "hydra/sweeper": {
        "_target_": "hydra_plugins.fcn_lab_grid.GridSweeper",
        "max_batch_size": None,
        "params": None,
    },
}
# the tasks that leave no run and need no worker: what each reads, and what that is
ONLY_LOOK = {
    "status": ("sweep.dir", "FOLDER, the folder of a sweep"),
    "report": ("runs", "FOLDER, or runs=[A,B]: folders that hold runs"),
    "demo": ("runs", "FOLDER, or runs=[A,B]: folders that hold runs"),
    "dashboard": ("runs", "FOLDER, or runs=[A,B]: folders that hold runs"),
}
MISTAKES = (UserError, HydraException, OmegaConfBaseException, ValueError)


def main() -> None:
    """Runs one command line; a user's mistake ends it with one or two lines and status 2."""
    traceback_wanted = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["FCN_LAB_COMMAND"] = shlex.join(sys.argv)  # env.json records it
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises its errors instead of printing them
    if torchrun.is_follower():
        _become_worker(*torchrun.announced())
    try:
        overrides = rewrite_arguments()
        _resume_if_asked(overrides)
        Plugins.instance()  # registers Hydra's own `basic`, before that word becomes ours
        for group, node in BASIC.items():
            ConfigStore.instance().store(group=group, name="basic", node=node, provider="fcn_lab")
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(
            _start
        )()
    except SweepFailed:
        sys.exit(1)
    except MISTAKES as error:
        if traceback_wanted:
            raise
        _refuse(explain(error))
    except OSError as error:
        refusal = find_refusal(error)
        if traceback_wanted or refusal is None:
            raise
        _refuse(refusal)


def _start(config: DictConfig) -> None:
    settings = HydraConfig.get()
    folder = Path(os.path.relpath(settings.runtime.output_dir))
    if config.choices.task in ONLY_LOOK:
        _remove_if_empty(folder)
    try:
        if config.choices.task in ONLY_LOOK:
            return _look(config)
        if config.study is not None and config.again is None and config.run is None:
            word = f"experiment={config.choices.experiment}"
            raise UserError(f"{word} is a study, and a study is a sweep: python run.py -m {word}")
        conf = [
            Path(source.path)
            for source in settings.runtime.config_sources
            if source.schema == "file"
        ]
        config = inherit(config, settings.overrides.task, conf)
        if (folder / "config.yaml").exists():
            raise UserError(
                f"{folder} holds a run already.\n"
                f"resume={folder} goes on with it; hydra.run.dir= chooses another folder."
            )
        path = freeze(resolve(config), folder)
    except MISTAKES as error:
        _remove_if_empty(folder)
        _refuse(explain(error))
    _become_worker(str(path))


def _remove_if_empty(folder: Path) -> None:
    """Hydra makes a run's folder, and those above it, before it is known whether there is a run."""
    if folder.exists() and not any(folder.iterdir()):
        os.removedirs(folder)


def _look(config: DictConfig) -> None:
    from fcn_lab.checks import build

    key, what = ONLY_LOOK[config.choices.task]
    if OmegaConf.select(config, key) is None:
        raise UserError(f"task={config.choices.task} needs {key}={what}")
    task = OmegaConf.to_container(config, resolve=True)["task"]  # type: ignore[index, call-overload]
    build(task, "task", references(config)).run()


def _resume_if_asked(overrides: Sequence[str]) -> None:
    asked = value_of("resume", overrides)
    if asked is None:
        return
    folder = Path(asked)
    if len(overrides) > 1 or {"-m", "--multirun"} & set(sys.argv):
        others = " ".join(o for o in overrides if not o.startswith("resume=")) or "-m"
        raise UserError(
            f"resume={folder} goes on with the run exactly as it was recorded; leave out {others}"
        )
    recorded(folder)
    if finished(folder):
        print(f"{folder} is done: its scores are in {folder / 'metrics.json'}")
        sys.exit(0)
    _become_worker(str(folder / "config.yaml"), "--resume")


def _become_worker(config: str, *flags: str) -> NoReturn:
    if not torchrun.is_follower():
        torchrun.announce([config, *flags])
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [*worker_command(Path(config)), *flags], worker_environment())


def _refuse(reason: str) -> NoReturn:
    torchrun.announce([])
    print(f"fcn-lab: {reason}", file=sys.stderr)
    sys.exit(2)
