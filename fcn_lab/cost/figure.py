"""The figure of the cost sheet: what a training step takes, against what the network scores."""

from collections.abc import Mapping, Sequence
from typing import Any

from fcn_lab.cost.parts import PartCost
from fcn_lab.rendering.html import (
    COLOURS,
    Section,
    pick_symbol,
    render_figure,
    render_page,
    render_paragraphs,
)

Words = tuple[str, ...]
# a run's words and its mean IoU
RunScore = tuple[Words, float]
CellCosts = Mapping[Words, Mapping[str, PartCost]]
TITLE = "Time of a training step against mean IoU"
CAPTION = (
    "Forward and backward pass of one image, the median of turns with its range, against the mean "
    "IoU of each run. The colour is the operator, the marker the model and its encoder; up and "
    "left is better."
)


def render_costs(costs: CellCosts, run_scores: Sequence[RunScore], warning: str = "") -> str:
    """Returns a page with the figure, for light and dark screens.

    Args:
        costs: the cost of each network, by part.
        run_scores: the runs of these networks with their mean IoU, a point each.
        warning: what disturbed the times, if anything did.
    """
    figure = render_figure(draw_costs(costs, run_scores), CAPTION, 560)
    return render_page(
        "What the networks cost", [Section(TITLE, render_paragraphs(warning) + figure)]
    )


def draw_costs(costs: CellCosts, run_scores: Sequence[RunScore]) -> dict[str, Any]:
    """Returns plotly's data: a trace for each network, a point for each of its runs."""
    upsamples = list(dict.fromkeys(upsample for (_, upsample, _), _ in run_scores))
    models = list(dict.fromkeys((model, encoder) for (model, _, encoder), _ in run_scores))
    encoders = {encoder for _, encoder in models}
    traces = []
    for cell in dict.fromkeys(words for words, _ in run_scores):
        points = [(words, score) for words, score in run_scores if words == cell]
        model, upsample, encoder = cell
        totals = [costs[words]["total"] for words, _ in points]
        middle = [1e3 * (total.forward + total.backward) for total in totals]
        excess = [max(1e3 * t.slowest - m, 0) for t, m in zip(totals, middle, strict=True)]
        shortfall = [max(m - 1e3 * t.fastest, 0) for t, m in zip(totals, middle, strict=True)]
        colour = COLOURS[upsamples.index(upsample) % len(COLOURS)]
        marker = {"symbol": pick_symbol(models.index((model, encoder))), "size": 10}
        spread = {"type": "data", "array": excess, "arrayminus": shortfall, "symmetric": False}
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "markers",
            "name": " ".join(cell[: 3 if len(encoders) > 1 else 2]),
        }
        trace |= {"x": middle, "y": [100 * score for _, score in points]}
        trace |= {"text": [" ".join(words) for words, _ in points]}
        trace |= {"error_x": {**spread, "thickness": 1.5, "width": 4, "color": colour}}
        traces.append({**trace, "marker": {**marker, "color": colour}})
    axes = {"xaxis": "forward + backward, ms an image", "yaxis": "mean IoU, %"}
    layout = {axis: {"title": {"text": text}} for axis, text in axes.items()}
    return {"data": traces, "layout": layout}
