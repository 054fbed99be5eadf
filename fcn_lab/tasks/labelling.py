"""What is written of a picture or video: labels, the picture under their colours, scores."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePath

import numpy as np
from PIL import Image
from rich.progress import Progress

from fcn_lab.data.pictures.unreadable import Limit
from fcn_lab.inference.media import MediaError, Video, VideoFile, read_image
from fcn_lab.inference.predictor import Predictor
from fcn_lab.rendering.pictures import Pixels, colourise
from fcn_lab.tasks.inputs import Given
from fcn_lab.tasks.naming import with_ending
from fcn_lab.tasks.results import Results, shown

OVERLAY = 0.55  # share of the class colour over the picture


@dataclass(frozen=True)
class Labeller:
    """Labels one file after another.

    Args:
        predictor: the network.
        results: where to write.
        scores: also write each class's probability.
        progress: shows how far a video is.
        limit: most of a picture.
    """

    predictor: Predictor
    results: Results
    scores: bool
    progress: Progress
    limit: Limit

    def label(self, given: Given, name: PurePath) -> None:
        """Writes all results of a file; of a video that breaks off, those of its frames until then.

        Raises:
            Unreadable: the file is no sound picture or video.
            UserError: a result cannot be written.
        """
        if given.is_video:
            self._label_video(Video(given.path), name)
            return
        mixed = self._write(read_image(given.path, self.limit), name)
        with self.results.draft(with_ending(name, "_overlay.png")) as file:
            Image.fromarray(mixed).save(file)

    def _label_video(self, video: Video, name: PurePath) -> None:
        frames = iter(video)
        frames = chain([next(frames)], frames)  # no result of a video without a frame
        self.results.clear_frames(name)
        broken: MediaError | None = None
        with self.results.draft(with_ending(name, "_overlay.mp4")) as file:
            film = VideoFile(file, video.rate)
            try:
                for number, frame in enumerate(self._counted(frames, video)):
                    film.add(self._write(frame, name / f"{number:06d}"))
            except MediaError as error:
                broken = error
            finally:
                film.close()
        if broken is not None:
            raise broken

    def _counted(self, frames: Iterator[Pixels], video: Video) -> Iterator[Pixels]:
        title = shown(PurePath(video.path.name))
        task = self.progress.add_task(title, total=video.length or None)
        try:
            for frame in frames:
                yield frame
                self.progress.advance(task)
        finally:
            self.progress.remove_task(task)

    def _write(self, image: Pixels, name: PurePath) -> Pixels:
        """Leaves NAME.png and, where asked for, NAME.npz; gives the overlay."""
        if self.scores:
            probabilities = self.predictor.probabilities(image)
            labels = probabilities.argmax(0).astype(np.uint8)
            halves, classes = probabilities.astype(np.float16), np.array(self.predictor.classes)
            with self.results.draft(with_ending(name, ".npz")) as file:
                np.savez_compressed(file, scores=halves, classes=classes)
        else:
            labels = self.predictor(image)
        palette = self.predictor.palette
        indexed = Image.fromarray(labels)
        indexed.putpalette([channel for colour in palette for channel in colour])
        with self.results.draft(with_ending(name, ".png")) as file:
            indexed.save(file)
        colours = Image.fromarray(colourise(labels, palette))
        return np.asarray(Image.blend(Image.fromarray(image), colours, OVERLAY))
