"""A polygon drawn on the map: corners by clicks, and its curve of its own pixels beside that of the parcel."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import shapely
import small_demo
from test_browser import wait

from cbm_lake.ipycbm.desk.evidence import Evidence
from cbm_lake.ipycbm.desk.observed import Observations
from cbm_lake.ipycbm.desk.scenemap import SceneMap
from cbm_lake.ipycbm.desk.state import Request, State
from cbm_lake.lake import open_lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel.sources import LakeSource

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sketch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(folder))
        small_demo.make(folder)
        yield open_lake()


@pytest.fixture
def largest(lake):
    """The two largest parcels of one ring."""
    pids = lake.sql("select pid from parcels order by area_m2 desc")["pid"].to_pylist()
    shapes = ((pid, outline(lake, pid)) for pid in pids)
    return [pid for pid, shape in shapes if len(shapely.get_rings(shapely.get_parts(shape))) == 1][:2]


@pytest.fixture
def desk(lake, largest, workspace):
    """State, map and evidence, with the largest parcel drawn."""
    state = State(aoi="demo", year=2024, pid=largest[0])
    evidence = Evidence(state, Observations(lake), language="en")
    request = Request(state.key, "", "", "true colour", "ndvi", datetime.now(UTC))
    evidence.show(evidence.read(request))
    return state, SceneMap(state, lake, "en"), evidence


def outline(lake, pid):
    return LakeSource(lake).parcel(ParcelKey("demo", 2024, "", pid)).outline_in(4326)


def press(scene_map):
    scene_map.bar._handle_custom_msg({"event": "sketch"}, [])


def draw(scene_map, shape):
    """Draw a polygon, corner by corner."""
    press(scene_map)
    for lon, lat in shapely.get_coordinates(shape)[:-1]:
        scene_map._clicked(type="click", coordinates=(lat, lon))
    press(scene_map)


def arrived(evidence):
    """Wait until the curve, or why there is none, is on the screen."""
    wait(lambda: "being read" not in evidence.sketch_note.value)
    return evidence.chart.drawn


def values(series):
    usable = [point for point in series["points"] if point[4]]
    return pd.Series([point[1] for point in usable], [point[0] for point in usable], dtype=float)


def test_the_curve_of_a_parcels_outline_is_that_of_the_parcel_beside_another_one(desk, lake, largest):
    state, scene_map, evidence = desk
    for pid in largest:
        draw(scene_map, outline(lake, pid))
        assert state.pid == largest[0]  # corners choose no parcel
        curve = arrived(evidence)
        other = Evidence(State(), Observations(lake))
        known = other.read(Request(ParcelKey("demo", 2024, "", pid), "", "", "true colour", "ndvi", datetime.now(UTC)))
        (index,) = (panel for panel in known.figure["panels"] if panel["name"] == "index")
        drawn, own = values(curve["series"]), values(index["series"][0])
        assert len(own) >= 3
        both = drawn.index.intersection(own.index)
        assert len(both) >= len(own) - 1  # a look may be usable by a pixel more or less: corners have seven digits
        np.testing.assert_allclose(drawn[both], own[both], atol=2e-3)
        assert curve["series"]["label"] == "drawn polygon"
        assert curve["limits"][0] <= drawn.min() <= drawn.max() <= curve["limits"][1]
        press(scene_map)  # away
        assert (evidence.chart.drawn, state.polygon, scene_map.bar.sketch) == ({}, "", "")


def test_corners_are_shown_as_they_are_set_and_two_are_no_polygon(desk, lake, largest):
    state, scene_map, _ = desk
    corners = shapely.get_coordinates(outline(lake, largest[1]))[:2]
    press(scene_map)
    assert scene_map.bar.sketch == "drawing"
    for number, (lon, lat) in enumerate(corners, 1):
        scene_map._clicked(type="click", coordinates=(lat, lon))
        assert len(scene_map._sketch._line.locations) == number
    press(scene_map)
    assert (scene_map.bar.sketch, state.polygon, scene_map._sketch._line.locations) == ("", "", [])
    lon, lat = shapely.get_coordinates(outline(lake, largest[1]).centroid)[0]
    scene_map._clicked(type="click", coordinates=(lat, lon))
    assert state.pid == largest[1]  # clicks choose again


def test_a_polygon_beside_all_scenes_is_told(desk, lake, largest):
    _, scene_map, evidence = desk
    draw(scene_map, shapely.box(10, 10, 10.001, 10.001))
    assert arrived(evidence) == {}
    assert "no scene has a pixel" in evidence.sketch_note.value
    press(scene_map)
    assert evidence.sketch_note.value == ""


def test_another_parcel_keeps_the_polygon_and_another_year_takes_it_away(desk, lake, largest):
    state, scene_map, evidence = desk
    draw(scene_map, outline(lake, largest[0]))
    first = arrived(evidence)
    state.pid = largest[1]
    evidence.show(evidence.read(Request(state.key, "", "", "true colour", "ndvi", datetime.now(UTC))))
    again, before = values(arrived(evidence)["series"]), values(first["series"])
    both = again.index.intersection(before.index)  # each over the days of its parcel
    assert len(both) >= 3
    assert again[both].equals(before[both])
    evidence.clear("broken")
    assert evidence.chart.drawn == {}
    state.year = 2023
    assert (state.polygon, scene_map.bar.sketch) == ("", "")
