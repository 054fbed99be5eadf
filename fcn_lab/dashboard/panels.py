"""The panels that the workspace and the report share, by section."""

import wandb_workspaces.reports.v2.interface as wr

from fcn_lab.dashboard.selection import TABLES, Selection
from fcn_lab.runs.names import MONITOR

Panel = (
    wr.BarPlot
    | wr.LinePlot
    | wr.ParallelCoordinatesPlot
    | wr.MediaBrowser
    | wr.WeavePanelSummaryTable
)
# the axis that training/loggers/wandb_run.py defines for everything it logs
STEP_KEY = "trainer/global_step"


def list_sections(selection: Selection) -> dict[str, list[Panel]]:
    """Returns the panels by section title; all sections but the last show trained networks."""
    split = selection.split
    return {
        "Scores": [
            *(_create_bars(selection.score, axis, selection) for axis in selection.axes),
            _create_lines(selection),
        ],
        "Learning": [
            _create_curves(key, axis, selection)
            for key in (MONITOR, "val/loss", "train/loss")
            for axis in selection.axes
        ],
        "Classes": [
            _create_bars(f"{split}/iou/{name}", axis, selection)
            for name in selection.classes
            for axis in list(selection.axes)[:2]
        ],
        "Predictions": [
            *(
                wr.MediaBrowser(title=key, media_keys=[key], num_columns=4)
                for key in (f"{split}/predictions", f"{split}/confusion", "val/predictions")
            ),
            wr.WeavePanelSummaryTable(table_name=f"{split}/confusion_table"),
        ],
        "Tables": [wr.WeavePanelSummaryTable(table_name=name) for name in TABLES],
    }


def _create_bars(key: str, axis: str, selection: Selection) -> wr.BarPlot:
    """Returns bars of the mean over seeds and other factors, with the standard deviation."""
    return wr.BarPlot(
        title=f"{key} by {axis}",
        metrics=[key],
        groupby=wr.Config(selection.axes[axis]),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
    )


def _create_curves(key: str, axis: str, selection: Selection) -> wr.LinePlot:
    return wr.LinePlot(
        title=f"{key} by {axis}",
        x=STEP_KEY,
        y=[key],
        groupby=wr.Config(selection.axes[axis]),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_runs_to_show=100,
    )


def _create_lines(selection: Selection) -> wr.ParallelCoordinatesPlot:
    """Returns parallel axes of factors, seed and scores, with one line a run."""
    keys = {**selection.axes, "seed": "seed"}
    columns = [
        wr.ParallelCoordinatesPlotColumn(wr.Config(key), display_name=name)
        for name, key in keys.items()
    ]
    scores = (MONITOR, selection.score)
    columns += [wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(key)) for key in scores]
    return wr.ParallelCoordinatesPlot(columns=columns, title="from choices to scores")
