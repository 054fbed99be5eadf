"""The scores of metrics.json, counted again from the confusion matrices beside it.

A number that was altered afterwards, or belongs to another scoring, is reported and not used.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fcn_lab.metrics.scores import compute_scores
from fcn_lab.runs.names import METRICS
from fcn_lab.runs.records import DamagedFile
from fcn_lab.text.terminal import format_percent

# the most pixels of a pair of classes in a frame
MOST_PIXELS = 2**40
# the largest difference between a score written as text and the same score counted again
TOLERANCE = 1e-6
TITLES = {
    "mean_iou": "mean IoU",
    "pixel_accuracy": "G",
    "mean_accuracy": "C",
    "fw_iou": "fw IoU",
}
CLASS_TITLES = {"iou": "IoU", "accuracy": "accuracy"}


def require_matrices(arrays: Mapping[str, Any], path: Path) -> None:
    """Raises DamagedFile unless the arrays of a file hold a confusion matrix for each frame."""
    forms = {"names": ("U", 1), "classes": ("U", 1), "split": ("U", 0), "matrices": ("iu", 3)}
    for name, (kinds, axes) in forms.items():
        array = arrays.get(name)
        if array is None or array.dtype.kind not in kinds or array.ndim != axes:
            raise DamagedFile(path, f"it holds no {name}")
    matrices, frames, classes = arrays["matrices"], len(arrays["names"]), len(arrays["classes"])
    if not frames or matrices.shape != (frames, classes, classes):
        raise DamagedFile(path, "it holds no matrix for each frame")
    if arrays.get("drives", arrays["names"]).shape != (frames,):
        raise DamagedFile(path, "it holds no drive for each frame")
    if matrices.min() < 0 or matrices.max() > MOST_PIXELS:
        raise DamagedFile(path, "a matrix of it counts no pixels")


def correct_scores(
    folder: Path, metrics: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Returns the scores that the matrices give, and a sentence for each split that differs.

    Args:
        folder: the run's folder.
        metrics: the content of metrics.json.
        files: the arrays of each file of matrices, by its name.
    """
    scores, sentences = dict(metrics), []
    for file, arrays in files.items():
        split = str(arrays.get("split", ""))
        claim = metrics.get(split)
        # a file that holds something else proves nothing
        with suppress(LookupError, TypeError, ValueError):
            counts = compute_scores(arrays["matrices"].sum(0), list(map(str, arrays["classes"])))
            if isinstance(claim, Mapping) and (difference := find_altered(claim, counts)):
                scores[split] = {**claim, **counts}
                sentences.append(
                    f"{folder}: {METRICS} was altered, or is of another scoring: on {split} it "
                    f"says {difference[0]}, and {file} counts {difference[1]}. {file} is believed."
                )
    return scores, tuple(sentences)


def find_altered(claim: Mapping[str, Any], counts: Mapping[str, Any]) -> tuple[str, str] | None:
    """Returns the first score that differs, as claimed and as counted; None where all agree."""
    pairs = [(title, claim.get(key), counts[key]) for key, title in TITLES.items() if key in claim]
    for key, title in CLASS_TITLES.items():
        # metrics.json of earlier runs has no accuracy of each class
        if isinstance(by_class := claim.get(key), Mapping):
            pairs += [
                (f"{title} of {name}", by_class.get(name), value)
                for name, value in counts[key].items()
                if name in by_class
            ]
    for title, first, second in pairs:
        if (first is None) != (second is None) or abs((first or 0) - (second or 0)) > TOLERANCE:
            texts = [format_percent(value, 3) or "no" for value in (first, second)]
            return f"{title} {texts[0]} %", f"{texts[1]} %"
    return None
