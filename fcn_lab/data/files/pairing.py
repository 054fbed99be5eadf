"""Pairs the pictures and masks that two patterns find, and tells their blocks."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from fcn_lab.data.files.patterns import Pattern, lies_below, locate
from fcn_lab.data.layouts.layout import PICTURES, Pair
from fcn_lab.data.splitting import read_blocks
from fcn_lab.errors import UserError

_log = logging.getLogger(__name__)


def pair_files(
    root: Path, images: Sequence[str], masks: str, chosen_by: Sequence[Path] = ()
) -> list[Pair]:
    """Returns every picture with its mask, in order of name.

    Args:
        root: what the patterns start from.
        images: the pattern of the pictures, and those of their further channels.
        masks: that of the masks.
        chosen_by: the text files or folders that choose frames. Without any, a file without partner
            is a mistake; else it is left out, which is said of a picture that a folder chooses.

    Raises:
        UserError: a pattern fits no file, a file has no partner, or stars are filled in two ways.
    """
    pictures, labels = match_pictures(root, images), _match_files(root, masks, "masks")
    if chosen_by and pictures.keys() & labels.keys():
        _report_unpaired(pictures, labels, chosen_by)
        pictures = {name: pictures[name] for name in pictures.keys() & labels.keys()}
        labels = {name: labels[name] for name in pictures}
    first = {name: files[0] for name, files in pictures.items()}
    for here, there, what in ((first, labels, "mask"), (labels, first, "picture")):
        if alone := sorted(set(here) - set(there)):
            raise _partner_error(here[alone[0]], what, alone, f"{images[0]} data.masks={masks}")
    pairs = [
        Pair(name, pictures[name][0], labels[name], pictures[name][1:]) for name in sorted(pictures)
    ]
    _refuse_mixed_stars(pairs, Pattern.parse(images[0], root), Pattern.parse(masks, root))
    return pairs


def _report_unpaired(
    pictures: Mapping[str, Sequence[Path]], labels: Collection[str], chosen_by: Sequence[Path]
) -> None:
    missing = [files[0] for name, files in pictures.items() if name not in labels]
    chosen = [file for file in missing if any(lies_below(file, place) for place in chosen_by)]
    if chosen:
        _log.warning("%s has no mask (%d such): left out", chosen[0], len(chosen))


def _refuse_mixed_stars(pairs: Sequence[Pair], images: Pattern, masks: Pattern) -> None:
    """Refuses A_1/2 beside A/1_2: both are called A_1_2, and are two frames."""
    for pair in pairs:
        here, there = images.read_stars(pair.image), masks.read_stars(pair.label)
        if len(here) == len(there) and here != there:
            raise UserError(
                f"{pair.image} has no mask: {pair.label} has {' and '.join(there)} in place of the "
                f"stars.\nExpected {' and '.join(here)}"
            )


def match_pictures(root: Path, images: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Returns the files of every picture, one for each pattern, by the text in place of the stars.

    Raises:
        UserError: a pattern fits no file, or a file has no partner.
    """
    first, *others = [_match_files(root, pattern, "images") for pattern in images]
    for pattern, further in zip(images[1:], others, strict=True):
        for here, there in ((first, further), (further, first)):
            if alone := sorted(set(here) - set(there)):
                what = "picture" if here is further else "partner"
                raise _partner_error(here[alone[0]], what, alone, f"[{images[0]},{pattern}]")
    return {name: (path, *(further[name] for further in others)) for name, path in first.items()}


def _partner_error(file: Path, what: str, alone: Sequence[str], patterns: str) -> UserError:
    return UserError(
        f"{file} has no {what} ({len(alone)} such): none has {alone[0]} in place of the stars.\n"
        f"Expected one for each in data.images={patterns}"
    )


def find_blocks(
    blocks: str | int | None, root: Path, images: str, pairs: Sequence[Pair]
) -> dict[str, str]:
    """Returns frame → block, as the argument `blocks` of ``Folder`` says; without one nothing.

    Raises:
        UserError: no such file, column or star.
    """
    if isinstance(blocks, int):
        return read_star(blocks, root, images, pairs)
    return read_blocks(blocks, root, pairs) if blocks else {}


def read_star(number: int, root: Path, images: str, pairs: Sequence[Pair]) -> dict[str, str]:
    """Returns frame → what stands in place of one star of the pictures' pattern.

    Raises:
        UserError: the pattern has fewer stars.
    """
    pattern = Pattern.parse(images, root)
    stars = {pair.name: pattern.read_stars(pair.image) for pair in pairs}
    fewest = min(map(len, stars.values()))
    if not 1 <= number <= fewest:
        raise UserError(
            f"data.blocks={number}: data.images={images} has {fewest} stars.\n"
            "Expected the number of one of them, or FILE.csv:COLUMN"
        )
    return {name: parts[number - 1] for name, parts in stars.items()}


def _match_files(root: Path, pattern: str, key: str) -> dict[str, Path]:
    """Returns the files by the text in place of the pattern's stars."""
    seen = Pattern.parse(pattern, root)
    if locate(root, pattern).is_dir():
        seen = Pattern.parse(f"{pattern}/*", root)
        found = [(file.stem, file) for file in seen.find_files() if file.suffix.lower() in PICTURES]
    else:
        found = [(name, file) for file, name in seen.find_files().items()]
    named: dict[str, Path] = {}
    for name, path in found:
        if named.setdefault(name, path) != path:
            raise UserError(f"data.{key}={pattern}: {named[name]} and {path} would have one name")
    if not named:
        raise UserError(
            f"data.{key}={pattern}: no such file; {seen.describe_surroundings()}.\n"
            "Expected a folder of pictures, or a pattern such as photos/*.jpg or photos/**/*.tif"
        )
    return named
