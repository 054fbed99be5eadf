"""Lists the trials of a recipe: python experiments/trials.py RECIPE.

Reads experiments/RECIPE/trials.csv, a row a validation, and writes the table between
``<!-- figures trials -->`` and ``<!-- end -->`` of the README.md beside it: val mean IoU in % while
training, the mean over seeds. Test plays no part in it.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from claims import format_row
from publish import EXPERIMENTS, replace_block

Trial = Sequence[Mapping[str, str]]


def main() -> None:
    """Writes the table of the recipe that the command line names."""
    if len(sys.argv) != 2 or not (EXPERIMENTS / sys.argv[1] / "trials.csv").exists():
        names = ", ".join(sorted(path.parent.name for path in EXPERIMENTS.glob("*/trials.csv")))
        sys.exit(f"trials.py: expected one of {names}")
    folder = EXPERIMENTS / sys.argv[1]
    replace_block(folder / "README.md", "trials", [tabulate_trials(folder / "trials.csv")])


def tabulate_trials(path: Path) -> str:
    """Returns the Markdown table, a row for all seeds of the same settings and precision."""
    trials = defaultdict[tuple[str, ...], list[Mapping[str, str]]](list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            trials[row["settings"], row["precision"], row["epochs"]].append(row)
    epochs = sorted({int(row["epoch"]) for rows in trials.values() for row in rows})[::2]
    head = ("settings", "precision", "epochs", "seeds", *(f"val at {epoch}" for epoch in epochs))
    rows = [head, ("---", "---", *["---:"] * (len(head) - 2))]
    for settings, rows_of_trial in trials.items():
        seeds = len({row["seed"] for row in rows_of_trial})
        scores = (_average_seeds(rows_of_trial, epoch, seeds) for epoch in epochs)
        rows.append((f"`{settings[0]}`", *settings[1:], str(seeds), *scores))
    return "\n".join(format_row(*row) for row in rows)


def _average_seeds(trial: Trial, epoch: int, seeds: int) -> str:
    """Returns the mean over all seeds; empty where one of them is not done."""
    scores = [float(row["val_mean_iou"]) for row in trial if int(row["epoch"]) == epoch]
    return f"{100 * fmean(scores):.1f}" if len(scores) == seeds else ""


if __name__ == "__main__":
    main()
