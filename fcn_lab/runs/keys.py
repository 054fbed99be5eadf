"""Reads nested settings, such as those of a run's config.yaml, by their dotted keys."""

from collections.abc import Container, Iterator, Mapping
from typing import Any


def list_leaves(
    node: object, key: str = "", copies: Container[str] = ()
) -> Iterator[tuple[str, Any]]:
    """Yields the dotted key and the value of everything that is no mapping.

    Args:
        node: a mapping of mappings and values.
        key: its own dotted key; empty for the top level.
        copies: keys to leave out, with all below them.
    """
    if key in copies:
        return
    if not isinstance(node, Mapping):
        yield key, node
        return
    for name, inner in node.items():
        yield from list_leaves(inner, f"{key}.{name}" if key else str(name), copies)


def find_value(node: object, key: str, default: object = None) -> object:
    """Returns the value of a dotted key; the default where there is none."""
    for part in key.split("."):
        node = node.get(part, default) if isinstance(node, Mapping) else default
    return node
