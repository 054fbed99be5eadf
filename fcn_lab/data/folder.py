"""A data set of a user's own pictures and masks, from two patterns and a list of classes."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path

from fcn_lab.data.binary_masks import SAMPLED_MASKS
from fcn_lab.data.class_table import ClassTable, read_names
from fcn_lab.data.classes import is_void, keep_classes
from fcn_lab.data.colour_labels import ColourLabels
from fcn_lab.data.colours import generate_colour
from fcn_lab.data.files.pairing import find_blocks, pair_files
from fcn_lab.data.files.patterns import locate
from fcn_lab.data.files.picture_files import PictureFiles, read_images
from fcn_lab.data.label_codecs import IndexLabels, LabelCodec
from fcn_lab.data.layouts.layout import Layout, Pair
from fcn_lab.data.mask_palettes import MaskPalette
from fcn_lab.data.mask_values import GREY
from fcn_lab.data.packs.decode import open_first_mask, open_mask
from fcn_lab.data.packs.source import CACHE, PackedSource
from fcn_lab.data.pictures.parts import RGB, count_channels
from fcn_lab.data.pictures.unreadable import LIMIT, Limit
from fcn_lab.data.resizing import Resize
from fcn_lab.data.splitting import Parts, split_by_lists, split_by_shares
from fcn_lab.errors import UserError
from fcn_lab.pixels import Colour
from fcn_lab.text.terminal import format_count
from fcn_lab.values import Count, Positive

SHARES: Mapping[str, float | str] = {"train": 0.7, "val": 0.15, "test": 0.15}
# the least difference in one channel of two colours that count as different
_LEAST_COLOUR_DIFFERENCE = 16


class Folder(PackedSource):
    """A Source of pictures and masks that two patterns find.

    A picture and its mask are those whose paths have the same text in place of the stars. 255, a
    class called void or unlabelled and what `ignore` lists count nowhere. Classes are drawn in
    their colours, where they have some, or those of the masks' own palette; black is void's.

    Args:
        root: the folder that all other paths start from.
        images: pattern of the pictures, as ``photos/*.jpg`` or ``*/rgb/*.png``, or their folder;
            or several of which each gives some of a picture's channels, as ``picture_files`` tells.
        masks: pattern of the masks, as ``masks/*_label.png``, or their folder.
        names: the classes in the order of their ids, or with their ids or colours, as
            ``class_table`` tells.
        splits: split → share of the frames, or split → text file that names a frame a line; by
            default 0.7, 0.15 and 0.15 for train, val and test. A folder stands for all pictures
            in it. Where text files or folders choose, pictures without a mask are left out; for
            a folder a line says so.
        blocks: ``FILE.csv:COLUMN``, the column that names the drive, or other block of similar
            pictures, that a frame is from; the file's first column names the frame. Or the number
            of the star in `images` that stands for the block, or "single" for photographs that
            have nothing to do with each other.
        size: see ``PackedSource``, as for ``split_by``, ``held_out``, ``cache``, ``megapixels``,
            ``resize`` and ``pack``.
        ignore: ids or colours of masks that are void, or "others": ids that are no class.
        classes: how many classes the caller expects to be scored.

    Raises:
        UserError: the classes are invalid, patterns fit no files or do not fit together, or a list
            is broken.
    """

    def __init__(
        self,
        root: str | None,
        images: object,
        masks: str | None,
        names: object,
        splits: Mapping[str, float | str] | None = None,
        blocks: str | Count | None = None,
        size: Sequence[int] | None = None,
        split_by: str | None = None,
        held_out: str | int | None = None,
        cache: str = CACHE,
        ignore: object = None,
        classes: int | None = None,
        megapixels: Positive = LIMIT.megapixels,
        resize: Resize | None = None,
        pack: bool = True,
    ) -> None:
        table = read_names(names, ignore)
        count = _count_scored(table, classes)
        if images is None or masks is None:
            raise UserError(
                f"data.images={images} data.masks={masks}: expected two patterns, such as\n"
                "'data.images=photos/*.jpg' 'data.masks=masks/*.png'"
            )
        files = read_images(images)
        patterns = [file.pattern for file in files]
        folder = Path(os.path.expanduser(root or "."))
        splits = SHARES if splits is None else splits
        chosen_by = [locate(folder, share) for share in splits.values() if isinstance(share, str)]
        pairs = pair_files(folder, patterns, masks, chosen_by)
        block_of = find_blocks(blocks, folder, patterns[0], pairs)

        def drive_of(name: str) -> str:
            return block_of.get(name, "")

        parts = _divide(pairs, splits, folder, drive_of)
        codec = _build_codec(table, [pair.label for pair in pairs], Limit(megapixels))
        title = f"{folder.resolve().name}{count}"
        class_set = keep_classes(codec.names, codec.colours, title, with_void=False)
        kind = _describe_pictures(files)
        name, origin = f"{_hash_parts(parts, table)}_split", _hash_text(repr((patterns, masks)))
        layout = Layout(kind, codec, parts, name, is_divided=True, origin=origin)
        rest = (split_by, held_out, cache, megapixels, resize, pack, [file.part for file in files])
        super().__init__(folder, layout, class_set, drive_of, size, *rest)


def _describe_pictures(files: Sequence[PictureFiles]) -> str:
    """Returns words for the pictures, with the files of their channels if these are several."""
    parts = tuple(file.part for file in files)
    if parts == RGB:
        return "Pictures"
    descriptions = ", ".join(file.describe() for file in files)
    return f"Pictures of {format_count(count_channels(parts), 'channel')} ({descriptions})"


def _count_scored(table: ClassTable, class_count: int | None) -> int:
    count = len({name for name in table.names if not is_void(name)})
    if class_count not in (None, count):
        raise UserError(
            f"data.classes={class_count}: data.names has {format_count(count, 'class')} besides "
            "void.\nLeave data.classes out, it follows from the names"
        )
    return count


def _divide(
    pairs: Sequence[Pair],
    splits: Mapping[str, float | str],
    root: Path,
    block_of: Callable[[str], str],
) -> Parts:
    shares = {split: share for split, share in splits.items() if not isinstance(share, str)}
    lists = {split: locate(root, file) for split, file in splits.items() if isinstance(file, str)}
    if shares and lists:
        raise UserError("data.splits: expected shares for all splits, or text files for all")
    return split_by_lists(pairs, lists, root) if lists else split_by_shares(pairs, shares, block_of)


def _build_codec(table: ClassTable, masks: Sequence[Path], limit: Limit) -> LabelCodec:
    """Returns a codec for masks like the first one; if one has colours, all count as coloured."""
    first = open_first_mask(masks, limit)
    if not table.colours:
        names = list(dict.fromkeys(table.names))
        palette = MaskPalette(first, table.ids)
        palette_colours = _choose_colours(table, palette.colours)
        colours = {
            n: table.display_colours.get(n, palette_colours.get(n, generate_colour(k)))
            for k, n in enumerate(names)
        }
        id_colours = [colours[name] for name in table.names]
        ids = None if table.is_listed else table.ids
        others = table.are_others_void
        return IndexLabels(
            table.names,
            id_colours,
            ids=ids,
            key="data.names",
            palette=palette,
            are_others_void=others,
        )
    are_grey = all(len(set(colour)) == 1 for colour in table.colours)
    if first is None or are_grey or _hold_colours(masks, limit):
        return ColourLabels(table.names, table.colours)
    if not table.is_plain:
        raise UserError(
            f"{masks[0]} holds one number a pixel, but data.names and data.ignore give colours.\n"
            "Write the ids of the classes: data.names={road: 7, car: [26, 27]}"
        )
    return IndexLabels(table.names, table.colours, key="data.names")


def _hold_colours(masks: Sequence[Path], limit: Limit) -> bool:
    """Returns whether one of the masks has colours; of many masks a sample is read."""
    for mask in masks[:: max(len(masks) // SAMPLED_MASKS, 1)]:
        # the file is named in an error when its frame is read
        with suppress(UserError):
            if open_mask(mask, limit).mode not in GREY:
                return True
    return False


def _choose_colours(table: ClassTable, palette: Mapping[int, Colour]) -> dict[str, Colour]:
    """Returns class → colour of its first id in the palette, if these differ enough."""
    colours: dict[str, Colour] = {}
    for name, number in zip(table.names, table.ids, strict=True):
        if number in palette and not is_void(name):
            colours.setdefault(name, palette[number])
    pairs = combinations(colours.values(), 2)
    gaps = (max(abs(x - y) for x, y in zip(*pair, strict=True)) for pair in pairs)
    return (
        colours if min(gaps, default=_LEAST_COLOUR_DIFFERENCE) >= _LEAST_COLOUR_DIFFERENCE else {}
    )


def _hash_parts(parts: Parts, table: ClassTable) -> str:
    """Returns a text that differs with the splits and the meaning of the masks."""
    text = repr({split: [pair.name for pair in part] for split, part in parts.items()})
    if not table.is_plain:
        text += repr((table.names, table.ids, table.colours))
    return _hash_text(text)


def _hash_text(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
