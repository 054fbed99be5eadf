"""Packs decoded splits once into uint8 arrays on disk, which are memory-mapped from then on.

A pack's folder is named by the hash of what its source files hold and of how they were decoded, so
that equal sources share one pack and no pack can be stale. It is written under another name,
synced, and renamed as the last step, its manifest after its arrays; a folder that is not whole, or
not as it was written, is built anew. Processes may pack at the same time: one rename wins and all
use its result. A warm start reads the files' states only, not their content (see ledger).
"""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fcn_lab.data.classes import ClassSet
from fcn_lab.data.frames import Frames
from fcn_lab.data.label_codecs import LabelCodec
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.data.packs.checksums import Ledger
from fcn_lab.data.packs.decode import read_pair
from fcn_lab.data.packs.folder import FORMAT, Manifest, open_pack, write_array_header, write_pack
from fcn_lab.data.pictures.unreadable import LIMIT, Limit
from fcn_lab.errors import UserError
from fcn_lab.files import flush_to_disk

STRANGE_SHARE_LIMIT = 1e-4
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """The settings that turn files into arrays: label codec, class set, size (h,w), pixel limit."""

    codec: LabelCodec
    classes: ClassSet
    size: tuple[int, int]
    limit: Limit = LIMIT

    def key(self) -> str:
        """Returns a text that differs whenever the arrays would."""
        return repr((FORMAT, self.codec.key(), self.classes.table.tobytes().hex(), self.size))


def load_frames(split: str, pairs: Sequence[Pair], recipe: Recipe, cache: Path) -> Frames:
    """Returns the frames of these files from their pack, which is written first if missing.

    Raises:
        UserError: a file is truncated, corrupt or changed, a label is no label, or the cache cannot
            be written.
    """
    files = [file.absolute() for pair in pairs for file in (pair.image, pair.label)]
    place = _digest(split, *sorted({str(file.parent) for file in files}))
    ledger = Ledger(cache / "sources" / f"{split}-{place}.json")
    entries = ledger.digests(files)
    folder = cache / _digest(
        recipe.key(), *(f"{file.name} {entries[str(file)][2]}" for file in files)
    )
    opened = open_pack(folder)
    if opened is None:
        if folder.exists():
            _log.warning("%s is damaged, or of another version: it is packed anew", folder)
        write_pack(folder, lambda half: _write_arrays(pairs, recipe, half))
        opened = open_pack(folder)
    ledger.save(entries)
    if opened is None:
        raise UserError(
            f"{folder} does not read back as written; is the disk sound?\n"
            "Type +data.cache= with another folder."
        )
    frames, manifest = opened
    if manifest.strange:
        _log.warning(
            "%s: colours of no class became void: %s", split, describe_strange(manifest.strange)
        )
    return frames


def describe_strange(strange: dict[str, int]) -> str:
    """Returns the most frequent strange colours with their pixel counts, in words."""
    commonest = Counter(strange).most_common(5)
    rest = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
    return ", ".join(f"{colour} in {count} pixels" for colour, count in commonest) + rest


def _write_arrays(pairs: Sequence[Pair], recipe: Recipe, half: Path) -> Manifest:
    strange: Counter[str] = Counter()
    stored, worst = 0, (0, Path())
    shape = (len(pairs), *recipe.size)
    with (half / "images.npy").open("wb") as images, (half / "labels.npy").open("wb") as labels:
        write_array_header(images, (*shape, 3))
        write_array_header(labels, shape)
        for pair in pairs:
            decoded = read_pair(pair, recipe.codec, recipe.size, recipe.limit)
            images.write(decoded.image.tobytes())
            labels.write(np.take(recipe.classes.table, decoded.ids).tobytes())
            strange.update(decoded.strange)
            stored += decoded.stored
            worst = max(worst, (decoded.strange.total(), pair.label))
        flush_to_disk(images)
        flush_to_disk(labels)
    if strange.total() > STRANGE_SHARE_LIMIT * stored:
        raise _strange_error(strange, stored, worst[1])
    return Manifest([pair.name for pair in pairs], list(recipe.size), dict(strange))


def _strange_error(strange: Counter[str], stored: int, worst: Path) -> UserError:
    opened = f"Image.open('{worst}').convert('RGB')"
    return UserError(
        f"{strange.total() / stored:.2%} of the label pixels have colours of no class, expected at "
        f"most {STRANGE_SHARE_LIMIT:.2%} (were labels resized, or saved as JPEG?): "
        f"{describe_strange(strange)}.\n"
        f'Most are in {worst}; to look: python -c "from PIL import Image; '
        f'print(sorted({opened}.getcolors(1 << 24)))"'
    )


def _digest(*words: str) -> str:
    return hashlib.sha256(os.fsencode("\0".join(words))).hexdigest()[:24]
