"""task=predict: label pictures with the best weights of a run."""

import glob
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torch import nn

from fcn_lab.errors import UserError
from fcn_lab.panels import Pixels, colourise
from fcn_lab.predictor import load_predictor
from fcn_lab.tasks.scoring import say

Palette = Sequence[tuple[int, int, int]]
OVERLAY = 0.55  # share of the class colour over the picture
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    Image.DecompressionBombError,
)  # all that Pillow raises for a bad file


class Predict:
    """Writes, for every picture, an index PNG and the picture under the colours of its classes.

    Args:
        run: the folder of the training run.
        net: its network.
        input: a file, a folder or a pattern such as "drive/*.jpg".
        output: the folder to write to.
        flip: average over picture and mirrored picture.
    """

    def __init__(
        self,
        run: str | Path,
        net: nn.Module,
        input: str,
        output: str,
        flip: bool = False,
    ) -> None:
        self.source, self.net = Path(run), net
        self.input, self.output, self.flip = input, Path(output), flip

    def run(self, folder: Path) -> None:
        """Labels every picture; bad files are named, and the rest is finished first.

        Raises:
            UserError: where there is no picture, or some could not be read.
        """
        paths = pictures(self.input)
        predictor = load_predictor(self.net, self.source, self.flip)
        self.output.mkdir(parents=True, exist_ok=True)
        bad = []
        for path, name in zip(paths, names(paths), strict=True):
            try:
                image = read(path)
            except UNREADABLE as error:
                say(f"{path}: not a readable picture ({error})")
                bad.append(path)
                continue
            self._write(name, image, predictor(image), predictor.palette)
        say(f"{len(paths) - len(bad)} of {len(paths)} pictures labelled, in {self.output}")
        if bad:
            raise UserError(
                f"{len(bad)} of {len(paths)} files could not be read: {', '.join(map(str, bad))}"
            )

    def _write(self, name: str, image: Pixels, labels: Pixels, palette: Palette) -> None:
        indexed = Image.fromarray(labels)
        indexed.putpalette([channel for colour in palette for channel in colour])
        indexed.save(self.output / f"{name}.png")
        mixed = (1 - OVERLAY) * image + OVERLAY * colourise(labels, palette)
        Image.fromarray(mixed.astype(np.uint8)).save(self.output / f"{name}_overlay.png")


def pictures(given: str) -> list[Path]:
    """What `given` means, sorted: a file, the pictures of a folder, or all that match a pattern.

    Raises:
        UserError: where that is none.
    """
    path = Path(given)
    if path.is_file():
        return [path]
    if path.is_dir():
        endings = Image.registered_extensions()
        found = [p for p in path.iterdir() if p.suffix.lower() in endings and p.is_file()]
    else:
        found = [Path(p) for p in glob.glob(given, recursive=True) if Path(p).is_file()]
    if not found:
        raise UserError(
            f"input={given}: no picture found; "
            "expected a file, a folder of pictures or a pattern like 'a/*.png'"
        )
    return sorted(found)


def names(paths: Sequence[Path]) -> list[str]:
    """What to call the results: the files' names, with endings where two differ in these alone."""
    count = Counter(path.stem for path in paths)
    return [path.stem if count[path.stem] == 1 else path.name for path in paths]


def read(path: Path) -> Pixels:
    """RGB uint8 (H,W,3), turned upright.

    Raises:
        ValueError: for more than eight bits a channel, which would be cut and not scaled.
    """
    with Image.open(path) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"mode {image.mode}; expected eight bits a channel")
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
