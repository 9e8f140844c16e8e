"""Parcels, rasters and classes as they come, and the files that are written: whole, together, and readable."""

import functools
import json
from concurrent.futures import ThreadPoolExecutor, wait

import factories
import foi_rules
import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from affine import Affine
from filelock import SoftFileLock
from foi_rules import CLASSES, GRID, box, files_of_at_most, flags, halves

from cbm_lake import foi
from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError, SourceError
from cbm_lake.foi import drafts, outputs
from cbm_lake.foi.classes import read_classes


@pytest.fixture
def files(tmp_path, workspace):
    """Makes a raster and a Shapefile; gives their paths."""
    return functools.partial(foi_rules.write, tmp_path)


# -- inputs ----------------------------------------------------------------------------------------------------------


def test_parcels_in_another_coordinate_system_are_reprojected(files):
    parcels, raster = files(halves(), [box(2, 2, 16, 16)], parcels_crs=4326)
    plain, buffered = foi.v2(parcels, raster, CLASSES), foi.v2(parcels, raster, CLASSES, -10)
    assert flags(plain, "total") == [256]
    assert flags(buffered, "total") == [196]
    assert gpd.read_file(plain.files["foih_v2.gpkg"]).crs.to_epsg() == 4326


@pytest.mark.thorough
def test_parcels_at_the_other_end_of_the_world_lie_off_the_raster(files, tmp_path):
    _, raster = files(np.ones((20, 20)), [box(0, 0)])
    near = gpd.GeoSeries([box(0, 0)], crs=32631).to_crs(4326)[0]
    shapes = [near, shapely.box(100, -95, 101, -92), None]
    gpd.GeoDataFrame({"id": [1, 2, 3]}, geometry=shapes, crs=4326).to_file(tmp_path / "far.gpkg")
    plain, buffered = (foi.v2(tmp_path / "far.gpkg", raster, CLASSES, distance) for distance in (0, -10))
    assert (plain.skipped_foih["Non overlapping"], plain.skipped_foih["Buffer_error"]) == ([2], [3])
    assert (buffered.skipped_foih["Buffered non overlapping"], buffered.skipped_foih["Buffer_error"]) == ([2], [3])
    assert flags(foi.v1(tmp_path / "far.gpkg", raster, CLASSES), "total")[1:] == [0, 0]


@pytest.mark.parametrize("ending", ["gpkg", "parquet", "geojson"])
def test_parcels_may_come_as(files, tmp_path, ending):
    parcels, raster = files(halves(), [box(0, 0), box(0, 10)], fid=[5, 6], total=[1, 2])
    frame = gpd.read_file(parcels).astype({"total": "int16"})
    other = tmp_path / f"q.{ending}"
    frame.to_parquet(other) if ending == "parquet" else frame.rename(columns={"fid": "Fid_"}).to_file(other)
    found = foi.v2(other, raster, CLASSES)
    assert flags(found, "total") == [400, 200]  # what the parcels had of that name gives way
    assert len(gpd.read_file(found.files["foih_v2.gpkg"])) == 2


def test_a_parcel_may_have_a_column_fid(files, tmp_path):
    parcels, raster = files(halves(), [box(0, 0), box(0, 0)], fid=[5, 5])
    found = foi.v2(parcels, raster, CLASSES)
    assert gpd.read_file(found.files["foih_v2.gpkg"])["fid"].tolist() == [5, 5]


def test_classes_come_as_yaml_or_dict(tmp_path):
    (tmp_path / "c.yml").write_text("category_map:\n  1: Grass\n  '2': Winter wheat\n")
    assert read_classes(tmp_path / "c.yml") == {1: "Grass", 2: "Winter wheat"}
    assert read_classes({"category_map": {1: "a"}}) == read_classes({"1": "a"}) == {1: "a"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("category_map: {1.5: a}", "'1.5' is no pixel value"),
        ("category_map: {1: a, 2: A}", "classes 1 and 2 are both called 'A'"),
        ("category_map: {1: ''}", "class 1 has no name"),
        ("category_map: {1: }", "class 1 has no name"),
        ("category_map: {1: a, '1': b}", "stands there twice"),
        ("category_map: []", "no classes"),
        ("", "no classes"),
    ],
)
def test_wrong_classes_are_refused(tmp_path, text, problem):
    (tmp_path / "c.yml").write_text(text)
    with pytest.raises((InvalidInputError, SourceError), match=problem):
        read_classes(tmp_path / "c.yml")


@pytest.mark.parametrize("version", [foi.v1, foi.v2])
@pytest.mark.parametrize("name", ["foi_h", "FOI_C", "total", "clusters", "largest", "OBJECTID", "P_Maize"])
def test_no_class_takes_the_name_of_a_result_or_of_the_identifier(files, version, name):
    parcels, raster = files(halves(), [box(0, 0)])
    with pytest.raises(InvalidInputError, match="rename"):
        version(parcels, raster, {1: name, 2: "Maize"})


def test_a_value_that_stands_twice_in_a_file_is_not_passed_over(tmp_path):
    (tmp_path / "c.yml").write_text("category_map:\n  1: Grass\n  2: Maize\n  1: Wheat\n")
    with pytest.raises(SourceError, match=r"c\.yml cannot be read \(a value stands there twice \(1\) .* line 4"):
        read_classes(tmp_path / "c.yml")


def test_classes_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "c.yml").write_text("a: [")
    for name in ("c.yml", "none.yml"):
        with pytest.raises(SourceError, match=f"{name} cannot be read"):
            read_classes(tmp_path / name)


def test_rasters_that_do_not_serve_are_refused(files, tmp_path):
    parcels, raster = files(np.ones((20, 20)), [box(0, 0)])
    profile = {"driver": "GTiff", "height": 4, "width": 4, "crs": "EPSG:32631", "transform": GRID}
    turned = {**profile, "transform": GRID @ Affine.rotation(5)}
    for name, problem, options in (
        ("bands", "has 2 bands", {**profile, "count": 2, "dtype": "uint8"}),
        ("floats", "holds float32", {**profile, "count": 1, "dtype": "float32"}),
        ("complex", "holds complex_int16", {**profile, "count": 1, "dtype": "complex_int16"}),
        ("turned", "is rotated", {**turned, "count": 1, "dtype": "uint8"}),
    ):
        with rasterio.open(tmp_path / f"{name}.tif", "w", **options):
            pass
        with pytest.raises(InvalidInputError, match=problem):
            foi.v2(parcels, tmp_path / f"{name}.tif", CLASSES)
    with pytest.raises(SourceError, match="cannot be read"):
        foi.v2(parcels, tmp_path / "none.tif", CLASSES)
    raster.write_bytes(raster.read_bytes()[:300])
    with pytest.raises(SourceError, match="cannot be read"):
        foi.v2(parcels, raster, CLASSES)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"negative_buffer": "a"}, "v2: negative_buffer='a' is not right"),
        ({"negative_buffer": 10}, "would make parcels larger"),
        ({"min_heterogeneity_threshold": None}, "v2: min_heterogeneity_threshold=None is not right"),
        ({"raster_file": None}, "v2: raster_file=None is not right"),
        ({"vector_file": 5}, "v2: vector_file=5 is not right"),
        ({"vector_file": gpd.GeoDataFrame({"a": range(99)})}, "v2: vector_file=GeoDataFrame is not right"),
        ({"yaml_file": {2**64: "grass"}}, f"{2**64} is no pixel value"),
    ],
)
def test_arguments_that_are_none_are_refused_in_one_line(files, options, problem):
    parcels, raster = files(np.ones((20, 20)), [box(0, 0)])
    with pytest.raises(InvalidInputError, match=problem) as caught:
        foi.v2(**{"vector_file": parcels, "raster_file": raster, "yaml_file": CLASSES, **options})
    assert "\n" not in str(caught.value)


def test_numbers_may_come_as_text_and_thresholds_beyond_all_pixels(files):
    parcels, raster = files(halves(), [box(0, 0)])
    told = foi.v2(parcels, raster, CLASSES, "0", "30", "70", "8", "20")
    assert (told.heterogeneous, told.of_several) == (1, 1)
    for threshold in (1e15, 1e19, 1e300):
        assert foi.v2(parcels, raster, CLASSES, cluster_threshold=threshold).of_several == 0
        assert foi.v1(parcels, raster, CLASSES, area_threshold=threshold).of_several == 0
    with pytest.raises(InvalidInputError, match="-1 parcels cannot be listed"):
        told.ranked(-1)


def test_identifiers_that_stand_twice_and_parcels_off_the_raster_are_told(files, caplog):
    parcels, raster = files(np.ones((20, 20)), [box(0, 0), box(0, 10)], id=["a", "a"])
    foi.v2(parcels, raster, CLASSES)
    assert (
        "the first column, id, is taken for the identifier, but 1 parcels have one that another has too" in caplog.text
    )
    assert "no parcel has a pixel" not in caplog.text
    far, raster = files(np.ones((20, 20)), [box(500, 500)])
    foi.v2(far, raster, CLASSES)
    assert "no parcel has a pixel of raster" in caplog.text


def test_parcels_that_do_not_serve_are_refused(files, tmp_path):
    parcels, raster = files(np.ones((20, 20)), [box(0, 0)])
    with pytest.raises(SourceError, match="there is no file"):
        foi.v2(tmp_path / "none.shp", raster, CLASSES)
    (tmp_path / "bad.gpkg").write_text("no")
    with pytest.raises(SourceError, match=r"bad\.gpkg cannot be read"):
        foi.v2(tmp_path / "bad.gpkg", raster, CLASSES)
    gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.Point(1, 1)], crs=32631).to_file(tmp_path / "points.gpkg")
    with pytest.raises(InvalidInputError, match="1 parcels are no polygons: a"):
        foi.v2(tmp_path / "points.gpkg", raster, CLASSES)
    gpd.read_file(parcels).to_file(tmp_path / "two.gpkg", layer="one")
    gpd.read_file(parcels).to_file(tmp_path / "two.gpkg", layer="other")
    with pytest.raises(InvalidInputError, match="layers: one, other; say which by layer="):
        foi.v2(tmp_path / "two.gpkg", raster, CLASSES)
    assert foi.v2(tmp_path / "two.gpkg", raster, CLASSES, layer="other").parcels == 1
    for wrong in ({}, {"vector_file": parcels, "aoi": "ms"}):
        with pytest.raises(InvalidInputError, match="either a file"):
            foi.v2(**{"vector_file": None, **wrong}, raster_file=raster, yaml_file=CLASSES)
    with pytest.raises(InvalidInputError, match="both aoi and year"):
        foi.v2(None, raster, CLASSES, aoi="ms")


@pytest.mark.parametrize(
    "wrong",
    [
        *[(0, 70, 30), (0, -1, 70), (0, 30, 101), (0, 30, 70, 6)],
        *[(0, 30, 70, 8, least) for least in (-1, np.nan, np.inf)],
        *[(np.nan,), (-np.inf,)],
    ],
)
def test_thresholds_out_of_range_are_refused(files, wrong):
    parcels, raster = files(np.ones((20, 20)), [box(0, 0)])
    with pytest.raises(InvalidInputError, match="give"):
        foi.v2(parcels, raster, CLASSES, *wrong)


def test_texts_of_a_shapefile_that_names_no_encoding_are_read(files, tmp_path, caplog):
    _, raster = files(halves(), [box(0, 0)])
    frame = gpd.GeoDataFrame({"id": [1], "n": ["Körnermais"]}, geometry=[box(0, 0)], crs=32631)
    for encoding in ("ISO-8859-1", "UTF-8"):
        frame.to_file(tmp_path / "old.shp", encoding=encoding)
        (tmp_path / "old.cpg").unlink()
        found = foi.v2(tmp_path / "old.shp", raster, CLASSES)
        assert flags(found, "n") == ["Körnermais"]
        for ending in ("shp", "gpkg", "parquet"):
            path = found.files[f"foih_v2.{ending}"]
            assert (gpd.read_parquet(path) if ending == "parquet" else gpd.read_file(path))["n"].tolist() == [
                "Körnermais"
            ]
    assert caplog.text.count("cp1252 is assumed, as 'Körnermais'") == 1


def test_a_raster_with_a_local_grid_is_one_without_coordinate_system(files):
    parcels, raster = files(halves(), [box(0, 0)], crs='LOCAL_CS["site",UNIT["metre",1]]')
    assert flags(foi.v2(parcels, raster, CLASSES, -10), "total") == [324]
    assert foi.v1(parcels, raster, CLASSES).of_several == 1


def test_buffers_and_areas_are_in_metres_where_maps_are_in_feet(files):
    foot = 1200 / 3937
    grid = Affine(10 / foot, 0, 984_000, 0, -10 / foot, 200_000)
    outline = shapely.box(grid.c, grid.f + 20 * grid.e, grid.c + 20 * grid.a, grid.f)
    parcels, raster = files(halves(share=0.95), [], crs=2263, grid=grid, OBJECTID=[])
    gpd.GeoDataFrame({"id": [1]}, geometry=[outline], crs=2263).to_file(parcels)
    assert flags(foi.v2(parcels, raster, CLASSES, -10), "total") == [324]
    assert [foi.v1(parcels, raster, CLASSES, 30, 70, area).of_several for area in (1999, 2000)] == [1, 0]


def test_areas_and_buffers_need_metres(files, tmp_path):
    parcels, raster = files(np.ones((20, 20)), [box(0, 0)], parcels_crs=4326)
    with rasterio.open(raster, "r+") as file:
        file.crs, file.transform = "EPSG:4326", Affine(0.001, 0, 2.99, 0, -0.001, 43.37)
    with pytest.raises(InvalidInputError, match="in degrees"):
        foi.v1(parcels, raster, CLASSES)
    with pytest.raises(InvalidInputError, match="in degrees"):
        foi.v2(parcels, raster, CLASSES, -10)


# -- outputs ---------------------------------------------------------------------------------------------------------


def test_short_names_stay_distinguishable():
    names = ["Winterwheat_1", "Winterwheat_2", "winterwheat", "P_Winterwheat_1", "P_Winterwheat_2", "id"]
    short = outputs.short_names(names)
    assert list(short.values()) == ["Winterwhea", "Winterwh_1", "winterwh_2", "P_Winterwh", "P_Winter_1", "id"]


def test_letters_with_accents_take_two_bytes_of_a_short_name():
    names = ["Körnerleguminosen", "Körnermais", "KÖRNERMAIS"]
    assert list(outputs.short_names(names).values()) == ["Körnerleg", "Körnermai", "KÖRNERM_1"]


def test_a_colon_is_no_letter_of_a_short_name():
    assert list(outputs.short_names(["crop:code", "crop_code"]).values()) == ["crop_code", "crop_cod_1"]


def test_columns_of_all_types_are_kept(files, tmp_path, caplog):
    parcels, raster = files(halves(), [box(0, 0)])
    frame = gpd.read_file(parcels).assign(
        long="x" * 300, when=pd.Timestamp("2024-05-01"), took=pd.Timedelta("1D"), none=None, Körnerleguminosen=True
    )
    frame.to_parquet(tmp_path / "q.parquet")
    found = foi.v2(tmp_path / "q.parquet", raster, CLASSES)
    assert "long: 1 texts of more than 254 bytes" in caplog.text
    row = gpd.read_file(found.files["foih_v2.gpkg"]).iloc[0]
    assert (row["long"], row["took"], row["none"], row["Körnerleguminosen"]) == (
        "x" * 300,
        "1 days 00:00:00",
        None,
        True,
    )
    assert "Körnerleg" in gpd.read_file(found.files["foih_v2.shp"]).columns


def test_names_that_collide_are_all_in_the_shapefile(files):
    parcels, raster = files(halves(), [box(0, 0)])
    found = foi.v2(parcels, raster, {1: "Winterwheat soft", 2: "Winterwheat hard"})
    row = gpd.read_file(found.files["foih_v2.shp"]).iloc[0]
    assert [row[name] for name in ("Winterwhea", "P_Winterwh", "Winterwh_1", "P_Winter_1")] == [200, 50, 200, 50]


def test_nothing_is_written_when_something_cannot_be(files, tmp_path, monkeypatch):
    parcels, raster = files(halves(), [box(0, 0)])
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        foi.v2(parcels, raster, CLASSES, folder=tmp_path / "file")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "_write_parquet", full)
    with pytest.raises(ConfigError, match="No space left"):
        foi.v2(parcels, raster, CLASSES, folder=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("ending", ["dbf", "gpkg"])
def test_a_file_that_there_was_no_room_for_is_told_and_not_left(files, tmp_path, monkeypatch, ending):
    parcels, raster = files(halves(), [box(0, 0)] * 60, OBJECTID=range(60), long=["x" * 250] * 60)
    if ending == "dbf":  # the larger one would fail first
        monkeypatch.setattr(outputs, "_write_gpkg", lambda *_: None)
    whole = foi.v2(parcels, raster, CLASSES, folder=tmp_path / "whole").files
    assert len(gpd.read_file(whole["foih_v2.shp"])) == 60
    size = (tmp_path / "whole" / f"p_foih_v2.{ending}").stat().st_size
    for room in (size - 1, *np.linspace(0.6, 0.95, 6) * size):
        with files_of_at_most(int(room)), pytest.raises(ConfigError, match="cannot be written"):
            foi.v2(parcels, raster, CLASSES, folder=tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []


def test_a_shapefile_that_cannot_hold_so_much_text_is_not_left_unreadable(files, tmp_path):
    _, raster = files(halves(), [box(0, 0)])
    texts = {f"t{number}": ["x" * 254] for number in range(260)}  # a row of more than 65,535 bytes
    gpd.GeoDataFrame({"id": [1], **texts}, geometry=[box(0, 0)], crs=32631).to_parquet(tmp_path / "q.parquet")
    with pytest.raises(ConfigError, match=r"q_foih_v2\.shp is not whole"):
        foi.v2(tmp_path / "q.parquet", raster, CLASSES, folder=tmp_path / "out")


def test_what_lay_beside_older_files_does_not_speak_for_newer_ones(files, tmp_path):
    parcels, raster = files(halves(), [box(0, 0)])
    foi.v2(parcels, raster, CLASSES, folder=tmp_path / "out")
    for name in ("p_foih_v2.qix", "p_foih_v2.gpkg-wal", "p_foih_v2.qml"):
        (tmp_path / "out" / name).write_text("of the older one")
    parcels.with_suffix(".prj").unlink()
    found = foi.v2(parcels, raster, CLASSES, folder=tmp_path / "out")
    assert gpd.read_file(found.files["foih_v2.shp"]).crs is None
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names.isdisjoint({"p_foih_v2.prj", "p_foih_v2.qix", "p_foih_v2.gpkg-wal"})
    assert "p_foih_v2.qml" in names  # how a user wants it drawn


def test_a_folder_of_the_name_of_a_file_keeps_all_files_away(files, tmp_path):
    parcels, raster = files(halves(), [box(0, 0)])
    (tmp_path / "out" / "p_foih_v2.shp").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"p_foih_v2\.shp is a folder"):
        foi.v2(parcels, raster, CLASSES, folder=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["p_foih_v2.shp"]


def test_a_run_waits_until_another_has_moved_its_files(files, tmp_path, monkeypatch):
    parcels, raster = files(halves(), [box(0, 0)])
    folder = tmp_path / "out"
    folder.mkdir()
    with SoftFileLock(folder / ".foi.lock"), ThreadPoolExecutor(1) as workers:
        later = workers.submit(foi.v2, parcels, raster, CLASSES, folder=folder)
        assert wait([later], timeout=0.5).not_done
        assert not list(folder.glob("p_*"))
        monkeypatch.setattr(drafts, "_WAIT", 0.1)
        with pytest.raises(ConfigError, match="cannot be written"):
            foi.v2(parcels, raster, CLASSES, folder=folder)
        (folder / ".foi.lock").unlink()
        assert later.result().files["foih_v2.shp"].exists()
    assert not list(folder.glob(".foi*"))


def test_columns_may_have_the_names_that_geopackage_uses_itself(files, tmp_path):
    _, raster = files(halves(), [box(0, 0)])
    columns = {"id": [1], "geom": ["a"], "fid": [7], "fid_": [8], "a": [2], "A": [3]}
    gpd.GeoDataFrame(columns, geometry=[box(0, 0)], crs=32631).to_parquet(tmp_path / "q.parquet")
    found = foi.v2(tmp_path / "q.parquet", raster, CLASSES)
    for ending in ("shp", "gpkg"):
        row = gpd.read_file(found.files[f"foih_v2.{ending}"]).iloc[0]
        assert row[["geom", "fid", "fid_", "a", "A_1", "foi_h"]].tolist() == ["a", 7, 8, 2, 3, 1]


def test_parcels_of_the_lake_are_checked_and_the_result_is_kept_there(lake, tmp_path):
    factories.fill(lake)
    pixels = np.ones((40, 40), np.uint8)
    pixels[:, 5:10] = 2
    place = Affine(10, 0, factories.X, 0, -10, factories.Y + 100)
    size = {"height": 40, "width": 40, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "c.tif", "w", "GTiff", crs=32631, transform=place, **size) as file:
        file.write(pixels, 1)
    found = foi.v2(None, tmp_path / "c.tif", CLASSES, aoi="ms", year=2024, lake=lake)
    assert sorted(zip(flags(found, "id"), flags(found, "foi_h"), strict=True)) == [("0012", 1), ("12", 0), ("a/b", 0)]
    assert found.lake_file == f"{lake.url}/foi/ms_2024_foi_v2.parquet"
    kept = gpd.read_parquet(found.lake_file)
    assert kept["foi_c"].tolist() == flags(found, "foi_c")
    assert json.loads(pq.read_metadata(found.lake_file).metadata[b"geo"])["primary_column"] == "geometry"
    with pytest.raises(NotFoundError):
        foi.v1(None, tmp_path / "c.tif", CLASSES, aoi="nowhere", year=2024, lake=lake)
