"""The worklist's table: what it sends to the browser and does when asked, and what a person does in a real browser."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest
from listed_parcels import SETS, Truth, judge, judgement

from cbm_lake import cases
from cbm_lake.ipycbm.desk.state import State
from cbm_lake.ipycbm.desk.worklist import COLUMNS, PAGE, Worklist
from cbm_lake.ipycbm.texts import LANGUAGES, table
from cbm_lake.lake import open_lake

pytestmark = pytest.mark.thorough


CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
NOW = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def truths(workspace):
    return [Truth(open_lake(), key, seed) for seed, key in enumerate(SETS[:3])]


@pytest.fixture
def shown(truths):
    """A table of the first set, and its state."""
    aoi, year, ptype = truths[0].key
    state = State(aoi=aoi, year=year, ptype=ptype)
    return Worklist(state), state


def pids(widget):
    return [row["pid"] for row in widget.view["rows"]]


def send(widget, **message):
    widget._hear(widget, message, [])


def test_the_page_and_the_count_are_those_of_the_library(shown, truths):
    widget, _ = shown
    frame = truths[0].frame()
    done = int(frame["decision"].notna().sum())
    assert pids(widget) == frame["pid"].tolist()
    assert widget.progress() == (done, len(frame))
    assert widget.count == f"{done} of {len(frame)} decided"
    assert widget.view["total"] == len(frame) <= PAGE
    assert json.loads(json.dumps(widget.view)) == widget.view
    named = [column["name"] for column in widget.columns]
    crops = [row["cells"][named.index("crop")] for row in widget.view["rows"]]
    assert crops == [None if pd.isna(crop) else crop for crop in frame["crop"]]


def test_a_row_that_is_chosen_is_the_parcel_of_the_state_and_the_other_way_round(shown):
    widget, state = shown
    send(widget, kind="choose", at=4, pid=pids(widget)[4])
    assert (state.pid, widget.at, widget.selected["pid"]) == (pids(widget)[4], 4, pids(widget)[4])
    state.pid = pids(widget)[9]
    assert widget.at == 9
    send(widget, kind="choose", at=7, pid=pids(widget)[2])  # clicked before the rows moved
    assert (state.pid, widget.at) == (pids(widget)[2], 2)
    state.pid = pids(widget)[9]
    send(widget, kind="choose", at=3, pid="of a list that is no more")
    assert (state.pid, widget.at) == (pids(widget)[9], 9)
    state.pid = "not in the list"
    assert (widget.at, widget.selected) == (-1, None)


def test_steps_end_at_the_ends_and_the_next_open_one_comes_round(shown, truths):
    widget, _ = shown
    frame = truths[0].frame()
    rows = frame["pid"].tolist()
    assert [widget.step(rows[0], -1), widget.step(rows[0], 1), widget.step(rows[-1], 1)] == [None, rows[1], None]
    undecided = frame["pid"][frame["decision"].isna()].tolist()
    assert [widget.next_open(pid) for pid in undecided] == [*undecided[1:], undecided[0]]
    assert widget.next_open("") == undecided[0]


def test_what_leaves_the_list_when_it_is_decided_is_followed_by_what_was_below_it(shown, truths):
    widget, state = shown
    state.where = "decision is null"
    before = pids(widget)
    state.pid = before[5]
    judge(open_lake(), judgement(truths[0].parcels, before[5], "", "photo", NOW, number=9))
    widget.refresh()
    assert pids(widget) == [pid for pid in before if pid != before[5]]
    assert (widget.at, state.pid) == (-1, before[5])
    assert widget.next_open(state.pid) == widget.step(state.pid, 1) == before[6]
    assert widget.step(state.pid, -1) == before[4]


def test_decisions_of_others_come_with_a_refresh_and_the_page_and_the_choice_stay(shown, truths):
    widget, state = shown
    row = next(number for number, row in enumerate(widget.view["rows"]) if not row["said"])
    state.pid = pids(widget)[2]
    done, before = widget.progress()[0], pids(widget)
    judge(open_lake(), judgement(truths[0].parcels, before[row], "", "refused", NOW, "ben", number=9, note="ploughed"))
    widget.refresh()
    assert widget.progress()[0] == done + 1
    assert widget.view["rows"][row]["said"] == "ben · 2025-01-01 00:00 UTC · ploughed"
    assert (pids(widget), widget.at) == (before, 2)


def test_what_has_changed_stays_so_while_somebody_decides(truths, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_SET__USER", "cleo")
    lake, key = open_lake(), truths[1].key
    visit = datetime(2024, 6, 15, tzinfo=UTC)
    pid = truths[1].pids[0]
    judge(lake, judgement(truths[1].parcels, pid, "", "photo", visit, "cleo", number=9))
    widget = Worklist(State(aoi=key[0], year=key[1], ptype=key[2]))
    named = [column["name"] for column in widget.columns].index("change")
    changes = {row["pid"]: row["cells"][named] for row in widget.view["rows"]}
    assert any(changes.values())
    assert changes == dict(zip(*(truths[1].frame(since=visit)[name] for name in ("pid", "change")), strict=True))
    judge(lake, judgement(truths[1].parcels, pid, "", "confirmed", NOW, "cleo", number=10))
    widget.refresh()
    assert changes == {row["pid"]: row["cells"][named] for row in widget.view["rows"]}


def test_filter_search_and_sort_are_the_states_and_a_wrong_condition_says_where(shown, truths):
    widget, state = shown
    send(widget, kind="ask", where="area_ha > 1")
    send(widget, kind="ask", sort="-area_ha")
    frame = truths[0].frame()
    frame = frame[frame["area_ha"] > 1].sort_values("area_ha", ascending=False, kind="stable")
    assert (state.where, state.sort, pids(widget)) == ("area_ha > 1", "-area_ha", frame["pid"].tolist())
    send(widget, kind="ask", where="areas > 1")
    assert (pids(widget), widget.count, widget.progress()) == ([], "", (0, 0))
    assert "LINE 1:" in widget.problem
    assert '"area_ha"' in widget.problem
    assert widget.asked == {"where": "areas > 1", "search": "", "sort": "-area_ha"}
    send(widget, kind="file", format="csv")  # nothing to write
    send(widget, kind="ask", where="", search="maize", sort="")
    assert widget.problem == ""
    assert pids(widget) == truths[0].frame().query("crop == 'maize'")["pid"].tolist()


def test_another_set_scenario_or_desk_gives_another_list(shown, truths):
    widget, state = shown
    state.subject = "mown"
    assert pids(widget) == truths[0].frame("mown")["pid"].tolist()
    with state.hold_trait_notifications():
        state.subject, state.ptype = "", "m"
    assert pids(widget) == truths[1].frame()["pid"].tolist()
    state.desk = "cases"
    assert (pids(widget), [column["name"] for column in widget.columns]) == ([], list(COLUMNS["cases"]))
    with state.hold_trait_notifications():
        state.desk, state.subject = "sample", "none"
    assert "no sample 'none'" in widget.problem


@pytest.mark.parametrize("extension", ["csv", "xlsx", "gpkg"])
def test_a_file_of_the_selection_goes_to_the_browser(shown, tmp_path, monkeypatch, extension):
    widget, state = shown
    sent = []
    monkeypatch.setattr(widget, "send", lambda content, buffers: sent.append((content, buffers)))
    state.where = "area_ha > 1"
    send(widget, kind="file", format=extension)
    [(content, [data])] = sent
    assert content == {"kind": "file", "name": f"worklist_ms_2024.{extension}"}
    path = tmp_path / content["name"]
    path.write_bytes(data)
    if extension == "csv":
        assert pd.read_csv(path, dtype={"pid": str})["pid"].tolist() == pids(widget)
    assert len(data) > 1000


def test_every_column_and_value_has_its_texts():
    texts = table("worklist")
    for name in {name for names in COLUMNS.values() for name in names}:
        assert {f"column_{name}", f"tip_{name}"} <= set(texts)
    assert {f"value/colour/{colour}" for colour in cases.WORST} <= set(texts)
    assert {f"value/decision/{decision}" for decision in cases.DECISIONS} <= set(texts)
    assert {f"value/status/{status}" for status in cases.STATUSES} <= set(texts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_speaks_the_language(truths, language):
    widget = Worklist(State(aoi="ms", year=2024), language=language)
    assert widget.words["search"] == table("worklist")["search"][language]
    assert widget.values["colour"]["red"] == table("worklist")["value/colour/red"][language]


# -- in a browser -----------------------------------------------------------------------------------------------------

NOTEBOOK = """
import os
import re
from cbm_lake.ipycbm.desk.state import State
from cbm_lake.ipycbm.desk.worklist import Worklist
import ipywidgets
state = State(aoi="ms", year=2024)
widget = Worklist(state)
asked = ipywidgets.HTML("asked 0")
count = []

def note(change):
    count.append(change["new"])
    asked.value = f"asked {len(count)}: {change['new']}"

state.observe(note, "pid")
again = ipywidgets.Button(description="again")
again.on_click(lambda _: widget.refresh())
box = ipywidgets.VBox([widget, asked, again], layout={"width": "400px", "height": "640px"})
"""
SERVED = """
import sys
from pathlib import Path
from cbm_lake.ipycbm import website
website.PAGE = Path(sys.argv[1])
website.serve("127.0.0.1", 0, accounts=None, opened=lambda url: print(url, flush=True))
"""


@contextmanager
def page_of(folder):
    """A page with the table alone, in a real browser; and the addresses that it asked for."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    cells = [
        {
            "cell_type": "code",
            "id": "a",
            "source": NOTEBOOK + "\nbox",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (folder / "list.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})
    )
    environment = {**os.environ, "CBM_LAKE_HOME": str(folder)}
    command = [sys.executable, "-c", SERVED, str(folder / "list.ipynb")]
    with (folder / "page.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    url = process.stdout.readline().strip()
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme="light")
            requests = []
            page.on("request", lambda request: requests.append(request.url))
            page.set_default_timeout(60_000)
            sync_api.expect.set_options(timeout=60_000)
            page.goto(url, timeout=120_000, wait_until="commit")
            page.get_by_role("grid").wait_for(timeout=120_000)
            yield page, requests, sync_api.expect
            browser.close()
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@pytest.mark.slow
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no chromium: apt-get install chromium")
def test_rows_are_chosen_by_keyboard_and_found_by_words_and_conditions(workspace):
    truth = Truth(open_lake(), SETS[0], 0, count=250)
    rows = truth.frame()["pid"].tolist()
    shots = Path(os.environ.get("CBM_LAKE_SCREENSHOTS", workspace.root / "shots"))
    shots.mkdir(parents=True, exist_ok=True)
    with page_of(workspace.root) as (page, requests, expect):
        chosen = page.locator("tr[aria-selected='true']")
        page.locator("tbody tr").first.click()
        expect(page.get_by_text(f"asked 1: {rows[0]}")).to_be_visible()
        page.keyboard.press("ArrowDown")
        expect(page.get_by_text(f"asked 2: {rows[1]}")).to_be_visible()
        expect(chosen).to_have_attribute("data-pid", rows[1])
        expect(chosen).to_be_focused()
        for _ in range(30):  # a key that is held repeats without being let go
            page.keyboard.down("ArrowDown")
        page.keyboard.up("ArrowDown")
        expect(page.get_by_text(f": {rows[31]}")).to_be_visible()
        asked = int(page.get_by_text(re.compile(r"^asked \d+:")).inner_text().split()[1].rstrip(":"))
        assert asked <= 6
        page.keyboard.press("End")
        expect(page.get_by_text(f": {rows[-1]}")).to_be_visible()
        expect(chosen).to_be_focused()
        assert page.get_by_text("201\N{EN DASH}250 / 250").is_visible()
        page.keyboard.press("Home")
        expect(page.get_by_text(f": {rows[0]}")).to_be_visible()
        page.screenshot(path=shots / "worklist_light.png")
        page.keyboard.press("/")
        expect(page.get_by_label("Search")).to_be_focused()
        page.keyboard.type("maize")
        maize = truth.frame().query("crop == 'maize'")["pid"].tolist()
        expect(page.get_by_text(f"of {len(maize)} decided")).to_be_visible()
        page.get_by_label("Search").fill("")
        page.get_by_label("Filter").fill("areas > 2")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text('Candidate bindings: "area_ha"')
        expect(page.locator("tbody tr")).to_have_count(0)
        page.screenshot(path=shots / "worklist_wrong.png")
        page.get_by_label("Filter").fill("area_ha > 2")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Area (ha)").click()
        frame = truth.frame().query("area_ha > 2").sort_values("area_ha", kind="stable")
        expect(page.locator("tbody tr").first).to_have_attribute("data-pid", frame["pid"].iloc[0])
        expect(page.get_by_role("columnheader", name="Area (ha)")).to_have_attribute("aria-sort", "ascending")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download: CSV").click()
        written = pd.read_csv(download.value.path(), dtype={"pid": str})
        assert written["pid"].tolist() == frame["pid"].tolist()
        judge(open_lake(), judgement(truth.parcels, frame["pid"].iloc[0], "", "photo", NOW, "ben", number=9))
        page.get_by_role("button", name="again").click()
        expect(page.locator("tbody tr").first).to_contain_text("photo asked")
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(page, context=".cbm-worklist").response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
        page.evaluate(
            "document.documentElement.style.cssText = '--cbm-fg:#e7ecf1;--cbm-panel:#1c232b;--cbm-bg:#14191f;"
            "--cbm-muted:#aab4bf;--cbm-selected:#24405f;--cbm-field:#10151a;--cbm-button:#2a333d;--cbm-hover:#35404c;"
            "--cbm-red:#ff8f86;--cbm-yellow:#f2c14e;--cbm-green:#7fd6a2;--cbm-line:#3b4652;--cbm-warn:#ffb27a'"
        )
        page.screenshot(path=shots / "worklist_dark.png")
        assert Axe().run(page, context=".cbm-worklist").response["violations"] == []
        own = [url for url in requests if "/@fortawesome/" not in url]  # a style sheet of the page's widget manager
        assert {urlsplit(url).hostname for url in own if url.startswith(("http", "ws"))} == {"127.0.0.1"}
