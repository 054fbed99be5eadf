"""task=dashboard: W&B's workspace and report of a study, its results as a run, and a sweep."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fcn_lab.config.frozen import conf_folder, words
from fcn_lab.dashboard import wandb_sweep as sweepfile
from fcn_lab.dashboard.selection import JOB, TABLES, Subject
from fcn_lab.errors import UserError
from fcn_lab.files import make_folder, write_text
from fcn_lab.report import tables
from fcn_lab.report.answer import answer, question
from fcn_lab.report.runs import as_folders
from fcn_lab.report.study import Study

WRITTEN = ("workspace.json", "report.json", "wandb_sweep.yaml", "wandb")
OFFLINE = (
    "W&B is offline: with a key (wandb login) the same command saves workspace and report there, "
    "and `wandb sync {folder}/wandb/offline-run-*` uploads the tables"
)


@dataclass(frozen=True)
class Dashboard:
    """Shows a study on W&B; without a key it writes what would be shown.

    Args:
        runs: a folder or several: sweeps, runs, or folders that hold them.
        output: where to write; by default ``dashboard`` in the first of them.
        project: W&B's project that the runs were logged to.
        entity: its team; None is the key's own.

    Raises:
        UserError: where wandb-workspaces is not installed.
    """

    runs: str | Sequence[str]
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
            UserError: there are no runs, they cannot stand in one table, or W&B refuses.
        """
        folders = as_folders(self.runs)
        study = Study.read(folders)
        folder = Path(self.output) if self.output else folders[0] / "dashboard"
        make_folder(folder)
        subject = Subject.of(study)
        sweepfile.write(words([conf_folder()]), folder / "wandb_sweep.yaml")
        owner = log_results(study, subject, folder, self.project, self.entity)
        pages = self._write(study, subject, folder, owner or self.entity or "")
        print("\n".join(answer(study)))
        print(f"\nwritten: {', '.join(str(folder / name) for name in WRITTEN)}")
        print(OFFLINE.format(folder=folder) if owner is None else self._save(pages, folder))

    def _write(self, study: Study, subject: Subject, folder: Path, entity: str) -> list[Any]:
        """The workspace and the report, which lie in the folder as JSON."""
        from fcn_lab.dashboard import workspace as board

        opening = "\n\n".join([*question(study), *answer(study)])
        view = board.workspace(subject, self.project, entity)
        page = board.report(subject, self.project, entity, opening)
        write_text(folder / "workspace.json", board.to_json(view))
        write_text(folder / "report.json", board.to_json(page))
        return [view, page]

    def _save(self, pages: list[Any], folder: Path) -> str:
        """Sends both to W&B; their addresses."""
        import wandb

        try:
            return "\n".join(page.save().url for page in pages)
        except (wandb.errors.Error, ValueError, OSError) as error:
            raise UserError(
                f"W&B did not take the dashboard of {self.project}: {error}\n"
                f"It lies in {folder}; the same command tries again"
            ) from error


def log_results(
    study: Study, subject: Subject, folder: Path, project: str, entity: str | None
) -> str | None:
    """The tables with their intervals as a run in each of the study's groups.

    Returns:
        the entity that has them on W&B's server; None where they only lie in `folder`.
    """
    import wandb

    from fcn_lab.training.loggers.wandb_run import begin

    owner: str | None = None
    for group in subject.groups or (None,):
        run = begin(
            folder,
            project=project,
            entity=entity,
            group=group,
            name=JOB,
            # the same when the command is repeated, so that it replaces what it logged
            id=f"{JOB}-{sha256(f'{group} {subject.name}'.encode()).hexdigest()[:12]}",
            job_type=JOB,
            tags=[JOB],
        )
        for name, table in results(study).items():
            run.log({name: wandb.Table([*table.columns], [[*row] for row in table.rows])})
        run.summary.update({"answer": " ".join(answer(study))})
        owner = None if run.offline else run.entity
        run.finish()
    return owner


def results(study: Study) -> dict[str, tables.Table]:
    """The report's tables, with their intervals."""
    made = tables.raw_table(study), tables.gaps_table(study), tables.classes_table(study)
    return dict(zip(TABLES, made, strict=True))
