"""A study's pictures, each for a light and for a dark page."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fcn_lab.rendering.html import COLOURS

THEMES = {
    "light": {"ink": "#1f2328", "grid": "#d1d9e0"},
    "dark": {"ink": "#f0f6fc", "grid": "#3d444d"},
}
MARKERS = "osD^vXP*"


def draw_forest(arms: Sequence[Mapping[str, str]], title: str, path: Path) -> None:
    """Draws each arm's mean IoU in % with its 95 % interval, a row an arm, the first on top.

    Args:
        arms: rows of a report's arms.csv, with `arm`, `mean_iou`, `low` and `high`.
        title: what the figure shows.
        path: of the pictures, to which ``_light.png`` and ``_dark.png`` are added.
    """
    rows = list(reversed(arms))

    def draw(axes: Axes, ink: str) -> None:
        for place, row in enumerate(rows):
            value = 100 * float(row["mean_iou"])
            if row["low"]:
                ends = [100 * float(row["low"]), 100 * float(row["high"])]
                axes.plot(ends, [place, place], color=COLOURS[0], linewidth=2)
            axes.plot(value, place, "o", color=COLOURS[0], markersize=8)
            note = (value, place), (0, 7)
            axes.annotate(
                f"{value:.1f}", note[0], note[1], textcoords="offset points", ha="center", color=ink
            )
        axes.set_yticks(range(len(rows)), [row["arm"] for row in rows])
        axes.set_ylim(-0.6, len(rows) - 0.2)
        axes.set_xlabel("mean IoU on test, %, with 95 % intervals over frames and seeds")

    _save(draw, title, path, height=1.3 + 0.42 * len(rows))


def draw_curves(curves: Mapping[str, Mapping[int, float]], title: str, path: Path) -> None:
    """Draws each arm's mean IoU on val over epochs.

    Args:
        curves: by arm, mean IoU by epoch.
        title: what the figure shows.
        path: as for `draw_forest`.
    """

    def draw(axes: Axes, ink: str) -> None:
        for place, (arm, curve) in enumerate(curves.items()):
            look = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
            epochs = sorted(curve)
            axes.plot(
                epochs, [100 * curve[epoch] for epoch in epochs], label=arm, markersize=4, **look
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel("mean IoU on val, %, mean over seeds")
        legend = axes.legend(frameon=False, fontsize=9)
        for text in legend.get_texts():
            text.set_color(ink)

    _save(draw, title, path, height=4.2)


def read_curves(histories: Mapping[str, Sequence[Path]]) -> dict[str, dict[int, float]]:
    """Returns each arm's mean IoU on val by epoch, as the mean over its runs' history.csv."""
    found: dict[str, dict[int, float]] = {}
    for arm, paths in histories.items():
        scores: dict[int, list[float]] = defaultdict(list)
        for path in paths:
            with path.open() as file:
                for row in csv.DictReader(file):
                    if row.get("val/mean_iou"):
                        scores[int(row["epoch"]) + 1].append(float(row["val/mean_iou"]))
        found[arm] = {epoch: float(np.mean(values)) for epoch, values in scores.items()}
    return found


def picture_tag(name: str, text: str) -> str:
    """Returns the HTML that shows the picture which suits the reader's page."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{name}_dark.png">'
        f'<img alt="{text}" src="{name}_light.png"></picture>'
    )


def _save(draw, title: str, path: Path, height: float) -> None:  # noqa: ANN001
    for theme, colours in THEMES.items():
        ink = colours["ink"]
        look = {
            name: ink for name in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
        }
        with mpl.rc_context({**look, "font.size": 10, "axes.edgecolor": colours["grid"]}):
            figure = Figure(figsize=(7.6, height), layout="constrained")
            axes = figure.add_subplot()
            axes.grid(axis="x", color=colours["grid"], linewidth=0.7)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_title(title, loc="left", fontsize=11)
            draw(axes, ink)
            # without a date, so that the same numbers make the same file
            figure.savefig(
                f"{path}_{theme}.png", dpi=120, transparent=True, metadata={"Software": None}
            )
