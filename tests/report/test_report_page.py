"""The report in a browser: it loads from disk, fetches nothing, and its controls work."""

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("playwright")
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from fcn_lab.report.study import Study
from fcn_lab.report.writing import write_report
from support import fakeruns
from support.waiting import PATIENCE

expect.set_options(timeout=1000 * PATIENCE)
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: .ci/browser installs Debian's"),
]
WIDTHS = {"desk": 1280, "phone": 390}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fakeruns.write_grid(tmp_path_factory.mktemp("grid"), seeds=(0, 1))
    return write_report(Study.read([folder]), folder / "report")[0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module", params=WIDTHS)
def opened(
    request: pytest.FixtureRequest, browser: Browser, report: Path
) -> Iterator[tuple[Page, list[str]]]:
    """The report, and what it complains of or fetches."""
    heard: list[str] = []
    page = browser.new_page(viewport={"width": WIDTHS[request.param], "height": 800})
    page.set_default_timeout(1000 * PATIENCE)
    page.on("console", lambda said: heard.append(said.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda asked: heard.append(asked.url))
    page.goto(report.as_uri())
    page.evaluate("drawn")
    yield page, heard
    page.close()


@pytest.fixture
def page(opened: tuple[Page, list[str]]) -> Iterator[Page]:
    """The opened report; a word of complaint or a fetch fails the test."""
    yield opened[0]
    foreign = [words for words in opened[1] if not words.startswith(("file:", "data:", "blob:"))]
    opened[1].clear()
    assert foreign == []


def test_every_chart_is_drawn_as_plotly_wants_it(page: Page) -> None:
    assert page.locator(".plot").count() == page.locator(".plot svg.main-svg:first-child").count()
    found = page.evaluate("charts.flatMap((c) => Plotly.validate(c.data, c.layout) || [])")
    # a line's look that a chart of points does not use is no mistake
    assert [each["msg"] for each in found if each["code"] != "unused"] == []


def test_the_toolbars_have_these_buttons_and_offer_to_send_nothing_away(page: Page) -> None:
    read = "bar => [...bar.querySelectorAll('.modebar-btn')].map((each) => each.dataset.title)"
    toolbars = page.locator(".modebar").evaluate_all(f"all => all.map({read})")
    assert len(toolbars) == page.locator(".plot").count()
    moves = ["Zoom", "Pan", "Zoom in", "Zoom out", "Autoscale", "Reset axes"]
    assert {tuple(titles) for titles in toolbars} == {
        ("Save as a PNG, 300 dots to the inch", *moves)
    }
    servers = page.locator(".plot").evaluate_all("all => all.map(p => p._context.plotlyServerURL)")
    assert {*servers} == {""}


def test_nothing_is_wider_than_the_screen(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # of a table that is, the title stays in sight
    ends = "all => all.map((each) => each.getBoundingClientRect().right)"
    width = page.evaluate("innerWidth")
    assert max(page.locator("section > .scroll caption span").evaluate_all(ends)) <= width


def test_names_of_any_length_leave_the_charts_their_room(browser: Browser, tmp_path: Path) -> None:
    frames, source = fakeruns.street(6)
    for number, model in enumerate(fakeruns.STRIDES):
        run = fakeruns.write_run(tmp_path / model, frames, source, model)
        arm = f"model={model},weights=/{'a-long-word' * 12}/number-{number}.ckpt"
        (run / "config.yaml").write_text(yaml.safe_dump({"arm": arm, "seed": 0}))
    made = write_report(Study.read([tmp_path]), tmp_path / "report")[0]
    page = browser.new_page(viewport={"width": WIDTHS["phone"], "height": 800})
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(made.as_uri())
    page.evaluate("drawn")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    room = "place => place._fullLayout._size.w / place.clientWidth"
    assert min(page.locator(".plot").evaluate_all(f"all => all.map({room})")) > 0.3
    page.close()


def test_the_theme_changes_by_keyboard(page: Page) -> None:
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert page.locator("#theme").get_attribute("aria-pressed") == "true"


def test_a_chart_is_saved_with_its_title_and_300_dots_to_the_inch(
    page: Page, tmp_path: Path
) -> None:
    chart = page.locator(".plot").first
    width = chart.evaluate("place => place.clientWidth")
    chart.hover()
    with page.expect_download() as download:
        chart.locator(".modebar-btn[data-title*='PNG']").click()
    assert download.value.suggested_filename.startswith("mean-iou-of-every-arm")
    download.value.save_as(tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as saved:
        assert saved.width == pytest.approx(width * 300 / 96, abs=4)
        assert saved.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        pixels = np.asarray(saved.convert("RGBA"))
    # the page's own ground, so that ink of a dark page is read on white paper, too
    assert (pixels[..., 3] == 255).all()
    title = (pixels[: 26 * 300 // 96] != pixels[0, 0]).any(2)
    # ink from the left to the right of the strip above the chart
    columns = np.flatnonzero(title.any(0))
    assert columns[-1] - columns[0] > 0.3 * saved.width


def test_a_finger_finds_the_button_that_saves_a_chart(browser: Browser, report: Path) -> None:
    phone = {"width": WIDTHS["phone"], "height": 800}
    context = browser.new_context(viewport=phone, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(report.as_uri())
    page.evaluate("drawn")
    buttons = page.locator(".plot").first.locator(".modebar-btn")
    read = "all => all.map((each) => each.dataset.title)"
    assert buttons.evaluate_all(read) == ["Save as a PNG, 300 dots to the inch", "Reset axes"]
    with page.expect_download() as download:
        buttons.first.tap()
    assert download.value.suggested_filename.endswith(".png")
    context.close()


def test_the_confusion_matrix_is_that_of_the_arm_chosen(page: Page) -> None:
    read = "document.querySelector('#confusion-chart .plot').data[0].z[0][0]"
    matrices = page.evaluate("content('confusion-values')")
    first, last = matrices[0][0][0], matrices[-1][0][0]
    assert page.evaluate(read) == first != last
    arm, caption = page.locator("#confusion-arm"), page.locator("#confusion-chart figcaption")
    names = arm.locator("option").all_inner_texts()
    assert f"taken for by {names[0]}," in caption.inner_text()
    arm.select_option(index=len(matrices) - 1)
    page.wait_for_function(f"{read} === {last}")
    assert f"taken for by {names[-1]}," in caption.inner_text()
    label = page.locator("#confusion-chart .plot").get_attribute("aria-label")
    assert label == caption.inner_text()


def test_frames_can_be_turned_zoomed_moved_and_cut(page: Page) -> None:
    tiles = page.locator("#tiles")
    first = tiles.locator("figcaption").first.inner_text()
    page.locator("#frame-after").click()
    assert tiles.locator("figcaption").first.inner_text() != first
    view = tiles.locator(".view").nth(2)
    guess = view.locator("img.prediction").first
    where = "e => getComputedStyle(e).transform"
    before = guess.evaluate(where)
    view.focus()
    held = "(() => { const s = getComputedStyle(document.querySelector('#tiles'));"
    held += " return +s.getPropertyValue('--x') + 50 / +s.getPropertyValue('--zoom'); })()"
    for key in ("+", "+"):
        page.keyboard.press(key)
    assert page.evaluate(held) == pytest.approx(50)
    page.keyboard.press("ArrowRight")
    assert guess.evaluate(where) != before
    cut = "e => getComputedStyle(e).clipPath"
    whole = guess.evaluate(cut)
    page.locator("#split").focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert guess.evaluate(cut) != whole
    line = view.locator(".line").bounding_box()
    truth, shown = (view.locator(f".side.{s}").bounding_box() for s in ("right", "left"))
    assert line
    assert truth
    assert shown
    assert shown["x"] + shown["width"] <= line["x"] + 2
    assert truth["x"] >= line["x"] - 2
    page.locator("#wrong").uncheck()
    assert not view.locator("img.errors").is_visible()


def test_every_control_and_picture_has_a_name(page: Page) -> None:
    unnamed = page.evaluate(
        """[...document.querySelectorAll("img, select, input, button, [role=img], [role=group]")]
        .filter(e => !(e.alt || e.ariaLabel || e.innerText || e.labels?.length)).length"""
    )
    assert unnamed == 0
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])")
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_a_print_is_light_and_without_controls(page: Page) -> None:
    page.emulate_media(media="print")
    assert not page.locator("#theme").is_visible()
    assert not page.locator("#zoom").is_visible()
    assert page.locator("#tiles img").first.is_visible()
    expect(page.locator("details:not([open])")).to_have_count(0)
    assert not page.locator(".modebar-container").first.is_visible()
    # what is light on dark stays so, where a browser would leave out the dark
    inks = "all => all.map((each) => getComputedStyle(each).printColorAdjust)"
    marks = page.locator(".side, .line, .legend span").evaluate_all(inks)
    assert {*marks} == {"exact"}
    # the select that names the matrix's arm is a control
    assert not page.locator("#confusion-arm").is_visible()
    assert "taken for by fcn" in page.locator("#confusion-chart figcaption").inner_text()
    page.emulate_media(media="screen")
    expect(page.locator("details[open]")).to_have_count(0)
