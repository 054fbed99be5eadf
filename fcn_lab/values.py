"""What values an argument takes: said once, by its annotation, and judged by pydantic.

``Count`` and its like are the ranges that signatures share. Numbers are finite everywhere. ``Seed``
is bounded by torch's generators, ``Classes`` by a byte's labels, of which 255 is void, ``Width`` by
memory. pydantic is imported late, since ``--help`` can do without it.
"""

import inspect
import json
import numbers
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, Unpack, get_args, get_origin
from typing import get_type_hints as type_hints

from annotated_types import Ge, Gt, Le, Len, Lt

from fcn_lab.errors import UserError, require_known

Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]
Seed = Annotated[int, Ge(0), Le(2**63 - 1)]
Classes = Annotated[int, Ge(1), Le(255)]
Side = Annotated[int, Ge(1), Le(2**14)]  # pixels
Size = Annotated[Sequence[Side], Len(2, 2)]  # rows, columns
Width = Annotated[int, Ge(1), Le(2**14)]
Depth = Annotated[int, Ge(1), Le(100)]
Names = Annotated[Sequence[str], Len(1)]
Share = Annotated[float, Ge(0), Le(1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]

LONGEST = 76  # characters of a value

_NAMES = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a word",
    type(None): "null",
    Path: "a path",
}
_RANGES = {
    (Ge, type(None)): " of at least {}",
    (Gt, type(None)): " above {}",
    (type(None), Le): " of at most {}",
    (Ge, Le): " from {} to {}",
    (Ge, Lt): " from {} to below {}",
    (Gt, Le): " above {}, up to {}",
    (Gt, Lt): " between {} and {}",
}
_CONVERSIONS: dict[type, Callable[[Any], Any]] = {
    numbers.Integral: int,
    numbers.Real: float,
    os.PathLike: os.fspath,
    Mapping: dict,
    Sequence: list,
}
UNIONS = (Union, types.UnionType)
_LISTS = tuple(get_origin(kind[int]) for kind in (list, Sequence, Iterable))
_MAPPINGS = (dict, get_origin(Mapping[str, int]))
C = TypeVar("C", bound=Callable[..., Any])


def check_arguments(call: C) -> C:
    """Returns `call`, which from then on refuses arguments that its annotations do not admit."""
    function = call.__init__ if isinstance(call, type) else call  # type: ignore[misc]

    @wraps(function)
    def call_checked(*args: Any, **kwargs: Any) -> Any:
        hints, others = list_arguments(call)
        maker = type(args[0]).__name__ if isinstance(call, type) else call.__name__
        if not others:
            require_known(kwargs, hints, maker)
        try:
            arguments = signature.bind(*args, **kwargs)
        except TypeError:
            # Python's own message says which argument is missing
            return function(*args, **kwargs)
        for name, value in arguments.arguments.items():
            members = value if name == rest else {name: value}
            for key, item in members.items():
                if not is_admitted(hint := hints.get(key, Any), item):
                    text = format_value(item)
                    call_text = f"{maker}({key}={repr(text) if isinstance(item, str) else text})"
                    raise UserError(f"{call_text}: expected {describe_type(hint)}")
        return function(*args, **kwargs)

    signature = inspect.signature(function)
    rest = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)
    if isinstance(call, type):
        setattr(call, "__init__", call_checked)  # noqa: B010 - mypy takes an assignment for unsound
        return call
    return call_checked  # type: ignore[return-value]


@cache
def list_arguments(call: Callable[..., Any]) -> tuple[Mapping[str, Any], bool]:
    """Returns the annotation of each argument by name, and whether any other is taken, too.

    ``**options: Unpack[…]`` is spelt out; where annotations cannot be read, everything is taken.
    """
    function = inspect.unwrap(call.__init__ if isinstance(call, type) else call)  # type: ignore[misc]
    try:
        annotations = dict(getattr(function, "__annotations__", {}))
        annotations.pop("return", None)
        holder = types.SimpleNamespace(__annotations__=annotations)
        hints = type_hints(holder, getattr(function, "__globals__", {}), include_extras=True)
        parameters = inspect.signature(call).parameters.values()
    except (NameError, TypeError, ValueError):
        return {}, True
    arguments: dict[str, Any] = {}
    others = False
    for parameter in parameters:
        hint = hints.get(parameter.name, Any)
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            arguments[parameter.name] = hint
        elif get_origin(hint) is Unpack:
            arguments |= type_hints(get_args(hint)[0], include_extras=True)
        else:
            others = others or parameter.kind is parameter.VAR_KEYWORD
    return arguments, others


def is_admitted(annotation: Any, value: Any) -> bool:
    """Returns whether the annotation admits the value; a node is any object, or half a call."""
    if is_plain(annotation):
        return _fits_plain(annotation, value)
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return is_admitted(parts[0], value)
    if origin in UNIONS:
        return any(is_admitted(part, value) for part in parts)
    if annotation in (Any, object) or isinstance(annotation, TypeVar):
        return True
    if is_node(value):
        return not value.get("_partial_") or (origin or annotation) is Callable
    if origin in _LISTS:
        return isinstance(value, list | tuple) and all(is_admitted(parts[0], v) for v in value)
    if origin in _MAPPINGS:
        return isinstance(value, Mapping) and all(is_admitted(parts[1], v) for v in value.values())
    if value is None or isinstance(value, bool | int | float | str | list | tuple | dict):
        return _is_class(annotation) and isinstance(value, annotation)
    return isinstance(value, annotation) if _is_class(annotation) else True


def require_type(annotation: Any, value: Any, place: str) -> None:
    """Refuses what the annotation does not admit.

    Raises:
        UserError: the value does not fit; the message has place, value and what was expected.
    """
    if not is_admitted(annotation, value):
        raise UserError(f"{place}={format_value(value)}: expected {describe_type(annotation)}")


def is_plain(annotation: Any) -> bool:
    """Returns whether it is made of numbers, words, lists and mappings alone."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return True
    if origin is Annotated:
        return is_plain(parts[0])
    if origin in (*UNIONS, *_LISTS, *_MAPPINGS, tuple):
        return all(part is Ellipsis or is_plain(part) for part in parts)
    return annotation in _NAMES


def is_node(value: Any) -> bool:
    """Returns whether it is a mapping that describes an object."""
    return isinstance(value, dict) and "_target_" in value


def describe_type(annotation: Any) -> str:
    """Returns what the annotation admits, in the user's words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _add_bounds(describe_type(parts[0]), parts[1:])
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin in UNIONS:
        # lists last: what stands behind "each" would be taken for a part of it
        texts = sorted(dict.fromkeys(map(describe_type, parts)), key=lambda text: ", each" in text)
        return " or ".join(texts)
    if origin is tuple and Ellipsis not in parts:
        return f"[{', '.join(map(describe_type, parts))}]"
    if origin in _MAPPINGS:
        return f"a mapping, each value {describe_type(parts[1])}"
    if origin in (*_LISTS, tuple):
        return f"a list, each {describe_type(parts[0])}"
    if annotation in _NAMES:
        return _NAMES[annotation]
    return f"a {annotation.__name__}" if isinstance(annotation, type) else "a function or a class"


def format_value(value: Any) -> str:
    """Returns the value as it is typed, on one line and cut where it is long."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except TypeError:
        text = repr(value)
    if not isinstance(value, str):
        text = text.replace("NaN", "nan").replace("Infinity", "inf")
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _is_class(annotation: Any) -> bool:
    return isinstance(annotation, type) and not getattr(annotation, "_is_protocol", False)


def _fits_plain(annotation: Any, value: Any) -> bool:
    from pydantic import ValidationError

    try:
        # strict JSON: "3" is no 3, but a list may be a tuple, an int a float and a str a Path
        text = json.dumps(value, ensure_ascii=False, default=_as_plain)
        # a file's name that is no UTF-8 is a word all the same
        _create_adapter(annotation).validate_json(text.encode(errors="replace"), strict=True)
    except (ValidationError, TypeError):
        return False
    return True


def _as_plain(value: Any) -> Any:
    """Returns NumPy's numbers, paths, mappings and sequences as JSON has them."""
    for kind, convert in _CONVERSIONS.items():
        if isinstance(value, kind):
            return convert(value)
    raise TypeError


@cache
def _create_adapter(annotation: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))


def _add_bounds(base: str, bounds: Iterable[Any]) -> str:
    for length in (bound for bound in bounds if isinstance(bound, Len)):
        prefix = "" if length.min_length == length.max_length else "at least "
        base = base.replace("a list", f"a list of {prefix}{length.min_length}", 1)
    low = next((bound for bound in bounds if isinstance(bound, Ge | Gt)), None)
    high = next((bound for bound in bounds if isinstance(bound, Le | Lt)), None)
    ends = [getattr(end, type(end).__name__.lower()) for end in (low, high) if end is not None]
    return base + _RANGES.get((type(low), type(high)), "").format(*ends)
