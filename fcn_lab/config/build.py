"""Checks a configuration node's arguments against its target's signature, then constructs it.

It takes the place of hydra-zen and pydantic because its messages name the key that a user sets: a
frozen config is full of copies, and ``links`` leads from each copy back to its original. Nodes are
plain dicts and lists.
"""

import traceback
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from types import NoneType
from typing import Any, Literal, get_args

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from fcn_lab import values
from fcn_lab.config.frozen import list_words
from fcn_lab.config.own_words import find_word_folders
from fcn_lab.config.products import suits
from fcn_lab.errors import UserError, suggest
from fcn_lab.text.escaping import omegaconf_node

_HYDRAS: dict[str, Any] = {
    "_target_": str,
    "_partial_": bool,
    "_recursive_": bool,
    "_convert_": Literal["none", "partial", "object", "all"],
    "_args_": list[Any],
}


def check(node: Any, key: str, links: Mapping[str, str]) -> None:
    """Checks `node`, which stands at `key` of the config, and every node inside it.

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
        # escaped twice, since Hydra resolves the whole first, and then each node
        return instantiate({key: omegaconf_node(omegaconf_node(node))}, _convert_="all")[key]
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise UserError(str(cause)) from error
        user_key = find_user_key(str(error).rpartition("full_key: ")[2].strip(), links)
        raise UserError(f"{user_key}: {_explain(cause)}") from error


def _explain(cause: BaseException) -> str:
    """Returns a constructor's error in two lines at most; where it arose, if it is of no value."""
    lines = str(cause).strip().splitlines()[:2]
    if isinstance(cause, ValueError):
        return "\n".join(lines)
    text = f"{type(cause).__name__}: {next(iter(lines), '')}"
    if isinstance(cause, TypeError) and "required positional argument" in text:
        return f"{text}.\n_partial_: true beside _target_ leaves them to the lab"
    frames = traceback.extract_tb(cause.__traceback__)
    return f"{text}\n{frames[-1].filename}, line {frames[-1].lineno}" if frames else text


def locate(target: str, key: str) -> Callable[..., Any]:
    """Returns the class or function of that dotted name.

    Raises:
        UserError: there is none.
    """
    module, _, name = target.rpartition(".")
    try:
        target_object = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{key}._target_={target}: cannot be imported ({error})") from error
    if not callable(target_object):
        raise UserError(f"{key}._target_={target}: is no class or function")
    return target_object  # type: ignore[no-any-return]


def find_user_key(key: str, links: Mapping[str, str]) -> str:
    """Returns the key that a user sets for a copy: ``encoder`` for ``task.net.encoder``."""
    while True:
        copies = [copy for copy in links if key == copy or key.startswith(f"{copy}.")]
        if not copies:
            return key
        copy = max(copies, key=len)
        key = links[copy] + key[len(copy) :]


def _check_arguments(node: Mapping[str, Any], key: str, links: Mapping[str, str]) -> None:
    require_fit(str, node["_target_"], f"{find_user_key(key, links)}._target_")
    target = locate(node["_target_"], find_user_key(key, links))
    parameters, others = values.list_arguments(target)
    for name, value in node.items():
        user_key = find_user_key(f"{key}.{name}", links)
        if name in _HYDRAS:
            require_fit(_HYDRAS[name], value, user_key)
        elif name in parameters:
            require_fit(parameters[name], value, user_key)
            is_built = node.get("_recursive_", True)
            if not suits(parameters[name], value, partial(locate, key=user_key), is_built):
                raise _explain_other_part(parameters[name], value, user_key)
        elif not others or not isinstance(name, str):
            raise UserError(
                f"{user_key}: {node['_target_']} has no such argument."
                f"{suggest(str(name), parameters)}\n"
                f"It takes {', '.join(parameters) or 'none'}"
            )


def require_fit(annotation: Any, value: Any, key: str) -> None:
    """Refuses what the annotation does not admit.

    Raises:
        UserError: it does not fit; the message has the user's key and what was expected.
    """
    if values.is_admitted(annotation, value) or (
        values.is_plain(annotation) and _holds_nodes(value)
    ):
        return
    if not values.is_plain(annotation) and (words := _list_group(key)):
        part = f"a part of its own; {words}"
        raise UserError(f"{key}={values.format_value(value)}: expected {part}")
    values.require_type(annotation, value, key)


def _explain_other_part(annotation: Any, value: Any, key: str) -> UserError:
    # of a function its product stands last
    classes = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    advice = f"Expected {values.describe_type(annotation)}"
    if classes and classes[-1] is not NoneType:
        advice = f"Expected a class derived from {classes[-1].__module__}.{classes[-1].__name__}"
    advice = "; ".join(filter(None, (advice, _list_group(key))))
    return UserError(f"{key}={values.format_value(value)}: makes no such part.\n{advice}")


def _list_group(key: str) -> str:
    group = key.rpartition(".")[2]
    words = list_words(find_word_folders()).get(group)
    return f"{group}= chooses it: {', '.join(sorted(words))}" if words else ""


def _holds_nodes(value: Any) -> bool:
    if isinstance(value, dict):
        return values.is_node(value) or any(map(_holds_nodes, value.values()))
    return isinstance(value, list) and any(map(_holds_nodes, value))
