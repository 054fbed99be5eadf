"""task=predict: label pictures and videos with the best weights of a run."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from fcn_lab.errors import UserError
from fcn_lab.panels import Pixels, colourise
from fcn_lab.predictor import Predictor, load_predictor
from fcn_lab.tasks.footage import UNREADABLE, Video, VideoFile, found, is_video, names, read
from fcn_lab.tasks.scoring import say
from fcn_lab.tiling import SlidingWindows

OVERLAY = 0.55  # share of the class colour over the picture


class Predict:
    """Writes, for every picture, an index PNG and the picture under the colours of its classes.

    A video NAME becomes a folder NAME of index PNGs, a frame each, and NAME_overlay.mp4.

    Args:
        run: the folder of the training run.
        net: its network.
        input: files, folders or patterns such as "drive/*.jpg".
        output: the folder to write to.
        flip: average over picture and mirrored picture.
        scores: also write each class's probability, float16 (K,H,W), as .npz beside the PNG.
        dense: makes of the network the one that scores: in windows, at several scales, …
    """

    def __init__(
        self,
        run: str | Path,
        net: nn.Module,
        input: str | Sequence[str],
        output: str,
        flip: bool = False,
        scores: bool = False,
        dense: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        self.source, self.net, self.dense = Path(run), net, dense
        self.input, self.output, self.flip, self.scores = input, Path(output), flip, scores

    def run(self, folder: Path) -> None:
        """Labels every file; bad ones are named, and the rest is finished first.

        Raises:
            UserError: where there is no file, the results would lie over it, some were bad, or
                `dense` is not for the run's network.
        """
        paths = found(self.input)
        if inside := [path for path in paths if path.parent.resolve() == self.output.resolve()]:
            raise UserError(
                f"output={self.output} holds {inside[0].name}, which is to be labelled: "
                "results would overwrite it.\nChoose another folder"
            )
        predictor = load_predictor(self.net, self.source, self.flip, self.dense)
        if isinstance(predictor.net, SlidingWindows):
            say(predictor.net.describe())
        self.output.mkdir(parents=True, exist_ok=True)
        bad = []
        with bar() as progress:
            task = progress.add_task("labelling", total=len(paths))
            for path, name in zip(paths, names(paths), strict=True):
                try:
                    if is_video(path):
                        self._label_video(Video(path), name, predictor, progress)
                    else:
                        self._label(read(path), self.output / name, predictor)
                except UNREADABLE as error:
                    kind = "video" if is_video(path) else "picture"
                    progress.print(f"{path}: not a readable {kind} ({error})", markup=False)
                    bad.append(path)
                progress.advance(task)
        say(f"{len(paths) - len(bad)} of {len(paths)} files labelled, in {self.output}")
        if bad:
            raise UserError(
                f"{len(bad)} of {len(paths)} files could not be read: {', '.join(map(str, bad))}"
            )

    def _label(self, image: Pixels, place: Path, predictor: Predictor) -> None:
        mixed = self._write(image, place, predictor)
        Image.fromarray(mixed).save(f"{place}_overlay.png")

    def _label_video(
        self, video: Video, name: str, predictor: Predictor, progress: Progress
    ) -> None:
        (self.output / name).mkdir(exist_ok=True)
        shown = VideoFile(self.output / f"{name}_overlay.mp4", video.rate)
        task = progress.add_task(video.path.name, total=video.length or None)
        try:
            for number, frame in enumerate(video):
                shown.add(self._write(frame, self.output / name / f"{number:06d}", predictor))
                progress.advance(task)
        finally:
            shown.close()
            progress.remove_task(task)

    def _write(self, image: Pixels, place: Path, predictor: Predictor) -> Pixels:
        """Leaves PLACE.png and, where asked for, PLACE.npz; gives the overlay."""
        if self.scores:
            probabilities = predictor.probabilities(image)
            labels = probabilities.argmax(0).astype(np.uint8)
            np.savez_compressed(
                f"{place}.npz",
                scores=probabilities.astype(np.float16),
                classes=np.array(predictor.classes),
            )
        else:
            labels = predictor(image)
        indexed = Image.fromarray(labels)
        indexed.putpalette([channel for colour in predictor.palette for channel in colour])
        indexed.save(f"{place}.png")
        colours = Image.fromarray(colourise(labels, predictor.palette))
        return np.asarray(Image.blend(Image.fromarray(image), colours, OVERLAY))


def bar() -> Progress:
    """Of files and, below, of the frames of a video; nothing where there is no terminal."""
    console = Console(soft_wrap=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
