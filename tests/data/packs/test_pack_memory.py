"""Reading a pack takes the memory of a frame, however many there are."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fcn_lab.data.augment import IDENTITY
from fcn_lab.data.folder import Folder
from fcn_lab.data.frames import FrameDataset
from support import fakes

COUNT = 200
SIZE = (240, 320)


def own_bytes() -> int:
    """Returns what this process has for itself: no page of a file is counted."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith("RssAnon"))
    return int(found.split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what a process has for itself")
def test_reading_every_frame_of_a_pack_takes_the_memory_of_a_few(tmp_path: Path) -> None:
    for number in range(COUNT):
        fakes.save(tmp_path / f"photos/{number}.png", fakes.picture(str(number), (24, 32)))
        fakes.save(tmp_path / f"masks/{number}.png", fakes.ids(str(number), 2, (24, 32)))
    given = {"images": "photos", "masks": "masks", "names": ["a", "b"], "size": SIZE}
    shares = {"train": 0.9, "val": 0.1}
    Folder(tmp_path, **given, splits=shares).frames("train")
    before = own_bytes()
    data = FrameDataset(Folder(tmp_path, **given, splits=shares).frames("train"), IDENTITY)
    frame = 4 * SIZE[0] * SIZE[1]
    seen = {int(np.asarray(data[index]["image"]).sum()) for index in range(len(data))}
    assert len(seen) == len(data)
    assert own_bytes() - before < 10 * frame < len(data) * frame / 10
