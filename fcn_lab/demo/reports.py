"""The reports that lie beside the runs of a page; it links to them and sends no other file."""

from collections.abc import Iterable, Iterator
from pathlib import Path

# a report's script may come from a stranger: without an origin it cannot call the page
HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts allow-downloads allow-modals; "
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
# where task=report writes by default, and where if output= names the folder itself
PLACES = ("report/report.html", "report.html")


def find_reports(runs: Iterable[Path], folders: Iterable[Path]) -> dict[Path, Path]:
    """Returns the nearest report of each run: its own, or that of the sweep that holds it.

    Args:
        runs: folders of runs.
        folders: the folders that the page was started with; nothing outside them is taken.
    """
    roots = [folder.resolve() for folder in folders]
    reports = {run: next(_list_reports(run.resolve(), roots), None) for run in runs}
    return {run: report for run, report in reports.items() if report is not None}


def _list_reports(run: Path, roots: Iterable[Path]) -> Iterator[Path]:
    for root in (root for root in roots if run.is_relative_to(root)):
        folders = [folder for folder in (run, *run.parents) if folder.is_relative_to(root)]
        files = (folder / name for folder in folders for name in PLACES)
        yield from (file for file in files if is_own_file(file))


def is_own_file(path: Path) -> bool:
    """Returns whether a file lies there itself, not a link to one elsewhere."""
    try:
        return path.is_file() and path.resolve(strict=True) == path
    except (OSError, RuntimeError):
        return False


def name_routes(reports: Iterable[Path]) -> dict[str, Path]:
    """Returns the reports, each once, by the path that a page has them under."""
    return {f"/report/{number}": file for number, file in enumerate(dict.fromkeys(reports))}
