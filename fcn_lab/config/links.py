"""The links of a recorded config: each leads to a node that the file holds, and none explodes.

The file is written out in full, so links never say more than it holds. Links to nodes with links in
them may stand for gigabytes, and a link to a resolver for a secret of this machine.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fcn_lab.runs.records import NODE_LIMIT, DamagedFile

Keys = tuple[str, ...]


def require_sound(path: Path, config: Mapping[str, Any], links: object) -> None:
    """Follows every link once.

    Args:
        path: of the file, for the message.
        config: what it holds besides its links.
        links: from the key of a copy to that of its original, both dotted.

    Raises:
        Damaged: a link leads to no key, around, or to more nodes than any run has.
    """
    if not isinstance(links, dict):
        raise DamagedFile(path, "its key `links` holds no names of keys")
    for copy, source in links.items():
        if not isinstance(copy, str) or not re.fullmatch(r"[\w.]+", str(source)):
            raise DamagedFile(path, f"its link {copy}: {source} names no key")
    followed = {_split_key(copy): _split_key(str(source)) for copy, source in links.items()}
    try:
        for pair in followed.items():
            for keys in pair:
                _select(config, keys)
        size = _NodeCounter(config, followed).count(())
    except (KeyError, RecursionError) as error:
        raise DamagedFile(path, f"a link of it leads nowhere or around ({error})") from error
    if size > NODE_LIMIT:
        raise DamagedFile(path, "its links stand for more than any run has")


class _NodeCounter:
    """How many nodes there are below a key once all links are followed."""

    def __init__(self, config: Mapping[str, Any], links: Mapping[Keys, Keys]) -> None:
        self.config, self.links = config, links
        self._known: dict[Keys, int] = {}

    def count(self, keys: Keys) -> int:
        """Each key is counted once, however often it is linked to."""
        keys = self._find_original(keys)
        if keys not in self._known:
            inner = _items(_select(self.config, keys))
            self._known[keys] = 1 + sum(self.count((*keys, name)) for name in inner)
        return self._known[keys]

    def _find_original(self, keys: Keys) -> Keys:
        """Where the node really stands: a link above it moves it, too."""
        for length in range(1, len(keys) + 1):
            if keys[:length] in self.links:
                return self._find_original((*self.links[keys[:length]], *keys[length:]))
        return keys


def _split_key(dotted: str) -> Keys:
    return tuple(dotted.split("."))


def _select(node: Any, keys: Keys) -> Any:  # noqa: ANN401 - any node
    for key in keys:
        node = _items(node)[key]
    return node


def _items(node: object) -> dict[str, Any]:
    if isinstance(node, Mapping):
        return {str(name): value for name, value in node.items()}
    return {str(at): value for at, value in enumerate(node)} if isinstance(node, list) else {}
