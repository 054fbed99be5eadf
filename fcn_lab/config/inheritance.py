"""What a command that reads a run (`run=`, `again=`) takes from it, and what from its own words."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from fcn_lab.config.frozen import (
    drop_initial_weights,
    list_words,
    read_recorded,
    require_read_operands,
    resolve,
)
from fcn_lab.config.overrides import parse_overrides
from fcn_lab.config.plain_keys import CommandKeys
from fcn_lab.config.trust import allow, find_targets, read_names, require_allowed
from fcn_lab.errors import UserError
from fcn_lab.runs.names import METRICS
from fcn_lab.runs.outcomes import read_metrics
from fcn_lab.runs.records import DamagedFile
from fcn_lab.text.commands import format_command
from fcn_lab.values import require_type

# the keys that a command with `run=` sets; all others come from the recorded run
_COMMAND_KEYS = (*CommandKeys.__annotations__, "task", "choices.task", "dense", "choices.dense")
# the keys that a command with `again=` sets
_REPETITION_KEYS = ("again", "name", "group", "allow")


def add_recorded_words(overrides: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Returns the overrides after the words of the run they read, so that plain keys fit.

    A recorded word that `folders` no longer have is left out; the record holds its nodes.
    """
    all_overrides = parse_overrides(overrides)
    values = {
        override.key_or_group: override.value()
        for override in all_overrides
        if not override.is_sweep_override()
    }
    folder = values.get("again") or values.get("run")
    if not isinstance(folder, str):
        return list(overrides)
    # `${` is escaped in it
    folder = OmegaConf.create([folder])[0]
    keys = {override.key_or_group for override in all_overrides}
    skip = keys if values.get("again") else keys.union(_COMMAND_KEYS)
    words = list_words(folders)
    recorded_words = [
        f"{group}={word if isinstance(word, str) else '[' + ','.join(word) + ']'}"
        for group, word in read_recorded(Path(folder)).choices.items()
        if word is not None
        and group not in skip
        and set(_format_list(word)) <= words.get(group, set())
    ]
    return [*recorded_words, *overrides]


def resolve_command(
    config: DictConfig, overrides: Sequence[str], folders: Sequence[Path]
) -> dict[str, Any]:
    """Returns what a command's config.yaml will hold, and refuses what may not be built.

    Raises:
        UserError: as `inherit` and `resolve`, for an operand that the task does not read, and for a
            recorded target that nobody has allowed.
    """
    allow(read_names(config.allow))
    if config.again is None:
        require_read_operands(config)
    full_config = inherit(config, overrides, folders)
    folder = config.again or config.run
    if folder is not None:
        # the user has named everything in it
        allow(find_targets(OmegaConf.to_container(config)))
    content = resolve(full_config)
    if not isinstance(content.get("task"), dict):
        raise UserError(f"{folder} is not a run's folder: its config.yaml lacks the key `task`")
    if folder is None:
        allow(find_targets(content["task"]))
    require_allowed(content["task"], str(folder))
    return content


def inherit(config: DictConfig, overrides: Sequence[str], folders: Sequence[Path]) -> DictConfig:
    """Returns what a command runs: `config`, or the run it reads (`run=`, `again=`), overridden.

    A word given on the command line replaces its whole group, a plain key itself; a word that is
    the recorded one changes nothing.

    Raises:
        UserError: the run does not exist or has not finished, or `experiment=` is given on top.
    """
    for key in ("again", "run"):
        require_type(str | None, config[key], key)
    folder = config.again or config.run
    if folder is None:
        return config
    result = read_recorded(Path(folder))
    if config.again is None:
        _require_finished(Path(folder))
    choices = dict(result.choices)
    if config.again is None:
        drop_initial_weights(result)
        # bf16 and float16 suit the machine that trained; the task chooses for this machine
        if OmegaConf.select(result, "trainer.precision") not in (None, "32-true"):
            result.trainer.precision = "auto"
    for key in _REPETITION_KEYS if config.again else _COMMAND_KEYS:
        _take(result, config, key)
    words = list_words(folders)
    for override in parse_overrides(overrides):
        key = override.key_or_group
        word: Any = override.value()
        if key not in words:
            _take(result, config, key)
        elif _format_list(word) != _format_list(choices.get(key)):
            if key == "experiment":
                raise UserError(f"experiment={word} cannot be laid over the recorded run {folder}")
            for part in (key, f"choices.{key}", "words"):
                _take(result, config, part)
    return result


def _require_finished(folder: Path) -> None:
    if folder.is_file():
        raise UserError(f"run={folder} is a file; expected a run's folder, as {folder.parent}")
    try:
        read_metrics(folder)
    except DamagedFile as error:
        reason = f"has not finished: it has no {METRICS}"
        if os.path.lexists(error.path):
            reason = f"has no scores, since {error}"
        go_on = format_command(f"resume={folder}")
        raise UserError(f"run={folder} {reason}. To go on:\n{go_on}") from error


def _take(result: DictConfig, config: DictConfig, key: str) -> None:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if isinstance(node, ListConfig):
        recorded_list = OmegaConf.select(result, parent)
        if not isinstance(recorded_list, ListConfig) or int(name) >= len(recorded_list):
            return _take(result, config, parent)
        recorded_list[int(name)] = node[int(name)]
        return
    with open_dict(result):
        if not isinstance(node, DictConfig) or name not in node:
            target = OmegaConf.select(result, parent) if parent else result
            target.pop(name, None)
            return
        value = node._get_node(name)
        OmegaConf.update(result, key, value, merge=False, force_add=True)


def _format_list(word: Iterable[str] | None) -> list[str]:
    return [word] if isinstance(word, str) else [str(item) for item in word or ()]
