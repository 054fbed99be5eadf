"""Decides what 255 means in masks of one object: the object, or void.

Which of the two 255 is, no single mask tells: one with 0 and 255 may be of a set that has ids 0 and
1 and void. So all masks of the data set are looked at, as far as needed: where one holds another
number than 0 and 255 it is void. The answer is kept beside the packs until a mask changes.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from fcn_lab.data.classes import VOID
from fcn_lab.data.label_codecs import IndexLabels, LabelCodec
from fcn_lab.data.mask_values import read_values
from fcn_lab.data.packs.checksums import digest_states
from fcn_lab.data.packs.decode import open_mask
from fcn_lab.data.packs.sealed import seal, unseal
from fcn_lab.data.pictures.unreadable import Limit
from fcn_lab.errors import UserError
from fcn_lab.files import make_folder, write_text


def settle_white(codec: LabelCodec, masks: Sequence[Path], cache: Path, limit: Limit) -> LabelCodec:
    """Returns the codec for these masks: where they hold 0 and 255 alone, 255 is the object."""
    place = codec.find_foreground() if isinstance(codec, IndexLabels) else None
    if place is None or not isinstance(codec, IndexLabels):
        return codec
    record = cache / "sources" / f"white-{digest_states(masks)}.json"
    try:
        is_object = bool(unseal(record.read_text()))
    except (OSError, ValueError):
        is_object = _is_object(masks, limit)
        with suppress(UserError):  # it is found out again, then
            make_folder(record.parent)
            write_text(record, seal(is_object))
    return codec.read_white_as(place) if is_object else codec


def _is_object(masks: Sequence[Path], limit: Limit) -> bool:
    met: set[int] = set()
    for mask in masks:
        with suppress(UserError):  # who reads the frame names the file
            picture = open_mask(mask, limit)
            if picture.mode != "1":  # white is then 1, whatever it is in the others
                met.update(np.unique(read_values(picture)).tolist())
        if not met <= {0, VOID}:
            return False
    return VOID in met
