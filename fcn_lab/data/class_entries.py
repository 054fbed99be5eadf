"""Reads one class of ``data.names``: its name, and the ids or colours beside it.

Shared by all functions: ``origin`` is the key that a message names, such as ``data.names.road``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from fcn_lab.data.classes import LARGEST_ID
from fcn_lab.data.files.text_files import trim
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID, Colour

_ITEMS_SHOWN = 8
# the word of data.ignore for whatever is no class
OTHERS = "others"


@dataclass(frozen=True)
class ClassEntry:
    """A class with its ids or its colours, and the colour to draw it in where one was given."""

    name: str
    ids: tuple[int, ...] = ()
    colours: tuple[Colour, ...] = ()
    colour: Colour | None = None

    @property
    def display_colour(self) -> Colour | None:
        """Returns the colour that the class is drawn in, None where it has none."""
        return self.colour or next(iter(self.colours), None)


def read_name(value: object, names: Iterable[object]) -> str:
    """Returns a class's name without white space and invisible characters at its ends.

    Raises:
        UserError: it is empty, or no text, as YAML's ``no`` and ``0`` are without quotes.
    """
    if isinstance(value, str):
        if not (name := trim(value)):
            raise UserError(f"data.names={list(names)}: there is a class without a name")
        return name
    if value is None or isinstance(value, bool | int | float):
        text = f"'{_format_typed(value)}'"
        if isinstance(names, Mapping):
            line = f"{text}: {names[value]}"
        else:
            entries = [
                name if isinstance(name, str) else f"'{_format_typed(name)}'" for name in names
            ]
            ellipsis = ", …" if entries[_ITEMS_SHOWN:] else ""
            line = f"names: [{', '.join(entries[:_ITEMS_SHOWN])}{ellipsis}]"
        raise UserError(
            f"data.names: {_format_typed(value)} without quotes is no text to YAML, "
            "and a class is text.\n"
            f"Write {line}"
        )
    raise UserError(f"data.names: {value} is no class; expected text, as in names: [road, car]")


def read_entry(name: str, value: object) -> ClassEntry:
    """Returns a class with the ids or colours that a mapping gives it.

    Raises:
        UserError: the mapping holds neither a colour nor ids.
    """
    origin = f"data.names.{name}"
    if isinstance(value, Mapping):
        return _read_keys(name, value, origin)
    if _is_list(value) and len(value) == 4 and value[3] == VOID:
        raise UserError(f"{origin}={value}: a colour has three numbers: {value[:3]}")
    if _is_list(value) and len(value) == 3 and all(map(_is_integer, value)):
        return ClassEntry(name, colours=(read_colour(value, origin),))
    if _is_list(value) and value and all(map(_is_list, value)):
        return ClassEntry(name, colours=tuple(read_colour(colour, origin) for colour in value))
    return ClassEntry(name, read_ids(value, origin))


def _read_keys(name: str, value: Mapping[object, object], origin: str) -> ClassEntry:
    if not value or not set(value) <= {"ids", "colour", "color"}:
        raise UserError(
            f"{origin}={dict(value)}: expected the keys ids and colour, such as\n"
            f"{name}: {{ids: [7, 8], colour: [128, 64, 128]}}"
        )
    colours = [read_colour(value[key], origin) for key in ("colour", "color") if key in value][:1]
    if "ids" not in value:
        return ClassEntry(name, colours=tuple(colours))
    return ClassEntry(name, read_ids(value["ids"], origin), colour=colours[0] if colours else None)


def read_ids(value: object, origin: str) -> tuple[int, ...]:
    """Returns the ids from one number or a list of numbers.

    Raises:
        UserError: a value is no id of a mask.
    """
    numbers = value if _is_list(value) else [value]
    if not numbers or not all(_is_integer(n) and 0 <= n <= LARGEST_ID for n in numbers):
        text = "null" if value is None else value
        raise UserError(
            f"{origin}={text}: expected ids from 0 to {LARGEST_ID}, as 7 or [7, 8] or "
            "{ids: [7, 8, 9]},\nor a colour, as [128, 64, 128]"
        )
    return tuple(numbers)


def read_colour(value: object, origin: str) -> Colour:
    """Returns a colour from a list of red, green and blue.

    Raises:
        UserError: the value is no colour.
    """
    if _is_list(value) and len(value) == 3 and all(_is_integer(n) and 0 <= n <= 255 for n in value):
        red, green, blue = value
        return red, green, blue
    raise UserError(
        f"{origin}={value}: expected [red, green, blue], three whole numbers from 0 to 255"
    )


def read_ignored(ignore: object, has_colours: bool) -> ClassEntry:
    """Returns a class named void that has the ids or colours which ``data.ignore`` lists.

    Raises:
        UserError: ids beside classes that have colours, or the other way round.
    """
    origin = "data.ignore"
    if ignore == OTHERS and not has_colours:
        return ClassEntry("void")
    if not has_colours:
        return ClassEntry("void", () if ignore in (None, [], ()) else read_ids(ignore, origin))
    colours = ignore if _is_list(ignore) else [] if ignore is None else [ignore]
    if len(colours) == 3 and all(map(_is_integer, colours)):
        raise UserError(f"{origin}={colours}: expected a list of colours: [{colours}]")
    return ClassEntry("void", colours=tuple(read_colour(colour, origin) for colour in colours))


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _format_typed(value: object) -> str:
    """Returns the value as a user probably typed it; 0 is not False, though it equals it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "null" if value is None else str(value)
