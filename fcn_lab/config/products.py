"""Decides whether the object that a node makes fits an annotation of an object or a function.

The class of that object is known before it is built: it is the target, or what its signature
returns. Where neither tells, or a user's own class has the methods, nothing is refused.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fcn_lab.values import UNIONS, is_admitted, is_node, is_plain

Locate = Callable[[str], Callable[..., Any]]


def suits(annotation: object, value: object, locate: Locate, is_built: bool = True) -> bool:
    """Returns whether each node in `value` makes an object that the annotation takes.

    Args:
        annotation: what the argument's signature says.
        value: what the argument is given; plain values are judged elsewhere.
        locate: finds a target by its name.
        is_built: whether nodes are built before they are handed over (``_recursive_``).
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return suits(parts[0], value, locate, is_built)
    if is_plain(annotation):
        return is_built or not is_node(value)
    if origin in UNIONS:
        members = [part for part in parts if is_admitted(part, value)]
        return any(suits(part, value, locate, is_built) for part in members)
    if isinstance(value, dict) and is_node(value):
        return _makes(value, annotation, locate) if is_built else _fits(dict, annotation)
    if isinstance(value, list) and len(parts) == 1:
        return all(suits(parts[0], item, locate, is_built) for item in value)
    if isinstance(value, Mapping) and len(parts) == 2:
        return all(suits(parts[1], item, locate, is_built) for item in value.values())
    return True


def _makes(node: Mapping[str, Any], annotation: object, locate: Locate) -> bool:
    product = _find_product(locate(str(node["_target_"])))
    if product is None:
        return True
    if get_origin(annotation) is not Callable:
        return _fits(product, annotation)
    if not node.get("_partial_"):
        return any("__call__" in vars(base) for base in product.__mro__)
    # a node with _partial_ makes a function, which returns what the target makes
    return _fits(product, get_args(annotation)[1])


def _find_product(target: Callable[..., Any]) -> type | None:
    if isinstance(target, type):
        return target
    try:
        return _name_class(get_type_hints(target).get("return"))
    except (NameError, TypeError, AttributeError):
        return None


def _fits(product: type, annotation: object) -> bool:
    base = _name_class(annotation)
    if base is None or issubclass(product, base):
        return True
    methods = [name for name in vars(base) if not name.startswith("_")]
    return bool(methods) and not is_plain(annotation) and all(hasattr(product, m) for m in methods)


def _name_class(annotation: object) -> type | None:
    cls = get_origin(annotation) or annotation
    is_open = cls in (Any, object, *UNIONS) or getattr(cls, "_is_protocol", False)
    return cls if isinstance(cls, type) and not is_open else None
