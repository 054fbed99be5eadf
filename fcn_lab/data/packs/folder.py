"""Writes and opens a folder of arrays that is complete or absent. M frames, H W rows and columns.

The manifest holds a digest of each array and one of itself. So damage by a failing disk or an
interrupted copy is noticed when a process first opens the pack.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from fcn_lab.data.frames import Frames
from fcn_lab.data.packs.drafts import JOURNAL, hold_draft
from fcn_lab.data.packs.flat import FlatRows
from fcn_lab.data.packs.sealed import count_pieces, digest, seal, unseal
from fcn_lab.data.pictures.parts import COLOURS
from fcn_lab.files import clear_drafts, publish_folder, write_text
from fcn_lab.text.terminal import ProgressReport

ADVICE = "Type +data.cache= with another folder"
# raised by one whenever the arrays made of the same files would differ
FORMAT = 2
ARRAYS = ("images.npy", "labels.npy")
# the arrays that this process has found sound
_SOUND_ARRAYS: set[tuple[str, int, int, int]] = set()


@dataclass(frozen=True)
class Manifest:
    """The description of a finished pack.

    Attributes:
        names: the frames' names.
        size: (H,W) of all of them; empty where they keep their own.
        strange: colours that became void, with their pixel counts.
        digests: a digest of each array.
        format: the `FORMAT` that the arrays were written in.
        sizes: (H,W) of each frame that keeps its own; empty where all have one.
        channels: C of a picture.
    """

    names: list[str]
    size: list[int]
    strange: dict[str, int]
    digests: Mapping[str, int] = field(default_factory=dict)
    format: int = FORMAT
    sizes: list[tuple[int, int]] = field(default_factory=list)
    channels: int = COLOURS

    def to_plain(self) -> dict[str, Any]:
        """Returns the content of its file, without fields that one size and RGB make needless."""
        defaults = {"sizes": [], "channels": COLOURS}
        return {k: v for k, v in asdict(self).items() if k not in defaults or v != defaults[k]}


def open_pack(folder: Path) -> tuple[Frames, Manifest] | None:
    """Returns the memory-mapped pack; None where it is missing, incomplete or of another format."""
    try:
        manifest = Manifest(**unseal((folder / "manifest.json").read_text()))
        if manifest.format != FORMAT or not _are_sound(folder, manifest.digests):
            return None
        images, labels = (np.load(folder / name, mmap_mode="r") for name in ARRAYS)
    except (OSError, ValueError, TypeError, KeyError, EOFError):
        return None
    frames = len(manifest.names)
    shapes = find_shapes(manifest.size, manifest.sizes, frames, manifest.channels)
    if len(manifest.sizes) not in (0, frames):
        return None
    if (images.shape, labels.shape) != shapes or not images.dtype == labels.dtype == np.uint8:
        return None
    names, sizes = tuple(manifest.names), tuple((h, w) for h, w in manifest.sizes)
    if not sizes:
        return Frames(images, labels, names), manifest
    rows = FlatRows(images, sizes, (manifest.channels,)), FlatRows(labels, sizes)
    return Frames(*rows, names, own_sizes=sizes), manifest


def find_shapes(
    size: Sequence[int], sizes: Sequence[tuple[int, int]], frames: int, channels: int = COLOURS
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the shapes of the arrays of pictures and labels: (M,H,W,C) and (M,H,W).

    Frames that keep their own sizes lie one behind the other: (CP,) and (P,) for P pixels.
    """
    if size:
        return (frames, *size, channels), (frames, *size)
    pixels = sum(height * width for height, width in sizes)
    return (channels * pixels,), (pixels,)


def write_pack(folder: Path, write_arrays: Callable[[Path], Manifest]) -> None:
    """Lets ``write_arrays`` fill a folder, adds the manifest, and renames it in one step.

    A folder that a killed process has left half full is passed to ``write_arrays`` again.
    """
    with hold_draft(folder, ADVICE) as draft:
        clear_drafts(folder.parent, lock=JOURNAL)
        # another process was first
        if open_pack(folder) is not None:
            if draft is not None:
                shutil.rmtree(draft, ignore_errors=True)
            return
        with publish_folder(folder, open_pack, ADVICE, draft) as target:
            manifest = write_arrays(target)
            result = replace(manifest, digests={name: digest(target / name) for name in ARRAYS})
            write_text(target / "manifest.json", seal(result.to_plain()), ADVICE)
        # removed only now, since other processes wait for the lock on this file
        (folder / JOURNAL).unlink(missing_ok=True)


def write_array_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Begins a .npy file of uint8.

    Its rows follow as plain writes, so that a full disk is an error and not a crash.
    """
    np.lib.format.write_array_header_2_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )


def _are_sound(folder: Path, digests: Mapping[str, int]) -> bool:
    """Returns whether the arrays match their digests; each is read once per process."""
    states = {name: (folder / name).stat() for name in ARRAYS}
    keys = {
        name: (str(folder / name), state.st_size, state.st_mtime_ns, digests[name])
        for name, state in states.items()
    }
    names = [name for name, key in keys.items() if key not in _SOUND_ARRAYS]
    count = sum(count_pieces(states[name].st_size) for name in names)
    with ProgressReport(count, "checking packed frames") as report, ThreadPoolExecutor() as pool:
        results = pool.map(lambda name: digest(folder / name, report.advance), names)
        checksums = dict(zip(names, results, strict=True))
    _SOUND_ARRAYS.update(keys[name] for name in names if checksums[name] == digests[name])
    return all(key in _SOUND_ARRAYS for key in keys.values())
