"""Writes a finished run's figures into the pages that quote them: python experiments/publish.py RUN_DIR STUDY.

Keeps the run's metrics.json, env.json, config.yaml and history.csv in experiments/STUDY/, and replaces what stands
between ``<!-- figures STUDY -->`` and ``<!-- end -->`` in README.md and in experiments/STUDY/README.md.
"""

import csv
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

EXPERIMENTS = Path(__file__).parent
KEPT = ("metrics.json", "config.yaml", "history.csv")
SCORES = {"pixel_accuracy": "G", "mean_accuracy": "C", "mean_iou": "mIoU", "fw_iou": "fw IoU"}


def main() -> None:
    """Publishes one run."""
    run, study = Path(sys.argv[1]), sys.argv[2]
    folder = EXPERIMENTS / study
    for name in KEPT:
        shutil.copy(run / name, folder / name)
    figures = table(run)
    for page in (EXPERIMENTS.parent / "README.md", folder / "README.md"):
        text = page.read_text()
        block = f"<!-- figures {study} -->\n{figures}\n<!-- end -->"
        page.write_text(re.sub(rf"<!-- figures {study} -->.*?<!-- end -->", lambda _: block, text, flags=re.DOTALL))


def table(run: Path) -> str:
    """The scores and the protocol of a run, as Markdown."""
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    env: dict[str, Any] = json.loads((run / "env.json").read_text())
    with (run / "history.csv").open() as file:
        epochs = sum(1 for _ in csv.DictReader(file))
    splits = [split for split in ("val", "test") if split in metrics]
    lines = [
        f"| split | {' | '.join(SCORES.values())} |",
        f"|---|{'---|' * len(SCORES)}",
        *(f"| {s} | {' | '.join(f'{100 * metrics[s][name]:.1f}' for name in SCORES)} |" for s in splits),
        "",
        "| IoU | " + " | ".join(metrics["test"]["iou"]) + " |",
        "|---|" + "---|" * len(metrics["test"]["iou"]),
        *(f"| {s} | {' | '.join(percent(v) for v in metrics[s]['iou'].values())} |" for s in splits),
        "",
        f"`{metrics['protocol']}`: {metrics['model']}, {metrics['upsample']}, encoder {metrics['encoder']}, seed "
        f"{metrics['seed']}, {metrics['params'] / 1e6:.2f} M parameters, {metrics['macs'] / 1e9:.2f} GMAC a frame, "
        f"{epochs} epochs and the scoring in {metrics['seconds'] / 60:.0f} minutes on {env['device']} with "
        f"{env['threads']} threads (torch {env['versions']['torch']}, commit {str(env['git_commit'])[:10]}).",
    ]
    return "\n".join(lines)


def percent(value: float | None) -> str:
    """With one decimal; a class absent from truth and prediction is a dash."""
    return "–" if value is None else f"{100 * value:.1f}"


if __name__ == "__main__":
    main()
