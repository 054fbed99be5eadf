"""Freezes a composed config into one file, and reads that of a recorded run.

RUN_DIR/config.yaml is fully resolved, so that a worker reads it without Hydra. One key is added,
``links``, which tells the keys that only referred to another key. Once these are references again,
an override of ``data.root`` reaches every node that was composed from it.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import Container, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fcn_lab.config.links import Keys, follow_links, read_link, require_sound
from fcn_lab.config.moved import rename_targets
from fcn_lab.config.plain_keys import require_plain_keys
from fcn_lab.config.yaml_text import dump_yaml, load_yaml
from fcn_lab.errors import UserError
from fcn_lab.files import make_folder, write_text
from fcn_lab.runs.folders import require_folders
from fcn_lab.runs.names import CONFIG
from fcn_lab.runs.provenance import PACKAGE
from fcn_lab.runs.records import DamagedFile, read_yaml
from fcn_lab.text.escaping import omegaconf_node
from fcn_lab.values import is_admitted

_OPERANDS = {"run": "RUN_DIR", "input": "FILE_OR_FOLDER", "output": "FOLDER"}
# the operands that no other part of the lab reads → what to type instead
_ADVICE = {
    "input": "task=predict labels pictures and videos",
    "output": "hydra.run.dir=FOLDER chooses the folder of a run, sweep.dir=FOLDER that of a sweep",
    "runs": "task=report, profile, demo and dashboard read runs",
}


def find_conf_folder() -> Path:
    """Returns the folder of the words: inside an installed package, beside it in a clone."""
    inner_folder = PACKAGE / "conf"
    return inner_folder if inner_folder.is_dir() else PACKAGE.parent / "conf"


def list_words(folders: Sequence[Path]) -> dict[str, set[str]]:
    """Returns every group of these conf folders with its words, Hydra's own groups left out."""
    words: dict[str, set[str]] = {}
    for file in (file for folder in folders for file in folder.glob("*/*.yaml")):
        words.setdefault(file.parent.name, set()).add(file.stem)
    return words


def resolve(config: DictConfig) -> dict[str, Any]:
    """Returns what a run's config.yaml will hold, in plain mappings and lists.

    Raises:
        UserError: the task lacks a key it reads.
    """
    links = find_references(config)
    read_by_task = {source for target, source in links.items() if target.startswith("task.")}
    for key, value in _OPERANDS.items():
        if key not in read_by_task or config[key] not in (None, ""):
            continue
        alternative = ""
        # published weights take the place of a run
        if key == "run" and config.choices.task == "evaluate":
            if config.get("weights") is not None:
                continue
            alternative = ", or published weights: model=fcn8s_caffe weights=FILE"
        raise UserError(f"task={config.choices.task} needs {key}={value}{alternative}")
    if "runs" in read_by_task and config.runs is not None:
        require_folders(config.runs)
    require_published_weights(config, links)
    content = follow_links(config)
    # a cell is the same in every sweep, and a record may not decide what is allowed
    for key in ("sweep", "study", "allow"):
        content.pop(key, None)
    require_plain_keys(content)
    choices = {group: word for group, word in content["choices"].items() if "/" not in group}
    return {**content, "choices": choices, "links": links}


def require_read_operands(config: DictConfig) -> None:
    """Refuses an operand that the task does not read, and that would do nothing.

    Raises:
        UserError: there is one; the message says what to type instead.
    """
    for key, advice in _ADVICE.items():
        if (value := config.get(key)) is None:
            continue
        content = OmegaConf.to_container(config, resolve=False)
        assert isinstance(content, dict)
        nodes = str([node for name, node in content.items() if name not in _ADVICE])
        if not re.search(rf"\$\{{(oc\.select:)?{key}\b", nodes):
            raise UserError(
                f"{key}={value}: task={config.choices.task} does not read it.\n{advice}"
            )


def require_published_weights(config: DictConfig, links: Mapping[str, str]) -> None:
    """Refuses published weights for a network that would not read them.

    Raises:
        UserError: `weights` is a file and no key refers to it.
    """
    if config.get("weights") is not None and "weights" not in links.values():
        raise UserError(
            f"weights={config.weights}: model={config.choices.model} reads no published weights; "
            "fcn32s_caffe, fcn16s_caffe, fcn8s_caffe and fcn8s_atonce_caffe do"
        )


def count_classes(names: object) -> int:
    """Returns how many of these classes are scored, which are all but void.

    Raises:
        UserError: they are no classes, or more than a label can hold.
    """
    # imported here, since it brings numpy, which other words do not need
    from fcn_lab.data.class_table import read_names
    from fcn_lab.data.classes import is_void

    if not names:
        raise UserError(
            "data=folder needs data.images=, data.masks= and data.names=, such as\n"
            "data.root=my_data 'data.images=photos/*.jpg' 'data.masks=masks/*.png' "
            "'data.names=[road,car]'"
        )
    content = OmegaConf.to_container(names) if isinstance(names, Container) else names
    return sum(not is_void(name) for name in dict.fromkeys(read_names(content).names))


OmegaConf.register_new_resolver("count_classes", count_classes, replace=True)


def freeze(content: Mapping[str, Any], folder: Path) -> Path:
    """Writes FOLDER/config.yaml, whole or not at all."""
    path = folder / CONFIG
    make_folder(folder)
    write_text(path, dump_yaml(content))
    return path


def find_references(config: DictConfig) -> dict[str, str]:
    """Returns the keys whose value is only a reference to another key, each with that key."""
    content = OmegaConf.to_container(config, resolve=False)
    return {".".join(map(str, target)): source for target, source in _restore_links(content, ())}


def read_recorded(folder: Path) -> DictConfig:
    """Returns the config of a run, or of a file, as it was composed: with links as references.

    Raises:
        UserError: there is no such folder, no run in it, or the file is not as a run writes it.
    """
    is_file = folder.suffix == ".yaml" and not folder.is_dir()
    path = folder if is_file else folder / CONFIG
    if not folder.exists():
        raise UserError(f"{folder}: there is no such folder; the folder of a run was expected")
    if not os.path.lexists(path):
        raise UserError(f"{folder} is not a run's folder: it has no config.yaml")
    content = _read(path)
    if "links" not in content:
        raise UserError(
            f"{path} was not written by a run: it lacks the key `links`.\n"
            "--config-dir=FOLDER takes words of your own"
        )
    links = content.pop("links")
    if not is_admitted(Mapping[str, str | Sequence[str] | None], content.get("choices", {})):
        raise DamagedFile(path, "its key `choices` holds no words")
    require_sound(path, content, links)
    try:
        config: DictConfig = OmegaConf.create(omegaconf_node(content))
    except OmegaConfBaseException as error:
        raise DamagedFile(path, error) from error
    for target, source in links.items():
        OmegaConf.update(config, target, f"${{{source}}}", merge=False)
    return config


def read_frozen(path: Path) -> dict[str, Any]:
    """Returns a config as a worker runs it, in plain mappings and lists.

    Raises:
        DamagedFile: it is not as a run writes it.
    """
    content = _read(path)
    if not isinstance(content.get("task"), dict) or not isinstance(content.get("seed"), int):
        raise DamagedFile(path, "it lacks the keys `task` and `seed` of a run")
    task = content["task"]
    if {"_partial_", "_recursive_", "_args_"} & set(task) or not isinstance(
        task.get("net", {}), dict
    ):
        raise DamagedFile(path, "its key `task` is no task of the lab's")
    return content


def _read(path: Path) -> dict[str, Any]:
    # this loader tells numbers from texts as the writer did; a text with `${` stays a text
    content: dict[str, Any] = rename_targets(read_yaml(path, load_yaml))
    return content


def drop_initial_weights(config: DictConfig) -> DictConfig:
    """Returns a recorded config without the weights that its network began with.

    The run's checkpoints hold its weights and preprocessing, so nothing else is read or fetched.
    """
    config.weights = None
    for key in ("encoder.weights", "model.encoder_weights"):
        if OmegaConf.select(config, key) is not None:
            OmegaConf.update(config, key, "none")
    return config


def forget_start(net: dict[str, Any]) -> None:
    """Removes the initial weights from the network of a config that goes on from a checkpoint."""
    if net.get("weights") is not None:
        net["weights"] = None
    for part, key in ((net, "encoder_weights"), (net.get("encoder"), "weights")):
        if isinstance(part, dict) and part.get(key) is not None:
            part[key] = "none"


def _restore_links(node: Any, path: Keys) -> Iterator[tuple[Keys, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _restore_links(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _restore_links(value, (*path, index))
    elif (source := read_link(node, path)) is not None:
        yield path, ".".join(map(str, source))
