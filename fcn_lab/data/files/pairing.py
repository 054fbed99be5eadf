"""Pairs the pictures and masks that two patterns find, and tells their blocks."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from fcn_lab.data.files.patterns import Pattern, lies_below, locate
from fcn_lab.data.layouts.layout import PICTURES, Pair
from fcn_lab.data.splitting import read_blocks
from fcn_lab.errors import UserError

_log = logging.getLogger(__name__)
# of a user's `blocks`: pictures that have nothing to do with each other
SINGLE = "single"


def pair_files(
    root: Path, images: Sequence[str], masks: str, chosen_by: Sequence[Path] = ()
) -> list[Pair]:
    """Returns every picture with its mask, in order of name.

    Args:
        root: what the patterns start from.
        images: the pattern of the pictures, and the patterns of their further channels.
        masks: the pattern of the masks.
        chosen_by: the text files or folders that choose frames. Without any, a file without partner
            is an error; else it is left out, with a line for a picture that a folder chooses.

    Raises:
        UserError: a pattern fits no file, a file has no partner, or stars are filled in two ways.
    """
    pictures, labels = match_pictures(root, images), _match_files(root, masks, "masks")
    if chosen_by and pictures.keys() & labels.keys():
        _report_unpaired(pictures, labels, chosen_by)
        pictures = {name: pictures[name] for name in pictures.keys() & labels.keys()}
        labels = {name: labels[name] for name in pictures}
    first = {name: files[0] for name, files in pictures.items()}
    for sources, partners, kind in ((first, labels, "mask"), (labels, first, "picture")):
        if strays := sorted(set(sources) - set(partners)):
            raise _partner_error(
                sources[strays[0]], kind, strays, f"{images[0]} data.masks={masks}"
            )
    pairs = [
        Pair(name, pictures[name][0], labels[name], pictures[name][1:]) for name in sorted(pictures)
    ]
    _refuse_mixed_stars(pairs, Pattern.parse(images[0], root), Pattern.parse(masks, root))
    return pairs


def _report_unpaired(
    pictures: Mapping[str, Sequence[Path]], labels: Collection[str], chosen_by: Sequence[Path]
) -> None:
    strays = [files[0] for name, files in pictures.items() if name not in labels]
    chosen_strays = [
        file for file in strays if any(lies_below(file, source) for source in chosen_by)
    ]
    if chosen_strays:
        _log.warning("%s has no mask (%d such): left out", chosen_strays[0], len(chosen_strays))


def _refuse_mixed_stars(pairs: Sequence[Pair], images: Pattern, masks: Pattern) -> None:
    """Refuses A_1/2 beside A/1_2: both are called A_1_2, and are two frames."""
    for pair in pairs:
        image_stars, mask_stars = images.read_stars(pair.image), masks.read_stars(pair.label)
        if len(image_stars) == len(mask_stars) and image_stars != mask_stars:
            raise UserError(
                f"{pair.image} has no mask: {pair.label} has {' and '.join(mask_stars)} in place "
                f"of the stars.\nExpected {' and '.join(image_stars)}"
            )


def match_pictures(root: Path, images: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Returns the files of every picture, one for each pattern, by the text in place of the stars.

    Raises:
        UserError: a pattern fits no file, or a file has no partner.
    """
    first, *others = [_match_files(root, pattern, "images") for pattern in images]
    for pattern, files in zip(images[1:], others, strict=True):
        for sources, partners in ((first, files), (files, first)):
            if strays := sorted(set(sources) - set(partners)):
                kind = "picture" if sources is files else "partner"
                raise _partner_error(sources[strays[0]], kind, strays, f"[{images[0]},{pattern}]")
    return {name: (path, *(files[name] for files in others)) for name, path in first.items()}


def _partner_error(file: Path, kind: str, strays: Sequence[str], patterns: str) -> UserError:
    return UserError(
        f"{file} has no {kind} ({len(strays)} such): none has {strays[0]} in place of the stars.\n"
        f"Expected one for each in data.images={patterns}"
    )


def find_blocks(
    blocks: str | int | None, root: Path, images: str, pairs: Sequence[Pair]
) -> dict[str, str]:
    """Returns frame → block, as the argument `blocks` of ``Folder`` says; empty without it.

    A frame that stands alone is a block of its own name.

    Raises:
        UserError: no such file, column or star.
    """
    if isinstance(blocks, int):
        return read_star(blocks, root, images, pairs)
    if blocks == SINGLE:
        return {pair.name: pair.name for pair in pairs}
    return read_blocks(blocks, root, pairs) if blocks else {}


def read_star(number: int, root: Path, images: str, pairs: Sequence[Pair]) -> dict[str, str]:
    """Returns frame → what stands in place of one star of the pictures' pattern.

    Raises:
        UserError: the pattern has fewer stars.
    """
    pattern = Pattern.parse(images, root)
    stars = {pair.name: pattern.read_stars(pair.image) for pair in pairs}
    count = min(map(len, stars.values()))
    if not 1 <= number <= count:
        raise UserError(
            f"data.blocks={number}: data.images={images} has {count} stars.\n"
            "Expected the number of one of them, or FILE.csv:COLUMN"
        )
    return {name: parts[number - 1] for name, parts in stars.items()}


def _match_files(root: Path, pattern: str, key: str) -> dict[str, Path]:
    """Returns the files by the text in place of the pattern's stars."""
    glob = Pattern.parse(pattern, root)
    if locate(root, pattern).is_dir():
        glob = Pattern.parse(f"{pattern or '.'}/*", root)
        items = [(file.stem, file) for file in glob.find_files() if file.suffix.lower() in PICTURES]
    else:
        items = [(name, file) for file, name in glob.find_files().items()]
    files: dict[str, Path] = {}
    for name, path in items:
        if files.setdefault(name, path) != path:
            raise UserError(f"data.{key}={pattern}: {files[name]} and {path} would have one name")
    if not files:
        raise UserError(
            f"data.{key}={pattern}: no such file; {glob.describe_surroundings()}.\n"
            "Expected a folder of pictures, or a pattern such as photos/*.jpg or photos/**/*.tif"
        )
    return files
