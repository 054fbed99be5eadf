"""Decides what a recorded config may build, since it may come from a stranger.

A name is allowed where a word of conf/ builds it, or one of the user's own words under
``--config-dir``, or where the user says so: ``allow=[my_package.MyLoss]`` on the command line,
``allow=`` of ``load_run``. Those beside conf/ stand in the environment, so that every worker of the
command knows them. Nothing is imported to find out.
"""

import importlib.util
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from yaml import YAMLError

from fcn_lab.config.frozen import find_conf_folder
from fcn_lab.errors import UserError
from fcn_lab.runs.records import DamagedFile, load_yaml, read_text

ALLOW_VARIABLE = "FCN_LAB_ALLOW"
# Hydra's own targets that hand out what their argument names
_FINDERS = ("hydra.utils.get_method", "hydra.utils.get_class", "hydra.utils.get_object")


def allow(names: Iterable[str]) -> None:
    """Lets this process, and those it starts, also build the classes of these names."""
    os.environ[ALLOW_VARIABLE] = ",".join(sorted({*_read_environment(), *names}))


def read_names(value: object) -> list[str]:
    """Reads the dotted names that ``allow=`` lists.

    Raises:
        UserError: it is neither a dotted name nor a list of dotted names.
    """
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise UserError(f"allow={value}: expected dotted names, as allow=[my_package.MyLoss]")
    return [str(name) for name in names]


@cache
def list_shipped() -> frozenset[str]:
    """Returns the dotted names that the words of conf/ build."""
    return list_targets(find_conf_folder())


def list_targets(folder: Path) -> frozenset[str]:
    """Returns the names that the groups of a conf folder build; other files are not read."""
    groups = {word.parent.name for word in find_conf_folder().glob("*/*.yaml")}
    files = (file for group in groups for file in (folder / group).rglob("*.yaml"))
    return frozenset(name for file in files for name in _read_targets(file))


def require_allowed(node: object, record: str, extra: Collection[str] = ()) -> None:
    """Refuses a node that names what nobody has allowed to be built.

    Args:
        node: a node of a recorded config.
        record: what the user knows the record by.
        extra: further names that may be built.

    Raises:
        UserError: a name is not allowed; the message has the names and the word that allows them.
    """
    names = list_shipped().union(_read_environment(), extra)
    strangers = sorted({name for name in find_targets(node) if name not in names})
    if strangers:
        word = ",".join(strangers)
        raise UserError(
            f"{record} would run {', '.join(strangers)}, which is no part of the lab.\n"
            f"If you trust that code, allow='[{word}]' lets it (in Python: "
            f"load_run(…, allow={strangers}))"
        )


def find_own_modules(node: object) -> None:
    """Lets Python look for modules where the user stands, too, if a target of `node` needs that."""
    packages = {name.partition(".")[0] for name in find_targets(node)}
    if any(importlib.util.find_spec(package) is None for package in packages):
        sys.path.append(os.getcwd())


def find_targets(node: object) -> Iterator[str]:
    """Yields the dotted names of everything that building `node` would call or look up."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield str(node["_target_"])
            if node["_target_"] in _FINDERS:
                yield str(node.get("path"))
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            yield from find_targets(item)


def _read_targets(file: Path) -> Iterator[str]:
    try:
        yield from find_targets(load_yaml(read_text(file)))
    # the file is named in an error once its word is used
    except (DamagedFile, ValueError, YAMLError):
        return


def _read_environment() -> frozenset[str]:
    return frozenset(filter(None, os.environ.get(ALLOW_VARIABLE, "").split(",")))
