"""Declared parcels enter the lake exactly as the agency wrote them, or not at all."""

import json
import re
import sqlite3
import struct
import zipfile
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box
from typer.testing import CliRunner

from cbm_lake import parcels
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.lake import schemas

X, Y = 600_000, 6_700_000
IDS = ["0012", "012", "12", " 1.50"]
FORMATS = ("shp", "gpkg", "geojson", "fgb", "parquet")
BOW_TIE = Polygon([(X, Y), (X + 40, Y + 40), (X + 40, Y), (X, Y + 20)])


def square(number, size=80):
    return box(X + 100 * number, Y, X + 100 * number + size, Y + size)


def write(file, geometries=None, crs=2154, **columns):
    """A file of squares, or of the given geometries, with these columns."""
    columns = columns or {"parcel_id": IDS}
    geometries = geometries or [square(number) for number in range(len(next(iter(columns.values()))))]
    frame = gpd.GeoDataFrame(columns, geometry=geometries, crs=crs)
    frame.to_parquet(file) if file.suffix == ".parquet" else frame.to_file(file)
    return file


def stored(lake, aoi="aa", year=2024, ptype=None):
    """The parcel set in force, read by geopandas, in the order of its file."""
    return gpd.read_parquet(lake.parcel_set(aoi, year, ptype).path)


def load(file, lake, **options):
    return parcels.load(file, "aa", 2024, lake=lake, **options)


def refused(file, lake, **options):
    """The one line with which a file is refused; nothing may have been written."""
    with pytest.raises(InvalidInputError) as caught:
        load(file, lake, **options)
    assert "\n" not in str(caught.value)
    assert not lake.parcel_sets()
    return str(caught.value)


# -- formats and identifiers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", FORMATS)
def test_identifiers_keep_zeros_and_blanks_in_every_format(lake, tmp_path, ending):
    loaded = load(write(tmp_path / f"set.{ending}"), lake)
    assert (loaded.parcels, loaded.repaired, loaded.epsg, loaded.new) == (4, 0, 2154, True)
    written = [pid.strip() for pid in IDS] if ending == "shp" else IDS  # GDAL trims what a shapefile pads with blanks
    assert sorted(stored(lake)["id"]) == sorted(written)


@pytest.mark.parametrize("ending", FORMATS)
def test_whole_numbers_become_digits_only(lake, tmp_path, ending):
    load(write(tmp_path / f"set.{ending}", pid=[12.0, 3e15, 100000.0], crop_code=[7.0, None, 1e6]), lake)
    held = stored(lake).set_index("id")["crop:code"].to_dict()
    assert held == {"12": "7", "3000000000000000": None, "100000": "1000000"}


def test_numbers_with_a_fraction_are_never_written_with_an_exponent(lake, tmp_path):
    load(write(tmp_path / "set.parquet", pid=[12.5, 0.00000001, 3.0]), lake)
    assert sorted(stored(lake)["id"]) == ["0.00000001", "12.5", "3"]


def test_long_integers_with_gaps_elsewhere_keep_every_digit(lake, tmp_path):
    table = pa.table({"pid": ["a", "b"], "code": pa.array([1234567890123456789, None])})
    load(_geoparquet(tmp_path / "set.parquet", table), lake, crop_code="code")
    assert stored(lake).set_index("id")["crop:code"].to_dict() == {"a": "1234567890123456789", "b": None}


def test_floats_that_have_lost_digits_are_refused(lake, tmp_path):
    assert "lost their last digits" in refused(write(tmp_path / "set.parquet", pid=[2.0**53, 1.0]), lake)


def test_decimals_and_categories_are_identifiers_too(lake, tmp_path):
    decimals = pa.array([Decimal("12.00"), Decimal("3.00")])
    crops = pa.array(["wheat", "barley"]).dictionary_encode()
    load(_geoparquet(tmp_path / "set.parquet", pa.table({"pid": decimals, "cropname": crops})), lake)
    assert stored(lake).set_index("id")["crop:name"].to_dict() == {"12": "wheat", "3": "barley"}


def test_texts_that_look_like_dates_stay_texts(lake, tmp_path):
    load(write(tmp_path / "set.geojson", crs=4326, geometries=[box(3, 43, 3.1, 43.1)], pid=["2018/01/02"]), lake)
    assert stored(lake)["id"].tolist() == ["2018/01/02"]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
        min_size=1,
        max_size=20,
        unique=True,
    )
)
def test_any_text_is_kept_as_an_identifier(lake, tmp_path, ids):
    load(write(tmp_path / "set.parquet", pid=ids), lake)
    assert sorted(stored(lake)["id"]) == sorted(ids)


def test_a_zipped_shapefile_is_read_in_whatever_folder_of_the_archive(lake, tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.shp", pid=[name, "2"])
    for names in ("a", "ab"):
        with zipfile.ZipFile(tmp_path / f"{names}.zip", "w") as archive:
            for file in sorted(tmp_path.glob(f"[{names}].???")):
                if file.suffix != ".zip":
                    archive.write(file, f"déclarations 2024/{file.name}")
    assert "a.shp" in refused(tmp_path / "ab.zip", lake)
    assert load(tmp_path / "a.zip", lake).parcels == 2
    assert load(tmp_path / "ab.zip", lake, layer="b").parcels == 2
    assert sorted(stored(lake)["id"]) == ["2", "b"]


def test_a_file_of_several_layers_needs_to_be_told_which(lake, tmp_path):
    file = tmp_path / "set.gpkg"
    for layer in ("fields", "blocks"):
        frame = gpd.GeoDataFrame({"pid": [layer]}, geometry=[square(0)], crs=2154)
        frame.to_file(file, layer=layer)
    assert "fields, blocks" in refused(file, lake)
    assert "'x'" in refused(file, lake, layer="x")
    load(file, lake, layer="blocks")
    assert stored(lake)["id"].tolist() == ["blocks"]


def test_the_key_of_a_geopackage_can_be_named_as_the_identifier(lake, tmp_path):
    load(write(tmp_path / "set.gpkg", farm=["x", "y"]), lake, pid="fid")
    assert sorted(stored(lake)["id"]) == ["1", "2"]


def test_crop_names_of_a_shapefile_are_read_in_its_own_encoding(lake, tmp_path):
    frame = gpd.GeoDataFrame({"pid": ["1"], "cropname": ["Maïs à grain"]}, geometry=[square(0)], crs=2154)
    frame.to_file(tmp_path / "set.shp", encoding="cp1252")
    assert "1252" in (tmp_path / "set.cpg").read_text()
    load(tmp_path / "set.shp", lake)
    assert stored(lake)["crop:name"].tolist() == ["Maïs à grain"]


@pytest.mark.parametrize("name", ["gone.gpkg", "text.gpkg", "text.shp", "text.zip", "text.parquet", "text.xyz"])
def test_an_unreadable_file_is_named_in_one_line(lake, tmp_path, name):
    if name != "gone.gpkg":
        (tmp_path / name).write_text("no such thing")
    with pytest.raises(SourceError, match=name) as caught:
        load(tmp_path / name, lake)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["gpkg", "parquet", "fgb"])
def test_a_truncated_file_writes_nothing(lake, tmp_path, ending):
    file = write(tmp_path / f"set.{ending}", pid=[str(number) for number in range(500)])
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(SourceError, match=f"set.{ending}"):
        load(file, lake)
    assert not lake.parcel_sets()


def test_parquet_without_geometries_is_refused(lake, tmp_path):
    pq.write_table(pa.table({"pid": ["1"]}), tmp_path / "set.parquet")
    with pytest.raises(SourceError, match="not GeoParquet"):
        load(tmp_path / "set.parquet", lake)


# -- which column is what --------------------------------------------------------------------------------------------


def test_fiboa_columns_are_known_and_the_agencys_other_columns_follow(lake, tmp_path):
    moment = datetime(2024, 5, 1, tzinfo=UTC)
    columns = {"id": ["7"], "pid": ["x"], "crop:name": ["rye"], "crop:code": ["9"], "area": [1.5], "YEAR": [2024]}
    load(write(tmp_path / "set.parquet", **columns, n=[1], N=[2], declared=[moment]), lake)
    table = pq.ParquetFile(lake.parcel_set("aa", 2024).path).read()
    others = ["source:pid", "source:area", "source:YEAR", "n", "source:N", "declared"]
    assert table.column_names == [*schemas.PARCELS.names, *others, "ptype", "version"]
    assert table.schema.field("declared").type == pa.timestamp("ns", tz="UTC")
    for field in schemas.PARCELS:
        assert table.schema.field(field.name).equals(field)
    (row,) = lake.sql("select pid, crop_name, crop_code, area_m2, aoi, year from parcels").to_pylist()
    assert row | {"area_m2": 0} == {
        "pid": "7",
        "crop_name": "rye",
        "crop_code": "9",
        "area_m2": 0,
        "aoi": "aa",
        "year": 2024,
    }


def test_named_columns_go_before_guessed_ones(lake, tmp_path):
    file = write(tmp_path / "set.gpkg", id=["1"], flik=["DE1"], crop_name=["a"], gewas=["b"], gewascode=[233])
    load(file, lake, pid="flik", crop_name="gewas", crop_code="gewascode")
    held = stored(lake).iloc[0]
    assert (held["id"], held["crop:name"], held["crop:code"]) == ("DE1", "b", "233")
    assert (held["source:id"], held["source:crop_name"]) == ("1", "a")


@pytest.mark.parametrize("option", ["pid", "crop_name", "crop_code"])
def test_an_absent_column_is_refused_with_those_that_are_there(lake, tmp_path, option):
    message = refused(write(tmp_path / "set.gpkg", parcel_id=["1"], flik=["2"]), lake, **{option: "FLIK"})
    assert "'FLIK'" in message
    assert f"{option}= one of: parcel_id, flik" in message


@pytest.mark.parametrize("columns", [{"flik": ["1"], "crop": ["2"]}, {"Parcel_ID": ["1"], "id": ["2"]}])
def test_an_identifier_that_cannot_be_guessed_is_asked_for(lake, tmp_path, columns):
    assert f"pid= one of: {', '.join(columns)}" in refused(write(tmp_path / "set.gpkg", **columns), lake)


def test_a_missing_identifier_is_refused_by_row(lake, tmp_path):
    file = write(tmp_path / "set.parquet", pid=["1", None, "", "  ", "5"])
    assert "3 rows have no identifier in column 'pid': rows 2, 3, 4;" in refused(file, lake)


def test_double_identifiers_are_refused_with_the_first_ten_and_how_many(lake, tmp_path):
    file = write(tmp_path / "set.gpkg", pid=[f"{number:03}" for number in [*range(12), *range(12), 77]])
    message = refused(file, lake)
    assert "12 identifiers" in message
    assert "'000', '001'" in message
    assert "'009' and 2 more" in message
    assert "dissolve" in message
    assert "077" not in message


# -- geometries ------------------------------------------------------------------------------------------------------


def test_a_bow_tie_keeps_both_lobes(lake, tmp_path):
    loaded = load(write(tmp_path / "set.gpkg", [BOW_TIE, square(3)], pid=["tie", "b"]), lake)
    assert loaded.repaired == 1
    held = stored(lake).set_index("id").geometry
    crossing = 40 / 3  # where the diagonal y = x meets the side y = 20 - x/2
    lobes = (20 * crossing / 2, 40 * (40 - crossing) / 2)
    assert held["tie"].area == pytest.approx(sum(lobes))
    assert held["tie"].is_valid
    assert held["b"].equals(square(3))


def test_ground_that_an_outline_covers_twice_is_no_hole(lake, tmp_path):
    star = Polygon([(X, Y + 30), (X + 100, Y + 30), (X + 20, Y + 90), (X + 50, Y), (X + 80, Y + 90)])
    parts = MultiPolygon([box(X, Y, X + 20, Y + 20), box(X + 10, Y, X + 30, Y + 20)])
    load(write(tmp_path / "set.gpkg", [star, parts], pid=["star", "parts"]), lake)
    held = stored(lake).set_index("id").geometry
    assert held["star"].contains(Point(X + 50, Y + 45))
    assert held["parts"].equals(box(X, Y, X + 30, Y + 20))


def test_only_the_polygons_of_a_collection_stay(lake, tmp_path):
    mixed = GeometryCollection([square(0), MultiPolygon([square(1), square(2)]), LineString([(X, Y), (X, Y + 500)])])
    assert load(write(tmp_path / "set.parquet", [mixed], pid=["1"]), lake).repaired == 1
    assert stored(lake).geometry[0].equals(MultiPolygon([square(0), square(1), square(2)]))


def test_single_and_multiple_polygons_stay_what_they_are(lake, tmp_path):
    several = MultiPolygon([square(1), square(3)])
    load(write(tmp_path / "set.parquet", [square(0), several], pid=["1", "2"]), lake)
    table = pq.read_table(lake.parcel_set("aa", 2024).path, columns=["id", "geometry"])
    assert {row["id"]: shapely.from_wkb(row["geometry"]).geom_type for row in table.to_pylist()} == {
        "1": "Polygon",
        "2": "MultiPolygon",
    }


@pytest.mark.parametrize("ending", ["shp", "gpkg", "geojson", "parquet"])
def test_heights_are_dropped(lake, tmp_path, ending):
    load(write(tmp_path / f"set.{ending}", [shapely.force_3d(square(0), 77.0)], pid=["1"]), lake)
    held = stored(lake).geometry[0]
    assert not held.has_z
    assert held.equals_exact(square(0), 0.01, normalize=True)


@pytest.mark.filterwarnings("ignore:geometry column type")
def test_arcs_become_lines(lake, tmp_path):
    file = write(tmp_path / "set.gpkg", [square(0)], pid=["1"])
    circle = [(X, Y), (X + 50, Y + 50), (X + 100, Y), (X + 50, Y - 50), (X, Y)]
    points = b"".join(struct.pack("<dd", *point) for point in circle)
    curve = struct.pack("<BIIBII", 1, 10, 1, 1, 8, len(circle)) + points  # CurvePolygon of one CircularString
    with closing(sqlite3.connect(file)) as database, database:
        for (name,) in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            database.execute(f'drop trigger "{name}"')
        database.execute('update "set" set geom = ?', [b"GP\0\1" + struct.pack("<i", 2154) + curve])
    load(file, lake)
    assert stored(lake).geometry[0].area == pytest.approx(np.pi * 50**2, rel=0.002)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (None, "have no geometry"),
        (Polygon(), "have no geometry"),
        (Point(X, Y), "are no polygons"),
        (LineString([(X, Y), (X + 1, Y)]), "are no polygons"),
        (Polygon([(X, Y), (X + 10, Y), (X + 20, Y)]), "enclose nothing"),
        (GeometryCollection([LineString([(X, Y), (X + 1, Y)])]), "enclose nothing"),
    ],
)
def test_what_has_no_area_is_refused_by_identifier(lake, tmp_path, wrong, problem):
    names = [f"w{number:02}" for number in range(12)]
    file = write(tmp_path / "set.parquet", [square(0), *[wrong] * 12], pid=["good", *names])
    message = refused(file, lake)
    assert f"12 parcels {problem}" in message or f"12 parcels have outlines that {problem}" in message
    assert "'w00', 'w01'" in message
    assert "'w09' and 2 more" in message
    assert "good" not in message


def test_a_file_without_rows_is_refused(lake, tmp_path):
    empty = gpd.GeoDataFrame({"pid": np.array([], str)}, geometry=[], crs=2154)
    empty.to_parquet(tmp_path / "set.parquet")
    assert "holds no parcels" in refused(tmp_path / "set.parquet", lake)


# -- coordinates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["shp", "parquet"])
def test_a_file_that_does_not_say_its_coordinates_needs_to_be_told(lake, tmp_path, ending, recwarn):
    file = write(tmp_path / f"set.{ending}", crs=None)
    assert "crs=" in refused(file, lake)
    assert "no coordinate system" in refused(file, lake, crs="EPSG:none")
    assert load(file, lake, crs="EPSG:2154").epsg == 2154


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_the_undefined_system_of_a_geopackage_is_none(lake, tmp_path):
    assert "does not say" in refused(write(tmp_path / "set.gpkg", crs=None), lake)
    axes = 'CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]'
    undefined = pyproj.CRS(f'ENGCRS["Undefined Cartesian SRS",EDATUM["unknown"],{axes}]')
    assert "does not say" in refused(write(tmp_path / "set.parquet", crs=undefined), lake)


def test_no_crop_is_another_crop_than_an_empty_one(lake, tmp_path):
    versions = [
        load(write(tmp_path / f"{number}.parquet", pid=["1", "2"], crop_name=["a", crop]), lake).version
        for number, crop in enumerate([None, ""])
    ]
    assert versions[0] != versions[1]


def test_degrees_become_metres_that_geopandas_agrees_with(lake, tmp_path):
    file = tmp_path / "set.geojson"
    gpd.read_file(write(tmp_path / "metres.gpkg")).to_crs(4326).to_file(file)
    source = gpd.read_file(file).set_index("parcel_id")
    loaded = load(file, lake)
    assert (source.crs, loaded.epsg) == (4326, 3035)
    held, expected = stored(lake).set_index("id"), source.to_crs(3035)
    assert held.crs == 3035
    assert held.geometry.geom_equals_exact(expected.geometry.loc[held.index], 1e-6).all()
    np.testing.assert_allclose(held["area"], expected.area.loc[held.index] / 10_000, rtol=1e-9)
    assert loaded.area_ha == pytest.approx(expected.area.sum() / 10_000)
    centres = expected.centroid.to_crs(4326).loc[held.index]
    np.testing.assert_allclose(held[["centroid_lon", "centroid_lat"]], centres.get_coordinates(), atol=1e-9)
    assert (held["epsg"] == 3035).all()


def test_every_year_of_an_area_has_the_coordinates_of_the_first(lake, tmp_path):
    parcels.load(write(tmp_path / "first.gpkg", crs=2154), "AA", 2023, lake=lake)
    frame = gpd.read_file(tmp_path / "first.gpkg").to_crs(32631)
    frame.to_file(tmp_path / "second.gpkg")
    assert parcels.load(tmp_path / "second.gpkg", "aa", 2024, lake=lake).epsg == 2154
    assert parcels.load(tmp_path / "second.gpkg", "bb", 2024, lake=lake).epsg == 32631
    before, after = (stored(lake, year=year).set_index("id").geometry for year in (2023, 2024))
    assert before.geom_equals_exact(after.loc[before.index], 1e-3).all()


@pytest.mark.parametrize(("crs", "epsg"), [("EPSG:2154+5720", 2154), ("IGNF:LAMB93", 2154), ("EPSG:2263", 3035)])
def test_only_metres_on_a_plane_are_kept(lake, tmp_path, crs, epsg):
    assert load(write(tmp_path / "set.parquet", crs=pyproj.CRS(crs)), lake).epsg == epsg


def test_coordinates_outside_the_world_are_refused_by_identifier(lake, tmp_path):
    good = box(3, 43, 3.1, 43.1)
    message = refused(write(tmp_path / "a.gpkg", [good, square(0)], 4326, pid=["good", "far"]), lake)
    assert "1 parcels lie outside the world: 'far'; wrong CRS?" in message
    message = refused(write(tmp_path / "b.gpkg", [square(0), box(1e15, 0, 2e15, 1e9)], 32631, pid=["a", "far"]), lake)
    assert "'far'" in message


def test_degrees_that_are_called_metres_are_refused(lake, tmp_path):
    file = write(tmp_path / "set.gpkg", [box(3, 43, 3.1, 43.1)], 2154, pid=["1"])
    assert "look like degrees" in refused(file, lake)
    assert load(file, lake, crs=4326).area_ha == pytest.approx(9_050, rel=0.01)


# -- the set as a whole ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["shp", "geojson", "parquet"])
def test_loading_the_same_parcels_again_changes_nothing(lake, tmp_path, ending):
    first = load(write(tmp_path / f"set.{ending}"), lake)
    backwards = gpd.GeoDataFrame({"parcel_id": IDS[::-1]}, geometry=[square(n) for n in (3, 2, 1, 0)], crs=2154)
    backwards.to_parquet(tmp_path / "a.parquet") if ending == "parquet" else backwards.to_file(tmp_path / f"a.{ending}")
    second = load(tmp_path / f"a.{ending}", lake)
    assert (first.version, first.new, second.new) == (second.version, True, False)
    assert re.fullmatch("[0-9a-f]{12}_[0-9a-f]{8}", first.version)


@pytest.mark.parametrize(
    "change",
    [
        {"pid": ["1", "3"]},
        {"crop_name": ["a", None]},
        {"crop_name": ["a", ""]},
        {"crop_code": ["bc", "d"]},
        {"geometries": [square(0), square(1, 81)]},
    ],
)
def test_a_changed_parcel_makes_a_new_version(lake, tmp_path, change):
    columns = {"pid": ["1", "2"], "crop_name": ["a", "b"], "crop_code": ["b", "cd"]}
    first = load(write(tmp_path / "a.parquet", **columns), lake)
    second = load(write(tmp_path / "b.parquet", **columns | change), lake)
    assert second.new
    assert second.version != first.version
    assert lake.parcel_set("aa", 2024).version == second.version


def test_neighbours_lie_together_in_the_file(lake, tmp_path):
    rng = np.random.default_rng(5)
    corners = rng.permutation(1600)
    squares = [
        box(X + 100 * (n % 40), Y + 100 * (n // 40), X + 100 * (n % 40) + 90, Y + 100 * (n // 40) + 90) for n in corners
    ]
    load(write(tmp_path / "set.parquet", squares, pid=[str(number) for number in corners]), lake)
    held = stored(lake).geometry.centroid
    steps = held.iloc[1:].distance(held.iloc[:-1], align=False)
    assert steps.median() == pytest.approx(100)
    assert steps.max() < 1000


def test_parcels_in_one_place_stay_apart_and_in_one_order(lake, tmp_path):
    load(write(tmp_path / "a.parquet", [square(0)] * 3, pid=["c", "a", "b"]), lake)
    assert stored(lake)["id"].tolist() == ["a", "b", "c"]


def test_the_file_is_geoparquet_with_boxes(lake, tmp_path):
    load(
        write(tmp_path / "set.gpkg", [square(0), square(5), MultiPolygon([square(8), square(9)])], pid=[1, 2, 3]), lake
    )
    path = lake.parcel_set("aa", 2024).path
    geo = json.loads(pq.read_schema(path).metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert set(geo["columns"]["geometry"]["geometry_types"]) <= {"Polygon", "MultiPolygon"}
    assert geo["columns"]["geometry"]["bbox"] == [X, Y, X + 980, Y + 80]
    assert gpd.read_parquet(path, bbox=(X + 450, Y, X + 600, Y + 10))["id"].tolist() == ["2"]
    table = pq.ParquetFile(path).read()
    boxes = [tuple(row[side] for side in ("xmin", "ymin", "xmax", "ymax")) for row in table["bbox"].to_pylist()]
    assert boxes == [tuple(row) for row in shapely.bounds(shapely.from_wkb(table["geometry"].to_numpy()))]


def test_kinds_of_parcels_stand_side_by_side(lake, tmp_path):
    file = write(tmp_path / "set.gpkg")
    assert parcels.load(file, "Aa", 2024, "m", lake=lake).ptype == "m"
    assert parcels.load(file, "aa", 2024, lake=lake).new
    assert [(found.aoi, found.ptype) for found in lake.parcel_sets()] == [("aa", ""), ("aa", "m")]
    assert len(stored(lake, ptype="m")) == len(IDS)


@pytest.mark.parametrize(
    ("aoi", "year", "ptype"),
    [
        ("", 2024, None),
        ("a/b", 2024, None),
        ("é", 2024, None),
        ("a\n", 2024, None),
        ("aa", 1979, None),
        ("aa", 2101, None),
        ("aa", 2024.5, None),
        ("aa", 2024, "m-1"),
        ("aa", 2024, "main"),
    ],
)
def test_names_that_make_no_folder_are_refused(lake, tmp_path, aoi, year, ptype):
    file = write(tmp_path / "set.gpkg")
    with pytest.raises(InvalidInputError, match=r"^(aoi|year|ptype) "):
        parcels.load(file, aoi, year, ptype, lake=lake)
    assert not lake.parcel_sets()


def test_without_a_lake_the_workspaces_own_is_meant(lake, tmp_path):
    assert parcels.load(write(tmp_path / "set.gpkg"), "aa", 2024).new
    assert len(stored(lake)) == len(IDS)


# -- real declarations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "epsg"),
    [
        ("s2_herault_2018/parcels.parquet", {}, 2154),
        ("s2_herault_2018/parcels.geojson", {}, 3035),
        ("parcels/fr_rpg_near_lyon.parquet", {"pid": "id_parcel"}, 2154),
        ("parcels/fr_rpg_near_lyon.geojson", {"pid": "id"}, 3035),
        ("parcels/at_gsaa_2025.parquet", {"pid": "GEO_ID", "crop_name": "SNAR_BEZEICHNUNG"}, 31287),
        ("parcels/fiboa_geoparquet/be_vlg_2024_fiboa_0_2.parquet", {}, 31370),
        ("parcels/fiboa_geoparquet/fiboa_spec_example.parquet", {}, 3035),
        ("parcels/fiboa_geoparquet/fiboa_spec_example.json", {}, 3035),
    ],
)
def test_real_files_are_loaded_whole(lake, realdata, name, options, epsg):
    file = realdata / name
    source = gpd.read_parquet(file) if file.suffix == ".parquet" else gpd.read_file(file)
    loaded = load(file, lake, **options)
    assert (loaded.parcels, loaded.epsg) == (len(source), epsg)
    assert loaded.area_ha == pytest.approx(source.to_crs(3035).area.sum() / 10_000, rel=1e-6)
    held = lake.sql("select count(*) as parcels, sum(area_m2) / 10000 as area from parcels").to_pylist()[0]
    assert held == {"parcels": loaded.parcels, "area": pytest.approx(loaded.area_ha)}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("s2_herault_2018/original_reference_data/france_data_2018.shp", "pid= one of: EC_hcat_n"),
        ("parcels/nl_brp_2023.parquet", "pid= one of: category, gewas"),
        ("parcels/fr_rpg_near_lyon.parquet", "any of id, id_parcel may be"),
        ("parcels/fiboa_geoparquet/dk_2024_fiboa_0_2.parquet", "stand in several rows: '25-0'"),
    ],
)
def test_real_files_without_a_clear_identifier_are_refused(lake, realdata, name, problem):
    assert problem in refused(realdata / name, lake)


def _geoparquet(file, table):
    """A GeoParquet file of squares with columns of types that pandas would change."""
    write(file, pid=[str(number) for number in range(table.num_rows)])
    squares = pq.read_table(file)
    for name in table.column_names:
        squares = squares.drop_columns([name]) if name in squares.column_names else squares
        squares = squares.append_column(name, table[name])
    pq.write_table(squares, file)
    return file


# -- what the command line says --------------------------------------------------------------------------------------


def said(file, workspace, monkeypatch, *options):
    """What `parcels load` prints, or the error with which it ends."""
    monkeypatch.setenv("CBM_LAKE_HOME", str(workspace.root))
    done = CliRunner().invoke(app, ["parcels", "load", str(file), "--aoi", "aa", "--year", "2024", *options])
    return f"error: {done.exception}" if done.exception else done.output


def test_options_stand_apart_from_their_values_in_messages(workspace, tmp_path, monkeypatch):
    file = write(tmp_path / "a.gpkg", parcel_id=["1"])
    assert "error: --encoding 'quatsch' is not known" in said(file, workspace, monkeypatch, "--encoding", "quatsch")
    assert "error: --crs 'quatsch' is no coordinate system" in said(file, workspace, monkeypatch, "--crs", "quatsch")
    swapped = write(tmp_path / "b.gpkg", [box(43, 3, 43.1, 3.1)], 4326, parcel_id=["1"])
    assert "give --crs EPSG:4326 if they are right" in said(swapped, workspace, monkeypatch)


def test_a_column_that_is_no_longer_there_is_said_in_options_and_in_one_line(workspace, tmp_path, monkeypatch):
    columns = {f"[/column {number}]": ["a"] for number in range(9)}
    said(write(tmp_path / "a.gpkg", parcel_id=["1"], **columns), workspace, monkeypatch)
    lines = said(write(tmp_path / "b.gpkg", parcel_id=["1"]), workspace, monkeypatch).splitlines()
    assert "[/column 0] is there no longer" in lines[0]
    assert "(version " in lines[0]
    assert any("--as-of still shows it" in line for line in lines)


def test_outlines_that_cannot_be_read_are_not_called_absent(lake, tmp_path):
    (tmp_path / "a.csv").write_text('pid,wkt\n1,"POLYGON((0 0,1 0,1 1"\n2,"POLYGON((3 43,3.1 43,3.1 43.1,3 43))"\n')
    message = refused(tmp_path / "a.csv", lake, crs=4326)
    assert "1 parcels have no geometry, or none that can be read: '1'; delete these rows" in message


def test_an_outline_that_a_spreadsheet_cut_is_said_to_be_cut(lake, tmp_path):
    texts = [square(0).wkt, Point(X, Y).buffer(100, quad_segs=500).wkt[:32_767]]
    pd.DataFrame({"pid": ["1", "2"], "outline": texts}).to_excel(tmp_path / "a.xlsx", index=False)
    message = refused(tmp_path / "a.xlsx", lake, crs=2154)
    assert "none that can be read: '2'" in message
    assert "a cell of a spreadsheet ends after 32,767 characters" in message


def test_coordinates_that_no_projection_refuses_are_refused_where_they_are_not_on_the_earth(lake, tmp_path):
    far = Polygon([(1e300, 0), (1, 0), (1, 1)])
    assert "lie outside the world: 'far'" in refused(write(tmp_path / "a.gpkg", [far], 3857, pid=["far"]), lake)


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp", "a.xlsx"])
def test_an_empty_file_is_refused_without_advice_for_programmers(lake, tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(SourceError, match=r"cannot be read .*check the file") as caught:
        load(tmp_path / name, lake)
    assert "driver" not in str(caught.value)
