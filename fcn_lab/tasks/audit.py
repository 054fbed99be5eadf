"""task=audit: measures a data set and looks for errors in it, before a network is trained on it."""

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fcn_lab.audit.audit import Audit as Measurements
from fcn_lab.audit.findings import Finding, Level, collect_findings
from fcn_lab.audit.html import render_audit
from fcn_lab.audit.tables import AuditTable, build_tables, collect_numbers
from fcn_lab.files import write_json, write_text
from fcn_lab.terminal import print_text
from fcn_lab.training.datamodule import FrameDataModule

STYLES = {Level.WRONG: "bold red", Level.CAREFUL: "yellow", Level.KNOWN: "dim"}


class Audit:
    """Reads every frame and label of a data set and prints what it finds.

    Args:
        data: the data set.
    """

    def __init__(self, data: FrameDataModule) -> None:
        self.source = data.source

    def run(self, folder: Path) -> None:
        """Prints tables and findings; leaves audit.html and audit.json in `folder`."""
        print_text(self.source.describe())
        measured = Measurements.measure(self.source)
        found = collect_findings(measured)
        for one in build_tables(measured):
            print_text(build_table(one))
        print_findings(found)
        write_text(folder / "audit.html", render_audit(measured, found))
        write_json(
            folder / "audit.json",
            {
                "protocol": measured.data.protocol,
                "findings": [{**asdict(f), "level": f.level.name.lower()} for f in found],
                **collect_numbers(measured),
            },
        )
        print_text(f"folder: {folder}")


def build_table(one: AuditTable) -> Table:
    """Returns the table as rich prints it in a terminal."""
    shown = Table(title=one.title, title_justify="left", title_style="bold")
    for index, column in enumerate(one.columns):
        shown.add_column(column, justify="left" if index == 0 else "right")
    for row in one.rows:
        shown.add_row(*("–" if cell is None else str(cell) for cell in row))
    return shown


def print_findings(found: list[Finding]) -> None:
    """Prints the findings, each with its level."""
    console = Console()
    for finding in found:
        console.print(finding.level.name.lower(), style=STYLES[finding.level], end="  ")
        console.print(finding.title, markup=False, highlight=False, soft_wrap=True)
        if finding.text:
            console.print(
                f"         {finding.text}",
                style="dim",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
    if not any(finding.level is Level.WRONG for finding in found):
        print_text("nothing is wrong with the files")
