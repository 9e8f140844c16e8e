"""Parcels named by files: the column of identifiers is found by its values, whatever is written above it."""

import io
import json
import zipfile

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from factories import PIDS, fill, outline, parcels

from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.get import lists

KEYS = (("ms", 2024, ""), ("zz", 2023, "other"))


@pytest.fixture
def lake(lake):
    fill(lake)
    lake.add_parcels(*KEYS[1], "v1", parcels(("7", "0008"), [("rye", "2")] * 2))
    return lake


def names(folder, lake, content, name, key=KEYS[0], **options):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return lists.pids(file, *key, lake=lake, **options)


@pytest.mark.thorough
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("heading", ["parcelid", "pid", "Flurstück", "x"])
def test_the_column_of_a_table_is_found_by_its_values(tmp_path, lake, heading, delimiter, encoding):
    lines = [("crop", heading, "Größe"), ("wheat", "0012", "1"), ("rye", "a/b", "2"), ("rye", "0012", "3")]
    text = "\n".join(delimiter.join(line) for line in lines)
    assert names(tmp_path, lake, text.encode(encoding), "list.csv") == ["0012", "a/b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0012\n12\n", ["0012", "12"]),
        ("id\n0012\n", ["0012"]),
        ("0012, 12;a/b", ["0012", "12;a/b"]),
        ("0012,12,a/b\n", ["0012", "12", "a/b"]),
        ("0012;wheat\n12;rye\n", ["0012", "12"]),
        ("nobody\nnothing\n", ["nobody", "nothing"]),
        ('"what it is"\r\n"0012"\r\n', ["0012"]),
    ],
)
def test_a_list_needs_no_heading(tmp_path, lake, text, expected):
    assert names(tmp_path, lake, text, "list.txt") == expected


def test_each_area_and_year_has_its_own(tmp_path, lake):
    text = "a;b\n12;7\n0012;0008\n"
    assert names(tmp_path, lake, text, "list.csv") == ["12", "0012"]
    assert names(tmp_path, lake, text, "list.csv", KEYS[1]) == ["7", "0008"]


def test_where_several_columns_fit_it_is_asked_and_where_none_does_said(tmp_path, lake):
    text = "one,two,crop\n0012,12,wheat\n12,a/b,rye\n"
    with pytest.raises(InvalidInputError, match=r"the columns one, two of list\.csv all hold parcels"):
        names(tmp_path, lake, text, "list.csv")
    assert names(tmp_path, lake, text, "list.csv", column="two") == ["12", "a/b"]
    with pytest.raises(InvalidInputError, match="no column 'three'; it has one, two, crop"):
        names(tmp_path, lake, text, "list.csv", column="three")
    with pytest.raises(InvalidInputError, match=r"none of the columns of list\.csv \(one, two, crop\)"):
        names(tmp_path, lake, text, "list.csv", KEYS[1])
    assert names(tmp_path, lake, "pid,other\n0012,12\n12,0012\n", "list.csv") == ["0012", "12"]


def test_a_column_that_is_called_so_goes_before_one_of_numbers_that_are_parcels_by_chance(tmp_path, lake):
    text = "rank,pid\n12,0012\n12,0012\n12,gone\n"
    assert names(tmp_path, lake, text, "list.csv") == ["0012", "gone"]


def test_of_two_columns_of_one_heading_neither_is_lost(tmp_path, lake):
    assert names(tmp_path, lake, "x,x\n0012,wheat\n12,rye\n", "list.csv") == ["0012", "12"]
    assert names(tmp_path, lake, "x,x\nwheat,0012\nrye,12\n", "list.csv") == ["0012", "12"]
    with pytest.raises(InvalidInputError, match=r"the columns x, x \(2\) of list\.csv"):
        names(tmp_path, lake, "x,x\n0012,12\n12,0012\n", "list.csv")


@pytest.mark.parametrize("numbers", [False, True])
def test_a_workbook_is_read_as_a_table(tmp_path, lake, numbers):
    content = io.BytesIO()
    cells = [12, 12] if numbers else ["0012", "12"]
    with pd.ExcelWriter(content) as book:
        pd.DataFrame({"crop": ["wheat", "rye"], "Schlag": cells}).to_excel(book, sheet_name="plots", index=False)
    assert names(tmp_path, lake, content.getvalue(), "list.xlsx") == (["12"] if numbers else ["0012", "12"])


def collection(properties, epsg=4326, where=(0, 2)):
    shapes = gpd.GeoSeries([outline(number) for number in where], crs=32631).to_crs(epsg)
    features = [
        {"type": "Feature", "properties": each, "geometry": shape and json.loads(shapely.to_geojson(shape))}
        for each, shape in zip(properties, shapes, strict=True)
    ]
    crs = {"crs": {"type": "name", "properties": {"name": f"EPSG:{epsg}"}}} if epsg != 4326 else {}
    return json.dumps({"type": "FeatureCollection", "features": features, **crs})


@pytest.mark.parametrize("epsg", [4326, 32631])
def test_geojson_names_parcels_by_a_property_else_by_its_shapes(tmp_path, lake, epsg):
    named = collection([{"n": 1, "ref": "12"}, {"n": 2, "ref": "0012"}], epsg)
    assert names(tmp_path, lake, named, "some.geojson") == ["12", "0012"]
    drawn = collection([{"n": "north"}, {"n": "south"}], epsg)
    assert sorted(names(tmp_path, lake, drawn, "some.json")) == sorted([PIDS[0], PIDS[2]])
    with pytest.raises(NotFoundError, match="no parcel of zz 2023 meets the shapes"):
        names(tmp_path, lake, collection([{}, {}], epsg, (50, 51)), "some.geojson", KEYS[1])


def test_a_geopackage_in_an_archive_is_read_too(tmp_path, lake):
    gpd.GeoDataFrame({"Nr": ["a/b"]}, geometry=[outline(0)], crs=32631).to_file(tmp_path / "a.gpkg")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(tmp_path / "a.gpkg", "a.gpkg")
    assert names(tmp_path, lake, packed.getvalue(), "a.zip") == ["a/b"]


@pytest.mark.parametrize(
    ("content", "name"), [("", "a.csv"), (" \n", "a.txt"), ("{", "a.geojson"), ("PK", "a.xlsx"), ("a", "a.gpkg")]
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, lake, content, name):
    with pytest.raises((SourceError, InvalidInputError), match=name):
        names(tmp_path, lake, content, name)


@pytest.mark.parametrize("name", ["none.csv", "none.txt", "none.xlsx", "none.geojson", "none"])
def test_a_file_that_is_not_there_or_no_table_is_said(tmp_path, lake, name):
    with pytest.raises((SourceError, InvalidInputError, NotFoundError), match="none"):
        lists.pids(tmp_path / name, *KEYS[0], lake=lake)
    with pytest.raises(SourceError, match=r"a\.csv cannot be read as a table"):
        names(tmp_path, lake, 'pid;crop\n0012;"' + "x" * 200_000, "a.csv")
