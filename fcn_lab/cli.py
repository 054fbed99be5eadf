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
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fcn_lab.config import conf_folder, finished, freeze, recorded
from fcn_lab.errors import UserError
from fcn_lab.inheritance import inherit, with_recorded_words
from fcn_lab.mistakes import explain
from fcn_lab.sweeps import SweepFailed, worker_command, worker_environment

MISTAKES = (UserError, HydraException, OmegaConfBaseException, ValueError)


def main() -> None:
    """Runs one command line; a user's mistake ends it with one or two lines and status 2."""
    traceback_wanted = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["FCN_LAB_COMMAND"] = shlex.join(sys.argv)  # env.json records it
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises its errors instead of printing them
    try:
        overrides = _rewrite_arguments()
        _resume_if_asked(overrides)
        Plugins.instance()  # registers Hydra's own `basic`, before that word becomes ours
        launcher = {"_target_": "hydra_plugins.fcn_lab_launcher.CellLauncher"}
        ConfigStore.instance().store(
            group="hydra/launcher", name="basic", node=launcher, provider="fcn_lab"
        )
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(
            _start
        )()
    except SweepFailed:
        sys.exit(1)
    except MISTAKES as error:
        if traceback_wanted:
            raise
        _refuse(explain(error))


def _start(config: DictConfig) -> None:
    settings = HydraConfig.get()
    folder = Path(os.path.relpath(settings.runtime.output_dir))
    try:
        conf = [
            Path(source.path)
            for source in settings.runtime.config_sources
            if source.schema == "file"
        ]
        path = freeze(inherit(config, settings.overrides.task, conf), folder)
    except MISTAKES as error:
        if not any(folder.iterdir()):
            folder.rmdir()
        _refuse(explain(error))
    _become_worker(path)


def _resume_if_asked(overrides: Sequence[str]) -> None:
    asked = [override for override in overrides if override.startswith("resume=")]
    if not asked or asked[-1] in ("resume=null", "resume="):
        return
    folder = Path(asked[-1].removeprefix("resume=").strip("'\""))
    if len(overrides) > 1 or {"-m", "--multirun"} & set(sys.argv):
        others = " ".join(override for override in overrides if override not in asked) or "-m"
        raise UserError(
            f"resume={folder} goes on with the run exactly as it was recorded; leave out {others}"
        )
    recorded(folder)
    if finished(folder):
        print(f"{folder} is done: its scores are in {folder / 'metrics.json'}")
        sys.exit(0)
    _become_worker(folder / "config.yaml", "--resume")


def _become_worker(path: Path, *flags: str) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [*worker_command(path), *flags], worker_environment())


def _rewrite_arguments() -> list[str]:
    """Puts flags before overrides, as argparse wants; a recorded run's folder becomes `again=`."""
    parser = get_args_parser()
    parser.error = _reject  # type: ignore[method-assign]
    arguments = parser.parse_intermixed_args(sys.argv[1:])
    overrides: list[str] = arguments.overrides
    flags = list(sys.argv[1:])
    for override in overrides:
        flags.remove(override)
    folder = Path(arguments.config_path) if arguments.config_path else None
    if folder is not None and folder.is_dir():
        for name in ("--config-path", "-cp", "--config-name", "-cn"):
            flags = _without_option(flags, name)
        if (
            arguments.config_name in (None, "config")
            and _is_recorded(folder)
            and not (arguments.cfg or arguments.info)
        ):
            overrides = [*overrides, f"again='{folder}'"]
        else:
            # Hydra would look beside run.py, a user means the folder he stands in
            flags += [
                "--config-path",
                str(folder.resolve()),
                "--config-name",
                arguments.config_name or "config",
            ]
    if not any(override.startswith("resume=") for override in overrides):
        extra = [Path(arguments.config_dir)] if arguments.config_dir else []
        overrides = with_recorded_words(overrides, [conf_folder(), *extra])
    sys.argv[1:] = [*flags, *overrides]
    return overrides


def _is_recorded(folder: Path) -> bool:
    path = folder / "config.yaml"
    return path.is_file() and "\nlinks:" in path.read_text()


def _without_option(arguments: Sequence[str], name: str) -> list[str]:
    kept = [argument for argument in arguments if not argument.startswith(f"{name}=")]
    if name in kept:
        del kept[kept.index(name) : kept.index(name) + 2]
    return kept


def _reject(message: str) -> NoReturn:
    raise UserError(f"{message}\n`python run.py --help` shows what can be said")


def _refuse(reason: str) -> NoReturn:
    print(f"fcn-lab: {reason}", file=sys.stderr)
    sys.exit(2)
