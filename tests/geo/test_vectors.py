"""Texts, names and geometries of a file arrive as they were meant, whatever format and encoding an agency wrote."""

import json
import struct
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather
from shapely.geometry import box
from typer.testing import CliRunner

from cbm_lake import parcels
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files import charsets
from cbm_lake.files.guessing import ranked
from cbm_lake.geo import vectors
from cbm_lake.lake import Lake

X, Y = 600_000, 5_300_000
CROPS = {
    "Polish": ("cp1250", "cp852", "pszenica ozima,żyto,jęczmień,gorczyca biała,słonecznik,rośliny pastewne,łąka"),
    "Czech": ("cp1250", "cp852", "pšenice ozimá,ječmen jarní,řepka,kukuřice,travní porost,vojtěška,mák,hrách"),
    "Slovak": ("cp1250", "cp852", "pšenica ozimná,jačmeň,kukurica,lúka,ďatelina,hrášok,ľan"),
    "Hungarian": ("cp1250", "cp852", "búza őszi,őszi árpa,napraforgó,szőlő,cukorrépa,tönkölybúza"),
    "Croatian": ("cp1250", "cp852", "pšenica ozima,ječam,šljiva,grožđe,djetelina"),
    "Romanian": ("cp1250", "cp852", "grâu,porumb,viţă de vie,rapiţă,păşune"),
    "Bulgarian": ("cp1251", "cp866", "пшеница,ечемик,слънчоглед,царевица,лозя,овощни градини"),
    "Greek": ("cp1253", "cp737", "σιτάρι,κριθάρι,βαμβάκι,ελιές,αμπέλια,ΜΑΛΑΚΟ ΣΙΤΑΡΙ"),
    "French": (
        "cp1252",
        "cp850",
        "Maïs,Blé tendre d'hiver,Orge été,Prairie de légumineuses,Luzerne déshydratée,Féverole",
    ),
    "German": ("cp1252", "cp850", "Größe,Grünland,Zuckerrüben,Körnermais,Dauergrünland"),
    "Danish": ("cp1252", "cp850", "Vårbyg,Græs og kløvergræs,Rødsvingel,Ærter"),
    "Spanish": ("cp1252", "cp850", "maíz,viñedo,Cártamo,Algarrobo y garrofín"),
    "Portuguese": ("cp1252", "cp850", "milho grão,feijão,prados e pastagens,pomóideas,nogueira e avelã"),
    "Latvian": ("cp1257", "cp775", "kvieši,mieži,ilggadīgie zālāji,kartupeļi,zirņi,āboliņš"),
    "Lithuanian": ("cp1257", "cp775", "kviečiai,miežiai,daugiametės ganyklos,žirniai,sėmeninės kanapės"),
    "Turkish": ("cp1254", "cp857", "buğday,mısır,ayçiçeği,şeker pancarı,çayır,üzüm"),  # noqa: RUF001
}
"""Names of crops, and in which code pages of Windows and of DOS they are written."""


def square(number):
    return box(X + 100 * number, Y, X + 100 * number + 80, Y + 80)


def frame(**columns):
    columns = columns or {"pid": ["1"]}
    size = len(next(iter(columns.values())))
    return gpd.GeoDataFrame(columns, geometry=[square(number) for number in range(size)], crs=32631)


def shapefile(file, crops, encoding, *, cpg=None, driver=0):
    """A shapefile with texts in an encoding, which its .cpg or its language driver may declare."""
    frame(pid=[str(number) for number in range(len(crops))], crop_name=crops).to_file(file, encoding=encoding)
    file.with_suffix(".cpg").unlink(missing_ok=True)
    if cpg is not None:
        file.with_suffix(".cpg").write_text(cpg)
    dbf = bytearray(file.with_suffix(".dbf").read_bytes())
    dbf[29] = driver
    file.with_suffix(".dbf").write_bytes(dbf)
    return file


def replaced(file, old, new):
    """A file of which some bytes are others, as many as before."""
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new.ljust(len(old), b"\0" if b"\0" in old else b" ")))


def crops_of(found, name="crop_name"):
    return found.columns[name].to_pylist()


# -- encodings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        *[(label, "cp1250") for label in ("ANSI 1250", "1250", "windows-1250", "cp-1250", "win1250\n", "LDID/200")],
        *[(label, "cp1250") for label in ("MS1250", "LDID/0xC8")],
        *[(label, "cp852") for label in ("OEM 852", "IBM852", "852", "LDID/135", "LDID/0135", "MS-DOS 852")],
        *[(label, "iso8859-1") for label in ("88591", "8859-1", "ISO-8859-1", "ISO 88591", "latin 1", "28591")],
        *[(label, "utf-8") for label in ("UTF8", "UTF-8", "utf_8", "65001", "\ufeffUTF-8", "US-ASCII")],
        *[(label, None) for label in ("ANSI", "OEM", "system", "", "LDID/87", "klingon", "base64", "rot13")],
        *[(label, "iso8859-2") for label in ("Latin 2", "latin-2", "ISO Latin 2", "L2")],
        ("iso-8859-15", "iso8859-15"),
        ("885915", "iso8859-15"),
        ("936", "gbk"),
    ],
)
def test_a_label_of_an_encoding_is_understood_in_every_spelling(label, codec):
    assert charsets.codec_of(label) == codec


@pytest.mark.parametrize("language", CROPS)
@pytest.mark.parametrize("page", [0, 1], ids=["windows", "dos"])
def test_crop_names_without_any_sign_are_read_in_their_code_page(tmp_path, language, page):
    crops = CROPS[language][2].split(",")
    found = vectors.read_noted(str(shapefile(tmp_path / "set.shp", crops, CROPS[language][page])))
    assert crops_of(found) == crops
    assert "is assumed, as" in found.notes[0]
    assert "say encoding=" in found.notes[0]


@pytest.mark.parametrize(
    ("crops", "encoding", "cpg", "driver"),
    [
        (["Œillette", "€"], "cp1252", None, 0x57),
        (["Œillette", "€"], "cp1252", None, 0),
        (["łąka", "búza őszi"], "cp1250", None, 0x57),
        (["łąka"], "cp1250", None, 0),
        (["łąka"], "cp1250", "ANSI 1250", 0),
        (["łąka"], "cp1250", None, 0xC8),
        (["łąka"], "cp852", "OEM 852", 0x57),
        (["łąka"], "cp852", None, 0x64),
        (["řepka"], "cp1250", "1250", 0x57),
        (["пшеница"], "cp1251", None, 0),
        (["Maïs"], "utf-8", None, 0x57),
        (["Maïs"], "utf-8", "ISO-8859-1", 0),
        (["łąka"], "utf-8", None, 0x03),
        (["łąka", "żyto"], "cp1250", "UTF-8", 0),
        (["Blé"], "cp1252", None, 0),
        (["Blé", "Pré"], "cp1252", "UTF-8", 0),
        (["小麦"], "gbk", "936", 0),
        (["wheat"], "utf-8", None, 0x57),
    ],
)
def test_texts_of_a_shapefile_are_read_by_the_evidence(tmp_path, crops, encoding, cpg, driver):
    file = shapefile(tmp_path / "set.shp", crops, encoding, cpg=cpg, driver=driver)
    assert crops_of(vectors.read_noted(str(file))) == crops


@pytest.mark.parametrize(("cpg", "said"), [("ISO-8859-1", "its .cpg says ISO-8859-1, but the texts are valid UTF-8")])
def test_a_declaration_that_the_bytes_deny_is_reported(tmp_path, cpg, said):
    assert said in vectors.read_noted(str(shapefile(tmp_path / "set.shp", ["Maïs"], "utf-8", cpg=cpg))).notes[0]
    denied = vectors.read_noted(str(shapefile(tmp_path / "b.shp", ["łąka"], "cp1250", cpg="UTF-8"))).notes[0]
    assert denied.startswith("its .cpg says UTF-8, but the texts are not in it; cp1250 is assumed, as 'łąka'")


def test_a_declared_encoding_is_followed_but_a_likelier_one_is_named(tmp_path):
    found = vectors.read_noted(str(shapefile(tmp_path / "set.shp", ["łąka", "żyto"], "cp1250", cpg="1252")))
    assert crops_of(found) == ["³¹ka", "¿yto"]
    assert "but cp1250 is likelier, as 'łąka'" in found.notes[0]


def test_what_needs_no_guess_is_not_remarked(tmp_path):
    assert vectors.read_noted(str(shapefile(tmp_path / "a.shp", ["Maïs"], "utf-8", cpg="UTF-8"))).notes == ()
    assert vectors.read_noted(str(shapefile(tmp_path / "b.shp", ["łąka"], "cp852", cpg="OEM 852"))).notes == ()
    assert vectors.read_noted(str(shapefile(tmp_path / "c.shp", ["rye"], "cp1252"))).notes == ()


def test_a_text_that_two_code_pages_read_well_is_reported_with_both(tmp_path):
    note = vectors.read_noted(str(shapefile(tmp_path / "set.shp", ["Œillette"], "cp1252"))).notes[0]
    assert "may be cp1" in note


def test_the_user_says_the_encoding(tmp_path):
    file = str(shapefile(tmp_path / "set.shp", ["řepka"], "cp1250"))
    assert crops_of(vectors.read_noted(file, encoding="windows-1250")) == ["řepka"]
    assert vectors.read_noted(file, encoding="1250").notes == ()
    with pytest.raises(InvalidInputError, match=r"set\.shp: 1 texts, as b'\\xf8epka', are not in UTF-8; .*encoding="):
        vectors.read_noted(file, encoding="UTF-8")
    with pytest.raises(InvalidInputError, match="encoding='klingon' is not known"):
        vectors.read_noted(file, encoding="klingon")


def test_an_encoding_against_the_evidence_is_obeyed_and_reported(tmp_path):
    found = vectors.read_noted(str(shapefile(tmp_path / "set.shp", ["Maïs"], "utf-8")), encoding="cp1252")
    assert crops_of(found) == ["MaÃ¯s"]
    assert "are valid UTF-8, as 'Maïs', but are read as cp1252" in found.notes[0]


@pytest.mark.parametrize("cpg", ["UTF-8", None, "1252"])
def test_a_text_cut_inside_a_character_costs_that_text_only(tmp_path, cpg):
    file = shapefile(tmp_path / "set.shp", ["Maïs", "Orge été ", "Blé"], "utf-8", cpg=cpg)
    replaced(file.with_suffix(".dbf"), "Orge été ".encode(), "Orge ét".encode() + b"\xc3")
    found = vectors.read_noted(str(file))
    assert crops_of(found) == ["Maïs", "Orge ét", "Blé"]
    assert "1 text of column crop_name cut or damaged, read as 'Orge ét'" in found.notes


@given(st.lists(st.text(st.characters(codec="cp1250", exclude_categories=["Cc"]), min_size=1), min_size=1))
def test_what_is_not_ascii_is_decoded_and_nothing_else(texts):
    for codec, wide in (("cp1250", False), ("cp1250", True), ("utf-8", False), ("utf-8", True)):
        raw = [text.encode(codec) for text in texts]
        stored = [text.decode("latin-1").encode() if wide else text for text in raw]
        column = pa.chunked_array([pa.array([*stored, None], pa.binary()).view(pa.string())])
        assert charsets.decoded(column, codec, wide=wide) == (pa.chunked_array([[*texts, None]], pa.string()), [])


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_names_of_columns_are_decoded_too(tmp_path, encoding):
    file = shapefile(tmp_path / "set.shp", ["Dauergrünland"], encoding)
    replaced(file.with_suffix(".dbf"), b"crop_name\0", "Größe".encode(encoding) + b"\0")
    found = vectors.read_noted(str(file))
    assert found.columns.column_names == ["pid", "Größe"]
    assert crops_of(found, "Größe") == ["Dauergrünland"]


def test_a_shapefile_in_a_zip_is_read_in_its_own_encoding(tmp_path):
    shapefile(tmp_path / "set.shp", ["řepka"], "cp1250", cpg="ANSI 1250")
    file = zipped(tmp_path / "set.zip", *((part, f"łąki/SET{part.suffix}") for part in tmp_path.glob("set.*")))
    assert crops_of(vectors.read_noted(file)) == ["řepka"]


GEOJSON = (
    '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"crop": "łąka"}, "geometry": '
    '{"type": "Polygon", "coordinates": [[[5, 52], [5.01, 52], [5.01, 52.01], [5, 52]]]}}]}'
)
GML = (
    '<?xml version="1.0" encoding="{}"?><ogr:FeatureCollection xmlns:ogr="http://ogr.maptools.org/" '
    'xmlns:gml="http://www.opengis.net/gml"><gml:featureMember><ogr:p><ogr:geometryProperty>'
    '<gml:Polygon srsName="EPSG:32631"><gml:outerBoundaryIs><gml:LinearRing><gml:coordinates>0,0 80,0 80,80 0,0'
    "</gml:coordinates></gml:LinearRing></gml:outerBoundaryIs></gml:Polygon></ogr:geometryProperty>"
    "<ogr:crop>łąka</ogr:crop></ogr:p></gml:featureMember></ogr:FeatureCollection>"
)
MIF = (
    'Version 300\n{}Delimiter ","\nCoordSys Earth Projection 8, 104, "m", 3, 0, 0.9996, 500000, 0\nColumns 2\n'
    "  crop Char(10)\n  łąka Char(20)\nData\n\nRegion 1\n4\n0 0\n80 0\n80 80\n0 0\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1250"])
def test_geojson_in_another_encoding_is_recoded(tmp_path, encoding):
    (tmp_path / "set.geojson").write_bytes(GEOJSON.encode(encoding))
    assert crops_of(vectors.read_noted(str(tmp_path / "set.geojson")), "crop") == ["łąka"]


@pytest.mark.parametrize("encoding", ["UTF-8", "windows-1250", "ISO-8859-2", "utf-16"])
def test_gml_is_read_in_the_encoding_that_it_declares(tmp_path, encoding):
    (tmp_path / "set.gml").write_bytes(GML.format(encoding).encode(encoding))
    assert crops_of(vectors.read_noted(str(tmp_path / "set.gml")), "crop") == ["łąka"]


@pytest.mark.parametrize("charset", ['Charset "Neutral"\n', 'Charset "WindowsLatin2"\n', ""])
def test_mapinfo_without_a_character_set_is_read_in_that_of_its_texts(tmp_path, charset):
    (tmp_path / "set.mif").write_bytes(MIF.format(charset).encode("cp1250"))
    (tmp_path / "set.mid").write_bytes('"łąka","żyto"\n'.encode("cp1250"))
    assert vectors.read_noted(str(tmp_path / "set.mif")).columns.to_pylist() == [{"crop": "łąka", "łąka": "żyto"}]


# -- identifiers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["gpkg", "shp", "fgb", "geojson", "parquet", "csv"])
@pytest.mark.parametrize("name", ["fid", "OGC_FID", "FID"])
def test_the_row_number_has_one_name_in_all_formats(lake, tmp_path, ending, name):
    file = tmp_path / f"set.{ending}"
    rows = frame(block=["7", "7"])
    if ending == "csv":
        pd.DataFrame({"block": rows["block"], "wkt": rows.to_wkt()["geometry"]}).to_csv(file, index=False)
    else:
        rows.to_parquet(file) if ending == "parquet" else rows.to_crs(4326 if ending == "geojson" else 32631).to_file(
            file
        )
    loaded = parcels.load(file, "aa", 2024, pid=name, crs=32631 if ending == "csv" else None, lake=lake)
    assert (
        f"{name} is the file's own numbering of its rows; another delivery may number other parcels so" in loaded.notes
    )
    assert len(set(ids(lake))) == 2


def test_row_numbers_stand_for_no_column_that_something_else_needs(tmp_path):
    frame(a=["1"]).to_file(tmp_path / "set.gpkg")
    assert vectors.read(str(tmp_path / "set.gpkg"), key="fid").columns.column_names == ["a", "fid"]
    assert vectors.read(str(tmp_path / "set.gpkg"), key="ogc_fid").columns.column_names == ["a"]


@pytest.mark.parametrize("ending", ["parquet", "shp", "fgb", "geojson"])
def test_a_column_fid_in_other_capitals_is_not_passed_over_for_row_numbers(lake, tmp_path, ending):
    file = tmp_path / f"set.{ending}"
    parcels_with_fid = frame(FID=[9, 8])
    parcels_with_fid.to_parquet(file) if ending == "parquet" else parcels_with_fid.to_crs(4326).to_file(file)
    with pytest.raises(InvalidInputError, match="column 'FID'; say pid=FID for the column, or pid=ogc_fid for the"):
        parcels.load(file, "aa", 2024, pid="fid", lake=lake)
    parcels.load(file, "aa", 2024, pid="FID", lake=lake)
    assert ids(lake) == ["8", "9"]
    parcels.load(file, "aa", 2024, pid="ogc_fid", lake=lake)
    assert ids(lake) == ["0", "1"]


def ids(lake):
    return [row["pid"] for row in lake.sql("select pid from parcels order by pid").to_pylist()]


def test_several_columns_make_one_identifier(lake, tmp_path):
    frame(block=["7", "7", "7~A"], part=["A~B", None, "B"]).to_file(tmp_path / "set.gpkg")
    parcels.load(tmp_path / "set.gpkg", "aa", 2024, pid="block, part", lake=lake)
    assert ids(lake) == ["7%7EA~B", "7~", "7~A%7EB"]
    assert {"block", "part"} <= set(lake.read_parcels(lake.parcel_set("aa", 2024)).column_names)


@given(st.lists(st.tuples(st.text("~%a7E", max_size=4), st.text("~%a7E", max_size=4)), min_size=2, unique=True))
def test_different_parts_never_make_the_same_identifier(pairs):
    from cbm_lake.parcels.columns import _joined

    columns = [pa.array(part, pa.string()) for part in zip(*pairs, strict=True)]
    joined = [name for name in _joined(columns).to_pylist() if name is not None]
    assert len(set(joined)) == len(joined)


def test_a_column_with_a_comma_in_its_name_is_that_column(lake, tmp_path):
    frame(**{"a,b": ["x"], "a": ["y"], "b": ["z"]}).to_parquet(tmp_path / "set.parquet")
    parcels.load(tmp_path / "set.parquet", "aa", 2024, pid="a,b", lake=lake)
    assert ids(lake) == ["x"]


def test_without_an_identifier_those_that_could_be_it_are_named_first(lake, tmp_path):
    frame(farm=["x", "x"], area=[1.5, 2.5], code=["b", "a"], gap=[None, "1"]).to_file(tmp_path / "set.gpkg")
    with pytest.raises(
        InvalidInputError, match=r"say pid= one of: code, farm, area, gap \(each row has its own code; fid"
    ):
        parcels.load(tmp_path / "set.gpkg", "aa", 2024, lake=lake)


def test_without_an_identifier_two_columns_that_tell_rows_apart_are_named(lake, tmp_path):
    frame(block=["1", "1", "2"], part=["a", "b", "a"], crop=["x"] * 3).to_file(tmp_path / "set.gpkg")
    with pytest.raises(InvalidInputError, match='"block,part" tells the rows apart'):
        parcels.load(tmp_path / "set.gpkg", "aa", 2024, lake=lake)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ([70, 71], ["70", "71"]),
        (["70", "b"], ["70", "b"]),
        ([7, "b"], ["7", "b"]),
        ([2**62, 1], ["1", str(2**62)]),
    ],
)
def test_the_ids_of_geojson_features_are_identifiers(lake, tmp_path, given, stored):
    parcels.load(geojson(tmp_path / "set.geojson", given), "aa", 2024, lake=lake)
    assert ids(lake) == stored


def geojson(file, numbers):
    features = [
        {"type": "Feature", "id": number, "properties": {"a": 1}, "geometry": shapely.geometry.mapping(shape)}
        for number, shape in zip(numbers, (box(x, 52, x + 0.01, 52.01) for x in range(9)), strict=False)
    ]
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return file


def test_ids_of_geojson_features_that_stand_twice_are_refused_as_they_stand(lake, tmp_path):
    with pytest.raises(InvalidInputError, match="1 identifiers in column 'id' stand in several rows: '7'"):
        parcels.load(geojson(tmp_path / "set.geojson", [7, 7]), "aa", 2024, lake=lake)


def test_ids_of_geojson_features_that_only_count_are_reported(lake, tmp_path):
    loaded = parcels.load(geojson(tmp_path / "set.geojson", [0, 1]), "aa", 2024, lake=lake)
    assert any("only count the rows" in note for note in loaded.notes)


def test_what_is_guessed_stands_in_the_result_and_on_the_command_line(lake, workspace, tmp_path):
    file = tmp_path / "set.gpkg"
    frame(pid=["1"], gewas=["rye"], EC_hcat_n=["rye_hcat"]).to_file(file)
    notes = parcels.load(file, "aa", 2024, lake=lake).notes
    assert notes == (
        "column pid is taken for the parcel's identifier; another by pid=",
        "column gewas is taken for the crop's name (EC_hcat_n may be too); another by crop_name=",
        "column EC_hcat_n has no HCAT codes of ten digits or names of HCAT, but 'rye_hcat' (1)",
    )
    shown = CliRunner().invoke(app, ["parcels", "load", str(file), "--aoi", "bb", "--year", "2024"]).output
    assert "column gewas is taken for the crop's name (EC_hcat_n may be too); another by --crop-name" in shown
    assert "crop_name=" not in shown


def test_a_file_without_a_known_crop_is_reported_with_its_columns(lake, tmp_path):
    frame(pid=["1"], use=["arable"]).to_file(tmp_path / "set.gpkg")
    notes = parcels.load(tmp_path / "set.gpkg", "aa", 2024, lake=lake).notes
    assert "no column is known to be the crop; say crop_name= or crop_code= one of: use" in notes


def test_the_encoding_is_an_option_of_the_command_line(workspace, tmp_path):
    file = shapefile(tmp_path / "set.shp", ["řepka"], "cp1250")
    command = ["parcels", "load", str(file), "--aoi", "aa", "--year", "2024"]
    assert "error" not in CliRunner().invoke(app, [*command, "--encoding", "cp1250"]).output
    from cbm_lake.lake import open_lake

    assert open_lake().sql("select crop_name from parcels").to_pylist() == [{"crop_name": "řepka"}]


def test_messages_of_the_command_line_name_options(workspace, tmp_path):
    frame(a=["1"]).to_file(tmp_path / "set.gpkg")
    command = ["parcels", "load", str(tmp_path / "set.gpkg"), "--aoi", "aa", "--year", "2024"]
    assert "say --pid one of: a" in str(CliRunner().invoke(app, command).exception)


# -- archives, layers --------------------------------------------------------------------------------------------------


def zipped(file, *members):
    with zipfile.ZipFile(file, "w") as archive:
        for source, name in members:
            archive.write(source, name)
    return str(file)


def rows_of(path, layer=None):
    return len(vectors.read_noted(str(path), layer).geometries)


def test_a_file_geodatabase_in_a_zip_is_read_whatever_its_folder(tmp_path):
    frame(pid=["1", "2"]).to_file(tmp_path / "p.gdb", driver="OpenFileGDB", layer="parcels")
    for folder in ("p.gdb", "deep/er/p.gdb", "folder", ""):
        file = zipped(
            tmp_path / "p.zip",
            *((part, f"{folder}/{part.name}".lstrip("/")) for part in (tmp_path / "p.gdb").iterdir()),
        )
        assert rows_of(file) == rows_of(file, "parcels") == 2
    with pytest.raises(InvalidInputError, match=r"p\.zip has no layer 'x'; its layers: parcels"):
        vectors.read_noted(file, "x")


def test_a_zip_of_several_files_asks_for_one_and_takes_paths(tmp_path):
    frame(pid=["1"]).to_file(tmp_path / "s.gpkg", layer="old")
    frame(pid=["1", "2"]).to_file(tmp_path / "s.gpkg", layer="new")
    frame(pid=["1", "2", "3"]).to_parquet(tmp_path / "q.parquet")
    members = [(tmp_path / "s.gpkg", f"{year}/s.gpkg") for year in (2023, 2024)]
    file = zipped(tmp_path / "all.zip", *members, (tmp_path / "q.parquet", "q.parquet"))
    for layer in (None, "nope", "s"):
        with pytest.raises(InvalidInputError, match=r"2023/s\.gpkg, 2024/s\.gpkg, q\.parquet; say which by layer="):
            vectors.read_noted(file, layer)
    assert rows_of(file, "q") == rows_of(file, "q.parquet") == 3
    assert rows_of(file, "2024/s/new") == rows_of(file, "2024/s.gpkg/new") == 2
    with pytest.raises(InvalidInputError, match="its layers: old, new"):
        vectors.read_noted(file, "2024/s")


def test_the_parts_of_a_shapefile_in_a_zip_may_be_named_in_other_capitals(tmp_path):
    """As Windows allows; elsewhere GDAL would read the outlines without their attributes."""
    frame(id=["1"], crop=["rye"]).to_file(tmp_path / "set.shp")
    for name in ("SET.dbf", "Set.DBF", "set.dbf"):
        members = [(part, name if part.suffix == ".dbf" else part.name) for part in tmp_path.glob("set.*")]
        found = vectors.read_noted(zipped(tmp_path / f"{name}.zip", *members))
        assert found.columns.to_pylist() == [{"id": "1", "crop": "rye"}]
    (tmp_path / "set.dbf").rename(tmp_path / "SET.dbf")
    with pytest.raises(InvalidInputError, match=r"set\.shp: its table is called SET\.dbf; name it as set\.shp"):
        vectors.read_noted(str(tmp_path / "set.shp"))


def test_what_is_wrong_in_an_archive_is_said_without_the_folder_of_its_copy(tmp_path):
    frame(id=["1"]).to_file(tmp_path / "set.shp")
    parts = [(part, part.name) for part in tmp_path.glob("set.*") if part.suffix != ".shx"]
    with pytest.raises(SourceError, match=r"/set\.zip cannot be read \(Unable to open set\.shx or set\.SHX\)"):
        vectors.read_noted(zipped(tmp_path / "set.zip", *parts))


def test_arrow_as_polars_writes_it_is_loaded(tmp_path):
    """Its texts and bytes are views, of which few functions of Arrow take one."""
    wkb = [shapely.to_wkb(square(number)) for number in range(2)]
    pl.DataFrame({"id": ["0012", "2"], "wkb": wkb, "soil": ["łąka", None]}).write_ipc(tmp_path / "p.arrow")
    lake = Lake(str(tmp_path / "lake"))
    parcels.load(tmp_path / "p.arrow", "aa", 2024, crs=32631, lake=lake)
    assert lake.sql("select id, soil from fiboa_parcels order by id").to_pylist() == [
        {"id": "0012", "soil": "łąka"},
        {"id": "2", "soil": None},
    ]


def test_geoparquet_in_a_zip_is_read_also_in_parts(tmp_path):
    frame().to_parquet(tmp_path / "q.parquet")
    assert rows_of(zipped(tmp_path / "a.zip", (tmp_path / "q.parquet", "x/q.parquet"))) == 1
    parts = [(tmp_path / "q.parquet", f"parts.parquet/{number}.parquet") for number in range(3)]
    assert rows_of(zipped(tmp_path / "b.zip", *parts)) == 3


def test_a_zip_without_an_ending_is_found_by_its_content(tmp_path):
    frame().to_file(tmp_path / "s.gpkg")
    zipped(tmp_path / "download", (tmp_path / "s.gpkg", "s.gpkg"))
    assert rows_of(tmp_path / "download") == 1


@pytest.mark.parametrize(
    "name", ["a.7z", "a.7z.001", "a.rar", "a.tar.gz", "a.tgz", "a.geojson.gz", "a.tar.xz", "a.zst"]
)
def test_other_archives_are_to_be_unpacked(tmp_path, name):
    (tmp_path / name).write_bytes(b"?")
    with pytest.raises(SourceError, match=r"is an archive .*; unpack it"):
        vectors.read_noted(str(tmp_path / name))


@pytest.mark.parametrize("magic", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x01\x00", b"\x1f\x8b\x08"])
def test_another_archive_under_a_wrong_name_is_to_be_unpacked(tmp_path, magic):
    (tmp_path / "a.zip").write_bytes(magic + b"0" * 50)
    with pytest.raises(SourceError, match=r"is an archive .*; unpack it"):
        vectors.read_noted(str(tmp_path / "a.zip"))


def test_an_archive_with_backslashes_for_slashes_is_to_be_unpacked_and_it_is_said_why(tmp_path):
    frame().to_file(tmp_path / "set.gpkg")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(tmp_path / "set.gpkg", "2024\\set.gpkg")
    with pytest.raises(SourceError, match="has backslashes where slashes belong"):
        vectors.read(str(tmp_path / "set.zip"))


def test_archives_in_archives_and_encrypted_ones_are_refused_by_name(tmp_path):
    frame().to_file(tmp_path / "s.gpkg")
    inner = zipped(tmp_path / "in.zip", (tmp_path / "s.gpkg", "s.gpkg"))
    with pytest.raises(InvalidInputError, match=r"holds other archives: x/in\.zip; unpack"):
        vectors.read_noted(zipped(tmp_path / "out.zip", (inner, "x/in.zip")))
    content = bytearray((tmp_path / "in.zip").read_bytes())
    content[content.find(b"PK\1\2") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(content)
    with pytest.raises(SourceError, match="is encrypted; unpack it with its password"):
        vectors.read_noted(str(tmp_path / "secret.zip"))


# -- Parquet, Arrow, tables --------------------------------------------------------------------------------------------


def test_parts_of_a_partitioned_table_are_one_file_with_its_keys(tmp_path):
    for number in (0, 1):
        (tmp_path / f"set/year={2023 + number}").mkdir(parents=True)
        frame(pid=[str(number)]).to_parquet(tmp_path / f"set/year={2023 + number}/part.parquet")
    (tmp_path / "set/_temporary.parquet").write_bytes(b"?")
    found = vectors.read_noted(str(tmp_path / "set"))
    assert found.columns.to_pylist() == [{"pid": "0", "year": "2023"}, {"pid": "1", "year": "2024"}]
    assert found.crs.to_epsg() == 32631


def test_a_folder_of_parquet_and_other_files_is_no_folder_of_parts(tmp_path):
    frame().to_parquet(tmp_path / "a.parquet")
    frame().to_file(tmp_path / "b.gpkg")
    with pytest.raises(InvalidInputError, match=r"several formats: a\.parquet, b\.gpkg; give one of them"):
        vectors.read(str(tmp_path))


def test_parts_in_several_coordinate_systems_are_refused(tmp_path):
    (tmp_path / "set").mkdir()
    frame().to_parquet(tmp_path / "set/a.parquet")
    frame().to_crs(3035).to_parquet(tmp_path / "set/b.parquet")
    with pytest.raises(InvalidInputError, match="several coordinate systems"):
        vectors.read_noted(str(tmp_path / "set"))


@pytest.mark.parametrize("name", ["x.pq", "x.parq", "x.geoparquet", "x", "x.data"])
def test_geoparquet_is_known_whatever_its_name(tmp_path, name):
    frame().to_parquet(tmp_path / name)
    assert rows_of(tmp_path / name) == 1


@pytest.mark.parametrize("values", ["wkb", "wkt", "ewkt", "hex", "json"])
def test_parquet_without_metadata_is_known_by_its_values(tmp_path, values):
    shape = shapely.set_srid(square(0), 32631)
    value = {
        "wkb": shape.wkb,
        "wkt": shape.wkt,
        "ewkt": f"SRID=32631;{shape.wkt}",
        "hex": shapely.to_wkb(shape, hex=True, include_srid=True),
        "json": shapely.to_geojson(shape),
    }[values]
    pq.write_table(
        pa.table({"pid": ["1"], "note": ["POLYGON"], "blob": [b"\1\2"], "where": [value]}), tmp_path / "x.parquet"
    )
    found = vectors.read_noted(str(tmp_path / "x.parquet"))
    assert found.geometries[0].equals(square(0))
    assert found.columns.column_names == ["pid", "note", "blob"]
    assert (found.crs.to_epsg() if found.crs else None) == (32631 if values in ("ewkt", "hex") else None)


def test_the_geometry_type_of_parquet_is_read(tmp_path):
    import duckdb

    file = tmp_path / "native.parquet"
    rows = f"select '1' as pid, '{square(0).wkt}'::geometry as shape"
    duckdb.sql(f"copy ({rows}) to '{file}' (format parquet, geoparquet_version 'NONE')")
    found = vectors.read_noted(str(file))
    assert found.geometries[0].equals(square(0))
    assert found.crs is None  # longitude and latitude by the format's rule, but these are metres
    assert found.columns.column_names == ["pid"]


def test_json_of_an_arcgis_server_is_read_without_remarks(tmp_path):
    ring = [[23.5, 54.1], [23.5, 54.2], [23.6, 54.2], [23.6, 54.1], [23.5, 54.1]]
    text = {
        "geometryType": "esriGeometryPolygon",
        "spatialReference": {"wkid": 4326},
        "fields": [{"name": "BLOKAS_ID", "type": "esriFieldTypeString", "alias": "BLOKAS_ID", "length": 11}],
        "features": [{"attributes": {"BLOKAS_ID": "0467-3875"}, "geometry": {"rings": [ring]}}],
    }
    (tmp_path / "set.json").write_text(json.dumps(text))
    found = vectors.read_noted(str(tmp_path / "set.json"))
    assert found.columns["BLOKAS_ID"].to_pylist() == ["0467-3875"]
    assert found.geometries[0].equals(shapely.Polygon(ring))
    assert found.notes == ()


def test_unclosed_rings_are_closed(tmp_path):
    corners = list(square(0).exterior.coords)[:-1]
    wkb = b"\1" + struct.pack("<III", 3, 1, 4) + b"".join(struct.pack("<dd", *corner) for corner in corners)
    frame().to_parquet(tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    number = table.schema.get_field_index("geometry")
    pq.write_table(table.set_column(number, table.schema.field(number), pa.array([wkb])), tmp_path / "x.parquet")
    assert vectors.read_noted(str(tmp_path / "x.parquet")).geometries[0].equals(square(0))


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
def test_arrow_and_geoarrow_are_read(tmp_path, encoding):
    feather.write_feather(pa.table(frame().to_arrow(geometry_encoding=encoding)), str(tmp_path / "a.arrow"))
    frame().to_parquet(tmp_path / "b.parquet", geometry_encoding=encoding)
    frame().to_feather(tmp_path / "c.feather")
    for name in ("a.arrow", "b.parquet", "c.feather"):
        found = vectors.read_noted(str(tmp_path / name))
        assert found.geometries[0].equals(square(0))
        assert found.crs.to_epsg() == 32631


@pytest.mark.parametrize("name", ["x.parquet", "x.feather"])
def test_a_layer_or_encoding_of_a_format_without_is_refused(tmp_path, name):
    frame().to_parquet(tmp_path / name) if name.endswith("parquet") else frame().to_feather(tmp_path / name)
    with pytest.raises(InvalidInputError, match="has no layers; leave out layer="):
        vectors.read_noted(str(tmp_path / name), "x")
    with pytest.raises(InvalidInputError, match="leave out encoding="):
        vectors.read_noted(str(tmp_path / name), encoding="UTF-8")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1250"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_with_a_column_of_geometries_is_read(tmp_path, encoding, separator):
    rows = pd.DataFrame(
        {"pid": ["0012", "2"], "crop": ["łąka", ""], "obrys": [f"SRID=32631;{square(0).wkt}", square(1).wkt]}
    )
    rows.to_csv(tmp_path / "x.csv", sep=separator, index=False, encoding=encoding)
    found = vectors.read_noted(str(tmp_path / "x.csv"))
    assert found.columns.to_pylist() == [{"pid": "0012", "crop": "łąka"}, {"pid": "2", "crop": None}]
    assert found.crs.to_epsg() == 32631
    assert found.geometries[1].equals(square(1))


def test_csv_with_points_only_is_refused(tmp_path):
    pd.DataFrame({"pid": ["1"], "lon": [5.0], "lat": [52.0]}).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(InvalidInputError, match=r"none of its columns \(pid, lon, lat\) holds geometries"):
        vectors.read_noted(str(tmp_path / "x.csv"))


def test_excel_with_a_column_of_geometries_is_read_from_the_sheet_that_has_it(tmp_path):
    rows = pd.DataFrame({"pid": ["0012"], "Fläche": ["ä"], "shape_wkt": [square(0).wkt]})
    with pd.ExcelWriter(tmp_path / "x.xlsx", engine="xlsxwriter") as book:
        pd.DataFrame({"a": ["read me"]}).to_excel(book, sheet_name="info", index=False)
        rows.to_excel(book, sheet_name="data", index=False)
    found = vectors.read_noted(str(tmp_path / "x.xlsx"))
    assert found.columns.to_pylist() == [{"pid": "0012", "Fläche": "ä"}]
    assert found.geometries[0].equals(square(0))
    assert "sheet data is read, the only one with geometries" in found.notes
    with pytest.raises(InvalidInputError, match="its sheets: info, data"):
        vectors.read_noted(str(tmp_path / "x.xlsx"), "nope")


def test_geometries_in_several_coordinate_systems_are_refused(tmp_path):
    texts = [f"SRID={code};{square(0).wkt}" for code in (32631, 3035)]
    pd.DataFrame({"pid": ["1", "2"], "g": texts}).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(InvalidInputError, match="several coordinate systems: 3035, 32631"):
        vectors.read_noted(str(tmp_path / "x.csv"))


@pytest.mark.parametrize("name", ["wkb_geometry", "ogr_geometry", "geom", "OGC_FID", "fid"])
def test_attributes_may_have_the_names_of_geometry_and_row_number(tmp_path, name):
    frame(pid=["1"], **{name: ["5"]}).to_crs(4326).to_file(tmp_path / "x.geojson")
    found = vectors.read_noted(str(tmp_path / "x.geojson"))
    assert found.columns.to_pylist() == [{"pid": "1", name: "5"}]
    assert found.geometries[0].geom_type == "Polygon"


def test_measures_and_heights_are_dropped_from_outlines(lake, tmp_path):
    corners = list(square(0).exterior.coords)
    kinds = {"M": " 1", "ZM": " 1 2", "Z": " 3"}
    rings = {kind: ", ".join(f"{x} {y}{more}" for x, y in corners) for kind, more in kinds.items()}
    shapes = shapely.from_wkt([f"POLYGON {kind} (({ring}))" for kind, ring in rings.items()])
    gpd.GeoDataFrame({"pid": ["1", "2", "3"]}, geometry=shapes, crs=32631).to_parquet(tmp_path / "x.parquet")
    parcels.load(tmp_path / "x.parquet", "aa", 2024, lake=lake)
    stored = gpd.read_parquet(lake.parcel_set("aa", 2024).path).geometry
    assert stored.geom_equals(gpd.GeoSeries([square(0)] * 3, crs=32631)).all()
    assert not stored.has_z.any()


# -- coordinate systems ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsg", [4258, 2154, 3067, 25832, 32631, 2100, 3301])
def test_exchanged_axes_are_refused_and_right_ones_are_not(lake, tmp_path, epsg):
    import pyproj

    area = pyproj.CRS(epsg).area_of_use
    lon, lat = (area.west + area.east) / 2, (area.south + area.north) / 2
    shape = gpd.GeoSeries([box(lon, lat, lon + 0.001, lat + 0.001)], crs=4326).to_crs(epsg)
    gpd.GeoDataFrame({"pid": ["1"]}, geometry=shape).to_file(tmp_path / "right.gpkg")
    assert parcels.load(tmp_path / "right.gpkg", "aa", 2024, lake=lake).parcels == 1
    exchanged = shapely.transform(shape.to_numpy(), lambda points: points[:, ::-1])
    gpd.GeoDataFrame({"pid": ["1"]}, geometry=exchanged, crs=epsg).to_file(tmp_path / "wrong.gpkg")
    with pytest.raises(InvalidInputError, match="would if x and y were exchanged"):
        parcels.load(tmp_path / "wrong.gpkg", "bb", 2024, lake=lake)


@pytest.mark.parametrize("crs", ["EPSG:3857", "+proj=laea +lat_0=40 +lon_0=-3 +x_0=500000 +y_0=6000000 +ellps=GRS80"])
def test_exchanged_axes_are_refused_in_projections_whose_area_is_not_said(lake, tmp_path, crs):
    right = gpd.GeoSeries([box(9, 50, 9.001, 50.001)], crs=4326).to_crs(crs)
    gpd.GeoDataFrame({"pid": ["1"]}, geometry=right).to_parquet(tmp_path / "right.parquet")
    assert parcels.load(tmp_path / "right.parquet", "aa", 2024, lake=lake).parcels == 1
    exchanged = shapely.transform(right.to_numpy(), lambda points: points[:, ::-1])
    gpd.GeoDataFrame({"pid": ["1"]}, geometry=exchanged, crs=crs).to_parquet(tmp_path / "wrong.parquet")
    with pytest.raises(InvalidInputError, match="do not lie in Europe, but would if x and y were exchanged"):
        parcels.load(tmp_path / "wrong.parquet", "bb", 2024, lake=lake)


def test_longitude_and_latitude_in_each_others_stead_are_refused_unless_they_are_said_to_be_right(lake, tmp_path):
    gpd.GeoDataFrame({"pid": ["1"]}, geometry=[box(52, 5, 52.001, 5.001)], crs=4326).to_file(tmp_path / "x.geojson")
    with pytest.raises(InvalidInputError, match=r"\(52\.0005, 5\.0005\) do not lie in Europe, but would if"):
        parcels.load(tmp_path / "x.geojson", "aa", 2024, lake=lake)
    assert parcels.load(tmp_path / "x.geojson", "aa", 2024, crs=4326, lake=lake).parcels == 1


@pytest.mark.parametrize(
    "place", [(-61.5, 16.2), (55.5, -21.1), (-53.0, 4.0), (45.1, -12.8), (33.0, 35.0), (-16.5, 28.3)]
)
def test_the_unions_parcels_overseas_are_in_europe(lake, tmp_path, place):
    lon, lat = place
    gpd.GeoDataFrame({"pid": ["1"]}, geometry=[box(lon, lat, lon + 0.001, lat + 0.001)], crs=4326).to_file(
        tmp_path / "x.gpkg"
    )
    assert parcels.load(tmp_path / "x.gpkg", "aa", 2024, lake=lake).parcels == 1


def test_a_geocentric_system_is_refused(lake, tmp_path):
    frame().to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InvalidInputError, match="counts from the earth's centre"):
        parcels.load(tmp_path / "x.parquet", "aa", 2024, crs=4978, lake=lake)


def test_metres_in_a_system_of_degrees_are_refused(lake, tmp_path):
    frame().set_crs(4326, allow_override=True).to_file(tmp_path / "x.gpkg")
    with pytest.raises(InvalidInputError, match="says WGS 84, but its coordinates look like metres"):
        parcels.load(tmp_path / "x.gpkg", "aa", 2024, lake=lake)


# -- national files --------------------------------------------------------------------------------------------------


def national():
    """The table of the documentation: what a file is, and the cells that are asserted."""
    page = (Path(__file__).parents[2] / "docs" / "parcels.md").read_text()
    rows = page.partition("| file | its columns |")[2].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("|")]


@pytest.mark.thorough
@pytest.mark.parametrize(("file", "columns", "options", "pid", "name", "code"), national(), ids=lambda cell: cell[:20])
def test_a_national_file_is_loaded_by_the_command_that_is_documented(
    workspace, lake, tmp_path, file, columns, options, pid, name, code
):
    values = {column: [f"{column} 1", f"{column} 2"] for column in columns.split()}
    frame(**values).to_parquet(tmp_path / "set.parquet")
    command = ["parcels", "load", str(tmp_path / "set.parquet"), "--aoi", "aa", "--year", "2024"]
    run = CliRunner().invoke(app, [*command, *options.strip("`").split()])
    assert run.exit_code == 0, run.exception
    first = {
        "pid": "0" if pid == "fid" else "~".join(f"{part} 1" for part in pid.split(",")),
        "crop_name": f"{name} 1" if name else None,
        "crop_code": f"{code} 1" if code else None,
    }
    assert first in lake.sql("select pid, crop_name, crop_code from parcels").to_pylist()


def test_at_least_27_national_files_are_documented():
    assert len({file[:2] for file, *_ in national()}) >= 23
    assert len(national()) >= 27


def test_a_crop_column_without_values_is_not_taken_where_another_has_some(lake, tmp_path):
    frame(field_id=["1"], crop_code=[None], EC_hcat_c=["3301"]).astype({"crop_code": "string"}).to_parquet(
        tmp_path / "x.parquet"
    )
    parcels.load(tmp_path / "x.parquet", "aa", 2024, lake=lake)
    assert lake.sql("select crop_code from parcels").to_pylist() == [{"crop_code": "3301"}]


# -- real files --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "crop"),
    [
        ("parcels/at_gsaa_2025.parquet", {}, ("SNAR_CODE", "SNAR_BEZEICHNUNG")),
        ("parcels/dk_gsaa_2026.parquet", {"pid": "Journalnr,Marknr"}, ("Afgkode", "Afgroede")),
        ("parcels/fr_rpg_near_lyon.parquet", {"pid": "id_parcel"}, ("code_cultu", None)),
        ("parcels/fr_rpg_near_lyon.geojson", {"pid": "id"}, ("code_cultu", None)),
        ("parcels/nl_brp_2023.parquet", {"pid": "fid"}, ("gewascode", "gewas")),
        ("parcels/fiboa_geoparquet/be_vlg_2024_fiboa_0_2.parquet", {}, ("crop:code", "crop:name")),
        ("parcels/fiboa_geoparquet/dk_2024_fiboa_0_2.parquet", {"pid": "fid"}, ("crop:code", "crop:name")),
        ("parcels/fiboa_geoparquet/fiboa_spec_example.parquet", {}, (None, None)),
        ("s2_herault_2018/original_reference_data/france_data_2018.shp", {"pid": "fid"}, (None, "EC_hcat_n")),
        ("s2_herault_2018/parcels.parquet", {}, (None, "EC_hcat_n")),
    ],
)
def test_national_extracts_are_loaded_by_one_call_with_their_crops(lake, realdata, name, options, crop):
    file = realdata / name
    source = gpd.read_parquet(file) if file.suffix == ".parquet" else gpd.read_file(file)
    assert parcels.load(file, "aa", 2024, lake=lake, **options).parcels == len(source)
    stored = lake.sql("select crop_code, crop_name from parcels").to_pylist()
    for column, theirs in zip(("crop_code", "crop_name"), crop, strict=True):
        values = [row[column] for row in stored if row[column] is not None]
        expected = [] if theirs is None else source[theirs].dropna()
        as_text = [str(int(value)) if isinstance(value, float) else str(value) for value in expected]
        assert sorted(values) == sorted(as_text)


def test_the_guess_is_the_same_in_whatever_order_texts_come():
    texts = [crop.encode("cp1250") for crop in CROPS["Polish"][2].split(",")]
    assert ranked(texts)[0] == ranked(list(reversed(texts)))[0]
    assert np.isfinite(ranked(texts)[0][0])
