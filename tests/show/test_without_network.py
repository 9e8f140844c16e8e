"""Interactive figures need no network: written as pages, opened in a browser, and in the outputs of notebooks."""

import imagecodecs
import numpy as np
import pytest
from test_browser import CHROMIUM
from test_show import at_home, files, home  # noqa: F401 - fixtures

from cbm_lake import show

pytestmark = pytest.mark.slow

MONTHS = "2024-03-01", "2024-04-30"
PAGES = {
    "curve": lambda file: show.time_series.ndvi("ms", 2024, "0012", interactive=True, file=file),
    "two panels": lambda file: show.time_series.s1("ms", 2024, ["0012", "12"], interactive=True, file=file),
    "images with a slider": lambda file: show.chip_images.by_pid(
        "ms", 2024, "0012", *MONTHS, "true colour", interactive=True, file=file
    ),
    "calendar": lambda file: show.calendar.by_pid("ms", 2024, "0012", None, *MONTHS, interactive=True, file=file),
}
CANVAS = """() => {
    const find = root => [...root.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot ? find(e.shadowRoot) : [])])
    return find(document).filter(e => e.tagName === "CANVAS" && e.width > 200).length
}"""
WIDTHS = """() => [...Bokeh.documents[0]._all_models.values()]
    .filter(model => ["Plot", "Figure"].includes(model.type))
    .map(model => model.x_range.end - model.x_range.start)"""


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.mark.parametrize("kind", PAGES)
def test_a_written_page_shows_its_figure_and_asks_nobody(kind, browser, tmp_path):
    file = tmp_path / "figure.html"
    PAGES[kind](file)
    assert file.stat().st_size < 4_000_000
    asked, page = [], browser.new_page(viewport={"width": 1000, "height": 760})
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_function(f"({CANVAS})() > 0")
    page.wait_for_function("Bokeh.documents[0].is_idle")
    pixels = imagecodecs.png_decode(page.screenshot(animations="disabled"))
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 20
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    page.close()


def test_the_wheel_zooms_at_once_into_the_time_of_all_panels(browser, tmp_path):
    PAGES["two panels"](tmp_path / "figure.html")
    page = browser.new_page(viewport={"width": 1000, "height": 760})
    page.goto((tmp_path / "figure.html").as_uri())
    page.wait_for_function("Bokeh.documents[0].is_idle")
    before = page.evaluate(WIDTHS)
    page.mouse.move(400, 130)
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"({WIDTHS})()[0] < {before[0]}")
    after = page.evaluate(WIDTHS)
    assert len(set(after)) == 1
    assert len(after) == len(before) > 1
    page.close()


NOTEBOOK = """import cbm_lake as cbm
cbm.show.time_series.ndvi("ms", 2024, "0012", interactive=True)"""


def test_the_scripts_are_in_the_output_of_the_first_cell_that_draws_and_in_no_other(monkeypatch, tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cells = [nbformat.v4.new_code_cell(NOTEBOOK) for _ in range(3)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(tmp_path))
    outputs = [nbformat.writes(nbformat.v4.new_notebook(cells=[cell])) for cell in notebook.cells]
    assert [len(text) > 2_000_000 for text in outputs] == [True, False, False]
    assert all("bk-" in text or "root_ids" in text or "docs_json" in text for text in outputs)
    assert "cdn.bokeh.org/bokeh/release" not in outputs[0]
