"""Packs decoded splits once into uint8 arrays on disk, which are memory-mapped from then on.

A pack's folder is named by the hash of what its source files hold and of how they were decoded, so
that equal sources share one pack and no pack can be stale. It is written under another name,
synced, and renamed as the last step, its manifest after its arrays; a folder that is not whole, or
not as it was written, is built anew. Of processes that pack at the same time one does it and the
others wait; a pack that a killed process left half done is continued. A warm start reads the files'
states only, not their content (see ``checksums``).
"""

import hashlib
import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fcn_lab.data.classes import ClassSet
from fcn_lab.data.frames import Frames
from fcn_lab.data.label_codecs import LabelCodec
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.data.packs.census import judge_strange, warn_of_strange
from fcn_lab.data.packs.checksums import Ledger
from fcn_lab.data.packs.decode import DecodedFrame, read_pair
from fcn_lab.data.packs.disk import require_room
from fcn_lab.data.packs.folder import FORMAT, Manifest, find_shapes, open_pack, write_pack
from fcn_lab.data.packs.sizes import Sizes
from fcn_lab.data.packs.writing import write_frames
from fcn_lab.data.pictures.opening import upright_size
from fcn_lab.data.pictures.parts import RGB, PicturePart, count_channels
from fcn_lab.data.pictures.unreadable import LIMIT, Limit
from fcn_lab.data.resizing import Resize, choose_target
from fcn_lab.errors import UserError
from fcn_lab.files import shorten_name

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """The settings that turn files into arrays.

    Attributes:
        codec: reads the labels.
        classes: the classes of the run.
        size: (h,w) of all frames; None keeps each frame's own.
        limit: the most pixels of a picture.
        resize: how frames are brought to that size.
        parts: the channels of each file of a picture.
    """

    codec: LabelCodec
    classes: ClassSet
    size: tuple[int, int] | None
    limit: Limit = LIMIT
    resize: Resize = "stretch"
    parts: tuple[PicturePart, ...] = RGB

    @property
    def channels(self) -> int:
        """Returns C, the channels of a frame's picture."""
        return count_channels(self.parts)

    def key(self, sizes: Collection[tuple[int, int]] = ()) -> str:
        """Returns a text that differs whenever the arrays of such pictures would differ."""
        way = () if self.resize == "stretch" else (self.resize,)
        parts = () if self.parts == RGB else (self.parts,)
        table = self.classes.table.tobytes().hex()
        # earlier versions resized these along both axes in the way of their rows
        mark = ("axis by axis",) if any(map(self._shrinks_unevenly, sizes)) else ()
        return repr((FORMAT, self.codec.key(), table, self.size, *way, *parts, *mark))

    def _shrinks_unevenly(self, shape: tuple[int, int]) -> bool:
        """Returns whether columns shrink and rows do not, or rows shrink and columns grow."""
        (rows, columns), target = shape, self.size and choose_target(shape, self.size, self.resize)
        if target is None:
            return False
        return target[1] < columns if target[0] >= rows else target[1] > columns

    def decode(self, pair: Pair) -> DecodedFrame:
        """Returns one frame as a run sees it.

        Raises:
            UserError: its files are not sound.
        """
        frame = read_pair(pair, self.codec, self.size, self.limit, self.resize, self.parts)
        return replace(frame, label=np.take(self.classes.table, frame.label))


def load_frames(
    split: str, pairs: Sequence[Pair], recipe: Recipe, cache: Path, known_sizes: Sizes | None = None
) -> Frames:
    """Returns the frames of these files from their pack, which is written first if missing.

    Args:
        split: the name that messages give them.
        pairs: the frames' files.
        recipe: the settings that make frames of the files.
        cache: where packs are kept.
        known_sizes: the sizes of pictures, as far as they are known.

    Raises:
        UserError: a file is truncated, corrupt or changed, a label is no label, or the cache cannot
            be written.
    """
    known_sizes = known_sizes or {}
    files = list_files(pairs)
    ledger = find_ledger(split, files, cache)
    entries = ledger.digests(files)
    sizes = {known_sizes[pair.image] for pair in pairs if pair.image in known_sizes}
    folder = cache / _hash_texts(
        recipe.key(sizes), *(f"{file.name} {entries[str(file)][2]}" for file in files)
    )
    pack = open_pack(folder)
    if pack is None:
        if folder.exists():
            _log.warning("%s is damaged, or of another version: it is packed anew", folder)
        write_pack(folder, lambda draft: _write_arrays(split, pairs, recipe, draft, known_sizes))
        pack = open_pack(folder)
    ledger.save(entries)
    if pack is None:
        raise UserError(
            f"{folder} does not read back as written; is the disk sound?\n"
            "Type +data.cache= with another folder."
        )
    frames, manifest = pack
    warn_of_strange(split, manifest.strange)
    # equal files may have other names than those that were packed
    return replace(frames, names=tuple(pair.name for pair in pairs))


def list_files(pairs: Sequence[Pair]) -> list[Path]:
    """Returns the absolute paths of pictures and labels in turn."""
    return [file.absolute() for pair in pairs for file in (*pair.images, pair.label)]


def find_ledger(split: str, files: Sequence[Path], cache: Path) -> Ledger:
    """Returns the ledger of a split's files."""
    digest = _hash_texts(split, *sorted({str(file.parent) for file in files}))
    name = shorten_name(split.replace("/", "-"))
    return Ledger(cache / "sources" / f"{name}-{digest}.json")


def list_sizes(
    pairs: Sequence[Pair], recipe: Recipe, known_sizes: Sizes
) -> tuple[tuple[int, int], ...]:
    """Returns (H,W) of every frame as a run sees it.

    Raises:
        UserError: a picture cannot be read.
    """
    return tuple(
        recipe.size or known_sizes.get(pair.image) or upright_size(pair.image, recipe.limit)
        for pair in pairs
    )


def _write_arrays(
    split: str, pairs: Sequence[Pair], recipe: Recipe, draft: Path, known_sizes: Sizes
) -> Manifest:
    sizes = list_sizes(pairs, recipe, known_sizes)
    channels = recipe.channels
    require_room(draft, (channels + 1) * sum(height * width for height, width in sizes), split)

    def decode(number: int) -> DecodedFrame:
        frame = recipe.decode(pairs[number])
        if frame.image.shape != (*sizes[number], channels):
            raise UserError(
                f"{pairs[number].image} has changed while it was packed.\nType the command again"
            )
        return frame

    size, own_sizes = (list(recipe.size), []) if recipe.size else ([], list(sizes))
    shapes = find_shapes(size, own_sizes, len(pairs), channels)
    title = f"packing {split.partition('-')[0]}"
    census = write_frames(draft, shapes, sizes, decode, title, channels)
    judge_strange(census, lambda number: pairs[number].label)
    names = [pair.name for pair in pairs]
    return Manifest(names, size, dict(census.strange_values), sizes=own_sizes, channels=channels)


def _hash_texts(*words: str) -> str:
    return hashlib.sha256(os.fsencode("\0".join(words))).hexdigest()[:24]
