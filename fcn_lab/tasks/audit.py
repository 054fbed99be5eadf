"""task=audit: measures a data set and looks for errors in it, before a network is trained on it."""

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
from fcn_lab.terminal import print_next, print_text, wrap_line
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
            cells = [["–" if cell is None else str(cell) for cell in row] for row in one.rows]
            print_table(one.columns, cells, one.title)
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
        print_next({"The audit as a page, with pictures": folder / "audit.html"})


def print_findings(found: list[Finding]) -> None:
    """Prints the findings, each with its level."""
    console = Console()
    for finding in found:
        level = finding.level.name.lower()
        for words, style in ((f"{level}  {finding.title}", ""), (finding.text, "dim")):
            whole = wrap_line(words, console.width) if console.is_terminal else words
            shown = Text(whole, style)
            if not style:
                shown.stylize(STYLES[finding.level], 0, len(level))
            if words:
                console.print(shown, soft_wrap=True)
    if not any(finding.level is Level.WRONG for finding in found):
        print_text("nothing is wrong with the files")
