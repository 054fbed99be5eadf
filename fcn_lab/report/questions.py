"""The question that a report answers: that of the sweeps whose cells its runs are."""

from collections.abc import Iterable
from pathlib import Path

from fcn_lab.report.runs import Run
from fcn_lab.runs.names import SWEEP_RECORD
from fcn_lab.runs.records import DamagedFile, read_json


def find_question(runs: Iterable[Run]) -> str:
    """Returns what the sweeps ask whose cells these runs are; empty unless all ask the same."""
    questions = {read_question(sweep) for sweep in {run.folder.parent for run in runs}}
    return questions.pop() if len(questions) == 1 else ""


def read_question(sweep: Path) -> str:
    """Returns what a sweep's record says that it asks; empty where it says nothing."""
    try:
        study = read_json(sweep / SWEEP_RECORD).get("study")
    except DamagedFile:
        return ""
    question = study.get("question") if isinstance(study, dict) else None
    return question if isinstance(question, str) else ""
