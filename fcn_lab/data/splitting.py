"""Divides frames into splits, by lists or by shares, without dividing their blocks.

A block is a drive, a patient, a field: its pictures are so alike that training on some and scoring
others says little about new blocks. Where blocks are known, none is divided.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from fcn_lab.data.files.listing import FrameIndex
from fcn_lab.data.files.patterns import lies_below, locate
from fcn_lab.data.files.text_files import read_table
from fcn_lab.data.layouts.layout import SPLITS, Pair
from fcn_lab.errors import UserError
from fcn_lab.text.terminal import format_count

Parts = dict[str, tuple[Pair, ...]]


def split_by_shares(
    pairs: Sequence[Pair], shares: Mapping[str, float], block_of: Callable[[str], str]
) -> Parts:
    """Assigns whole blocks, the largest first, each to the split that lacks most frames.

    Without blocks the frames are cut in order of name, so that only neighbours at the two cuts can
    be alike. No split stays empty where there are as many blocks, or frames, as splits.

    Raises:
        UserError: shares that are no shares, or fewer blocks or frames than splits.
    """
    if not shares or not set(shares) <= set(SPLITS) or not _are_shares(shares):
        text = ", ".join(f"{split}: {share:g}" for split, share in shares.items())
        raise UserError(
            f"data.splits={{{text}}}: expected shares of train, val and test, all above 0,\n"
            "that sum to 1, as {train: 0.7, val: 0.2, test: 0.1}, or a text file of names for each"
        )
    shares = {split: shares[split] for split in SPLITS if split in shares}
    blocks: dict[str, list[Pair]] = {}
    for pair in pairs:
        blocks.setdefault(block_of(pair.name), []).append(pair)
    if set(blocks) == {""}:
        units, parts = format_count(len(pairs), "frame"), _cut_frames(pairs, shares)
    else:
        units, parts = format_count(len(blocks), "block"), _deal_blocks(blocks, shares)
    if gaps := [split for split, part in parts.items() if not part]:
        raise UserError(
            f"data.splits leaves {' and '.join(gaps)} without a frame: no more than {units}.\n"
            "Leave splits out, as {train: 0.8, val: 0.2}, or name a text file for each split"
        )
    return {split: tuple(sorted(part, key=lambda pair: pair.name)) for split, part in parts.items()}


def _cut_frames(pairs: Sequence[Pair], shares: Mapping[str, float]) -> dict[str, list[Pair]]:
    frames, splits = len(pairs), len(shares)
    ends = [round(end * frames) for end in accumulate(shares.values())]
    # every split gets one
    if frames >= splits:
        for index in range(splits):
            minimum = ends[index - 1] + 1 if index else 1
            ends[index] = min(max(ends[index], minimum), frames - (splits - 1 - index))
    starts = [0, *ends]
    return {
        split: list(pairs[start:end])
        for split, start, end in zip(shares, starts, ends, strict=False)
    }


def _deal_blocks(
    blocks: Mapping[str, list[Pair]], shares: Mapping[str, float]
) -> dict[str, list[Pair]]:
    total = sum(map(len, blocks.values()))
    parts: dict[str, list[Pair]] = {split: [] for split in shares}
    for number, name in enumerate(sorted(blocks, key=lambda name: (-len(blocks[name]), name))):
        empty_splits = [split for split, part in parts.items() if not part]
        # the last blocks go to splits without a block
        open_to = empty_splits if len(blocks) - number <= len(empty_splits) else list(parts)
        gaps = {split: shares[split] * total - len(parts[split]) for split in open_to}
        parts[max(gaps, key=lambda split: gaps[split])] += blocks[name]
    return parts


def split_by_lists(pairs: Sequence[Pair], lists: Mapping[str, Path], root: Path) -> Parts:
    """Assigns the frames that each text file names, one per line, or whose picture a folder holds.

    Raises:
        UserError: a split is unknown, or a list is missing or empty, or a line of it names no
            frame, several frames, or one that is listed already.
    """
    if unknown_splits := sorted(set(lists) - set(SPLITS)):
        raise UserError(f"data.splits.{unknown_splits[0]}: expected the splits {', '.join(SPLITS)}")
    index = FrameIndex(pairs, root)
    parts: Parts = {}
    owners: dict[str, str] = {}
    for split in (split for split in SPLITS if split in lists):
        parts[split] = _find_frames(index, pairs, lists[split])
        for pair in parts[split]:
            if owners.setdefault(pair.name, split) != split:
                raise UserError(
                    f"{lists[split]} names {pair.name}, which {owners[pair.name]} has already"
                )
    return parts


def _find_frames(index: FrameIndex, pairs: Sequence[Pair], path: Path) -> tuple[Pair, ...]:
    if not path.is_dir():
        return index.read_list(path)
    if not (matches := tuple(pair for pair in pairs if lies_below(pair.image, path))):
        raise UserError(f"{path} holds no picture of data.images; expected a split's folder")
    return matches


def read_blocks(table: str, root: Path, pairs: Sequence[Pair]) -> dict[str, str]:
    """Returns frame → block from ``FILE.csv:COLUMN``; the file's first column names the frames.

    Rows of other frames are ignored: a table may list more frames than are used.

    Raises:
        UserError: no such file or column, or a frame that the table leaves out or has twice.
    """
    file, _, column = table.rpartition(":")
    if not file:
        raise UserError(f"data.blocks={table}: expected FILE.csv:COLUMN, such as frames.csv:drive")
    path = locate(root, file)
    columns, rows = read_table(path)
    if columns[1:].count(column) != 1:
        raise UserError(
            f"data.blocks={table}: expected FILE.csv:COLUMN with a column of that file; "
            f"{path} has {', '.join(columns[1:]) or 'none besides the names'}"
        )
    index = FrameIndex(pairs, root)
    blocks: dict[str, str] = {}
    for number, row in rows:
        pair = index.find(row[columns[0]], path, number)
        if pair is None:
            continue
        if pair.name in blocks:
            raise UserError(f"{path}, line {number}: {pair.name} has a line already")
        blocks[pair.name] = row[column]
    if gaps := [pair.name for pair in pairs if not blocks.get(pair.name)]:
        raise UserError(f"{path} gives {gaps[0]} no {column} ({len(gaps)} such)")
    return blocks


def _are_shares(shares: Mapping[str, float]) -> bool:
    """Returns whether the shares are positive, sum to 1, and include training."""
    positive = all(share > 0 for share in shares.values())
    return positive and abs(sum(shares.values()) - 1) < 1e-6 and "train" in shares
