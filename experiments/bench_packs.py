"""What packing costs and what it saves: python experiments/bench_packs.py [--pictures 200].

Pictures of forty sizes around VOC's (JPEG, masks as PNG) are drawn into a temporary folder. Each
row is seconds of processor time, all threads and children together, for a thousand of them, so that
another job on the machine changes little. Then a small network trains for an epoch, as a user types
it, on few frames and on many, and the memory of that process is watched. Writes
experiments/packs/README.md.

litdata has a row where it can be imported. It brings 56 MB that nothing else needs, so it is no
part of `make setup`: pip install --target LITDATA litdata, and PYTHONPATH=LITDATA before this.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fcn_lab.data.folder import Folder
from fcn_lab.data.frames import Frames
from fcn_lab.files import make_folder, write_text
from fcn_lab.runs.processor import describe_processor

ROOT = Path(__file__).parent.parent
PAGE = Path(__file__).parent / "packs" / "README.md"
NAMES = [f"class {number}" for number in range(21)]
FRAME = (360, 480)
SMALLEST_TRAINING = (
    *("model=fcn32s", "upsample=bilinear", "encoder.widths=[2,2,4,4,4]", "encoder.head_width=4"),
    *("encoder.depths=[1,1,1,1]", "augment=none", "logger=none", "trainer.max_epochs=1"),
    *("trainer.accelerator=cpu", "data.batch_size=8", "data.num_workers=0"),
)


def main() -> None:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--frames", type=int, nargs=2, default=[100, 4000])
    parser.add_argument("--quick", action="store_true", help="write no page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = list(measure(Path(folder), arguments.pictures))
    with tempfile.TemporaryDirectory() as folder:
        memory = [watch_training(Path(folder), count) for count in arguments.frames]
    lines = [f"| {title} | {seconds:.2f} |" for title, seconds in rows]
    machine = f"{describe_processor()}, {os.cpu_count()} cores, on {date.today()}"
    page = "\n".join([TEXT.format(arguments.pictures, machine), *lines, *tell_memory(memory)])
    print(page)
    if not arguments.quick:
        make_folder(PAGE.parent)
        write_text(PAGE, page + "\n")


def measure(root: Path, count: int) -> Iterator[tuple[str, float]]:
    """Yields what was done, and its seconds of processor time for a thousand pictures."""
    draw_pictures(root, count)
    settings = {"root": str(root), "images": "photos", "masks": "masks", "names": NAMES}
    shares = {"train": 1 - 1 / count, "val": 1 / count}

    def open_frames(**options: object) -> Frames:
        return Folder(**settings, splits=shares, cache=str(root / "cache"), **options).frames(
            "train"
        )

    def per_thousand(work: Callable[[], object]) -> float:
        start = sum(os.times()[:4])
        work()
        return (sum(os.times()[:4]) - start) * 1000 / count

    yield "packing, once (hashing the files included)", per_thousand(open_frames)
    frames = open_frames()
    yield "opening the pack again, in the same process", per_thousand(open_frames)
    yield "an epoch from the pack", per_thousand(lambda: read_all(frames))
    decoded_files = open_frames(pack=False)
    yield (
        "an epoch from the files, `data.pack=false`",
        per_thousand(lambda: read_all(decoded_files)),
    )
    yield "the same files by PIL alone", per_thousand(lambda: read_by_pil(root, "photos"))
    yield "the same pictures as PNG by PIL alone", per_thousand(lambda: read_by_pil(root, "png"))
    if find_spec("litdata") is not None:
        folder = str(root / "litdata")
        write = per_thousand(lambda: write_litdata(folder, frames))
        yield "writing the decoded frames for litdata, once", write
        yield "an epoch of litdata", per_thousand(lambda: read_litdata(folder))


def draw_pictures(root: Path, count: int) -> None:
    """Draws smooth pictures, of 300 to 375 by 340 to 500 pixels, and masks of ellipses."""
    rng = np.random.default_rng(0)
    for kind in ("photos", "masks", "png"):
        (root / kind).mkdir()
    for number in range(count):
        size = (300 + number % 8 * 10, 340 + number // 8 % 5 * 40)
        noise = rng.integers(0, 256, (12, 16, 3), np.uint8)
        picture = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)
        picture = cv2.add(picture, rng.integers(0, 16, picture.shape, np.uint8))
        mask = np.zeros(size, np.uint8)
        centre = (size[1] // 2, size[0] // 2)
        cv2.ellipse(mask, centre, (90, 60), number, 0, 360, number % 20 + 1, -1)
        Image.fromarray(picture).save(root / "photos" / f"{number:06d}.jpg", quality=95)
        Image.fromarray(picture).save(root / "png" / f"{number:06d}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number:06d}.png")


def read_all(frames: Frames) -> None:
    """Reads every pixel of every frame, as a loader's copy does."""
    for index in range(len(frames)):
        np.array(frames.images[index])
        np.array(frames.labels[index])


def read_by_pil(root: Path, kind: str) -> None:
    """Decodes all pictures of a folder and their masks."""
    for path in sorted((root / kind).iterdir()):
        np.asarray(Image.open(path))
        np.asarray(Image.open(root / "masks" / f"{path.stem}.png"))


def write_litdata(folder: str, frames: Frames) -> None:
    """Writes the frames in litdata's own format, as arrays."""
    import litdata

    def encode(index: int) -> dict[str, object]:
        return {"image": np.array(frames.images[index]), "label": np.array(frames.labels[index])}

    options = {"num_workers": 1, "chunk_bytes": "64MB", "start_method": "fork"}
    litdata.optimize(encode, list(range(len(frames))), folder, **options)


def read_litdata(folder: str) -> None:
    """Reads every pixel of every frame from there."""
    import litdata

    for sample in litdata.StreamingDataset(folder):
        np.array(sample["image"])
        np.array(sample["label"])


def watch_training(parent: Path, count: int) -> tuple[int, float, float]:
    """Trains for an epoch; returns the frames, and megabytes of their pack and of own memory.

    Own is what is neither a file's pages nor shared: RssAnon of Linux, at its highest.
    """
    root = parent / str(count)
    for kind in ("photos", "masks"):
        (root / kind).mkdir(parents=True)
    rng = np.random.default_rng(count)
    for number in range(count):
        picture = rng.integers(0, 256, (45, 60, 3), np.uint8)
        Image.fromarray(picture).save(root / "photos" / f"{number:06d}.png", compress_level=1)
        Image.fromarray(picture[..., 0] % 2).save(root / "masks" / f"{number:06d}.png")
    words = (
        *("data=folder", f"data.root={root}", "data.images=photos/*.png", "data.masks=masks/*.png"),
        *("data.names=[even,odd]", f"data.size=[{FRAME[0]},{FRAME[1]}]"),
        *(f"+data.cache={root / 'cache'}", f"hydra.run.dir={root / 'run'}"),
        f"data.splits={{train: {1 - 16 / count}, val: {16 / count}}}",
    )
    command = [sys.executable, str(ROOT / "run.py"), *SMALLEST_TRAINING, *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as training:
        peak = max(watch_memory(training))
    if training.returncode:
        raise SystemExit(f"the training ended with {training.returncode}: {' '.join(command)}")
    pack_size = sum(file.stat().st_size for file in (root / "cache").rglob("*.npy"))
    return count, pack_size / 1e6, peak / 1e6


def watch_memory(process: subprocess.Popen[bytes]) -> Iterator[int]:
    """Yields the bytes of a process's own memory, ten times a second, until it ends."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        lines = [line for line in status.read_text().splitlines() if line.startswith("RssAnon")]
        yield from (int(line.split()[1]) * 1024 for line in lines)
        time.sleep(0.1)


def tell_memory(trainings: Sequence[tuple[int, float, float]]) -> list[str]:
    """Returns the lines on what trainings needed."""
    rows = [f"| {count:,} | {pack:,.0f} | {memory:,.0f} |" for count, pack, memory in trainings]
    return [MEMORY, *rows]


TEXT = """# What packing costs, and what it saves

Written by `python experiments/bench_packs.py`: seconds of processor time, all threads and children
together, for a thousand pictures of forty sizes around VOC's (JPEG; masks as PNG), from {} of them,
on {}. A pack takes 4 bytes a pixel. litdata has rows where it is
installed; it reads the same decoded frames.

| what | s for 1,000 |
|---|---|"""

MEMORY = """
## Memory of a training

A small network trains for an epoch on frames of 360×480 in batches of 8, and the process is watched
ten times a second: its own memory, without the pages of files that the system keeps and takes back
as it likes (RssAnon of Linux), at its highest. It is PyTorch and a batch, however large the pack.

| frames | MB of their pack | MB of own memory |
|---|---|---|"""

if __name__ == "__main__":
    main()
