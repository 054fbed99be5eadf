"""The report's heat maps, as plotly's plain data. Scores are in per cent."""

from collections.abc import Sequence

import numpy as np

from fcn_lab.report.charts import Spec
from fcn_lab.report.comparison import Arm
from fcn_lab.report.study import Study

# brown to blue, no red and green
DIVERGING = [[0, "#B35806"], [0.5, "#F7F7F7"], [1, "#2166AC"]]
# made for colour-blind eyes
SEQUENTIAL = "Cividis"
Rows = Sequence[Sequence[float | str | None]]


def draw_pairs(study: Study) -> Spec:
    """Draws the gaps of all pairs, row less column; a dot marks those that are distinct."""
    names = [arm.name for arm in study.arms]
    indices = {name: index for index, name in enumerate(names)}
    values: list[list[float | None]] = [[None] * len(names) for _ in names]
    marks = [[""] * len(names) for _ in names]
    for gap in study.comparison.gaps:
        a, b = indices[gap.first], indices[gap.second]
        value = round(100 * gap.gap.value, 2)
        values[a][b], values[b][a] = value, -value
        marks[a][b] = marks[b][a] = "●" if gap.is_distinct else ""
    hover = "%{y} − %{x}: %{z:+.1f} %{text}<extra></extra>"
    reach = max((abs(v) for row in values for v in row if v is not None), default=1.0)
    return _draw_heatmap(
        names, names, values, marks, "%{text}", hover, _find_symmetric_range(reach, "points")
    )


def draw_classes(study: Study) -> Spec:
    """Draws the IoU of every class and arm, coloured by the distance from the arms' mean."""
    values = np.array([100 * np.asarray(arm.points.mean(0)) for arm in study.arms])
    labels = np.flatnonzero(~np.isnan(values).any(0))
    values = values[:, labels]
    distances = values - values.mean(0)
    names = [study.first_run.classes[label] for label in labels]
    colours = _find_symmetric_range(float(np.abs(distances).max(initial=0)), "from<br>mean")
    hover = "%{y}, %{x}: %{text} (%{z:+.1f})<extra></extra>"
    texts = [[f"{value:.1f}" for value in row] for row in values]
    arms = [arm.name for arm in study.arms]
    return _draw_heatmap(names, arms, distances.round(2).tolist(), texts, "%{text}", hover, colours)


def draw_confusion(study: Study, arm: Arm) -> Spec:
    """Draws rows of truth, columns of prediction, in per cent of the row's truth."""
    counts = np.sum([run.matrices.sum(0) for run in arm.runs], axis=0).astype(float)
    share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names, percents = list(study.first_run.classes), share.round(1).tolist()
    colours: Spec = {"colorscale": SEQUENTIAL, "zmin": 0, "zmax": 100}
    colours["colorbar"] = {"title": {"text": "% of truth"}}
    hover = "%{y} taken for %{x}: %{z:.1f} %<extra></extra>"
    heatmap = _draw_heatmap(names, names, percents, percents, "%{z:.0f}", hover, colours)
    heatmap["layout"]["xaxis"]["title"] = {"text": "prediction"}
    heatmap["layout"]["yaxis"]["title"] = {"text": "truth", "standoff": 24}
    return heatmap


def _find_symmetric_range(reach: float, title: str) -> Spec:
    bounds = {"zmin": -(reach or 1), "zmax": reach or 1}
    return {"colorscale": DIVERGING, **bounds, "colorbar": {"title": {"text": title}}}


def _draw_heatmap(
    columns: Sequence[str],
    rows: Sequence[str],
    values: Rows,
    text: Rows,
    text_format: str,
    hover_format: str,
    colours: Spec,
) -> Spec:
    heat = {"type": "heatmap", "x": columns, "y": rows, "z": values}
    labels = {"text": text, "texttemplate": text_format, "hovertemplate": hover_format}
    layout = {"yaxis": {"autorange": "reversed", "showgrid": False}}
    layout["xaxis"] = {"tickangle": -45, "showgrid": False}
    return {"data": [{**heat, **labels, **colours}], "layout": layout}
