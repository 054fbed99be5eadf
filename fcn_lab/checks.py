"""A configuration node's arguments against its target's signature, and only then its construction.

Nodes are plain dicts and lists. A message names the key that a user can set: a frozen config is
full of copies, and ``links`` leads from each (copy → original) back to it.
"""

import difflib
import inspect
import json
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from pydantic import TypeAdapter, ValidationError

from fcn_lab.errors import UserError

_HYDRAS = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_")
_NAMES = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a word",
    type(None): "null",
    Path: "a path",
}
_CONTAINERS = (list, tuple, dict, Sequence, Mapping, Iterable)


def check(node: Any, key: str, links: Mapping[str, str]) -> None:
    """Walks `node`, which stands at `key` of the config.

    Raises:
        UserError: an unknown argument, or a value of another type than the signature says.
    """
    if isinstance(node, list):
        for index, item in enumerate(node):
            check(item, f"{key}.{index}", links)
    elif isinstance(node, dict):
        if "_target_" in node:
            _check_arguments(node, key, links)
        for name, value in node.items():
            check(value, f"{key}.{name}", links)


def build(node: Any, key: str, links: Mapping[str, str]) -> Any:
    """Checks `node`, then constructs what it describes.

    Raises:
        UserError: what `check` refuses, and whatever a constructor raises, under the key it is for.
    """
    check(node, key, links)
    try:
        return instantiate({key: node}, _convert_="all")[key]
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise UserError(str(cause)) from error
        place = users_key(str(error).rpartition("full_key: ")[2].strip(), links)
        kind = "" if isinstance(cause, ValueError) else f"{type(cause).__name__}: "
        reason = "\n".join(str(cause).strip().splitlines()[:2])
        raise UserError(f"{place}: {kind}{reason}") from error


def locate(target: str, key: str) -> Callable[..., Any]:
    """The class or function of that dotted name.

    Raises:
        UserError: there is none.
    """
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{key}._target_={target}: cannot be imported ({error})") from error
    if not callable(found):
        raise UserError(f"{key}._target_={target}: is no class or function")
    return found  # type: ignore[no-any-return]


def users_key(key: str, links: Mapping[str, str]) -> str:
    """The key that a user sets, of a copy: ``task.net.encoder`` → ``encoder``."""
    while True:
        copies = [copy for copy in links if key == copy or key.startswith(f"{copy}.")]
        if not copies:
            return key
        copy = max(copies, key=len)
        key = links[copy] + key[len(copy) :]


def _check_arguments(node: Mapping[str, Any], key: str, links: Mapping[str, str]) -> None:
    target = locate(node["_target_"], users_key(key, links))
    try:
        parameters = inspect.signature(target).parameters
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (
        NameError,
        TypeError,
        ValueError,
    ):  # built-ins; annotations for type checkers only
        return
    named = [
        name
        for name, p in parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name, value in node.items():
        place = users_key(f"{key}.{name}", links)
        if name in _HYDRAS or (takes_any and name not in named):
            continue
        if name not in named:
            near = difflib.get_close_matches(name, named, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UserError(
                f"{place}: {node['_target_']} has no such argument.{hint}\n"
                f"It takes {', '.join(named)}"
            )
        annotation = hints.get(name)
        if annotation is not None and _judgeable(annotation) and not _holds_nodes(value):
            _check_value(annotation, value, place)


def _check_value(annotation: Any, value: Any, place: str) -> None:
    try:
        # strict JSON: "3" is no 3, but a list may be a tuple, an int a float and a str a Path
        TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        shown = json.dumps(value).strip('"')
        raise UserError(f"{place}={shown}: expected {_describe(annotation)}") from None


def _judgeable(annotation: Any) -> bool:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return True
    if origin in (Union, types.UnionType):
        return all(map(_judgeable, arguments))
    if origin in _CONTAINERS or origin in [
        get_origin(Sequence[int]),
        get_origin(Mapping[str, int]),
    ]:
        return all(argument is Ellipsis or _judgeable(argument) for argument in arguments)
    return annotation in _NAMES


def _holds_nodes(value: Any) -> bool:
    if isinstance(value, dict):
        return "_target_" in value or any(map(_holds_nodes, value.values()))
    return isinstance(value, list) and any(map(_holds_nodes, value))


def _describe(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_describe, arguments)))
    if origin is tuple and Ellipsis not in arguments:
        return f"[{', '.join(map(_describe, arguments))}]"
    if origin is not None:
        return (
            f"a list of {_describe(arguments[0])}"
            if len(arguments) == 1 or origin is tuple
            else "a mapping"
        )
    return _NAMES.get(annotation, str(annotation))
