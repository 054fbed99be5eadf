"""Finds the frames in which arms differ most, and shows the arms' predictions side by side.

Runs keep predictions.zip: ``NAME.jpg``, ``NAME.truth.png`` and ``NAME.png`` of every scored frame;
the PNGs hold class numbers under the classes' colours, 255 is void.
"""

import io
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fcn_lab.data.colours import format_hex
from fcn_lab.pixels import VOID, Pixels
from fcn_lab.rendering.embedding import encode_picture, format_url
from fcn_lab.report.comparison import Arm
from fcn_lab.report.runs import Run
from fcn_lab.report.study import Study
from fcn_lab.runs.records import (
    MEGABYTE,
    PICTURE_LIMIT,
    PREDICTIONS_LIMIT,
    require_regular_file,
)
from fcn_lab.text.escaping import zip_text

# the errors of reading a file that is damaged or lacks the frames
UNSOUND = (
    *(OSError, LookupError, ValueError, SyntaxError, NotImplementedError, zipfile.BadZipFile),
    *(zlib.error, Image.DecompressionBombError),
)
FRAMES_SHOWN = 8
# of more arms, the best, the last, and others at even distances of rank are shown
ARMS_SHOWN = 24
# the least distance in frames between two of one drive: neighbours are nearly the same
SMALLEST_DISTANCE = 10
OVERLAY_COLOUR = (255, 0, 128)


@dataclass(frozen=True)
class PredictionArchive:
    """The archive of predictions that one run has kept."""

    files: Mapping[str, zipfile.ZipFile]

    @classmethod
    def open(cls, run: Run) -> "PredictionArchive":
        """Opens the archives that all ranks wrote.

        Raises:
            ValueError: one is larger than a run writes; it may come from a stranger.
        """
        archives = []
        for path in sorted(run.folder.glob("predictions*.zip")):
            if require_regular_file(path).st_size > PREDICTIONS_LIMIT:
                raise ValueError(f"{path.name} is larger than {PREDICTIONS_LIMIT // MEGABYTE} MiB")
            archives.append(zipfile.ZipFile(path))
        return cls({name: archive for archive in archives for name in archive.namelist()})

    def holds(self, frame: str) -> bool:
        """Returns whether it has the prediction of a frame."""
        return zip_text(f"{frame}.png") in self.files

    def read(self, name: str) -> bytes:
        """Returns the bytes of a file.

        Raises:
            ValueError: it is larger than a picture; the archive may come from a stranger.
        """
        member = zip_text(name)
        if self.files[member].getinfo(member).file_size > PICTURE_LIMIT:
            raise ValueError(
                f"{member} in predictions.zip is larger than {PICTURE_LIMIT // MEGABYTE} MiB"
            )
        return self.files[member].read(member)


def measure_accuracy(arm: Arm) -> NDArray[np.float64]:
    """Returns the pixel accuracy of each frame, the mean over seeds, (N,)."""
    correct_pixels = np.mean([run.matrices.trace(axis1=1, axis2=2) for run in arm.runs], axis=0)
    pixels = arm.runs[0].matrices.sum((1, 2))
    accuracies: NDArray[np.float64] = correct_pixels / np.maximum(pixels, 1)
    return accuracies


def rank_frames(study: Study, names: Collection[str], limit: int = FRAMES_SHOWN) -> list[int]:
    """Returns the frames whose accuracy differs most between arms, the most telling first.

    Args:
        study: what is reported.
        names: names of the frames to choose from.
        limit: how many at most.
    """
    accuracies = np.stack([measure_accuracy(arm) for arm in study.arms])
    spread, drives = accuracies.std(0), study.first_run.drives
    selection: list[int] = []
    for frame in map(int, np.argsort(-spread, kind="stable")):
        if len(selection) == limit:
            break
        if study.first_run.names[frame] in names and all(
            drives[frame] != drives[number] or abs(frame - number) >= SMALLEST_DISTANCE
            for number in selection
        ):
            selection.append(frame)
    return selection


def choose_arms(arms: Sequence[Arm], limit: int = ARMS_SHOWN) -> list[Arm]:
    """Returns all arms, or of many the best, the last, and others at even distances between."""
    if len(arms) <= limit:
        return list(arms)
    return [arms[round(position)] for position in np.linspace(0, len(arms) - 1, limit)]


def build_gallery(study: Study) -> dict[str, Any] | None:
    """Returns the gallery of these frames for the page; None where no run kept its predictions.

    Each arm is shown by its first seed; an arm that kept nothing is left out, and an arm whose file
    is damaged is named under ``damaged``.
    """
    keepers, damages = _open_archives(study)
    names = [n for n in study.first_run.names if all(a.holds(n) for a in keepers.values())]
    indices = rank_frames(study, frozenset(names or study.first_run.names))
    predictions: dict[str, list[dict[str, Any]]] = {}
    inputs: list[dict[str, Any]] = []
    colours: list[tuple[str, str]] = []
    names = [study.first_run.names[index] for index in indices]
    for arm in (arm for arm in study.arms if arm.name in keepers):
        accuracies, keeper = measure_accuracy(arm), keepers[arm.name]
        try:
            pictures = [
                _describe_frame(keeper, n, accuracies[i])
                for n, i in zip(names, indices, strict=True)
            ]
            inputs = inputs or [{"name": name, **_embed_input(keeper, name)} for name in names]
            colours = colours or read_legend(study, keeper, names[0])
            predictions[arm.name] = pictures
        except UNSOUND as error:
            damages.append(_describe_damage(arm, error))
    if not predictions and not damages:
        return None
    frames = [
        {**frame, "arms": {arm: pictures[number] for arm, pictures in predictions.items()}}
        for number, frame in enumerate(inputs)
    ]
    return {"frames": frames, "legend": colours, "damaged": damages}


def _open_archives(study: Study) -> tuple[dict[str, PredictionArchive], list[str]]:
    """Opens the archive of each arm's first seed; returns also a message for each damaged one."""
    keepers, damages = {}, []
    for arm in choose_arms(study.arms):
        try:
            keeper = PredictionArchive.open(arm.runs[0])
        except UNSOUND as error:
            damages.append(_describe_damage(arm, error))
        else:
            if keeper.files:
                keepers[arm.name] = keeper
    return keepers, damages


def _describe_damage(arm: Arm, error: Exception) -> str:
    return f"{arm.runs[0].folder}: predictions.zip is damaged ({error})"


def read_legend(study: Study, keeper: PredictionArchive, frame: str) -> list[tuple[str, str]]:
    """Reads name and colour of each class, from the palette of a kept prediction."""
    with Image.open(io.BytesIO(keeper.read(f"{frame}.png"))) as image:
        palette = np.array(image.getpalette()).reshape(-1, 3)
    colours = [format_hex(tuple(colour)) for colour in palette.tolist()]
    return list(zip(study.first_run.classes, colours, strict=False))


def draw_errors(truth: Pixels, guess: Pixels) -> bytes:
    """Returns a PNG of one colour where the prediction is wrong, transparent elsewhere."""
    picture = Image.fromarray(((truth != guess) & (truth != VOID)).astype(np.uint8))
    picture.putpalette([0, 0, 0, *OVERLAY_COLOUR])
    return encode_picture(picture, "png", transparency=0, bits=1)


def _embed_input(keeper: PredictionArchive, name: str) -> dict[str, str]:
    return {
        "picture": format_url(keeper.read(f"{name}.jpg"), "jpeg"),
        "truth": format_url(keeper.read(f"{name}.truth.png"), "png"),
    }


def _describe_frame(keeper: PredictionArchive, name: str, score: float) -> dict[str, Any]:
    truth, guess = (keeper.read(f"{name}{ending}") for ending in (".truth.png", ".png"))
    errors = draw_errors(_read_labels(truth), _read_labels(guess))
    images = {"prediction": format_url(guess, "png"), "errors": format_url(errors, "png")}
    return {**images, "accuracy": round(100 * float(score), 1)}


def _read_labels(png: bytes) -> Pixels:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)
