"""Pages work from disk: whatever is shown is in the file, and nothing in it is taken for markup."""

import json
import re
from html import unescape

import pytest
from markupsafe import Markup

from fcn_lab.rendering.html import (
    Section,
    render_figure,
    render_page,
    render_paragraphs,
    render_table,
)

SPEC = {"data": [{"x": [1, 2], "y": [0.5, None], "name": "</script><b>"}], "layout": {}}


@pytest.fixture(scope="module")
def page() -> str:
    body = render_paragraphs("1 < 2") + render_table(["arm", "mean IoU"], [["a<b", None]], "scores")
    charts = render_figure(SPEC, "one") + render_figure(SPEC, 'the "other"')
    return render_page("A title", [Section("What was asked?", body), Section("Charts", charts)])


def test_the_plotting_script_is_embedded_once(page: str) -> None:
    assert len(re.findall(r"plotly\.js v\d", page)) == 1


def test_the_charts_of_a_page_are_sent_nowhere(page: str) -> None:
    own_script = page[page.rindex("const COLOURS") :]
    assert 'plotlyServerURL: ""' in own_script
    # these buttons and no others; plotly's own choice of them has one that uploads a chart
    buttons = re.search(r"const BUTTONS = (.*?);", own_script)
    assert buttons
    assert "Cloud" not in buttons[1]
    assert "modeBarButtons: BUTTONS" in own_script


def test_sections_are_listed_and_linked(page: str) -> None:
    assert '<a href="#what-was-asked">What was asked?</a>' in page
    assert '<section id="what-was-asked"' in page


def test_text_is_never_markup(page: str) -> None:
    assert "1 &lt; 2" in page
    assert "a&lt;b" in page
    assert 'aria-label="the &#34;other&#34;"' in page
    assert "</script><b>" not in page


def test_a_chart_keeps_its_numbers() -> None:
    found = re.search(r'<script type="application/json">(.*?)</script>', render_figure(SPEC, "c"))
    assert found
    shown = json.loads(found[1])
    shown["data"][0]["name"] = unescape(shown["data"][0]["name"])  # plotly knows entities
    assert shown == SPEC


def test_a_chart_refuses_what_json_has_not() -> None:
    with pytest.raises(ValueError, match="JSON"):
        render_figure({"data": [{"y": [float("nan")]}]}, "c")


def test_a_missing_cell_is_a_dash_and_markup_stays() -> None:
    shown = render_table(["a", "b"], [["x", None], ["y", Markup("<b>1</b>")]], "t")
    assert '<td class="number">–</td>' in shown
    assert '<td class="number"><b>1</b></td>' in shown


def test_only_a_name_that_is_long_may_be_broken_anywhere() -> None:
    long = "an arm/of/many/words" * 2
    shown = render_table(["class", "accuracy", long], [["Sky", 1, 2], [long, 3, 4]], "t")
    assert re.findall('<th scope="col" class="(.*?)">', shown) == ["", "number", "number long"]
    assert re.findall('<th scope="row"(.*?)>', shown) == ["", ' class="long"']
