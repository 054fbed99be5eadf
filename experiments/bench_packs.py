"""What packing costs and what it saves: python experiments/bench_packs.py [--pictures 200].

Pictures of forty sizes around VOC's (JPEG, masks as PNG) are drawn into a temporary folder. Each
row is seconds of processor time, all threads together, for a thousand of them, so that another
job on the machine changes little. Writes experiments/packs/README.md.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fcn_lab.data.folder import Folder
from fcn_lab.data.frames import Frames
from fcn_lab.files import make_folder, write_text
from fcn_lab.runs.processor import describe_processor

PAGE = Path(__file__).parent / "packs" / "README.md"
NAMES = [f"class {number}" for number in range(21)]


def main() -> None:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="write no page")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = list(measure(Path(folder), asked.pictures))
    lines = [f"| {title} | {seconds:.2f} |" for title, seconds in rows]
    page = "\n".join([TEXT.format(asked.pictures, describe_processor(), os.cpu_count()), *lines])
    print(page)
    if not asked.quick:
        make_folder(PAGE.parent)
        write_text(PAGE, page + "\n")


def measure(place: Path, count: int) -> Iterator[tuple[str, float]]:
    """Yields what was done, and its seconds of processor time for a thousand pictures."""
    draw_pictures(place, count)
    given = {"root": str(place), "images": "photos", "masks": "masks", "names": NAMES}
    shares = {"train": 1 - 1 / count, "val": 1 / count}

    def open_frames(**more: object) -> Frames:
        return Folder(**given, splits=shares, cache=str(place / "cache"), **more).frames("train")

    def per_thousand(work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return (time.process_time() - began) * 1000 / count

    yield "packing, once (hashing the files included)", per_thousand(open_frames)
    frames = open_frames()
    yield "opening the pack again, in the same process", per_thousand(open_frames)
    yield "an epoch from the pack", per_thousand(lambda: read_all(frames))
    unpacked = open_frames(pack=False)
    yield "an epoch from the files, `data.pack=false`", per_thousand(lambda: read_all(unpacked))
    yield "the same files by PIL alone", per_thousand(lambda: read_by_pil(place, "photos"))
    yield "the same pictures as PNG by PIL alone", per_thousand(lambda: read_by_pil(place, "png"))
    if find_spec("litdata") is not None:
        yield "an epoch of litdata", per_thousand(open_litdata(place, frames))


def draw_pictures(place: Path, count: int) -> None:
    """Draws smooth pictures, of 300 to 375 by 340 to 500 pixels, and masks of ellipses."""
    rng = np.random.default_rng(0)
    for kind in ("photos", "masks", "png"):
        (place / kind).mkdir()
    for number in range(count):
        size = (300 + number % 8 * 10, 340 + number // 8 % 5 * 40)
        noise = rng.integers(0, 256, (12, 16, 3), np.uint8)
        picture = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)
        picture = cv2.add(picture, rng.integers(0, 16, picture.shape, np.uint8))
        mask = np.zeros(size, np.uint8)
        middle = (size[1] // 2, size[0] // 2)
        cv2.ellipse(mask, middle, (90, 60), number, 0, 360, number % 20 + 1, -1)
        Image.fromarray(picture).save(place / "photos" / f"{number:06d}.jpg", quality=95)
        Image.fromarray(picture).save(place / "png" / f"{number:06d}.png")
        Image.fromarray(mask).save(place / "masks" / f"{number:06d}.png")


def read_all(frames: Frames) -> None:
    """Reads every pixel of every frame, as a loader's copy does."""
    for index in range(len(frames)):
        np.array(frames.images[index])
        np.array(frames.labels[index])


def read_by_pil(place: Path, kind: str) -> None:
    """Decodes all pictures of a folder and their masks."""
    for path in sorted((place / kind).iterdir()):
        np.asarray(Image.open(path))
        np.asarray(Image.open(place / "masks" / f"{path.stem}.png"))


def open_litdata(place: Path, frames: Frames) -> Callable[[], object]:
    """Returns what reads the frames from litdata's own format, which is written first."""
    import litdata

    def encode(index: int) -> dict[str, object]:
        return {"image": np.array(frames.images[index]), "label": np.array(frames.labels[index])}

    folder = str(place / "litdata")
    litdata.optimize(encode, list(range(len(frames))), folder, num_workers=1, chunk_bytes="64MB")
    return lambda: [sample["image"].sum() for sample in litdata.StreamingDataset(folder)]


TEXT = """# What packing costs, and what it saves

Written by `python experiments/bench_packs.py`: seconds of processor time, all threads together, for
a thousand pictures of forty sizes around VOC's (JPEG; masks as PNG), from {} of them, on {}, {}
cores. A pack takes 4 bytes a pixel. litdata has a row where it is installed.

| what | s for 1,000 |
|---|---|"""

if __name__ == "__main__":
    main()
