"""The workspace and the report in W&B's own classes, and both as JSON and back.

A workspace is a view of a project; a report is a page of text and panels beside it. Both show the
same panels over the same runs.
"""

from typing import Any, cast

import wandb_workspaces.reports.v2.interface as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces.reports.v2 import internal as report_models
from wandb_workspaces.workspaces import internal as workspace_models

from fcn_lab.dashboard.panels import STEP, sections
from fcn_lab.dashboard.selection import JOB, Subject

MOST_RUNS = 100  # in one panel


def workspace(subject: Subject, project: str, entity: str) -> ws.Workspace:
    """A view of the project: the study's runs, grouped by model, operator and what else varied."""
    filters = _of_the_study(subject)
    return ws.Workspace(
        entity=entity,
        project=project,
        name=subject.name,
        sections=[
            ws.Section(name=name, panels=[*panels], is_open=True)
            for name, panels in sections(subject).items()
        ],
        settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=MOST_RUNS),
        runset_settings=ws.RunsetSettings(
            filters=ws.And(*filters) if filters else "",
            groupby=[ws.Config(key) for key in subject.axes.values()],
            order=[ws.Ordering(ws.Summary(subject.score), ascending=False)],
            pinned_columns=[f"summary:{subject.score}"],
        ),
    )


def report(subject: Subject, project: str, entity: str, words: str) -> wr.Report:
    """A page that begins with the study's own words, Markdown."""
    filters = _of_the_study(subject)
    trained = wr.Runset(
        name="networks",
        filters=ws.And(*filters, ws.Metric("JobType") != JOB),
        groupby=[f"config.{key}" for key in subject.axes.values()],
    )
    tables = wr.Runset(name="tables", filters=ws.And(*filters, ws.Metric("JobType") == JOB))
    shown = sections(subject)
    blocks: list[wr.BlockTypes] = [wr.TableOfContents(), wr.MarkdownBlock(words)]
    for name, panels in shown.items():
        runs = tables if name == list(shown)[-1] else trained
        blocks += [wr.H1(name), wr.PanelGrid(runsets=[runs], panels=[*panels])]
    return wr.Report(
        project=project, entity=entity, title=subject.name[:128], blocks=blocks, width="fluid"
    )


def to_json(made: ws.Workspace | wr.Report) -> str:
    """What W&B's server keeps of it."""
    untyped: Any = made
    return str(untyped._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=1))


def read_workspace(text: str) -> ws.Workspace:
    """A workspace from its JSON."""
    model = workspace_models.View.model_validate_json(text)
    found: ws.Workspace = ws.Workspace._from_model(model)
    return found


def read_report(text: str) -> wr.Report:
    """A report from its JSON."""
    model = report_models.ReportViewspec.model_validate_json(text)
    found: wr.Report = wr.Report._from_model(model)
    found.width = cast(Any, model.spec.width)  # `_from_model` forgets it
    return found


def _of_the_study(subject: Subject) -> list[ws.FilterExpr]:
    return [ws.Metric("Group").isin(list(subject.groups))] if subject.groups else []
