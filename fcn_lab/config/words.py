"""Words composed into one config from Python, without a command line.

Hydra reads and merges twenty files for each composition, which takes a quarter of a second. Here it
does so once, for the words of conf/config.yaml. Another word, if its file says nothing outside its
group, then replaces that group's node. tests/config/test_conf.py compares each with Hydra's result.
"""

import copy
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from hydra import version

# Hydra gives a loader publicly only by its global state, which may be the caller's, and it applies
# overrides to a composed config nowhere in public
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from fcn_lab.config.frozen import list_words
from fcn_lab.config.own_words import find_word_folders


def compose(overrides: Sequence[str]) -> DictConfig:
    """Returns the config of these overrides, with Hydra's own part.

    Raises:
        HydraException: a word, key or value that there is not.
    """
    folders = find_word_folders()
    config = copy.deepcopy(_compose_defaults(tuple(folders), _find_newest_time(folders)))
    choices = config.hydra.runtime.choices
    all_overrides = OverridesParser.create().parse_overrides(list(overrides))
    groups = list_words(folders)
    words = [override for override in all_overrides if override.key_or_group in groups]
    nodes = {w.key_or_group: _read_node(w, folders) for w in words if w.key_or_group in choices}
    has_subgroups = any("/" in override.key_or_group for override in all_overrides)
    if has_subgroups or len(nodes) < len(words) or None in nodes.values():
        return compose_by_hydra(overrides)
    for override in words:
        config[override.key_or_group] = nodes[override.key_or_group]
        choices[override.key_or_group] = override.value()
    values = [override for override in all_overrides if override not in words]
    ConfigLoaderImpl._apply_overrides_to_config(values, config)
    with open_dict(config.hydra):
        config.hydra.overrides.task = list(overrides)
    return config


def compose_by_hydra(overrides: Sequence[str]) -> DictConfig:
    """Returns what Hydra composes of these overrides, every file read again.

    Raises:
        HydraException: a word, key or value that there is not.
    """
    version.setbase("1.3")
    # not Hydra's compose API: its global initialisation may be held by a caller's own application
    conf, *own_folders = find_word_folders()
    places = create_config_search_path(str(conf))
    for folder in own_folders:
        places.prepend("command-line", f"file://{folder}", anchor="schema")
    loader = ConfigLoaderImpl(config_search_path=places)
    return loader.load_configuration("config", list(overrides), RunMode.RUN, from_shell=False)


@lru_cache(maxsize=1)
def _compose_defaults(folders: tuple[Path, ...], change_time: int) -> DictConfig:
    """Returns the config without overrides, composed again once a file changes."""
    return compose_by_hydra([])


def _find_newest_time(folders: Sequence[Path]) -> int:
    times = []
    for file in (file for folder in folders for file in folder.rglob("*.yaml")):
        # an editor's lock is a link to nowhere, and a file that it rewrites is gone for a moment
        with suppress(FileNotFoundError):
            times.append(file.stat().st_mtime_ns)
    return max(times)


def _read_node(override: Override, folders: Sequence[Path]) -> DictConfig | None:
    """Returns the node that a word's file gives its group; None where it does more than that."""
    group, word = override.key_or_group, override.value()
    is_plain = override.package is None and not override.is_add() and not override.is_delete()
    files = (folder / group / f"{word}.yaml" for folder in folders)
    file = next((file for file in files if file.is_file()), None)
    if not is_plain or not isinstance(word, str) or file is None:
        return None
    text = file.read_text(encoding="utf-8")
    if "defaults:" in text or "@package" in text:
        return None
    node = OmegaConf.create(text)
    return node if isinstance(node, DictConfig) else None
