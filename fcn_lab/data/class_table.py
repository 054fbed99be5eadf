"""Reads the meaning of mask pixels from the classes that a user or a class file lists.

==========================================  ==================================================
``[road, car]``                             ids 0 and 1
``{0: road, 7: car}``                       ids 0 and 7
``{road: 7, car: [26, 27]}``                ids: one number, or a list of any length but three
``{road: [128, 64, 128]}``                  a colour: three numbers are always red, green, blue
``{road: [[128, 64, 128], [81, 0, 81]]}``   several colours
``{road: {ids: [7, 8, 9]}}``                ids, whatever their number
``{road: {ids: 7, colour: [128, 64, 128]}}``  the same, and what the class is drawn in
==========================================  ==================================================

255 is void unless a class is given it by its number; so is what ``data.ignore`` lists, or, where it
is ``others``, all that is no class.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fcn_lab.data.class_entries import (
    OTHERS,
    ClassEntry,
    read_entry,
    read_ids,
    read_ignored,
    read_name,
)
from fcn_lab.data.classes import is_void
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID, Colour

Names = Sequence[object] | Mapping[object, object]
_EXAMPLE = "data.names=[road,car] or 'data.names={road: [128,64,128], car: [0,0,142]}'"


@dataclass(frozen=True)
class ClassTable:
    """Every id or colour of the masks, with the class that it stands for.

    Attributes:
        names: the class of each id or colour, in order of the classes; void where it is not scored.
        ids: the ids; none where colours stand for the classes.
        colours: the colours; none where ids stand for the classes.
        display_colours: class → the colour to draw it in, where that is known.
        is_listed: whether the ids are not stated but follow from the order of a list.
        are_others_void: whether ids that are no class's are void.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...] = ()
    colours: tuple[Colour, ...] = ()
    display_colours: Mapping[str, Colour] = field(default_factory=dict)
    is_listed: bool = False
    are_others_void: bool = False

    @property
    def is_plain(self) -> bool:
        """Returns whether each class has one colour, or one id and these are 0, 1, 2 … in order."""
        are_unique = len(set(self.names)) == len(self.names)
        return are_unique and self.ids in ((), tuple(range(len(self.names))))


def read_names(names: object, ignore: object = None) -> ClassTable:
    """Reads ``data.names`` and ``data.ignore`` into one table.

    Raises:
        UserError: names that are no text or occur twice, ids or colours that are none or mean two
            classes, or too many classes.
    """
    if isinstance(names, Mapping) and names:
        entries = _read_mapping(names)
    elif isinstance(names, Sequence) and names and not isinstance(names, str):
        texts = [read_name(name, names) for name in names]
        entries = [ClassEntry(name, ids=(index,)) for index, name in enumerate(texts)]
    else:
        text = "data.names" if names is None else f"data.names={names}"
        raise UserError(f"{text}: expected the classes, such as\n{_EXAMPLE}")
    refuse_bad_names([entry.name for entry in entries], "data.names")
    _refuse_mixture(entries)
    entries.append(read_ignored(ignore, has_colours=bool(entries[0].colours)))
    table = ClassTable(
        tuple(entry.name for entry in entries for _ in (*entry.ids, *entry.colours)),
        tuple(number for entry in entries for number in entry.ids),
        tuple(colour for entry in entries for colour in entry.colours),
        {entry.name: entry.display_colour for entry in entries if entry.display_colour is not None},
        is_listed=not isinstance(names, Mapping) and not ignore,
        are_others_void=ignore == OTHERS,
    )
    if isinstance(names, Sequence) and not all(map(is_void, table.names[VOID : len(names)])):
        raise UserError(
            f"data.names gives id {VOID} to {table.names[VOID]}, but in a list {VOID} is void"
        )
    refuse_bad_values(table.names, table.ids or table.colours, "data.names")
    return table


def refuse_bad_names(names: Sequence[str], origin: str) -> None:
    """Refuses names that make no list of classes; `origin` is their source for the message.

    Raises:
        UserError: a name that occurs twice, more classes than a byte holds, or none to score.
    """
    if repeats := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(
            f"{origin} has the class {repeats[0]} {names.count(repeats[0])} times; expected every "
            "class once.\nA class may have several ids or colours: "
            f"data.names={{{repeats[0]}: [7, 8]}}"
        )
    class_count = sum(not is_void(name) for name in names)
    if not class_count:
        raise UserError(f"{origin} has no class to score; expected one besides void")
    if class_count > VOID:
        raise UserError(
            f"{origin} has {class_count} classes; expected {VOID} at most, since a label is a byte "
            f"and its {VOID} is void"
        )


def refuse_bad_values(names: Sequence[str], values: Sequence[int | Colour], origin: str) -> None:
    """Refuses ids or colours that occur twice or do not fit a byte.

    `names` are the classes of the values, `origin` their source for the message.

    Raises:
        UserError: two classes share a value, or there are more values than a byte holds.
    """
    owner: dict[int | Colour, str] = {}
    for name, value in zip(names, values, strict=True):
        if value in owner:
            text = list(value) if isinstance(value, tuple) else value
            raise UserError(
                f"{origin} gives {text} to {owner[value]} and to {name}; expected it once"
            )
        owner[value] = name
    if not all(map(is_void, names[VOID:])) or (len(names) > VOID and isinstance(values[0], tuple)):
        kind = "colours" if isinstance(values[0], tuple) else "ids"
        raise UserError(f"{origin} has {len(names)} {kind}; expected {VOID} at most")


def _read_mapping(names: Mapping[object, object]) -> list[ClassEntry]:
    id_keys = [key for key in names if isinstance(names[key], str) and str(key).isdecimal()]
    if not id_keys:
        return [read_entry(read_name(key, names), value) for key, value in names.items()]
    if len(id_keys) < len(names):
        name_key = next(key for key in names if key not in id_keys)
        raise UserError(
            f"data.names: {id_keys[0]}: {names[id_keys[0]]} beside {name_key}: {names[name_key]}; "
            "expected id: class or class: ids for all"
        )
    ids = sorted((int(str(key)), read_name(name, names.values())) for key, name in names.items())
    return [ClassEntry(name, read_ids(number, f"data.names.{number}")) for number, name in ids]


def _refuse_mixture(entries: Sequence[ClassEntry]) -> None:
    colours = [entry for entry in entries if entry.colours]
    ids = [entry for entry in entries if not entry.colours]
    if colours and ids:
        raise UserError(
            f"data.names gives {colours[0].name} a colour and {ids[0].name} ids; expected one kind"
            f" for all.\nThree numbers are a colour: write {{ids: {list(colours[0].colours[0])}}} "
            "for three ids"
        )
