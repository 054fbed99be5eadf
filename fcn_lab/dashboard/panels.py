"""The panels that the workspace and the report share, by section."""

import wandb_workspaces.reports.v2.interface as wr

from fcn_lab.dashboard.selection import TABLES, Subject

Panel = (
    wr.BarPlot
    | wr.LinePlot
    | wr.ParallelCoordinatesPlot
    | wr.MediaBrowser
    | wr.WeavePanelSummaryTable
)
STEP = "trainer/global_step"  # the axis that online.py defines for everything it logs


def sections(subject: Subject) -> dict[str, list[Panel]]:
    """Titles with their panels; every one but the last shows trained networks."""
    scored = subject.split
    return {
        "Scores": [
            *(_bars(subject.score, axis, subject) for axis in subject.axes),
            _lines(subject),
        ],
        "Learning": [
            _curves(key, axis, subject)
            for key in ("val/mean_iou", "val/loss", "train/loss")
            for axis in subject.axes
        ],
        "Classes": [
            _bars(f"{scored}/iou/{name}", axis, subject)
            for name in subject.classes
            for axis in list(subject.axes)[:2]
        ],
        "Predictions": [
            *(
                wr.MediaBrowser(title=key, media_keys=[key], num_columns=4)
                for key in (f"{scored}/predictions", f"{scored}/confusion", "val/predictions")
            ),
            wr.WeavePanelSummaryTable(table_name=f"{scored}/confusion_table"),
        ],
        "Tables": [wr.WeavePanelSummaryTable(table_name=name) for name in TABLES],
    }


def _bars(key: str, axis: str, subject: Subject) -> wr.BarPlot:
    """The mean over seeds and all else, with the standard deviation."""
    return wr.BarPlot(
        title=f"{key} by {axis}",
        metrics=[key],
        groupby=wr.Config(subject.axes[axis]),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
    )


def _curves(key: str, axis: str, subject: Subject) -> wr.LinePlot:
    return wr.LinePlot(
        title=f"{key} by {axis}",
        x=STEP,
        y=[key],
        groupby=wr.Config(subject.axes[axis]),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_runs_to_show=100,
    )


def _lines(subject: Subject) -> wr.ParallelCoordinatesPlot:
    """A line a run, from what was varied, over the seed, to the scores."""
    shown = {**subject.axes, "seed": "seed"}
    columns = [
        wr.ParallelCoordinatesPlotColumn(wr.Config(key), display_name=name)
        for name, key in shown.items()
    ]
    scores = ("val/mean_iou", subject.score)
    columns += [wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(key)) for key in scores]
    return wr.ParallelCoordinatesPlot(columns=columns, title="from choices to scores")
