"""What maps read from the REST service: OGC API - Features, and tiles of scenes and parcels."""

import math

import geopandas as gpd
import mapbox_vector_tile
import numpy as np
import pytest
import rasterio
import requests
import shapely
from factories import PIDS, X, Y, day, degrees, fill, outline
from pyproj import Transformer
from rasterio.transform import from_origin
from rest_server import OTHER, ROOT, WHO, served

from cbm_lake import foi
from cbm_lake.lake import Lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return fill(Lake(str(tmp_path_factory.mktemp("lake"))))


@pytest.fixture(scope="module")
def url(lake, tmp_path_factory):
    with served(lake, tmp_path_factory.mktemp("server")) as address:
        yield address


def at(url, path, who=WHO, **params):
    return requests.get(path if "://" in path else f"{url}{path}", params=params, auth=who, timeout=30)


def test_parcels_are_features_of_the_ogc_api_page_by_page(url, lake):
    assert {link["rel"] for link in at(url, "/ogc").json()["links"]} >= {"self", "conformance", "data", "service-desc"}
    assert any(part.endswith("conf/geojson") for part in at(url, "/ogc/conformance").json()["conformsTo"])
    (collection,) = at(url, "/ogc/collections").json()["collections"]
    assert collection["id"] == "parcels_ms_2024"
    assert at(url, "/ogc/collections", OTHER).json()["collections"] == []
    assert at(url, "/ogc/collections/parcels_ms_2024", OTHER).status_code == 404
    pages, link = [], f"{url}/ogc/collections/parcels_ms_2024/items?limit=2"
    while link:
        page = at(url, link).json()
        assert page["numberMatched"] == len(PIDS)
        pages += page["features"]
        link = next((other["href"] for other in page["links"] if other["rel"] == "next"), None)
    assert [feature["id"] for feature in pages] == sorted(PIDS)
    frame = gpd.GeoDataFrame.from_features(pages, crs=4326).to_crs(32631)
    place = list(frame["pid"]).index("0012")
    assert frame.geometry[place].symmetric_difference(outline(0)).area < 0.1
    one = at(url, "/ogc/collections/parcels_ms_2024/items/0012").json()
    assert one["geometry"] == pages[place]["geometry"]
    west, south, east, north = shapely.transform(
        outline(0).buffer(-1), lambda xy: [degrees(*point) for point in xy]
    ).bounds
    near = at(url, "/ogc/collections/parcels_ms_2024/items", bbox=f"{west},{south},{east},{north}").json()
    assert [feature["id"] for feature in near["features"]] == ["0012"]
    for name in ("bbox-crs", "crs"):
        path = "/ogc/collections/parcels_ms_2024/items"
        assert at(url, path, **{name: "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}).status_code == 200
        refused = at(url, path, **{name: "http://www.opengis.net/def/crs/EPSG/0/32631"})
        assert (refused.status_code, name in refused.text) == (400, True)
    for wrong in ("1,2", "a,b,c,d", "5,0,1,1", "0,0,500,1"):
        assert at(url, "/ogc/collections/parcels_ms_2024/items", bbox=wrong).status_code == 400
    assert at(url, "/ogc/collections/parcels_ms_2024/items", limit=0).status_code == 400
    assert at(url, "/ogc/collections/nope").status_code == 404
    assert at(url, "/ogc/collections/parcels_ms_2024/items/nobody").status_code == 404


# -- results ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged(lake, tmp_path_factory):
    """The lake with results of FOI, of its own parcels and of a file's, and with verdicts."""
    folder = tmp_path_factory.mktemp("foi")
    pixels = np.ones((60, 100), dtype="uint8")
    pixels[:, :5] = 2  # half of the first parcel
    profile = {"driver": "GTiff", "width": 100, "height": 60, "count": 1, "dtype": "uint8", "crs": "EPSG:32631"}
    with rasterio.open(folder / "crops.tif", "w", transform=from_origin(X, Y + 600, 10, 10), **profile) as raster:
        raster.write(pixels, 1)
    classes = {1: "wheat", 2: "maize"}
    foi.v2(None, folder / "crops.tif", classes, aoi="ms", year=2024, lake=lake, folder=folder, cluster_threshold=5)
    gpd.GeoDataFrame({"id": [7]}, geometry=[outline(0)], crs=32631).to_file(folder / "own.gpkg")
    foi.v2(folder / "own.gpkg", folder / "crops.tif", classes, lake=lake, folder=folder)
    for number, verdict in enumerate(("inconclusive", "conforming")):
        lake.add_inspection(
            {
                "sample_id": "s1",
                "pid": "0012",
                "holding_id": None,
                "bucket_id": None,
                "verdict": verdict,
                "note": "",
                "inspector": "eve",
                "inspected": day(number + 1),
                "as_of": day(1),
                "version": "1",
            }
        )
    return lake


def test_results_of_foi_are_features_for_those_who_may_read_the_area(judged, url):
    def names(who):
        return {one["id"] for one in at(url, "/ogc/collections", who).json()["collections"]}

    assert names(WHO) == {"parcels_ms_2024", "foi_ms_2024_foi_v2", "inspections_ms_2024"}
    assert names(OTHER) == set()
    assert names(ROOT) == names(WHO) | {"foi_own_foi_v2"}  # of whom its parcels are nobody knows
    assert at(url, "/ogc/collections/foi_own_foi_v2/items").status_code == 404
    page = at(url, "/ogc/collections/foi_ms_2024_foi_v2/items", limit=100).json()
    assert page["numberMatched"] == page["numberReturned"] == len(PIDS)
    found = {one["id"]: one["properties"] for one in page["features"]}
    assert {pid: found[pid]["foi_h"] for pid in PIDS} == {"0012": 1, "12": 0, "a/b": 0}
    frame = gpd.GeoDataFrame.from_features(page, crs=4326).to_crs(32631)
    assert frame.geometry[list(found).index("12")].symmetric_difference(outline(1)).area < 0.1
    described = at(url, "/ogc/collections/foi_ms_2024_foi_v2").json()
    assert described["extent"]["spatial"]["bbox"][0] == pytest.approx(frame.to_crs(4326).total_bounds, abs=1e-6)


def test_pages_of_results_follow_each_other_also_in_a_box(judged, url):
    path, pids, offset = "/ogc/collections/foi_ms_2024_foi_v2/items", [], 0
    while page := at(url, path, limit=1, offset=offset).json()["features"]:
        pids += [one["id"] for one in page]
        offset += 1
    assert sorted(pids) == sorted(PIDS)
    box = shapely.transform(outline(2).buffer(-1), lambda xy: [degrees(*point) for point in xy]).bounds
    near = at(url, path, bbox=",".join(map(str, box))).json()
    assert (near["numberMatched"], [one["id"] for one in near["features"]]) == (1, [PIDS[2]])
    assert at(url, f"{path}/12").json()["properties"]["foi_c"] == 0
    assert at(url, f"{path}/nobody").status_code == 404


def test_the_latest_verdicts_are_features(judged, url):
    (one,) = at(url, "/ogc/collections/inspections_ms_2024/items").json()["features"]
    assert (one["id"], one["properties"]["verdict"]) == ("s1:0012", "conforming")
    assert at(url, "/ogc/collections/inspections_ms_2024/items/s1:0012").json()["geometry"] == one["geometry"]
    assert at(url, "/ogc/collections/inspections_ms_2024", OTHER).status_code == 404


# -- vector tiles -----------------------------------------------------------------------------------------------------


def tile_at(lon, lat, z):
    metres = 2 * math.pi * 6378137
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(lon, lat)
    return tuple(int((value / metres + 0.5) * 2**z) for value in (x, -y))


def from_tile(shape, z, column, row):
    """A geometry of a tile in UTM."""
    side = 2 * math.pi * 6378137 / 2**z

    def metres(x, y):
        return (column + x / 4096) * side - math.pi * 6378137, math.pi * 6378137 - (row + y / 4096) * side

    mercator = shapely.transform(shapely.geometry.shape(shape), metres, interleaved=False)
    moved = Transformer.from_crs(3857, 32631, always_xy=True)
    return shapely.transform(mercator, moved.transform, interleaved=False)


def test_parcels_come_as_vector_tiles_where_they_are(url):
    z, middle = 15, outline(0).centroid
    column, row = tile_at(*degrees(middle.x, middle.y), z)
    answer = at(url, f"/v1/tiles/parcels/ms/2024/{z}/{column}/{row}.mvt")
    assert answer.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    layer = mapbox_vector_tile.decode(answer.content, default_options={"y_coord_down": True})["parcels"]
    found = {one["properties"]["pid"]: one for one in layer["features"]}
    assert found["0012"]["properties"] == {"pid": "0012", "crop_name": "wheat", "crop_code": "1"}
    whole = from_tile(found["0012"]["geometry"], z, column, row)
    assert whole.symmetric_difference(outline(0)).area < 100 * 4  # a step is 0.2 m, a side 100 m


@pytest.mark.parametrize("z", [8, 22])
def test_parcels_too_small_to_be_seen_are_left_out_and_large_ones_are_cut(url, z):
    middle = outline(0).centroid
    column, row = tile_at(*degrees(middle.x, middle.y), z)
    answer = at(url, f"/v1/tiles/parcels/ms/2024/{z}/{column}/{row}.mvt")
    features = mapbox_vector_tile.decode(answer.content).get("parcels", {}).get("features", [])
    assert [one["properties"]["pid"] for one in features] == ([] if z == 8 else ["0012"])
    for one in features:  # nothing but the frame is seen of it
        assert shapely.geometry.shape(one["geometry"]).bounds == (-64, -64, 4160, 4160)


def test_tiles_that_cannot_be_are_refused(url):
    assert at(url, "/v1/tiles/parcels/ms/2024/99/0/0.mvt").status_code == 400
    assert at(url, "/v1/tiles/parcels/ms/1900/5/0/0.mvt").status_code == 404
    assert at(url, "/v1/tiles/parcels/ms/2024/5/0/0.mvt", OTHER).status_code == 404
    assert at(url, "/v1/tiles/parcels/ms/2024/5/0/0.mvt", None).status_code == 401
