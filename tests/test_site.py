"""The documentation as a site that is opened from the disk: links, search, contrast, and the reference of Python."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import cbm_lake

pytestmark = pytest.mark.thorough


ROOT = Path(__file__).parent.parent
ROOMS = sorted(path.stem for path in (ROOT / "docs" / "api").glob("*.md") if path.stem != "lake")
MODULES = ("get", "show")
"""Rooms whose public names are modules, each with functions."""
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page, and the addresses that it asked for elsewhere than on the disk."""
    page = browser.new_page()
    asked = []

    def only_the_disk(route):
        if route.request.url.startswith("file:"):
            return route.continue_()
        asked.append(route.request.url)
        return route.abort()

    page.route("**/*", only_the_disk)
    yield page, asked
    page.close()


def test_the_site_is_built_and_every_link_in_it_leads_somewhere(site):
    assert (site / "cookbook.html").is_file()


def test_search_works_in_pages_that_are_opened_from_the_disk_and_asks_nobody_else(site, page):
    page, asked = page
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("/")
    page.keyboard.type("pseudonyms")
    first = page.locator(".md-search-result__link").first
    first.wait_for()
    first.click()
    page.wait_for_url("**/exports.html*")
    page.get_by_role("heading", name=re.compile("pseudonym", re.IGNORECASE)).first.wait_for()
    assert not asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "getting_started", "cookbook", "api/extract"])
def test_text_stands_out_from_its_background(site, page, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page, asked = page
    page.emulate_media(color_scheme=scheme)
    page.goto((site / f"{name}.html").as_uri())
    result = axe.Axe().run(page, options={"runOnly": ["color-contrast"]})
    found = {
        node["html"][:80]: node["any"][0]["message"] for one in result.response["violations"] for node in one["nodes"]
    }
    assert not found
    assert not asked


def test_every_public_function_and_class_of_python_is_in_the_reference(site):
    missing = []
    for room in ROOMS:
        module = getattr(cbm_lake, room)
        assert isinstance(module, ModuleType)
        anchors = set(re.findall(r'id="(cbm_lake[^"]*)"', (site / "api" / f"{room}.html").read_text()))
        for name in getattr(module, "__all__", ()):
            one = f"cbm_lake.{room}.{name}"
            if not anchors & {one, f"{one}.{name}"} and (callable(getattr(module, name)) or room in MODULES):
                missing.append(one)
    assert not missing


def test_the_reference_of_a_function_gives_its_signature_arguments_results_and_errors(site):
    text = (site / "api" / "cases.html").read_text()
    entry = text.split('id="cbm_lake.cases.notify"')[1].split('id="cbm_lake.cases.')[0]
    for word in ("Parameters", "Returns", "Raises", "answer_by", "notices"):
        assert word in entry, word
