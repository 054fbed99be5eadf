"""task=audit: what a data set is like and what is wrong with it, before a network sees it."""

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fcn_lab.audit.audit import Audit as Measured
from fcn_lab.audit.findings import Finding, Level, collect_findings
from fcn_lab.audit.html import render_audit
from fcn_lab.audit.tables import AuditTable, build_tables, collect_numbers
from fcn_lab.files import write_json, write_text
from fcn_lab.terminal import say
from fcn_lab.training.datamodule import CamVidDataModule

STYLES = {Level.WRONG: "bold red", Level.CAREFUL: "yellow", Level.KNOWN: "dim"}


class Audit:
    """Reads every frame and label of a data set and says what it found.

    Args:
        data: the data.
    """

    def __init__(self, data: CamVidDataModule) -> None:
        self.source = data.source

    def run(self, folder: Path) -> None:
        """Prints tables and findings; leaves audit.html and audit.json in `folder`."""
        say(self.source.describe())
        measured = Measured.measure(self.source)
        found = collect_findings(measured)
        for one in build_tables(measured):
            say(table(one))
        listed(found)
        write_text(folder / "audit.html", render_audit(measured, found))
        write_json(
            folder / "audit.json",
            {
                "protocol": measured.data.protocol,
                "findings": [{**asdict(f), "level": f.level.name.lower()} for f in found],
                **collect_numbers(measured),
            },
        )
        say(f"folder: {folder}")


def table(one: AuditTable) -> Table:
    """The table for a terminal."""
    shown = Table(title=one.title, title_justify="left", title_style="bold")
    for place, column in enumerate(one.columns):
        shown.add_column(column, justify="left" if place == 0 else "right")
    for row in one.rows:
        shown.add_row(*("–" if cell is None else str(cell) for cell in row))
    return shown


def listed(found: list[Finding]) -> None:
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
        say("nothing is wrong with the files")
