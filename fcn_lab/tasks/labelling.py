"""Writes the labels of a picture or video, the picture under their colours, and the scores."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePath

import numpy as np
from PIL import Image
from rich.progress import Progress

from fcn_lab.data.pictures.parts import COLOURS, show_colours
from fcn_lab.data.pictures.unreadable import Limit
from fcn_lab.inference.media import MediaError, Video, VideoFile, read_image
from fcn_lab.inference.predictor import Predictor
from fcn_lab.pixels import Pixels
from fcn_lab.rendering.pictures import colourise
from fcn_lab.tasks.inputs import InputFile
from fcn_lab.tasks.naming import append_ending
from fcn_lab.tasks.results import Results, show_path

# share of the class colour over the picture
OVERLAY_SHARE = 0.55


@dataclass(frozen=True)
class Labeller:
    """Labels one file after another.

    Args:
        predictor: labels a picture.
        results: writes the files.
        scores: whether to write each class's probability, too.
        progress: shows how many frames of a video are done.
        limit: the largest picture that is read.
    """

    predictor: Predictor
    results: Results
    scores: bool
    progress: Progress
    limit: Limit

    def label(self, source: InputFile, name: PurePath) -> None:
        """Writes all results of a file; if a video breaks off, those of its frames up to there.

        Raises:
            MediaError: the file is damaged, or no picture or video.
            UserError: a result cannot be written.
        """
        channels = self.predictor.channels
        if source.is_video and channels != COLOURS:
            raise MediaError(f"a video has {COLOURS} channels, and the network takes {channels}")
        if source.is_video:
            self._label_video(Video(source.path), name)
            return
        parts = [spec.part for spec in self.predictor.files]
        image = read_image(source.path, self.limit, parts, source.further_paths)
        overlay = self._write(image, name)
        with self.results.draft(append_ending(name, "_overlay.png")) as file:
            Image.fromarray(overlay).save(file)

    def _label_video(self, video: Video, name: PurePath) -> None:
        frames = iter(video)
        # a video without a frame fails here, before anything is written
        frames = chain([next(frames)], frames)
        self.results.clear_frames(name)
        damage: MediaError | None = None
        with self.results.draft(append_ending(name, "_overlay.mp4")) as file:
            film = VideoFile(file, video.rate)
            try:
                for number, frame in enumerate(self._track_frames(frames, video)):
                    film.add(self._write(frame, name / f"{number:06d}"))
            except MediaError as error:
                damage = error
            finally:
                film.close()
            if film.refusal is not None:
                raise film.refusal
        if damage is not None:
            raise damage

    def _track_frames(self, frames: Iterator[Pixels], video: Video) -> Iterator[Pixels]:
        title = show_path(PurePath(video.path.name))
        task = self.progress.add_task(title, total=video.length or None)
        try:
            for frame in frames:
                yield frame
                self.progress.advance(task)
        finally:
            self.progress.remove_task(task)

    def _write(self, image: Pixels, name: PurePath) -> Pixels:
        """Writes NAME.png and, where asked for, NAME.npz; returns the overlay (H,W,3)."""
        if self.scores:
            probabilities = self.predictor.probabilities(image)
            labels = probabilities.argmax(0).astype(np.uint8)
            scores, classes = probabilities.astype(np.float16), np.array(self.predictor.classes)
            with self.results.draft(append_ending(name, ".npz")) as file:
                np.savez_compressed(file, scores=scores, classes=classes)
        else:
            labels = self.predictor(image)
        palette = self.predictor.palette
        picture = Image.fromarray(labels)
        picture.putpalette([channel for colour in palette for channel in colour])
        with self.results.draft(append_ending(name, ".png")) as file:
            picture.save(file)
        colours = Image.fromarray(colourise(labels, palette))
        return np.asarray(Image.blend(Image.fromarray(show_colours(image)), colours, OVERLAY_SHARE))
