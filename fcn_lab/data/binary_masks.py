"""Decides what 255 means in masks of one object: the object, or void.

A single mask cannot tell: one with 0 and 255 may belong to a set with ids 0 and 1 and void. So
masks of the whole data set are read, as many as needed. Where one mask holds both the object's id
and 255, 255 is void. Where some masks hold the id and others 255, or where the user gave the object
an id that no mask holds, the user must say it. The answer is kept beside the packs until a mask
changes.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from fcn_lab.data.label_codecs import IndexLabels, LabelCodec
from fcn_lab.data.mask_values import NEGATIVE_VOID, WIDE_VOID, read_values
from fcn_lab.data.packs.checksums import digest_states
from fcn_lab.data.packs.decode import open_mask
from fcn_lab.data.packs.sealed import recall, remember
from fcn_lab.data.pictures.unreadable import Limit
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from fcn_lab.text.terminal import report_progress

# masks, spread over the data set, in which 255 is looked for where the first have ids 0 and 1
SAMPLED_MASKS = 200


def settle_white(codec: LabelCodec, masks: Sequence[Path], cache: Path, limit: Limit) -> LabelCodec:
    """Returns the codec for these masks; where they hold only 0 and 255, 255 is the object.

    Raises:
        UserError: some masks hold the object's id, others 255, and none holds both; or the user
            stated the object's id, and all of them hold 0 and 255 alone.
    """
    foreground = codec.find_foreground() if isinstance(codec, IndexLabels) else None
    if foreground is None or not isinstance(codec, IndexLabels):
        return codec
    class_index, number = foreground
    origin = "stated" if codec.are_ids_stated else "listed"
    record = cache / "sources" / f"white-{origin}-{number}-{digest_states(masks)}.json"
    try:
        is_object = bool(recall(record))
    except ValueError:
        is_object = _is_object(codec, class_index, number, masks, limit)
        remember(record, is_object)
    if is_object and codec.are_ids_stated:
        raise UserError(
            f"data.names gives {codec.names[class_index]} the id {number}, but masks hold 0 and "
            f"{VOID} alone.\n{codec.suggest_white(class_index)}"
        )
    return codec.read_white_as(class_index) if is_object else codec


def _is_object(
    codec: IndexLabels, class_index: int, number: int, masks: Sequence[Path], limit: Limit
) -> bool:
    sample = masks[:: max(len(masks) // SAMPLED_MASKS, 1)]
    all_numbers: set[int] = set()
    # the first mask that holds one of the two and not the other
    first: dict[int, Path] = {}
    order = dict.fromkeys([*sample, *masks])
    for index, mask in enumerate(report_progress(order, len(order), "looking for 255 in masks")):
        # where a sample shows the stated object alone, 255 is void; of zeros alone it tells nothing
        if index >= len(sample) and VOID not in first and number in first:
            return False
        for numbers in _read_grey(mask, limit):
            if not numbers <= {0, number, VOID} or {number, VOID} <= numbers:
                return False
            all_numbers |= numbers
            for value in numbers & {number, VOID}:
                first.setdefault(value, mask)
    if len(first) == 2:
        if codec.are_ids_stated:
            return False
        raise UserError(
            f"{first[number]} holds {number}, {first[VOID]} holds {VOID}, and no mask holds both.\n"
            f"{codec.suggest_white(class_index)}"
        )
    return {0, VOID} <= all_numbers


def _read_grey(mask: Path, limit: Limit) -> Iterator[set[int]]:
    """Yields the numbers that a mask holds; nothing where it has one bit, or cannot be read."""
    # the file is named in an error when its frame is read
    with suppress(UserError):
        picture = open_mask(mask, limit)
        # a mask of one bit has 1 for white, whatever the others have
        if picture.mode != "1":
            numbers = {*np.unique(read_values(picture)).tolist()} - {NEGATIVE_VOID}
            yield numbers if VOID in numbers else {VOID if n == WIDE_VOID else n for n in numbers}
