"""The workbench in a real browser: a morning's work by keyboard, several people, a link, a process that ends."""

import os
import re
import signal
import sqlite3
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import openpyxl
import pandas as pd
import pytest
import small_demo
from test_browser import CHROMIUM, SHOTS, in_browser, kernels, served, wait

from cbm_lake import cases, report
from cbm_lake.lake import open_lake

pytestmark = pytest.mark.slow

KEYS = "crcpnccrnccrccnccrcc"
"""What is decided of twenty parcels, one after the other."""
DECISIONS = {"c": "confirmed", "r": "refused", "p": "photo", "n": "undecidable"}
SIZES = {"1440": {"width": 1440, "height": 900}, "1280": {"width": 1280, "height": 720}}


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """A workspace with a small sample."""
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    return small_demo.make(tmp_path)


class Desk:
    """The workbench as a person at a keyboard uses it."""

    def __init__(self, page):
        self.page, self.bar = page, page.locator(".cbm-bar")

    @property
    def pid(self):
        return self.bar.get_attribute("data-pid")

    def ready(self, but=None):
        """Wait until a parcel, another one than this, can be decided on; its identifier."""
        wait(lambda: self.pid not in ("", None, but), 240)
        return self.pid

    def decide(self, key):
        """Decide on what is drawn, and wait for the next parcel."""
        pid = self.ready()
        self.page.keyboard.press(key)
        self.ready(but=pid)
        return pid

    def says(self, pattern):
        self.bar.get_by_text(re.compile(pattern)).first.wait_for()

    def fits(self):
        """Whether all of one parcel can be seen without scrolling."""
        height = self.page.viewport_size["height"]
        boxes = [self.page.locator(f".cbm-cell-{name}").bounding_box() for name in ("map", "evidence", "strip")]
        boxes.append(self.bar.bounding_box())
        return all(box["y"] >= 0 and box["y"] + box["height"] <= height for box in boxes)


@contextmanager
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield opened
        finally:
            opened.close()


def visit(opened, url, requests=None):
    """Somebody of their own opens the page."""
    page = opened.new_context(viewport=SIZES["1440"], color_scheme="light", accept_downloads=True).new_page()
    page.set_default_timeout(240_000)
    if requests is not None:
        page.on("request", lambda request: requests.append(request.url))
    page.goto(url)
    page.locator(".cbm-bar").wait_for()
    return Desk(page)


@in_browser
def test_a_parcel_is_decided_by_a_key_the_address_restores_it_and_a_dead_process_is_told(demo):
    pids = open_lake().sql("select pid from parcels order by pid")["pid"].to_pylist()
    with served(demo) as url, browser() as opened:
        desk = visit(opened, f"{url}?pid={pids[3]}&index=ndwi&other=kept")
        assert desk.ready() == pids[3]
        desk.bar.get_by_label("note").fill("cc rr")  # no decision while somebody types
        desk.page.keyboard.press("Escape")
        assert desk.decide("r") == pids[3]
        (row,) = cases.judgements(lake=open_lake()).to_pylist()
        assert (row["pid"], row["decision"], row["note"]) == (pids[3], "refused", "cc rr")
        asked = parse_qs(urlsplit(desk.page.url).query)
        assert asked["pid"] == [desk.pid] == [pids[4]]
        assert (asked["index"], asked["other"]) == (["ndwi"], ["kept"])
        (kernel,) = kernels(demo)
        os.kill(int(kernel.name), signal.SIGKILL)
        desk.page.get_by_role("alert").get_by_text(re.compile("process of this page has ended")).wait_for()
        desk.page.keyboard.press("c")
        assert cases.judgements(lake=open_lake()).num_rows == 1


@pytest.mark.slow
@in_browser
def test_a_mornings_work(demo, tmp_path):
    requests = []
    with served(demo) as url, browser() as opened:
        desk = visit(opened, url, requests)
        decided = decide_twenty(desk)
        in_the_lake(decided)
        in_the_export(desk, decided, tmp_path)
        in_a_report(desk, decided, tmp_path)
        with_a_colleague(desk, visit(opened, url, requests))
        looks(desk)
        hosts = {urlsplit(each).netloc for each in requests if not each.startswith(("data:", "blob:"))}
        assert hosts == {urlsplit(url).netloc}


def decide_twenty(desk):
    """Decisions by parcel; the first one was a slip, which is taken back."""
    slip = desk.decide("n")
    desk.page.keyboard.press("u")
    desk.says("is taken back")
    wait(lambda: desk.pid == slip)
    decided = {desk.decide(key): DECISIONS[key] for key in KEYS}
    desk.says("20 of 66")
    return decided


def in_the_lake(decided):
    rows = open_lake().sql("select pid, decision, shown from judgements order by decided").to_pylist()
    assert [(row["pid"], row["decision"]) for row in rows] == list(decided.items())
    assert all('"map"' in row["shown"] for row in rows)


def in_the_export(desk, decided, folder):
    box = desk.page.locator(".cbm-cell-worklist")
    files = {}
    for name in ("CSV", "XLSX", "GeoPackage"):
        with desk.page.expect_download() as started:
            box.get_by_role("button", name=name).click()
        files[name] = folder / started.value.suggested_filename
        started.value.save_as(files[name])
    table = pd.read_csv(files["CSV"], dtype={"pid": str}).dropna(subset="decision")
    assert dict(zip(table["pid"], table["decision"], strict=True)) == decided
    sheet = openpyxl.load_workbook(files["XLSX"]).active
    heading, *rows = sheet.iter_rows(values_only=True)
    at = heading.index("pid"), heading.index("decision")
    assert {row[at[0]]: row[at[1]] for row in rows if row[at[1]]} == decided
    with sqlite3.connect(files["GeoPackage"]) as package:
        ((layer,),) = package.execute("select table_name from gpkg_contents")
        assert package.execute(f"select count(*) from {layer}").fetchone() == (66,)  # noqa: S608


def in_a_report(desk, decided, folder):
    pid = next(pid for pid, decision in decided.items() if decision == "photo")
    desk.page.keyboard.press("ArrowUp")
    search = desk.page.locator(".cbm-worklist-search")
    search.fill(pid)
    search.press("Enter")
    desk.page.locator(".cbm-worklist [role='gridcell']", has_text=pid).first.click()
    wait(lambda: desk.pid == pid, 240)
    desk.says("decided: ask for a photo")
    with desk.page.expect_download() as started:
        desk.bar.get_by_role("button", name="PDF report").click()
    target = folder / started.value.suggested_filename
    started.value.save_as(target)
    assert report.verify(target).equal
    search.fill("")
    search.press("Enter")


def with_a_colleague(desk, colleague):
    """A colleague decides on the next parcel, which the page shows without being asked."""
    desk.says("20 of 66")
    colleague.decide("c")
    desk.says("21 of 66")


def looks(desk):
    """Both sizes and themes: everything in sight, and nothing that hinders anybody."""
    from axe_playwright_python.sync_playwright import Axe

    for size, pixels in SIZES.items():
        desk.page.set_viewport_size(pixels)
        for theme in ("light", "dark"):
            desk.page.emulate_media(color_scheme=theme)
            desk.page.locator(f"html[data-cbm-theme='{theme}']").wait_for(state="attached")
            desk.ready()
            desk.page.wait_for_timeout(1000)  # colours glide
            SHOTS.mkdir(parents=True, exist_ok=True)
            desk.page.screenshot(path=SHOTS / f"workbench_{size}_{theme}.png")
            wait(desk.fits)
            problems = [each["id"] for each in Axe().run(desk.page).response["violations"]]
            assert problems == [], (size, theme)
