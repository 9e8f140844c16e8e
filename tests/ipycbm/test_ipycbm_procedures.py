"""The widgets of FOI and QA, and the files that go in and out, without a browser."""

import base64
import csv
import io
import re
import zipfile
from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from factories import PIDS, fill
from ipyleaflet import GeoJSON, Map
from rasterio.transform import from_origin
from shapely.geometry import box
from test_ipycbm import all_of, button, press

from cbm_lake import qa
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.ipycbm import files, foi_panel, page, qa_panel
from cbm_lake.ipycbm.parcel_map import parcel_map
from cbm_lake.lake import open_lake

pytestmark = pytest.mark.thorough


@pytest.fixture
def thematic(tmp_path):
    """Parcels a (one class) and b (half and half), a raster that says so, and its classes."""
    shapes = [box(500_000, 5_000_000, 500_100, 5_000_100), box(500_200, 5_000_000, 500_300, 5_000_100)]
    gpd.GeoDataFrame({"pid": ["a", "b"]}, geometry=shapes, crs=32631).to_file(tmp_path / "parcels.gpkg")
    values = np.ones((10, 30), np.uint8)
    values[:, 25:] = 2
    options = {"driver": "GTiff", "width": 30, "height": 10, "count": 1, "dtype": "uint8", "crs": 32631}
    transform = from_origin(500_000, 5_000_100, 10, 10)
    with rasterio.open(tmp_path / "crops.tif", "w", transform=transform, **options) as out:
        out.write(values, 1)
    (tmp_path / "crops.yml").write_text("category_map:\n  1: maize\n  2: wheat\n")
    return tmp_path


def foi_widget(folder, raster="crops.tif"):
    """The widget with those files chosen, and the form of a version."""
    widget = foi_panel.panel()
    source = all_of(widget, foi_panel.Source)[0]
    source.selected_index = 1
    source.file.path.value = str(folder / "parcels.gpkg")
    given = {one.label: one for one in all_of(widget, files.File)}
    given["raster"].path.value, given["classes"].path.value = str(folder / raster), str(folder / "crops.yml")
    return widget


def linked(widget):
    """What the links of a widget download, by their names."""
    pattern = r'download="([^"]+)" href="data:application/octet-stream;base64,([^"]*)"'
    pages = [one.value for one in all_of(widget, files.ipywidgets.HTML)]
    return {name: base64.b64decode(data) for page in pages for name, data in re.findall(pattern, page)}


@pytest.mark.parametrize(("version", "settings"), [(0, {"buffer": 0}), (1, {})])
def test_foi_tells_the_half_and_half_parcel_shows_it_on_a_map_and_hands_the_files_out(
    workspace, thematic, version, settings
):
    widget = foi_widget(thematic)
    form = [one for one in all_of(widget, foi_panel.Panel) if one.button.description == "check"][version]
    found = press(form, **settings)
    assert found.ranked().column(1).to_pylist() == ["b"]
    drawn = all_of(form.result, Map)[0]
    shown = next(layer for layer in drawn.layers if isinstance(layer, GeoJSON))
    assert [feature["properties"]["pid"] for feature in shown.data["features"]] == ["b"]
    handed = linked(form.result)
    shape = next(name for name in handed if name.endswith("foih_v2.shp.zip" if version == 0 else "foih_v1.shp.zip"))
    with zipfile.ZipFile(io.BytesIO(handed[shape])) as archive:
        assert {name.rpartition(".")[2] for name in archive.namelist()} >= {"shp", "shx", "dbf", "prj"}
    assert len(zipfile.ZipFile(io.BytesIO(handed["all.zip"])).namelist()) > len(found.files)


def test_a_parcel_of_the_check_is_looked_at_and_one_that_is_not_there_is_told(workspace, thematic):
    widget = foi_widget(thematic)
    look = all_of(widget, foi_panel.Look)[0]
    press(look)
    assert "nothing is checked" in look.message.value
    press(button(widget, "check"), buffer=0)
    assert look.pid.value == "b"
    press(look)
    assert look.result.children[0].format == "png"
    press(look, pid="zz")
    assert "zz" in look.message.value


def test_a_raster_that_is_not_there_is_told_in_the_widget(workspace, thematic):
    form = button(foi_widget(thematic, "none.tif"), "check")
    press(form)
    assert "none.tif" in form.message.value
    assert "fault" not in form.message.value
    assert not form.button.disabled


@pytest.fixture
def listed(lake, tmp_path):
    """A ranked list of the parcels of a lake: two groups, a holding for each parcel."""
    fill(lake)
    path = tmp_path / "ranked.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["gsa_par_id", "gsa_hol_id", "ua_grp_id", "covered", "ranking"])
        writer.writerows([pid, f"H{n}", "even" if n % 2 else "odd", 1, n] for n, pid in enumerate(PIDS, 1))
    return path


def drawn_sample(listed, name="first"):
    """The widget after a sample was drawn."""
    widget = qa_panel.panel()
    form = button(widget, "draw the sample")
    form.inputs["parcels"].path.value = str(listed)
    press(form, extraction_id=name)
    return widget, form


def test_a_sample_is_drawn_handed_out_and_lies_on_the_desk(listed):
    widget, form = drawn_sample(listed)
    handed = linked(form.result)
    csv_name = next(name for name in handed if "extracted_sample" in name and name.endswith(".csv"))
    assert len(handed[csv_name].decode().splitlines()) == 3  # 5 % of three is one, for each group
    assert all_of(widget, qa_panel.Desk)[0].sample.value == "first"
    assert qa_panel.samples() == ["first"]


def test_verdicts_are_recorded_parcel_after_parcel_and_counted(listed):
    widget, _ = drawn_sample(listed)
    desk = all_of(widget, qa_panel.Desk)[0]
    press(desk.stand)
    colours = all_of(desk.stand.result, Map)[0].layers[-1].data["features"]
    assert {feature["properties"]["pid"] for feature in colours} == set(desk.pid.options)
    first = desk.pid.value
    desk.look.submit().result(60)
    assert not desk.look.message.value
    assert len(desk.look.result.children[0].children) == 2
    press(desk.record, verdict="nonconforming", note="a lake", who="ada")
    desk.stand.submit().result(60)
    assert desk.pid.value != first
    assert desk.record.inputs["verdict"].value is None
    counts = qa.inspection_counts("first").to_pandas()
    assert counts["nonconforming"].sum() == 1
    assert counts["open"].sum() == 1
    assert b"a lake" in linked(desk.stand.result)["first_verdicts.csv"]


def test_without_a_verdict_or_a_sample_the_desk_says_so_and_records_nothing(listed, lake):
    desk = qa_panel.Desk()
    press(desk.stand)
    assert "draw one first" in desk.stand.message.value
    widget, _ = drawn_sample(listed)
    desk = all_of(widget, qa_panel.Desk)[0]
    press(desk.stand)
    press(desk.record)
    assert "no verdict is chosen" in desk.record.message.value
    assert open_lake().query("qa.inspections", sample_id="first").num_rows == 0


def test_a_table_is_validated_and_the_report_handed_out(workspace, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("gsa_par_id;gsa_hol_id\n1;2\n")
    form = button(qa_panel.panel(), "validate")
    form.inputs["table"].path.value = str(path)
    found = press(form)
    assert not found.clean
    assert set(linked(form.result)) >= {"validation.html", "validation.json", "validation.parquet", "all.zip"}


def test_the_guide_says_what_is_missing(listed):
    form = button(qa_panel.panel(), "go on")
    told = press(form, aoi="nowhere")
    assert "parcels: missing" in told
    assert "parcels: missing" in form.result.children[0].value


def test_a_file_that_is_sent_is_kept_and_one_that_is_needed_and_missing_is_told(workspace):
    file = files.File("raster", ".tif")
    with pytest.raises(InvalidInputError, match="raster"):
        _ = file.value
    assert files.File("targets", ".csv", needed=False).value is None
    file.sent.value = (
        {"name": "../a.tif", "content": memoryview(b"abc"), "type": "", "size": 3, "last_modified": datetime.now(UTC)},
    )
    assert file.value.read_bytes() == b"abc"
    assert file.value.name == "a.tif"
    assert workspace.temp in file.value.parents


def test_large_files_are_named_not_handed_out_and_missing_ones_told(tmp_path, monkeypatch):
    (tmp_path / "a<b>.csv").write_text("content")
    assert linked(files.downloads([tmp_path / "a<b>.csv"])) == {"a&lt;b&gt;.csv": b"content"}
    monkeypatch.setattr(files, "_LARGEST", 3)
    assert "too much for a page" in files.downloads([tmp_path / "a<b>.csv"]).value
    with pytest.raises(SourceError, match=r"gone\.csv"):
        files.downloads([tmp_path / "gone.csv"])


@pytest.mark.parametrize("metres", [10, 5_000, 900_000])
def test_a_map_of_parcels_shows_all_of_them_and_as_large_as_can_be(metres):
    shapes = gpd.GeoSeries([box(4e6, 3e6, 4e6 + metres, 3e6 + metres)], index=["a"], crs=3035)
    drawn = all_of(parcel_map(shapes, {"a": "red"}, lambda _: None), Map)[0]
    _, south, _, north = shapes.to_crs(3857).total_bounds
    pixel = 2 * np.pi * 6_378_137 / 256 / 2**drawn.zoom
    assert (north - south) / pixel < 400
    assert drawn.zoom == 18 or (north - south) / pixel > 150


def test_a_map_of_nothing_says_so_and_a_click_chooses():
    empty = gpd.GeoSeries([], crs=4326)
    assert "no parcel" in parcel_map(empty, {}, lambda _: None).value
    clicked = []
    drawn = all_of(
        parcel_map(gpd.GeoSeries([box(0, 0, 1, 1)], index=["a"], crs=4326), {"a": "red"}, clicked.append), Map
    )
    layer = drawn[0].layers[-1]
    layer._handle_mouse_events(None, {"event": "click", "feature": layer.data["features"][0]}, [])
    assert clicked == ["a"]


def test_the_page_has_a_tab_for_every_task_each_made_when_it_is_opened(workspace):
    tabs = all_of(page.page(), page.ipywidgets.Tab)[0]
    assert list(tabs.titles) == ["workbench", "settings", "catalogue", "extract", "get", "view", "FOI", "QA", "crops"]
    assert [bool(child.children) for child in tabs.children] == [True, *[False] * 8]
    assert "no parcels have been loaded yet" in tabs.children[0].children[0].value
    for number in range(1, len(tabs.children)):
        tabs.selected_index = number
        assert all_of(tabs.children[number], page.ipywidgets.Button)
