"""A trained network as a function from pictures to labels."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fcn_lab.data.files.picture_files import PictureFiles, read_images
from fcn_lab.data.packs.decode import read_parts
from fcn_lab.data.pictures.unreadable import LIMIT, Limit
from fcn_lab.errors import UserError
from fcn_lab.geometry.sizes import count_channels
from fcn_lab.inference.sliding_windows import score_strips
from fcn_lab.pixels import Pixels
from fcn_lab.runs.checkpoint import load_best_checkpoint, load_state
from fcn_lab.runs.run import RunFolder
from fcn_lab.text.terminal import format_count

Picture = Pixels | str | Path | Sequence[str | Path]
RGB_FILES = (PictureFiles("*"),)
# how many rows of probabilities are held at a time, beside the scores
STRIP_ROWS = 32


class Predictor:
    """Labels pictures; the network brings its own preprocessing.

    Args:
        net: float 0…1 (N,C,H,W), mostly RGB → scores (N,K,H,W).
        classes: K names.
        palette: K colours.
        flip: average the class probabilities of picture and mirrored picture.
        device: the device to compute on; None takes a GPU where there is one.
        files: the patterns and channels of the files that held a picture in training.

    Attributes:
        megapixels: the most pixels of a file, in millions.
        channels: C.
    """

    megapixels: float = LIMIT.megapixels

    def __init__(
        self,
        net: nn.Module,
        classes: Sequence[str],
        palette: Sequence[tuple[int, int, int]],
        flip: bool = False,
        device: str | torch.device | None = None,
        files: Sequence[PictureFiles] = RGB_FILES,
    ) -> None:
        self.files, self.channels = tuple(files), count_channels(net)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.net = net.to(self.device).eval()
        self.classes, self.palette, self.flip = tuple(classes), tuple(palette), flip

    @torch.inference_mode()
    def __call__(self, image: Picture) -> Pixels:
        """Maps uint8 (H,W,C), or a picture's file or files, to labels (H,W), uint8.

        Files are read as in training; of a picture in several, all are given in order.

        Raises:
            UserError: the array has another shape or type, or the file is no picture.
        """
        return np.concatenate(list(map(pick_labels, self._score_picture(image))))

    def probabilities(self, image: Picture) -> NDArray[np.float32]:
        """Maps uint8 (H,W,C), or a picture's files, to class probabilities (K,H,W), float32.

        Raises:
            UserError: the array has another shape or type, or the file is no picture.
        """
        return np.concatenate(list(self.strips(image)), 1)

    @torch.inference_mode()
    def strips(self, image: Picture) -> Iterator[NDArray[np.float32]]:
        """Yields the class probabilities from top to bottom, (K,≤32,W) each, float32.

        Raises:
            UserError: the array has another shape or type, or the file is no picture.
        """
        for scores in self._score_picture(image):
            for part in torch.split(scores[0], STRIP_ROWS, 1):
                shares = part / 2 if self.flip else part.softmax(0)
                yield shares.float().cpu().numpy()

    def _score_picture(self, picture: Picture) -> Iterator[Tensor]:
        """Yields (1,K,h,W) from top to bottom; with `flip` the sum of two probabilities."""
        limit = Limit(self.megapixels, "predictor.megapixels")
        image = picture if isinstance(picture, np.ndarray) else self._read(picture, limit)
        has_shape = image.ndim == 3 and image.shape[2] == self.channels and image.size > 0
        if not has_shape or image.dtype != np.uint8:
            raise UserError(
                f"a picture of shape {image.shape} and type {image.dtype}: expected uint8 "
                f"(H, W, {self.channels})"
            )
        batch = torch.from_numpy(np.array(image, order="C")).to(self.device).permute(2, 0, 1)[None]
        strips = score_strips(self.net, batch)
        if not self.flip:
            return strips
        # zip would keep its last strips while the next ones are scored
        return chain.from_iterable(map(add_mirrored, strips, score_strips(self.net, batch.flip(3))))

    def _read(self, picture: str | Path | Sequence[str | Path], limit: Limit) -> Pixels:
        entries = [picture] if isinstance(picture, str | Path) else picture
        if not isinstance(entries, list | tuple) or not all(
            isinstance(entry, str | Path) for entry in entries
        ):
            raise UserError(
                f"a picture of type {type(picture).__name__}: expected a file's path, or an array "
                f"uint8 (H, W, {self.channels}), as np.asarray(picture) is"
            )
        paths = list(map(Path, entries))
        if len(paths) != len(self.files):
            channels = ", ".join(file.describe() for file in self.files)
            raise UserError(
                f"{format_count(len(paths), 'file')} of a picture: the network was trained on "
                f"{len(self.files)}, with channels {channels}"
            )
        return read_parts(paths, limit, [file.part for file in self.files])


def add_mirrored(scores: Tensor, mirror_scores: Tensor) -> Iterator[Tensor]:
    """Yields the summed probabilities of picture and mirrored picture, (1,K,≤32,W) each."""
    for rows, mirror_rows in zip(
        *(torch.split(x, STRIP_ROWS, 2) for x in (scores, mirror_scores)), strict=True
    ):
        yield rows.softmax(1).add_(mirror_rows.softmax(1).flip(3))


def pick_labels(scores: Tensor) -> Pixels:
    """Maps scores (1,K,h,W) to the labels of the largest ones, (h,W), uint8."""
    return scores.max(1).indices[0].to(torch.uint8).cpu().numpy()


def load_predictor(
    net: nn.Module,
    run: Path,
    flip: bool = False,
    dense: Callable[[nn.Module], nn.Module] | None = None,
) -> Predictor:
    """Loads a run's best network with its recorded classes and colours; needs no data.

    Args:
        net: a network built from the run's configuration.
        run: the folder of a training run.
        flip: see `Predictor`.
        dense: wraps the network in one that scores otherwise, as the words of `dense=` do.

    Raises:
        UserError: the run has no weights, they belong to another network, or `dense` does not fit
            the network.
    """
    checkpoint = load_best_checkpoint(run)
    trained_net = load_state(net, checkpoint["state_dict"], run)
    scorer = trained_net if dense is None else dense(trained_net)
    files = find_picture_files(run)
    return Predictor(scorer, checkpoint["classes"], checkpoint["palette"], flip, files=files)


def find_picture_files(run: Path) -> tuple[PictureFiles, ...]:
    """Returns the patterns and channels of the pictures that a run was trained on.

    Raises:
        UserError: its configuration names no pictures that can be read.
    """
    data = RunFolder(run).read_config().get("data")
    images = data.get("images") if isinstance(data, dict) else None
    return RGB_FILES if images is None else read_images(images)
