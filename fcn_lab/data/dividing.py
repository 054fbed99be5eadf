"""Frames divided into splits, by lists or by shares, and the blocks they come in.

A block is a drive, a patient, a field: pictures of one are so alike that training on some and
scoring others says little of new ones. Where blocks are known none is divided.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fcn_lab.data.layouts.layout import SPLITS, Pair
from fcn_lab.errors import UserError

Parts = dict[str, tuple[Pair, ...]]


def by_shares(
    pairs: Sequence[Pair], shares: Mapping[str, float], block_of: Callable[[str], str]
) -> Parts:
    """Whole blocks, the largest first, each to the split that lacks most frames.

    Without blocks the frames are cut in order of name, so that only neighbours at the two cuts can
    be alike.

    Raises:
        UserError: shares that are no shares, or fewer blocks or frames than splits.
    """
    if not set(shares) <= set(SPLITS) or min(shares.values()) <= 0 or not is_one(shares):
        shown = " ".join(f"{split}: {share:g}" for split, share in shares.items())
        raise UserError(
            f"data.splits={{{shown}}}: expected shares of train, val and test that sum to 1,\n"
            "such as {train: 0.7, val: 0.15, test: 0.15}, or a text file of names for each"
        )
    blocks: dict[str, list[Pair]] = {}
    for pair in pairs:
        blocks.setdefault(block_of(pair.name), []).append(pair)
    parts: dict[str, list[Pair]] = {split: [] for split in shares}
    if set(blocks) == {""}:
        end = 0.0
        for split, share in shares.items():
            start, end = end, end + share
            parts[split] = list(pairs[round(start * len(pairs)) : round(end * len(pairs))])
    else:
        for name in sorted(blocks, key=lambda name: (-len(blocks[name]), name)):
            lacking = {s: shares[s] * len(pairs) - len(part) for s, part in parts.items()}
            parts[max(lacking, key=lambda split: lacking[split])] += blocks[name]
    if empty := [split for split, part in parts.items() if not part]:
        what = f"{len(pairs)} frames" if set(blocks) == {""} else f"{len(blocks)} blocks"
        raise UserError(
            f"data.splits leaves {' and '.join(empty)} without a frame: {what} are too few.\n"
            "Change the shares, or name a text file for each split"
        )
    return {split: tuple(sorted(part, key=lambda pair: pair.name)) for split, part in parts.items()}


def by_lists(pairs: Sequence[Pair], lists: Mapping[str, Path]) -> Parts:
    """The frames that each text file names, one a line, with or without folder and suffix.

    Raises:
        UserError: a list is missing or empty, or names what there is not or what another has.
    """
    known = by_any_name(pairs)
    parts: Parts = {}
    taken: dict[str, str] = {}
    for split, file in lists.items():
        lines = [line.split()[0] for line in _read(file).splitlines() if line.strip()]
        if not lines:
            raise UserError(f"{file} names no frame; expected one a line")
        if missing := [line for line in lines if Path(line).name not in known]:
            raise UserError(f"{file} names {missing[0]}, and there is no such picture")
        chosen = [known[Path(line).name] for line in lines]
        for pair in chosen:
            if taken.setdefault(pair.name, split) != split:
                raise UserError(f"{file} names {pair.name}, which {taken[pair.name]} has already")
        parts[split] = tuple(dict.fromkeys(chosen))
    return parts


def read_blocks(table: str, root: Path, pairs: Sequence[Pair]) -> dict[str, str]:
    """Frame → block, from ``FILE.csv:COLUMN``; the file's first column names the frames.

    Raises:
        UserError: no such file or column, or a frame that the table leaves out.
    """
    file, _, column = table.rpartition(":")
    rows = list(csv.DictReader(_read(root / file).splitlines(), skipinitialspace=True))
    columns = list(rows[0]) if rows else []
    if column not in columns[1:]:
        raise UserError(
            f"data.blocks={table}: expected FILE.csv:COLUMN with a column of that file; "
            f"{root / file} has {', '.join(columns[1:]) or 'none besides the names'}"
        )
    known = by_any_name(pairs)
    found = {
        known[name].name: row[column]
        for row in rows
        if (name := Path(row[columns[0]]).name) in known
    }
    if missing := [pair.name for pair in pairs if not found.get(pair.name)]:
        raise UserError(f"{root / file} gives {missing[0]} no {column} ({len(missing)} such)")
    return found


def by_any_name(pairs: Sequence[Pair]) -> dict[str, Pair]:
    """Every frame by its name, and by its file's name with and without suffix."""
    return {
        **{pair.image.stem: pair for pair in pairs},
        **{pair.image.name: pair for pair in pairs},
        **{pair.name: pair for pair in pairs},
    }


def is_one(shares: Mapping[str, float]) -> bool:
    """Whether the shares make a whole, and training has one of them."""
    return abs(sum(shares.values()) - 1) < 1e-6 and "train" in shares


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error}); expected a text file") from error
