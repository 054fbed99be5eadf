"""The command line as typed → as Hydra wants it."""

import json
import re
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from fcn_lab.config import conf_folder
from fcn_lab.errors import UserError
from fcn_lab.inheritance import with_recorded_words
from fcn_lab.torchrun import refuse_sweeps

_OF_THE_SWEEP = ("sweep.", "hydra.", "hydra/")


def rewrite_arguments() -> list[str]:
    """Puts flags before overrides, as argparse wants, and spells out what words stand for.

    A recorded run's folder becomes ``again=``; a sweep gets a folder named after its command, so
    that the same command takes it up; and its folder alone stands for the command it was made by.

    Raises:
        UserError: the arguments cannot be read.
    """
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
        name = arguments.config_name or "config"
        file = folder / f"{name}.yaml"
        if _is_recorded(file) and not (arguments.cfg or arguments.info):
            overrides = [*overrides, f"again='{folder if name == 'config' else file}'"]
        else:
            # Hydra would look beside run.py, a user means the folder he stands in
            flags += ["--config-path", str(folder.resolve()), "--config-name", name]
    if arguments.multirun:
        refuse_sweeps()
        overrides = _with_sweep_folder(overrides)
    if value_of("resume", overrides) is None:
        extra = [Path(arguments.config_dir)] if arguments.config_dir else []
        overrides = with_recorded_words(overrides, [conf_folder(), *extra])
    sys.argv[1:] = [*flags, *overrides]
    return overrides


def value_of(key: str, overrides: Sequence[str]) -> str | None:
    """The text behind the last ``key=``; None where there is none, or it is null."""
    given = [o.partition("=")[2].strip("'\"") for o in overrides if o.partition("=")[0] == key]
    return given[-1] if given and given[-1] not in ("", "null") else None


def _with_sweep_folder(overrides: list[str]) -> list[str]:
    folder = value_of("sweep.dir", overrides) or value_of("hydra.sweep.dir", overrides)
    asked = sorted(o for o in overrides if not o.lstrip("+~").startswith(_OF_THE_SWEEP))
    if folder is None:
        kind = value_of("experiment", overrides) or "-".join(
            key for key, _, value in (o.partition("=") for o in asked) if "," in value
        )
        stem = re.sub(r"[^\w.-]+", "-", kind)[:60] or "sweep"
        name = f"{stem}-{sha256(repr(asked).encode()).hexdigest()[:8]}"
        return [*overrides, f"hydra.sweep.dir=multirun/{name}"]
    record = Path(folder) / "sweep.json"
    if not asked and record.is_file():
        overrides = [*json.loads(record.read_text())["asked"], *overrides]
    return [
        o.replace("sweep.dir=", "hydra.sweep.dir=") if o.startswith("sweep.dir=") else o
        for o in overrides
    ]


def _is_recorded(path: Path) -> bool:
    return path.is_file() and "\nlinks:" in path.read_text()


def _without_option(arguments: Sequence[str], name: str) -> list[str]:
    kept = [argument for argument in arguments if not argument.startswith(f"{name}=")]
    if name in kept:
        del kept[kept.index(name) : kept.index(name) + 2]
    return kept


def _reject(message: str) -> NoReturn:
    raise UserError(f"{message}\n`python run.py --help` shows what can be said")
