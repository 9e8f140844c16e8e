"""Every type of DuckDB keeps its values in every format, or is refused by name; read by readers that are not ours."""

import csv
import json
import logging
from datetime import UTC, date, datetime, time
from decimal import Decimal

import duckdb
import fastparquet
import geopandas as gpd
import numpy as np
import openpyxl
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from factories import copied, outline
from hypothesis import given, settings
from hypothesis import strategies as st

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import export

GEOGRAPHIC = ["gpkg", "fgb", "geojson"]
ALL = ["parquet", "csv", "arrow", "xlsx", *GEOGRAPHIC]


@pytest.fixture
def filled(lake, two_scenes):
    return copied(two_scenes, lake)


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def strict(path):
    """The document of a JSON file, by a reader that knows neither NaN nor Infinity."""

    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    return json.loads(path.read_text("utf-8"), parse_constant=refuse)


def read(path, name="x"):
    """The values of a column, by a reader that is not ours."""
    match path.suffix:
        case ".parquet":
            return duckdb.read_parquet(str(path)).project(f'"{name}"').to_arrow_table()[name].to_pylist()
        case ".arrow":
            return polars.read_ipc(path)[name].to_list()
        case ".csv":
            return [row[name] or None for row in csv.DictReader(path.read_text("utf-8").splitlines())]
        case ".xlsx":
            rows = list(openpyxl.load_workbook(path).active.values)
            return [row[rows[0].index(name)] for row in rows[1:]]
        case ".geojson":
            return [feature["properties"][name] for feature in strict(path)["features"]]
    table = pyogrio.read_arrow(path)[1]
    return table.sort_by("n")[name].to_pylist() if "n" in table.column_names else table[name].to_pylist()


def write(out, ending, expression, *, second="null"):
    """A file of two rows: that of the expression, and one of null."""
    path = out / f"a.{ending}"
    shape = f"unhex('{outline(0).wkb_hex}') as geometry, 32631 as epsg, " if ending in GEOGRAPHIC else ""
    connection = duckdb.connect()
    rows = f"select {shape}n, case n when 1 then {expression} else {second} end as x from (values (1), (2)) as t(n)"  # noqa: S608
    export.write(connection.sql(rows), path)
    return path


BIG = 9007199254740993
WHOLE = [
    ("1::tinyint", 1),
    ("255::utinyint", 255),
    ("(-32768)::smallint", -32768),
    ("65535::usmallint", 65535),
    ("4294967295::uinteger", 4294967295),
    (f"{BIG}::bigint", BIG),
    ("9223372036854775807::ubigint", 2**63 - 1),
    (f"{BIG}::hugeint", BIG),
    (f"(select sum({BIG}::bigint))", BIG),
    ("12::uhugeint", 12),
]


@pytest.mark.parametrize("ending", ALL)
@pytest.mark.parametrize(("expression", "value"), WHOLE)
def test_whole_numbers_beside_nulls_stay_whole_numbers(out, ending, expression, value):
    found = read(write(out, ending, expression))
    assert found[1] is None
    assert int(found[0]) == value
    if ending in ("gpkg", "fgb", "geojson"):
        assert isinstance(found[0], int)
    if ending == "xlsx":  # 15 digits are all that Excel has
        assert isinstance(found[0], int if value < 1e15 else str)


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow", "xlsx", "geojson"])
@pytest.mark.parametrize("value", [2**64 - 1, 10**38 - 1, 2**100])
def test_numbers_beyond_64_bits_keep_every_digit(out, ending, value):
    kind = "ubigint" if value < 2**64 else "hugeint"
    found = read(write(out, ending, f"{value}::{kind}"))
    assert int(found[0]) == value


@pytest.mark.parametrize("ending", ["gpkg", "fgb"])
@pytest.mark.parametrize("kind", ["ubigint", "hugeint", "decimal(38, 0)"])
def test_numbers_beyond_64_bits_are_refused_by_name_where_there_are_none(out, ending, kind):
    with pytest.raises(InvalidInputError, match=r"column x cannot be written to .* beyond 64 bits.*cast it to varchar"):
        write(out, ending, f"{2**63}::{kind}")
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("ending", ALL)
@pytest.mark.parametrize("expression", [f"{2**127 - 1}::hugeint", f"{2**128 - 1}::uhugeint"])
def test_numbers_of_39_digits_are_refused_by_name(out, ending, expression):
    with pytest.raises(InvalidInputError, match=r"column x"):
        write(out, ending, expression)


@pytest.mark.parametrize("ending", ALL)
def test_decimals_are_numbers_of_the_same_value(out, ending):
    found = read(write(out, ending, "1.55::decimal(9, 2)"))
    assert (Decimal(str(found[0])), found[1]) == (Decimal("1.55"), None)
    if ending == "geojson":
        assert '"x": 1.55,' in (out / "a.geojson").read_text() or '"x": 1.55}' in (out / "a.geojson").read_text()
    if ending in ("gpkg", "fgb", "xlsx"):
        assert isinstance(found[0], float)


@pytest.mark.parametrize("ending", ["gpkg", "fgb"])
def test_decimals_that_no_float_holds_are_refused_by_name(out, ending):
    with pytest.raises(InvalidInputError, match=r"column x .* more digits"):
        write(out, ending, "12345678901234567890.12::decimal(38, 2)")
    assert float(read(write(out, ending, "12345678901234.25::decimal(38, 2)"))[0]) == 12345678901234.25


DAY = date(2024, 5, 1)
MOMENT = datetime(2024, 5, 1, 10, 20, 30, 125000)


@pytest.mark.parametrize("ending", ALL)
def test_days_are_days(out, ending):
    found = read(write(out, ending, "date '2024-05-01'"))
    texts = {"csv": "2024-05-01", "geojson": "2024-05-01"}
    moments = {"fgb": datetime(2024, 5, 1), "xlsx": datetime(2024, 5, 1)}  # which know no other
    assert found == [texts.get(ending) or moments.get(ending) or DAY, None]
    if ending == "xlsx":
        assert openpyxl.load_workbook(out / "a.xlsx").active["B2"].number_format == "yyyy-mm-dd"


@pytest.mark.parametrize("ending", ALL)
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "timestamp_ms", "timestamp_ns"])
def test_times_are_times(out, ending, kind):
    found, missing = read(write(out, ending, f"'2024-05-01 10:20:30.125'::{kind}"))
    assert missing is None
    if isinstance(found, str):
        assert found.endswith("Z") == (kind == "timestamptz")
        found = datetime.fromisoformat(found)
    assert found.replace(tzinfo=None) == MOMENT
    if kind == "timestamptz" and ending not in ("xlsx", "fgb"):
        assert found.astimezone(UTC).replace(tzinfo=None) == MOMENT


@pytest.mark.parametrize("ending", ["gpkg", "fgb"])
def test_times_that_are_cut_to_milliseconds_are_told(out, ending, caplog):
    found = read(write(out, ending, "timestamp '2024-05-01 10:20:30.125999'"))
    assert found[0].replace(tzinfo=None) == MOMENT
    assert "holds milliseconds: the times of x are cut to them" in caplog.text
    caplog.clear()
    write(out, ending, "timestamp '2024-05-01 10:20:30.125'")
    assert not caplog.records


@pytest.mark.parametrize("ending", ["csv", "xlsx", *GEOGRAPHIC])
@pytest.mark.parametrize("expression", ["date 'infinity'", "timestamp '-infinity'", "date '0044-03-15 (BC)'"])
def test_times_without_end_are_refused_by_name(out, ending, expression):
    with pytest.raises(InvalidInputError, match=r"column x .* years 1 to 9999"):
        write(out, ending, expression)


@pytest.mark.parametrize("ending", ALL)
def test_times_of_a_day_are_times_or_refused(out, ending):
    if ending in ("gpkg", "fgb"):
        with pytest.raises(InvalidInputError, match=r"column x .* TIME"):
            write(out, ending, "time '10:20:30'")
        return
    found = read(write(out, ending, "time '10:20:30'"))
    assert (time.fromisoformat(found[0]) if isinstance(found[0], str) else found[0]) == time(10, 20, 30)
    assert found[1] is None


@pytest.mark.parametrize("ending", ALL)
def test_truth_beside_null_is_truth(out, ending):
    found = read(write(out, ending, "true"))
    assert found[0] in (True, "true")
    assert found[1] is None
    if ending != "csv":
        assert found[0] is True


@pytest.mark.parametrize("ending", ALL)
def test_lists_with_nulls_are_lists_with_nulls(out, ending):
    found = read(write(out, ending, f"[{BIG}, null]"))
    assert (json.loads(found[0]) if isinstance(found[0], str) else found[0]) == [BIG, None]
    assert found[1] is None


NESTED = (
    "{'a': [1.5::decimal(9, 2), null], 'b': 'x\"y', 'c': date '2024-05-01', 'd': 'nan'::double, 'e': map {'k': true}}"
)


@pytest.mark.parametrize("ending", ["csv", "xlsx", *GEOGRAPHIC])
def test_nested_values_are_json(out, ending):
    found = read(write(out, ending, NESTED))
    whole = json.loads(found[0]) if isinstance(found[0], str) else found[0]
    assert whole == {"a": [1.5, None], "b": 'x"y', "c": "2024-05-01", "d": None, "e": {"k": True}}


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_nested_values_keep_their_types(out, ending):
    path = write(out, ending, NESTED)
    table = pq.read_table(path) if ending == "parquet" else pa.ipc.open_file(path).read_all()
    assert table["x"].type.field("a").type.value_type == pa.decimal128(9, 2)
    assert table["x"][0].as_py()["a"] == [Decimal("1.50"), None]


def test_geojson_has_json_as_json_and_text_that_looks_like_it_as_text(out):
    assert read(write(out, "geojson", """'{"a": [1, null]}'::json""")) == [{"a": [1, None]}, None]
    assert read(write(out, "geojson", """'{"a": [1, null]}'""")) == ['{"a": [1, null]}', None]
    assert read(write(out, "geojson", "union_value(k := 7)")) == [7, None]
    assert read(write(out, "geojson", "to_json({'a': 'nan'::double, 'b': 'NaN'})")) == [{"a": None, "b": "NaN"}, None]


def test_a_geopackage_says_which_texts_are_json(out):
    for expression in ("[1, null]", "'[1]'::json"):
        info = pyogrio.read_info(write(out, "gpkg", expression))
        assert dict(zip(info["fields"], info["ogr_subtypes"], strict=True))["x"] == "OFSTJSON"


@pytest.mark.parametrize("ending", ALL)
def test_bytes_are_bytes_or_hexadecimal_digits_or_refused(out, ending):
    if ending == "geojson":
        with pytest.raises(InvalidInputError, match=r"column x .* BLOB.*cast it to varchar"):
            write(out, ending, r"'\x00abc'::blob")
        return
    found = read(write(out, ending, r"'\x00abc'::blob"))
    assert found == ["00616263" if ending in ("csv", "xlsx") else b"\x00abc", None]


@pytest.mark.parametrize("ending", ALL)
@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("interval 1 day", "1 day"),
        ("'101'::bit", "101"),
        ("timetz '10:20:30+02'", "10:20:30+02"),
        (f"{10**40}::bignum", str(10**40)),
    ],
)
def test_what_has_no_type_elsewhere_is_text_in_texts_and_refused_by_name_in_others(out, ending, expression, text):
    if ending in ("csv", "xlsx"):
        assert read(write(out, ending, expression)) == [text, None]
    elif not (ending == "arrow" and "interval" in expression):
        with pytest.raises(InvalidInputError, match=r"column x cannot be written to .*cast it to varchar"):
            write(out, ending, expression)
        assert list(out.iterdir()) == []
        assert read(write(out, ending, f"({expression})::varchar")) == [text, None]


@pytest.mark.parametrize("ending", ALL)
@pytest.mark.parametrize("expression", ["['101'::bit]", "{'a': timetz '10:20+02'}", "map {'a': [variant_of]}"])
def test_nested_values_of_such_types_are_refused_by_name(out, ending, expression):
    with pytest.raises(InvalidInputError, match=r"column x cannot be written to"):
        write(out, ending, expression.replace("variant_of", "1::variant"))


@pytest.mark.parametrize("ending", ALL)
@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("'žluť \"q\", ;'", 'žluť "q", ;'),
        ("'b'::enum('a', 'b')", "b"),
        ("'0012'", "0012"),
        ("'123e4567-e89b-12d3-a456-426614174000'::uuid", "123e4567-e89b-12d3-a456-426614174000"),
    ],
)
def test_texts_are_texts(out, ending, expression, text):
    assert read(write(out, ending, expression)) == [text, None]


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow", "gpkg", "fgb"])
def test_what_is_no_finite_number_stays(out, ending):
    found = read(write(out, ending, "'infinity'::double", second="'nan'::double"))
    assert float(found[0]) == np.inf
    assert found[1] is None or np.isnan(float(found[1]))  # SQLite knows no NaN


@pytest.mark.parametrize(("ending", "word"), [("geojson", "null"), ("xlsx", "empty cells")])
def test_what_is_no_finite_number_is_null_where_there_is_none_and_told(out, ending, word, caplog):
    path = write(out, ending, "'infinity'::double", second="'nan'::double")
    assert read(path) == [None, None]
    assert word in caplog.text
    assert caplog.text.rstrip().endswith("in x")


@pytest.mark.parametrize("ending", ["csv", "xlsx", *GEOGRAPHIC])
@pytest.mark.parametrize(
    "expression", ["[1.5, 'nan'::double]", "{'a': 'infinity'::float}", "map {'a': ['-infinity'::double]}"]
)
def test_nested_numbers_that_json_does_not_know_are_null_and_it_is_told(out, ending, expression, caplog):
    found = read(write(out, ending, expression))[0]
    assert "null" in (found if isinstance(found, str) else json.dumps(found))
    assert "(NaN, infinity) are null in x" in caplog.text


def test_a_geopackage_tells_that_nan_becomes_null(out, caplog):
    assert read(write(out, "gpkg", "'nan'::double", second="1.5")) == [None, 1.5]
    assert "(NaN, infinity) are null in x" in caplog.text
    caplog.clear()
    write(out, "fgb", "'nan'::double")
    assert caplog.text == ""


@pytest.mark.parametrize("ending", ["csv", "xlsx", *GEOGRAPHIC])
def test_unions_are_json(out, ending):
    assert read(write(out, ending, "union_value(u := 7)")) == [7 if ending == "geojson" else "7", None]


@pytest.mark.parametrize("ending", ["gpkg", "fgb"])
@pytest.mark.parametrize("expression", ["'a' || chr(0) || 'b'", "chr(0) || 'b'"])
def test_texts_that_gdal_would_cut_are_refused_by_name(out, ending, expression):
    with pytest.raises(InvalidInputError, match=r"column x cannot be written to .*U\+0000"):
        write(out, ending, expression)
    assert list(out.iterdir()) == []


CURVE = (
    "01080000000300000000000000000000000000000000000000000000000000f03f000000000000f03f00000000000000400000000000000000"
)


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_bytes_that_look_like_curves_are_hexadecimal_digits(out, ending):
    assert read(write(out, ending, f"unhex('{CURVE}')")) == [CURVE, None]


@pytest.mark.parametrize("ending", ["parquet", *GEOGRAPHIC])
def test_curves_as_geometries_are_refused_by_name(out, ending):
    rows = duckdb.connect().sql(f"select 1 as pid, unhex('{CURVE}') as geometry, 4326 as epsg")
    with pytest.raises(InvalidInputError, match=r"column geometry holds .* curves"):
        export.write(rows, out / f"a.{ending}")


def test_flatgeobuf_refuses_measures_and_blames_no_disk(out):
    measured = shapely.to_wkb(shapely.from_wkt("POLYGON M((1 1 7, 2 1 7, 2 2 7, 1 1 7))"), flavor="iso").hex()
    rows = duckdb.connect().sql(f"select 1 as pid, unhex('{measured}') as geometry, 4326 as epsg")
    with pytest.raises(InvalidInputError, match=r"FlatGeobuf is written without measures"):
        export.write(rows, out / "a.fgb")


@pytest.mark.parametrize("name", ["a.CSV", "a.Xlsx", "A.GeoJSON"])
def test_endings_are_known_in_capitals_too(out, name):
    rows = duckdb.connect().sql(f"select 7 as pid, unhex('{outline(0).wkb_hex}') as geometry, 32631 as epsg")
    assert export.write(rows, out / name) == 1


@pytest.mark.parametrize("ending", ALL)
def test_columns_of_nothing_but_nulls_are_there(out, ending):
    for expression in ("null", "null::date", "null::integer[]", "null::hugeint"):
        assert read(write(out, ending, expression)) == [None, None]


@pytest.mark.parametrize("ending", ALL)
@settings(max_examples=25)
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_float64_keeps_its_last_bit(tmp_path_factory, ending, value):
    path = tmp_path_factory.mktemp("floats") / f"a.{ending}"
    point = shapely.Point(3, 43).wkb
    rows = duckdb.sql("select $point as geometry, $value::double as x", params={"point": point, "value": value})
    export.write(rows, path)
    assert float(read(path)[0]) == value


def test_a_float32_is_written_shortest(out):
    assert read(write(out, "csv", "-2.45::float"))[0] == "-2.45"
    assert read(write(out, "xlsx", "-2.45::float"))[0] == -2.45
    assert read(write(out, "geojson", "-2.45::float"))[0] == -2.45


def test_answers_in_json_have_numbers_as_numbers_and_what_is_none_as_null():
    rows = duckdb.sql(
        """select sum(9007199254740993::bigint) as total, 1.5::decimal(9, 2) as dec, 'nan'::double as nan,
        {'a': 'x'::blob, 'b': [interval 1 day]} as nested, map {1: time '10:20:30'} as map, 'y'::blob as bytes,
        12345678901234567890.12::decimal(38, 2) as long"""
    ).to_arrow_table()
    assert list(export.json_rows(rows, bytes.decode)) == [
        {
            "total": BIG,
            "dec": 1.5,
            "nan": None,
            "nested": {"a": "78", "b": ["P0M1DT0S"]},
            "map": {"1": "10:20:30"},
            "bytes": "y",
            "long": "12345678901234567890.12",
        }
    ]


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("ending", ALL)
@pytest.mark.parametrize(
    "name", ["fid", "FID", "row_number", "geom", "GEOM", "rowid", "oid", "id", "type", "wkb_geometry", 'a b;"c', "ž"]
)
def test_every_name_is_a_name(filled, out, ending, name):
    quoted = '"' + name.replace('"', '""') + '"'
    path = out / f"a.{ending}"
    assert filled.export(f"select pid as {quoted}, geometry, epsg from parcels order by pid", path) == 3  # noqa: S608
    if ending == "fgb":
        values = gpd.read_file(path, engine="pyogrio")[name].tolist()
    else:
        values = read(path, name) if '"' not in name or ending != "parquet" else pq.read_table(path)[name].to_pylist()
    assert sorted(values) == ["0012", "12", "a/b"]


@pytest.mark.parametrize("ending", ["gpkg", "fgb"])
def test_names_that_differ_in_capitals_alone_are_refused_where_they_are_one(filled, out, ending):
    with pytest.raises(InvalidInputError, match=r"columns name and NAME have one name .*rename one"):
        filled.export('select geometry, epsg, 1 as name, 2 as "NAME" from parcels', out / f"a.{ending}")


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow", "xlsx", "geojson"])
def test_names_that_differ_in_capitals_alone_are_two_columns(filled, out, ending):
    filled.export('select geometry, epsg, 1 as name, 2 as "NAME" from parcels', out / f"a.{ending}")
    if ending != "parquet":  # in which DuckDB, which reads it here, knows one name alone
        assert [int(value) for value in read(out / f"a.{ending}", "NAME")] == [2, 2, 2]
    else:
        assert pq.read_table(out / "a.parquet")["NAME"].to_pylist() == [2, 2, 2]


@pytest.mark.parametrize("ending", ALL)
def test_two_columns_of_one_name_are_refused_rather_than_lost(filled, out, ending):
    with pytest.raises(InvalidInputError, match=r"columns x and x have one name"):
        filled.export("select geometry, epsg, 1 as x, 2 as x from parcels", out / f"a.{ending}")


def test_flatgeobuf_has_no_column_ogc_fid(filled, out):
    with pytest.raises(InvalidInputError, match=r"FlatGeobuf has no column OGC_FID; rename it"):
        filled.export('select geometry, epsg, pid as "OGC_FID" from parcels', out / "a.fgb")


# -- geometries -------------------------------------------------------------------------------------------------------

POINT = shapely.to_wkt(shapely.Point(500000, 4800000))


@pytest.mark.parametrize("ending", ["parquet", *GEOGRAPHIC])
def test_rows_without_geometry_and_empty_geometries_are_rows(filled, out, ending):
    path = out / f"a.{ending}"
    rows = """select pid, epsg, case pid when '0012' then geometry when '12' then $empty end as geometry
        from parcels order by pid"""
    assert filled.export(rows, path, empty=shapely.Polygon().wkb) == 3
    frame = gpd.read_parquet(path) if ending == "parquet" else gpd.read_file(path)
    geometries = dict(zip(frame["pid"], frame.geometry, strict=True))
    assert not geometries["0012"].is_empty
    assert geometries["12"] is None or geometries["12"].is_empty
    assert geometries["a/b"] is None


@pytest.mark.parametrize("ending", ["parquet", *GEOGRAPHIC])
def test_rows_of_null_geometries_alone_are_rows(filled, out, ending):
    path = out / f"a.{ending}"
    assert filled.export("select pid, epsg, null::blob as geometry from parcels", path) == 3
    frame = gpd.read_parquet(path) if ending == "parquet" else gpd.read_file(path)
    assert len(frame) == 3
    assert frame.geometry.isna().all()
    if ending == "parquet":
        assert "bbox" not in json.loads(pq.read_metadata(path).metadata[b"geo"])["columns"]["geometry"]


@pytest.mark.parametrize("ending", ["parquet", "gpkg", "geojson"])
def test_geometries_of_several_types_and_of_three_dimensions_stay(filled, out, ending):
    path = out / f"a.{ending}"
    shapes = {
        "0012": shapely.Point(500000, 4800000),
        "12": shapely.MultiPolygon([outline(1)]),
        "a/b": shapely.force_3d(outline(2), 7),
    }
    rows = "select pid, epsg, case pid when '0012' then $a when '12' then $b else $c end as geometry from parcels"
    filled.export(rows, path, a=shapes["0012"].wkb, b=shapes["12"].wkb, c=shapely.to_wkb(shapes["a/b"]))
    frame = (gpd.read_parquet(path) if ending == "parquet" else gpd.read_file(path)).set_index("pid")
    assert {pid: shape.geom_type for pid, shape in frame.geometry.items()} == {
        pid: shape.geom_type for pid, shape in shapes.items()
    }
    assert frame.geometry["a/b"].has_z
    assert not frame.geometry["12"].has_z
    with pytest.raises(
        InvalidInputError, match=r"FlatGeobuf has no heights in a file of MultiPolygon, Point, Polygon Z"
    ):
        filled.export(rows, out / "a.fgb", a=shapes["0012"].wkb, b=shapes["12"].wkb, c=shapely.to_wkb(shapes["a/b"]))


@pytest.mark.parametrize("ending", ["parquet", *GEOGRAPHIC])
def test_heights_stay_where_all_have_them(filled, out, ending):
    path = out / f"a.{ending}"
    filled.export("select $wkb as geometry, 32631 as epsg", path, wkb=shapely.to_wkb(shapely.force_3d(outline(2), 7)))
    frame = gpd.read_parquet(path) if ending == "parquet" else gpd.read_file(path)
    assert shapely.get_coordinates(frame.geometry.to_numpy(), include_z=True)[:, 2].tolist() == [7] * 5


@pytest.mark.parametrize("ending", ["parquet", *GEOGRAPHIC])
def test_a_geometry_without_a_code_is_refused_unless_it_is_in_degrees(filled, out, ending):
    path = out / f"a.{ending}"
    for some in ("null::integer", "case when pid = '12' then epsg end"):
        with pytest.raises(InvalidInputError, match=r"no epsg says their coordinate system"):
            filled.export(f"select geometry, {some} as epsg from parcels", path)  # noqa: S608
    wkb = shapely.Point(3, 43).wkb
    assert filled.export("select $wkb as geometry, null::integer as epsg", path, wkb=wkb) == 1
    frame = gpd.read_parquet(path) if ending == "parquet" else gpd.read_file(path)
    assert (frame.crs.to_epsg(), list(frame.geometry)) == (4326, [shapely.Point(3, 43)])


@pytest.mark.parametrize("ending", ["parquet", *GEOGRAPHIC])
def test_several_systems_become_degrees_with_their_boxes_and_codes_and_it_is_told(filled, out, ending, caplog):
    path = out / f"a.{ending}"
    moved = gpd.GeoSeries([outline(0)], crs=32631).to_crs(25830)[0]
    rows = """select pid, 32631 as epsg, geometry, bbox from parcels where pid = '0012'
        union all by name select 'other' as pid, 25830 as epsg, $wkb as geometry, null as bbox"""
    assert filled.export(rows, path, wkb=moved.wkb) == 2
    frame = (gpd.read_parquet(path) if ending == "parquet" else gpd.read_file(path)).set_index("pid")
    assert frame.crs.to_epsg() == 4326
    assert frame["epsg"].tolist() == [4326, 4326]
    assert shapely.hausdorff_distance(frame.geometry["0012"], frame.geometry["other"]) < 1e-8
    box = pq.read_table(path)["bbox"][0].as_py() if ending == "parquet" else frame["bbox"]["0012"]
    box = json.loads(box) if isinstance(box, str) else box
    assert tuple(box[side] for side in ("xmin", "ymin", "xmax", "ymax")) == pytest.approx(
        frame.geometry["0012"].bounds, abs=1e-8
    )
    if ending != "geojson":  # which is in degrees always
        assert "several coordinate systems (25830, 32631); they are written in EPSG:4326" in caplog.text


LAEA = "+proj=laea +lat_0=47 +lon_0=3 +x_0=0 +y_0=0 +ellps=GRS80 +units=m +type=crs"


@pytest.mark.parametrize("ending", ["parquet", "gpkg", "fgb"])
@pytest.mark.parametrize(
    ("code", "name"), [("54009", "ESRI:54009"), ("'ESRI:102013'", "ESRI:102013"), (f"'{LAEA}'", LAEA)]
)
def test_systems_without_an_epsg_code_are_kept(filled, out, ending, code, name):
    import pyproj

    path = out / f"a.{ending}"
    wkb = shapely.box(1000, 2000, 1100, 2200).wkb
    filled.export(f"select $wkb as geometry, {code} as epsg", path, wkb=wkb)
    frame = gpd.read_parquet(path) if ending == "parquet" else gpd.read_file(path)
    assert frame.crs.equals(pyproj.CRS.from_user_input(name), ignore_axis_order=True)
    assert frame.geometry[0].bounds == (1000, 2000, 1100, 2200)


def test_a_code_of_no_system_is_refused(filled, out):
    with pytest.raises(InvalidInputError, match=r"epsg 999999 is no coordinate system"):
        filled.export("select geometry, 999999 as epsg from parcels", out / "a.gpkg")


def test_a_second_column_of_geometries_is_described_in_geoparquet(filled, out):
    rows = "select parcels.*, $footprint::blob as footprint from parcels"
    filled.export(rows, out / "a.parquet", footprint=shapely.box(2, 42, 4, 44).wkb)
    frame = gpd.read_parquet(out / "a.parquet")
    assert frame.crs.to_epsg() == 32631
    assert frame["footprint"].crs.to_epsg() == 4326
    assert frame["footprint"].iloc[0].equals(shapely.box(2, 42, 4, 44))
    with pytest.raises(InvalidInputError, match=r"column footprint .* BLOB"):
        filled.export(rows, out / "a.geojson", footprint=shapely.box(2, 42, 4, 44).wkb)


def test_a_column_geometry_that_is_none_is_no_geometry(filled, out):
    with pytest.raises(InvalidInputError, match=r"for rows with a geometry"):
        filled.export("select 'x' as geometry", out / "a.gpkg")
    with pytest.raises(InvalidInputError, match=r"column geometry holds bytes that are no WKB"):
        filled.export("select 'abc'::blob as geometry, 32631 as epsg", out / "a.gpkg")


def test_geometries_of_duckdbs_own_type_are_geometries(filled, out):
    filled.export("select 'POINT(3 43)'::geometry as place, 4326 as epsg", out / "a.gpkg")
    assert gpd.read_file(out / "a.gpkg").geometry[0] == shapely.Point(3, 43)
    filled.export("select 'POINT(3 43)'::geometry as x", out / "a.csv")
    assert read(out / "a.csv") == ["POINT (3 43)"]


def test_geojson_is_as_the_standard_has_it(filled, out):
    path = out / "a.geojson"
    filled.export("parcels", path)
    document = strict(path)
    assert document["type"] == "FeatureCollection"
    for feature in document["features"]:
        assert set(feature) == {"type", "properties", "geometry"}
        assert feature["properties"]["epsg"] == 4326
        ring = shapely.LinearRing(feature["geometry"]["coordinates"][0])
        assert ring.is_ccw
        assert all(len(str(value).partition(".")[2]) <= 9 for value in np.ravel(ring.coords))


# -- Parquet for every engine -----------------------------------------------------------------------------------------


def encodings(path):
    file = pq.read_metadata(path)
    groups = [file.row_group(number) for number in range(file.num_row_groups)]
    return {code for group in groups for number in range(group.num_columns) for code in group.column(number).encodings}


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of fastparquet
@pytest.mark.parametrize("what", ["s2", "select * exclude (bbox) from parcels", "scenes"])
def test_parquet_has_plain_encodings_that_every_engine_reads(filled, out, what):
    path = out / "a.parquet"
    filled.export(what, path)
    assert encodings(path) <= {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY"}
    rows = pq.read_table(path)
    assert polars.read_parquet(path).height == rows.num_rows
    assert duckdb.read_parquet(str(path)).shape[0] == rows.num_rows
    columns = [field.name for field in rows.schema if not pa.types.is_nested(field.type)]
    # whose columns with nulls must not follow a struct: it looks for their statistics at the wrong index
    frame = fastparquet.ParquetFile(str(path)).to_pandas(columns=columns)
    assert len(frame) == rows.num_rows
    name = "id" if what == "scenes" else "pid"
    assert frame[name].tolist() == rows[name].to_pylist()


def test_parquet_says_what_its_columns_are(filled, out):
    for what in ("s2", "parcels", "select pid, B04_mean, 1 as mine from s2"):
        path = out / "a.parquet"
        filled.export(what, path)
        schema = pq.read_schema(path)
        assert schema.field("pid").metadata[b"description"].startswith(b"identifier of the parcel")
    assert schema.field("B04_mean").metadata[b"unit"] == b"1e-4"
    assert schema.field("mine").metadata is None
    columns = json.loads(pq.read_metadata(path).metadata[b"columns"])  # for readers that know no Arrow
    assert columns["B04_mean"] == {
        "description": "mean of the parcel's pixels, Sentinel-2 B04, reflectance x 10,000",
        "unit": "1e-4",
    }


def test_names_of_a_statements_own_are_not_taken_for_the_lakes(filled, out):
    filled.export(
        "select pid, count(*) as rows, avg(B04_mean) as mean, 1 as version from s2 group by pid", out / "a.parquet"
    )
    schema = pq.read_schema(out / "a.parquet")
    assert [schema.field(name).metadata for name in ("rows", "mean")] == [None, None]


@pytest.mark.parametrize(
    "view",
    [
        "parcels",
        "scenes",
        "s2",
        "bs",
        "c6",
        "s2_long",
        "bs_long",
        "markers",
        "parts",
        "weather",
        "weather_cells",
        "extractions",
        "crop_checks",
        "crop_runs",
        "lineage",
        "judgements",
    ],
)
def test_every_column_of_the_views_is_described(lake, view):
    from cbm_lake.lake.columns import describe

    names = lake.relation(f"from {view}").columns
    assert [name for name in names if describe(name, names) is None] == []


# -- workbooks --------------------------------------------------------------------------------------------------------


def test_a_workbook_has_texts_as_texts_and_its_header_in_sight(filled, out):
    filled.export("select pid, year, area_m2 from parcels order by pid", out / "a.xlsx")
    sheet = openpyxl.load_workbook(out / "a.xlsx").active
    assert list(sheet.values)[:2] == [("pid", "year", "area_m2"), ("0012", 2024, pytest.approx(10004))]
    assert sheet["A2"].data_type == "s"
    assert sheet.freeze_panes == "A2"
    assert sheet["A1"].font.bold
    assert sheet.column_dimensions["A"].width >= 5
    assert polars.read_excel(out / "a.xlsx", engine="openpyxl")["pid"].to_list() == ["0012", "12", "a/b"]


def test_rows_beyond_a_sheet_go_on_in_the_next(filled, out, monkeypatch, caplog):
    monkeypatch.setattr("cbm_lake.lake.export.spreadsheet.ROWS", 4)
    assert filled.export("select i from range(10) as many(i)", out / "a.xlsx") == 10
    sheets = openpyxl.load_workbook(out / "a.xlsx").worksheets
    assert [[row[0] for row in sheet.values] for sheet in sheets] == [
        ["i", 0, 1, 2, 3],
        ["i", 4, 5, 6, 7],
        ["i", 8, 9],
    ]
    assert "10 rows fill 3 sheets" in caplog.text


def test_a_text_that_no_cell_takes_is_refused_by_name(filled, out):
    with pytest.raises(InvalidInputError, match=r"^column x cannot be written to Excel: a text has 40,000 characters"):
        filled.export("select repeat('a', 40000) as x", out / "a.xlsx")
    with pytest.raises(InvalidInputError, match=r"column x .* formatting"):
        filled.export("select '<r>a</r>' as x", out / "a.xlsx")
    assert list(out.iterdir()) == []
    filled.export("select repeat('ä', 32767) as x", out / "a.xlsx")
    assert read(out / "a.xlsx") == ["ä" * 32767]


@pytest.mark.parametrize(("day", "cell"), [("1900-02-28", "1900-02-28"), ("1900-03-01", datetime(1900, 3, 1))])
def test_days_that_excel_counts_otherwise_are_texts(filled, out, day, cell, caplog):
    caplog.set_level(logging.WARNING)
    filled.export(f"select date '{day}' as x", out / "a.xlsx")
    assert read(out / "a.xlsx") == [cell]
    assert bool(caplog.records) == isinstance(cell, str)


# -- formulas ---------------------------------------------------------------------------------------------------------

RISKY = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"]


@pytest.mark.parametrize("text", RISKY)
def test_formulas_are_texts_in_a_workbook(filled, out, text):
    filled.export("select $text as x", out / "a.xlsx", text=text)
    cell = openpyxl.load_workbook(out / "a.xlsx").active["A2"]
    assert (cell.value.replace("_x000D_", "\r"), cell.data_type, cell.quotePrefix) == (text, "s", True)
    filled.export("select $text as x", out / "a.xlsx", text=text, neutralise=False)
    cell = openpyxl.load_workbook(out / "a.xlsx").active["A2"]
    assert (cell.data_type, bool(cell.quotePrefix)) == ("s", False)


@pytest.mark.parametrize("text", RISKY)
def test_formulas_are_told_in_csv_and_made_harmless_when_asked(filled, out, text, caplog):
    filled.export("select $text as x, -1 as number, 'a=1' as harmless", out / "a.csv", text=text)
    with (out / "a.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1] == [text, "-1", "a=1"]
    assert "a.csv: texts of x (1) begin with = + - or @" in caplog.text
    assert "neutralise= writes them with an apostrophe" in caplog.text
    caplog.clear()
    filled.export('select $text as x, -1 as "=number"', out / "a.csv", text=text, neutralise=True)
    with (out / "a.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["x", "'=number"], ["'" + text, "-1"]]
    assert not caplog.records
