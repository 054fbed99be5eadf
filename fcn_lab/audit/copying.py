"""Scores labels that are copied from other frames, that is without a look at the picture.

A split on which they score high does not test a network. A copied void counts as the first class,
since a prediction has to name a class; a label of another size is stretched to the frame's.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from fcn_lab.audit.facts import DataFacts, SplitFacts
from fcn_lab.data.resizing import resize_label
from fcn_lab.metrics.confusion import confusion_matrices
from fcn_lab.metrics.scores import SplitScores, compute_scores
from fcn_lab.pixels import VOID, Pixels
from fcn_lab.text.terminal import report_progress

# rows of the matrix of distances between a split's frames and those of training at a time
LOOKALIKE_ROWS = 256
RULES = {
    "previous": "the label of the frame before it in its own split and drive",
    "lookalike": "the label of the training picture that looks most like it",
    "prior": "the commonest class of every pixel's place in training",
}


def score_copies(data: DataFacts) -> dict[str, dict[str, SplitScores]]:
    """Returns split → rule → scores, for every split that is not trained on."""
    train = data.splits.get("train")
    prior = location_prior(train, len(data.classes)) if train and train.frames else None
    scores: dict[str, dict[str, SplitScores]] = {}
    for name, split in data.scored_splits:
        guesses: dict[str, Iterable[Pixels]] = {}
        if len(split.frames) > 1:
            guesses["previous"] = (split.labels[i] for i in find_previous(split))
        if prior is not None and train is not None:
            guesses["lookalike"] = (train.labels[i] for i in find_lookalikes(split, train)[0])
            guesses["prior"] = (prior for _ in split.frames)
        scores[name] = {
            rule: _score_guesses(
                report_progress(guess, len(split.frames), f"{name}: copying labels ({rule})"),
                split.labels,
                data.classes,
            )
            for rule, guess in guesses.items()
        }
    return scores


def find_previous(split: SplitFacts) -> NDArray[np.int64]:
    """Returns (M,) the index of the frame before each; a drive's first frame takes the second.

    A frame that is alone in its drive takes its neighbour in the split.
    """
    indices = []
    for i, frame in enumerate(split.frames):
        neighbours = [j for j in (i - 1, i + 1) if 0 <= j < len(split.frames)]
        siblings = [j for j in neighbours if split.frames[j].sequence == frame.sequence]
        indices.append((siblings or neighbours or [i])[0])
    return np.array(indices, np.int64)


def find_lookalikes(
    split: SplitFacts, train: SplitFacts
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns (M,) the most similar training frame of each, and (M,) how much they differ.

    The difference is the root mean square over 12×16 small pixels, in grey levels 0…255.
    """
    previews, train_previews = _shrink_previews(split.previews), _shrink_previews(train.previews)
    train_squares, matches, match_distances = (train_previews**2).sum(1), [], []
    for start in range(0, max(len(previews), 1), LOOKALIKE_ROWS):
        rows = previews[start : start + LOOKALIKE_ROWS]
        distances = (rows**2).sum(1)[:, None] + train_squares - 2 * rows @ train_previews.T
        matches.append(distances.argmin(1))
        match_distances.append(np.maximum(distances.min(1), 0))
    differences = np.sqrt(np.concatenate(match_distances) / previews.shape[1])
    return np.concatenate(matches), differences


def location_prior(train: SplitFacts, num_classes: int) -> Pixels:
    """Returns (h,w) the most frequent class at each pixel; of several sizes the commonest."""
    (height, width), _ = Counter(label.shape for label in train.labels).most_common(1)[0]
    counts = np.zeros((num_classes, height * width), np.int64)
    for label in report_progress(train.labels, len(train.labels), "counting classes by place"):
        scaled_label = resize_label(label, (height, width)).ravel()
        places = np.flatnonzero(scaled_label < num_classes)
        counts[scaled_label[places], places] += 1
    return np.asarray(counts.argmax(0).reshape(height, width), np.uint8)


def _shrink_previews(previews: Pixels) -> NDArray[np.float64]:
    count, height, width, _ = previews.shape
    blocks = previews.reshape(count, height // 8, 8, width // 8, 8, 3).mean((2, 4))
    return np.asarray(blocks.reshape(count, -1), np.float64)


def _score_guesses(
    guesses: Iterable[Pixels], truths: Iterable[Pixels], classes: tuple[str, ...]
) -> SplitScores:
    total = torch.zeros(len(classes), len(classes), dtype=torch.int64)
    for guess, truth in zip(guesses, truths, strict=True):
        height, width = truth.shape
        label = resize_label(guess, (height, width))
        prediction = torch.from_numpy(np.where(label == VOID, 0, label))[None]
        total += confusion_matrices(prediction, torch.from_numpy(truth)[None], len(classes))[0]
    return compute_scores(total, classes)
