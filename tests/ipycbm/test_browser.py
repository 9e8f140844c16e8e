"""The page of `cbm-lake app`: its login, and the whole job in a real browser."""

import base64
import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import small_demo

from cbm_lake import extract, qa
from cbm_lake.lake import open_lake
from cbm_lake.server import audit
from cbm_lake.server.accounts import Accounts

pytestmark = pytest.mark.thorough


CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
SHOTS = Path(os.environ.get("CBM_LAKE_SCREENSHOTS", Path(__file__).parents[2] / "build" / "screenshots"))
LOCAL = """
import sys
from pathlib import Path
from cbm_lake.ipycbm import website
from cbm_lake.server.accounts import Accounts
accounts = Accounts(Path(sys.argv[1])) if len(sys.argv) > 1 else None
access = Path(sys.argv[2]) if len(sys.argv) > 2 else None
website.serve("127.0.0.1", 0, accounts=accounts, opened=lambda url: print(url, flush=True), access=access)
"""


@contextmanager
def served(workspace, *accounts):
    """The address of the page over a workspace, in a process of its own."""
    command = [sys.executable, "-c", LOCAL, *map(str, accounts)]
    environment = {**os.environ, "CBM_LAKE_HOME": str(workspace)}
    with (workspace / "page.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


# -- the login --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """The address of a page behind accounts, and the accounts."""
    folder = tmp_path_factory.mktemp("guarded")
    accounts = Accounts(folder / "config" / "users.json")
    accounts.add("ada", "correct horse", aois=("ms",))
    accounts.add("root", "very long password", admin=True)
    with served(folder, accounts.file) as url:
        yield url, accounts


@pytest.mark.parametrize(
    "path", ["", "voila/static/voila.js", "voila/files/app.ipynb", "api/kernels/0/channels", "login"]
)
def test_without_a_login_nothing_is_handed_out(guarded, path):
    answer = requests.get(guarded[0] + path, timeout=30)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert requests.post(guarded[0] + path, timeout=30).status_code == 401


@pytest.mark.parametrize(("who", "status"), [(("root", "wrong password"), 401), (("ada", "correct horse"), 403)])
def test_a_wrong_password_and_an_account_of_some_areas_are_refused(guarded, who, status):
    answer = requests.get(guarded[0], auth=who, timeout=30)
    assert answer.status_code == status
    assert "Set-Cookie" not in answer.headers


def test_an_administrator_gets_in_and_is_out_when_the_password_changes(guarded):
    url, accounts = guarded
    with requests.Session() as session:
        answer = session.get(url + "voila/static/voila.js", auth=("root", "very long password"), timeout=30)
        assert answer.status_code == 200
        assert session.get(url + "voila/static/voila.js", timeout=30).status_code == 200
        assert session.get(url + "voila/files/website.py", timeout=30).status_code == 403
        accounts.add("root", "another long password", admin=True)
        assert session.get(url + "voila/static/voila.js", timeout=30).status_code == 401


TARGETS = [
    "//evil.example",
    "//evil.example/%2e%2e",
    "///evil.example/",
    "/\\evil.example",
    "/\\/evil.example/",
    "/%5Cevil.example",
    "/%2F%2Fevil.example/",
    "/\t/evil.example/",
    "http://evil.example/",
    "http:evil.example",
    "/login?next=//evil.example",
    "/login?next=https:%2F%2Fevil.example",
    "/login?next=/%5Cevil.example",
    "/logout?next=//evil.example",
    "/voila/render//evil.example/",
    "/voila/files//evil.example",
    "//evil.example/voila/static/",
    "/?next=//evil.example",
]


def location(url, target, headers):
    """Where an address sends a browser, or None."""
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}:{port}", "Connection: close", *headers]
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode("latin-1")
    found = re.search(r"(?im)^location: *(.*?)\r$", answer.partition("\r\n\r\n")[0] + "\r\n")
    return found and found[1]


@pytest.mark.parametrize("target", TARGETS)
def test_a_login_sends_nobody_to_another_site(guarded, target):
    url, accounts = guarded
    accounts.add("guest", "very long password", admin=True)
    login = base64.b64encode(b"guest:very long password").decode()
    with requests.Session() as session:
        session.get(url + "voila/static/voila.js", auth=("guest", "very long password"), timeout=30)
        cookie = "; ".join(f"{name}={value}" for name, value in session.cookies.items())
    for headers in ([], [f"Authorization: Basic {login}"], [f"Cookie: {cookie}"]):
        sent = location(url, target, headers)
        assert sent is None or re.fullmatch(r"/(?![/\\])[\w./?=&%:-]*", sent), sent
        assert sent is None or not re.search(r"(?i)next=", sent)


def test_a_failed_login_is_in_the_log_with_its_address_and_in_the_access_log(tmp_path):
    accounts = Accounts(tmp_path / "config" / "users.json")
    accounts.add("root", "very long password", admin=True)
    with served(tmp_path, accounts.file, tmp_path / "access") as url:
        for who in (("root", "wrong"), ("eve\u2028x", "wrong"), ("root", "very long password")):
            value = base64.b64encode(":".join(who).encode()).decode()
            requests.get(url, headers={"Authorization": f"Basic {value}"}, timeout=60, allow_redirects=False)
        for value in (b"\xe9\xe9", b"\xff", b"===="):
            answer = requests.get(url, headers={"Authorization": b"Basic " + value}, timeout=60)
            assert answer.status_code == 401
        answers = [requests.get(url, auth=("root", "wrong"), timeout=60) for _ in range(12)]
        assert {answer.status_code for answer in answers} == {401, 429}
        assert int(answers[-1].headers["Retry-After"]) > 60
    lines = (tmp_path / "page.log").read_text().split("\n")
    assert "127.0.0.1 failed to log in as root: 401" in lines
    assert "127.0.0.1 failed to log in as eve\\u2028x: 401" in lines
    assert "127.0.0.1 failed to log in as root: 429" in lines
    assert "127.0.0.1 logged in as root" in lines
    rows = audit.read(folder=tmp_path / "access").to_pylist()
    assert {(row["door"], row["who"], row["status"]) for row in rows} >= {("app", None, 401), ("app", "root", 302)}


def test_a_stranger_is_answered_before_the_body_of_a_request_comes(guarded):
    host, port = guarded[0].removeprefix("http://").rstrip("/").split(":")
    for target in ("/", "//evil.example"):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = f"POST {target} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 90000000\r\n\r\nx"
            connection.sendall(head.encode())
            assert connection.recv(65536)[:12] in (b"HTTP/1.1 401", b"HTTP/1.1 404")


def test_the_cookie_of_a_login_is_for_this_site_and_no_script(guarded):
    url, accounts = guarded
    accounts.add("guest", "very long password", admin=True)
    answer = requests.get(url, auth=("guest", "very long password"), timeout=60, allow_redirects=False)
    kept = answer.headers["Set-Cookie"].lower()
    assert all(word in kept for word in ("httponly", "samesite=strict"))
    assert requests.delete(url + "api/kernels/0", timeout=30).status_code == 401


def test_a_forged_cookie_is_a_strangers(guarded):
    forged = {"Cookie": "cbm_lake=2|1:0|10:1795456211|8:cbm_lake|28:cm9vdAA1N2VlYmFiMWRlNWEyNmZj|00"}
    assert requests.get(guarded[0], headers=forged, timeout=30).status_code == 401


def test_on_loopback_it_is_open_under_no_other_name_and_cannot_be_framed(tmp_path):
    with served(tmp_path) as url:
        assert requests.get(url, headers={"Host": "elsewhere.example"}, timeout=30).status_code == 403
        answer = requests.get(f"{url}api/kernels/{uuid.uuid4()}", timeout=30)
        assert answer.status_code != 401
        assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]


def test_where_others_reach_it_the_page_is_not_served_without_an_administrator(workspace):
    from typer.testing import CliRunner

    from cbm_lake.cli.page import app

    answer = CliRunner().invoke(app, ["--host", "0.0.0.0", "--port", "0"])  # noqa: S104
    assert answer.exit_code == 1
    assert "nobody could log in" in str(answer.exception)


# -- the whole job ----------------------------------------------------------------------------------------------------


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """A workspace with a small sample."""
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    return small_demo.make(tmp_path)


class Visit:
    """What a person does in the page."""

    def __init__(self, page):
        self.page = page
        SHOTS.mkdir(parents=True, exist_ok=True)

    def tab(self, *names):
        for name in names:
            self.page.get_by_role("tab", name=name, exact=True).locator("visible=true").first.click()

    def fill(self, label, value):
        named = self.page.get_by_label(label, exact=True).and_(self.page.locator("input, textarea"))
        field = named.locator("visible=true").first
        field.fill(value)
        field.press("Tab")

    def press(self, label, number=0):
        self.page.get_by_role("button", name=label, exact=True).locator("visible=true").nth(number).click()

    def see(self, what, timeout=30_000):
        self.page.get_by_text(what).locator("visible=true").first.wait_for(timeout=timeout)

    def see_picture(self, at_least=1, timeout=30_000):
        """Wait until so many pictures can be seen."""
        self.page.locator("img.widget-image:visible").nth(at_least - 1).wait_for(timeout=timeout)

    def shoot(self, name):
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@contextmanager
def visited(url, login=None):
    """A browser that has opened the page."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 1700}, http_credentials=login)
        page.set_default_timeout(20_000)
        page.goto(url, timeout=90_000)
        page.get_by_role("tab", name="QA").wait_for(timeout=90_000)
        try:
            yield Visit(page)
        except BaseException:
            if not page.is_closed():
                page.screenshot(path=SHOTS / "failure.png", full_page=True)
            raise
        finally:
            browser.close()


in_browser = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no chromium: apt-get install chromium")


@pytest.mark.slow
@in_browser
def test_an_administrator_works_in_the_page_after_the_login(workspace):
    accounts = Accounts(workspace.root / "config" / "users.json")
    accounts.add("root", "very long password", admin=True)
    login = {"username": "root", "password": "very long password"}
    with served(workspace.root, accounts.file) as url, visited(url, login) as visit:
        visit.see(re.compile("no parcels have been loaded yet"))  # at the workbench, which comes first
        visit.tab("get")
        visit.press("get")
        visit.see("no parcels yet")  # told over the web socket by the process of the page
        assert visit.page.url.startswith(url)


@pytest.mark.slow
@in_browser
def test_a_page_whose_process_has_ended_says_so(workspace):
    with served(workspace.root) as url, visited(url) as visit:
        banner = visit.page.locator(".cbm-banner")
        banner.wait_for(state="attached")
        assert not banner.is_visible()
        for folder in kernels(workspace.root):
            os.kill(int(folder.name), signal.SIGKILL)
        banner.wait_for(state="visible", timeout=90_000)
        assert "nothing is recorded any more" in banner.inner_text()


@pytest.mark.slow
@in_browser
def test_an_analyst_does_the_whole_job_in_a_browser(demo):
    pids = open_lake().sql("select pid from parcels where crop_name = 'maize' order by area_m2 desc limit 2")["pid"]
    with served(demo) as url, visited(url) as visit:
        configure(visit, demo)
        load(visit, demo)
        get_by_id(visit, demo, pids.to_pylist())
        get_by_polygon(visit, demo)
        view(visit)
        check_foi(visit, demo)
        assess(visit, demo)
        leave(visit, demo)
        assert visit.page.url == "about:blank"


@pytest.mark.slow
@in_browser
def test_a_verdict_is_on_the_parcel_whose_pictures_are_seen(demo):
    rows = open_lake().sql("select pid, crop_name from parcels where aoi = 'demo' order by pid").to_pylist()
    listed = demo / "ranked.csv"
    with listed.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["gsa_par_id", "gsa_hol_id", "ua_grp_id", "covered", "ranking"])
        writer.writerows([row["pid"], f"H{n % 19}", "all", 1, n] for n, row in enumerate(rows, 1))
    qa.sample(str(listed), extraction_id="first")
    with served(demo) as url, visited(url) as visit:
        visit.tab("QA", "inspect")
        visit.see("locked: no pictures are shown; press look")
        visit.press("open")
        visit.see_picture(2)
        parcel = visit.page.get_by_label("parcel", exact=True).locator("visible=true")
        record = visit.page.get_by_role("button", name="record", exact=True).locator("visible=true")
        drawn = visit.page.locator("path.leaflet-interactive:visible")
        for number in (0, 1):  # the second click while the first parcel is loading
            drawn.nth(number).click(force=True)
        wait(record.is_enabled)
        seen = parcel.input_value()
        visit.press("conforming")
        visit.press("record")
        wait(lambda: open_lake().query("qa.inspections", sample_id="first").num_rows == 1)
        assert open_lake().query("qa.inspections", sample_id="first")["pid"].to_pylist() == [seen]
        wait(record.is_enabled)
        parcel.fill(seen)  # typed, and "look" not pressed
        parcel.press("Tab")
        visit.see(re.compile(f"locked: the pictures are not those of parcel {seen}"))
        visit.see(re.compile("what is shown is of parcel .*press look again"))
        assert not record.is_enabled()
        visit.shoot("12_locked")


def configure(visit, demo):
    visit.tab("settings", "general")
    visit.fill("your name", "ada")
    visit.fill("parcels at once", "60")
    visit.press("save")
    wait(lambda: json.loads((demo / "config" / "main.json").read_text())["set"]["user"] == "ada")
    visit.shoot("1_settings")


def load(visit, demo):
    visit.tab("catalogue", "parcels")
    visit.fill("file", str(demo / "sample" / "parcels.gpkg"))
    visit.fill("area", "second")
    visit.fill("year", "2024")
    visit.press("load")
    wait(lambda: [found.aoi for found in open_lake().parcel_sets()] == ["demo", "second"])
    visit.see(re.compile("66"))  # parcels
    visit.shoot("2_load")


def get_by_id(visit, demo, pids):
    visit.tab("get", "identifiers")
    visit.page.get_by_placeholder("identifiers, with").fill(", ".join(pids))
    for band in ("Band 4: red (10 m)", "Band 8: near infrared (10 m)"):
        visit.page.get_by_label(band, exact=True).locator("visible=true").check()
    visit.press("get")
    visit.see(re.compile(pids[1]))
    wait(lambda: len(list((demo / "temp" / "demo" / "2024").glob("*/chipimages/*.B08.tif"))) > 2)
    visit.shoot("3_get_by_id")
    assert {pids[0], pids[1]} <= {path.name for path in (demo / "temp" / "demo" / "2024").iterdir()}


def get_by_polygon(visit, demo):
    before = len(list((demo / "temp" / "demo" / "2024").iterdir()))
    visit.tab("get", "polygon")
    for band in ("Band 4: red (10 m)", "Band 8: near infrared (10 m)"):
        visit.page.get_by_label(band, exact=True).locator("visible=true").uncheck()
    visit.page.locator("a.leaflet-control-zoom-in:visible").click()
    visit.page.wait_for_timeout(800)  # the map glides
    visit.page.locator("a.leaflet-draw-draw-polygon:visible").click()
    box = visit.page.locator(".leaflet-container:visible").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for east, south in ((-40, -40), (40, -40), (40, 40), (-40, 40), (-40, -40)):
        visit.page.mouse.click(x + east, y + south)
        visit.page.wait_for_timeout(300)  # a click soon after another is a double click, which ends the drawing
    visit.press("get")
    wait(lambda: len(list((demo / "temp" / "demo" / "2024").iterdir())) > before)
    visit.page.locator("button:visible:enabled", has_text=re.compile("^get$")).wait_for()  # all are there
    visit.shoot("4_get_by_polygon")


def view(visit):
    visit.tab("view", "time series")
    visit.press("show")
    drawn = visit.page.frame_locator("iframe:visible").locator(".bk-events").first
    drawn.wait_for()
    drawn.hover()
    visit.page.mouse.wheel(0, -300)  # zooms
    visit.shoot("5_ndvi_zoomable")
    visit.page.get_by_label("zoomable").locator("visible=true").uncheck()
    visit.press("show")
    visit.see_picture()
    visit.shoot("6_ndvi")
    visit.tab("chips")
    visit.press("show")
    visit.see_picture()
    visit.shoot("7_chips")


def check_foi(visit, demo):
    visit.tab("FOI")
    visit.press("make a raster")
    visit.see(re.compile("demo_2024_clusters.tif: c01"))
    visit.press("check")
    visit.see(re.compile("foi_h = 1 for"))
    visit.page.locator("path.leaflet-interactive:visible").first.click()  # a suspected parcel on the map
    visit.see_picture()
    visit.shoot("8_foi")
    assert (demo / "foi" / "output_data" / "demo_2024_negative_buffer_10_foih_v2.shp").exists()


def assess(visit, demo):
    listed = demo / "ranked.csv"
    rows = open_lake().sql("select pid, crop_name from parcels where aoi = 'demo' order by pid").to_pylist()
    with listed.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["gsa_par_id", "gsa_hol_id", "ua_grp_id", "covered", "ranking"])
        writer.writerows([row["pid"], f"H{n % 9}", row["crop_name"], 1, n] for n, row in enumerate(rows, 1))
    visit.tab("QA", "sample")
    visit.fill("parcel list", str(listed))
    visit.fill("name", "first")
    visit.press("draw the sample")
    visit.see(re.compile("sample first:"))
    visit.shoot("9_qa_sample")
    visit.tab("inspect")
    visit.press("open")
    visit.page.locator(".leaflet-container:visible").wait_for()
    visit.see_picture(2)
    parcel = visit.page.get_by_label("parcel", exact=True).locator("visible=true")
    judged = parcel.input_value()
    visit.press("nonconforming")
    visit.press("record")
    visit.see(re.compile(": nonconforming"))
    wait(lambda: parcel.input_value() != judged)
    visit.see_picture(2)  # of the next one
    visit.shoot("10_qa_inspect")
    assert open_lake().query("qa.inspections", sample_id="first")["verdict"].to_pylist() == ["nonconforming"]


def leave(visit, demo):
    """Close the page in the middle of an extraction that was begun by a double click; the same extraction goes on."""
    visit.tab("extract")
    visit.page.get_by_label("area", exact=True).locator("visible=true").select_option("second")
    visit.page.get_by_label("processes").locator("visible=true").select_option(label="this one itself")
    visit.page.get_by_role("button", name="extract", exact=True).locator("visible=true").dblclick()
    visit.see(re.compile("^[0-9] of 9"))
    visit.shoot("11_extract")
    visit.page.goto("about:blank")
    chosen = {"card": "s2", "start": "2024-01-01", "end": "2024-12-31", "aoi": "second", "year": 2024}
    wait(lambda: not kernels(demo))
    todo = extract.plan(**chosen)
    assert not todo.failed
    extract.run(todo, workers=0)
    counts = "select aoi, count(*) as n, sum(B08_count) as pixels from s2 group by aoi order by aoi"
    first, second = open_lake().sql(counts).to_pylist()
    assert first == second | {"aoi": "demo"}


def kernels(workspace):
    """The processes of the pages of a workspace."""
    home = f"CBM_LAKE_HOME={workspace}".encode()
    found = [path.parent for path in Path("/proc").glob("[0-9]*/cmdline") if b"ipykernel_launcher" in content(path)]
    return [folder for folder in found if home in content(folder / "environ").split(b"\0")]


def content(path):
    """Of a file of a process that may have ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def wait(happened, seconds=60):
    """Until it has happened."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)
