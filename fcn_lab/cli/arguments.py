"""Rewrites the command line, as it was typed, to one that Hydra reads."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

# Hydra gives the parser of its own flags no public name
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep

from fcn_lab.cli.paths import find_path, quote, require_folder_names, spell_paths
from fcn_lab.cli.sweep_folder import add_sweep_folder, refuse_folder_of_the_other_kind
from fcn_lab.config.frozen import find_conf_folder, list_words
from fcn_lab.config.inheritance import add_recorded_words
from fcn_lab.config.mappings import replace_mappings
from fcn_lab.config.overrides import parse_overrides
from fcn_lab.config.own_words import keep_own_folders
from fcn_lab.config.trust import allow, read_names
from fcn_lab.errors import UserError
from fcn_lab.runs.names import CONFIG
from fcn_lab.text.commands import format_command, keep_flags
from fcn_lab.worker.torchrun import refuse_sweeps

# the tasks that take lists of networks and are no sweeps, and their lists by group
LIST_TASKS = ("capacity", "profile")
_LISTS = {"model": "models", "upsample": "upsamples", "encoder": "encoders"}


def rewrite_arguments() -> list[str]:
    """Puts flags before overrides, as argparse wants, and spells out what words stand for.

    A recorded run's folder becomes ``again=``. A sweep gets a folder named after its command, so
    that the same command continues it; its folder alone stands for the command that made it.

    Returns:
        The overrides as they were typed.

    Raises:
        UserError: the arguments cannot be read.
    """
    parser = get_args_parser()
    # the flags are looked for below by their whole names
    parser.allow_abbrev = False
    parser.error = _reject  # type: ignore[method-assign]
    arguments = parser.parse_intermixed_args(sys.argv[1:])
    if arguments.experimental_rerun:
        raise UserError("--experimental-rerun: again=RUN_DIR runs a recorded run again")
    typed_overrides: list[str] = arguments.overrides
    keep_flags(*_list_kept_flags(arguments))
    for override in typed_overrides:
        if override.lstrip("+").startswith("hydra.mode="):
            raise UserError(f"{override}: leave it out; -m makes a sweep of a command")
    flags = list(sys.argv[1:])
    for override in typed_overrides:
        flags.remove(override)
    typed_overrides = _leave_out_resumption(arguments)
    require_folder_names(typed_overrides)
    if not _asks_for_text(arguments):
        refuse_folder_of_the_other_kind(typed_overrides, arguments.multirun)
    overrides = [spell_paths(override, arguments.multirun) for override in typed_overrides]
    _refuse_swept_networks(overrides)
    if arguments.config_path:
        for name in ("--config-path", "-cp", "--config-name", "-cn"):
            flags = _remove_option(flags, name)
        overrides.append(f"again={quote(str(_find_config(arguments)))}")
    folders = [find_conf_folder(), *([Path(arguments.config_dir)] if arguments.config_dir else [])]
    _require_words(overrides, folders)
    if arguments.multirun:
        refuse_sweeps()
        overrides = add_sweep_folder(typed_overrides, overrides, folders)
    if find_path("resume", typed_overrides) is None:
        overrides = add_recorded_words(overrides, folders)
    else:
        _allow_own(typed_overrides, folders[1:])
    sys.argv[1:] = [*flags, *replace_mappings(overrides)]
    return typed_overrides


def _leave_out_resumption(arguments: Namespace) -> list[str]:
    """Returns the overrides, without a resume where a flag asks for a text and runs nothing.

    Raises:
        UserError: it asks for a config, and that of a resume is recorded already.
    """
    overrides: list[str] = arguments.overrides
    folder = find_path("resume", overrides)
    if folder is None:
        return overrides
    if arguments.cfg or arguments.info:
        raise UserError(
            f"resume={folder}: --cfg and --info show what words compose to.\n"
            f"{Path(folder) / CONFIG} shows what the run goes on with"
        )
    if _asks_for_text(arguments):
        return [word for word in overrides if not word.lstrip("+").startswith("resume=")]
    return overrides


def _asks_for_text(arguments: Namespace) -> bool:
    """Returns whether a flag asks for a text, so that nothing runs."""
    flags = ("help", "hydra_help", "shell_completion", "cfg", "info")
    return any(getattr(arguments, flag) for flag in flags)


def _list_kept_flags(arguments: Namespace) -> list[str]:
    """Returns the flags that later commands need, too: where words lie and what is trusted."""
    prefixes = ("hydra.searchpath=", "allow=")
    flags = [word for word in arguments.overrides if word.lstrip("+").startswith(prefixes)]
    if arguments.config_name and not arguments.config_path:
        flags.insert(0, f"--config-name={arguments.config_name}")
    if arguments.config_dir:
        flags.insert(0, f"--config-dir={arguments.config_dir}")
    return flags


def _find_config(arguments: Namespace) -> Path:
    """Returns a run's folder, or a recorded file of another name.

    Hydra itself never reads it: what such a file says of ``hydra`` would run before the lab could
    check it.
    """
    folder = Path(arguments.config_path)
    if arguments.cfg or arguments.info:
        raise UserError(
            f"--config-path={folder}: --cfg and --info show what words compose to.\n"
            "Leave out --config-path; a recorded config.yaml shows itself"
        )
    name = (arguments.config_name or "config").removesuffix(".yaml")
    return folder if name == "config" or not folder.is_dir() else folder / f"{name}.yaml"


def _allow_own(overrides: Sequence[str], folders: Sequence[Path]) -> None:
    """Allows what the user's own words name, since a resume composes no words and would miss it."""
    places: list[Path] = []
    for override in overrides:
        key = override.lstrip("+").partition("=")[0]
        if key in ("allow", "hydra.searchpath"):
            value = OverridesParser.create().parse_override(override).value()
        if key == "allow":
            allow(read_names(value))
        elif key == "hydra.searchpath" and isinstance(value, list):
            schemes = (str(place).rpartition("://") for place in value)
            places += [Path(path) for scheme, _, path in schemes if scheme in ("", "file")]
    keep_own_folders([*folders, *places])


def _require_words(overrides: Sequence[str], folders: Sequence[Path]) -> None:
    """Refuses overrides that Hydra would refuse without saying which: of no key, and of no word."""
    words, lab_words = list_words(folders), list_words(folders[:1])
    for override in parse_overrides(overrides):
        line, group = override.input_line, override.key_or_group
        if not group:
            raise UserError(f"{line}: cannot be read (it has no key)\nan override reads key=value")
        if group not in words or override.is_delete():
            continue
        hint = f"{group}= takes {', '.join(sorted(words[group]))}"
        if override.is_add() and group in lab_words:
            raise UserError(f"{line}: leave out the +\n{hint}")
        value = override.value()
        for item in value.list if isinstance(value, ChoiceSweep) else [value]:
            parts = item if isinstance(item, list) else [item]
            if any(part is None or isinstance(part, int | float) for part in parts):
                raise UserError(f"{line}: a word was expected\n{hint}")


def _refuse_swept_networks(overrides: Sequence[str]) -> None:
    """Refuses `model=A,B` of a task that takes `models=[A,B]`, whether or not -m was typed."""
    words = parse_overrides(overrides)
    tasks = [w.value() for w in words if w.key_or_group == "task" and not w.is_sweep_override()]
    swept = [w for w in words if w.key_or_group in _LISTS and isinstance(w.value(), ChoiceSweep)]
    if not swept or not tasks or tasks[-1] not in LIST_TASKS:
        return
    lists = {
        w.input_line: f"{_LISTS[w.key_or_group]}=[{','.join(w.sweep_string_iterator())}]"
        for w in swept
    }
    go_on = [lists.get(w, w) for w in overrides if not w.startswith(("sweep.", "hydra.sweep."))]
    raise UserError(
        f"{', '.join(map(str, lists))}: task={tasks[-1]} is no sweep; it takes networks in lists:\n"
        f"{format_command(*go_on)}"
    )


def _remove_option(arguments: Sequence[str], name: str) -> list[str]:
    rest = [argument for argument in arguments if not argument.startswith(f"{name}=")]
    if name in rest:
        del rest[rest.index(name) : rest.index(name) + 2]
    return rest


def _reject(message: str) -> NoReturn:
    raise UserError(f"{message}\n`{format_command('--help')}` shows what can be said")
