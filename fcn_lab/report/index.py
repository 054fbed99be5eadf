"""Writes a report for each of several studies in a folder, and one page that leads to them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from fcn_lab.errors import UserError
from fcn_lab.files import make_folder, write_texts
from fcn_lab.rendering.html import Section, render_page, render_paragraphs
from fcn_lab.report.answer import describe_answer, describe_question
from fcn_lab.report.questions import read_question
from fcn_lab.report.study import Study
from fcn_lab.report.writing import ADVICE, format_heading, render_scores, write_report
from fcn_lab.runs.names import SWEEP_RECORD
from fcn_lab.text.terminal import report_progress


@dataclass(frozen=True)
class Entry:
    """A study on the page.

    Args:
        title: the name of its folder, and its question.
        body: the HTML of its answer, or of why it has none.
        page: its report; None where it has none.
    """

    title: str
    body: Markup
    page: Path | None = None


def find_studies(folder: Path) -> list[Path]:
    """Returns the sweeps right inside a folder if they ask several questions, else none."""
    sweeps = sorted(record.parent for record in folder.glob(f"*/{SWEEP_RECORD}"))
    asks_several = len({*map(read_question, sweeps)} - {""}) > 1
    return sweeps if asks_several else []


def write_index(sweeps: Sequence[Path], folder: Path, into_sweeps: bool) -> list[Path]:
    """Writes a report of each sweep, and index.html with the question and the answer of each.

    Args:
        sweeps: the studies.
        folder: where index.html goes.
        into_sweeps: whether each report goes into its sweep's folder instead of `folder`.

    Returns:
        The paths of all pages, the index first.
    """
    make_folder(folder, ADVICE)
    targets = {s: (s if into_sweeps else folder / s.name) / "report" for s in sweeps}
    pairs = report_progress(targets.items(), len(targets), "reporting on studies")
    entries = [_report(sweep, target) for sweep, target in pairs]
    title = f"{len(entries)} studies: what the runs show"
    write_texts(folder, {"index.html": render_page(title, _list_sections(entries, folder))}, ADVICE)
    return [folder / "index.html", *(entry.page for entry in entries if entry.page is not None)]


def _report(sweep: Path, folder: Path) -> Entry:
    """Writes the report of one study, and returns its entry; without a report that says why."""
    try:
        study = Study.read([sweep])
    except UserError as error:
        return Entry(sweep.name, render_paragraphs(f"No report yet: {error}"))
    page, *_ = write_report(study, folder)
    answer = (*describe_question(study), " ".join(describe_answer(study)))
    body = render_paragraphs(*answer) + render_scores(study)
    return Entry(f"{sweep.name}: {format_heading(study)}", body, page)


def _list_sections(entries: Sequence[Entry], folder: Path) -> Iterator[Section]:
    for entry in entries:
        body = entry.body
        if entry.page is not None:
            link = quote(os.fsencode(os.path.relpath(entry.page, folder)))
            body += Markup('<p><a href="{}">The whole report</a></p>').format(link)
        yield Section(entry.title, body)
