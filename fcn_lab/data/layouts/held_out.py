"""Splits by whole drives: the test frames come from a drive that training never sees."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from fcn_lab.data.layouts.layout import Layout, Pair
from fcn_lab.errors import UserError
from fcn_lab.text.terminal import format_count

# one drive to train on, one to choose by, one to score
DRIVES_NEEDED = 3


def split_by_drive(layout: Layout, drive_of: Callable[[str], str], held_out: str | None) -> Layout:
    """Divides all frames of a data set anew by whole drives, whatever their split was.

    The drive held out is test, the next one in order of name is val, the others are train; so no
    frame is near one of another split.

    Args:
        layout: the data set as it was found.
        drive_of: the drive of a frame's name, "" where it is not known, that name for a frame of
            none.
        held_out: the drive to score.

    Raises:
        UserError: a frame of no drive, fewer than three drives, or none of that name.
    """
    drives: dict[str, list[Pair]] = {}
    for pair in (pair for part in layout.pairs.values() for pair in part):
        drive = drive_of(pair.name)
        if drive in ("", pair.name):
            raise UserError(
                f"data.split_by=drive: the drive of {pair.name} is not known.\n"
                "Expected CamVid's frame names, or data.blocks=FILE.csv:COLUMN with data=folder."
            )
        drives.setdefault(drive, []).append(pair)
    names = sorted(drives)
    if held_out not in drives or len(drives) < DRIVES_NEEDED:
        raise _drive_error(held_out, drives)
    others = names[names.index(held_out) + 1 :] + names[: names.index(held_out)]
    pairs = {
        "train": tuple(pair for name in others[1:] for pair in drives[name]),
        "val": tuple(drives[others[0]]),
        "test": tuple(drives[held_out]),
    }
    # a split that the lab made is of a user's own data, and its name also holds the masks' meaning
    origin = layout.split if layout.is_divided else "split"
    return replace(layout, pairs=pairs, split=f"without_{held_out}_{origin}", is_divided=True)


def _drive_error(held_out: str | None, drives: Mapping[str, list[Pair]]) -> UserError:
    names = ", ".join(
        f"{name} ({format_count(len(drives[name]), 'frame')})" for name in sorted(drives)
    )
    if len(drives) < DRIVES_NEEDED:
        return UserError(
            f"data.split_by=drive needs {DRIVES_NEEDED} drives, to train, choose and score; "
            f"found {names}"
        )
    complaint = "" if held_out is None else f"data.held_out={held_out}: there is no such drive.\n"
    return UserError(f"{complaint}data.split_by=drive needs data.held_out=DRIVE; here are {names}")
