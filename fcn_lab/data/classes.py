"""The class sets of CamVid.

The 32 of Cambridge, the 11 of the SegNet release, and the way from one to the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcn_lab.data.colours import list_distinct_colours
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID, VOID_COLOUR, Colour
from fcn_lab.text.terminal import format_count, shorten_list

# the largest id in a mask; 65535 is void, as 255 is in masks of 8 bits
LARGEST_ID = 65534
# the colour of a class whose own colour is void's black
DARK_GREY: Colour = (64, 64, 64)
# of classes, where two lists are compared in one line
NAMES_SHOWN = 3

CAMVID32: dict[str, Colour] = {
    "Animal": (64, 128, 64),
    "Archway": (192, 0, 128),
    "Bicyclist": (0, 128, 192),
    "Bridge": (0, 128, 64),
    "Building": (128, 0, 0),
    "Car": (64, 0, 128),
    "CartLuggagePram": (64, 0, 192),
    "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128),
    "Fence": (64, 64, 128),
    "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64),
    "Misc_Text": (128, 128, 64),
    "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64),
    "ParkingBlock": (64, 192, 128),
    "Pedestrian": (64, 64, 0),
    "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192),
    "Sidewalk": (0, 0, 192),
    "SignSymbol": (192, 128, 128),
    "Sky": (128, 128, 128),
    "SUVPickupTruck": (64, 128, 192),
    "TrafficCone": (0, 0, 64),
    "TrafficLight": (0, 64, 64),
    "Train": (192, 64, 128),
    "Tree": (128, 128, 0),
    "Truck_Bus": (192, 128, 192),
    "Tunnel": (64, 0, 64),
    "VegetationMisc": (192, 192, 0),
    "Void": (0, 0, 0),
    "Wall": (64, 192, 0),
}

CAMVID11: dict[str, Colour] = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}

GROUPS: dict[str, tuple[str, ...]] = {
    "Sky": ("Sky",),
    "Building": ("Building", "Wall", "Bridge", "Tunnel", "Archway"),
    "Pole": ("Pole", "Column_Pole", "TrafficCone"),
    "Road": ("Road", "LaneMkgsDriv", "LaneMkgsNonDriv"),
    "Pavement": ("Pavement", "Sidewalk", "ParkingBlock", "RoadShoulder"),
    "Tree": ("Tree", "VegetationMisc"),
    "SignSymbol": ("SignSymbol", "Misc_Text", "TrafficLight"),
    "Fence": ("Fence",),
    "Car": ("Car", "SUVPickupTruck", "Truck_Bus", "Train", "OtherMoving"),
    "Pedestrian": ("Pedestrian", "Child", "CartLuggagePram", "Animal"),
    "Bicyclist": ("Bicyclist", "MotorcycleScooter"),
}

VOID_NAMES = frozenset({"void", "unlabelled", "unlabeled"})
_MEMBER_GROUPS = {member: group for group, members in GROUPS.items() for member in members}


@dataclass(frozen=True)
class ClassSet:
    """The classes of a run, and the table from ids on disk to them.

    Attributes:
        title: first word of the protocol id, such as ``camvid11``.
        names: K class names.
        palette: K colours for pictures.
        table: 256 entries, id on disk to class id or VOID.
    """

    title: str
    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    table: NDArray[np.uint8]


def is_void(name: str) -> bool:
    """Returns whether a class name means that its pixels are not scored."""
    return name.lower() in VOID_NAMES


def group_classes(disk_names: Sequence[str]) -> ClassSet:
    """Returns CamVid's 11 classes from finer names; a name of no group becomes void."""
    names = tuple(CAMVID11)
    table = np.full(256, VOID, np.uint8)
    for disk_id, name in enumerate(disk_names):
        if name in _MEMBER_GROUPS:
            table[disk_id] = names.index(_MEMBER_GROUPS[name])
    return ClassSet("camvid11", names, tuple(CAMVID11.values()), table)


def keep_classes(
    disk_names: Sequence[str], colours: Sequence[Colour], title: str, with_void: bool
) -> ClassSet:
    """Returns the classes of the class file, in its order.

    Pixels of its void are ignored like everywhere in the lab. No other class is drawn in void's
    black.

    Args:
        disk_names: the class of every id on disk; several may have one class.
        colours: their colours.
        title: first word of the protocol id.
        with_void: keep a void's place among the classes, though no pixel is ever labelled so
            (CamVid's 32 count it).
    """
    names = [name for name in dict.fromkeys(disk_names) if with_void or not is_void(name)]
    table = np.full(256, VOID, np.uint8)
    for disk_id, name in enumerate(disk_names):
        if not is_void(name):
            table[disk_id] = names.index(name)
    palette = [colours[disk_names.index(name)] for name in names]
    for index, name in enumerate(names):
        if palette[index] == VOID_COLOUR and not is_void(name):
            others = (DARK_GREY, *list_distinct_colours())
            palette[index] = next(colour for colour in others if colour not in palette)
    return ClassSet(title, tuple(names), tuple(palette), table)


def choose_classes(
    classes: int, disk_names: Sequence[str], colours: Sequence[Colour], folder: str
) -> ClassSet:
    """Returns the class set that ``data.classes`` asks for, with exactly that many names.

    Args:
        classes: 11, or the number of classes in the class file, with its void (32 for CamVid) or
            without.
        disk_names: the class of every id on disk.
        colours: their colours.
        folder: name of the data set's folder, the title of a set that is not CamVid's.

    Raises:
        UserError: the labels do not hold that many classes.
    """
    class_count = sum(not is_void(name) for name in disk_names)
    is_foreign = any(name not in _MEMBER_GROUPS and not is_void(name) for name in disk_names)
    if classes == len(CAMVID11) and not is_foreign:
        return group_classes(disk_names)
    if classes in (class_count, len(disk_names)):
        title = f"{folder if is_foreign else 'camvid'}{classes}"
        return keep_classes(disk_names, colours, title, with_void=classes == len(disk_names))
    options = {len(disk_names), class_count} if is_foreign else {len(CAMVID11), len(disk_names)}
    hint = (
        ""
        if is_foreign or len(disk_names) > len(CAMVID11)
        else " 32 need the Kaggle, fast.ai or Cambridge release."
    )
    raise UserError(
        f"data.classes={classes}: these labels hold {format_count(class_count, 'class')} besides "
        "void.\n"
        f"Expected data.classes={' or '.join(map(str, sorted(options)))}.{hint}"
    )


def describe_difference(
    first: Sequence[str],
    second: Sequence[str],
    sides: tuple[str, str] = ("the first", "the second"),
) -> str:
    """Returns what tells two different lists of classes apart; `sides` names the two."""
    others = [[name for name in a if name not in b] for a, b in ((first, second), (second, first))]
    if not any(others):
        return f"the same {len(first)}, in another order"
    parts = [
        f"only {side} has {shorten_list(names, NAMES_SHOWN)}"
        for side, names in zip(sides, others, strict=True)
        if names
    ]
    return ", ".join(parts)
