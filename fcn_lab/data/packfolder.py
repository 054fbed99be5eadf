"""A folder of arrays that is either whole or not there. M frames, H W rows and columns."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np

from fcn_lab.data.frames import Frames
from fcn_lab.files import clear_drafts, publish_folder, write_json

ADVICE = "Type +data.cache= with another folder"


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
    clear_drafts(folder.parent)
    with publish_folder(folder, open_pack, ADVICE) as half:
        manifest = write_arrays(half)
        write_json(half / "manifest.json", asdict(manifest))


def array_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Begin a .npy file of uint8.

    Its rows follow as plain writes, so that a full disk is an error and not a crash.
    """
    np.lib.format.write_array_header_2_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
