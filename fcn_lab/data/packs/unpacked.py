"""Reads frames from their files whenever they are asked for, where a pack has no room."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fcn_lab.data.frames import Frames
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.data.packs.census import judge_labels
from fcn_lab.data.packs.decode import DecodedFrame
from fcn_lab.data.packs.flat import PixelRows
from fcn_lab.data.packs.pack import (
    Recipe,
    find_ledger,
    list_files,
    list_sizes,
)
from fcn_lab.data.packs.sizes import Sizes
from fcn_lab.errors import UserError
from fcn_lab.pixels import Pixels
from fcn_lab.runs.processor import count_bound_cores

# how many frames a thread decodes before they are asked for
AHEAD = 4


class FrameReader:
    """Decodes frames from their files; the last one is kept, since its label is asked for next."""

    def __init__(self, pairs: Sequence[Pair], recipe: Recipe) -> None:
        self.pairs, self._recipe = pairs, recipe
        self._last: tuple[int, DecodedFrame] | None = None

    def read(self, index: int) -> DecodedFrame:
        """Returns one frame as a run sees it.

        Raises:
            UserError: its files are not sound; always of this class, which a loader's worker can
                pass on.
        """
        if self._last is None or self._last[0] != index:
            self._last = index, self.decode(index)
        return self._last[1]

    def decode(self, index: int) -> DecodedFrame:
        """Returns one frame and keeps nothing, so that threads may share the reader."""
        try:
            return self._recipe.decode(self.pairs[index])
        except UserError as error:
            raise UserError(str(error)) from error


class FileRows(PixelRows):
    """The pictures or the labels of a split, in their files."""

    def __init__(self, reader: FrameReader, are_labels: bool) -> None:
        self._reader, self._are_labels = reader, are_labels

    def __len__(self) -> int:
        return len(self._reader.pairs)

    def read(self, index: int) -> Pixels:
        """Returns the picture or the label of one frame."""
        return self._choose(self._reader.read(index))

    def __iter__(self) -> Iterator[Pixels]:
        """Yields all of them, decoded on all cores.

        Raises:
            UserError: a file is not sound.
        """
        threads = count_bound_cores()
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(self), AHEAD * threads):
                part = range(start, min(start + AHEAD * threads, len(self)))
                yield from map(self._choose, pool.map(self._reader.decode, part))

    def _choose(self, frame: DecodedFrame) -> Pixels:
        return frame.label if self._are_labels else frame.image


def read_frames(
    split: str, pairs: Sequence[Pair], recipe: Recipe, cache: Path, known_sizes: Sizes | None = None
) -> Frames:
    """Returns the frames of these files unpacked; the arguments are those of ``load_frames``.

    Raises:
        UserError: a file has changed since it was last used, or cannot be read, or too many pixels
            of the labels are of no class.
    """
    files = list_files(pairs)
    ledger = find_ledger(split, files, cache)
    entries = ledger.digests(files)
    sizes = list_sizes(pairs, recipe, known_sizes or {})
    judge_labels(
        split.partition("-")[0], [p.label for p in pairs], recipe.codec, cache, recipe.limit
    )
    ledger.save(entries)
    reader = FrameReader(pairs, recipe)
    names = tuple(pair.name for pair in pairs)
    return Frames(FileRows(reader, False), FileRows(reader, True), names, own_sizes=sizes)
