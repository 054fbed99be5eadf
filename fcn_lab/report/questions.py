"""Finds the question that a report answers, in the records of its runs' sweeps."""

from collections.abc import Iterable
from pathlib import Path

from fcn_lab.report.runs import Run
from fcn_lab.runs.names import SWEEP_RECORD
from fcn_lab.runs.records import DamagedFile, read_json


def find_question(runs: Iterable[Run]) -> str:
    """Returns the question of the sweeps that these runs are cells of; empty if they differ."""
    questions = {read_question(sweep) for sweep in {run.folder.parent for run in runs}}
    return questions.pop() if len(questions) == 1 else ""


def read_question(sweep: Path) -> str:
    """Returns the question in a sweep's record; empty where there is none."""
    try:
        study = read_json(sweep / SWEEP_RECORD).get("study")
    except DamagedFile:
        return ""
    question = study.get("question") if isinstance(study, dict) else None
    return question if isinstance(question, str) else ""
