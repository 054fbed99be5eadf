"""Pictures and masks of one's own: two patterns and a list of classes make a data set."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from fcn_lab.data.classes import Colour, is_void, kept, spread
from fcn_lab.data.dividing import Parts, by_lists, by_shares, read_blocks
from fcn_lab.data.labels import ColourLabels, IndexLabels, LabelCodec
from fcn_lab.data.layouts.layout import PICTURES, Layout, Pair
from fcn_lab.data.packedsource import CACHE, PackedSource
from fcn_lab.data.reading import open_picture
from fcn_lab.errors import UserError

SHARES: Mapping[str, float | str] = {"train": 0.7, "val": 0.15, "test": 0.15}
_STARS = re.compile(r"\*\*/|\*")


class Folder(PackedSource):
    """Pictures and their masks as a Source.

    A picture and its mask are those whose paths have the same text in place of the stars. Masks
    hold ids, in the order of the list of classes, or the colours of the classes; 255 and a class
    called void or unlabelled count nowhere.

    Args:
        root: the folder that all other paths start from
        images: pattern of the pictures, as ``photos/*.jpg`` or ``*/rgb/*.png``, or their folder
        masks: the same of the masks, as ``masks/*_label.png``
        names: the classes in the order of their ids, or class → [red, green, blue]
        splits: split → share of the frames, or split → text file that names a frame a line
        blocks: ``FILE.csv:COLUMN``, the column that says from which drive, or other block of
            kindred pictures, a frame is; the file's first column names the frame
        size: see ``PackedSource``, as for ``split_by``, ``held_out`` and ``cache``

    Raises:
        UserError: patterns that fit nothing or do not fit together, lists that are broken
    """

    def __init__(
        self,
        root: str | None,
        images: str | None,
        masks: str | None,
        names: Sequence[str] | Mapping[str, Sequence[int]],
        splits: Mapping[str, float | str] = SHARES,
        blocks: str | None = None,
        size: Sequence[int] | None = None,
        split_by: str | None = None,
        held_out: str | None = None,
        cache: str = CACHE,
    ) -> None:
        if images is None or masks is None:
            raise UserError(
                f"data.images={images} data.masks={masks}: expected two patterns, such as\n"
                "'data.images=photos/*.jpg' 'data.masks=masks/*.png'"
            )
        place = Path(root or ".").expanduser()
        pairs = paired(place, images, masks)
        block_of = read_blocks(blocks, place, pairs) if blocks else {}

        def drive_of(name: str) -> str:
            return block_of.get(name, "")

        shares = {split: share for split, share in splits.items() if not isinstance(share, str)}
        lists = {split: place / file for split, file in splits.items() if isinstance(file, str)}
        if shares and lists:
            raise UserError("data.splits: expected shares for all splits, or text files for all")
        parts = by_lists(pairs, lists) if lists else by_shares(pairs, shares, drive_of)
        codec = _codec(names, pairs[0].label)
        title = f"{place.resolve().name}{sum(not is_void(name) for name in names)}"
        classes = kept(codec.names, codec.colours, title, with_void=False)
        layout = Layout("Pictures", codec, parts, f"{_digest(parts)}_split", divided=True)
        super().__init__(place, layout, classes, drive_of, size, split_by, held_out, cache)


def paired(root: Path, images: str, masks: str) -> list[Pair]:
    """Every picture with its mask, in order of name.

    Raises:
        UserError: a pattern fits no file, or a file has no partner.
    """
    pictures, labels = _matching(root, images, "images"), _matching(root, masks, "masks")
    for here, there, what in ((pictures, labels, "mask"), (labels, pictures, "picture")):
        if alone := sorted(set(here) - set(there)):
            raise UserError(
                f"{here[alone[0]]} has no {what} ({len(alone)} such): none has {alone[0]} in place "
                "of the stars.\n"
                f"Expected one for each in data.images={images} data.masks={masks}"
            )
    return [Pair(name, pictures[name], labels[name]) for name in sorted(pictures)]


def _matching(root: Path, pattern: str, key: str) -> dict[str, Path]:
    """Files by what the stars of the pattern stand for."""
    if (root / pattern).is_dir():
        inside = sorted((root / pattern).iterdir())
        found = [(path.stem, path) for path in inside if path.suffix.lower() in PICTURES]
    else:
        files = sorted(path for path in root.glob(pattern) if path.is_file())
        stars = _with_groups(pattern)
        found = [(_starred(stars, path.relative_to(root)), path) for path in files]
    named: dict[str, Path] = {}
    for name, path in found:
        if named.setdefault(name, path) != path:
            raise UserError(f"data.{key}={pattern}: {named[name]} and {path} would have one name")
    if not named:
        raise UserError(
            f"data.{key}={pattern}: no such file in {root}; "
            "expected a folder or a pattern such as photos/*.jpg"
        )
    return named


def _with_groups(pattern: str) -> re.Pattern[str]:
    """The pattern as an expression whose groups are the stars."""
    texts = [re.escape(text) for text in _STARS.split(pattern)]
    stars = ["(?:(.*)/)?" if star == "**/" else "([^/]*)" for star in _STARS.findall(pattern)]
    return re.compile("".join(part for pair in zip_longest(texts, stars) for part in pair if part))


def _starred(stars: re.Pattern[str], path: Path) -> str:
    match = stars.fullmatch(path.as_posix())
    parts = match.groups() if match else (path.stem,)
    return "_".join(part for part in parts if part).replace("/", "_") or path.stem


def _codec(names: Sequence[str] | Mapping[str, Sequence[int]], mask: Path) -> LabelCodec:
    if not isinstance(names, Mapping):
        return IndexLabels(names, [spread(number) for number in range(len(names))])
    for name, colour in names.items():
        if len(colour) != 3:
            raise UserError(f"data.names.{name}={list(colour)}: expected [red,green,blue]")
    colours: list[Colour] = [(red, green, blue) for red, green, blue in names.values()]
    grey = open_picture(mask).mode == "L"
    return IndexLabels(list(names), colours) if grey else ColourLabels(list(names), colours)


def _digest(parts: Parts) -> str:
    """Differs wherever the splits do, so that no two of them share a protocol."""
    text = repr({split: [pair.name for pair in part] for split, part in parts.items()})
    return hashlib.sha256(text.encode()).hexdigest()[:8]
