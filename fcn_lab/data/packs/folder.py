"""Writes and opens a folder of arrays that is complete or absent. M frames, H W rows and columns.

A digest of each array stands in the manifest, which carries its own: what a failing disk or an
interrupted copy made of a pack is noticed by the first of a process to open it.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO

import numpy as np

from fcn_lab.data.frames import Frames
from fcn_lab.data.packs.sealed import digest, seal, unseal
from fcn_lab.files import clear_drafts, publish_folder, write_text

ADVICE = "Type +data.cache= with another folder"
FORMAT = 2  # one higher wherever the arrays of equal files would differ
ARRAYS = ("images.npy", "labels.npy")
_SOUND_ARRAYS: set[tuple[str, int, int, int]] = set()  # arrays that this process found sound


@dataclass(frozen=True)
class Manifest:
    """The description of a finished pack.

    Frame names, (H,W), colours that became void with their pixel counts, and the arrays' digests.
    """

    names: list[str]
    size: list[int]
    strange: dict[str, int]
    digests: Mapping[str, int] = field(default_factory=dict)
    format: int = FORMAT


def open_pack(folder: Path) -> tuple[Frames, Manifest] | None:
    """Returns the memory-mapped pack; None where it is missing, incomplete or of another format."""
    try:
        manifest = Manifest(**unseal((folder / "manifest.json").read_text()))
        if manifest.format != FORMAT or not _are_sound(folder, manifest.digests):
            return None
        images, labels = (np.load(folder / name, mmap_mode="r") for name in ARRAYS)
    except (OSError, ValueError, TypeError, KeyError, EOFError):
        return None
    shape = (len(manifest.names), *manifest.size)
    whole = (
        images.shape == (*shape, 3)
        and labels.shape == shape
        and images.dtype == labels.dtype == np.uint8
    )
    return (Frames(images, labels, tuple(manifest.names)), manifest) if whole else None


def write_pack(folder: Path, write_arrays: Callable[[Path], Manifest]) -> None:
    """Lets ``write_arrays`` fill a folder, adds the manifest, and renames it in one step."""
    clear_drafts(folder.parent)
    with publish_folder(folder, open_pack, ADVICE) as half:
        manifest = write_arrays(half)
        told = replace(manifest, digests={name: digest(half / name) for name in ARRAYS})
        write_text(half / "manifest.json", seal(asdict(told)), ADVICE)


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
    unseen = [name for name, key in keys.items() if key not in _SOUND_ARRAYS]
    with ThreadPoolExecutor() as pool:
        found = dict(zip(unseen, pool.map(lambda name: digest(folder / name), unseen), strict=True))
    _SOUND_ARRAYS.update(keys[name] for name in unseen if found[name] == digests[name])
    return all(key in _SOUND_ARRAYS for key in keys.values())
