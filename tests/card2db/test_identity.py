"""One product, one scene: what is told apart, what counts once, and what a changed catalogue entry does."""

import json
from datetime import UTC, datetime

import factories
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from affine import Affine
from deltalake import DeltaTable, write_deltalake
from rasterstats import zonal_stats

from cbm_lake import card2db, extract, parcels
from cbm_lake.card2db import scene
from cbm_lake.errors import SourceError
from cbm_lake.lake import Lake, schemas
from cbm_lake.rasters import Grid

pytestmark = pytest.mark.thorough


LEFT, TOP, SIZE = 500_000, 4_800_000, 120
WHOLE_YEAR = {"start": "2024-01-01", "end": "2024-12-31", "aoi": "ms", "year": 2024}
SQUARES = {
    str(n): shapely.box(LEFT + 300 * n + 13, TOP - 300 * n - 187, LEFT + 300 * n + 183, TOP - 300 * n - 11)
    for n in range(3)
}
TAKEN = "20240501T104021"


def corners(west=LEFT, north=TOP, width=10 * SIZE, height=10 * SIZE):
    return [
        factories.degrees(x, y)
        for x, y in ((west, north - height), (west + width, north - height), (west + width, north), (west, north))
    ]


def name(baseline="0510", made="20240501T151515", tile="31TEJ"):
    return f"S2A_MSIL2A_{TAKEN}_N{baseline}_R008_T{tile}_{made}"


def sentinel2(files, baseline="0510", made="20240501T151515", strip="20240501T104346", **others):
    """An item of a product; `strip` is the start of its datastrip."""
    properties = {
        "datetime": "2024-05-01T10:40:21Z",
        "platform": "sentinel-2a",
        "s2:product_uri": f"{name(baseline, made)}.SAFE",
        "s2:product_type": "S2MSI2A",
        "s2:datastrip_id": strip and f"S2A_OPER_MSI_L2A_DS_2APS_{made}_S{strip}_N{baseline[:2]}.{baseline[2:]}",
        **others.pop("properties", {}),
    }
    document = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name(baseline, made),
        "collection": "sentinel-2-l2a",
        "geometry": shapely.geometry.mapping(shapely.Polygon(others.pop("footprint", corners()))),
        "links": [],
        "properties": {key: value for key, value in properties.items() if value},
        "assets": {band: {"href": str(path)} for band, path in files.items()},
    }
    return {**document, **others}


def slice_of(files, start, stop, product="4B74", **properties):
    """An item of a terrain-corrected backscatter slice."""
    identifier = f"S1A_IW_GRDH_1SDV_{start}_{stop}_051545_0638F1_{product}_rtc"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": identifier,
        "collection": "sentinel-1-rtc",
        "links": [],
        "geometry": shapely.geometry.mapping(shapely.Polygon(corners())),
        "properties": {
            "datetime": "2024-05-01T05:47:01Z",
            "platform": "SENTINEL-1A",
            "sar:product_type": "RTC",
            **properties,
        },
        "assets": {band.lower(): {"href": str(path)} for band, path in files.items()},
    }


def write(path, values, left=LEFT, size=10):
    profile = {
        "driver": "GTiff",
        "width": values.shape[1],
        "height": values.shape[0],
        "count": 1,
        "dtype": values.dtype,
        "crs": "EPSG:32631",
        "transform": Affine(size, 0, left, 0, -size, TOP),
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(values, 1)
    return path


@pytest.fixture
def files(tmp_path):
    """Makes the two rasters of a product; called again it replaces them."""

    def make(seed, folder="product", **others):
        numbers = np.random.default_rng(seed)
        (tmp_path / folder).mkdir(exist_ok=True)
        return {
            band: write(
                tmp_path / folder / f"{band}.tif", numbers.integers(1100, 4000, (SIZE, SIZE), "uint16"), **others
            )
            for band in ("B04", "B08")
        }

    return make


@pytest.fixture
def lake(tmp_path):
    """A lake with three parcels."""
    import geopandas as gpd

    lake = Lake(str(tmp_path / "lake"))
    frame = gpd.GeoDataFrame({"pid": list(SQUARES)}, geometry=list(SQUARES.values()), crs=32631)
    frame.to_file(tmp_path / "parcels.gpkg")
    parcels.load(tmp_path / "parcels.gpkg", "ms", 2024, pid="pid", lake=lake)
    return lake


def catalogue(lake, tmp_path, *documents, card="s2"):
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": documents}))
    return card2db.items(path, card=card, lake=lake)


def taken(lake, card="s2", **options):
    bands = ["B04", "B08"] if card == "s2" else None
    return getattr(extract, card)(**WHOLE_YEAR, bands=bands, workers=0, lake=lake, **options)


def means(lake, ptype=""):
    rows = lake.sql("select pid, B04_mean from s2 where ptype = $ptype order by pid", ptype=ptype).to_pylist()
    return [(row["pid"], row["B04_mean"]) for row in rows]


def expected(files, offset=-1000):
    found = zonal_stats(list(SQUARES.values()), str(files["B04"]), stats="mean", nodata=0)
    return [(pid, pytest.approx(row["mean"] + offset, rel=1e-6)) for pid, row in zip(SQUARES, found, strict=True)]


def in_force(lake, card="s2"):
    return lake.sql("select id from scenes where card = $card and not superseded order by id", card=card)[
        "id"
    ].to_pylist()


# -- products of one acquisition ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_datastrip_that_is_delivered_twice_counts_once(lake, tmp_path, files, order):
    both = [sentinel2(files(1, "a")), sentinel2(files(2, "b"), made="20240501T190000")]
    for number in order:
        catalogue(lake, tmp_path, both[number])
    assert in_force(lake) == [both[1]["id"]]
    taken(lake)
    assert means(lake) == expected(files(2, "b"))


def test_halves_of_a_tile_from_two_stations_both_count(lake, tmp_path, files):
    halves = [sentinel2(files(1, "a")), sentinel2(files(2, "b"), made="20240501T100652", strip="20240501T104521")]
    catalogue(lake, tmp_path, *halves)
    assert in_force(lake) == sorted(item["id"] for item in halves)


def test_a_half_that_is_reprocessed_alone_leaves_the_other_half_in_force(lake, tmp_path, files):
    north, south = corners(height=6 * SIZE), corners(north=TOP - 5 * SIZE, height=5 * SIZE)
    catalogue(
        lake,
        tmp_path,
        sentinel2(files(1, "a"), footprint=north),
        sentinel2(files(2, "b"), made="20240501T100652", strip="20240501T104521", footprint=south),
        sentinel2(files(3, "c"), "0511", "20250101T000000", strip="20240501T104343", footprint=north),
    )
    assert in_force(lake) == [name("0510", "20240501T100652"), name("0511", "20250101T000000")]


def test_a_tile_that_is_reprocessed_as_a_whole_takes_the_place_of_both_halves(lake, tmp_path, files):
    north, south = corners(height=6 * SIZE), corners(north=TOP - 5 * SIZE, height=5 * SIZE)
    catalogue(
        lake,
        tmp_path,
        sentinel2(files(1, "a"), footprint=north),
        sentinel2(files(2, "b"), made="20240501T100652", strip="20240501T104521", footprint=south),
        sentinel2(files(3, "c"), "0511", "20250101T000000", strip="20240501T104346"),
    )
    assert in_force(lake) == [name("0511", "20250101T000000")]


def test_neighbouring_tiles_of_one_datastrip_both_count(lake, tmp_path, files):
    other = sentinel2(files(2, "b"), footprint=corners(west=LEFT + 100_000))
    other["id"] = name(tile="31TFJ")
    other["properties"]["s2:product_uri"] = f"{name(tile='31TFJ')}.SAFE"
    catalogue(lake, tmp_path, sentinel2(files(1, "a")), other)
    assert len(in_force(lake)) == 2


@pytest.mark.parametrize(
    ("properties", "href", "start"),
    [
        ({"s2:datastrip_id": "S2A_OPER_MSI_L2A_DS_2APS_20240501T151515_S20240501T104346_N05.10"}, "B04.tif", True),
        ({"eopf:datastrip_id": "S2C_OPER_MSI_L2A_DS_S2RP_20240501T151515_S20240501T104346_N05.00"}, "B04.tif", True),
        ({}, "s3://eodata/X.SAFE/GRANULE/L2A_T31TEJ_A046271_20240501T104346/IMG_DATA/R10m/B04_10m.jp2", True),
        ({}, "B04.tif", False),
    ],
)
def test_the_datastrip_is_found_where_providers_say_it(properties, href, start):
    item = sentinel2({"B04": href}, strip="", properties=properties)
    found = scene.to_row(item, "s2", "here")["datastrip"]
    assert found == (datetime(2024, 5, 1, 10, 43, 46, tzinfo=UTC) if start else None)


def test_a_time_of_the_entry_that_is_none_costs_no_scene():
    item = sentinel2({"B04": "B04.tif"}, id="S2A_31TEJ_20240501_0_L2A", properties={"updated": "soon", "created": 7})
    item["properties"]["s2:product_uri"] = "an unusual name L2A"
    row = scene.to_row({**item, "properties": {**item["properties"], "s2:processing_baseline": "05.10"}}, "s2", "here")
    assert (row["updated"], row["produced"]) == (None, None)


# -- radar ------------------------------------------------------------------------------------------------------------


def test_a_slice_counts_once_under_two_product_numbers_and_as_a_near_real_time_product(lake, tmp_path, files):
    early, late = ("20240501T064649", "20240501T064714"), ("20240501T064714", "20240501T064739")
    rasters = {"VV": "vv.tif", "VH": "vh.tif"}
    documents = [
        slice_of(rasters, *early, "4B74"),
        slice_of(rasters, *early, "95E7", **{"s1:processing_datetime": "2024-05-02T00:00:00Z"}),
        slice_of(
            rasters,
            "20240501T064644",
            "20240501T064709",
            "9569",
            **{"s1:product_timeliness": "NRT-3h", "s1:processing_datetime": "2024-05-03T00:00:00Z"},
        ),
        slice_of(rasters, *late, "AAAA"),
    ]
    for first in range(len(documents)):
        order = documents[first:] + documents[:first]
        one = Lake(str(tmp_path / order[0]["id"]))
        for document in order:
            catalogue(one, tmp_path, document, card="bs")
        assert in_force(one, "bs") == [documents[1]["id"], documents[3]["id"]]


def test_neighbouring_slices_that_overlap_a_little_both_count(lake, tmp_path):
    rasters = {"VV": "vv.tif", "VH": "vh.tif"}
    catalogue(
        lake,
        tmp_path,
        slice_of(rasters, "20240501T064649", "20240501T064714"),
        slice_of(rasters, "20240501T064713", "20240501T064738"),
        card="bs",
    )
    assert len(in_force(lake, "bs")) == 2


def test_bursts_of_one_pass_all_count_and_of_one_burst_the_last_that_was_made():
    def burst(place, start, made):
        row = slice_of({"VV": "vv.tif"}, "20240501T064649", "20240501T064714")
        identifier = f"OPERA_L2_RTC-S1_T069-147170-IW{place}_{start}Z_{made}Z_S1A_30_v1.0"
        return scene.to_row({**row, "id": identifier}, "bs", "here")

    rows = [
        burst(1, "20240501T055000", "20240502T013000"),
        burst(2, "20240501T055001", "20240502T013000"),
        burst(1, "20240501T055000", "20240503T013000"),
    ]
    assert [row["acquisition"] for row in rows] == [
        "bs/S1A/20240501T055000/T069-147170-IW1",
        "bs/S1A/20240501T055001/T069-147170-IW2",
        "bs/S1A/20240501T055000/T069-147170-IW1",
    ]
    assert rows[2]["produced"] > rows[0]["produced"]


# -- entries that change ----------------------------------------------------------------------------------------------


def test_a_product_that_is_reprocessed_in_place_is_extracted_again(lake, tmp_path, files):
    first = sentinel2(files(1), "0214", id="S2A_31TEJ_20240501_0_L2A")
    catalogue(lake, tmp_path, first)
    taken(lake)
    assert means(lake) == expected(files(1), 0)
    second = files(2)
    newer = sentinel2(second, "0500", "20250101T000000", id=first["id"])
    done = catalogue(lake, tmp_path, newer)
    assert (done.new, done.changed) == (0, 1)
    assert means(lake) == []  # what was taken is of another product
    assert lake.sql("select status, processing_baseline from scenes").to_pylist() == [
        {"status": "changed", "processing_baseline": "05.00"}
    ]
    assert lake.query("scenes.status")["changed"].to_pylist() == [1]
    assert taken(lake).scenes == 1
    assert means(lake) == expected(second)
    assert lake.sql("select status from scenes")["status"].to_pylist() == ["extracted"]
    catalogue(lake, tmp_path, first)  # an old file of items: the older product changes nothing
    assert means(lake) == expected(second)
    assert taken(lake).scenes == 0


@pytest.mark.parametrize("change", ["addresses", "updated"])
def test_other_addresses_and_another_edition_are_another_revision(lake, tmp_path, files, change):
    item = sentinel2(files(1), properties={"updated": "2024-05-02T00:00:00Z"})
    catalogue(lake, tmp_path, item)
    taken(lake)
    assert catalogue(lake, tmp_path, item).new == 0
    assert len(means(lake)) == 3
    moved = files(2, "moved") if change == "addresses" else files(1)
    day = "2024-05-02" if change == "addresses" else "2024-05-03"
    catalogue(lake, tmp_path, sentinel2(moved, properties={"updated": f"{day}T00:00:00Z"}))
    assert means(lake) == []
    assert taken(lake).scenes == 1
    assert means(lake) == expected(moved)


def test_a_provider_that_goes_back_to_the_former_addresses_is_believed(lake, tmp_path, files):
    here, there = sentinel2(files(1, "here")), sentinel2(files(2, "there"))
    for item in (here, there, here):
        catalogue(lake, tmp_path, item)
        taken(lake)
        lake.compact()
    assert means(lake) == expected(files(1, "here"))


def test_bands_that_were_extracted_before_come_again_with_a_new_revision(lake, tmp_path, files):
    catalogue(lake, tmp_path, sentinel2(files(1)))
    taken(lake)
    catalogue(lake, tmp_path, sentinel2(files(2, "moved")))
    extract.s2(**WHOLE_YEAR, bands=["B04"], workers=0, lake=lake)
    assert lake.sql("select count(B08_mean) as n from s2")["n"].to_pylist() == [3]


# -- files that change ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cube", [True, False])
def test_a_file_that_was_replaced_is_read_again_for_another_parcel_set(lake, tmp_path, files, cube):
    catalogue(lake, tmp_path, sentinel2(files(1)))
    taken(lake, cube=cube)
    parcels.load(tmp_path / "parcels.gpkg", "ms", 2024, ptype="t", pid="pid", lake=lake)
    replaced = files(2, left=LEFT - 300)
    taken(lake, cube=cube, ptype="t")
    assert means(lake, "t") == expected(replaced)


def test_a_file_that_was_replaced_is_read_again_on_demand_also_with_a_cube(lake, tmp_path, files):
    catalogue(lake, tmp_path, sentinel2(files(1)))
    taken(lake)
    replaced = files(2)
    taken(lake, again=True)
    assert means(lake) == expected(replaced)
    slots = lake.query("extractions.slots", card="s2", grid="32631_10m_500000_4800000_120x120").to_pylist()
    assert [row["slot"] for row in slots] == [0, 1]
    taken(lake, again=True)
    assert means(lake) == expected(replaced)
    assert lake.query("extractions.slots", card="s2", grid="32631_10m_500000_4800000_120x120").num_rows == 2


def test_a_file_that_is_replaced_between_planning_and_reading_fails_its_scene(lake, tmp_path, files):
    catalogue(lake, tmp_path, sentinel2(files(1)))
    todo = extract.plan("s2", **WHOLE_YEAR, bands=["B04", "B08"], lake=lake)
    files(2)
    with pytest.raises(SourceError, match="changed since"):
        extract.run(todo, workers=0)
    taken(lake)
    assert means(lake) == expected(files(2))


@pytest.mark.parametrize("gone", [True, False])
def test_of_a_file_that_has_gone_the_cube_has_the_pixels_and_of_one_that_cannot_be_read_it_is_not_asked(
    lake, tmp_path, files, gone
):
    product = files(1)
    catalogue(lake, tmp_path, sentinel2(product))
    taken(lake)
    found = expected(product)
    parcels.load(tmp_path / "parcels.gpkg", "ms", 2024, ptype="t", pid="pid", lake=lake)
    product["B04"].unlink()
    if gone:
        taken(lake, ptype="t")
        assert means(lake, "t") == found
        return
    product["B04"].symlink_to(product["B04"])  # a loop, which nobody can look into
    with pytest.raises(SourceError, match=r"B04\.tif cannot be opened"):
        taken(lake, ptype="t")


# -- grids ------------------------------------------------------------------------------------------------------------


def test_grids_are_told_apart_by_all_numbers_of_their_transforms():
    base = (10.0, 0.0, 500000.0, 0.0, -10.0, 4800000.0)
    assert Grid(32631, Affine(*base), (5, 7)).name == "32631_10m_500000_4800000_5x7"  # as version 0.1 wrote it
    others = [(10.0000001, *base[1:]), (*base[:4], -10.5, base[5]), (*base[:2], 500000.0000001, *base[3:])]
    names = {Grid(32631, Affine(*numbers), (5, 7)).name for numbers in (base, *others)}
    assert len(names) == 4


def test_a_few_changed_parcels_are_not_mixed_with_pixels_of_a_former_file(lake, tmp_path, files):
    import geopandas as gpd

    catalogue(lake, tmp_path, sentinel2(files(1)))
    taken(lake)
    moved = {**SQUARES, "0": shapely.box(LEFT + 13, TOP - 157, LEFT + 183, TOP - 11)}
    gpd.GeoDataFrame({"pid": list(moved)}, geometry=list(moved.values()), crs=32631).to_file(tmp_path / "moved.gpkg")
    parcels.load(tmp_path / "moved.gpkg", "ms", 2024, pid="pid", lake=lake)
    replaced = files(7)  # at the same addresses, under the same catalogue entry
    assert taken(lake).rows == 3
    found = zonal_stats(list(moved.values()), str(replaced["B04"]), stats="mean", nodata=0)
    assert [value for _, value in means(lake)] == pytest.approx([row["mean"] - 1000 for row in found], rel=1e-6)
    cube = lake.cube("s2", "ms", bands=["B04"])["B04"][0].to_numpy()
    with rasterio.open(replaced["B04"]) as file:
        window = file.read(1)[1 : 1 + cube.shape[0], 1 : 1 + cube.shape[1]]
    assert np.array_equal(cube, window)


# -- lakes of version 0.1 ---------------------------------------------------------------------------------------------


def without(rows, names):
    return rows.drop_columns([name for name in names if name in rows.column_names])


@pytest.fixture
def old(lake, tmp_path, files):
    """A lake as version 0.1 left it: no column that came later in the catalogue, the ledger and the slots."""
    catalogue(lake, tmp_path, sentinel2(files(1)))
    taken(lake)
    (entry,) = (tmp_path / "lake" / "scenes").glob("*.parquet")
    table = pq.read_table(entry)
    pq.write_table(without(table, ("datastrip", "produced", "updated", "revision")), entry)
    for name in ("extractions", "slots"):
        url = f"{lake.url}/{name}"
        rows = without(DeltaTable(url).to_pyarrow_table(), ("revision", "slots", "discarded", "stamps", "pixels"))
        write_deltalake(url, rows, mode="overwrite", schema_mode="overwrite")
    return Lake(lake.url)


def test_a_lake_of_version_0_1_gives_the_same_numbers_and_goes_on(old, tmp_path, files):
    assert means(old) == expected(files(1))
    assert catalogue(old, tmp_path, sentinel2(files(1))).changed == 0  # now with its datastrip: no other product
    assert means(old) == expected(files(1))
    assert taken(old).scenes == 0
    (known,) = old.sql("select datastrip, revision from scenes").to_pylist()
    assert known == {"datastrip": datetime(2024, 5, 1, 10, 43, 46, tzinfo=UTC), "revision": ""}
    assert catalogue(old, tmp_path, sentinel2(files(1))).new == 0
    assert len(list((tmp_path / "lake" / "scenes").glob("*.parquet"))) == 2
    catalogue(old, tmp_path, sentinel2(files(2, "moved")))
    assert means(old) == []
    taken(old)
    assert means(old) == expected(files(2, "moved"))
    old.compact()
    assert means(old) == expected(files(2, "moved"))


def test_an_area_of_version_0_1_stays_in_the_cube_when_another_is_extracted(old, tmp_path, files):
    before = old.cube("s2", "ms")["B04"].to_numpy()
    parcels.load(tmp_path / "parcels.gpkg", "neighbour", 2024, pid="pid", lake=old)
    extract.s2(**{**WHOLE_YEAR, "aoi": "neighbour"}, bands=["B04", "B08"], workers=0, lake=old)
    assert np.array_equal(old.cube("s2", "ms")["B04"], before)
    assert np.array_equal(old.cube("s2", "neighbour")["B04"], before)


def test_every_column_that_came_later_may_be_missing():
    later = {"datastrip", "produced", "updated", "revision"}
    assert all(schemas.SCENES.field(name).nullable for name in later)
    empty = pa.Table.from_pylist([factories.scene("A")], schema=schemas.SCENES)
    assert empty["revision"].to_pylist() == [None]
