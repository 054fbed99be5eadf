"""Files that the demo refuses."""

from pathlib import Path

import numpy as np
from PIL import Image

from support import fakes


def bad_files(place: Path) -> dict[str, Path]:
    """Writes one of each kind; the keys are the kinds."""
    made = {name: place / f"{name}.png" for name in ("text", "empty", "cut", "deep", "bomb")}
    made["text"].write_text("no picture")
    made["empty"].write_bytes(b"")
    Image.fromarray(fakes.picture("cut", (200, 200))).save(made["cut"])
    made["cut"].write_bytes(made["cut"].read_bytes()[:3000])
    Image.fromarray(np.full((4, 4), -1, np.int32)).save(made["deep"], "tiff")
    Image.new("1", (2000, 2000)).save(made["bomb"])
    return made
