"""What may be anybody's words reads the same in every format, and is nowhere taken for markup."""

import csv
import html
import io
import json
import os
import re
import zipfile
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from fcn_lab.errors import Omissions
from fcn_lab.files import write_table
from fcn_lab.rendering.html import render_figure
from fcn_lab.report.frames import PredictionArchive
from fcn_lab.text.escaping import (
    csv_row,
    markdown_table,
    markdown_text,
    plotly_text,
    script_json,
    terminal_text,
)
from fcn_lab.training.callbacks.predictions import Archive
from support.places import ROOT

WORDS = (
    *(
        "<!--<script>",
        "</script>",
        "<b>x</b>",
        "a|b",
        "`x`",
        "a\nb",
        "bed_of_nails",
        "_x_",
        "__x__",
    ),
    *("*a*", "[x](http://y)", "![i](j)", "&lt;", "&amp", "a & b", "\\", "\\|", "a\\|b", "~~s~~"),
    *(
        "[+1.0, +2.0]",
        "1. x",
        "- x",
        "# x",
        "[x]: y",
        "<http://x>",
        "`|`",
        "é_x_é",
        "=1+1",
        "[red]",
    ),
    *("\u2028", "]]>", "%{y}", "<br>", "<a href='x'>y</a>", "{{ 7 * 7 }}"),
)


@pytest.mark.parametrize("words", WORDS)
def test_a_cell_and_a_sentence_of_markdown_show_the_words(words: str) -> None:
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    plain = " ".join(words.split())
    page = reader.render(markdown_table(["h", "h"], [[words, 1]], 2))
    cells = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
    assert [html.unescape(cell) for cell in cells] == [plain, "1"]
    assert html.unescape(reader.render(f"word {markdown_text(words)}")) == (
        f"<p>word {plain}</p>\n" if plain else "<p>word</p>\n"
    )


@pytest.mark.parametrize("words", WORDS)
def test_a_script_holds_the_same_value_and_no_sign_of_html(words: str) -> None:
    shown = script_json({words: [words, 0.5, None]})
    assert json.loads(shown) == {words: [words, 0.5, None]}
    assert not set("<>&\u2028") & set(shown)


@pytest.mark.parametrize("words", WORDS)
def test_a_charts_words_are_no_markup_and_its_template_stays(words: str) -> None:
    template = "%{y}<extra>%{fullData.name}</extra>"
    trace = {"name": words, "x": [words, 1], "text": [[words]], "hovertemplate": template}
    found = re.search(r">({.*})</script>", render_figure({"data": [trace], "layout": {}}, "c"))
    assert found
    made = json.loads(found[1])["data"][0]
    assert made["hovertemplate"] == template
    for shown in (made["name"], made["x"][0], made["text"][0][0], plotly_text(words)):
        assert "<" not in shown
        assert html.unescape(shown) == words
    assert made["x"][1] == 1


FORMULAS = (
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\uff1d1",
)


def test_a_spreadsheet_computes_no_cell_and_numbers_stay_numbers() -> None:
    numbers = ["-0.5", "+1e3", "-inf", "+1.2", "-7", -0.5, 3, None, ""]
    harmless = ["a=1", "[+1.0, +2.0]", "model=fcn8s,seed=0", "– 3", "'"]
    file = io.StringIO()
    csv.writer(file).writerow(csv_row([*FORMULAS, *numbers, *harmless]))
    read = next(csv.reader(io.StringIO(file.getvalue(), newline="")))
    assert read[: len(FORMULAS)] == [f"'{formula}" for formula in FORMULAS]
    rest = ["" if cell is None else str(cell) for cell in [*numbers, *harmless]]
    assert read[len(FORMULAS) :] == rest


def test_a_terminal_obeys_no_name() -> None:
    evil = "\x1b[2J\x07a\nb\r\x9b\u202egnp.exe\udcff é"
    shown = terminal_text(evil)
    assert shown.isprintable()
    assert shown.endswith(" é")
    assert shown.encode("ascii", "ignore").decode("unicode_escape") == evil.replace("é", "")
    file = io.StringIO()
    Console(file=file).print(terminal_text("[red]x[/nothing]"), markup=False)
    assert file.getvalue() == "[red]x[/nothing]\n"


def test_who_writes_csv_escapes_it_or_holds_numbers_under_fixed_names() -> None:
    writing = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "fcn_lab").rglob("*.py")
        if re.search(r"csv\.(Dict)?[wW]riter\(", text := file.read_text())
        and not re.search(r"csv_(row|cell)\b", text)
    }
    assert writing == {"fcn_lab/runs/table.py"}


@pytest.mark.parametrize("name", ["=1+1", "@x", "+a", "-b", "\t=1", "\uff1d1"])
def test_no_text_of_a_user_is_a_formula_in_a_table(name: str, tmp_path: Path) -> None:
    write_table(tmp_path / "costs.csv", [[name, 1.5, "-2"]])
    with (tmp_path / "costs.csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == [f"'{name}", "1.5", "-2"]


@pytest.mark.parametrize("name", ["a.jpg", "é/漢.jpg", os.fsdecode(b"\xff\xfe.jpg"), "\\xff.jpg"])
def test_a_name_that_is_no_utf8_is_kept_in_an_archive_and_found_again(
    name: str, tmp_path: Path
) -> None:
    omissions = Omissions()
    archive = Archive(tmp_path / "predictions.zip", omissions)
    archive.add({name: b"content"})
    archive.publish()
    with zipfile.ZipFile(tmp_path / "predictions.zip") as kept:
        keeper = PredictionArchive({one: kept for one in kept.namelist()})
        assert keeper.read(name) == b"content"
    assert omissions.errors == []
