"""task=dashboard: W&B's workspace and report of a study, its results as a run, and a sweep."""

import importlib.util
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fcn_lab.config.frozen import find_conf_folder, list_words
from fcn_lab.dashboard.selection import JOB_TYPE, TABLES, Selection
from fcn_lab.dashboard.wandb_sweep import format_sweep
from fcn_lab.errors import UserError
from fcn_lab.files import make_folder, write_text
from fcn_lab.report import tables
from fcn_lab.report.answer import describe_answer, describe_question
from fcn_lab.report.study import Study
from fcn_lab.runs.folders import list_folders
from fcn_lab.runs.next_steps import list_wandb_steps
from fcn_lab.text.terminal import print_next, print_text
from fcn_lab.values import Names

OUTPUT_NAMES = ("workspace.json", "report.json", "wandb_sweep.yaml", "wandb")
OFFLINE_ADVICE = (
    "W&B is offline, or disabled: with a key (wandb login) and without WANDB_MODE the same command "
    "saves workspace and report there"
)


@dataclass(frozen=True)
class Dashboard:
    """Shows a study on W&B; without a key it writes what would be shown.

    Args:
        runs: a folder or several: sweeps, runs, or folders that hold them.
        output: the folder to write to; by default ``dashboard`` in the first of them.
        project: W&B's project that the runs were logged to.
        entity: the project's team; None is the key's own.

    Raises:
        UserError: wandb-workspaces is not installed.
    """

    runs: str | Names
    output: str | None = None
    project: str = "fcn_lab"
    entity: str | None = None

    def __post_init__(self) -> None:
        if importlib.util.find_spec("wandb_workspaces") is None:
            raise UserError(
                "task=dashboard: wandb-workspaces is not installed, "
                "pip install 'fcn-lab[dashboard]'"
            )

    def run(self) -> None:
        """Writes workspace.json, report.json, wandb_sweep.yaml and a W&B run of the results.

        Raises:
            UserError: there are no runs, they do not fit into one table, or W&B refuses.
        """
        folders = list_folders(self.runs)
        study = Study.read(folders)
        folder = Path(self.output) if self.output else folders[0] / "dashboard"
        make_folder(folder)
        selection = Selection.from_study(study)
        write_text(folder / "wandb_sweep.yaml", format_sweep(list_words([find_conf_folder()])))
        owner = log_results(study, selection, folder, self.project, self.entity)
        pages = self._write(study, selection, folder, owner or self.entity or "")
        for sentence in describe_answer(study):
            print_text(sentence)
        paths = [folder / name for name in OUTPUT_NAMES]
        print_text(f"\nwritten: {', '.join(str(path) for path in paths if path.exists())}")
        print_text(OFFLINE_ADVICE if owner is None else self._save(pages, folder))
        print_next(list_wandb_steps(folder / "wandb"))

    def _write(self, study: Study, selection: Selection, folder: Path, entity: str) -> list[Any]:
        """Writes the workspace and the report as JSON into the folder; returns both."""
        from fcn_lab.dashboard import workspace as board

        paragraphs = [study.question, *describe_question(study), *describe_answer(study)]
        opening = "\n\n".join(filter(None, paragraphs))
        view = board.create_workspace(selection, self.project, entity)
        page = board.create_report(selection, self.project, entity, opening)
        write_text(folder / "workspace.json", board.to_json(view))
        write_text(folder / "report.json", board.to_json(page))
        return [view, page]

    def _save(self, pages: list[Any], folder: Path) -> str:
        """Sends the workspace and the report to W&B; returns their addresses, one a line."""
        import wandb

        try:
            return "\n".join(page.save().url for page in pages)
        except (wandb.errors.Error, ValueError, OSError) as error:
            raise UserError(
                f"W&B did not take the dashboard of {self.project}: {error}\n"
                f"It lies in {folder}; the same command tries again"
            ) from error


def log_results(
    study: Study, selection: Selection, folder: Path, project: str, entity: str | None
) -> str | None:
    """Logs the tables with their intervals as a W&B run in each of the study's groups.

    Returns:
        The entity that has them on W&B's server; None where they are not sent.
    """
    import wandb

    from fcn_lab.training.loggers.wandb_run import start_run

    owner: str | None = None
    for group in selection.groups or (None,):
        run = start_run(
            folder,
            project=project,
            entity=entity,
            group=group,
            name=JOB_TYPE,
            # the same when the command is repeated, so that it replaces what it logged
            id=f"{JOB_TYPE}-{sha256(f'{group} {selection.name}'.encode()).hexdigest()[:12]}",
            job_type=JOB_TYPE,
            tags=[JOB_TYPE],
        )
        for name, table in list_tables(study).items():
            run.log({name: wandb.Table([*table.columns], [[*row] for row in table.rows])})
        run.summary.update({"answer": " ".join(describe_answer(study))})
        owner = None if run.offline or run.disabled else run.entity
        run.finish()
    return owner


def list_tables(study: Study) -> dict[str, tables.Table]:
    """Returns the report's tables by their names, with intervals."""
    parts = tables.tabulate_raw(study), tables.tabulate_gaps(study), tables.tabulate_classes(study)
    return dict(zip(TABLES, parts, strict=True))
