"""A folder of arrays that is either whole or not there. M frames, H W rows and columns."""

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np

from fcn_lab.data.frames import Frames

_ABANDONED_SECONDS = 3600


@dataclass(frozen=True)
class Manifest:
    """What a finished pack says of itself.

    Frame names, (H,W), and colours that became void with their pixel counts.
    """

    names: list[str]
    size: list[int]
    strange: dict[str, int]


def open_pack(folder: Path) -> tuple[Frames, Manifest] | None:
    """The memory-mapped pack, or None where it is not there or not whole."""
    try:
        manifest = Manifest(**json.loads((folder / "manifest.json").read_text()))
        images = np.load(folder / "images.npy", mmap_mode="r")
        labels = np.load(folder / "labels.npy", mmap_mode="r")
    except (OSError, ValueError, TypeError, EOFError):
        return None
    shape = (len(manifest.names), *manifest.size)
    whole = (
        images.shape == (*shape, 3)
        and labels.shape == shape
        and images.dtype == labels.dtype == np.uint8
    )
    return (Frames(images, labels, tuple(manifest.names)), manifest) if whole else None


def write_pack(folder: Path, write_arrays: Callable[[Path], Manifest]) -> None:
    """Let ``write_arrays`` fill a folder, add the manifest, give it its name in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    half = folder.parent / f".half-{uuid.uuid4().hex}"
    half.mkdir()
    try:
        manifest = write_arrays(half)
        with (half / "manifest.json").open("w") as file:
            json.dump(asdict(manifest), file)
            sync(file)
        _publish(half, folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def array_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Begin a .npy file of uint8.

    Its rows follow as plain writes, so that a full disk is an error and not a crash.
    """
    np.lib.format.write_array_header_2_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )


def sync(file: IO[bytes] | IO[str]) -> None:
    """Wait until the file's bytes are on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _publish(half: Path, folder: Path) -> None:
    """Rename; where another process was first its pack is kept, unless it is not whole."""
    while True:
        try:
            half.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            if open_pack(folder):
                return
            aside = folder.with_name(f".half-{uuid.uuid4().hex}")
            folder.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            break
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(cache: Path) -> None:
    """Remove what processes left behind that were killed while packing."""
    for half in cache.glob(".half-*"):
        if time.time() - half.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(half, ignore_errors=True)
