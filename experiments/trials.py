"""Lists the trials of a recipe: python experiments/trials.py RECIPE [RUN …].

Reads experiments/RECIPE/trials.csv, a row a validation, and writes the table between
``<!-- figures trials -->`` and ``<!-- end -->`` of the README.md beside it: val mean IoU in % while
training, the mean over seeds. From scoring.csv it writes between ``<!-- figures scoring -->`` and
``<!-- end -->`` what other ways of scoring the trained networks give, and from suspects.csv what
other networks do. Runs that are named are added to these files, or take their own rows' places:
evaluations of val in the first, trainings in the second. Test plays no part in any.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from claims import format_row
from publish import EXPERIMENTS, replace_block

from fcn_lab.config.frozen import read_frozen
from fcn_lab.files import write_table
from fcn_lab.runs.names import HISTORY
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
    runs = [Path(name) for name in sys.argv[2:]]
    trainings = [run for run in runs if (run / HISTORY).exists()]
    evaluations = [run for run in runs if run not in trainings]
    for name, members in {"scoring": evaluations, "suspects": trainings}.items():
        path = folder / f"{name}.csv"
        if members:
            add_scores(members, path)
        if path.exists():
            replace_block(folder / "README.md", name, [tabulate_scores(path)])


def tabulate_trials(path: Path) -> str:
    """Returns the Markdown table, a row for all seeds of the same settings and precision."""
    trials = defaultdict[tuple[str, ...], list[Mapping[str, str]]](list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            trials[row["settings"], row["precision"], row["epochs"]].append(row)
    epochs_of_trials = [{int(row["epoch"]) for row in rows} for rows in trials.values()]
    epochs = sorted({*sorted(set.union(*epochs_of_trials))[::2], *map(max, epochs_of_trials)})
    head = ("settings", "precision", "epochs", "seeds", *(f"val at {epoch}" for epoch in epochs))
    rows = [head, ("---", "---", *["---:"] * (len(head) - 2))]
    for settings, rows_of_trial in trials.items():
        seeds = len({row["seed"] for row in rows_of_trial})
        scores = (_average_seeds(rows_of_trial, epoch, seeds) for epoch in epochs)
        rows.append((f"`{settings[0]}`", *settings[1:], str(seeds), *scores))
    return "\n".join(format_row(*row) for row in rows)


def add_scores(runs: Sequence[Path], path: Path) -> None:
    """Writes a row for each run: what it differs in, its operations and its scores on val.

    Rows of the file that tell of other runs stay. Those of CamVid's split at half the size come
    first, then those of a split by drives, then those at full size.
    """
    rows = {}
    if path.exists():
        with path.open(newline="") as file:
            rows = {tuple(row[:2]): row for row in list(csv.reader(file))[1:]}
    for folder in runs:
        scores, config = read_metrics(folder), read_frozen(folder / "config.yaml")
        small = (scores["val"]["iou"][name] for name in SMALL)
        key = (_describe_run(config), str(scores["seed"]))
        rows[key] = [*key, scores["macs"], *small, scores["val"]["mean_iou"]]
    order = sorted(rows, key=lambda key: [name in key[0] for name in ("data.size", "split_by")])
    head = ("settings", "seed", "macs", *SMALL, "mean IoU")
    write_table(path, [head, *(rows[key] for key in order)])


def _describe_run(config: Mapping[str, Any]) -> str:
    if "dense" not in config["task"]:
        return " ".join(_list_words(config))
    if not (dense := config["task"]["dense"]):
        return "dense=none"
    return f"dense=scales dense.scales=[{','.join(map(str, dense['scales']))}]"


def _list_words(config: Mapping[str, Any]) -> Iterator[str]:
    """Yields the network, then what a training has otherwise than experiment=suspects."""
    choices, data = config["choices"], config["data"]
    refine = config["task"]["net"]["upsample"]["refine"]
    yield f"model={choices['model']}"
    if refine != "conv":
        yield f"upsample.refine={refine}"
    if choices["augment"] != "strong":
        yield f"augment={choices['augment']}"
    if data["held_out"]:
        yield f"data.split_by=drive data.held_out={data['held_out']}"
    if data["size"] != [180, 240]:
        yield f"data.size=[{','.join(map(str, data['size']))}]"


def tabulate_scores(path: Path) -> str:
    """Returns the Markdown table, a row for the same settings, scores in %, means over seeds."""
    groups = defaultdict[str, list[Mapping[str, str]]](list)
    with path.open(newline="") as file:
        for row in sorted(csv.DictReader(file), key=lambda row: int(row["seed"])):
            groups[row["settings"]].append(row)
    names = (*SMALL, "mean IoU")
    head = ("settings", "GMAC a frame", "seeds", *names, "mean IoU of each seed")
    rows = [head, ("---", *["---:"] * (len(head) - 1))]
    for settings, members in groups.items():
        scores = (f"{100 * fmean(float(row[name]) for row in members):.1f}" for name in names)
        single = ", ".join(f"{100 * float(row['mean IoU']):.1f}" for row in members)
        operations = f"{int(members[0]['macs']) / 1e9:.1f}"
        rows.append((f"`{settings}`", operations, str(len(members)), *scores, single))
    return "\n".join(format_row(*row) for row in rows)


def _average_seeds(trial: Trial, epoch: int, seeds: int) -> str:
    """Returns the mean over all seeds; empty where one of them is not done."""
    scores = [float(row["val_mean_iou"]) for row in trial if int(row["epoch"]) == epoch]
    return f"{100 * fmean(scores):.1f}" if len(scores) == seeds else ""


if __name__ == "__main__":
    main()
