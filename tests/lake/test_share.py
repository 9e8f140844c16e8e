"""Which share of a parcel a scene saw: by pencil, against GDAL on a larger grid, and in all that asks for it."""

from datetime import UTC, datetime, timedelta

import factories
import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from affine import Affine
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st
from rasterio.features import rasterize
from typer.testing import CliRunner

from cbm_lake import cards, extract, markers, parcels
from cbm_lake.lake import Lake, schemas
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store
from cbm_lake.zonal.spans import SpanIndex, build_index, count_whole

PIXEL = Affine(1, 0, 0, 0, 1, 0)
LEFT, TOP = 600_000, 5_300_000
SCREEN = {"screen": [3, 8, 9, 10, 11]}


# -- pixels of whole outlines, on 5 columns x 4 rows ------------------------------------------------------------------

DRAWN = {
    "inside": (shapely.box(1, 1, 4, 3), 6, 6),
    "as large as the raster": (shapely.box(0, 0, 5, 4), 20, 20),
    "cut by the left edge": (shapely.box(-3, 1, 1, 3), 2, 8),
    "cut by a corner": (shapely.box(4, 3, 7, 9), 1, 18),
    "round the raster": (shapely.box(-10, -10, 10, 10), 20, 400),
    "touching from outside": (shapely.box(5, 0, 8, 2), 0, 6),
    "outside": (shapely.box(20, 20, 22, 22), 0, 0),
    "one part of two outside": (shapely.MultiPolygon([shapely.box(0, 0, 2, 2), shapely.box(8, 8, 10, 11)]), 4, 10),
    "parts that overlap beyond": (shapely.MultiPolygon([shapely.box(4, 0, 8, 1), shapely.box(6, 0, 9, 1)]), 1, 5),
    "a hole beyond": (shapely.box(4, 0, 10, 3) - shapely.box(6, 1, 8, 2), 3, 16),
    "empty": (shapely.Polygon(), 0, 0),
    "missing": (None, 0, 0),
    "infinite": (shapely.Polygon([(0, 0), (np.inf, 0), (0, 4)]), 0, 0),
}


@pytest.mark.parametrize(("shape", "inside", "whole"), DRAWN.values(), ids=DRAWN)
def test_the_pixels_of_a_whole_outline_by_pencil(shape, inside, whole):
    index = build_index([shape], PIXEL, (4, 5))
    assert np.diff(index.pixel_offsets).tolist() == [inside]
    assert count_whole([shape], index).tolist() == [whole]


def test_outlines_are_counted_each_by_itself_whatever_stands_beside_them():
    shapes = [shape for shape, _, _ in DRAWN.values()]
    index = build_index(shapes, PIXEL, (4, 5))
    assert count_whole(shapes, index).tolist() == [whole for _, _, whole in DRAWN.values()]
    assert count_whole(shapely.to_wkb(np.array(shapes)), index).tolist() == [whole for _, _, whole in DRAWN.values()]


def test_an_outline_larger_than_any_parcel_is_counted_by_its_area():
    giant = shapely.box(-1e9, 0, 1e9, 4)
    index = build_index([giant, shapely.box(-1, 0, 1, 1)], PIXEL, (4, 5))
    assert count_whole([giant, shapely.box(-1, 0, 1, 1)], index).tolist() == [8_000_000_000, 2]


corner = st.tuples(st.integers(-30, 50), st.integers(-30, 50)).map(lambda xy: (xy[0] / 2, xy[1] / 2))
transforms = st.sampled_from([PIXEL, Affine(10, 0, LEFT, 0, -10, TOP), Affine(0.5, 0, -3, 0, 0.25, 7)])


@given(st.lists(st.lists(corner, min_size=3, max_size=6, unique=True), min_size=1, max_size=4), transforms)
def test_any_outline_has_as_many_pixels_as_gdal_burns_on_a_larger_grid(rings, transform):
    shapes = [shapely.transform(shapely.Polygon(ring), lambda xy: np.column_stack(transform * xy.T)) for ring in rings]
    size, margin = (9, 11), 40
    index = build_index(shapes, transform, size)
    larger = transform * Affine.translation(-margin, -margin)
    for shape, whole in zip(shapes, count_whole(shapes, index), strict=True):
        burnt = rasterize([shape], [side + 2 * margin for side in size], transform=larger, dtype="uint8")
        touches = shapely.box(*(transform * (0, 0)), *(transform * (11, 9))).intersects(shapely.box(*shape.bounds))
        assert whole == (burnt.sum() if touches else 0)


def test_an_index_keeps_the_pixels_of_whole_outlines_and_one_without_them_is_read():
    shapes = [shapely.box(-3, 1, 1, 3), shapely.box(1, 1, 4, 3)]
    index = build_index(shapes, PIXEL, (4, 5))
    assert SpanIndex.from_table(index.to_table()).whole is None
    counted = SpanIndex(*index.__reduce__()[1][:-1], count_whole(shapes, index))
    assert SpanIndex.from_table(counted.to_table().take([1])).whole.tolist() == [6]


# -- extraction -------------------------------------------------------------------------------------------------------


def raster(path, array, left=LEFT, metres=10):
    profile = {"driver": "GTiff", "count": 1, "tiled": True, "blockxsize": 64, "blockysize": 64, "crs": "EPSG:32631"}
    height, width = array.shape
    place = Affine(metres, 0, left, 0, -metres, TOP)
    with rasterio.open(path, "w", height=height, width=width, dtype=array.dtype, transform=place, **profile) as file:
        file.write(array, 1)
    return str(path)


def tile(lake, folder, name, left=LEFT, *, bands=("B04", "B08"), side=50, hole=None, scl=4, minutes=0, card="s2"):
    """A catalogued scene of side x side pixels of 10 m; `hole` makes a slice of columns nodata, scl None has none."""
    assets = {}
    for band in bands:
        metres = 20 if band in ("B05", "B11") else 10
        values = np.full((side * 10 // metres,) * 2, 1000, "uint16")
        values[:, hole or slice(0)] = 0
        assets[band] = raster(folder / f"{name}_{band}.tif", values, left, metres)
    if scl is not None:
        assets["SCL"] = raster(folder / f"{name}_SCL.tif", np.full((side // 2,) * 2, scl, "uint8"), left, 20)
    moment = datetime(2024, 5, 1, 10, 40, tzinfo=UTC) + timedelta(minutes=minutes)
    box = gpd.GeoSeries([shapely.box(left, TOP - side * 10, left + side * 10, TOP)], crs=32631).to_crs(4326)[0]
    bounds = dict(zip(("xmin", "ymin", "xmax", "ymax"), box.bounds, strict=True))
    hrefs = {band: {"href": href, "type": "image/tiff"} for band, href in assets.items()}
    found = {"assets": hrefs, "boa_offset": 0, "geometry": box.wkb, "bbox": bounds, "grid:code": f"MGRS-{name}"}
    lake.add_scenes(factories.scenes(factories.scene(name, moment, card=card, **found)))


def load(lake, folder, **shapes):
    """Parcels in metres from the upper left corner of the tile: east, south, east, south."""
    outlines = [shape if isinstance(shape, shapely.Geometry) else square(*shape) for shape in shapes.values()]
    gpd.GeoDataFrame({"pid": list(shapes)}, geometry=outlines, crs=32631).to_parquet(folder / "parcels.parquet")
    parcels.load(folder / "parcels.parquet", "ms", 2024, lake=lake)


def square(west, north, east, south):
    return shapely.box(LEFT + west, TOP - south, LEFT + east, TOP - north)


def run(lake, bands=("B04", "B08"), card="s2", **options):
    done = {"aoi": "ms", "year": 2024, "bands": bands, "cube": False, "workers": 0, "lake": lake} | options
    extract.extract(card, "2024-01-01", "2024-12-31", **done)


def shares(lake, view="s2"):
    rows = lake.sql(f"select scene, pid, share, observable from {view} order by scene, pid").to_pylist()  # noqa: S608
    return {(row["scene"], row["pid"]): (pytest.approx(row["share"]), row["observable"]) for row in rows}


def test_a_parcel_cut_by_the_edge_of_a_tile_is_not_observable_and_its_share_says_why(lake, tmp_path):
    load(
        lake,
        tmp_path,
        whole=(100, 100, 200, 200),
        cut=(-1910, 0, 90, 100),
        nearly=(-10, 200, 90, 300),
        less=(-20, 300, 90, 400),
        gone=(-500, 0, -300, 100),
        parts=shapely.MultiPolygon([square(300, 300, 400, 400), square(600, 300, 700, 400)]),
    )
    tile(lake, tmp_path, "S1")
    run(lake)
    assert shares(lake) == {
        ("S1", "whole"): (1, True),
        ("S1", "cut"): (90 / 2000, False),
        ("S1", "nearly"): (0.9, True),
        ("S1", "less"): (9 / 11, False),
        ("S1", "parts"): (0.5, False),
    }
    assert lake.sql("select B04_count from s2 where pid = 'cut'")["B04_count"].to_pylist() == [90]


def test_what_has_no_data_inside_a_tile_was_not_seen(lake, tmp_path):
    load(lake, tmp_path, swath=(100, 100, 300, 200), clear=(350, 100, 450, 200))
    tile(lake, tmp_path, "S1", hole=slice(0, 18))
    run(lake)
    assert shares(lake) == {("S1", "swath"): (0.6, False), ("S1", "clear"): (1, True)}


def test_two_tiles_cut_a_parcel_and_each_says_its_share(lake, tmp_path):
    load(lake, tmp_path, cut=(400, 100, 600, 200))
    tile(lake, tmp_path, "left")
    tile(lake, tmp_path, "right", LEFT + 450, minutes=1)
    tile(lake, tmp_path, "both", LEFT + 200, minutes=2)
    run(lake)
    assert shares(lake) == {("left", "cut"): (0.5, False), ("right", "cut"): (0.75, False), ("both", "cut"): (1, True)}


def test_the_finest_grid_decides_and_a_coarser_one_only_where_the_parcel_has_no_pixel_there(lake, tmp_path):
    between = shapely.Point(LEFT + 110, TOP - 110).buffer(2)  # a centre of 20 m, a corner of 10 m
    load(lake, tmp_path, fine=(-10, 0, 20, 20), between=between)
    tile(lake, tmp_path, "S1", bands=("B04", "B05"))
    run(lake, ("B04", "B05"))
    assert shares(lake) == {("S1", "fine"): (2 / 3, False), ("S1", "between"): (1, False)}


def test_the_share_of_covered_pixels_is_of_the_area(lake, tmp_path):
    pytest.importorskip("exactextract")
    load(lake, tmp_path, cut=(-105, 100, 102, 200), whole=(205, 205, 307, 307))
    tile(lake, tmp_path, "S1")
    run(lake, rule="coverage")
    found = shares(lake)
    assert found == {("S1", "cut"): (102 / 207, False), ("S1", "whole"): (1, True)}


@pytest.mark.parametrize("card", ["bs", "c6"])
def test_radar_says_its_share_too(lake, tmp_path, card):
    load(lake, tmp_path, cut=(-100, 100, 100, 200))
    hrefs = {
        band: {"href": raster(tmp_path / f"{band}.tif", np.full((50, 50), 0.1, "float32")), "type": "image/tiff"}
        for band in ("VV", "VH")
    }
    box = gpd.GeoSeries([square(0, 0, 500, 500)], crs=32631).to_crs(4326)[0]
    lake.add_scenes(factories.scenes(factories.scene("R", card=card, assets=hrefs, boa_offset=0, geometry=box.wkb)))
    run(lake, ("VV", "VH"), card)
    assert shares(lake, card) == {("R", "cut"): (0.5, False)}


def test_changed_parcels_alone_have_their_own_shares(lake, tmp_path):
    load(lake, tmp_path, a=(100, 100, 200, 200), b=(-50, 100, 50, 200), c=(300, 100, 400, 200))
    tile(lake, tmp_path, "S1")
    run(lake)
    load(lake, tmp_path, a=(100, 100, 200, 200), b=(-10, 100, 30, 200), c=(300, 100, 400, 200))
    run(lake)
    assert shares(lake)["S1", "b"] == (0.75, False)
    assert len(shares(lake)) == 3


def test_a_stored_index_without_whole_outlines_is_built_again(lake, tmp_path):
    load(lake, tmp_path, cut=(-100, 100, 100, 200))
    tile(lake, tmp_path, "S1")
    run(lake)
    (file,) = [path for path in (tmp_path / "data/lake/indexes").rglob("*.parquet") if "_10m_" in path.name]
    pq.write_table(pq.read_table(file).drop_columns("whole"), file)
    run(lake, again=True)
    assert shares(lake) == {("S1", "cut"): (0.5, False)}
    assert "whole" in pq.read_schema(file).names


# -- lakes of version 0.1 ---------------------------------------------------------------------------------------------

OLD = datetime(2024, 4, 1, 10, 40, tzinfo=UTC)


def old_table(lake, card="s2"):
    """The table of signatures as version 0.1 made it, without share, with a row of parcel 12."""
    schema = schemas.signatures(card)
    schema = schema.remove(schema.get_field_index("share"))
    table = Table(Store(lake.url), f"signatures/{card}", schema, ("pid", "scene"), ("aoi", "year"))
    DeltaTable.create(table.url, schema, partition_by=["aoi", "year"])
    row = factories.signature("12", "old", OLD) | {"extraction": factories.number("old")}
    write_deltalake(table.url, pa.Table.from_pylist([row], schema=schema), mode="append")
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    lake.record(factories.entry("old"))


def new_row(lake, name="new", moment=factories.DAY, **others):
    rows = factories.signatures(factories.signature("12", name, moment, **others))
    factories.write(lake, rows, scene=name)


KEY = {"aoi": "ms", "year": 2024, "ptype": ""}


def test_a_lake_of_version_0_1_works_before_and_after_new_rows_come(lake):
    old_table(lake)
    assert shares(lake) == {("old", "12"): (None, True)}
    assert lake.query("time_series.ndvi", **KEY, pid="12", **SCREEN)["seen"].to_pylist() == [True]
    new_row(lake, share=0.5)
    expected = {("old", "12"): (None, True), ("new", "12"): (0.5, False)}
    for _ in range(2):
        assert shares(lake) == expected
        assert shares(Lake(lake.url)) == expected
        long = lake.query("time_series.s2", **KEY, pid="12", bands=None)
        assert long["obsid"].to_pylist() == ["old", "old", "new", "new"]
        seen = lake.query("time_series.shares", **KEY, pid="12")
        assert (seen["share"].to_pylist(), seen["seen"].to_pylist()) == ([None, 0.5], [True, False])
        assert markers.looks("ms", 2024, lake=lake)["cut"] == 1
        lake.compact()


def test_a_table_whose_columns_were_taken_away_is_read_and_written_to(lake):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    new_row(lake, "first", OLD, share=1.0)
    url = f"{lake.url}/signatures/s2"
    rows = DeltaTable(url).to_pyarrow_table().drop_columns("share")
    write_deltalake(url, rows, mode="overwrite", schema_mode="overwrite", partition_by=["aoi", "year"])
    assert shares(Lake(lake.url)) == {("first", "12"): (None, True)}
    new_row(lake, share=0.5)
    assert shares(Lake(lake.url)) == {("first", "12"): (None, True), ("new", "12"): (0.5, False)}


def test_rows_of_version_0_1_alone_are_compacted(lake):
    old_table(lake)
    new_row(lake, "failed", factories.DAY)
    lake.compact()
    assert len(lake.query("time_series.ndvi", **KEY, pid="12", **SCREEN)) == 2


def test_bands_of_two_cards_are_looked_up_in_their_own_files(lake):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    for pid in ("0012", "a/b"):
        for card, value in (("bs", 0.1), ("c6", 0.6)):
            known = {field.name for field in schemas.signatures(card)}
            row = {name: held for name, held in factories.signature(pid, f"{card}{pid}").items() if name in known}
            row |= factories.band("VV", value) | factories.band("VH", value)
            factories.write(lake, factories.signatures(row, card=card), scene=f"{card}{pid}", card=card)
    found = lake.query("time_series.radar", **KEY, pid="0012").to_pylist()
    assert [(row["band"], row["unit"], round(row["value"], 3)) for row in found] == [
        ("VV", "dB", -10),
        ("VH", "dB", -10),
        ("VV", "coherence", 0.6),
        ("VH", "coherence", 0.6),
    ]


# -- what asks for it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixels", "share", "observable"),
    [
        (8, 1, True),
        (7, 1, False),
        (8, None, True),
        (8, 0.9, True),
        (8, 0.89, False),
        (None, 1, False),
        (None, None, False),
    ],
)
def test_observable_means_eight_pixels_and_nine_tenths_of_the_parcel(lake, pixels, share, observable):
    (row,) = lake.sql(
        "select is_observable($pixels::integer, $share::float) as it", pixels=pixels, share=share
    ).to_pylist()
    assert row["it"] is observable


@pytest.mark.parametrize(
    ("counts", "most", "sky"),
    [
        ({4: 25}, 0, "clear"),
        ({4: 24, 9: 1}, 0, "cloudy"),
        ({4: 24, 9: 1}, 0.04, "clear"),
        ({}, 0, "unknown"),
        ({0: 25}, 0, "unknown"),
        ({}, 1, "unknown"),
        ({9: 3}, 0.99, "cloudy"),
    ],
)
def test_the_sky_is_clear_cloudy_or_unknown(lake, counts, most, sky):
    scl = [counts.get(value, 0) for value in cards.CLASSES]
    (row,) = lake.sql("select sky_of($scl, [3, 8, 9, 10, 11], $most) as it", scl=scl, most=most).to_pylist()
    assert row["it"] == sky


def looked(lake):
    """Five looks at parcel 12, one of each fate, and at 0012 one whose sky is unknown."""
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    rows = {
        "clear": {"share": 1.0},
        "cut": {"share": 0.5},
        "cloudy": {"share": 1.0, "scl": {4: 20, 9: 5}},
        "unknown": {"share": 1.0, "scl": {0: 0}},
        "small": {"share": 1.0, **factories.band("B04", 400, 7)},
        "bright": {"share": 1.0, "red": 3600},
    }
    days = {name: factories.DAY + timedelta(days=5 * number) for number, name in enumerate(rows)}
    found = [factories.signature("12", name, days[name], **row) for name, row in rows.items()]
    found.append(factories.signature("0012", "clear", days["clear"], share=None, scl={0: 0}))
    found[4] |= factories.band("B08", 1200, 7)
    factories.write(lake, factories.signatures(*found))
    return days


def test_what_became_of_every_look_is_counted_once(lake, caplog):
    days = looked(lake)
    fates = {"looks": 7, "small": 1, "cut": 1, "unknown": 2, "cloudy": 1}
    assert markers.looks("ms", 2024, lake=lake) == fates | {"bright": 1, "clear": 1}
    assert lake.query("status.looks", **KEY, **SCREEN, cloud=0).to_pylist() == [fates | {"clear": 2}]
    found = markers.find("ms", 2024, lake=lake)
    assert (
        "1 of 7 looks at parcels were clear; left out: 1 too few pixels, 1 only part of the parcel seen, 2 sky"
        in caplog.text
    )
    assert b'"unknown": 2' in found.schema.metadata[b"looks"]
    (row,) = [row for row in found.to_pylist() if (row["pid"], row["marker"]) == ("12", "observed")]
    assert (row["value_1"], row["date_start"]) == (1, days["clear"].date())
    assert markers.looks("ms", 2024, pids=["0012"], lake=lake)["unknown"] == 1


def test_the_command_line_tells_what_became_of_the_looks(lake):
    from cbm_lake.cli import app

    looked(lake)
    told = CliRunner().invoke(app, ["markers", "find", "--aoi", "ms", "--year", "2024"]).output
    assert "2 sky unknown (no pixel classified), 1 cloudy, 1 too bright" in told


def test_the_least_share_is_a_parameter_of_the_markers(lake):
    looked(lake)
    given = {"clear": {"share": 0.4}}
    assert markers.looks("ms", 2024, parameters=given, lake=lake)["cut"] == 0
    (row,) = [
        row
        for row in markers.find("ms", 2024, parameters=given, lake=lake).to_pylist()
        if (row["pid"], row["marker"]) == ("12", "observed")
    ]
    assert row["value_1"] == 2


def test_scenes_of_one_day_weigh_by_the_share_that_they_saw(lake):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    pairs = [("a", 400, 1200, 1.0), ("b", 200, 1800, 0.9), ("c", 1000, 1000, 0.5)]  # NDVI 0.5, 0.8 and 0, the last cut
    rows = [factories.signature("12", name, red=red, nir=nir, share=share) for name, red, nir, share in pairs]
    factories.write(lake, factories.signatures(*rows))
    how = {"first": 0, "last": 99_999, "pixels": 8, "share": None, "cloud": 0, "brightest": 3500, "pids": None}
    (row,) = lake.query("markers.optical", **KEY, **SCREEN, **how).to_pylist()
    assert row["ndvi"] == pytest.approx((0.5 * 1 + 0.8 * 0.9) / 1.9)


def test_bands_and_indices_weigh_scenes_of_a_day_as_ndvi_does(lake):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    clouded = factories.signature("12", "b", red=1500, nir=2500, share=1.0, scl={4: 13, 9: 12})
    clear = factories.signature("12", "b", red=1500, nir=2500, share=0.64, scl={4: 16}, mask="SCL 3,8,9,10,11")
    bright = factories.signature("12", "c", red=4000, nir=4000, share=1.0)
    for name, *looks in (("a", factories.signature("12", "a", red=400, nir=3600, share=1.0)), ("b", clouded, clear)):
        factories.write(lake, factories.signatures(*looks), scene=name)
    factories.write(lake, factories.signatures(bright), scene="c")
    how = {"first": 0, "last": 99_999, "pixels": 8, "share": None, "cloud": 0, "brightest": 3500, "pids": None}
    (ndvi,) = lake.query("markers.optical", **KEY, **SCREEN, **how)["ndvi"].to_pylist()
    (index,) = lake.query("markers.index", **KEY, **SCREEN, **how, name="ndvi")["value"].to_pylist()
    (band,) = lake.query("markers.band_s2", **KEY, **SCREEN, **how, name="B04")["value"].to_pylist()
    assert ndvi == pytest.approx((0.8 + 0.25 * 0.64) / 1.64)
    assert index == pytest.approx(ndvi)
    assert band == pytest.approx((400 + 1500 * 0.64) / 1.64)


def test_a_look_of_unknown_sky_counts_on_a_map_only_where_there_is_no_clear_one(lake):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    clouded = {"red": 3000, "nir": 3000, "scl": {0: 0}}
    rows = [
        factories.signature("12", "a", share=1.0),
        factories.signature("12", "b", share=1.0, **clouded),
        factories.signature("0012", "b", share=1.0, **clouded),
    ]
    factories.write(lake, factories.signatures(*rows))
    found = lake.query("parcels.ndvi_on", **KEY, **SCREEN, day=factories.DAY.date(), cloud=0).to_pylist()
    assert found == [
        {"pid": "0012", "value": 0.0, "unknown": True},
        {"pid": "12", "value": 0.5, "unknown": False},
    ]


def test_questions_count_what_they_cannot_screen(lake):
    looked(lake)
    (scene,) = lake.query("scenes.clear", aoi="ms", year=2024, **SCREEN).to_pylist()[-1:]
    assert {"cloudy", "unknown"} <= set(scene)
    months = lake.query("time_series.crop_months", aoi="ms", year=2024, **SCREEN).to_pylist()
    assert [(row["month"], row["parcels"], row["unknown"]) for row in months] == [(5, 1, 2)]
    (week, *_) = lake.query("national.ndvi_by_crop_and_week", **KEY).to_pylist()
    assert (week["parcels"], week["unknown"]) == (1, 1)
    days = lake.query("time_series.crop_ndvi", aoi="ms", year=2024, **SCREEN, cloud=0).to_pylist()
    assert [(row["parcels"], row["unknown"]) for row in days] == [(1, 1), (0, 1), (1, 0)]
    latest = {row["pid"]: row for row in lake.query("parcels.latest_ndvi", aoi="ms", year=2024, **SCREEN).to_pylist()}
    assert {pid: row["unknown"] for pid, row in latest.items()} == {"0012": 1, "12": 1, "a/b": 0}
    assert latest["0012"]["ndvi"] is None


def test_a_parcel_of_unknown_sky_is_not_counted_as_clear_over_the_country(lake):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    factories.write(lake, factories.signatures(factories.signature("12", scl={0: 0})))
    (week,) = lake.query("national.ndvi_by_crop_and_week", **KEY).to_pylist()
    assert (week["parcels"], week["ndvi"], week["unknown"]) == (0, None, 1)


def test_a_figure_says_why_points_are_hollow_and_how_many(lake):
    from cbm_lake import show

    looked(lake)
    figure = show.time_series.ndvi("ms", 2024, "12")
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "1 clouded, 1 not known, 1 seen in part, 1 too few pixels" in told


def test_a_report_says_what_was_not_used(lake):
    from cbm_lake.report import words

    days = looked(lake)
    rows = lake.query("report.optical", **KEY, pid="12", **SCREEN).to_pylist()
    rows = [{**row, "obstime": row["obstime"].isoformat()} for row in rows]
    told = " ".join(words._summary({"optical": rows, "radar": []}))
    assert "1 show clouds on it. On 1 it is unknown whether there are clouds" in told
    assert "1 saw only part of it." in told
    used = {row["day"]: row["used"] for row in map(words._season_row, rows)}
    assert used[f"{days['cut']:%Y-%m-%d}"] == "no: 50% seen"
