"""The scores of metrics.json, counted again from the confusion matrices beside it.

A number that was altered afterwards, or is that of another scoring, is told and not believed.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fcn_lab.metrics.scores import compute_scores
from fcn_lab.runs.names import METRICS
from fcn_lab.terminal import format_percent

# between a score that was written as text and the same one counted again
TOLERANCE = 1e-6
TITLES = {
    "mean_iou": "mean IoU",
    "pixel_accuracy": "G",
    "mean_accuracy": "C",
    "fw_iou": "fw IoU",
}
CLASS_TITLES = {"iou": "IoU", "accuracy": "accuracy"}


def correct_scores(
    folder: Path, metrics: Mapping[str, Any], kept: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Returns the scores that the matrices give, and a sentence for each split that said others.

    Args:
        folder: the run's.
        metrics: the content of metrics.json.
        kept: the arrays of each file of matrices, by its name.
    """
    corrected, sentences = dict(metrics), []
    for file, arrays in kept.items():
        split = str(arrays.get("split", ""))
        said = metrics.get(split)
        # a file that holds something else is no witness
        with suppress(LookupError, ValueError):
            counted = compute_scores(arrays["matrices"].sum(0), list(map(str, arrays["classes"])))
            if isinstance(said, Mapping) and (found := find_altered(said, counted)):
                corrected[split] = {**said, **counted}
                sentences.append(
                    f"{folder}: {METRICS} was altered, or is of another scoring: on {split} it "
                    f"says {found[0]}, and {file} counts {found[1]}. {file} is believed."
                )
    return corrected, tuple(sentences)


def find_altered(said: Mapping[str, Any], counted: Mapping[str, Any]) -> tuple[str, str] | None:
    """Returns the first score that differs, as said and as counted; None where all agree."""
    pairs = [(title, said.get(key), counted[key]) for key, title in TITLES.items() if key in said]
    for key, title in CLASS_TITLES.items():
        # of runs of before, metrics.json has no accuracy of each class
        if isinstance(by_class := said.get(key), Mapping):
            pairs += [
                (f"{title} of {name}", by_class.get(name), value)
                for name, value in counted[key].items()
                if name in by_class
            ]
    for title, ours, theirs in pairs:
        if (ours is None) != (theirs is None) or abs((ours or 0) - (theirs or 0)) > TOLERANCE:
            first, second = (format_percent(value, 3) or "no" for value in (ours, theirs))
            return f"{title} {first} %", f"{second} %"
    return None
