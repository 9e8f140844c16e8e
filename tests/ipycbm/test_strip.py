"""The strip of the workbench: its images are those of the calendar figure; and both evidence and strip in a browser."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import shapely
import small_demo

from cbm_lake.cards import CLOUD_CLASSES
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.ipycbm.desk.observed import Observations
from cbm_lake.ipycbm.desk.state import Request, State
from cbm_lake.ipycbm.desk.strip import Strip
from cbm_lake.lake import open_lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel.chips import Reader
from cbm_lake.parcel.images import Images
from cbm_lake.show import rendering
from cbm_lake.show.reading import Reading, Season, chipsize_for

pytestmark = pytest.mark.thorough


MOMENT = datetime(2024, 12, 1, tzinfo=UTC)
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
SHOTS = Path(os.environ.get("CBM_LAKE_SCREENSHOTS", Path(__file__).parents[2] / "build" / "screenshots"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace with a small sample; shared by all tests, which write nothing."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("CBM_LAKE_HOME", str(folder))
        yield small_demo.make(folder, dates=6)


@pytest.fixture
def lake(home, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_HOME", str(home))
    return open_lake()


@pytest.fixture
def strip(lake):
    part = Strip(State(), Observations(lake))
    yield part
    settled(part)


@pytest.fixture
def pids(lake):
    return lake.sql("select pid from parcels order by area_m2 desc limit 4")["pid"].to_pylist()


def request(pid, layer="true colour", day=""):
    return Request(ParcelKey("demo", 2024, "", pid), day, "", layer, "ndvi", MOMENT)


def settled(strip):
    """Wait until the images have come."""
    strip._later._pool.submit(lambda: None).result()
    strip._ahead._pool.submit(lambda: None).result()


def of_calendar(lake, data):
    """The images of a strip as the calendar figure draws them, by scene's day."""
    parcel, view = data.observed.parcel, data.view
    season = Season.of("2024-01-01", "2024-12-31", chipsize_for([parcel]), CLOUD_CLASSES, view.card.name)
    images = Reading.of(lake).images(parcel, season, view.bands)
    shares = {look.day: look.cloud for look in data.looks}
    clouds = [
        np.nan if shares[image.obstime.date()] is None else shares[image.obstime.date()] for image in images.images
    ]
    if view.card.is_optical:
        images = Images(images.data.assign(cloud=("time", clouds)))
    row = rendering.row("", view, images, parcel.outline_in(images.epsg), None)
    return {image.obstime.date().isoformat(): rendering.rgba(row, image) for image in images.images}


@pytest.mark.parametrize("layer", ["true colour", "ndvi", "B08", "bs VV"])
def test_images_are_those_of_the_calendar_figure(strip, lake, pids, layer):
    for pid in pids[:2]:
        data = strip.read(request(pid, layer))
        strip.show(data)
        settled(strip)
        calendar = of_calendar(lake, data)
        days = [look["day"] for look in strip.film.looks]
        assert days == sorted(calendar)
        for look in strip.film.looks:
            pixels = imagecodecs.png_decode(strip.film.pictures[look["id"]]["png"])
            assert np.array_equal(pixels, calendar[look["day"]]), look


def test_days_and_clouds_are_those_of_the_statistics(strip, lake, pids):
    clouded = set()
    for pid in pids:
        data = strip.read(request(pid))
        strip.show(data)
        key = {"aoi": "demo", "year": 2024, "ptype": "", "pid": pid}
        rows = lake.query("time_series.ndvi", **key, screen=list(CLOUD_CLASSES)).to_pylist()
        sky = lake.query("time_series.sky_s2", **key, screen=list(CLOUD_CLASSES)).to_pylist()
        clear = {row["scene"]: row["clear_share"] for row in sky}  # of the whole parcel
        of_day = {row["obstime"].date().isoformat(): row for row in rows}
        for look in strip.film.looks:
            row = of_day.get(look["day"])
            if row is None:
                assert (look["cloud"], look["why_not"]) == (None, "unknown")
                continue
            assert look["cloud"] == pytest.approx(1 - clear[row["scene"]])
            assert look["clouded"] == (not (row["observable"] and row["sky"] == "clear"))
            clouded.add(look["clouded"])
    assert clouded == {True, False}


def test_the_outline_is_the_parcels_in_the_square_of_its_image(strip, pids):
    data = strip.read(request(pids[0]))
    strip.show(data)
    settled(strip)
    picture = next(iter(strip.film.pictures.values()))
    paths = [path.removeprefix("M").split("L") for path in picture["outline"].split("Z") if path]
    rings = [shapely.Polygon([tuple(map(float, pair.split())) for pair in path]) for path in paths]
    shape = max(rings, key=lambda ring: ring.area)  # the others are holes in it
    area = 2 * shape.area - sum(ring.area for ring in rings)
    side = imagecodecs.png_decode(picture["png"]).shape[0] * 10
    assert area * (side / 100) ** 2 == pytest.approx(data.observed.parcel.area, rel=0.01)
    assert shapely.box(0, 0, 100, 100).covers(shape)
    assert abs(shape.envelope.centroid.x - 50) < 20


def test_days_come_first_then_images_which_are_remembered(strip, pids, monkeypatch):
    reads = []
    dataset = Reader.dataset
    monkeypatch.setattr(
        Reader, "dataset", lambda reader, scene, *args: reads.append(scene.id) or dataset(reader, scene, *args)
    )
    data = strip.read(request(pids[0]))
    assert not reads
    drawn = strip.show(data)
    assert (drawn.key.pid, drawn.layer, drawn.day, drawn.as_of) == (pids[0], "true colour", None, MOMENT)
    assert strip.film.looks
    settled(strip)
    assert sorted(reads) == sorted({look.scene.id for look in data.looks})
    pictures = dict(strip.film.pictures)
    strip.show(strip.read(request(pids[1])))
    settled(strip)
    count = len(reads)
    strip.show(strip.read(request(pids[0])))
    assert strip.film.pictures == pictures  # at once
    settled(strip)
    assert len(reads) == count


def test_images_that_were_read_ahead_are_there_at_once(strip, pids):
    strip.prefetch([ParcelKey("demo", 2024, "", pid) for pid in ("gone", *pids[2:])])
    settled(strip)
    strip.show(strip.read(request(pids[3])))
    assert len(strip.film.pictures) == len(strip.film.looks) > 3


def test_a_scene_that_cannot_be_read_is_named_and_the_others_are_drawn(strip, pids, monkeypatch):
    data = strip.read(request(pids[0]))
    broken, dataset = data.looks[1].scene.id, Reader.dataset

    def read(reader, scene, *args):
        if scene.id == broken:
            raise SourceError("broken")
        return dataset(reader, scene, *args)

    monkeypatch.setattr(Reader, "dataset", read)
    strip.show(data)
    settled(strip)
    empty = [scene for scene, picture in strip.film.pictures.items() if not picture["png"]]
    assert empty == [broken]
    assert broken in {look["id"] for look in strip.film.looks}


def test_a_layer_without_images_says_so_and_one_that_is_none_is_refused(strip, pids):
    strip.show(strip.read(request(pids[0], "c6 VV")))
    assert strip.film.looks == []
    assert "No images of this year" in strip.film.note
    with pytest.raises(InvalidInputError, match="no view"):
        strip.read(request(pids[0], "no such thing"))


def test_the_day_is_that_of_the_state_and_clearing_tells_why(strip, pids):
    strip.show(strip.read(request(pids[0], day="2024-05-01")))
    strip.state.day = strip.film.looks[0]["day"]
    assert strip.film.day == strip.state.day
    strip.film.day = strip.film.looks[1]["day"]
    assert strip.state.day == strip.film.looks[1]["day"]
    strip.clear("no lake")
    assert (strip.film.looks, strip.film.pictures, strip.film.note) == ([], {}, "Cannot be shown: no lake")


# -- in a browser -----------------------------------------------------------------------------------------------------

CELL = """
import asyncio, os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
import ipywidgets, traitlets
from cbm_lake.ipycbm.desk.evidence import Evidence
from cbm_lake.ipycbm.desk.observed import Observations
from cbm_lake.ipycbm.desk.state import Request, State
from cbm_lake.ipycbm.desk.strip import Strip

state, observations, pool, tasks = State(aoi="demo", year=2024), Observations(), ThreadPoolExecutor(2), []
evidence, strip = Evidence(state, observations), Strip(state, observations)
evidence.theme = strip.theme = os.environ["THEME"]
evidence.layout = {"width": "480px", "height": "560px"}
fields = {name: ipywidgets.Text(description=name, continuous_update=False) for name in ("pid", "day")}
for name, field in fields.items():
    traitlets.link((field, "value"), (state, name))

async def draw():
    request = Request(state.key, state.day, "", state.layer, state.index, datetime.now(UTC))
    loop = asyncio.get_running_loop()
    read = [loop.run_in_executor(pool, part.read, request) for part in (evidence, strip)]
    for part, data in zip((evidence, strip), await asyncio.gather(*read)):
        part.show(data)

state.observe(lambda _: tasks.append(asyncio.ensure_future(draw())), ["pid", "index"])
ipywidgets.VBox([ipywidgets.HBox(list(fields.values())), evidence, strip])
"""
SERVE = """
import sys
from pathlib import Path
from cbm_lake.ipycbm import website
website.PAGE = Path(sys.argv[1])
website.serve("127.0.0.1", 0, accounts=None, opened=lambda url: print(url, flush=True))
"""


@contextmanager
def served(folder, home, theme):
    """The address of a page with evidence and strip alone."""
    names = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None, "source": CELL}
    notebook = folder / f"{theme}.ipynb"
    notebook.write_text(json.dumps({"cells": [cell], "metadata": names, "nbformat": 4, "nbformat_minor": 5}))
    environment = {**os.environ, "CBM_LAKE_HOME": str(home), "THEME": theme}
    with (folder / "page.log").open("w") as log:
        command = [sys.executable, "-c", SERVE, str(notebook)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(120)
        process.stdout.close()


@pytest.fixture(params=["light", "dark"])
def page(request, home, lake, tmp_path):
    """A browser on that page, which gathers what is asked of other machines."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with served(tmp_path, home, request.param) as url, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1100, "height": 860})
        page.set_default_timeout(180_000)
        page.faults, page.theme = [], request.param
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on(
            "response",
            lambda answer: (
                url in answer.url or answer.url.startswith(("data:", "blob:")) or page.faults.append(answer.url)
            ),
        )
        page.goto(url, wait_until="commit")
        page.get_by_label("pid").wait_for(timeout=180_000)
        yield page
        browser.close()


@pytest.mark.slow
def test_curve_and_strip_lead_to_each_other_by_mouse_and_keys(page, pids, lake):
    field = page.get_by_label("pid")
    field.fill(pids[0])
    field.press("Enter")
    plot, film = page.locator(".cbm-plot"), page.get_by_role("listbox")
    page.get_by_role("slider", name=re.compile(f"Season of parcel {pids[0]}, 2024")).wait_for()
    page.locator(".cbm-frame > img").first.wait_for()
    page.wait_for_function("() => !document.querySelector('.cbm-waiting')")
    assert film.get_attribute("aria-label") == f"Images of parcel {pids[0]}, by day"
    # a point leads to its image
    point = page.locator("[data-panel=index] circle.cbm-clear").nth(1)
    day = point.get_attribute("data-time")[:10]
    point.click(force=True)
    page.wait_for_function("day => document.querySelector('.cbm-look.cbm-at')?.dataset.day === day", arg=day)
    assert page.get_by_label("day", exact=True).input_value() == day
    chosen = film.get_by_role("option", selected=True)
    assert re.fullmatch(r"\d+ \w+, (no clouds|\d+ % clouded.*), chosen", chosen.get_attribute("aria-label"))
    assert page.locator(f".cbm-cursor line[data-day='{day}']").count() == 1
    # what the mouse is over
    point.hover(force=True)
    tip = page.locator(".cbm-tip").inner_text()
    [look] = [
        row
        for row in lake.query(
            "time_series.ndvi", aoi="demo", year=2024, ptype="", pid=pids[0], screen=list(CLOUD_CLASSES)
        ).to_pylist()
        if str(row["obstime"].date()) == day
    ]
    assert f"{look['ndvi']:.3f}" in tip
    assert look["scene"] in tip
    assert re.search(r"\d+ % of the parcel clear", tip)
    # an image leads to its point, by keys too
    days = [option.get_attribute("data-day") for option in film.get_by_role("option").all()]
    film.press("ArrowRight")
    after = days[days.index(day) + 1]
    page.wait_for_function("day => document.querySelector('.cbm-cursor line')?.dataset.day === day", arg=after)
    film.press("Home")
    page.wait_for_function("day => document.querySelector('.cbm-cursor line')?.dataset.day === day", arg=days[0])
    plot.press("End")
    page.wait_for_function("day => document.querySelector('.cbm-look.cbm-at')?.dataset.day === day", arg=days[-1])
    page.get_by_label("Index").select_option("BSI (bare soil)")
    drawn = "() => document.querySelector('.cbm-plot').getAttribute('aria-label').includes('BSI')"
    missing = "[...document.querySelectorAll('[role=status]')].some((one) => one.textContent.includes('this index'))"
    page.wait_for_function(f"{drawn} || {missing}")
    page.get_by_label("Index").select_option("NDVI (vegetation)")
    page.locator("[data-panel=index]").wait_for()
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"evidence_{page.theme}.png")
    assert page.faults == []
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    parts = {"include": [[".cbm-evidence"], [".cbm-strip"]]}
    result = axe.run(page, parts, {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in result.response["violations"]] == []
