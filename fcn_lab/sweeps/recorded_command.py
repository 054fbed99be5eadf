"""Reads the command that sweep.json keeps, so that the sweep's folder alone repeats it.

A user's own command line may build anything. A recorded one may only hold words and plain values,
since the folder may come from a stranger.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import OverrideParseException

from fcn_lab.config.frozen import list_words
from fcn_lab.config.own_words import find_word_folders
from fcn_lab.errors import UserError
from fcn_lab.runs.records import DamagedFile, read_json

_SEARCH_KEYS = tuple(f"hydra.sweeper.{n}" for n in ("n_trials", "n_jobs", "sampler.", "pruner."))
_SWEEPERS = ("basic", "optuna")
# beginnings of overrides that are printed beside a sweep's folder, or name it
_PRINTED_PREFIXES = ("hydra.sweep.dir=", "hydra/launcher=", "hydra.searchpath=")
# a `${` after a backslash is not one: names that hold it are typed in this way
_INTERPOLATION = re.compile(r"(?<!(?<!\\)\\)\$\{")


def read_command(record: Path, folders: Sequence[Path]) -> list[str]:
    """Returns the overrides of the sweep whose sweep.json this is.

    Args:
        record: the path of sweep.json.
        folders: the folders of the words.

    Raises:
        UserError: the file is damaged, or an override asks for more than words and values.
    """
    command = read_json(record).get("asked")
    if not isinstance(command, list) or not all(isinstance(line, str) for line in command):
        raise DamagedFile(record, "it names no command, `asked`")
    command = [line for line in command if not _accepts_changes(line)]
    try:
        overrides = OverridesParser.create().parse_overrides(command)
    except OverrideParseException as error:
        raise DamagedFile(record, error) from error
    words = list_words(folders)
    for override in overrides:
        if not _is_plain(override, words):
            is_word = override.key_or_group in words
            reason = "there is no such word here" if is_word else "no file may say that"
            own_words = "--config-dir=FOLDER for words of your own, or " * is_word
            raise UserError(
                f"{record}: its command says {override.input_line}, and {reason}.\n"
                f"Type {own_words}the whole command, with sweep.dir={record.parent}"
            )
    return command


def is_plain_command(command: Sequence[str]) -> bool:
    """Returns whether each override names an existing word or gives a plain value."""
    try:
        overrides = OverridesParser.create().parse_overrides(list(command))
    except OverrideParseException:
        return False
    words = list_words(find_word_folders())
    return all(_is_plain(override, words) for override in overrides)


def list_needed_words(hydra: Sequence[str], task: Sequence[str]) -> list[str]:
    """Returns the command as it was typed; empty where the sweep's folder stands for it.

    Args:
        hydra: the overrides of Hydra's own keys.
        task: the others.
    """
    hydra_words = [word for word in hydra if not word.startswith("hydra.mode=")]
    task_words = drop_consents(task)
    kept_words = [word for word in hydra_words if not word.startswith(_PRINTED_PREFIXES)]
    is_enough = is_plain_command([*kept_words, *task_words])
    return [] if is_enough else [*hydra_words, *task_words]


def drop_consents(command: Sequence[str]) -> list[str]:
    """Returns the overrides without those that count only once: consent to names and to changes."""
    return [line for line in command if not (_accepts_changes(line) or _names_key(line, "allow"))]


def _accepts_changes(line: str) -> bool:
    return _names_key(line, "sweep.accept_changes")


def _names_key(line: str, key: str) -> bool:
    return line.lstrip("+").partition("=")[0] == key


def _is_plain(override: Override, words: Mapping[str, Collection[str]]) -> bool:
    key, line = override.key_or_group, str(override.input_line)
    parts = key.replace("/", ".").split(".")
    if override.package or _INTERPOLATION.search(line) or "_target_" in line or key == "allow":
        return False
    if parts[-1] == "path" or any(part.startswith("_") for part in parts):
        # such a key names what is built, or how
        return False
    if key == "hydra/sweeper":
        return override.value() in _SWEEPERS
    if parts[0] == "hydra":
        return key.startswith(_SEARCH_KEYS)
    return key not in words or set(_list_words(override)) <= {*words[key], "null"}


def _list_words(override: Override) -> list[str]:
    """Returns the words that an override of a group names; none for `glob`."""
    value: Any = override.value()
    if value is None or isinstance(value, Glob):
        return []
    if override.is_discrete_sweep():
        lists = [word.strip("[]").split(",") for word in override.sweep_string_iterator()]
        return [word for words in lists for word in words]
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
