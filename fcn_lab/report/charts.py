"""The report's charts of points and lines, as plotly's plain data. Scores are in per cent."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fcn_lab.metrics.scores import WIDTHS
from fcn_lab.rendering.html import COLOURS, pick_symbol
from fcn_lab.report.arms import format_factor, format_value
from fcn_lab.report.intervals import Estimate
from fcn_lab.report.study import Study
from fcn_lab.runs.names import MONITOR
from fcn_lab.text.escaping import plotly_text

Spec = dict[str, Any]
# names that are numbers stand at equal distances, too
CATEGORIES = {"type": "category"}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def draw_forest(study: Study) -> Spec:
    """Draws the mean IoU of every arm with its interval, best on top."""
    names = [arm.name for arm in reversed(study.arms)]
    means = [study.comparison.means[name] for name in names]
    points = {"x": _list_percents(means), "y": names, "error_x": _build_error_bars(means)}
    return {
        "data": [{**_style_line(0, ""), "mode": "markers", **points}],
        "layout": {**_label_x("mean IoU, %"), "yaxis": CATEGORIES},
    }


def draw_effect(study: Study, factor: str) -> Spec:
    """Draws the mean over all arms with each value of a factor."""
    values = list(study.factors[factor])
    means = [study.comparison.estimate_mean(study.average_arms({factor: v})) for v in values]
    points = {"x": values, "y": _list_percents(means), "error_y": _build_error_bars(means)}
    layout = {**_label_axes(format_factor(factor), "mean IoU, %"), "showlegend": False}
    layout["xaxis"] |= CATEGORIES
    return {"data": [{**_style_line(0, ""), "mode": "markers", **points}], "layout": layout}


def draw_interaction(study: Study, x_factor: str, line_factor: str) -> Spec:
    """Draws means over all else, a line a value of `line_factor` over `x_factor`."""
    x_values, lines = list(study.factors[x_factor]), []
    for number, value in enumerate(study.factors[line_factor]):
        arms = [study.average_arms({x_factor: x, line_factor: value}) for x in x_values]
        means = [study.comparison.estimate_mean(arm) for arm in arms]
        points = {"x": x_values, "y": _list_percents(means), "error_y": _build_error_bars(means)}
        lines.append({**_style_line(number, format_value(line_factor, value)), **points})
    layout = _label_axes(format_factor(x_factor), "mean IoU, %")
    layout["xaxis"] |= CATEGORIES
    return {"data": lines, "layout": layout}


def draw_trimaps(study: Study) -> Spec | None:
    """Draws mean IoU near boundaries against the band's width; None where runs lack it."""
    lines = []
    for arm in study.arms:
        scores = {
            width: arm.average_number(study.first_run.split, "trimap_iou", width)
            for width in WIDTHS
        }
        bands = {width: 100 * value for width, value in scores.items() if value is not None}
        if bands:
            points = {"x": list(bands), "y": list(bands.values())}
            lines.append({**style_arm(study, arm.name), **points})
    layout = _label_axes("band width, pixels", "mean IoU in the band, %")
    layout["xaxis"] |= {"type": "log", "tickvals": list(WIDTHS)}
    return {"data": lines, "layout": layout} if lines else None


def draw_learning(study: Study) -> Spec | None:
    """Draws mean IoU on val over epochs, the mean over seeds, where all have one.

    None where no run was trained.
    """
    lines = []
    for arm in study.arms:
        scores = [
            {
                int(row["epoch"]) + 1: 100 * float(row[MONITOR])
                for row in run.history
                if row.get(MONITOR) and row.get("epoch")
            }
            for run in arm.runs
        ]
        # a mean over fewer seeds would jump
        if epochs := sorted(set.intersection(*map(set, scores))):
            means = [float(np.mean([run[epoch] for run in scores])) for epoch in epochs]
            lines.append({**style_arm(study, arm.name), "x": epochs, "y": means})
    layout = _label_axes("epoch", "mean IoU on val, %")
    last = max((line["x"][-1] for line in lines), default=1)
    layout["xaxis"] |= {"dtick": -(-last // 10), "tick0": 0}
    return {"data": lines, "layout": layout} if lines else None


def draw_cost(study: Study, key: str, label: str, unit: float) -> Spec | None:
    """Draws mean IoU against what an arm costs, `key` of metrics.json in units of `unit`.

    Arms that lack this cost, or whose time is not that of a training, are left out; None where no
    arm is left.
    """
    dots = []
    for arm in study.arms:
        cost = arm.average_number(key)
        if cost is None or (key == "seconds" and not all(run.history for run in arm.runs)):
            continue
        means = [study.comparison.means[arm.name]]
        points = {"x": [cost / unit], "y": _list_percents(means)}
        style = {**style_arm(study, arm.name), "mode": "markers"}
        dots.append({**style, **points, "error_y": _build_error_bars(means)})
    return {"data": dots, "layout": _label_axes(label, "mean IoU, %")} if dots else None


def draw_generalisation(study: Study) -> Spec | None:
    """Draws each arm's mean IoU on val and on the scored split, joined by a line."""
    scores = {arm.name: arm.average_number("val", "mean_iou") for arm in reversed(study.arms)}
    val = {name: 100 * value for name, value in scores.items() if value is not None}
    if not val or study.first_run.split == "val":
        return None
    test = {name: 100 * study.comparison.means[name].value for name in val}
    connectors = {
        **{"type": "scatter", "mode": "lines", "showlegend": False, "hoverinfo": "skip"},
        "x": [value for name in val for value in (val[name], test[name], None)],
        "y": [name for name in val for _ in range(3)],
        "line": {"color": "#8a929b", "width": 2},
    }
    dots = [
        {**_style_line(number, split), "mode": "markers", "x": list(ious.values()), "y": list(ious)}
        for number, (split, ious) in enumerate({"val": val, study.first_run.split: test}.items())
    ]
    return {"data": [connectors, *dots], "layout": {**_label_x("mean IoU, %"), "yaxis": CATEGORIES}}


def style_arm(study: Study, name: str) -> Spec:
    """Returns the line's style.

    Its colour is by the factor with most values, its dash by the next, and its marker by all but
    the first.
    """
    factors = sorted(study.factors, key=lambda factor: -len(study.factors[factor]))
    positions = {
        arm.name: tuple(study.factors[f].index(study.values[arm.name][f]) for f in factors)
        for arm in study.arms
    }
    if len(factors) < 2:
        return _style_line(sum(positions[name]), name)
    # arms for which the palette is too short come last
    others = {
        arm: (*position[1:], position[0] // len(COLOURS)) for arm, position in positions.items()
    }
    marker = sorted(set(others.values()), key=lambda other: other[::-1]).index(others[name])
    return _style_line(positions[name][0], name, positions[name][1], marker)


def _style_line(colour: int, name: str, dash: int | None = None, marker: int | None = None) -> Spec:
    dash, marker = (colour if number is None else number for number in (dash, marker))
    ink = COLOURS[colour % len(COLOURS)]
    return {
        **{"type": "scatter", "mode": "lines+markers", "name": name, "showlegend": bool(name)},
        "line": {"color": ink, "dash": DASHES[dash % len(DASHES)]},
        "marker": {"symbol": pick_symbol(marker), "size": 9, "color": ink},
    }


def _list_percents(estimates: Sequence[Estimate]) -> list[float]:
    return [round(100 * estimate.value, 3) for estimate in estimates]


def _build_error_bars(estimates: Sequence[Estimate]) -> Spec:
    widths = [estimate.half_width() if estimate.is_known else None for estimate in estimates]
    percents = [None if width is None else round(100 * width, 3) for width in widths]
    return {"type": "data", "array": percents, "thickness": 1.5, "width": 4}


def _label_x(label: str) -> Spec:
    return {"xaxis": {"title": {"text": plotly_text(label)}}}


def _label_axes(x_title: str, y_title: str) -> Spec:
    return {**_label_x(x_title), "yaxis": {"title": {"text": y_title}}}
