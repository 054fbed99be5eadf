"""Reads what a run has recorded: its scores, whose file shows that it is done, and its epochs."""

import os
import re
from pathlib import Path
from typing import Any

from fcn_lab.runs.names import HISTORY, METRICS, MONITOR, STAGES
from fcn_lab.runs.records import DamagedFile, read_json, read_rows

SCORE_NAMES = ("pixel_accuracy", "mean_accuracy", "mean_iou", "fw_iou")
# 300 years, more than any run takes
SECONDS_LIMIT = 1e10
_COUNT = re.compile(r"\d{1,18}")


def read_metrics(folder: Path) -> dict[str, Any]:
    """Returns the content of a finished run's metrics.json.

    Raises:
        DamagedFile: it names no protocol, or holds no split with its scores.
    """
    path = folder / METRICS
    metrics = read_json(path)
    if not isinstance(metrics.get("protocol"), str):
        raise DamagedFile(path, "it names no protocol")
    values = [metrics[name] for name in ("val", "test") if name in metrics]
    splits = [part for part in metrics.values() if isinstance(part, dict) and "mean_iou" in part]
    if not splits or any(part not in splits for part in values):
        raise DamagedFile(path, "it holds no scores of a split")
    means = [split["mean_iou"] for split in splits]
    if not all(isinstance(mean, int | float) and 0 <= mean <= 1 for mean in means):
        raise DamagedFile(path, "a mean_iou of it is not from 0 to 1")
    costs = [metrics.get(name) for name in ("seconds", "params", "macs")]
    scores = [split.get(name) for split in splits for name in SCORE_NAMES]
    by_class = [split.get(name) for split in splits for name in ("iou", "accuracy")]
    scores += [value for part in by_class if isinstance(part, dict) for value in part.values()]
    if not all(map(_holds_numbers, splits)) or not all(map(_is_number, [*scores, *costs])):
        raise DamagedFile(path, "a score of it, or its time, is no number")
    if not 0 <= (metrics.get("seconds") or 0) < SECONDS_LIMIT:
        raise DamagedFile(path, "its time is none that a run takes")
    return metrics


def is_finished(folder: Path) -> bool:
    """Returns whether a run is done, that is whether its metrics.json exists and is valid."""
    try:
        read_metrics(folder)
    except DamagedFile:
        return False
    return True


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float)


def _holds_numbers(node: object) -> bool:
    if isinstance(node, dict):
        return all(map(_holds_numbers, node.values()))
    return _is_number(node)


def read_all_epochs(folder: Path) -> list[dict[str, str]]:
    """Returns the rows of `read_history` after those of earlier stages, numbered throughout.

    Raises:
        DamagedFile: as `read_history`.
    """
    stages = [path for path in (folder / STAGES).glob("*") if re.fullmatch(r"fcn\d+s", path.name)]
    rows: list[dict[str, str]] = []
    # coarse first
    for stage in (*sorted(stages, key=lambda path: -int(path.name[3:-1])), folder):
        last_row = rows[-1] if rows else {}
        earlier = {
            "epoch": int(last_row.get("epoch", -1)) + 1,
            "step": int(last_row.get("step", 0)),
        }
        for row in read_history(stage):
            sums = {key: str(int(row[key]) + n) for key, n in earlier.items() if key in row}
            rows.append(row | sums)
    return rows


def read_history(folder: Path) -> list[dict[str, str]]:
    """Returns the rows of history.csv, one an epoch; none for a run that only scores.

    Raises:
        DamagedFile: as `read_rows`, and for an epoch, a time or a score that cannot be one.
    """
    path = folder / HISTORY
    if not os.path.lexists(path):
        return []
    rows = read_rows(path, ("epoch", "step", "seconds"))
    for number, row in enumerate(rows, 2):
        counts = all(_COUNT.fullmatch(row.get(name, "0")) for name in ("epoch", "step"))
        seconds, score = float(row.get("seconds") or 0), float(row.get(MONITOR) or 0)
        if not counts or not 0 <= seconds < SECONDS_LIMIT or not 0 <= score <= 1:
            raise DamagedFile(
                path, f"line {number} describes no epoch: {','.join(row.values())[:60]}"
            )
    return rows
