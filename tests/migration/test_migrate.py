"""What comes out of the lake is what went into the dumps, or stands in the list of what was refused."""

import bz2
import csv
import gzip
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from pathlib import Path

import duckdb
import factories
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbm_lake import migration, parcels
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.files import delimited
from cbm_lake.lake import open_lake
from cbm_lake.migration import migrate

pytestmark = pytest.mark.thorough


STATISTICS = ["count", "mean", "std", "min", "max", "p25", "p50", "p75"]
COLUMNS = ["pid", "obsid", "band", *STATISTICS]
PIDS = {11: "0012", 12: "12", 13: "a/b"}
S2 = "S2A_MSIL2A_{day}T104031_N{baseline}_R008_T31TEJ_{day}T130000"
BS = "S1A_IW_GRDH_1SDV_{day}T050000_{day}T050025_032400_03C000_ABCD_CARD_BS"
C6 = "S1B_IW_SLC__1SDV_{day}T050000_{day}T050025_032400_03C000_ABCD_CARD_C6"
PRODUCTS = {
    5: ("s2", "2020-05-01 10:40:31", S2.format(day="20200501", baseline="0214") + ".SAFE"),
    6: ("s2", "2020-05-11 10:40:31", S2.format(day="20200511", baseline="0214")),
    7: ("s2", "2022-05-01 10:40:31", S2.format(day="20220501", baseline="0400")),
    9: ("bs", "2020-05-02 05:00:00", BS.format(day="20200502")),
    8: ("c6", "2020-05-03 05:00:00", C6.format(day="20200503")),
}
BANDS = {5: ["B4", "B08", "SC"], 6: ["B02", "B8A", "B11"], 7: ["B04", "B8"], 9: ["VVb", "VHb"], 8: ["VVc", "VHc"]}
NAMES = {"B4": "B04", "B8": "B08", "VVb": "VV", "VHb": "VH", "VVc": "VV", "VHc": "VH"}


def long_rows(seed=0, bands=BANDS, numbers=tuple(PIDS)):
    """Rows of statistics such as the original's table holds."""
    rng = np.random.default_rng(seed)
    rows = []
    for obsid, names in bands.items():
        for number in numbers:
            for band in names:
                low, quarter, half, more, high = np.sort(rng.uniform(1, 4000, 5)).astype(np.float32)
                rows.append(
                    (number, obsid, band, int(rng.integers(1, 500)), half, more, low, high, quarter, half, more)
                )
    return pd.DataFrame(rows, columns=COLUMNS)


def catalogue(products=PRODUCTS):
    return pd.DataFrame(
        [
            {"id": number, "obstime": time, "reference": name, "sensor": name[:3], "card": card, "status": "extracted"}
            for number, (card, time, name) in products.items()
        ]
    )


@pytest.fixture
def dumps(tmp_path):
    """A folder with dumps of every table; parcels as GeoPackage, the rest as CSV."""
    return write_dumps(tmp_path / "dumps")


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """A lake into which they were taken, and what was told of it."""
    folder = write_dumps(tmp_path_factory.mktemp("migrated") / "dumps")
    lake = open_lake(str(folder.parent / "lake"))
    return lake, run(folder, lake), folder


def write_dumps(folder):
    folder.mkdir()
    frame = gpd.GeoDataFrame(
        {"ogc_fid": [*PIDS], "parcel": [*PIDS.values()], "crop_name": "wheat"},
        geometry=[factories.outline(number) for number in range(3)],
        crs=32631,
    )
    frame.to_file(folder / "parcels.gpkg")
    catalogue().to_csv(folder / "catalogue.csv", index=False)
    long_rows().to_csv(folder / "signatures.csv", index=False)
    hists = [(11, 5, '{"4": 90, "5": 10}'), (12, 5, "{'4': 100}"), (13, 6, '{"8": 1, "11": 2}')]
    pd.DataFrame(hists, columns=["pid", "obsid", "hist"]).to_csv(folder / "hists.csv", index=False)
    return folder


def run(folder, lake, **others):
    options = {
        "parcels": folder / "parcels.gpkg",
        "pid": "parcel",
        "catalogue": folder / "catalogue.csv",
        "signatures": [folder / "signatures.csv"],
        "hists": folder / "hists.csv",
        "refused": folder / "refused.csv",
    }
    return migrate("ms", 2020, lake=lake, **{**options, **others})


SERVED = """
    select parcels.fid as pid, scenes.obsid, band, count, mean, std, min, max, p25, p50, p75
    from CARD_long as rows
    join parcels using (aoi, year, ptype, pid)
    join scenes on scenes.card = 'CARD' and scenes.id = rows.obsid
"""


NO_SERIES = {"catalogue": None, "signatures": (), "hists": ()}


def served(lake):
    """Every long row that the lake serves, by the original's numbers."""
    rows = pd.concat([lake.sql(SERVED.replace("CARD", card)).to_pandas() for card in ("s2", "bs", "c6")])
    return rows.sort_values(COLUMNS[:3], ignore_index=True)


def expected(rows, shift=-1000):
    """The same from the dump: the lake's names of bands, and the offset of products since baseline 04.00."""
    rows = rows.assign(band=rows["band"].replace(NAMES))
    moved = rows["obsid"] == 7
    for name in ("mean", "min", "max", "p25", "p50", "p75"):
        rows.loc[moved, name] += shift
    return rows.sort_values(COLUMNS[:3], ignore_index=True)


def assert_same(found, wanted):
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, rtol=1e-5, atol=1e-3)


def refused_rows(folder):
    with (folder / "refused.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# -- rows in are rows out --------------------------------------------------------------------------------------------


def test_what_is_served_is_what_the_dump_holds(migrated):
    lake, done, dumps = migrated
    rows = long_rows()
    assert_same(served(lake), expected(rows))
    assert done.tables["signatures"] == migration.Counts(len(rows), 0)
    assert done.tables["hists"] == migration.Counts(3, 0)
    assert done.refused == ()
    assert not (dumps / "refused.csv").exists()


def test_the_numbers_of_parcels_and_scenes_are_kept(migrated):
    lake, _, _ = migrated
    assert dict(zip(*lake.sql("select fid, pid from parcels").to_pydict().values(), strict=True)) == PIDS
    scenes = lake.sql("select obsid, reference, card, status from scenes").to_pylist()
    assert {row["obsid"]: (row["card"], row["reference"]) for row in scenes} == {
        number: (card, name.removesuffix(".SAFE")) for number, (card, _, name) in PRODUCTS.items()
    }
    assert {row["status"] for row in scenes} == {"extracted"}


def test_histograms_are_the_pixels_of_the_classes(migrated):
    lake, _, _ = migrated
    rows = lake.query("time_series.scl", aoi="ms", year=2020, ptype="", pid="0012").to_pylist()
    assert rows == [{"obsid": 5, "scl": [0, 0, 0, 0, 90, 10, 0, 0, 0, 0, 0, 0]}]


def test_a_histogram_without_statistics_is_kept_too(dumps, lake):
    long_rows(bands={5: ["B04"]}, numbers=[12]).to_csv(dumps / "signatures.csv", index=False)
    run(dumps, lake)
    assert lake.query("time_series.scl", aoi="ms", year=2020, ptype="", pid="0012").num_rows == 1
    assert lake.query("time_series.s2", aoi="ms", year=2020, ptype="", pid="0012", bands=None).num_rows == 0


def test_band_sc_is_served_with_the_others(migrated):
    lake, _, _ = migrated
    rows = lake.query("time_series.s2", aoi="ms", year=2020, ptype="", pid="12", bands=None).to_pandas()
    wanted = long_rows().query("pid == 12 and obsid == 5 and band == 'SC'").iloc[0]
    (found,) = rows[rows["band"] == "SC"].to_dict("records")
    assert found["mean"] == pytest.approx(wanted["mean"])
    assert found["scl"][4] == 100


def test_what_was_extracted_and_what_was_migrated_stand_side_by_side(dumps, lake):
    factories.fill(lake)
    before = lake.sql("select * from s2_long where year = 2024 order by all")
    run(dumps, lake)
    assert lake.sql("select * from s2_long where year = 2024 order by all").equals(before)
    assert lake.sql("select count(*) as n from s2_long where year = 2020")["n"][0].as_py() == 8 * 3


def test_offsets_are_left_alone_on_demand(dumps, lake):
    run(dumps, lake, boa_offset="keep")
    assert_same(served(lake), expected(long_rows(), shift=0))


@pytest.mark.parametrize("kind", ["parquet", "several", "gz"])
def test_dumps_come_in_many_forms(kind, dumps, lake):
    rows = long_rows()
    files = [dumps / "signatures.csv"]
    if kind == "parquet":
        files = [dumps / "signatures.parquet"]
        rows.to_parquet(files[0])
    elif kind == "gz":
        files = [dumps / "signatures.csv.gz"]
        rows.to_csv(files[0], index=False)
    else:
        files = [dumps / "a.csv", dumps / "b.csv"]
        rows[:10].to_csv(files[0], index=False)
        rows[10:][[*reversed(COLUMNS)]].to_csv(files[1], index=False)
    run(dumps, lake, signatures=files)
    assert_same(served(lake), expected(rows))


def test_parcels_may_be_a_csv_as_the_database_writes_it(dumps, lake):
    import shapely

    frame = gpd.read_file(dumps / "parcels.gpkg")
    table = pd.DataFrame(frame.drop(columns="geometry"))
    table["wkb_geometry"] = shapely.to_wkb(
        shapely.set_srid(frame.geometry.to_numpy(), 32631), hex=True, include_srid=True
    )
    table.to_csv(dumps / "parcels.csv", index=False)
    run(dumps, lake, parcels=dumps / "parcels.csv")
    assert_same(served(lake), expected(long_rows()))


def test_parcels_may_be_a_csv_of_another_code_page(dumps, lake):
    frame = gpd.read_file(dumps / "parcels.gpkg")
    table = pd.DataFrame(frame.drop(columns="geometry")).assign(
        crop_name="pszenżyto, łąka", wkt=frame.to_wkt()["geometry"]
    )
    table.to_csv(dumps / "parcels.csv", index=False, encoding="cp1250")
    run(dumps, lake, parcels=dumps / "parcels.csv", crs=32631)
    assert set(lake.sql("select crop_name from parcels")["crop_name"].to_pylist()) == {"pszenżyto, łąka"}


@pytest.mark.parametrize("ending", ["gpkg", "parquet"])
def test_the_number_may_be_a_column_of_any_name(ending, dumps, lake):
    frame = gpd.read_file(dumps / "parcels.gpkg").rename(columns={"ogc_fid": "number"})
    path = dumps / f"other.{ending}"
    frame.to_parquet(path) if ending == "parquet" else frame.to_file(path)
    run(dumps, lake, parcels=path, fid="number")
    assert_same(served(lake), expected(long_rows()))


CROPS_BY_CODE_PAGE = {
    "cp1250": ["pšenice ozimá", "ječmen jarní", "řepka ozimá", "kukuřice", "trvalý travní porost"],
    "cp1252": ["blé tendre", "prairie permanente", "maïs", "Wintergerste", "Rüben", "Hülsenfrüchte"],
    "cp1253": ["σιτάρι", "κριθάρι", "ελιά"],
    "cp1257": ["žieminiai kviečiai", "rugiai", "miežiai", "žirniai", "daugiametės žolės"],
    "iso8859-2": ["pšenice ozimá", "žito", "řepka ozimá", "šťovík", "ječmen"],
    "cp852": ["pšenice ozimá", "ječmen jarní", "řepka ozimá", "žito"],
    "cp850": ["blé tendre", "maïs", "betterave fourragère", "prairie à rotation longue"],
}


@pytest.mark.parametrize("encoding", CROPS_BY_CODE_PAGE)
def test_crops_of_a_table_in_a_code_page_of_which_nothing_says_are_read(encoding, tmp_path, caplog):
    names = CROPS_BY_CODE_PAGE[encoding]
    rows = "".join(f"{number},{names[number % len(names)]}\n" for number in range(50))
    (tmp_path / "a.csv").write_bytes(f"ogc_fid,crop\n{rows}".encode(encoding))
    with duckdb.connect() as connection:
        found = delimited.read(connection, tmp_path / "a.csv", tmp_path).project("crop").fetchall()
    assert [crop for (crop,) in found[: len(names)]] == names
    assert "a.csv: nothing says the encoding of the texts" in caplog.text


def test_a_shapefile_of_parcels_that_names_no_encoding_is_read(dumps, lake):
    frame = gpd.read_file(dumps / "parcels.gpkg").rename(columns={"ogc_fid": "number"}).assign(crop_name="blé")
    frame.to_file(dumps / "parcels.shp", encoding="ISO-8859-1")
    (dumps / "parcels.cpg").unlink()
    run(dumps, lake, parcels=dumps / "parcels.shp", fid="number")
    assert set(lake.sql("select crop_name from parcels")["crop_name"].to_pylist()) == {"blé"}


def test_parcels_that_were_loaded_without_numbers_get_them(dumps, lake):
    from cbm_lake import parcels

    frame = gpd.read_file(dumps / "parcels.gpkg").drop(columns="ogc_fid")
    frame.to_file(dumps / "before.gpkg")
    parcels.load(dumps / "before.gpkg", "ms", 2020, pid="parcel", lake=lake)
    assert set(lake.sql("select fid from parcels")["fid"].to_pylist()) == {None}
    run(dumps, lake)
    run(dumps, lake)
    assert_same(served(lake), expected(long_rows()))


def test_scenes_that_are_catalogued_already_are_not_catalogued_twice(dumps, lake):
    name = PRODUCTS[5][2].removesuffix(".SAFE")
    lake.add_parcels("ms", 2020, "", "v0", factories.parcels())
    lake.add_scenes(factories.scenes(factories.scene("S2A_31TEJ_20200501_0_L2A", reference=name, boa_offset=0)))
    run(dumps, lake)
    (row,) = lake.sql("select id, obsid, assets from scenes where reference = $name", name=name).to_pylist()
    assert (row["id"], row["obsid"]) == ("S2A_31TEJ_20200501_0_L2A", 5)
    assert row["assets"]["B04"]
    assert_same(served(lake), expected(long_rows()))


# -- once more -------------------------------------------------------------------------------------------------------


def test_a_second_run_doubles_nothing(dumps, lake):
    run(dumps, lake)
    entries = lake.sql("select count(*) from ledger").to_pylist()
    again = run(dumps, lake)
    rows = long_rows()
    assert again.tables["signatures"] == migration.Counts(len(rows), 0, already=len(rows))
    assert again.tables["hists"].already == 3
    assert lake.sql("select count(*) from ledger").to_pylist() == entries
    assert_same(served(lake), expected(rows))


def test_a_corrected_dump_replaces_what_the_first_brought(dumps, lake):
    run(dumps, lake)
    rows = long_rows(seed=1)
    rows.to_csv(dumps / "signatures.csv", index=False)
    run(dumps, lake)
    assert_same(served(lake), expected(rows))


def test_what_the_lake_extracted_itself_is_not_hidden(dumps, lake):
    run(dumps, lake)
    found = lake.parcel_set("ms", 2020)
    name = PRODUCTS[6][2]
    row = factories.signature("12", name, year=2020, B04_mean=1.0)
    factories.write(lake, factories.signatures(row), found, name)
    again = run(dumps, lake)
    reason = "the lake has extracted this scene itself"
    assert again.refused == (("hists", reason, 1), ("signatures", reason, 9))
    (held,) = lake.sql("select pid, B04_mean from s2 where scene = $name", name=name).to_pylist()
    assert held == {"pid": "12", "B04_mean": 1.0}


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_was(dumps, lake):
    code = """
        import os, signal, sys
        from pathlib import Path
        from cbm_lake.lake import Lake, open_lake
        from cbm_lake.migration import migrate

        left = [int(sys.argv[2])]
        record = Lake.record

        def dying(self, *given, **named):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return record(self, *given, **named)

        Lake.record = dying
        folder = Path(sys.argv[1])
        migrate("ms", 2020, parcels=folder / "parcels.gpkg", pid="parcel", catalogue=folder / "catalogue.csv",
                signatures=folder / "signatures.csv", hists=folder / "hists.csv", refused=folder / "refused.csv")
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(dumps), "2"]
    died = subprocess.run(command, env=os.environ, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    half = served(lake)
    assert 0 < len(half) < len(long_rows())
    again = run(dumps, lake)
    assert again.tables["signatures"].already == len(half)
    assert_same(served(lake), expected(long_rows()))
    assert lake.sql("select count(*) as n from signatures_s2")["n"][0].as_py() == 9


# -- what is refused -------------------------------------------------------------------------------------------------


def test_every_refused_row_is_listed_with_its_reason(dumps, lake):
    rows = long_rows()
    bad = pd.DataFrame(
        [
            (99, 5, "B04"),
            (11, 55, "B04"),
            (11, 5, "VVb"),
            (11, 5, "B99"),
            (11, 9, "B04"),
            ("x", 5, "B04"),
            ("10.7", 5, "B04"),
            (11, "5.4", "B04"),
        ],
        columns=COLUMNS[:3],
    )
    path = dumps / "signatures.csv"
    parts = [
        rows,
        bad.assign(**dict.fromkeys(STATISTICS, 1.0)),
        rows[:1].assign(count=0),
        rows[1:2].assign(count="many"),
    ]
    for number, part in enumerate(parts):
        part.to_csv(path, index=False, header=number == 0, mode="a" if number else "w")
    with path.open("a") as file:
        file.write("1,2,3\n")
    done = run(dumps, lake)
    reasons = [(row["line"], row["reason"]) for row in refused_rows(dumps)]
    assert sorted(reasons) == sorted(
        [
            ("99,5,B04", "no parcel has this number"),
            ("x,5,B04", "no parcel has this number"),
            ("10.7,5,B04", "no parcel has this number"),
            ("11,5.4,B04", "no scene of the catalogue that was taken has this number"),
            ("11,55,B04", "no scene of the catalogue that was taken has this number"),
            ("11,5,VVb", "its scene is of card s2, which has no such band"),
            ("11,5,B99", "its scene is of card s2, which has no such band"),
            ("11,9,B04", "its scene is of card bs, which has no such band"),
            ("11,5,B4", "another row of the same parcel, scene and band counts"),
            ("11,5,B08", "it has no count"),
            ("1,2,3", "it has not the fields of the header"),
        ]
    )
    assert done.tables["signatures"] == migration.Counts(len(rows) + 11, 11)
    assert sum(count for _, _, count in done.refused) == 11
    assert_same(served(lake), expected(rows))


def test_scenes_and_histograms_are_refused_one_by_one(dumps, lake):
    more = {
        10: ("c12", "2020-05-01", "x"),
        20: ("s2", "never", "S2A_y"),
        21: ("s2", "2020-05-01 10:40:31", PRODUCTS[5][2]),
    }
    catalogue(PRODUCTS | more).to_csv(dumps / "catalogue.csv", index=False)
    hists = [(11, 9, '{"4": 1}'), (11, 5, "no"), (12, 5, '{"12": 1}'), (13, 5, "[1]"), (11, 6, '{"4": 7}')]
    pd.DataFrame(hists, columns=["pid", "obsid", "hist"]).to_csv(dumps / "hists.csv", index=False)
    done = run(dumps, lake)
    assert done.tables["catalogue"] == migration.Counts(8, 3)
    assert done.tables["hists"] == migration.Counts(5, 4)
    reasons = " ".join(row["reason"] for row in refused_rows(dumps))
    for part in (
        "unknown card 'c12'",
        "its obstime is missing",
        "another row of the catalogue",
        "no JSON object",
        "none of 0 to 11",
    ):
        assert part in reasons


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"boa_offset": "perhaps"}, InvalidInputError, "none of auto, keep"),
        ({"catalogue": None}, InvalidInputError, "give the catalogue"),
        ({"signatures": "nowhere.csv"}, SourceError, "there is no file nowhere.csv"),
        ({"signatures": "hists.csv"}, InvalidInputError, "no column band, count"),
        ({"fid": "number"}, InvalidInputError, "no column 'number'; say fid="),
        ({"parcels": None}, NotFoundError, "no parcels of ms 2020"),
        ({"weather": "signatures.csv"}, InvalidInputError, "weather_grid="),
    ],
)
def test_what_cannot_be_migrated_is_told_in_one_line(change, error, message, dumps, lake):
    change = {
        name: dumps / value if str(value) == "hists.csv" or name == "weather" else value
        for name, value in change.items()
    }
    with pytest.raises(error, match=message) as told:
        run(dumps, lake, **change)
    assert "\n" not in str(told.value)


# -- weather and markers ---------------------------------------------------------------------------------------------


def test_weather_is_that_of_the_cell_that_holds_the_parcel(dumps, lake):
    days = pd.DataFrame(
        {
            "grid_id": [1, 1, 2, 3],
            "meteo_date": ["2020-05-01", "2020-05-02", "2020-05-01", "2020-05-01"],
            "tmin": [1, 2, 3, 4],
            "tmax": 9.5,
            "tmean": 5,
            "prec": 0.5,
        }
    )
    days.to_csv(dumps / "weather.csv", index=False)
    cells = {1: (2.9, 43.2), 2: (3.2, 43.2)}
    grid = [
        {"grid_id": name, "polygon": [[w, s], [w + 0.3, s], [w + 0.3, s + 0.3], [w, s + 0.3], [w, s]]}
        for name, (w, s) in cells.items()
    ]
    (dumps / "grid.json").write_text(json.dumps(grid))
    for _ in range(2):
        done = run(dumps, lake, weather=dumps / "weather.csv", weather_grid=dumps / "grid.json", **NO_SERIES)
    assert done.tables["weather"] == migration.Counts(4, 1)
    rows = lake.query("weather.at_place", aoi="ms", lon=3.0001, lat=43.35).to_pylist()
    assert [(row["meteo_date"], row["tmin"], row["prec"]) for row in rows] == [
        ("2020-05-01", 1, 0.5),
        ("2020-05-02", 2, 0.5),
    ]
    assert lake.sql("select count(*) as n from weather")["n"][0].as_py() == 3


def test_markers_are_those_of_the_parcels(dumps, lake):
    frame = pd.DataFrame(
        [
            ("m1", "0012", "mowing", "s2", "2020-05-01", "2020-05-02", "2020-05-03", 3, 0.5, None, None, "hay"),
            ("m2", "nobody", "mowing", "s2", "2020-05-01", None, None, 3, 0.5, None, None, None),
        ],
        columns=[
            "foi_id",
            "pid",
            "marker",
            "marker_type",
            "date_start",
            "date_main",
            "date_end",
            "duration_days",
            "value_1",
            "value_2",
            "value_3",
            "practice",
        ],
    )
    frame.to_csv(dumps / "markers.csv", index=False)
    for _ in range(2):
        done = run(dumps, lake, markers=dumps / "markers.csv", **NO_SERIES)
    assert done.tables["markers"] == migration.Counts(2, 1)
    (row,) = lake.query("markers.by_pid", aoi="ms", year=2020, ptype="", pid="0012").to_pylist()
    assert row == {
        "foi_id": "m1",
        "marker": "mowing",
        "marker_type": "s2",
        "date_start": "2020-05-01",
        "date_main": "2020-05-02",
        "date_end": "2020-05-03",
        "duration_days": 3,
        "value_1": 0.5,
        "value_2": None,
        "value_3": None,
        "pid": "0012",
        "practice": "hay",
    }


# -- what is called otherwise, and what is not there -----------------------------------------------------------------


def crops(lake, year=2020):
    return lake.sql(
        "select pid, fid, crop_name, crop_code from parcels where year = $year order by fid", year=year
    ).to_pylist()


def declared(**columns):
    """Parcels with the crop under names that nobody knows."""
    columns = {"ogc_fid": [*PIDS], "parcel": [*PIDS.values()], **columns}
    return gpd.GeoDataFrame(columns, geometry=[factories.outline(number) for number in range(3)], crs=32631)


DUTCH = {"gwsnaam": ["wheat", "maize", None], "gwscode": [233, 259, 1]}


def test_the_crop_is_in_the_columns_that_are_said(dumps, lake, caplog):
    declared(**DUTCH).to_file(dumps / "parcels.gpkg")
    run(dumps, lake, **NO_SERIES)
    assert "no column is known to be the crop's" in caplog.text
    assert "gwsnaam" in caplog.text
    run(dumps, lake, crop_name="GWSNAAM", crop_code="gwscode", **NO_SERIES)
    assert crops(lake) == [
        {"pid": pid, "fid": fid, "crop_name": name, "crop_code": str(code)}
        for (fid, pid), name, code in zip(PIDS.items(), *DUTCH.values(), strict=True)
    ]
    with pytest.raises(InvalidInputError, match=r"parcels\.gpkg has no column 'gewas'; say crop_name= one of: parcel"):
        run(dumps, lake, crop_name="gewas", **NO_SERIES)


@pytest.mark.parametrize("silent", [{}, {"crop_name": [None] * 3}])
def test_crops_that_are_in_the_lake_stay_where_the_dump_has_none(silent, dumps, lake, caplog):
    declared(**DUTCH).drop(columns="ogc_fid").to_file(dumps / "loaded.gpkg")
    parcels.load(dumps / "loaded.gpkg", "ms", 2020, pid="parcel", crop_name="gwsnaam", crop_code="gwscode", lake=lake)
    declared(**silent).to_file(dumps / "parcels.gpkg")
    run(dumps, lake)
    assert [(row["fid"], row["crop_name"], row["crop_code"]) for row in crops(lake)] == [
        (11, "wheat", "233"),
        (12, "maize", "259"),
        (13, None, "1"),
    ]
    assert "2 of 3 parcels keep the one that is in the lake" in caplog.text
    assert_same(served(lake), expected(long_rows()))


def test_parcels_that_are_loaded_again_with_crops_keep_signatures(dumps, lake):
    declared(**DUTCH).to_file(dumps / "parcels.gpkg")
    run(dumps, lake)
    parcels.load(dumps / "parcels.gpkg", "ms", 2020, pid="parcel", crop_name="gwsnaam", crop_code="gwscode", lake=lake)
    assert [row["crop_name"] for row in crops(lake)] == ["wheat", "maize", None]
    assert_same(served(lake), expected(long_rows()))


DATASETS = {
    "ms_2020": {"tables": {}, "pcolumns": {"parcel_id": "parcel", "crop_name": "gwsnaam", "crop_code": "gwscode"}},
    "es_2020": {"tables": {}, "pcolumns": {"parcel_id": "recinto", "crop_name": "cultivo", "crop_code": "codigo"}},
}


def test_the_columns_are_those_of_the_settings_of_the_original(dumps, lake):
    declared(**DUTCH).to_file(dumps / "parcels.gpkg")
    file = dumps / "datasets.json"
    file.write_text(json.dumps(DATASETS))
    run(dumps, lake, pid=None, datasets_file=file, **NO_SERIES)
    assert [row["crop_name"] for row in crops(lake)] == ["wheat", "maize", None]
    file.write_text(json.dumps({"db": {"xx": DATASETS["es_2020"], "yy": DATASETS["ms_2020"]}}))
    with pytest.raises(InvalidInputError, match=r"several sets .db/xx, db/yy., of which not exactly one is of ms 2020"):
        run(dumps, lake, pid=None, datasets_file=file, **NO_SERIES)
    with pytest.raises(SourceError, match=r"nothing\.json cannot be read"):
        run(dumps, lake, datasets_file=dumps / "nothing.json", **NO_SERIES)


def test_the_identifier_may_be_the_number(dumps, lake):
    done = run(dumps, lake, pid="ogc_fid")
    assert done.refused == ()
    assert [(row["pid"], row["fid"]) for row in crops(lake)] == [("11", 11), ("12", 12), ("13", 13)]
    assert lake.sql("select count(distinct pid) as n from s2_long")["n"][0].as_py() == 3


def test_parcels_of_several_tables_are_one_set(dumps, lake):
    frame = declared(**DUTCH)
    frame[:2].to_file(dumps / "west.gpkg")
    frame[2:].drop(columns="gwscode").to_file(dumps / "east.gpkg")
    run(dumps, lake, parcels=[dumps / "west.gpkg", dumps / "east.gpkg"], crop_name="gwsnaam", crop_code="gwscode")
    assert [row["crop_code"] for row in crops(lake)] == ["233", "259", None]
    assert_same(served(lake), expected(long_rows()))
    frame[2:].to_crs(4326).to_file(dumps / "east.gpkg")
    with pytest.raises(InvalidInputError, match="several coordinate systems"):
        run(dumps, lake, parcels=[dumps / "west.gpkg", dumps / "east.gpkg"])


def marked(*pids):
    rows = [(pid, "mowing", "s2", "2020-05-01", None, "2020-05-03") for pid in pids]
    return pd.DataFrame(rows, columns=["pid", "marker", "marker_type", "date_start", "date_main", "date_end"])


@pytest.mark.parametrize(
    ("pids", "by", "expected"),
    [
        (["11", "13"], "auto", ["0012", "a/b"]),  # numbers, one of which is no identifier
        (["0012", "12", "a/b"], "auto", ["0012", "12", "a/b"]),
        (["12", "a/b"], "auto", ["12", "a/b"]),
        (["11.0", "13.0"], "auto", ["0012", "a/b"]),
        (["11", "12.7", "1e1"], "fid", ["0012"]),  # 12.7 is not the number 13
        (["12"], "auto", None),  # the identifier of one parcel and the number of the same: see below
        (["12"], "fid", ["12"]),
    ],
)
def test_markers_name_parcels_by_identifier_or_by_number(pids, by, expected, dumps, lake):
    marked(*pids).to_csv(dumps / "markers.csv", index=False)
    run(dumps, lake, markers=dumps / "markers.csv", markers_by=by, **NO_SERIES)
    found = lake.sql("select pid from markers order by pid")["pid"].to_pylist()
    assert found == (expected or ["12"])


def test_markers_of_which_one_date_is_none_are_refused_rather_than_cut(dumps, lake):
    frame = marked("0012", "12", "a/b").assign(date_end=["2020-05-03", "2020-13-45", None])
    frame.to_csv(dumps / "markers.csv", index=False)
    done = run(dumps, lake, markers=dumps / "markers.csv", **NO_SERIES)
    assert ("markers", "one of its dates is no date", 1) in done.refused
    assert lake.sql("select pid from markers order by pid")["pid"].to_pylist() == ["0012", "a/b"]


def test_markers_that_may_be_of_two_parcels_are_refused_until_it_is_said(dumps, lake):
    frame = declared(crop_name="wheat").assign(ogc_fid=[1, 2, 3], parcel=["2", "3", "1"])
    frame.to_file(dumps / "parcels.gpkg")
    marked("1", "2").to_csv(dumps / "markers.csv", index=False)
    given = {"markers": dumps / "markers.csv", **NO_SERIES}
    with pytest.raises(InvalidInputError, match=r"markers\.csv: .* 2 are two different ones; say .*markers_by"):
        run(dumps, lake, **given)
    for by, pids in (("fid", ["2", "3"]), ("pid", ["1", "2"])):
        run(dumps, lake, markers_by=by, **given)
        assert lake.sql("select pid from markers order by pid")["pid"].to_pylist() == pids


# -- tables in every form --------------------------------------------------------------------------------------------


def copied(frame, table):
    """A table as pg_dump writes it."""
    lines = ["--", "SET client_encoding = 'UTF8';", f"COPY {table} ({', '.join(map(str, frame.columns))}) FROM stdin;"]
    lines += ["\t".join("\\N" if pd.isna(cell) else str(cell) for cell in row) for row in frame.itertuples(index=False)]
    return "\n".join([*lines, "\\.", "", "-- PostgreSQL database dump complete", ""])


def aligned(frame):
    """A table as psql shows it."""
    texts = [[*frame.columns], *([str(cell) for cell in row] for row in frame.itertuples(index=False))]
    lines = [" | ".join(f" {cell:<12}" for cell in row) for row in texts]
    return "\n".join([lines[0], "-" * 12 + "+" + "-" * 12, *lines[1:]])


FORMS = {
    "tsv": lambda frame: frame.to_csv(index=False, sep="\t", na_rep="\\N").encode(),
    "semicolons": lambda frame: frame.to_csv(index=False, sep=";", decimal=",").encode("utf-8-sig"),
    "utf-16": lambda frame: frame.to_csv(index=False, sep="\t").encode("utf-16"),
    "capitals": lambda frame: frame.rename(columns=str.upper).to_csv(index=False, quoting=csv.QUOTE_ALL).encode(),
    "qualified": lambda frame: frame.rename(columns=lambda name: f"ms.sigs.{name}").to_csv(index=False).encode(),
    "more columns": lambda frame: frame.assign(when="now", **{"a b": 1})[::-1].to_csv(index=False).encode(),
    "copy": lambda frame: copied(frame, "ms.sigs").encode(),
}


@pytest.mark.parametrize("packed", ["", ".gz", ".zip", ".bz2", ".xz"])
@pytest.mark.parametrize("form", [*FORMS])
def test_statistics_come_in_every_form(form, packed, dumps, lake):
    if packed and form not in ("copy", "semicolons"):
        pytest.skip("two forms are packed")
    content = FORMS[form](long_rows())
    file = dumps / f"sigs.{'sql' if form == 'copy' else 'csv'}{packed}"
    if packed == ".zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("sigs.csv", content)
    else:
        opened = {"": open, ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}[packed]
        with opened(file, "wb") as stream:
            stream.write(content)
    done = run(dumps, lake, signatures=file)
    assert done.tables["signatures"] == migration.Counts(len(long_rows()), 0)
    assert_same(served(lake), expected(long_rows()))


def test_what_psql_shows_is_read_and_its_rules_are_listed(dumps, lake):
    (dumps / "sigs.txt").write_text(aligned(long_rows()) + "\n(45 rows)\n")
    done = run(dumps, lake, signatures=dumps / "sigs.txt")
    assert_same(served(lake), expected(long_rows()))
    assert done.tables["signatures"].refused == 2


def test_numbers_that_cannot_be_read_are_refused_and_not_lost(dumps, lake):
    rows = long_rows().astype({"mean": object})
    rows.loc[0, "mean"] = "1.234,5"
    rows.to_csv(dumps / "signatures.csv", index=False)
    done = run(dumps, lake)
    assert done.refused == (("signatures", "one of its numbers cannot be read", 1),)
    assert_same(served(lake), expected(long_rows()[1:].reset_index(drop=True)))


def test_a_table_without_header_is_refused_by_name(dumps, lake):
    long_rows().to_csv(dumps / "signatures.csv", index=False, header=False, sep="\t", na_rep="\\N")
    with pytest.raises(InvalidInputError, match=r"signatures\.csv has no header: its first line holds 11"):
        run(dumps, lake)


@pytest.mark.parametrize("form", ["wkt", "hex", "ewkb", "bytea"])
@pytest.mark.parametrize("column", ["wkb_geometry", "GEOM", "omtrek"])
def test_outlines_of_a_table_are_under_other_names(form, column, dumps, lake):
    frame = declared(**DUTCH)
    shapes = frame.geometry.to_numpy()
    texts = {
        "wkt": [f"SRID=32631;{shape.wkt}" for shape in shapes],
        "hex": [shape.wkb_hex for shape in shapes],
        "ewkb": shapely.to_wkb(shapely.set_srid(shapes, 32631), hex=True, include_srid=True),
        "bytea": ["\\x" + shape.wkb_hex.lower() for shape in shapes],
    }[form]
    table = pd.DataFrame(frame.drop(columns="geometry")).assign(**{column: texts})
    table.to_csv(dumps / "parcels.csv.gz", index=False, sep=";")
    crs = None if form in ("wkt", "ewkb") else "EPSG:32631"
    run(dumps, lake, parcels=dumps / "parcels.csv.gz", crs=crs, crop_name="gwsnaam")
    found = lake.sql("select geometry from parcels order by fid")["geometry"].to_pylist()
    assert [shapely.from_wkb(wkb).equals(shape) for wkb, shape in zip(found, shapes, strict=True)] == [True] * 3


def test_messages_name_the_files_of_the_user(dumps, lake):
    frame = declared(crop_name="wheat").assign(parcel=["1", "1", "2"])
    frame.to_file(dumps / "parcels.gpkg")
    with pytest.raises(InvalidInputError) as told:
        run(dumps, lake)
    assert str(dumps / "parcels.gpkg") in str(told.value)
    assert "cbm-lake-migrate" not in str(told.value)


def test_scenes_without_rasters_keep_their_statistics_and_say_so_when_they_are_asked_for(migrated):
    from cbm_lake import extract

    lake, _, _ = migrated
    todo = extract.plan("s2", "2020-05-01", "2020-05-31", aoi="ms", year=2020, bands=["B12"], dry=True, lake=lake)
    assert {outcome.problem for outcome in todo.failed} == {
        f"scene {name.removesuffix('.SAFE')} has no rasters; catalogue it with card2db to extract it"
        for card, _, name in (PRODUCTS[5], PRODUCTS[6])
    }
    assert_same(served(lake), expected(long_rows()))


@pytest.mark.parametrize("name", ["geom_cell", "polygon"])
def test_a_compressed_grid_of_the_database_is_read(name, dumps, lake):
    days = pd.DataFrame({"grid_id": [1], "meteo_date": ["2020-05-01"], "tmin": 1, "tmax": 9.5, "tmean": 5, "prec": 0.5})
    days.to_csv(dumps / "weather.csv.gz", index=False, sep=";", decimal=",")
    outline = shapely.to_wkb(shapely.set_srid(shapely.box(2.9, 43.2, 3.2, 43.5), 4326), hex=True, include_srid=True)
    pd.DataFrame({"grid_id": [1], name: [outline]}).to_csv(dumps / "grid.csv.gz", index=False)
    done = run(dumps, lake, weather=dumps / "weather.csv.gz", weather_grid=dumps / "grid.csv.gz", **NO_SERIES)
    assert done.tables["weather"] == migration.Counts(1, 0)
    assert lake.query("weather.at_place", aoi="ms", lon=3.0001, lat=43.35).to_pylist()[0]["prec"] == 0.5


# -- real rows and the command line ----------------------------------------------------------------------------------


def test_real_statistics_come_back_as_a_pivot_by_pandas_says(realdata, tmp_path, lake):
    names = {
        "count": "count",
        "MEAN": "mean",
        "STD.DEV": "std",
        "MIN": "min",
        "MAX": "max",
        "P25": "p25",
        "P50": "p50",
        "P75": "p75",
    }
    parts = []
    for number in (1, 2, 3):
        frame = pd.read_csv(realdata / "timeseries" / "cbm_SALMS" / "tsdir" / f"{number}_s2_ts.csv").rename(
            columns=names
        )
        parts.append(frame.assign(pid=10 + number))
    rows = pd.concat(parts)[["pid", "date", "band", *names.values()]].query("date < '2020-02-15'")
    dates = {date: number for number, date in enumerate(sorted(rows["date"].unique()), 1)}
    products = {
        number: ("s2", f"{date} 10:40:31", S2.format(day=date.replace("-", ""), baseline="0214"))
        for date, number in dates.items()
    }
    rows["obsid"] = rows["date"].map(dates)
    folder = write_dumps(tmp_path / "dumps")
    catalogue(products).to_csv(folder / "catalogue.csv", index=False)
    rows.to_csv(folder / "signatures.csv", index=False)
    done = run(folder, lake, hists=())
    doubled = int(rows.duplicated(["pid", "obsid", "band"]).sum())
    assert done.tables["signatures"] == migration.Counts(len(rows), doubled)
    pivot = rows.drop_duplicates(["pid", "obsid", "band"]).pivot_table(
        index=["pid", "obsid"], columns="band", values="mean"
    )
    found = lake.sql(
        "select fid as pid, obsid, B04_mean as B04, B08_mean as B08 from s2 join parcels using (aoi, year, ptype, pid) "
        "join scenes on scenes.id = s2.scene"
    ).to_pandas()
    found = found.set_index(["pid", "obsid"]).sort_index()
    pd.testing.assert_frame_equal(found, pivot, check_dtype=False, check_names=False, rtol=1e-6)


def test_the_command_line_says_what_became_of_the_rows(dumps, workspace, monkeypatch):
    from typer.testing import CliRunner

    from cbm_lake.cli import app

    monkeypatch.chdir(dumps)
    with (dumps / "signatures.csv").open("a") as file:
        file.write("99,5,B04,1,1,1,1,1,1,1,1\n")
    command = (
        "migrate --aoi ms --year 2020 --parcels parcels.gpkg --pid parcel --catalogue catalogue.csv --hists hists.csv"
    )
    answer = CliRunner().invoke(app, [*command.split(), "--signatures", "signatures.csv"])
    assert answer.exit_code == 0, answer.output
    assert "signatures" in answer.output
    assert "signatures: 1 refused: no parcel has this number" in answer.output
    assert "they are listed in refused.csv" in answer.output


def test_the_command_line_knows_crops_settings_and_what_markers_name(dumps, workspace, monkeypatch):
    from typer.testing import CliRunner

    from cbm_lake.cli import app

    monkeypatch.chdir(dumps)
    frame = declared(**DUTCH)
    frame[:1].to_file("west.gpkg")
    frame[1:].to_file("east.gpkg")
    Path("datasets.json").write_text(json.dumps(DATASETS))
    marked("11").to_csv("markers.csv", index=False)
    command = "migrate --aoi ms --year 2020 --parcels west.gpkg --parcels east.gpkg --datasets datasets.json"
    options = "--crop-code gwsnaam --markers markers.csv --markers-by fid"
    answer = CliRunner().invoke(app, [*command.split(), *options.split()])
    assert answer.exit_code == 0, answer.output
    lake = open_lake()
    assert [row["crop_code"] for row in crops(lake)] == ["wheat", "maize", None]
    assert lake.sql("select pid from markers")["pid"].to_pylist() == ["0012"]


# -- any rows --------------------------------------------------------------------------------------------------------

ROWS = st.lists(
    st.tuples(
        st.sampled_from([*PIDS]),
        st.sampled_from([(number, band) for number, names in BANDS.items() for band in names]),
        st.integers(0, 10_000),
        st.lists(st.floats(-2000, 20_000, width=32), min_size=7, max_size=7),
    ),
    min_size=1,
    max_size=25,
    unique_by=lambda row: row[:2],
)


@pytest.mark.slow
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_any_long_rows_come_back_as_they_went_in(dumps, tmp_path_factory, drawn):
    rows = pd.DataFrame([(pid, *scene, count, *values) for pid, scene, count, values in drawn], columns=COLUMNS)
    rows.to_csv(dumps / "signatures.csv", index=False)
    folder = tmp_path_factory.mktemp("lake")
    try:
        lake = open_lake(str(folder))
        run(dumps, lake)
        assert_same(served(lake), expected(rows))
    finally:
        shutil.rmtree(folder)


# -- a database ------------------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path):
    """A PostgreSQL of this test's own on a socket in a short folder."""
    pytest.importorskip("psycopg")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("no PostgreSQL on this machine")
    yield from _running(programs[-1].parent, tmp_path)


def _running(programs, folder):
    as_user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="pg") as place:
        if as_user:
            shutil.chown(place, "postgres", "postgres")
        data = f"{place}/data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres"],
            check=True,
            capture_output=True,
            **as_user,
        )
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", place, "-c", "listen_addresses="],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_user,
        )
        try:
            for _ in range(100):
                ready = subprocess.run([programs / "pg_isready", "-h", place], capture_output=True, check=False)
                if ready.returncode == 0:
                    break
                time.sleep(0.1)
            yield f"postgresql://postgres@/postgres?host={place}"
        finally:
            server.terminate()
            server.wait(20)


@pytest.mark.exhaustive
def test_a_database_is_read_like_its_dumps(dumps, lake, database):
    import psycopg
    import shapely

    frame = gpd.read_file(dumps / "parcels.gpkg")
    hexed = shapely.to_wkb(shapely.set_srid(frame.geometry.to_numpy(), 32631), hex=True, include_srid=True)
    with psycopg.connect(database) as connection:
        connection.execute("create schema ms")
        connection.execute("create table ms.parcels_2020 (ogc_fid int, parcel text, wkb_geometry text)")
        numbers = ", ".join(f"{name} real" for name in STATISTICS)
        connection.execute(f"create table ms.sigs (pid int, obsid int, band text, {numbers})")
        connection.execute("create table ms.hists (pid int, obsid int, hist json)")
        connection.execute("create table catalogue (id int, obstime timestamp, reference text, sensor text, card text)")
        cursor = connection.cursor()
        cursor.executemany(
            "insert into ms.parcels_2020 values (%s, %s, %s)", list(zip(PIDS, PIDS.values(), hexed, strict=True))
        )
        values = [tuple(row) for row in long_rows().astype(object).itertuples(index=False)]
        cursor.executemany("insert into ms.sigs values (" + ", ".join(["%s"] * 11) + ")", values)  # noqa: S608
        cursor.execute('insert into ms.hists values (11, 5, \'{"4": 90, "5": 10}\')')
        listed = catalogue()[["id", "obstime", "reference", "sensor", "card"]].astype(object).itertuples(index=False)
        cursor.executemany("insert into catalogue values (%s, %s, %s, %s, %s)", [tuple(row) for row in listed])
    tables = {"parcels": "ms.parcels_2020", "signatures": "ms.sigs", "hists": "ms.hists", "catalogue": "catalogue"}
    done = run(dumps, lake, dsn=database, **tables)
    assert done.refused == ()
    assert_same(served(lake), expected(long_rows()))
    with pytest.raises(InvalidInputError, match=r"no table ms\.nothing"):
        run(dumps, lake, dsn=database, **tables | {"signatures": "ms.nothing"})
