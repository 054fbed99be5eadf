"""task=audit: measures a data set and finds errors in it, before a network is trained on it."""

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fcn_lab.audit.audit import Audit as Measurements
from fcn_lab.audit.finding import Finding, Level
from fcn_lab.audit.findings import collect_findings
from fcn_lab.audit.html import render_audit
from fcn_lab.audit.tables import build_tables, collect_numbers
from fcn_lab.files import write_json, write_text
from fcn_lab.rendering.tables import print_table
from fcn_lab.text.escaping import UNKNOWN_VALUE
from fcn_lab.text.terminal import print_next, print_text, show_waiting, wrap_line
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
        measurements = Measurements.measure(self.source)
        with show_waiting("comparing the splits"):
            findings, tables = collect_findings(measurements), build_tables(measurements)
        for table in tables:
            cells = [
                [UNKNOWN_VALUE if cell is None else str(cell) for cell in row] for row in table.rows
            ]
            print_table(table.columns, cells, table.title)
        print_findings(findings)
        with show_waiting("drawing the page"):
            write_text(folder / "audit.html", render_audit(measurements, findings))
        write_json(
            folder / "audit.json",
            {
                "protocol": measurements.data.protocol,
                "findings": [{**asdict(f), "level": f.level.name.lower()} for f in findings],
                **collect_numbers(measurements),
            },
        )
        print_next({"The audit as a page, with pictures": folder / "audit.html"})


def print_findings(findings: list[Finding]) -> None:
    """Prints the findings, each with its level."""
    console = Console()
    for finding in findings:
        level = finding.level.name.lower()
        for words, style in ((f"{level}  {finding.title}", ""), (finding.text, "dim")):
            line = wrap_line(words, console.width) if console.is_terminal else words
            text = Text(line, style)
            if not style:
                text.stylize(STYLES[finding.level], 0, len(level))
            if words:
                console.print(text, soft_wrap=True)
    if not any(finding.level is Level.WRONG for finding in findings):
        print_text("nothing is wrong with the files")
