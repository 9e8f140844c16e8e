"""What is exported is what the lake holds, in files that other tools read."""

import csv
import json
import subprocess

import duckdb
import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
from factories import PIDS, copied, outline, parcel_set, parcels, signature, signatures, write
from foi_rules import files_of_at_most

from cbm_lake.errors import InvalidInputError, SourceError

SIDES = ("xmin", "ymin", "xmax", "ymax")
KEY = {"aoi": "ms", "year": 2024, "ptype": ""}


@pytest.fixture
def filled(lake, two_scenes):
    return copied(two_scenes, lake)


@pytest.fixture
def out(tmp_path):
    """A folder for exports, of which a failure must leave nothing."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def pids(frame):
    return sorted(frame["pid"])


def test_parquet_holds_the_rows_of_a_view(filled, out):
    assert filled.export("s2", out / "a.parquet") == 6
    assert pq.read_table(out / "a.parquet").sort_by("pid")["pid"].to_pylist() == sorted(PIDS * 2)
    assert duckdb.read_parquet(str(out / "a.parquet")).shape[0] == 6


def test_arrow_holds_the_same_table_as_sql(filled, out):
    statement = "select * from s2 order by scene, pid"
    assert filled.export(statement, out / "a.arrow") == 6
    assert pa.ipc.open_file(out / "a.arrow").read_all().equals(filled.sql(statement))


def test_csv_holds_numbers_text_times_and_outlines(filled, out):
    assert filled.export("select pid, B04_count, B02_count, B04_mean, scl from s2 order by all", out / "a.csv") == 6
    rows = list(csv.DictReader((out / "a.csv").read_text().splitlines()))
    assert rows[0] == {
        "pid": "0012",
        "B04_count": "100",
        "B02_count": "",
        "B04_mean": "400",
        "scl": "[0, 0, 0, 0, 25, 0, 0, 0, 0, 0, 0, 0]",
    }
    assert filled.export("parcels", out / "p.csv") == 3
    row = next(row for row in csv.DictReader((out / "p.csv").read_text().splitlines()) if row["pid"] == "0012")
    assert row["geometry"].startswith("POLYGON ((500100 4800000")
    assert json.loads(row["bbox"])["xmin"] == 500000


@pytest.mark.parametrize("ending", ["parquet", "geoparquet", "gpkg", "fgb"])
def test_outlines_keep_their_coordinate_system(filled, out, ending):
    file = out / f"parcels of ms.2024.{ending}"
    assert filled.export("parcels", file) == 3
    frame = gpd.read_file(file) if ending in ("gpkg", "fgb") else gpd.read_parquet(file)
    assert frame.crs.to_epsg() == 32631
    assert pids(frame) == sorted(PIDS)
    assert frame.set_index("pid").geometry["12"].equals(outline(1))


def test_geojson_is_in_degrees(filled, out):
    assert filled.export("parcels", out / "a.geojson") == 3
    frame = gpd.read_file(out / "a.geojson").set_index("pid")
    assert frame.crs.to_epsg() == 4326
    assert frame.geometry["0012"].bounds[0] == pytest.approx(3, abs=1e-8)  # the central meridian of zone 31
    assert frame.to_crs(32631).geometry["12"].symmetric_difference(outline(1)).area < 1
    assert "crs" not in json.loads((out / "a.geojson").read_text())


def test_geoparquet_says_what_the_standard_asks_for(filled, out):
    filled.export("parcels", out / "a.parquet")
    geo = json.loads(pq.read_metadata(out / "a.parquet").metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert geo["columns"]["geometry"]["crs"]["id"] == {"authority": "EPSG", "code": 32631}


def test_geoparquet_keeps_structs_and_lists_and_says_which_boxes_cover_the_outlines(filled, out):
    filled.export("select *, [1, 2] as numbers, {'a': pid} as nested from parcels order by pid", out / "a.parquet")
    assert pq.read_table(out / "a.parquet").select(["pid", "bbox", "numbers", "nested"]).slice(0, 1).to_pylist() == [
        {
            "pid": "0012",
            "bbox": dict(zip(SIDES, outline(0).bounds, strict=True)),
            "numbers": [1, 2],
            "nested": {"a": "0012"},
        }
    ]
    geo = json.loads(pq.read_metadata(out / "a.parquet").metadata[b"geo"])["columns"]["geometry"]
    assert geo["covering"] == {"bbox": {side: ["bbox", side] for side in SIDES}}
    assert geo["bbox"] == [*outline(0).bounds[:2], *outline(2).bounds[2:]]
    assert geo["geometry_types"] == ["Polygon"]
    near = gpd.read_parquet(out / "a.parquet", bbox=outline(1, 50).bounds)  # which uses the covering
    assert list(near["pid"]) == ["12"]


def test_geoparquet_is_read_by_gdal_as_it_is_by_geopandas(filled, out):
    filled.export("parcels", out / "a.parquet")
    try:
        frame = pyogrio.read_dataframe(out / "a.parquet")
    except pyogrio.errors.DataSourceError:
        pytest.skip("this GDAL reads no Parquet")
    assert frame.crs.to_epsg() == 32631
    assert frame.set_index("pid").geometry["12"].equals(outline(1))


def test_geoparquet_of_many_batches_is_one_file_and_never_whole_in_memory(filled, out, monkeypatch):
    monkeypatch.setattr("cbm_lake.lake.export.geography.BATCH", 2048)
    sizes = []
    write = pq.ParquetWriter.write_batch
    monkeypatch.setattr(
        pq.ParquetWriter, "write_batch", lambda self, batch: (sizes.append(batch.num_rows), write(self, batch))
    )
    many = "select parcels.*, number from parcels, range(3000) as many(number)"
    assert filled.export(many, out / "a.parquet") == 9000
    assert max(sizes) <= 2048
    assert len(gpd.read_parquet(out / "a.parquet")) == sum(sizes) == 9000


def test_outlines_of_two_systems_come_in_degrees(filled, out):
    filled.add_parcels("nl", 2024, "", "v1", parcels(("east",), [("rye", "2")], epsg=32632))
    assert filled.export("parcels", out / "a.parquet") == 4
    frame = gpd.read_parquet(out / "a.parquet").set_index("pid")
    assert frame.crs.to_epsg() == 4326
    assert frame.geometry["0012"].bounds[0] == pytest.approx(3, abs=1e-8)
    assert frame.geometry["east"].bounds[0] == pytest.approx(9, abs=1e-8)
    boxes = pq.read_table(out / "a.parquet").select(["pid", "bbox"]).to_pylist()
    assert all(frame.geometry[row["pid"]].bounds == tuple(row["bbox"][side] for side in SIDES) for row in boxes)


def test_footprints_of_scenes_are_in_degrees(filled, out):
    assert filled.export("scenes", out / "a.geojson") == 2
    assert gpd.read_file(out / "a.geojson").total_bounds.tolist() == [2.9, 43, 3.1, 44]
    assert filled.export("scenes", out / "a.parquet") == 2
    assert gpd.read_parquet(out / "a.parquet").crs.to_epsg() == 4326


def test_outlines_whose_system_is_not_told_are_refused_rather_than_misplaced(filled, out):
    for name in ("a.gpkg", "a.parquet"):
        with pytest.raises(InvalidInputError, match="select epsg too"):
            filled.export("select pid, geometry from parcels", out / name)
    assert list(out.iterdir()) == []


def test_a_named_query_and_a_select_take_parameters(filled, out):
    assert filled.export("time_series.s2", out / "a.csv", **KEY, pid="0012", bands=["B04"]) == 2
    rows = list(csv.DictReader((out / "a.csv").read_text().splitlines()))
    assert [(row["band"], row["mean"], row["obsid"]) for row in rows] == [("B04", "400", "A"), ("B04", "400", "B")]
    assert filled.export("select pid from s2 where scene = $scene", out / "b.parquet", scene="B") == 3


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow", "gpkg", "fgb", "geojson"])
def test_no_rows_are_a_file_with_columns(lake, out, ending):
    assert lake.export("parcels", out / f"a.{ending}") == 0
    if ending == "arrow":
        columns = pa.ipc.open_file(out / "a.arrow").schema.names
    elif ending == "csv":
        columns = (out / "a.csv").read_text().replace('"', "").split(",")
    else:
        read = gpd.read_parquet if ending == "parquet" else gpd.read_file
        columns = read(out / f"a.{ending}").columns
    if ending != "geojson":  # which has no columns without features
        assert "pid" in columns


@pytest.mark.parametrize(
    ("what", "name"), [("s2", "a.gpkg"), ("s2", "a.xls"), ("s2", "a.fgb"), ("parcels", "a.shp"), ("s2", "a")]
)
def test_an_ending_that_does_not_fit_is_refused(filled, out, what, name):
    with pytest.raises(InvalidInputError, match=f"cannot export to '{name}': write .parquet"):
        filled.export(what, out / name)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow", "xlsx", "gpkg", "fgb", "geojson"])
def test_a_failure_leaves_the_older_file_and_nothing_half_written(filled, out, ending):
    file = out / f"a.{ending}"
    file.write_text("older")
    wrong = "select pid::integer as n, geometry, epsg from parcels"
    with pytest.raises(InvalidInputError, match="Could not convert string 'a/b'") as caught:
        filled.export(wrong, file)
    assert "\n" not in str(caught.value)
    assert [path.name for path in out.iterdir()] == [file.name]
    assert file.read_text() == "older"


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow", "xlsx", "gpkg", "fgb", "geojson"])
def test_an_older_file_is_replaced(filled, out, ending):
    for _ in range(2):
        assert filled.export("parcels", out / f"a.{ending}") == 3
    assert [path.name for path in out.iterdir()] == [f"a.{ending}"]


def test_folders_that_are_missing_are_made(filled, out):
    filled.export("s2", out / "deep" / "down" / "a.csv")
    assert (out / "deep" / "down" / "a.csv").exists()


@pytest.mark.parametrize("ending", ["csv", "gpkg"])
def test_a_place_that_cannot_be_written_is_one_line(filled, out, ending):
    (out / "file").write_text("in the way")
    with pytest.raises(SourceError, match=r"cannot write .*a\.") as caught:
        filled.export("parcels", out / "file" / f"a.{ending}")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["parquet", "csv", "xlsx", "gpkg", "fgb", "geojson"])
def test_a_full_disk_leaves_nothing(lake, out, ending):
    many = [f"{number:06}" for number in range(3000)]
    lake.add_parcels("ms", 2024, "", "v1", parcels(many, [("rye", "2")] * 3000))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(out)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no rights to mount a small file system")
    try:
        with pytest.raises(SourceError, match=r"cannot write .*a\.") as caught:
            lake.export("select *, md5(pid) as noise from parcels", out / f"a.{ending}")
        assert "\n" not in str(caught.value)
        assert list(out.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(out)], check=True)


@pytest.mark.parametrize("ending", ["gpkg", "fgb", "geojson"])
def test_a_file_that_gdal_cut_when_closing_it_is_not_left(lake, out, ending):
    many = [f"{number:06}" for number in range(200)]
    lake.add_parcels("ms", 2024, "", "v1", parcels(many, [("rye", "2")] * 200))
    lake.export("parcels", out / f"a.{ending}")
    size = (out / f"a.{ending}").stat().st_size
    (out / f"a.{ending}").unlink()
    for room in (size - 2, *np.linspace(0.5, 0.98, 12) * size):
        with files_of_at_most(int(room)), pytest.raises(SourceError, match=r"cannot write .*a\."):
            lake.export("parcels", out / f"a.{ending}")
        assert list(out.iterdir()) == []


def test_names_that_are_no_view_are_refused(filled, out):
    with pytest.raises(InvalidInputError, match="nope"):
        filled.export("nope", out / "a.csv")


def test_values_that_look_like_formulas_stay_text(lake, out):
    write(lake, signatures(signature("=1+1"), signature('a"b,c')), parcel_set(), "A")
    lake.export("select pid from s2 order by pid", out / "a.csv")
    assert [row["pid"] for row in csv.DictReader((out / "a.csv").read_text().splitlines())] == ["=1+1", 'a"b,c']
