"""Lists the trials of a recipe: python experiments/trials.py RECIPE [EVALUATION …].

Reads experiments/RECIPE/trials.csv, a row a validation, and writes the table between
``<!-- figures trials -->`` and ``<!-- end -->`` of the README.md beside it: val mean IoU in % while
training, the mean over seeds. From scoring.csv it writes between ``<!-- figures scoring -->`` and
``<!-- end -->`` what other ways of scoring the trained networks give; the folders of evaluations of
val that are named write that file. Test plays no part in either.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from claims import format_row
from publish import EXPERIMENTS, replace_block

from fcn_lab.config.frozen import read_frozen
from fcn_lab.files import write_table
from fcn_lab.runs.outcomes import read_metrics

# classes of small things, whose scores are shown beside the mean
SMALL = ("Pole", "SignSymbol", "Pedestrian")
Trial = Sequence[Mapping[str, str]]


def main() -> None:
    """Writes the table of the recipe that the command line names."""
    if len(sys.argv) < 2 or not (EXPERIMENTS / sys.argv[1] / "trials.csv").exists():
        names = ", ".join(sorted(path.parent.name for path in EXPERIMENTS.glob("*/trials.csv")))
        sys.exit(f"trials.py: expected one of {names}")
    folder = EXPERIMENTS / sys.argv[1]
    replace_block(folder / "README.md", "trials", [tabulate_trials(folder / "trials.csv")])
    scoring = folder / "scoring.csv"
    if sys.argv[2:]:
        write_scoring([Path(name) for name in sys.argv[2:]], scoring)
    if scoring.exists():
        replace_block(folder / "README.md", "scoring", [tabulate_scoring(scoring)])


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


def write_scoring(evaluations: Sequence[Path], path: Path) -> None:
    """Writes a row for each evaluation of val: how it scored, its operations and its scores."""
    rows = []
    for folder in evaluations:
        scores, config = read_metrics(folder), read_frozen(folder / "config.yaml")
        dense, val = config["task"]["dense"], scores["val"]
        scales = ",".join(map(str, dense["scales"])) if dense else ""
        words = f"dense=scales dense.scales=[{scales}]" if dense else "dense=none"
        small = (val["iou"][name] for name in SMALL)
        rows.append((words, scores["seed"], scores["macs"], *small, val["mean_iou"]))
    write_table(path, [("settings", "seed", "macs", *SMALL, "mean IoU"), *rows])


def tabulate_scoring(path: Path) -> str:
    """Returns the Markdown table, a row for each way of scoring, scores in %, means over seeds."""
    ways = defaultdict[str, list[Mapping[str, str]]](list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            ways[row["settings"]].append(row)
    names = (*SMALL, "mean IoU")
    rows = [("settings", "GMAC a frame", "seeds", *names), ("---", *["---:"] * (2 + len(names)))]
    for settings, found in ways.items():
        scores = (f"{100 * fmean(float(row[name]) for row in found):.1f}" for name in names)
        operations = f"{int(found[0]['macs']) / 1e9:.1f}"
        rows.append((f"`{settings}`", operations, str(len(found)), *scores))
    return "\n".join(format_row(*row) for row in rows)


def _average_seeds(trial: Trial, epoch: int, seeds: int) -> str:
    """Returns the mean over all seeds; empty where one of them is not done."""
    scores = [float(row["val_mean_iou"]) for row in trial if int(row["epoch"]) == epoch]
    return f"{100 * fmean(scores):.1f}" if len(scores) == seeds else ""


if __name__ == "__main__":
    main()
