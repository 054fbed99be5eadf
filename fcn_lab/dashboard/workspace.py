"""The workspace and the report in W&B's own classes, and both as JSON.

A workspace is a view of a project; a report is a page of text and panels beside it. Both show the
same panels over the same runs.
"""

from typing import Any

import wandb_workspaces.reports.v2.interface as wr
import wandb_workspaces.workspaces as ws

from fcn_lab.dashboard.panels import STEP_KEY, list_sections
from fcn_lab.dashboard.selection import JOB_TYPE, Selection

# the most runs in one panel
RUNS_LIMIT = 100


def create_workspace(selection: Selection, project: str, entity: str) -> ws.Workspace:
    """Returns a view of the project: the study's runs, grouped by everything that was varied."""
    filters = _filter_study(selection)
    return ws.Workspace(
        entity=entity,
        project=project,
        name=selection.name,
        sections=[
            ws.Section(name=name, panels=[*panels], is_open=True)
            for name, panels in list_sections(selection).items()
        ],
        settings=ws.WorkspaceSettings(x_axis=STEP_KEY, max_runs=RUNS_LIMIT),
        runset_settings=ws.RunsetSettings(
            filters=ws.And(*filters) if filters else "",
            groupby=[ws.Config(key) for key in selection.axes.values()],
            order=[ws.Ordering(ws.Summary(selection.score), ascending=False)],
            pinned_columns=[f"summary:{selection.score}"],
        ),
    )


def create_report(selection: Selection, project: str, entity: str, words: str) -> wr.Report:
    """Returns a page that begins with the study's own words, in Markdown."""
    filters = _filter_study(selection)
    networks = wr.Runset(
        name="networks",
        filters=ws.And(*filters, ws.Metric("JobType") != JOB_TYPE),
        groupby=[f"config.{key}" for key in selection.axes.values()],
    )
    tables = wr.Runset(name="tables", filters=ws.And(*filters, ws.Metric("JobType") == JOB_TYPE))
    sections = list_sections(selection)
    blocks: list[wr.BlockTypes] = [wr.TableOfContents(), wr.MarkdownBlock(words)]
    for name, panels in sections.items():
        runs = tables if name == list(sections)[-1] else networks
        blocks += [wr.H1(name), wr.PanelGrid(runsets=[runs], panels=[*panels])]
    return wr.Report(
        project=project, entity=entity, title=selection.name[:128], blocks=blocks, width="fluid"
    )


def to_json(view: ws.Workspace | wr.Report) -> str:
    """Returns the JSON in which W&B's server stores it."""
    model: Any = view
    return str(model._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=1))


def _filter_study(selection: Selection) -> list[ws.FilterExpr]:
    return [ws.Metric("Group").isin(list(selection.groups))] if selection.groups else []
