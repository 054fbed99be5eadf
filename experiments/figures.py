"""A study's pictures, each for a light and for a dark page."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fcn_lab.rendering.html import COLOURS, SYMBOLS
from fcn_lab.report.charts import DASHES, Spec

THEMES = {
    "light": {"ink": "#1f2328", "grid": "#d1d9e0"},
    "dark": {"ink": "#f0f6fc", "grid": "#3d444d"},
}
# plotly's words -> matplotlib's
MARKERS = dict(zip(SYMBOLS, "osDP^X*h", strict=True))
LINES = dict(zip(DASHES, ("-", "--", ":", "-.", (0, (8, 3)), (0, (8, 3, 2, 3))), strict=True))
# the most names beside the lines
LONGEST_LEGEND = 8
# a chart's mean IoU in %, the arm, and half of its interval, where it is known
Row = tuple[float, str, float | None]


def draw_forests(specs: Mapping[str, Spec], sample: str, path: Path) -> None:
    """Draws each arm's mean IoU in % with its 95 % interval, the best on top.

    The charts stand below each other, along one axis. Arms that score less than half of the best
    stand at its left end, as triangles that point out of it, so that the others can be told apart.

    Args:
        specs: the charts of reports' pages, as `charts.draw_forest` makes them, by their titles.
        sample: what was scored, such as "60 frames, seeds 0, 1".
        path: of the pictures, to which ``_light.png`` and ``_dark.png`` are added.
    """
    charts = {title: _read_rows(spec) for title, spec in specs.items()}
    rows = [row for chart in charts.values() for row in chart]
    top = max(value for value, _, _ in rows)
    low = min(value - (width or 0) for value, _, width in rows if value >= top / 2)
    high = max(value + (width or 0) for value, _, width in rows)
    margin = 0.05 * (high - low) + 0.5
    limits = (low - margin, high + margin)

    def draw_chart(axes: Axes, ink: str, chart: Sequence[Row]) -> None:
        for height, (value, _, width) in enumerate(chart):
            is_inside = value >= top / 2
            position = value if is_inside else limits[0] + margin / 2
            if width is not None and is_inside:
                ends = [value - width, value + width]
                axes.plot(ends, [height] * 2, color=COLOURS[0], linewidth=2)
            marker = "o" if is_inside else "<"
            axes.plot(position, height, marker, color=COLOURS[0], markersize=8)
            label = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
            axes.annotate(f"{value:.1f}", (position, height), color=ink, **label)
        axes.set_yticks(range(len(chart)), [name for _, name, _ in chart])
        axes.set_ylim(-0.6, len(chart) - 0.2)
        axes.set_xlim(*limits)

    def draw(figure: Figure, ink: str) -> None:
        last_axes = figure.axes[-1]
        for axes, (title, chart) in zip(figure.axes, charts.items(), strict=True):
            axes.set_title(title, loc="left", fontsize=11)
            draw_chart(axes, ink, chart)
        outside = "; ◂ lies outside" if any(value < top / 2 for value, _, _ in rows) else ""
        last_axes.set_xlabel(
            f"mean IoU on test, % ({sample})\nwith each arm's 95 % interval{outside}"
        )

    _save(draw, path, [0.75 + 0.42 * len(chart) for chart in charts.values()])


def _read_rows(spec: Spec) -> list[Row]:
    (points,) = spec["data"]
    return list(zip(points["x"], points["y"], points["error_x"]["array"], strict=True))


def draw_curves(spec: Spec, title: str, path: Path) -> None:
    """Draws each arm's mean IoU on val over epochs.

    Args:
        spec: the chart of the report's page, as `charts.draw_learning` makes it.
        title: what the figure shows.
        path: as for `draw_forests`.
    """

    def draw(figure: Figure, ink: str) -> None:
        (axes,) = figure.axes
        axes.set_title(title, loc="left", fontsize=11)
        for line in spec["data"]:
            axes.plot(line["x"], line["y"], label=line["name"], **_style_line(line))
        axes.set_xlabel("epoch")
        axes.set_ylabel("mean IoU on val, %, mean over seeds")
        # many names would cover the lines
        is_long = len(spec["data"]) > LONGEST_LEGEND
        place = {"bbox_to_anchor": (1, 1), "loc": "upper left"} if is_long else {}
        axes.legend(frameon=False, fontsize=9, labelcolor=ink, **place)

    _save(draw, path, [3.7])


def draw_interaction(spec: Spec, title: str, measure: str, path: Path) -> None:
    """Draws a score of each arm over one choice, a line for each value of another.

    Args:
        spec: the chart of the report's page, as `charts.draw_interaction` makes it.
        title: what the figure shows.
        measure: the score.
        path: as for `draw_forests`.
    """

    def draw(figure: Figure, ink: str) -> None:
        (axes,) = figure.axes
        axes.set_title(title, loc="left", fontsize=11)
        lines = spec["data"]
        for number, line in enumerate(lines):
            # side by side, so that no interval hides another
            shift = 0.08 * (number - (len(lines) - 1) / 2)
            places = [place + shift for place in range(len(line["x"]))]
            style = {**_style_line(line), "capsize": 3, "elinewidth": 1}
            widths = [width or 0.0 for width in line["error_y"]["array"]]
            axes.errorbar(places, line["y"], widths, label=line["name"], **style)
        axes.set_xticks(range(len(lines[0]["x"])), lines[0]["x"])
        axes.set_ylabel(f"{measure} on test, %, with 95 % intervals")
        axes.legend(frameon=False, fontsize=9, labelcolor=ink)

    _save(draw, path, [3.7])


def picture_tag(name: str, text: str) -> str:
    """Returns the HTML that shows the picture which suits the reader's page."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{name}_dark.png">'
        f'<img alt="{text}" src="{name}_light.png"></picture>'
    )


def _style_line(line: Spec) -> dict[str, str | float]:
    """Returns matplotlib's words for the style of one of plotly's lines."""
    symbol, is_empty, _ = line["marker"]["symbol"].partition("-open")
    return {
        "color": line["line"]["color"],
        "linestyle": LINES[line["line"]["dash"]],
        "marker": MARKERS[symbol],
        "markersize": 4,
        "markerfacecolor": "none" if is_empty else line["line"]["color"],
    }


def _save(draw: Callable[[Figure, str], None], path: Path, heights: Sequence[float]) -> None:
    """Saves a figure of so many charts, each so many inches high, for both kinds of page."""
    for theme, colours in THEMES.items():
        ink = colours["ink"]
        style = {
            name: ink for name in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
        }
        with mpl.rc_context({**style, "font.size": 10, "axes.edgecolor": colours["grid"]}):
            figure = Figure(figsize=(7.6, sum(heights) + 0.5), layout="constrained")
            figure.subplots(len(heights), height_ratios=heights)
            for axes in figure.axes:
                axes.grid(axis="x", color=colours["grid"], linewidth=0.7)
                axes.set_axisbelow(True)
                axes.spines[["top", "right"]].set_visible(False)
            draw(figure, ink)
            # without a date, so that the same numbers make the same file
            figure.savefig(
                f"{path}_{theme}.png", dpi=120, transparent=True, metadata={"Software": None}
            )
