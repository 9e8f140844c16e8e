"""The widgets without a browser: set values, press, read what is shown."""

import html
import json
import re
import threading
from datetime import date

import ipywidgets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from factories import PIDS, degrees, fill, outline
from matplotlib.figure import Figure

from cbm_lake import ipycbm, show
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError
from cbm_lake.get import folders, parcel_info
from cbm_lake.ipycbm import card2db_panel, choice, cleaning, config_panel, extract_panel, get_panel, maps, view_panel
from cbm_lake.ipycbm.panel import Panel, rendered
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
    assert folders.kept(Workspace.here().temp) == {"ms": {"2024": ["12"]}}
    delete.click()
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


def test_the_connections_are_tried(lake):
    tests = [form for form in all_of(config_panel.panel(), Panel) if form.button.description == "test the connection"]
    told = [press(form) or form.message.value for form in tests]
    assert "has 1 parcel sets" in told[0]
    assert len(told) == 4
    assert all("fault of cbm-lake" not in text for text in told)


# -- get and view -----------------------------------------------------------------------------------------------------


def test_parcels_are_got_by_their_identifiers_into_the_folder_that_is_chosen(lake):
    panel = get_panel.panel()
    _, which, form = panel.children
    which.children[0].value = "0012, a/b\nnobody"
    rows = press(form, folder="data")
    assert rows[rows["problem"].isna()]["pid"].unique().tolist() == ["0012", "a/b"]
    assert "no parcel 'nobody'" in rows["problem"].dropna().iloc[0]
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


def test_a_huge_polygon_and_none_are_refused(lake):
    polygon = maps.Polygon(choice.ParcelSet())
    with pytest.raises(InvalidInputError, match="no polygon is drawn"):
        _ = polygon.value
    huge = {"type": "Polygon", "coordinates": [[[n / 1e5, 1] for n in range(20_000)]]}
    polygon.drawing.data = [{"type": "Feature", "properties": {}, "geometry": huge}]
    with pytest.raises(InvalidInputError, match="20000 points"):
        _ = polygon.value


def test_files_of_identifiers_are_read_and_others_refused():
    def file(content):
        return ({"name": "list.csv", "content": memoryview(content)},)

    assert get_panel.uploaded(file(b"\xef\xbb\xbfpid,crop\n0012,a\n12,b\n0012,a\n")) == ["0012", "12"]
    assert get_panel.uploaded(file(b"0012\n12\n")) == ["0012", "12"]
    for wrong in ((), file(b""), file(b"\xff\xfe\x00")):
        with pytest.raises(InvalidInputError):
            get_panel.uploaded(wrong)


def test_more_parcels_than_the_limit_are_refused(lake, workspace):
    workspace.configure("set", plimit=2)
    _, which, form = get_panel.panel().children
    which.children[0].value = ",".join(PIDS)
    press(form)
    assert "3 parcels are more than 2" in form.message.value


def test_a_server_that_is_lost_is_one_line_in_the_form(lake, workspace):
    panel = get_panel.panel()
    workspace.configure("api", url="http://127.0.0.1:9", user="ada")
    workspace.configure("set", data_source="api")
    _, which, form = panel.children
    which.children[0].value = "0012"
    rows = press(form)
    assert "does not answer" in rows["problem"].iloc[0]


def test_what_was_got_is_viewed_noted_and_deleted(lake):
    parcel_info.by_pid("ms", 2024, "a/b")
    chosen, tabs = view_panel.panel().children
    assert chosen.value == ("ms", 2024, "a/b")
    forms = dict(zip(tabs.titles, tabs.children, strict=True))
    assert isinstance(press(forms["information"]), Figure)
    assert isinstance(press(forms["time series"], zoomable=False), Figure)
    press(forms["chips"])
    assert "fault" not in forms["chips"].message.value
    press(forms["notes"], text="mown in May")
    file = folders.place("ms", 2024, "a/b", "notes.txt")
    assert file.read_text() == "mown in May"
    assert next(iter(all_of(view_panel.panel(), ipywidgets.Textarea))).value == "mown in May"
    press(forms["delete"])
    assert file.exists()
    assert "tick the box" in forms["delete"].message.value
    press(forms["delete"], sure=True)
    assert not file.exists()
    with pytest.raises(InvalidInputError, match="no parcel is chosen"):
        _ = chosen.value


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
    press(form, path=str(file), aoi="ms", year=2024, crop_name="crop")
    assert form.message.value == ""
    assert panel.children[0].value["aoi"] == "ms"  # what is new can be chosen at once
    press(form, path=str(tmp_path / "nothing.gpkg"))
    assert "nothing.gpkg" in form.message.value
    look = button(panel, "look")
    press(look)
    assert "no scene of these days" in look.message.value


def test_how_the_lake_stands_and_what_is_to_be_done_is_told(lake):
    panel = extract_panel.panel()
    tables = press(button(panel, "look"))
    assert tables[1]["scenes"].to_pylist() == [2]
    assert tables[2] == "no scene has failed"
    dry = button(panel, "only say what is to be done")
    press(dry)
    assert "fault" not in dry.message.value
    run = button(panel, "extract")
    press(run, bands="B99", workers=0)
    assert "B99" in run.message.value
