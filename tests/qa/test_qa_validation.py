"""The data validation finds what a pencil finds, in files of every format, and says how to mend it."""

import json
import re
import zipfile
from collections import Counter
from pathlib import Path

import duckdb
import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from typer.testing import CliRunner

from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.lake import queries
from cbm_lake.qa import geometries, tablefiles, tables
from cbm_lake.qa.first_layer import AREAS, NULLS
from cbm_lake.qa.geometries import STATES
from cbm_lake.qa.tablefiles import Shapes
from cbm_lake.qa.validation import validate, validate_tables

X, Y = 4_000_000, 2_900_000
"""A corner in EPSG:3035, well inside of it."""

LPIS = {
    "lpis_code": "A",
    "lpis_rp_id": "1",
    "tot_area": 1.0,
    "al_area": 0.5,
    "pc_area": 0.0,
    "pg_area": 0.5,
    "na_area": 0.0,
    "af_area": 0.0,
    "n2000_area": 0.0,
    "pw_area": 0.0,
    "lf_area": 0.0,
    "anc_area": 0.0,
    "avail_area": True,
}
GSA = {
    "gsa_par_id": "1",
    "gsa_hol_id": "7",
    "gsa_col_id": "3",
    "main_crop": "wheat",
    "catch_crop": "",
    "organic": True,
}
GSA_LPIS = {"lpis_code": "A", "lpis_rp_id": "1", "gsa_par_id": "1"}
CLAIM = {"gsa_par_id": "1", "ua": "U1", "claim_area": 0.5}
INTERVENTION = {"ua": "U1", "ua_grp": "G1", "interv": "I1", "interv_lev": "1", "interv_typ": "area", "ua_grp_est": "G1"}
ROWS = {"lpis": LPIS, "gsa": GSA, "gsa_lpis": GSA_LPIS, "ua_claimed": CLAIM, "interventions": INTERVENTION}


def frame(table, **columns):
    """Rows without a fault, but for the columns given; identifiers count from 1."""
    number = max((len(values) for values in columns.values() if isinstance(values, list)), default=1)
    rows = {name: [value] * number for name, value in ROWS[table].items()}
    key = tables.TABLES[table].key[0]
    return pd.DataFrame(rows | {key: [str(row + 1) for row in range(number)]} | columns)


def csv(folder, table, text=None, encoding="utf-8", **columns):
    """The path of a CSV file of these rows, or of this text."""
    path = folder / f"{table}.csv"
    path.write_text(frame(table, **columns).to_csv(sep=";", index=False) if text is None else text, encoding)
    return path


def arrow(table, shapes=None, crs=3035, **columns):
    """An Arrow table of these rows, with these outlines as GeoParquet has them."""
    if shapes is None:
        return pa.Table.from_pandas(frame(table, **columns), preserve_index=False)
    columns = columns or {tables.TABLES[table].id: [str(row + 1) for row in range(len(shapes))]}
    read = pa.Table.from_pandas(frame(table, **columns), preserve_index=False)
    wkb = pa.array(shapely.to_wkb(np.array(shapes, object)), pa.binary())
    geo = {"primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB", "crs": CRS(crs).to_json_dict()}}}
    return read.append_column("geometry", wkb).replace_schema_metadata({"geo": json.dumps(geo)})


def found(validation):
    """The findings by rule and column, but for statistics."""
    rows = [row for row in validation.findings.to_pylist() if row["severity"] != "info"]
    return {(row["rule"], row["column"]): row for row in rows}


def counts(validation):
    """How many of each rule."""
    return {rule: row["count"] for (rule, _), row in found(validation).items()}


def messages(validation):
    """The message of each step by its name."""
    return {step.name: step.message for step in validation.steps}


def square(x, y, side=100):
    """A square whose lower left corner is so many metres from the corner."""
    return shapely.box(X + x, Y + y, X + x + side, Y + y + side)


# -- first layer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["lpis", "gsa", "gsa_lpis", "interventions", "ua_claimed"])
def test_a_table_without_faults_is_clean(table, tmp_path):
    answer = validate(csv(tmp_path, table), table)
    assert answer.clean
    assert answer.errors == 0
    assert answer.summary == "Finished validation successfully"
    assert not found(answer)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("inter", "interventions"),
        ("my_Interventions", "interventions"),
        ("ua", "ua_claimed"),
        ("gsa_ua", "ua_claimed"),
        ("lpis", "lpis"),
        ("GSA", "gsa"),
        ("gsa_lpis", "gsa_lpis"),
        ("regions", "regions"),
    ],
)
def test_the_word_of_the_command_line_is_understood_as_before(word, name):
    assert tables.table_type(word).name == name


def test_an_unknown_table_type_is_refused_with_the_list():
    with pytest.raises(InvalidInputError, match="'parcels'; choose gsa, lpis"):
        tables.table_type("parcels")


def test_the_steps_come_in_the_order_of_the_original(tmp_path):
    first = [step.name for step in validate(csv(tmp_path, "lpis"), "lpis").steps if step.layer == "first"]
    assert first == ["validate_columns", "validate_dtypes", "check_duplicates", "check_nulls", "validate_area_format"]
    inter, gsa = csv(tmp_path, "interventions", ua=["U1"]), csv(tmp_path, "gsa")
    steps = [step for step in validate(csv(tmp_path, "ua_claimed"), "ua", inter, gsa).steps if step.layer == "first"]
    assert [step.name for step in steps[4:]] == ["validate_relation_interventions", "validate_relation_gsa"]
    assert re.fullmatch(r"\[CHECK_NULLS\]: Success - No nulls found\. \(Duration: \d+\.\ds\)", str(steps[3]))


def test_missing_columns_are_named_and_end_the_run(tmp_path):
    text = frame("lpis", tot_area=[-1]).drop(columns=["al_area", "avail_area"]).to_csv(sep=";", index=False)
    answer = validate(csv(tmp_path, "lpis", text), "lpis")
    assert [step.name for step in answer.steps] == ["read", "validate_columns"]
    (finding,) = answer.findings.to_pylist()
    assert finding["message"] == "The following columns are missing: al_area, avail_area"
    assert (finding["severity"], finding["count"], finding["ids"]) == ("critical", 2, ["al_area", "avail_area"])
    assert answer.summary == "There were 1 errors in the validation, please check logs for details."


def test_a_table_without_rows_is_no_success(tmp_path):
    answer = validate(csv(tmp_path, "ua_claimed", "gsa_par_id;ua;claim_area\n"), "ua")
    assert counts(answer) == {"validate_rows": 0}
    assert not answer.clean


def test_columns_may_come_in_any_order_and_in_capitals_with_others_between(tmp_path):
    text = "Extra;UA;CLAIM_AREA;GSA_PAR_ID\nx;U1;2;007\n"
    assert validate(csv(tmp_path, "ua_claimed", text), "ua").clean


def test_types_are_those_that_pandas_infers(tmp_path):
    columns = {"tot_area": ["1,5", "2"], "al_area": ["x", "1"], "pg_area": [True, False], "avail_area": ["yes", "no"]}
    answer = validate(csv(tmp_path, "lpis", **columns), "lpis")
    wrong = (
        "The following columns have invalid data types: tot_area (Expected: ['float64'], Got: object), "
        "al_area (Expected: ['float64', 'int64'], Got: object), avail_area (Expected: boolean, Got: object)"
    )
    assert messages(answer)["validate_dtypes"] == wrong
    finding = found(answer)["validate_dtypes", "tot_area"]
    assert (finding["rows"], finding["ids"], finding["details"]) == ([1], ["1"], ["'1,5'"])


def test_whole_numbers_in_csv_pass_for_float64_and_in_parquet_do_not(tmp_path):
    assert validate(csv(tmp_path, "lpis", tot_area=[2], al_area=[1], pg_area=[0]), "lpis").clean
    answer = validate(arrow("lpis", tot_area=[2], al_area=[1]), "lpis")
    assert messages(answer)["validate_dtypes"].endswith("tot_area (Expected: ['float64'], Got: int64)")


@pytest.mark.parametrize(
    ("values", "fine"),
    [
        (["0", "1"], True),
        (["1", "1"], True),
        (["0.0", "1.0"], True),
        (["True", "false"], True),
        (["T", "f"], True),
        (["t", "true"], False),
        (["0", "true"], False),
        (["yes", "no"], False),
        (["1", "2"], False),
        (["1", ""], False),
        (["True", ""], False),
        (["t", "NA"], False),
    ],
)
def test_booleans_are_of_one_pair_of_truths_and_without_gaps(values, fine, tmp_path):
    answer = validate(csv(tmp_path, "gsa", organic=values), "gsa")
    assert (("validate_dtypes", "organic") not in found(answer)) is fine


def test_duplicates_are_counted_in_keys_and_keys_with_a_gap_are_none(tmp_path):
    ids = ["a", "b", "a", "a", "b", "c", "", ""]
    answer = validate(csv(tmp_path, "lpis", lpis_rp_id=ids), "lpis")
    finding = found(answer)["check_duplicates", "lpis_rp_id"]
    assert finding["message"] == "2 Duplicates found based on: lpis_rp_id"
    assert (finding["count"], finding["rows"], finding["ids"]) == (2, [1, 2], ["a", "b"])
    assert finding["details"] == ["rows: 3", "rows: 2"]


def test_a_key_of_two_columns_is_doubled_by_both(tmp_path):
    answer = validate(csv(tmp_path, "ua_claimed", gsa_par_id=["1", "1", "01", "1"], ua=["A", "B", "A", "A"]), "ua")
    finding = found(answer)["check_duplicates", "gsa_par_id + ua"]
    assert finding["message"] == "1 Duplicates found based on: gsa_par_id, ua"
    assert finding["ids"] == ["1 + A"]


def test_keys_keep_their_leading_zeros(tmp_path):
    assert validate(csv(tmp_path, "gsa", gsa_par_id=["1", "01", "001"]), "gsa").clean


def test_nulls_are_gaps_and_the_texts_that_stand_for_them(tmp_path):
    codes = ["", "NA", "Null", "NULL", "null", "NaN", "None", "N/A", "Inf", "-Inf", "A"]
    answer = validate(csv(tmp_path, "lpis", lpis_code=codes, tot_area=[None] + [1.0] * 10), "lpis")
    assert messages(answer)["check_nulls"] == "Null values in: lpis_code (10), tot_area (1)"
    assert found(answer)["check_nulls", "lpis_code"]["rows"] == list(range(1, 11))
    assert found(answer)["check_nulls", "tot_area"]["ids"] == ["1"]


def test_two_columns_may_be_empty(tmp_path):
    assert validate(csv(tmp_path, "gsa", gsa_col_id=["", "1"], catch_crop=["NA", ""]), "gsa").clean


def test_what_only_looks_like_a_value_is_a_warning_of_its_own(tmp_path):
    """The original takes hyphens, blanks and infinite numbers for values."""
    answer = validate(csv(tmp_path, "lpis", lpis_code=["-", "  ", "A-1"], tot_area=["inf", 1, 1]), "lpis")
    assert "check_nulls" not in counts(answer)
    finding = found(answer)["check_placeholders", "lpis_code"]
    assert (finding["severity"], finding["rows"], finding["details"]) == ("warning", [1, 2], ["'-'", "'  '"])
    assert found(answer)["check_placeholders", "tot_area"]["rows"] == [1]
    assert answer.errors == 0


def test_areas_have_four_decimals_at_most(tmp_path):
    totals = [1.2345, 0.3, 100000.0001, 1.23456, 1e-5]
    answer = validate(csv(tmp_path, "lpis", tot_area=totals, al_area=[0, 0, 0, "", 0], pg_area=0.0), "lpis")
    finding = found(answer)["validate_area_format", "tot_area"]
    assert finding["message"] == "tot_area should be in hectares and with 4 decimal places."
    assert (finding["rows"], finding["count"]) == ([4, 5], 2)
    assert found(answer)["validate_area_format", "al_area"]["details"] == ["no number"]


def test_every_area_of_four_decimals_passes_whatever_its_binary_neighbour(tmp_path):
    totals = [f"{number / 10000:.4f}" for number in range(1, 20000, 7)]
    assert validate(csv(tmp_path, "lpis", tot_area=totals, al_area=0.0, pg_area=0.0), "lpis").clean


def test_the_decimals_of_claims_are_looked_at_though_the_original_does_not(tmp_path):
    answer = validate(csv(tmp_path, "ua_claimed", claim_area=[0.12345, 0.1234]), "ua")
    assert counts(answer) == {"check_claim_area_format": 1}
    assert found(answer)["check_claim_area_format", "claim_area"]["severity"] == "warning"
    assert answer.errors == 0


def test_claims_refer_to_interventions_and_parcels_as_text(tmp_path):
    inter = csv(tmp_path, "interventions", ua=["U1", "02"])
    gsa = csv(tmp_path, "gsa", gsa_par_id=["1", "007"])
    claims = csv(tmp_path, "ua_claimed", gsa_par_id=["1", "7", "7", "007"], ua=["U1", "2", "3", "02"])
    answer = validate(claims, "ua", inter, gsa)
    said = messages(answer)
    assert (
        said["validate_relation_interventions"]
        == "2 unique entrie(s) of 'ua' from 'ua_claimed' table do not exist in 'interventions' table."
    )
    assert (
        said["validate_relation_gsa"]
        == "1 unique entrie(s) of 'gsa_par_id' from 'ua_claimed' table do not exist in 'gsa' table."
    )
    assert found(answer)["validate_relation_interventions", "ua"]["ids"] == ["2", "3"]
    assert found(answer)["validate_relation_gsa", "gsa_par_id"]["details"] == ["rows: 2"]
    assert answer.errors == 2


def test_whole_floats_refer_to_texts_without_their_decimals(tmp_path):
    pq.write_table(pa.table(frame("gsa", gsa_par_id=[1.0, 2.0]).to_dict("list")), tmp_path / "gsa.parquet")
    answer = validate(csv(tmp_path, "ua_claimed", gsa_par_id=["1", "2"]), "ua", None, tmp_path / "gsa.parquet")
    assert answer.clean


def test_a_claim_without_unit_amount_refers_to_nothing(tmp_path):
    claims = csv(tmp_path, "ua_claimed", ua=["U1", ""])
    answer = validate(claims, "ua", csv(tmp_path, "interventions", ua=["U1"]))
    assert found(answer)["validate_relation_interventions", "ua"]["ids"] == ["(empty)"]
    answer = validate(claims, "ua", csv(tmp_path, "interventions", ua=["U1", ""]))
    assert "validate_relation_interventions" not in counts(answer)


def test_relations_are_left_out_where_the_other_table_is_not_given(tmp_path):
    steps = {step.name: step.status for step in validate(csv(tmp_path, "ua_claimed"), "ua").steps}
    assert steps["validate_relation_gsa"] == "Skipped"


def test_a_related_table_without_the_column_is_a_failure_that_says_so(tmp_path):
    other = csv(tmp_path, "interventions", "unit\nU1\n")
    answer = validate(csv(tmp_path, "ua_claimed"), "ua", other)
    assert messages(answer)["validate_relation_interventions"] == "Column 'ua' not found in 'interventions' table."


def test_regions_can_be_validated_which_the_original_cannot(tmp_path):
    text = "reg_code;reg_geom;target_per\nA;POINT(0 0);5\nA;POINT(0 0);2.5\n"
    answer = validate(csv(tmp_path, "regions", text), "regions")
    assert counts(answer) == {"validate_dtypes": 2, "check_duplicates": 1}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.sampled_from(["", "NA", "Null", "-Inf", "a", "b", "01", "1"])] * 2), min_size=1, max_size=12
    )
)
def test_duplicates_and_nulls_equal_those_counted_one_by_one(rows):
    ids, units = zip(*rows, strict=True)
    answer = found(validate(arrow("ua_claimed", gsa_par_id=list(ids), ua=list(units)), "ua"))
    frame = pd.DataFrame({"gsa_par_id": ids, "ua": units})
    sizes = frame.groupby(["gsa_par_id", "ua"]).size()
    doubled = answer.get(("check_duplicates", "gsa_par_id + ua"), {"count": 0})["count"]
    assert doubled == (sizes > 1).sum() == sum(times > 1 for times in Counter(rows).values())
    for name in ("gsa_par_id", "ua"):
        expected = int(frame[name].isin(NULLS).sum())
        assert answer.get(("check_nulls", name), {"count": 0})["count"] == expected


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", "\t", "|"])
@pytest.mark.parametrize("table", ["gsa", "lpis"])
def test_any_delimiter_is_read_as_a_semicolon_is(tmp_path, table, delimiter):
    usual, other = (tmp_path / f"{number}.csv" for number in range(2))
    usual.write_text(frame(table).to_csv(index=False, sep=";"))
    other.write_text(frame(table).to_csv(index=False, sep=delimiter))
    expected, found = (tablefiles.read(path, tables.TABLES[table]).frame for path in (usual, other))
    assert len(found) > 0
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_csv_of_any_usual_encoding_is_read(encoding, tmp_path):
    path = csv(tmp_path, "gsa", encoding=encoding, gsa_par_id=["ä1", "ä1"], main_crop="Gräser")
    assert found(validate(path, "gsa"))["check_duplicates", "gsa_par_id"]["ids"] == ["ä1"]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.csv", "", "cannot be read"),
        ("a.csv", "gsa_par_id;ua;claim_area\n1;U1;2;3;4\n", "cannot be read"),
        ("a.parquet", "no Parquet", "cannot be read"),
        ("a.gpkg", "no GeoPackage", "cannot be read"),
        ("a.zip", "no zip", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_names_the_file(name, text, reason, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=rf"{re.escape(name)} {reason}"):
        validate(tmp_path / name, "ua")


def test_files_that_are_not_there_or_of_another_format_are_refused(tmp_path):
    with pytest.raises(SourceError, match="is not there; give the path of a file"):
        validate(tmp_path / "none.csv", "gsa")
    (tmp_path / "a.xlsx").write_text("x")
    with pytest.raises(InvalidInputError, match=r"'\.xlsx'; give one of: \.csv"):
        validate(tmp_path / "a.xlsx", "gsa")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(InvalidInputError, match="holds no file of"):
        validate(tmp_path / "a.zip", "gsa")


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="several columns named ua"):
        validate(csv(tmp_path, "ua_claimed", "gsa_par_id;ua;UA;claim_area\n1;2;3;4\n"), "ua")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """The same lpis of five faults in every format, by format."""
    folder = tmp_path_factory.mktemp("formats")
    shapes = [square(0, 0), square(90, 0), shapely.Polygon([(X, Y), (X + 9, Y + 9), (X + 9, Y), (X, Y + 9)]), None]
    attributes = frame("lpis", lpis_rp_id=["01", "2", "2", "4"], tot_area=[2.0, 1.0, 1.0, -1.0])
    drawn = gpd.GeoDataFrame(attributes, geometry=np.array(shapes, object), crs=3035)
    drawn.to_parquet(folder / "lpis.parquet")
    drawn.to_parquet(folder / "lpis.geoparquet", geometry_encoding="WKB")
    drawn.to_file(folder / "lpis.gpkg")
    drawn.to_file(folder / "lpis.shp")
    attributes["geometry"] = [f"SRID=3035;{shape.wkt}" if shape else None for shape in shapes]
    attributes.to_csv(folder / "lpis.csv", sep=";", index=False)
    attributes["geometry"] = [shape.wkb_hex if shape else None for shape in shapes]
    attributes.rename(columns={"geometry": "LPIS_GEOM"}).to_csv(folder / "hex.csv", sep=";", index=False)
    for name in ("shp", "csv"):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for file in folder.glob("lpis.*" if name == "shp" else "lpis.csv"):
                if file.suffix in (".shp", ".dbf", ".shx", ".prj", ".cpg", ".csv") and (name == "csv") == (
                    file.suffix == ".csv"
                ):
                    archive.write(file, f"inner/{file.name}")
    return folder


FORMATS = ["lpis.parquet", "lpis.geoparquet", "lpis.gpkg", "lpis.shp", "lpis.csv", "hex.csv", "shp.zip", "csv.zip"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_findings(name, faulty):
    answer = validate(faulty / name, "lpis")
    assert counts(answer) == {
        "check_duplicates": 1,
        "lpis_notvalid_geom_cnt": 1,
        "lpis_missing_geom_cnt": 1,
        "lpis_overlap_cnt": 1,
        "invalid_negative_tot_area": 1,
        "invalid_tot_area": 1,
    }
    assert found(answer)["lpis_overlap_cnt", "geometry"]["ids"] == ["01, 2"]
    assert ("lpis_assumed_crs" in answer.findings["rule"].to_pylist()) is (name == "hex.csv")


def test_texts_of_a_shapefile_that_names_no_encoding_are_read(tmp_path):
    """A Shapefile without .cpg is in ISO-8859-1; its texts stood in the findings as bytes that are no text."""
    bow = shapely.Polygon([(X, Y), (X + 9, Y + 9), (X + 9, Y), (X, Y + 9)])
    drawn = gpd.GeoDataFrame(frame("gsa", gsa_par_id=["Körner1", "é2"]), geometry=[square(0, 50), bow], crs=3035)
    drawn.to_file(tmp_path / "gsa.shp", encoding="ISO-8859-1")
    (tmp_path / "gsa.cpg").unlink()
    assert found(validate(tmp_path / "gsa.shp", "gsa"))["gsa_notvalid_geom_cnt", "geometry"]["ids"] == ["é2"]


def test_geoarrow_outlines_are_read(tmp_path):
    drawn = gpd.GeoDataFrame(frame("gsa", gsa_par_id=["1", "2"]), geometry=[square(0, 0), square(50, 0)], crs=3035)
    drawn.to_parquet(tmp_path / "gsa.parquet", geometry_encoding="geoarrow")
    assert counts(validate(tmp_path / "gsa.parquet", "gsa")) == {"gsa_overlap_cnt": 1}


def test_a_table_that_geopandas_hands_over_keeps_its_coordinate_system():
    moved = [shapely.transform(square(x, 0), degrees(25832), interleaved=False) for x in (0, 99.95, 200)]
    drawn = gpd.GeoDataFrame(frame("gsa", gsa_par_id=["1", "2", "3"]), geometry=moved, crs=25832)
    answer = validate_tables(gsa=pa.table(drawn.to_arrow()))
    assert answer.clean
    assert "gsa_assumed_crs" not in answer.findings["rule"].to_pylist()


def degrees(epsg=4326):
    return Transformer.from_crs(3035, epsg, always_xy=True).transform


# -- outlines --------------------------------------------------------------------------------------------------------


def test_outlines_that_are_not_valid_are_named_with_the_reason():
    """Rule 1."""
    bow = shapely.Polygon([(X, Y), (X + 9, Y + 9), (X + 9, Y), (X, Y + 9)])
    finding = found(validate(arrow("gsa", [square(0, 50), bow]), "gsa"))["gsa_notvalid_geom_cnt", "geometry"]
    assert (finding["count"], finding["ids"]) == (1, ["2"])
    assert finding["details"][0].startswith("Self-intersection[")


def test_missing_and_empty_outlines_are_told_apart():
    """Rules 2 and 3; rule 10 lists neither, though the original lists the empty one as too small."""
    shapes = [None, shapely.from_wkt("MULTIPOLYGON EMPTY"), square(0, 0)]
    answer = validate(arrow("lpis", shapes, lpis_rp_id=["a", "b", "c"]), "lpis")
    assert counts(answer) == {"lpis_missing_geom_cnt": 1, "lpis_empty_geom_cnt": 1}
    assert found(answer)["lpis_missing_geom_cnt", "geometry"]["ids"] == ["a"]
    assert found(answer)["lpis_empty_geom_cnt", "geometry"]["details"] == ["area 0.0, POLYGON EMPTY"]


def test_identical_outlines_are_counted_in_groups():
    """Rule 4: a polygon is the multipolygon of it alone; where it begins makes a difference, as in the original."""
    turned = shapely.Polygon(np.roll(np.array(square(500, 0).exterior.coords)[:-1], 1, axis=0))
    shapes = [square(0, 0), square(200, 0), square(0, 0), shapely.MultiPolygon([square(0, 0)]), square(500, 0), turned]
    answer = validate(arrow("gsa", [*shapes, None, None]), "gsa")
    finding = found(answer)["gsa_dupl_geom_cnt", "geometry"]
    assert (finding["count"], finding["ids"]) == (2, ["1, 3, 4", "7, 8"])
    assert finding["details"] == ["3 parcels", "2 parcels"]
    assert found(answer)["gsa_overlap_cnt", "geometry"]["ids"] == ["5, 6"]


def test_overlaps_of_more_than_ten_square_metres_are_found_whatever_their_shape():
    """Rule 5: the original misses those in several pieces and parcels within others."""
    u = shapely.unary_union(
        [shapely.box(X, Y, X + 10, Y + 50), shapely.box(X + 40, Y, X + 50, Y + 50), shapely.box(X, Y, X + 50, Y + 10)]
    )
    bar = shapely.box(X - 5, Y + 30, X + 55, Y + 40)
    shapes = [
        u,
        bar,  # two pieces of 10 x 10 m
        square(200, 0),
        square(220, 20, 10),  # one within the other
        square(400, 0),
        square(499.91, 0),  # 0.09 x 100 m: 9 m2
        square(700, 0),
        square(799.8, 0),  # 20 m2
        square(1000, 0),
        square(1100, 0),  # an edge in common
    ]
    finding = found(validate(arrow("lpis", shapes), "lpis"))["lpis_overlap_cnt", "geometry"]
    assert sorted(zip(finding["ids"], finding["details"], strict=True)) == [
        ("1, 2", "200.0 m², in several pieces"),
        ("3, 4", "100.0 m², contained"),
        ("7, 8", "20.0 m², in one piece"),
    ]
    assert finding["message"].endswith("10 m²: 3 (1 contained, 1 in one piece, 1 in several pieces)")


def test_overlaps_are_named_by_the_smaller_identifier_first_and_never_of_one_with_itself():
    shapes = [square(0, 0), square(50, 0), square(60, 0)]
    answer = validate(arrow("gsa", shapes, gsa_par_id=["b", "a", "a"]), "gsa")
    assert found(answer)["gsa_overlap_cnt", "geometry"]["ids"] == ["a, b", "a, b"]


def test_outlines_that_are_not_valid_are_left_out_of_overlaps():
    bow = shapely.Polygon([(X, Y), (X + 90, Y + 90), (X + 90, Y), (X, Y + 90)])
    assert counts(validate(arrow("gsa", [bow, square(0, 0)]), "gsa")) == {"gsa_notvalid_geom_cnt": 1}


def test_outlines_of_no_use_are_found_though_the_original_cannot_load_them(tmp_path):
    texts = ["POLYGON((0 0, 1 1", "POINT(10 45)", "POLYGON((10 45, 10 45.001, 10.001 45, 10 45))", " "]
    path = csv(tmp_path, "gsa", gsa_par_id=list("abcd"), gsa_geom=texts)
    answer = validate(path, "gsa")
    finding = found(answer)["gsa_unusable_geom_cnt", "geometry"]
    assert finding["ids"] == ["a", "b"]
    assert found(answer)["gsa_missing_geom_cnt", "geometry"]["ids"] == ["d"]


def test_a_coordinate_system_that_nothing_names_is_assumed_and_said(tmp_path):
    path = csv(tmp_path, "gsa", geometry=["POLYGON((10 45, 10 45.001, 10.001 45, 10 45))"])
    rows = validate(path, "gsa").findings.to_pylist()
    assert "The outlines of gsa are taken as EPSG:4326" in [row["message"] for row in rows]
    path = csv(tmp_path, "gsa", geometry=[square(0, 0).wkt])
    assert "EPSG:3035" in messages(validate(path, "gsa"))["measure_outlines"]


def test_two_coordinate_systems_in_one_column_are_refused(tmp_path):
    shapes = [f"SRID={epsg};{square(0, 0).wkt}" for epsg in (3035, 25832)]
    with pytest.raises(InvalidInputError, match="several coordinate systems: 3035, 25832"):
        validate(csv(tmp_path, "gsa", geometry=shapes), "gsa")


def test_a_wrong_coordinate_system_is_told_by_where_it_leads():
    answer = validate(arrow("gsa", [shapely.box(1e9, 1e9, 1e9 + 9, 1e9 + 9)], crs=32632), "gsa")
    assert found(answer)["gsa_unusable_geom_cnt", "geometry"]["message"].endswith("(1 outside of EPSG:3035)")


def test_areas_are_those_of_the_equal_area_projection():
    shape = shapely.transform(square(0, 0), degrees(), interleaved=False)
    measured = geometries.measure(Shapes(pa.chunked_array([pa.array([shape.wkb], pa.large_binary())]), CRS(4326)))
    assert measured.states["area"].to_pylist() == pytest.approx([10_000], rel=1e-6)


def brute(shapes):
    """Pairs that have more than 10 m2 in common and not all coordinates, one by one."""
    pairs = set()
    for a, left in enumerate(shapes):
        for b, right in enumerate(shapes[:a]):
            if left.intersection(right).area > 10 and not left.equals_exact(right, 0):
                pairs.add((b + 1, a + 1))
    return pairs


@pytest.mark.parametrize("batch", [3, 20_000])
def test_overlaps_equal_those_found_by_trying_every_pair(batch, monkeypatch):
    monkeypatch.setattr(geometries, "BATCH", batch)
    monkeypatch.setattr(geometries, "PAIRS", batch)
    monkeypatch.setattr(geometries, "NEIGHBOURHOOD", batch)
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 400, (60, 2)) + np.array([X, Y])
    shapes = list(shapely.buffer(shapely.points(corners), rng.uniform(1, 60, 60), quad_segs=3))
    shapes += [shapes[0], square(0, 0, 500), shapes[7], shapes[0]]
    values = pa.chunked_array([pa.array(shapely.to_wkb(shapes), pa.large_binary())])
    seen = []
    measured = geometries.measure(Shapes(values, CRS(3035)), lambda done, total: seen.append((done, total)))
    pairs = geometries.overlaps(measured, lambda done, total: seen.append((done, total)))
    assert set(zip(pairs["row_a"].to_pylist(), pairs["row_b"].to_pylist(), strict=True)) == brute(shapes)
    assert seen[-1] == (61, 61)


def test_overlaps_of_real_parcels_equal_those_of_geopandas(realdata):
    drawn = gpd.read_parquet(realdata / "parcels" / "fr_rpg_near_lyon.parquet", columns=["geometry"]).to_crs(3035)
    drawn.geometry = drawn.buffer(1)
    wkb = pa.array(drawn.geometry.to_wkb(), pa.large_binary())
    pairs = geometries.overlaps(geometries.measure(Shapes(pa.chunked_array([wkb]), drawn.crs)))
    joined = drawn[drawn.is_valid].sjoin(drawn[drawn.is_valid], predicate="intersects")
    joined = joined[joined.index < joined["index_right"]]
    other = drawn.geometry.loc[joined["index_right"]]
    common = joined.geometry.intersection(other, align=False).area > 10
    expected = sorted(zip(joined.index[common] + 1, joined["index_right"][common] + 1, strict=True))
    assert list(zip(pairs["row_a"].to_pylist(), pairs["row_b"].to_pylist(), strict=True)) == expected
    assert len(expected) > 50


def test_thousands_of_copies_of_one_outline_are_no_thousands_of_thousands_of_pairs():
    shapes = [square(0, 0)] * 3000 + [square(50, 0), square(500, 0)]
    finding = found(validate(arrow("gsa", shapes), "gsa"))["gsa_overlap_cnt", "geometry"]
    assert (finding["count"], finding["rows"][0], finding["rows"][-1]) == (3000, 1, 3000)


def test_progress_names_its_step_and_counts_every_outline_twice():
    seen = []
    validate_tables(gsa=arrow("gsa", [square(0, 0), square(200, 0)]), progress=lambda *done: seen.append(done))
    assert seen[0] == (0, 1, "reading gsa")
    assert [(done, total) for done, total, _ in seen[1:]] == [(2, 4), (4, 4)]
    assert all(step for _, _, step in seen)


# -- areas -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["al", "pc", "pg", "na", "af", "n2000", "pw", "lf", "anc"])
def test_a_part_larger_than_the_total_is_found_beyond_ten_square_metres(name):
    """Rule 6: 1.0011 passes, 1.0015 is rounded up as decimals are, not as binary numbers are."""
    values = [1.0011, 1.0015, 1.0016, 0.9, 1.0]
    columns = {"al_area": [0.0] * 5, "pg_area": [0.0] * 5} | {f"{name}_area": values}
    answer = validate(arrow("lpis", **columns), "lpis")
    finding = found(answer)[f"invalid_{name}_area", f"{name}_area"]
    assert (finding["count"], finding["ids"]) == (2, ["3", "2"])
    assert finding["details"] == ["1.0016 ha of 1.0000 ha", "1.0015 ha of 1.0000 ha"]


def test_negative_parts_are_found_which_the_original_never_does():
    """Rule 6: the original asks value - total > 0.001 of negative values too."""
    answer = validate(
        arrow("lpis", pc_area=[-5.0, 0.0, -0.0001], tot_area=[1.0, 1.0, 0.0], na_area=[0.0, 0.0, 1.0]), "lpis"
    )
    finding = found(answer)["invalid_pc_area", "pc_area"]
    assert (finding["ids"], finding["message"].endswith("3 negative)")) == (["3", "1"], False)
    assert finding["message"] == "Parcels of lpis with an impossible pc_area: 2 (2 negative)"


@pytest.mark.parametrize("area", [1e12, 1e19, 1e20, 1e300, 1.7e308])
def test_absurd_areas_are_found_however_absurd(area):
    square = shapely.box(X, Y, X + 100, Y + 100)
    total = validate_tables(lpis=arrow("lpis", [square], lpis_rp_id=["1"], tot_area=[area]))
    assert ("invalid_tot_area", "tot_area") in found(total)
    parts = validate_tables(lpis=arrow("lpis", lpis_rp_id=["1", "2"], al_area=[area, -area]))
    assert [row["ids"] for (_, column), row in found(parts).items() if column == "al_area"] == [["1", "2"]]


def test_negative_and_zero_totals_are_found():
    """Rules 7 and 8: zero is fine where there is non-agricultural area."""
    columns = {"tot_area": [-1.0, 0.0, 0.0, 0.0], "na_area": [0.0, 0.0, 0.5, -0.5], "al_area": [0.0] * 4}
    answer = validate(arrow("lpis", **columns), "lpis")
    assert found(answer)["invalid_negative_tot_area", "tot_area"]["ids"] == ["1"]
    assert found(answer)["invalid_zero_tot_area", "tot_area"]["ids"] == ["2", "4"]
    assert found(answer)["invalid_na_area", "na_area"]["ids"] == ["4"]


def test_the_three_agricultural_parts_together_are_no_larger_than_the_total():
    """Rule 9."""
    columns = {"al_area": [0.5, 0.5, 0.5], "pc_area": [0.3, 0.3, 0.3], "pg_area": [0.2, 0.2011, 0.2016]}
    finding = found(validate(arrow("lpis", **columns), "lpis"))["invalid_alpcpg_area", "al_area + pc_area + pg_area"]
    assert (finding["ids"], finding["details"]) == (["3"], ["1.0016 ha of 1.0000 ha"])


def test_a_total_is_compared_with_the_outline_in_hectares():
    """Rule 10: the original compares 1.2 ha with 3600 m2 and finds nothing."""
    totals = {"tot_area": [1.2, 0.36, 0.3601], "lpis_rp_id": ["a", "b", "c"]}
    shapes = [square(0, 0, 60), square(100, 0, 60), square(200, 0, 60)]
    columns = {"al_area": [0.0] * 3, "pg_area": [0.0] * 3}
    finding = found(validate(arrow("lpis", shapes, **totals, **columns), "lpis"))["invalid_tot_area", "tot_area"]
    assert finding["ids"] == ["a", "c"]
    assert finding["details"] == ["1.2000 ha declared, 0.3600 ha drawn", "0.3601 ha declared, 0.3600 ha drawn"]


def test_an_outline_that_cancels_itself_is_no_reason_to_doubt_the_total():
    """Rule 10: the original lists it, as of area 0."""
    bow = shapely.Polygon([(X, Y), (X + 9, Y + 9), (X + 9, Y), (X, Y + 9)])
    assert counts(validate(arrow("lpis", [bow]), "lpis")) == {"lpis_notvalid_geom_cnt": 1}


def test_rules_about_outlines_are_left_out_where_there_are_none():
    steps = {step.name: step for step in validate(arrow("lpis"), "lpis").steps}
    assert steps["rule 5: overlaps"].status == "Skipped"
    assert steps["rule 10: totals of outlines"].message == "no outlines in lpis"
    assert steps["rule 9: sums of total"].status == "Success"


# -- claims ----------------------------------------------------------------------------------------------------------


def test_claimed_parcels_that_nobody_declared_are_counted_once():
    """Rule 11."""
    claims = arrow("ua_claimed", gsa_par_id=["1", "2", "2", "3"], ua=list("abcd"), gsa_code=["x", "x", "x", "x"])
    gsa = arrow("gsa", gsa_par_id=["1", "3"], gsa_code=["x", "y"])
    finding = found(validate(claims, "ua", None, gsa))["claimed_parcel_missing", "gsa_par_id"]
    assert (finding["ids"], finding["details"]) == (["2", "3"], ["claims: 2", "claims: 1"])
    plain = validate(claims.drop_columns("gsa_code"), "ua", None, gsa)
    assert found(plain)["claimed_parcel_missing", "gsa_par_id"]["ids"] == ["2"]


def test_claims_of_nothing_are_found():
    """Rule 12; the first layer of the original does not look at claim_area."""
    finding = found(validate(arrow("ua_claimed", ua=["U1", None, "U1"], claim_area=[0.0, -1.0, 0.0001]), "ua"))[
        "invalid_zero_claim_area", "claim_area"
    ]
    assert (finding["ids"], finding["details"]) == (["2 + (empty)", "1 + U1"], ["-1.0000 ha", "0.0000 ha"])


def test_claims_are_compared_with_the_outline_in_hectares_and_counted_one_by_one():
    """Rule 13: the original compares hectares with square metres."""
    gsa = arrow("gsa", [square(0, 0), square(200, 0)], gsa_par_id=["1", "2"])
    claims = arrow("ua_claimed", gsa_par_id=["1", "1", "1", "2"], ua=list("abcd"), claim_area=[1.0, 1.0001, 9.0, 0.0])
    finding = found(validate(claims, "ua", None, gsa))["invalid_claim_area", "claim_area"]
    assert finding["ids"] == ["1 + c", "1 + b"]
    assert finding["details"][1] == "1.0001 ha claimed, 1.0000 ha drawn"


def test_unit_amounts_that_nobody_claims_are_listed():
    """Rule 14, which the first layer of the original does not report."""
    answer = validate(arrow("ua_claimed"), "ua", arrow("interventions", ua=["U1", "U2"]))
    assert {rule: row["ids"] for (rule, _), row in found(answer).items()} == {"unclaimed_ua_cnt": ["U2"]}


def test_groups_and_interventions_are_counted_as_what_they_are():
    """Rules 15 and 16: the original counts 3 groups for I1, which are unit amounts."""
    columns = {"ua": list("abcd"), "ua_grp": ["G1", "G1", "G2", "G3"], "interv": ["I1", "I1", "I1", "I2"]}
    answer = validate(arrow("interventions", **columns), "inter")
    statistics = {row["rule"]: row for row in answer.findings.to_pylist()}
    groups, interventions = statistics["ua_grp_cnt"], statistics["interv_cnt"]
    assert (groups["count"], groups["details"]) == (3, ["3", "2", "1", "1.3333"])
    assert (interventions["count"], interventions["details"]) == (2, ["2", "2", "1", "1.5"])
    assert interventions["ids"] == [
        "interv_cnt",
        "max_ua_grp_per_interv",
        "min_ua_grp_per_interv",
        "avg_ua_grp_per_interv",
    ]
    assert answer.clean


def test_the_largest_and_smallest_parcels_are_listed_which_the_original_only_promises():
    shapes = [square(200 * number, 0, 10 + number) for number in range(25)]
    rows = {row["rule"]: row for row in validate(arrow("gsa", shapes), "gsa").findings.to_pylist()}
    assert rows["gsa_extreme_parcels"]["ids"] == [str(row) for row in [*range(25, 15, -1), *range(10, 0, -1)]]
    assert rows["gsa_extreme_parcels"]["details"][0] == "0.1156 ha"


def test_tables_that_belong_together_are_validated_at_once(tmp_path):
    lpis = arrow("lpis", [square(0, 0), square(50, 0)])
    answer = validate_tables(
        lpis=lpis,
        gsa=csv(tmp_path, "gsa"),
        gsa_lpis=csv(tmp_path, "gsa_lpis"),
        interventions=arrow("interventions"),
        ua_claimed=arrow("ua_claimed", gsa_par_id=["1", "2"], ua=["1", "1"]),
    )
    assert counts(answer) == {"validate_relation_gsa": 1, "lpis_overlap_cnt": 1, "claimed_parcel_missing": 1}
    assert [step.table for step in answer.steps if step.name == "check_nulls"] == [
        "lpis",
        "gsa",
        "gsa_lpis",
        "interventions",
        "ua_claimed",
    ]


def test_no_table_at_all_is_refused():
    with pytest.raises(InvalidInputError, match="at least one of: lpis, gsa"):
        validate_tables()


def test_a_table_without_its_columns_does_not_keep_the_others_from_being_validated():
    answer = validate_tables(
        lpis=arrow("lpis").drop_columns("tot_area"), ua_claimed=arrow("ua_claimed", claim_area=[-1.0])
    )
    assert counts(answer) == {"validate_columns": 1, "invalid_zero_claim_area": 1}


# -- report ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report():
    """A validation with errors, warnings, statistics and hostile text."""
    columns = {"lpis_rp_id": ["<script>alert(1)</script>"] * 2 + [str(row) for row in range(98)]}
    return validate(arrow("lpis", [square(0, 0)] * 100, tot_area=["<b>"] * 100, **columns), "lpis")


def test_the_page_is_whole_by_itself_and_nothing_in_it_is_run(report, tmp_path):
    report.write(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page)
    for row in report.findings.to_pylist():
        assert row["rule"] in page
    assert "The first 50 of 100 places; a report in JSON or Parquet has all" in page


def test_json_and_parquet_have_everything(report, tmp_path):
    report.write(tmp_path / "report.json")
    report.write(tmp_path / "report.parquet")
    document = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert document["findings"] == report.findings.to_pylist()
    assert document["clean"] is False
    assert [step["name"] for step in document["steps"]][:3] == ["read", "validate_columns", "validate_dtypes"]
    table = pq.read_table(tmp_path / "report.parquet")
    assert table.to_pylist() == document["findings"]
    assert json.loads(table.schema.metadata[b"validation"])["summary"] == report.summary
    for row in document["findings"]:
        assert len(row["rows"]) == len(row["ids"]) == len(row["details"]) or not row["rows"]
        assert all(row[name] for name in ("meaning", "mend", "step", "rule", "message"))


def test_a_report_of_another_ending_or_place_is_refused(report, tmp_path):
    with pytest.raises(InvalidInputError, match=r"give it the ending \.html, \.json, \.parquet"):
        report.write(tmp_path / "report.pdf")
    (tmp_path / "none").write_text("a file")
    with pytest.raises(SourceError, match="choose another place"):
        report.write(tmp_path / "none" / "report.html")


# -- sql -------------------------------------------------------------------------------------------------------------

EMPTY = {
    "texts": {"row": pa.int64(), "a": pa.string()},
    "areas": {"row": pa.int64(), "a": pa.float64()},
    "keys": {"row": pa.int64(), "first": pa.string(), "second": pa.string()},
    "claimed": {"row": pa.int64(), "value": pa.string()},
    "known": {"value": pa.string()},
    "outlines": [("owner", pa.string()), *STATES, ("id", pa.string())],
    "pairs": [("owner", pa.string()), *geometries.PAIRS_FOUND],
    "lpis_read": {"row": pa.int64(), "id": pa.string()} | dict.fromkeys(AREAS, pa.float64()),
    "claims_read": {"row": pa.int64()}
    | dict.fromkeys(("gsa_code", "gsa_par_id", "ua"), pa.string())
    | {"claim_area": pa.float64()},
    "gsa": {"gsa_code": pa.string(), "gsa_par_id": pa.string()},
    "interventions": {"row": pa.int64(), "ua": pa.string(), "ua_grp": pa.string(), "interv": pa.string()},
}
"""The columns of the tables that rules are asked of."""


@pytest.mark.parametrize(
    "query",
    [q for q in queries.statements().values() if q.name.startswith("validation.") and "macro" not in q.sql],
    ids=lambda q: q.name,
)
def test_every_rule_runs_on_empty_tables(query):
    connection = duckdb.connect()
    for name, schema in EMPTY.items():
        connection.register(name, pa.schema(schema).empty_table())
    connection.execute(queries.get("validation.hectares").sql)
    for name in ("lpis", "claims"):
        connection.sql(queries.get(f"validation.{name}").sql).create_view(name)
    names = set().union(*(part.named_parameters for part in connection.extract_statements(query.sql)))
    answer = connection.sql(query.sql, params=dict.fromkeys(names)).to_arrow_table()
    assert answer.num_rows == (1 if "statistics" in query.name else 0)


@pytest.mark.parametrize(("columns", "status"), [({}, 0), ({"main_crop": [""]}, 1), ({"gsa_hol_id": [None]}, 1)])
def test_the_command_says_by_its_status_whether_there_are_findings(tmp_path, workspace, columns, status):
    file = csv(tmp_path, "gsa", **columns)
    for ending in ("html", "json", "parquet"):
        report = tmp_path / f"report.{ending}"
        command = ["qa", "validate", f"--input-file={file}", "--table-type=gsa", f"--report={report}"]
        assert CliRunner().invoke(app, command).exit_code == status
        assert report.stat().st_size > 0


@pytest.mark.parametrize("srid", [999999, None])
def test_the_command_ends_with_2_where_nothing_can_be_read(tmp_path, workspace, srid):
    if srid:
        csv(tmp_path, "gsa", wkt=[f"SRID={srid};POLYGON ((0 0, 1 1, 2 0, 0 0))"])
    else:
        csv(tmp_path, "gsa", text="")
    for path in (tmp_path / "gsa.csv", tmp_path / "none.csv", tmp_path):
        done = CliRunner().invoke(app, ["qa", "validate", f"--input-file={path}", "--table-type=gsa"])
        assert done.exit_code == 2
        assert "Traceback" not in done.output


@pytest.mark.parametrize(("crs", "count"), [(3035, 1), (4326, 1)])
def test_a_bow_tie_has_no_area_in_any_coordinate_system(crs, count):
    tie = shapely.Polygon([(X, Y), (X + 100, Y + 100), (X + 100, Y), (X, Y + 100)])
    square = shapely.box(X + 500, Y, X + 600, Y + 100)
    move = Transformer.from_crs(3035, crs, always_xy=True).transform
    shapes = [shapely.transform(shape, move, interleaved=False) for shape in (tie, square)]
    answer = validate_tables(lpis=arrow("lpis", shapes, crs, lpis_rp_id=["1", "2"], tot_area=[1.2, 1.2]))
    assert found(answer)["invalid_tot_area", "tot_area"]["count"] == count


def test_every_page_template_is_shipped_beside_the_code():
    assert (Path(geometries.__file__).parent / "report.html").is_file()
