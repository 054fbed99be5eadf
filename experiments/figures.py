"""A study's pictures, each for a light and for a dark page."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fcn_lab.rendering.html import COLOURS
from fcn_lab.report.charts import Spec

THEMES = {
    "light": {"ink": "#1f2328", "grid": "#d1d9e0"},
    "dark": {"ink": "#f0f6fc", "grid": "#3d444d"},
}
MARKERS = "osD^vXP*"


def draw_forest(spec: Spec, title: str, path: Path) -> None:
    """Draws each arm's mean IoU in % with its 95 % interval, the best on top.

    Args:
        spec: the chart of the report's page, as `charts.draw_forest` makes it.
        title: what the figure shows.
        path: of the pictures, to which ``_light.png`` and ``_dark.png`` are added.
    """
    (points,) = spec["data"]
    rows = list(zip(points["x"], points["y"], points["error_x"]["array"], strict=True))

    def draw(axes: Axes, ink: str) -> None:
        for place, (value, _, half) in enumerate(rows):
            if half is not None:
                ends = [value - half, value + half]
                axes.plot(ends, [place, place], color=COLOURS[0], linewidth=2)
            axes.plot(value, place, "o", color=COLOURS[0], markersize=8)
            label = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
            axes.annotate(f"{value:.1f}", (value, place), color=ink, **label)
        axes.set_yticks(range(len(rows)), [name for _, name, _ in rows])
        axes.set_ylim(-0.6, len(rows) - 0.2)
        axes.set_xlabel("mean IoU on test, %, with 95 % intervals over frames and seeds")

    _save(draw, title, path, height=1.3 + 0.42 * len(rows))


def draw_curves(spec: Spec, title: str, path: Path) -> None:
    """Draws each arm's mean IoU on val over epochs.

    Args:
        spec: the chart of the report's page, as `charts.draw_learning` makes it.
        title: what the figure shows.
        path: as for `draw_forest`.
    """

    def draw(axes: Axes, ink: str) -> None:
        for place, line in enumerate(spec["data"]):
            look = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
            axes.plot(line["x"], line["y"], label=line["name"], markersize=4, **look)
        axes.set_xlabel("epoch")
        axes.set_ylabel("mean IoU on val, %, mean over seeds")
        axes.legend(frameon=False, fontsize=9, labelcolor=ink)

    _save(draw, title, path, height=4.2)


def picture_tag(name: str, text: str) -> str:
    """Returns the HTML that shows the picture which suits the reader's page."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{name}_dark.png">'
        f'<img alt="{text}" src="{name}_light.png"></picture>'
    )


def _save(draw: Callable[[Axes, str], None], title: str, path: Path, height: float) -> None:
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
