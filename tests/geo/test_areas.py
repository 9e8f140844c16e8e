"""Areas of one coordinate system over geometries of another: what shapely decides in the system that was asked in."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pyproj import Transformer
from rasterio.warp import transform_bounds

from cbm_lake import parcels
from cbm_lake.errors import InvalidInputError
from cbm_lake.geo.areas import WORLD, Area, bounds_in, is_seen, loose_bounds, metres_per_unit
from cbm_lake.lake import Lake
from cbm_lake.parcel.sources import ByPolygon, LakeSource, polygons
from cbm_lake.parcel.sources.declared import Asked, InMemory
from cbm_lake.server.accounts import Account
from cbm_lake.server.collections import named
from cbm_lake.server.selection import Wanted

COUNTRIES = {
    3067: (20, 60, 31, 70),
    3035: (-8, 36, 30, 68),
    2180: (14.2, 49.1, 24.1, 54.8),
    5514: (12.2, 48.6, 22.5, 51),
    3857: (-9, 36, 30, 70),
    32633: (10, 40, 20, 68),
}
"""EPSG codes, and where parcels are scattered, in degrees."""


def scattered(random, west, south, east, north, number=400):
    """Polygons of some twenty metres to fifty kilometres."""
    lon, lat = random.uniform(west, east, number), random.uniform(south, north, number)
    radius = np.exp(random.uniform(np.log(2e-4), np.log(0.5), number))
    angle = (np.arange(5) + random.uniform(0, 1, (number, 5))) * 2 * np.pi / 5
    x, y = lon[:, None] + radius[:, None] * np.cos(angle), lat[:, None] + radius[:, None] * np.sin(angle) / 2
    return shapely.polygons(np.stack([x, y], axis=-1))


@pytest.fixture(scope="module", params=COUNTRIES)
def country(request, tmp_path_factory):
    """A lake of one country's parcels in its system, and the same parcels as a GeoDataFrame."""
    random = np.random.default_rng(request.param)
    shapes = scattered(random, *COUNTRIES[request.param])
    frame = gpd.GeoDataFrame({"pid": np.arange(len(shapes)).astype(str)}, geometry=shapes, crs=4326)
    folder = tmp_path_factory.mktemp("country")
    frame.to_crs(request.param).to_parquet(folder / "parcels.parquet")
    lake = Lake(str(folder / "lake"))
    parcels.load(folder / "parcels.parquet", "aa", 2024, lake=lake)
    return lake, frame.to_crs(request.param)


def boxes(random, west, south, east, north, number):
    """Boxes of all sizes, a third of them at most a hundredth of the whole."""
    for size in [1, 0.3, 0.01] * (number // 3):
        left, low = random.uniform(west - 1, east + 1), random.uniform(south - 1, north + 1)
        width, height = random.uniform(0, 1, 2) * size * (east - west, north - south)
        yield left, low, left + width, low + height


def test_boxes_in_degrees_meet_what_shapely_says_in_degrees(country):
    lake, frame = country
    held, asked = LakeSource(lake, hold=True), LakeSource(lake)
    degrees, pids = frame.to_crs(4326).geometry.to_numpy(), frame.pid.to_numpy()
    region = COUNTRIES[frame.crs.to_epsg()]
    collection = named(held, Account("root", (), admin=True), "parcels_aa_2024")
    for number, box in enumerate(boxes(np.random.default_rng(1), *region, 120)):
        right = set(pids[shapely.intersects(shapely.box(*box), degrees)])
        source = asked if number % 4 == 0 else held
        assert set(source.answer(ByPolygon("aa", 2024, shapely.box(*box)))["pid"]) == right
        chosen = collection.select(Wanted(box=box))
        assert {feature["id"] for feature in collection.features(chosen, 0, 10_000)} == right


def test_the_whole_world_holds_every_parcel(country):
    lake, frame = country
    for hold in (True, False):
        found = LakeSource(lake, hold=hold).answer(ByPolygon("aa", 2024, shapely.box(*WORLD)))
        assert len(found["pid"]) == len(frame)


@pytest.mark.parametrize("epsg", [3035, 3857, 32634])
def test_an_area_in_metres_meets_what_shapely_says_in_those_metres(country, epsg):
    lake, frame = country
    moved, pids = frame.to_crs(epsg), frame.pid.to_numpy()
    source = LakeSource(lake, hold=True)
    for box in boxes(np.random.default_rng(2), *moved.total_bounds, 30):
        right = set(pids[shapely.intersects(shapely.box(*box), moved.geometry.to_numpy())])
        asked = gpd.GeoSeries([shapely.box(*box)], crs=epsg)
        assert set(source.answer(ByPolygon("aa", 2024, asked))["pid"]) == right


def test_the_footprint_of_an_area_covers_every_parcel_and_not_much_more(country):
    lake, frame = country
    footprint, degrees = lake.footprint("aa"), frame.to_crs(4326)
    assert shapely.covers(footprint, degrees.geometry.to_numpy()).all()
    assert np.abs(np.subtract(footprint.bounds, degrees.total_bounds)).max() < 4


def test_candidates_in_memory_and_by_sql_are_the_same(country):
    lake, frame = country
    parcel_set = lake.parcel_set("aa", 2024)
    held, asked = InMemory(lake, parcel_set), Asked(lake, parcel_set)
    for box in boxes(np.random.default_rng(3), *COUNTRIES[frame.crs.to_epsg()], 12):
        assert [row["pid"] for row in held.near(box)] == [row["pid"] for row in asked.near(box)]


def test_sets_of_one_area_in_different_systems_are_each_read_in_their_own(lake):
    import factories

    for year, epsg in ((2023, 32631), (2024, 3035)):
        lake.add_parcels("ms", year, "", f"v{year}", factories.parcels(epsg=epsg))
        around = shapely.box(*shapely.transform(factories.outline(0).centroid.buffer(5), _degrees(epsg)).bounds)
        assert LakeSource(lake).answer(ByPolygon("ms", year, around))["pid"] == ["0012"]
        assert LakeSource(lake, hold=True).answer(ByPolygon("ms", year, around))["pid"] == ["0012"]


def _degrees(epsg):
    turn = Transformer.from_crs(epsg, 4326, always_xy=True)
    return lambda xy: np.column_stack(turn.transform(*xy.T))


# -- boxes round things -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "target"), [(4326, 3067), (3067, 4326), (3035, 3857), (5514, 4326), (2180, 3035)])
def test_the_box_round_a_box_follows_its_arcs(source, target):
    to_source = transform_bounds("EPSG:4326", f"EPSG:{source}", 15, 50, 25, 60, densify_pts=21)
    found = bounds_in(shapely.box(*to_source), source, target)
    right = transform_bounds(f"EPSG:{source}", f"EPSG:{target}", *to_source, densify_pts=2000)
    assert found == pytest.approx(right, abs=5 if target != 4326 else 5e-5)


def test_a_box_over_a_pole_or_the_antimeridian_is_the_whole_range_of_longitudes():
    assert bounds_in(shapely.box(-1e6, -1e6, 1e6, 1e6), 3995, 4326)[::2] == (-180, 180)
    assert bounds_in(shapely.box(-1e6, -1e6, 1e6, 1e6), 3995, 4326)[3] == 90
    assert bounds_in(shapely.box(3e5, 7e6, 1e6, 8e6), 32701, 4326)[2] < 180
    assert bounds_in(shapely.box(-5e5, 7e6, 1e6, 8e6), 32701, 4326)[::2] == (-180, 180)


def test_what_has_no_place_on_earth_is_looked_for_everywhere():
    assert bounds_in(shapely.box(1e30, 1e30, 2e30, 2e30), 3035, 4326) == WORLD
    assert loose_bounds(*(np.array([value]) for value in (np.inf, np.nan, 1.0, 1.0)), 1.0).tolist() == [list(WORLD)]


def test_missing_empty_and_infinite_geometries_meet_nothing():
    lost = shapely.Polygon([(np.inf, 0), (1, 1), (0, 1)])
    shapes = [None, shapely.Polygon(), lost, shapely.box(500_000, 5e6, 500_100, 5_000_100)]
    assert Area(shapely.box(*WORLD)).meets(shapes, 32631).tolist() == [False, False, False, True]
    assert Area(shapely.box(*WORLD)).meets([], 32631).tolist() == []


def test_a_unit_is_as_long_as_its_system_says():
    assert metres_per_unit(3035) == 1
    assert metres_per_unit(2263) == pytest.approx(0.3048, rel=1e-4)  # US survey feet
    assert metres_per_unit(4326) == pytest.approx(111_195, rel=1e-4)
    assert metres_per_unit(4807) == pytest.approx(100_075, rel=1e-4)  # grads


def test_a_scene_sees_what_lies_under_the_arc_of_its_edge():
    edge = shapely.box(500_000, 7_590_240, 609_800, 7_700_040)  # a tile at 69 degrees north, and its four corners
    corners = shapely.transform(edge, _degrees(32635))
    ground = shapely.transform(shapely.box(550_000, 7_700_000, 550_100, 7_700_030), _degrees(32635))
    assert not corners.intersects(ground)
    assert is_seen(ground, corners.wkb)
    assert not is_seen(shapely.box(10, 10, 11, 11), corners.wkb)
    assert not is_seen(ground, None)


# -- polygons as they are written ---------------------------------------------------------------------------------


def test_a_polygon_says_its_own_coordinate_system():
    square = shapely.box(500_000, 4_800_000, 500_100, 4_800_100)
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}
    document = {**shapely.geometry.mapping(square), "crs": named}
    for form in (document, shapely.set_srid(square, 32631), gpd.GeoSeries([square], crs=32631)):
        area = polygons.read(form)
        assert (area.crs, area.shape.equals(square)) == (32631, True)
    crs84 = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    assert polygons.read({**shapely.geometry.mapping(shapely.box(3, 43, 4, 44)), "crs": crs84}).crs == 4326


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (shapely.box(500_000, 4_800_000, 500_100, 4_800_100), "not in degrees.*EPSG:4326"),
        ("500000_4800000-500100_4800000-500100_4800100-500000_4800000", "not in degrees"),
        (shapely.box(43, 100, 44, 101), "not in degrees, longitude first"),
        ({"type": "Polygon", "coordinates": [], "crs": {"properties": {"name": "no such"}}}, "no coordinate system"),
    ],
)
def test_a_polygon_that_cannot_be_in_degrees_is_refused(form, said):
    with pytest.raises(InvalidInputError, match=said):
        polygons.read(form)


def test_the_extent_of_an_area_in_metres_is_near_it_whatever_the_number_of_its_system(tmp_path):
    """Germany's zone 32 with its number before the easting has a code among those of systems in degrees."""
    shapes = [shapely.box(x, 6_000_000, x + 100, 6_000_100) for x in (32_500_000, 32_501_000)]
    gpd.GeoDataFrame({"pid": ["1", "2"]}, geometry=shapes, crs=4647).to_file(tmp_path / "sh.gpkg")
    lake = Lake(str(tmp_path / "lake"))
    assert parcels.load(tmp_path / "sh.gpkg", "sh", 2024, lake=lake).epsg == 4647
    (extent,) = lake.query("parcels.areas", aoi="sh").to_pylist()
    west, south, east, north = gpd.GeoSeries(shapes, crs=4647).to_crs(4326).total_bounds
    assert west - 0.01 < extent["west"] < west
    assert south - 0.01 < extent["south"] < south
    assert east < extent["east"] < east + 0.01
    assert north < extent["north"] < north + 0.01
