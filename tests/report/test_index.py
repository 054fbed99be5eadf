"""A folder of studies: a report each, and a page that leads to them."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from fcn_lab.report.study import Study
from fcn_lab.report.task import Report
from fcn_lab.report.writing import format_markdown
from fcn_lab.runs.sweep import SweepFolder
from support import fakeruns

QUESTIONS = {"skips & more": "Which skips <help>?", "operators": "Which operator?"}


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    for (name, question), model in zip(QUESTIONS.items(), ("fcn8s", "fcn16s"), strict=True):
        fakeruns.write_grid(tmp_path / name, [model], ["bilinear", "nearest"], count=6)
        SweepFolder(tmp_path / name, study={"question": question}).write()
    return tmp_path


def test_a_report_bears_the_question_of_its_study(studies: Path) -> None:
    study = Study.read([studies / "operators"])
    assert format_markdown(study).startswith("# Which operator?\n\nAsked were ")
    assert Study.read([studies / "operators" / "model=fcn16s,upsample=nearest,seed=0"]).question
    assert not Study.read([studies]).question


def test_each_study_of_a_folder_gets_its_report_and_a_place_on_the_page(
    studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (studies / "empty").mkdir()
    SweepFolder(studies / "empty", study={"question": "What is not run yet?"}).write()
    Report(str(studies)).run()
    page, *_ = (studies / "index.html").read_text().split("<script>")
    linked = {studies / unquote(link) for link in re.findall(r'<a href="([^#"]+)"', page)}
    assert linked == {studies / name / "report" / "report.html" for name in QUESTIONS}
    assert all(path.is_file() for path in linked)
    assert "Which skips &lt;help&gt;?" in page
    assert "No report yet: " in page
    assert capsys.readouterr().out.rstrip().endswith(str(studies / "index.html"))


def test_with_an_output_nothing_is_written_beside_the_runs(studies: Path, tmp_path: Path) -> None:
    Report(str(studies), str(tmp_path / "out")).run()
    assert (tmp_path / "out" / "index.html").is_file()
    assert (tmp_path / "out" / "operators" / "report" / "report.html").is_file()
    assert not list(studies.glob("*/report"))


def test_sweeps_of_one_question_are_compared_in_one_report(studies: Path) -> None:
    SweepFolder(studies / "operators", study={"question": QUESTIONS["skips & more"]}).write()
    Report(str(studies)).run()
    assert "of the 6 pairs" in (studies / "report" / "report.md").read_text()
    assert not (studies / "index.html").exists()
