"""Links, which are values that are nothing but a reference to another key.

A recorded config is written out in full, so each of its links leads to a node that the file holds.
In a stranger's file links to nodes with links in them could stand for gigabytes, and a link to a
resolver for a secret of this machine.
"""

import re
from collections.abc import Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, cast

from omegaconf import Container, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fcn_lab.runs.records import NODE_LIMIT, DamagedFile

Keys = tuple[str | int, ...]
_LINK = re.compile(r"\$\{(\.*)([\w.]+)\}")
_NOT_PLAIN = re.compile(r"\$\{|^\?{3}$")


def read_link(node: object, path: Keys) -> Keys | None:
    """Returns the key that a value at `path` refers to; None where it is no link."""
    match = _LINK.fullmatch(node) if isinstance(node, str) else None
    if match is None:
        return None
    dots, source = match.groups()
    return (*(path[: -len(dots)] if dots else ()), *_split_key(source))


def follow_links(config: DictConfig) -> dict[str, Any]:
    """Returns what `OmegaConf.to_container` resolves `config` to, in a fraction of its time.

    OmegaConf would parse each of some forty links anew for each of a sweep's thousands of cells.

    Raises:
        OmegaConfBaseException: as OmegaConf does.
    """
    content: Any = OmegaConf.to_container(config, resolve=False)

    def resolve(node: Any, path: Keys) -> Any:  # noqa: ANN401 - any node
        if isinstance(node, dict):
            return {key: resolve(value, (*path, key)) for key, value in node.items()}
        if isinstance(node, list):
            return [resolve(value, (*path, index)) for index, value in enumerate(node)]
        if (source := read_link(node, path)) is not None:
            return find(source)
        # other interpolations, and values that are missing
        return _read(config, path) if isinstance(node, str) and _NOT_PLAIN.search(node) else node

    def find(keys: Keys) -> Any:  # noqa: ANN401 - any node
        node, path = content, cast("Keys", ())
        for index, key in enumerate(keys):
            if (source := read_link(node, path)) is not None:
                return find((*source, *keys[index:]))
            if isinstance(node, str):
                # below another interpolation
                return _read(config, (*path, *keys[index:]))
            key = int(key) if isinstance(node, list) else key
            node, path = node[key], (*path, key)
        return resolve(node, path)

    try:
        result = resolve(content, ())
    except (OmegaConfBaseException, LookupError, TypeError, ValueError, RecursionError):
        # OmegaConf reports a missing value, or a link that leads nowhere or in a circle
        result = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return cast("dict[str, Any]", result)


def require_sound(path: Path, config: Mapping[str, Any], links: object) -> None:
    """Follows every link once.

    Args:
        path: the file's path, for the message.
        config: what it holds besides its links.
        links: key of a copy → key of its original, both dotted.

    Raises:
        DamagedFile: a link leads to no key, in a circle, or to more nodes than any run has.
    """
    if not isinstance(links, dict):
        raise DamagedFile(path, "its key `links` holds no names of keys")
    for copy, source in links.items():
        if not isinstance(copy, str) or not re.fullmatch(r"[\w.]+", str(source)):
            raise DamagedFile(path, f"its link {copy}: {source} names no key")
    paths = {_split_key(copy): _split_key(str(source)) for copy, source in links.items()}
    try:
        for pair in paths.items():
            for keys in pair:
                _select(config, keys)
        size = _NodeCounter(config, paths).count(())
    except (KeyError, RecursionError) as error:
        raise DamagedFile(path, f"a link of it leads nowhere or around ({error})") from error
    if size > NODE_LIMIT:
        raise DamagedFile(path, "its links stand for more than any run has")


class _NodeCounter:
    """Counts the nodes below a key once all links are followed."""

    def __init__(self, config: Mapping[str, Any], links: Mapping[Keys, Keys]) -> None:
        self.config, self.links = config, links
        self._sizes: dict[Keys, int] = {}

    def count(self, keys: Keys) -> int:
        """Returns how many keys a node has, links followed."""
        keys = self._find_original(keys)
        if keys not in self._sizes:
            inner = _list_items(_select(self.config, keys))
            self._sizes[keys] = 1 + sum(self.count((*keys, name)) for name in inner)
        return self._sizes[keys]

    def _find_original(self, keys: Keys) -> Keys:
        """Returns the place of the original, also where only a node above it is a link."""
        for length in range(1, len(keys) + 1):
            if keys[:length] in self.links:
                return self._find_original((*self.links[keys[:length]], *keys[length:]))
        return keys


def _read(config: DictConfig, path: Keys) -> Any:  # noqa: ANN401 - any node
    node = reduce(getitem, path, cast("Any", config))
    is_node = isinstance(node, Container)
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if is_node else node


def _split_key(key: str) -> Keys:
    return tuple(key.split("."))


def _select(node: Any, keys: Keys) -> Any:  # noqa: ANN401 - any node
    for key in keys:
        node = _list_items(node)[str(key)]
    return node


def _list_items(node: object) -> dict[str, Any]:
    if isinstance(node, Mapping):
        return {str(name): value for name, value in node.items()}
    return {str(index): value for index, value in enumerate(node)} if isinstance(node, list) else {}
