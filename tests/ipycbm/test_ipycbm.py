"""The widgets without a browser: set values, press, read what is shown."""

import html
import io
import json
import math
import re
import subprocess
import sys
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from factories import PIDS, degrees, fill, outline
from ipyleaflet import GeoJSON
from matplotlib.figure import Figure
from PIL import Image

from cbm_lake import get, ipycbm, show
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.get import folders, parcel_info
from cbm_lake.ipycbm import (
    card2db_panel,
    choice,
    cleaning,
    config_panel,
    extract_panel,
    get_panel,
    maps,
    view_panel,
    wanted,
)
from cbm_lake.ipycbm.panel import Panel, StoppedError, rendered
from cbm_lake.lake import open_lake


def all_of(widget, kind):
    """Every widget of a kind in another."""
    inner = [one for child in getattr(widget, "children", ()) for one in all_of(child, kind)]
    return [widget, *inner] if isinstance(widget, kind) else inner


def button(widget, label):
    """The form of that button."""
    return next(one for one in all_of(widget, Panel) if one.button.description == label)


def press(form, **values):
    """Fill a form in, press its button, wait; what came back."""
    for name, value in values.items():
        form.inputs[name].value = value
    return form.submit().result(60)


@pytest.fixture
def lake(workspace):
    return fill(open_lake())


# -- forms ------------------------------------------------------------------------------------------------------------


def test_a_form_calls_its_action_with_its_inputs_and_shows_the_answer():
    form = Panel("go", lambda a, b: pd.DataFrame({"sum": [a + b]}), a=ipywidgets.IntText(2), b=ipywidgets.IntText(3))
    press(form, b=5)
    assert "<td>7</td>" in form.result.children[0].value
    assert not form.button.disabled


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InvalidInputError("no <b>parcel</b> '1'"), "no &lt;b&gt;parcel"),
        (ZeroDivisionError("by zero"), "a fault of cbm-lake"),
    ],
)
def test_what_an_action_raises_is_shown_and_the_form_can_be_used_again(error, told):
    def action():
        raise error

    form = Panel("go", action)
    assert press(form) is None
    assert told in form.message.value
    assert "<b>" not in form.message.value
    form.action = lambda: "well"
    press(form)
    assert form.message.value == ""


def test_a_second_click_while_it_runs_starts_nothing():
    gate, calls = threading.Event(), []

    def action():
        calls.append(1)
        gate.wait(20)

    form = Panel("go", action)
    first = form.submit()
    assert form.button.disabled
    assert form.submit() is first
    gate.set()
    first.result(20)
    assert calls == [1]


def test_closing_waits_for_no_action():
    code = """
import threading
from cbm_lake.ipycbm.panel import Panel
form = Panel("go", threading.Event().wait)
form.submit()
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=30)
    assert done.returncode == 0


def test_the_page_works_in_the_workspace_and_not_where_its_notebook_is(workspace):
    code = "from cbm_lake import ipycbm; import os, sys; print(os.getcwd())"
    where = Path(ipycbm.__file__).parent
    ran = subprocess.run([sys.executable, "-c", code], cwd=where, check=True, capture_output=True, text=True)
    assert Path(ran.stdout.strip()) == workspace.root


def test_stop_is_heard_at_the_next_step_and_the_form_says_how_far_it_came():
    begun, gate = threading.Event(), threading.Event()

    def action(progress):
        for number in range(100):
            progress(number, 100)
            begun.set()
            gate.wait(20)

    form = Panel("go", action, stops=True)
    running = form.submit()
    begun.wait(20)
    assert (form.bar.max, form.stop.disabled) == (100, False)
    form.stop.click()
    assert "stops after" in form.message.value
    gate.set()
    running.result(20)
    assert "stopped after 1 of 100" in form.message.value
    assert form.stop.disabled


@pytest.mark.parametrize(
    "value", [pa.table({"a": ["<script>"]}), "<script>", ["<script>"], pd.DataFrame({"<script>": [1]})]
)
def test_nothing_that_is_shown_is_taken_for_markup(value):
    shown = rendered(value)
    assert all("<script>" not in one.value for one in all_of(shown, ipywidgets.HTML))


def test_tables_are_cut_and_figures_become_pictures():
    assert "the first 200 rows" in rendered(pa.table({"a": np.arange(1000)})).value
    assert bytes(rendered(Figure()).value).startswith(b"\x89PNG")


# -- choosing ---------------------------------------------------------------------------------------------------------


def test_parcel_sets_are_those_of_the_lake(lake):
    chosen = choice.ParcelSet()
    assert chosen.value == {"aoi": "ms", "year": 2024, "ptype": None}


def test_an_empty_lake_says_what_to_do(workspace):
    with pytest.raises(InvalidInputError, match="load some"):
        _ = choice.ParcelSet().value


@pytest.mark.parametrize(("first", "last"), [(None, date(2024, 1, 1)), (date(2024, 2, 1), date(2024, 1, 1))])
def test_days_that_are_none_are_refused(first, last):
    with pytest.raises(InvalidInputError, match="choose two days"):
        _ = choice.Days(first, last).value


def test_what_was_left_is_deleted_only_when_that_is_pressed(lake, monkeypatch):
    monkeypatch.setattr(cleaning, "_ASKED", set())
    parcel_info.by_pid("ms", 2024, "12")
    keep_file = Workspace.here().temp / "notes.txt"
    keep_file.write_text("mine")
    offered = ipycbm.config()
    keep, delete = (one for one in all_of(offered.children[0], ipywidgets.Button))
    delete.click()
    assert folders.kept(Workspace.here().temp) == {"ms": {"2024": ["12"]}}  # it is asked a second time
    press_button(offered.children[0], "delete 1 file")
    assert folders.kept(Workspace.here().temp) == {}
    assert keep_file.exists()
    assert all_of(ipycbm.config(), ipywidgets.Button)[0] is not keep  # it asks once


# -- settings ---------------------------------------------------------------------------------------------------------


def test_settings_are_saved_and_secrets_never_come_back(workspace):
    workspace.configure("api", url="http://127.0.0.1:1", user="ada", **{"pass": "secret one"})
    panel = config_panel.panel()
    texts = [one.value for one in all_of(panel, (ipywidgets.Text, ipywidgets.Password, ipywidgets.HTML))]
    assert not any("secret one" in text for text in texts)
    api = next(form for form in all_of(panel, Panel) if "url" in form.inputs and "password" in form.inputs)
    assert press(api, user="bob") == "saved"
    kept = Workspace.here().config.api
    assert (kept.user, kept.password.get_secret_value()) == ("bob", "secret one")
    press(api, password="secret two")
    assert Workspace.here().config.api.password.get_secret_value() == "secret two"


def test_a_wrong_setting_is_told_and_not_saved(workspace):
    general = next(form for form in all_of(config_panel.panel(), Panel) if "plimit" in form.inputs)
    press(general, plimit=0)
    assert "plimit" in general.message.value
    assert Workspace.here().config.set.plimit == 25


def test_tile_servers_are_added_and_listed_without_markup(workspace):
    form = next(form for form in all_of(config_panel.panel(), Panel) if {"name", "url"} <= set(form.inputs))
    press(form, name="<b>", url="https://127.0.0.1/{z}/{x}/{y}.png", unchecked=True)
    assert (
        "&lt;b&gt;: <code>https" in rendered(ipywidgets.HTML(config_panel._listed(Workspace.here().config.tms))).value
    )
    press(form, name="", url="")
    assert "needs a name" in form.message.value
    assert press(form, name="<b>", url="") == "<b> is taken out"
    assert Workspace.here().config.tms == {}
    press(form, name="<b>", url="")
    assert "needs a name" in form.message.value


@pytest.fixture
def tile_server():
    """The address of a server that has tiles below /good/ and none elsewhere, and the paths it was asked for."""
    asked, content = [], io.BytesIO()
    Image.new("RGB", (256, 256), (200, 30, 30)).save(content, "PNG")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200 if self.path.startswith("/good/") else 404)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(content.getvalue() if self.path.startswith("/good/") else b"none")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_a_tile_server_is_saved_when_it_has_a_picture_of_an_area(lake, tile_server):
    url, asked = tile_server
    form = next(form for form in all_of(config_panel.panel(), Panel) if {"name", "url"} <= set(form.inputs))
    press(form, name="agency", url=f"{url}/bad/{{z}}/{{x}}/{{y}}.png")
    assert "agency is not saved, it has no picture of ms" in form.message.value
    assert Workspace.here().config.tms == {}
    asked.clear()
    press(form, name="agency", url=f"{url}/good/{{z}}/{{x}}/{{y}}.png")
    assert list(Workspace.here().config.tms) == ["agency"]
    middle = lake.footprint("ms").centroid
    z, x, y = map(int, asked[0].removeprefix("/good/").removesuffix(".png").split("/"))
    west, north = x / 2**z * 360 - 180, math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y / 2**z))))
    assert (west, north) == (pytest.approx(middle.x, abs=0.02), pytest.approx(middle.y, abs=0.02))


def test_a_database_is_saved_without_the_password_of_the_environment(workspace, monkeypatch):
    workspace.configure("db", main={"host": "old", "port": 5433})
    monkeypatch.setenv("CBM_LAKE_DB__MAIN__PASS", "from outside")
    form = next(form for form in all_of(config_panel.panel(), Panel) if "sche" in form.inputs)
    assert press(form, host="new") == "saved"
    assert "from outside" not in workspace.config_file.read_text()
    kept = Workspace.here().config.db["main"]
    assert (kept.host, kept.port, kept.password.get_secret_value()) == ("new", 5433, "from outside")


def test_the_parcel_sets_are_listed(lake):
    form = config_panel.panel().children[1].children[-1]
    assert press(form)["parcels"].to_pylist() == [3]


def test_the_connections_are_tried(lake):
    tests = [form for form in all_of(config_panel.panel(), Panel) if form.button.description == "test the connection"]
    told = [press(form) or form.message.value for form in tests]
    assert "has 1 parcel sets" in told[0]
    assert len(told) == 4
    assert all("fault of cbm-lake" not in text for text in told)


# -- get and view -----------------------------------------------------------------------------------------------------


def test_parcels_are_got_by_their_identifiers_into_the_folder_that_is_chosen(lake):
    panel = get_panel.panel()
    form = panel.form
    panel.which.typed.value = "0012, a/b\nnobody"
    rows = press(form, folder="data")
    assert rows[rows["problem"].isna()]["pid"].unique().tolist() == ["0012", "a/b"]
    assert "no parcel 'nobody'" in rows["problem"].dropna().iloc[0]
    told = wanted.summary(rows)
    assert told["parcel"].tolist() == ["0012", "a/b", "nobody"]
    assert told["got"].tolist() == ["information, series s2", "information, series s2", ""]
    assert told["not got"].str.count("no parcel 'nobody'").tolist() == [0, 0, 1]
    assert "None" not in form.result.children[0].value
    assert folders.kept(Workspace.here().data) == {"ms": {"2024": ["0012", "a/b"]}}


def test_parcels_are_got_by_place_marker_and_polygon(lake):
    centre = outline(1).centroid
    lon, lat = degrees(centre.x, centre.y)
    key = {"aoi": "ms", "year": 2024, "ptype": None}
    assert get_panel.at(key, lon, lat) == ["12"]
    marker, polygon = maps.Marker(choice.ParcelSet()), maps.Polygon(choice.ParcelSet())
    marker._moved(type="click", coordinates=(lat, lon))
    assert get_panel.at(key, *marker.value) == ["12"]
    ring = [degrees(*point) for point in outline(2).buffer(-1).exterior.coords]
    polygon.drawing.data = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    ]
    assert get_panel.within(key, polygon.value) == ["a/b"]


@pytest.mark.slow
def test_a_huge_polygon_and_none_are_refused(lake):
    polygon = maps.Polygon(choice.ParcelSet())
    with pytest.raises(InvalidInputError, match="no polygon is drawn"):
        _ = polygon.value
    huge = {"type": "Polygon", "coordinates": [[[n / 1e5, 1] for n in range(20_000)]]}
    polygon.drawing.data = [{"type": "Feature", "properties": {}, "geometry": huge}]
    with pytest.raises(InvalidInputError, match="20000 points"):
        _ = polygon.value


def test_a_place_and_a_polygon_without_parcels_are_told(lake):
    key = {"aoi": "ms", "year": 2024, "ptype": None}
    with pytest.raises(NotFoundError, match="no parcel"):
        get_panel.at(key, 0, 0)
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    with pytest.raises(NotFoundError, match="no parcel at the polygon"):
        get_panel.within(key, square)


def test_what_was_got_before_a_stop_is_kept(lake):
    form = get_panel.panel().form
    steps = []

    def stop(done, total, step):
        steps.append((done, total))
        if done == 3:
            raise StoppedError("stopped")

    with pytest.raises(StoppedError):
        wanted.got({"aoi": "ms", "year": 2024, "ptype": None}, list(PIDS), get.several.Wanted(), "data", stop)
    assert folders.kept(Workspace.here().data) == {"ms": {"2024": ["0012"]}}
    assert steps == [(0, 6), (1, 6), (2, 6), (2, 6), (3, 6)]
    assert form.inputs["folder"].value == "temp"


def test_files_of_identifiers_are_read_and_others_refused(lake):
    def file(content):
        return ({"name": "list.csv", "content": memoryview(content)},)

    key = {"aoi": "ms", "year": 2024, "ptype": None}
    assert get_panel.uploaded(file(b"\xef\xbb\xbfpid,crop\n0012,a\n12,b\n0012,a\n"), key) == ["0012", "12"]
    assert get_panel.uploaded(file(b"0012\n12\n"), key) == ["0012", "12"]
    assert get_panel.uploaded(file(b"code\n12\n")) == ["12"]  # of the set that a form offers first
    with pytest.raises(InvalidInputError):
        get_panel.uploaded(file(b"12,0012\n0012,12\n"), key)
    assert get_panel.uploaded(file(b"a,b\n12,0012\n0012,12\n"), key, "b") == ["0012", "12"]
    for wrong in ((), file(b"")):
        with pytest.raises(InvalidInputError):
            get_panel.uploaded(wrong, key)


def test_more_parcels_than_the_limit_are_refused(lake, workspace):
    workspace.configure("set", plimit=2)
    panel = get_panel.panel()
    form = panel.form
    panel.which.typed.value = ",".join(PIDS)
    press(form)
    assert "3 parcels are more than 2" in form.message.value


@pytest.mark.thorough
def test_a_server_that_is_lost_is_one_line_in_the_form(lake, workspace):
    panel = get_panel.panel()
    workspace.configure("api", url="http://127.0.0.1:9", user="ada")
    workspace.configure("set", data_source="api")
    form = panel.form
    panel.which.typed.value = "0012"
    form.inputs["series"].boxes["s2"].value = False  # each step waits for some tries
    rows = press(form)
    assert "does not answer" in rows["problem"].iloc[0]


def test_what_was_got_is_viewed_noted_and_deleted(lake):
    parcel_info.by_pid("ms", 2024, "a/b")
    panel = view_panel.panel()
    chosen, tabs = panel.parcels, panel.tabs
    assert chosen.value == ("ms", 2024, "a/b")
    forms = dict(zip(tabs.titles, tabs.children, strict=True))
    assert isinstance(press(forms["information"]), Figure)
    assert isinstance(press(forms["time series"], zoomable=False), Figure)
    press(forms["chips"])
    assert "fault" not in forms["chips"].message.value
    press(forms["notes"], text="mown in May")
    assert "stored in" in forms["notes"].result.children[0].value
    file = folders.in_data(folders.place("ms", 2024, "a/b", "notes.txt"))
    assert file.read_text() == "mown in May"
    assert next(iter(all_of(view_panel.panel().tabs, ipywidgets.Textarea))).value == "mown in May"
    press(forms["delete"])
    box = forms["delete"].result.children[0]
    assert "notes (2 files" in box.line.value
    press_button(box, "delete …")
    assert "You made this, and it cannot be fetched again: notes of parcel ms 2024 a/b" in box.line.value
    assert file.exists()
    press_button(box, next(one.description for one in all_of(box, ipywidgets.Button) if "file" in one.description))
    assert "what a person made stays" in box.line.value
    assert not folders.place("ms", 2024, "a/b", "").exists()
    assert file.exists()
    press(forms["delete"])
    box = forms["delete"].result.children[0]
    press_button(box, "delete …")
    press_button(box, "delete yours too")
    assert not file.parent.exists()
    with pytest.raises(InvalidInputError, match="no parcel is chosen"):
        _ = chosen.value


@pytest.mark.parametrize("there", ["", "seen in June", "mown in May, and more"])
def test_notes_of_an_earlier_version_are_moved_out_of_temp_on_first_sight(lake, caplog, there):
    old = folders.write("ms", 2024, "a/b", "notes.txt", "mown in May")
    new = folders.in_data(old)
    if there:
        folders.write_file(new, there)
    expected = {"": "mown in May", "seen in June": "seen in June\n\nmown in May"}.get(there, there)
    assert get.notes.read("ms", 2024, "a/b") == expected
    assert not old.exists()
    assert new.read_text() == expected
    assert f"{old} were moved to {new}" in caplog.text


def test_notes_of_an_earlier_version_that_are_a_part_of_a_newer_one_are_no_copy_of_it(workspace):
    get.notes.write("ms", 2024, "12", "this is not ploughed")
    old = get.folders.write("ms", 2024, "12", get.folders.NOTES, "ploughed")
    assert get.notes.read("ms", 2024, "12") == "this is not ploughed\n\nploughed"
    get.folders.write_file(old, "ploughed")
    assert get.notes.read("ms", 2024, "12") == "this is not ploughed\n\nploughed"


def test_of_a_parcel_that_is_called_like_a_year_the_folder_goes_too(workspace):
    file = get.folders.write("ms", 2024, "2023", "chipimages/a.tif", "")
    get.leftovers.delete(get.leftovers.of_folders([file.parent.parent]))
    assert not file.parent.parent.exists()


def test_moving_a_parcel_to_data_loses_no_note(lake):
    parcel_info.by_pid("ms", 2024, "12")
    get.notes.write("ms", 2024, "12", "first")
    folders.write("ms", 2024, "12", "notes.txt", "second")
    folders.keep("ms", 2024, "12")
    assert get.notes.read("ms", 2024, "12") == "first\n\nsecond"


def test_of_a_pid_too_long_for_a_folder_the_notes_are_those_of_the_parcel(workspace):
    pids = ["x" * 300, "x" * 299 + "y"]
    for pid in pids:
        get.notes.write("ms", 2024, pid, pid[-1])
    assert [get.notes.read("ms", 2024, pid) for pid in pids] == ["x", "y"]
    assert sorted(folders.kept(workspace.data)["ms"]["2024"]) == sorted(pids)


@pytest.mark.parametrize(
    ("answer", "info", "note"),
    [("delete 1 file", False, True), ("delete yours too", False, False), ("delete nothing", True, True)],
)
def test_what_a_person_made_is_asked_about_once_more(lake, workspace, answer, info, note):
    parcel_info.by_pid("ms", 2024, "12")
    noted = folders.write("ms", 2024, "12", "notes.txt", "<b>mown")
    own = folders.write("ms", 2024, "12", "chipimages/mine.xlsx", "my table")
    box = cleaning.question(workspace.temp, folders.kept(workspace.temp))
    for words in ("parcel ms 2024 12", "information (1 file", "notes (1 file, 7 bytes)", "other files", noted.owner()):
        assert words in box.line.value
    press_button(box, "delete …")
    assert "notes of parcel ms 2024 12" in box.line.value
    assert "mine.xlsx" in box.line.value
    assert noted.exists()
    press_button(box, answer)
    assert folders.place("ms", 2024, "12", "info.json").exists() is info
    assert own.exists() is note
    assert get.notes.read("ms", 2024, "12") == ("<b>mown" if note else "")


def press_button(box, label):
    """Press the button of that label in a question."""
    next(one for one in all_of(box, ipywidgets.Button) if one.description == label).click()


def test_the_map_shows_what_was_got_and_a_click_chooses(lake, workspace):
    for pid in ("12", "0012"):
        parcel_info.by_pid("ms", 2024, pid)
    folders.keep("ms", 2024, "12")
    (workspace.temp / "ms" / "2024" / "empty").mkdir()
    panel = view_panel.panel()
    chosen, tabs = panel.parcels, panel.tabs
    form = dict(zip(tabs.titles, tabs.children, strict=True))["map"]
    shown = press(form)
    layer = next(one for one in shown.children[1].layers if isinstance(one, GeoJSON))
    assert {one["properties"]["pid"] for one in layer.data["features"]} == {"12", "0012"}
    west, south = layer.data["features"][0]["geometry"]["coordinates"][0][0]
    assert (west, south) == (pytest.approx(3, abs=0.01), pytest.approx(43.35, abs=0.01))
    layer._click_callbacks(feature=features_of(layer, "12"), event="click")
    assert chosen.value == ("ms", 2024, "12")


def features_of(layer, pid):
    return next(one for one in layer.data["features"] if one["properties"]["pid"] == pid)


def test_an_identifier_that_is_being_typed_does_no_harm(lake):
    parcel_info.by_pid("ms", 2024, "12")
    panel = view_panel.panel()
    chosen, tabs = panel.parcels, panel.tabs
    notes = dict(zip(tabs.titles, tabs.children, strict=True))["notes"]
    chosen.pid.value = "1"
    assert notes.message.value == ""
    press(notes, text="lost?")
    assert "get it first" in notes.message.value
    assert notes.inputs["text"].value == "lost?"


@pytest.mark.slow
def test_what_can_be_zoomed_brings_its_own_scripts(lake):
    shown = rendered(show.time_series.ndvi("ms", 2024, "12", interactive=True))
    assert "srcdoc" in shown.value
    assert not re.search(r"<(script|link)[^>]+(src|href)=", html.unescape(shown.value))


# -- catalogue and extract --------------------------------------------------------------------------------------------


def test_parcels_are_loaded_and_scenes_catalogued(workspace, tmp_path):
    square = {"type": "Polygon", "coordinates": [[[3, 50], [3.01, 50], [3.01, 50.01], [3, 50.01], [3, 50]]]}
    feature = {"type": "Feature", "properties": {"pid": "1", "crop": "wheat"}, "geometry": square}
    file = tmp_path / "parcels.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    panel = card2db_panel.panel()
    form = button(panel, "load")
    told = press(form, path=str(file), aoi="ms", year=2024, crop_name="crop")
    assert re.fullmatch(r"1 parcels, \d\d\.\d ha, EPSG:\d+: loaded", told)
    assert panel.children[0].value["aoi"] == "ms"  # what is new can be chosen at once
    press(form, path=str(tmp_path / "nothing.gpkg"))
    assert "nothing.gpkg" in form.message.value
    look = button(panel, "look")
    press(look)
    assert "no scene of these days" in look.message.value


def test_scenes_are_catalogued_and_their_footprints_shown(lake, tmp_path):
    scene = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2A_31TEJ_20240601_0_L2A",
        "collection": "sentinel-2-l2a",
        "bbox": [2.9, 43, 3.1, 44],
        "links": [],
        "stac_extensions": [],
        "geometry": {"type": "Polygon", "coordinates": [[[2.9, 43], [3.1, 43], [3.1, 44], [2.9, 44], [2.9, 43]]]},
        "properties": {
            "datetime": "2024-06-01T10:40:21Z",
            "proj:epsg": 32631,
            "s2:processing_baseline": "05.10",
            "s2:product_uri": "S2A_MSIL2A_20240601T104021_N0510_R008_T31TEJ_20240601T150000.SAFE",
            "earthsearch:boa_offset_applied": False,
            "eo:cloud_cover": 3,
        },
        "assets": {"red": {"href": "B04.tif"}, "nir": {"href": "B08.tif"}, "scl": {"href": "SCL.tif"}},
    }
    file = tmp_path / "scenes.json"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [scene]}))
    panel = card2db_panel.panel()
    shown = press(button(panel, "catalogue"), path=str(file))
    assert shown[0] == "1 scenes found, 1 new"
    look = button(panel, "look")
    tables = press(look, clouds=10)
    assert tables[-1]["id"].to_pylist() == ["S2A_31TEJ_20240601_0_L2A"]  # the others have clouds
    empty = button(panel, "catalogue")
    press(empty, path="")
    assert "nothing is given for the path" in empty.message.value


def test_how_the_lake_stands_and_what_is_to_be_done_is_told(lake):
    panel = extract_panel.panel()
    tables = press(button(panel, "look"))
    assert tables[1]["scenes"].to_pylist() == [2]
    assert tables[2] == "no scene has failed"
    dry = button(panel, "only say what is to be done")
    press(dry)
    assert "fault" not in dry.message.value
    run = button(panel, "extract")
    assert run.inputs["workers"].label == "one per core"
    press(run, bands="B99", workers=0)
    assert "B99" in run.message.value
