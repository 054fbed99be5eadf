"""The demo in a browser: it fetches nothing from outside, takes any file, and ends on Ctrl-C."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.places import ROOT

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect, sync_playwright

from support import nets, waiting
from support.uploads import bad_files

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: .ci/browser installs Debian's"),
    pytest.mark.skipif(find_spec("gradio") is None, reason="gradio is not installed"),
]
WIDTHS = {"desk": 1280, "phone": 390}
PATIENCE = 1000 * waiting.PATIENCE  # in milliseconds
SAID = "#shown .tile:not(:first-child)"


@dataclass
class Served:
    """The demo as a process of its own."""

    process: subprocess.Popen[str]
    url: str
    uploads: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    runs = nets.write_runs(tmp_path_factory.mktemp("runs"))
    (runs / "report.html").write_text("<title>A report</title>")  # the widest table has a link
    uploads = tmp_path_factory.mktemp("tmp")
    words = ["task=demo", f"runs={runs}", "demo.port=0", "demo.megapixels=1"]
    environment = {**os.environ, "TMPDIR": str(uploads), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=runs,
    )
    assert process.stdout is not None
    line = next(line for line in process.stdout if " at http://" in line)
    assert line.startswith("4 networks at http://127.0.0.1:")
    yield Served(process, line.split()[3], uploads)
    if process.poll() is None:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module", params=WIDTHS)
def page(request: pytest.FixtureRequest, served: Served) -> Iterator[Page]:
    """The page, opened; whatever it fetches from elsewhere fails the test."""
    outside, errors = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": WIDTHS[request.param], "height": 800})
        opened.set_default_timeout(PATIENCE)
        here = (served.url, "data:", "blob:")
        opened.on("request", lambda asked: asked.url.startswith(here) or outside.append(asked.url))
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(served.url)
        expect(opened.locator(SAID)).to_have_count(3, timeout=PATIENCE)
        yield opened
        browser.close()
    assert outside == []
    assert errors == []


def first_prediction(page: Page) -> str | None:
    return page.locator(f"{SAID} img").first.get_attribute("src")


def test_it_opens_with_an_example_through_each_model(page: Page) -> None:
    titles = page.locator(f"{SAID} strong").all_inner_texts()
    assert titles == ["fcn32s bilinear", "fcn16s bilinear", "fcn8s bilinear"]
    assert page.locator("#shown tbody tr").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_every_picture_has_a_name(page: Page) -> None:
    assert page.evaluate("[...document.querySelectorAll('#shown .tile img')].every(e => e.alt)")


def test_a_slider_changes_the_overlay(page: Page) -> None:
    before = first_prediction(page)
    page.get_by_label("range slider for Opacity of the classes").focus()
    page.keyboard.press("Home")
    page.mouse.move(0, 0)
    page.wait_for_function(
        "before => document.querySelectorAll('#shown .tile img')[2].src != before", arg=before
    )


def test_another_example_is_another_picture(page: Page) -> None:
    given = page.locator("#shown .tile img").first
    before = given.get_attribute("src")
    page.get_by_label("Thumbnail 3 of").click()
    expect(given).not_to_have_attribute("src", str(before), timeout=PATIENCE)
    expect(page.locator(SAID)).to_have_count(3)


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "deep", "bomb"])
def test_a_bad_file_is_named_and_the_old_picture_stays(
    kind: str, page: Page, tmp_path: Path
) -> None:
    drop(page, bad_files(tmp_path)[kind])
    expect(page.get_by_role("alert").filter(has_text=f"{kind}.png")).to_be_visible(timeout=PATIENCE)
    assert page.locator(SAID).count() == 3


def test_a_picture_of_ones_own_has_no_truth(page: Page, tmp_path: Path) -> None:
    own = tmp_path / "own.jpg"
    nets.fakeruns.Image.new("CMYK", (333, 20)).save(own)
    drop(page, own)
    expect(page.locator("#shown .tile").first).to_contain_text("picture", timeout=PATIENCE)
    expect(page.locator("#shown .tile").first).not_to_contain_text("truth", timeout=PATIENCE)
    assert page.get_by_role("alert").count() == 0


def drop(page: Page, path: Path) -> None:
    if (clear := page.get_by_label("Clear")).count():
        clear.first.click()
        expect(page.locator("input[type=file]").first).to_be_attached(timeout=PATIENCE)
    page.locator("input[type=file]").first.set_input_files(path)


def test_four_networks_stand_in_a_row_or_two_by_two(page: Page) -> None:
    page.get_by_label("Networks, up to 4").click()
    page.get_by_role("option").filter(has_text="fcn8s nearest").click()
    page.keyboard.press("Escape")
    expect(page.locator(SAID)).to_have_count(4, timeout=PATIENCE)
    corners = "tiles => tiles.map(e => e.getBoundingClientRect()).map(r => [r.left, r.top])"
    places = page.locator(SAID).evaluate_all(corners)
    narrow = page.viewport_size is not None and page.viewport_size["width"] == WIDTHS["phone"]
    columns, rows = (len({round(place[axis]) for place in places}) for axis in (0, 1))
    assert (columns, rows) == ((2, 2) if narrow else (4, 1))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    table = page.locator("#shown .scroll")
    wide, room = table.evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert wide <= room


def test_ctrl_c_ends_it_and_nothing_stays(served: Served) -> None:
    served.process.send_signal(signal.SIGINT)
    assert served.process.communicate(timeout=waiting.PATIENCE)[1] == ""
    assert served.process.returncode in (0, 130)
    assert list(served.uploads.iterdir()) == []
