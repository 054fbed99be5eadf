"""The command line as typed → as Hydra wants it."""

import json
import re
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from fcn_lab.claims import is_recorded
from fcn_lab.config import conf_folder
from fcn_lab.errors import UserError
from fcn_lab.inheritance import with_recorded_words
from fcn_lab.mappings import replace_mappings
from fcn_lab.paths import path_of, quote, spell_paths
from fcn_lab.torchrun import refuse_sweeps

_OF_THE_SWEEP = ("sweep.", "hydra.", "hydra/")


def rewrite_arguments() -> list[str]:
    """Puts flags before overrides, as argparse wants, and spells out what words stand for.

    A recorded run's folder becomes ``again=``; a sweep gets a folder named after its command, so
    that the same command takes it up; and its folder alone stands for the command it was made by.

    Returns:
        The overrides as they were typed.

    Raises:
        UserError: the arguments cannot be read.
    """
    parser = get_args_parser()
    parser.error = _reject  # type: ignore[method-assign]
    arguments = parser.parse_intermixed_args(sys.argv[1:])
    typed: list[str] = arguments.overrides
    flags = list(sys.argv[1:])
    for override in typed:
        flags.remove(override)
    overrides = [spell_paths(override, arguments.multirun) for override in typed]
    folder = Path(arguments.config_path) if arguments.config_path else None
    if folder is not None and folder.is_dir():
        for name in ("--config-path", "-cp", "--config-name", "-cn"):
            flags = _without_option(flags, name)
        name = arguments.config_name or "config"
        file = folder / f"{name}.yaml"
        if is_recorded(file) and not (arguments.cfg or arguments.info):
            overrides.append(f"again={quote(str(folder if name == 'config' else file))}")
        else:
            # Hydra would look beside run.py, a user means the folder he stands in
            flags += ["--config-path", str(folder.resolve()), "--config-name", name]
    if arguments.multirun:
        refuse_sweeps()
        overrides = _with_sweep_folder(typed, overrides)
    if path_of("resume", typed) is None:
        extra = [Path(arguments.config_dir)] if arguments.config_dir else []
        overrides = with_recorded_words(overrides, [conf_folder(), *extra])
    sys.argv[1:] = [*flags, *replace_mappings(overrides)]
    return typed


def _with_sweep_folder(typed: Sequence[str], overrides: list[str]) -> list[str]:
    folder = path_of("sweep.dir", typed) or path_of("hydra.sweep.dir", typed)
    asked = sorted(o for o in typed if not o.lstrip("+~").startswith(_OF_THE_SWEEP))
    if folder is None:
        kind = path_of("experiment", typed) or "-".join(
            key for key, _, value in (o.partition("=") for o in asked) if "," in value
        )
        stem = re.sub(r"[^\w.-]+", "-", kind)[:60] or "sweep"
        name = f"{stem}-{sha256(repr(asked).encode()).hexdigest()[:8]}"
        return [*overrides, f"hydra.sweep.dir=multirun/{name}"]
    record = Path(folder) / "sweep.json"
    if not asked and record.is_file():
        overrides = [*json.loads(record.read_text())["asked"], *overrides]
    return [
        o.replace("sweep.dir=", "hydra.sweep.dir=", 1) if o.startswith("sweep.dir=") else o
        for o in overrides
    ]


def _without_option(arguments: Sequence[str], name: str) -> list[str]:
    kept = [argument for argument in arguments if not argument.startswith(f"{name}=")]
    if name in kept:
        del kept[kept.index(name) : kept.index(name) + 2]
    return kept


def _reject(message: str) -> NoReturn:
    raise UserError(f"{message}\n`python run.py --help` shows what can be said")
