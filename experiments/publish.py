"""Writes results into the pages that quote them: python experiments/publish.py FOLDER STUDY.

FOLDER is a finished run's or a sweep's. Keeps its numbers in experiments/STUDY/, and replaces what
stands between ``<!-- figures STUDY -->`` and ``<!-- end -->`` in README.md and in the study's own.
"""

import csv
import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fcn_lab.escaping import csv_cell, markdown_row
from fcn_lab.report.gradient_flow import report

EXPERIMENTS = Path(__file__).parent
FRONT_PAGE = EXPERIMENTS.parent / "README.md"
KEPT = ("metrics.json", "history.csv")  # config.yaml names a folder of its machine
SCORES = {"pixel_accuracy": "G", "mean_accuracy": "C", "mean_iou": "mIoU", "fw_iou": "fw IoU"}


def main() -> None:
    """Publishes one run or one sweep."""
    source, study = Path(sys.argv[1]), sys.argv[2]
    folder = EXPERIMENTS / study
    for name in KEPT:
        if (source / name).exists():
            shutil.copy(source / name, folder / name)
    if (source / "results.csv").exists():
        keep(results(source), folder / "results.csv")
        figures = flow(source) if any(source.glob("*/gradients.csv")) else grid(source)
    else:
        figures = table(source)
        replace(FRONT_PAGE, f"{study} scores", overall(source))
    for page in (FRONT_PAGE, folder / "README.md"):
        replace(page, study, figures)


def keep(cells: Sequence[dict[str, str]], path: Path) -> None:
    """Writes a sweep's rows without their folders, which are those of its machine."""
    names = [name for name in cells[0] if name != "folder"]
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
        rows.writeheader()
        rows.writerows({name: csv_cell(cell[name]) for name in names} for cell in cells)


def replace(page: Path, study: str, figures: str) -> None:
    """Puts the figures between the study's marks."""
    block = f"<!-- figures {study} -->\n{figures}\n<!-- end -->"
    marks = rf"<!-- figures {study} -->.*?<!-- end -->"
    page.write_text(re.sub(marks, lambda _: block, page.read_text(), flags=re.DOTALL))


def table(run: Path) -> str:
    """The scores of a run, of its classes too, and its protocol, as Markdown."""
    metrics = read(run)
    lines = [
        *scores(metrics),
        "",
        row("IoU", *metrics["test"]["iou"]),
        row(*["---"] * (1 + len(metrics["test"]["iou"]))),
        *(row(s, *map(percent, metrics[s]["iou"].values())) for s in scored_splits(metrics)),
        "",
        circumstances(run, metrics),
    ]
    return "\n".join(lines)


def overall(run: Path) -> str:
    """The scores of a run without those of its classes, and its protocol, as Markdown."""
    metrics = read(run)
    return "\n".join([*scores(metrics), "", circumstances(run, metrics)])


def scores(metrics: dict[str, Any]) -> list[str]:
    """A row of scores for each split."""
    return [
        row("split", *SCORES.values()),
        row(*["---"] * (1 + len(SCORES))),
        *(
            row(split, *(percent(metrics[split][name]) for name in SCORES))
            for split in scored_splits(metrics)
        ),
    ]


def scored_splits(metrics: dict[str, Any]) -> list[str]:
    """Those of val and test that the run was scored on."""
    return [split for split in ("val", "test") if split in metrics]


def read(run: Path) -> dict[str, Any]:
    """The content of a run's metrics.json."""
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return metrics


def grid(sweep: Path) -> str:
    """Test mean IoU and pixel accuracy of every model and operator of a sweep, as Markdown."""
    cells = {(cell["model"], cell["upsample"]): cell for cell in results(sweep)}
    models = list(dict.fromkeys(model for model, _ in cells))
    operators = list(dict.fromkeys(operator for _, operator in cells))
    return "\n".join(
        [
            row("mIoU (G)", *models),
            row(*["---"] * (1 + len(models))),
            *(row(op, *(score(cells[model, op]) for model in models)) for op in operators),
            "",
            extent(sweep, "test"),
        ]
    )


def flow(sweep: Path) -> str:
    """Gradients by stage and steps to a score, of every arm of a sweep, as Markdown."""
    return "\n".join([*report(sweep), "", extent(sweep, "val")])


def extent(sweep: Path, split: str) -> str:
    """Protocol, split scored, seeds, cells and cost of a sweep in a sentence."""
    cells = results(sweep)
    metrics = json.loads(next(sweep.glob("*/metrics.json")).read_text())
    seeds = ", ".join(sorted({cell["seed"] for cell in cells}, key=int))
    minutes = sum(float(cell["seconds"]) for cell in cells) / 60
    return (
        f"`{metrics['protocol']}`, {split}, encoder {metrics['encoder']}, seed {seeds}; "
        f"{len(cells)} cells in {minutes:.0f} minutes on two CPU cores."
    )


def results(sweep: Path) -> list[dict[str, str]]:
    """A row a cell."""
    with (sweep / "results.csv").open() as file:
        return list(csv.DictReader(file))


def score(cell: dict[str, str]) -> str:
    """Mean IoU and pixel accuracy of one cell; its status where it has none."""
    if cell["status"] != "done":
        return cell["status"]
    return (
        f"{percent(float(cell['test_mean_iou']))} ({percent(float(cell['test_pixel_accuracy']))})"
    )


def circumstances(run: Path, metrics: dict[str, Any]) -> str:
    """Protocol, network, cost, device and commit in a sentence."""
    env: dict[str, Any] = json.loads((run / "env.json").read_text())
    with (run / "history.csv").open() as file:
        epochs = sum(1 for _ in csv.DictReader(file))
    return (
        f"`{metrics['protocol']}`: {metrics['model']}, {metrics['upsample']}, "
        f"encoder {metrics['encoder']}, seed {metrics['seed']}, "
        f"{metrics['params'] / 1e6:.2f} M parameters, {metrics['macs'] / 1e9:.2f} GMAC a frame; "
        f"{epochs} epochs and the scoring took {metrics['seconds'] / 60:.0f} minutes on "
        f"{env['device']} with {env['threads']} threads (torch {env['versions']['torch']}, "
        f"commit {str(env['git_commit'])[:10]})."
    )


def row(*cells: str) -> str:
    """A line of a Markdown table."""
    return markdown_row(cells)


def percent(value: float | None) -> str:
    """With one decimal; a class absent from truth and prediction is a dash."""
    return "–" if value is None else f"{100 * value:.1f}"


if __name__ == "__main__":
    main()
