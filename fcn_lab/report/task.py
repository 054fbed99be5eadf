"""task=report: shows the results of finished runs on a page that works from disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fcn_lab.report.answer import describe_answer
from fcn_lab.report.index import find_studies, write_index
from fcn_lab.report.study import Study
from fcn_lab.report.writing import write_report
from fcn_lab.runs.folders import list_folders
from fcn_lab.text.terminal import format_count, print_next, print_text, show_waiting
from fcn_lab.values import Names


@dataclass(frozen=True)
class Report:
    """Compares the runs in some folders.

    Args:
        runs: a folder or several: sweeps, runs, or folders that hold them.
        output: the folder to write to; by default ``report`` in the first of `runs`. Studies of
            several questions get a report each, and index.html goes into the folder that holds
            them.
    """

    runs: str | Names
    output: str | None = None

    def run(self) -> None:
        """Writes the page, Markdown and CSV, and prints the answer.

        Raises:
            UserError: there are no runs, or they cannot stand in one table.
        """
        folders = list_folders(self.runs)
        if len(folders) == 1 and (sweeps := find_studies(folders[0])):
            self._write_index(sweeps, folders[0])
            return
        study = Study.read(folders)
        with show_waiting("comparing the arms and drawing the page"):
            paths = write_report(study, Path(self.output) if self.output else folders[0] / "report")
        for sentence in describe_answer(study):
            print_text(sentence)
        if study.missing_cells:
            print_text(
                f"without scores: {format_count(len(study.missing_cells), 'cell')}, on the page"
            )
        print_text(f"\nwritten: {', '.join(map(str, paths))}")
        print_next({"The page": paths[0]})

    def _write_index(self, sweeps: Sequence[Path], folder: Path) -> None:
        paths = write_index(sweeps, Path(self.output or folder), into_sweeps=not self.output)
        print(f"{len(sweeps)} studies that ask several questions; a report of each:")
        print("\n".join(map(str, paths)))
        print_next({"The page": paths[0]})
