"""Statistics of drawn polygons: the rows of an extraction of the same polygons as parcels, whatever their shape."""

from itertools import product

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import rasterio
import shapely
import two_tiles
from factories import copied
from pyproj import Transformer
from rasterstats import zonal_stats

from cbm_lake import parcels
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.extract import drawnjobs, drawnseries, drawnstacks
from cbm_lake.extract.drawn import drawn
from cbm_lake.extract.drawnjobs import Recipe
from cbm_lake.extract.drawnseries import extract_drawn
from cbm_lake.geo.areas import Area
from cbm_lake.lake import Lake
from cbm_lake.rasters import Window, parts, shards
from cbm_lake.scenes import leave_out

pytestmark = pytest.mark.thorough


LEFT, TOP = two_tiles.LEFT, two_tiles.TOP
DAYS = two_tiles.DAYS
BANDS = ("B04", "B08", "B05")
OPTIONS = {
    "usual": {},
    "no cube": {"cube": False},
    "coverage": {"rule": "coverage", "indices": "ndvi"},
    "inside": {"inner_buffer": 10, "indices": "ndvi", "statistics": "p10,valid_share"},
    "grown": {"dilate": 2},
    "all pixels": {"clear": False},
}


def box(x, y, width, height):
    """A rectangle, by metres from the corner of a tile."""
    return shapely.box(LEFT + x, TOP - y - height, LEFT + x + width, TOP - y)


def moved(shape, source, target):
    turn = Transformer.from_crs(source, target, always_xy=True)
    return shapely.transform(shape, lambda xy: np.column_stack(turn.transform(xy[:, 0], xy[:, 1])))


HOLED = box(203, 197, 261, 333).difference(box(280, 250, 60, 60))
BOW = shapely.Polygon([(LEFT + x, TOP - y) for x, y in ((500, 500), (800, 700), (800, 500), (500, 700))])
ANGLES = np.linspace(0, 2 * np.pi, 100_001)
MANY = shapely.Polygon(np.stack([LEFT + 99 * np.cos(ANGLES), TOP + 99 * np.sin(ANGLES)], axis=1))
SHAPES = {
    "plain": (box(100, 100, 200, 150), 32631),
    "hole": (HOLED, 32631),
    "parts": (shapely.MultiPolygon([box(20, 20, 55, 95), box(900, 1000, 130, 80)]), 32631),
    "crossing": (BOW, 32631),
    "one pixel": (box(604, 604, 3, 3), 32631),
    "between centres": (box(606, 606, 3, 3), 32631),
    "over the edge": (box(1100, -150, 400, 300), 32631),
    "nowhere": (box(50_000, 0, 100, 100), 32631),
    "degrees": (moved(box(310, 620, 180, 120), 32632, 4326), 4326),
    "both zones": (
        shapely.MultiPolygon([moved(box(310, 620, 180, 120), 32631, 3035), moved(box(700, 200, 90, 130), 32632, 3035)]),
        3035,
    ),
}


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Two tiles of two zones, nothing extracted."""
    folder = tmp_path_factory.mktemp("tiles")
    return folder, two_tiles.make(folder, cube=False)


def prepared(tiles, tmp_path, **options):
    """A lake whose parcels are extracted with options, and one with the polygons as parcels, extracted likewise."""
    _, bare = tiles
    lake = copied(bare, Lake(str(tmp_path / "lake")))
    for aoi in two_tiles.ZONES:
        two_tiles.run(lake, aoi, **options)
    return lake


def as_parcel(tiles, tmp_path, name, options):
    """The rows of a polygon that was loaded as a parcel and extracted."""
    shape, epsg = SHAPES[name]
    lake = copied(tiles[1], Lake(str(tmp_path / f"parcels {name}")))
    file = tmp_path / f"{name}.gpkg"
    gpd.GeoDataFrame({"pid": ["p"]}, geometry=[shape], crs=epsg).to_file(file)
    parcels.load(str(file), "drawn", 2024, pid="pid", lake=lake)
    two_tiles.run(lake, "drawn", **options)
    return lake.sql("select * exclude (extraction, aoi) from signatures_s2 order by obstime, scene, mask nulls first")


def of_polygon(lake, name, like):
    shape, epsg = SHAPES[name]
    polygons = drawn(lake, {"p": Area(shape, epsg)}, year=2024)
    found = extract_drawn(lake, "s2", polygons, *DAYS, like=like)
    assert not found.failed
    rows = found.table.drop_columns(["extraction", "aoi"])
    return rows.take(pa.compute.sort_indices(rows, [("obstime", "ascending"), ("scene", "ascending")]))


def in_order(rows):
    """Rows of all pixels before those of clear ones."""
    return sorted(rows.to_pylist(), key=lambda row: (row["obstime"], row["scene"], row["mask"] or ""))


@pytest.mark.slow
@pytest.mark.parametrize("kind", OPTIONS)
def test_rows_are_those_of_an_extraction_to_the_bit(tiles, tmp_path, kind):
    lake, compared = prepared(tiles, tmp_path, **OPTIONS[kind]), []
    for name in SHAPES:
        if name == "nowhere":
            continue
        expected = as_parcel(tiles, tmp_path, name, OPTIONS[kind])
        for aoi, epsg in two_tiles.ZONES.items():
            own = [row for row in in_order(expected) if row["scene"].endswith(aoi)]
            found = of_polygon(lake, name, lake.parcel_set(aoi, 2024))
            mine = [row for row in in_order(found) if row["scene"].endswith(aoi)]
            assert mine == own, (kind, name, aoi, epsg)
            compared += own
    assert len(compared) > 20
    assert any(row["mask"] for row in compared) == ("clear" not in OPTIONS[kind])


def test_rows_equal_rasterstats(tiles, tmp_path):
    lake = prepared(tiles, tmp_path)
    for name in ("hole", "parts", "over the edge"):
        shape, _ = SHAPES[name]
        rows = {
            row["scene"]: row
            for row in in_order(of_polygon(lake, name, lake.parcel_set("ms", 2024)))
            if not row["mask"]
        }
        assert len(rows) == len(two_tiles.OFFSETS)
        for scene, offset in two_tiles.OFFSETS.items():
            for band in BANDS:
                with rasterio.open(tiles[0] / "ms" / scene / f"{band}.tif") as file:
                    (truth,) = zonal_stats(
                        [shape], file.read(1), affine=file.transform, nodata=0, stats="count mean std percentile_25"
                    )
                row = rows[f"{scene}_ms"]
                assert row[f"{band}_count"] == truth["count"]
                assert row[f"{band}_mean"] == pytest.approx(truth["mean"] + offset, rel=1e-6)
                assert row[f"{band}_std"] == pytest.approx(truth["std"], rel=1e-6)
                assert row[f"{band}_p25"] == pytest.approx(truth["percentile_25"] + offset, rel=1e-6)


@pytest.mark.parametrize("name", ["nowhere", "between centres"])
def test_what_no_pixel_has_gives_no_rows(tiles, tmp_path, name):
    lake = prepared(tiles, tmp_path)
    assert not of_polygon(lake, name, lake.parcel_set("ms", 2024)).num_rows


def test_several_polygons_are_answered_at_once_as_one_by_one(tiles, tmp_path):
    lake = prepared(tiles, tmp_path, inner_buffer=10)
    shapes = {name: Area(*SHAPES[name]) for name in ("plain", "hole", "over the edge", "one pixel")}
    like = lake.parcel_set("ms", 2024)
    together = in_order(extract_drawn(lake, "s2", drawn(lake, shapes, "ms", 2024), *DAYS, like=like).table)
    for name, area in shapes.items():
        alone = in_order(extract_drawn(lake, "s2", drawn(lake, {name: area}, "ms", 2024), *DAYS, like=like).table)
        keys = {"extraction", "pid"}
        mine = [row for row in together if row["pid"] == name]
        assert alone
        assert [{k: v for k, v in row.items() if k not in keys} for row in mine] == [
            {k: v for k, v in row.items() if k not in keys} for row in alone
        ]


def test_scenes_by_themselves_and_in_stacks_are_the_same(tiles, tmp_path, monkeypatch):
    lake = prepared(tiles, tmp_path)
    like, stacked = lake.parcel_set("ms", 2024), []
    unstacked = drawnstacks.unstacked
    monkeypatch.setattr(
        drawnstacks, "unstacked", lambda rows, one: (stacked.append(len(one.scenes)), unstacked(rows, one))[1]
    )
    together = in_order(of_polygon(lake, "hole", like))
    assert max(stacked) > 1
    monkeypatch.setattr(drawnstacks, "_key", lambda job: None)
    stacked.clear()
    assert in_order(of_polygon(lake, "hole", like)) == together
    assert set(stacked) == {1}


def test_only_scenes_that_count_are_taken_and_nothing_is_written(tiles, tmp_path):
    lake = prepared(tiles, tmp_path, cube=True)
    leave_out(["S1_ms"], why="clouds", lake=lake)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "lake").rglob("*") if path.is_file()}
    found = of_polygon(lake, "parts", lake.parcel_set("ms", 2024))  # of which the cube has some blocks only
    assert {row["scene"] for row in found.to_pylist()} == {"S0_ms", "S2_ms"}
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "lake").rglob("*") if path.is_file()} == before


def test_pixels_come_from_the_cube_where_it_has_them_and_else_from_the_scene(tiles, tmp_path, monkeypatch):
    lake, read = prepared(tiles, tmp_path), []
    like, of_file = lake.parcel_set("ms", 2024), parts.PartSource._of_file
    monkeypatch.setattr(
        parts.PartSource, "_of_file", lambda self, window: (read.append(window), of_file(self, window))[1]
    )
    expected = in_order(of_polygon(lake, "hole", like))
    assert not read
    for block in (tmp_path / "lake" / "cubes").glob("*/*/B08/c/1/0/0"):
        block.write_bytes(block.read_bytes()[:-9])
    assert in_order(of_polygon(lake, "hole", like)) == expected
    assert read


def test_a_scene_that_cannot_be_read_is_named_and_the_others_are_answered(tiles, tmp_path, monkeypatch, caplog):
    lake = prepared(tiles, tmp_path, cube=False)
    of_file = parts.PartSource._of_file

    def broken(self, window):
        if "/S1/" in self._part.href:
            raise SourceError(f"raster {self._part.href} is damaged")
        return of_file(self, window)

    monkeypatch.setattr(parts.PartSource, "_of_file", broken)
    polygons = drawn(lake, {"p": Area(*SHAPES["hole"])})
    found = extract_drawn(lake, "s2", polygons, *DAYS, like=lake.parcel_set("ms", 2024))
    assert [outcome.scene for outcome in found.failed] == ["S1_ms"]
    assert {row["scene"] for row in found.table.to_pylist()} == {"S0_ms", "S2_ms"}
    assert "S1_ms" in caplog.text
    monkeypatch.setattr(parts.PartSource, "_of_file", lambda self, _: broken_always())
    with pytest.raises(SourceError, match="none of 3 scenes"):
        extract_drawn(lake, "s2", polygons, *DAYS, like=lake.parcel_set("ms", 2024))


def broken_always():
    raise SourceError("the disk is gone")


def test_without_an_extraction_all_scenes_are_taken_by_the_recipe(tiles):
    _, lake = tiles
    recipe = Recipe.of(drawnseries.cards.S2, bands=["B08"], statistics="p90", indices="ndvi", clear=False)
    polygons = drawn(lake, {"p": Area(*SHAPES["both zones"])})
    found = extract_drawn(lake, "s2", polygons, *DAYS, like=lake.parcel_set("ms", 2024), recipe=recipe)
    assert len(found.table) == 2 * len(two_tiles.OFFSETS)
    for row in found.table.to_pylist():
        assert row["B08_p90"] is not None
        assert row["NDVI_mean"] is not None
        assert row["B05_count"] is None
        assert row["mask"] is None
    some = extract_drawn(lake, "s2", polygons, "2024-01-01", found.table["obstime"][0].as_py().date(), recipe=recipe)
    assert 0 < len(some.table) < len(found.table)


# -- what is refused ---


@pytest.mark.parametrize(
    ("shape", "epsg", "problem"),
    [
        (shapely.Point(1, 2), 4326, "is a Point"),
        (shapely.LineString([(0, 0), (1, 1)]), 4326, "is a LineString"),
        (shapely.Polygon([(0, 0), (1, 1), (2, 2), (0, 0)]), 32631, "encloses nothing"),
        (shapely.Polygon(), 4326, "encloses nothing"),
        (shapely.box(1000, 1000, 2000, 2000), 4326, "lie outside the world"),
        (shapely.box(3, 43, 4, 44), 999_999, "no coordinate system"),
        (MANY, 32631, "vertices"),
    ],
)
def test_what_is_no_polygon_is_refused_by_name(tiles, shape, epsg, problem):
    with pytest.raises(InvalidInputError, match=problem):
        drawn(tiles[1], {"p": Area(shape, epsg)})


def test_a_polygon_that_is_too_large_is_refused_with_the_limit(tiles, monkeypatch):
    monkeypatch.setattr(drawnjobs, "MOST_PIXELS", 100)
    polygons = drawn(tiles[1], {"p": Area(*SHAPES["hole"])})
    with pytest.raises(InvalidInputError, match="more than 100; draw a smaller one"):
        extract_drawn(tiles[1], "s2", polygons, *DAYS, recipe=Recipe.of(drawnseries.cards.S2, bands=["B08"]))


# -- blocks of cubes ---


def test_windows_of_blocks_are_those_that_zarr_reads(tmp_path):
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    from cbm_lake.storage.store import Store

    rng, pixels = np.random.default_rng(3), {}
    kinds = (("uint16", 4000), ("uint8", 12), ("float32", 1), ("uint16", 1))
    for number, (cname, (dtype, noise)) in enumerate(product(("lz4", "zstd"), kinds)):
        values = (rng.random((2, 700, 900)) * noise).astype(dtype)
        array = zarr.create_array(
            str(tmp_path / f"{number}.zarr"),
            name="B",
            shape=values.shape,
            dtype=dtype,
            chunks=(1, 256, 256),
            shards=(1, 512, 512),
            compressors=[BloscCodec(cname=cname, clevel=3, shuffle="bitshuffle"), Crc32cCodec()],
            fill_value=0,
        )
        array[:] = values
        pixels[number] = values, zarr.open_array(str(tmp_path / f"{number}.zarr"), path="B", mode="r")
    for number, (values, array) in pixels.items():
        assert shards.is_readable(array)
        for _ in range(40):
            row, col = int(rng.integers(0, 700)), int(rng.integers(0, 900))
            part = Window(row, col, int(rng.integers(1, 701 - row)), int(rng.integers(1, 901 - col)))
            slot, store = int(rng.integers(0, 2)), Store(str(tmp_path / f"{number}.zarr"))
            if not values[slot].any():
                continue
            found = shards.window(store, "B", slot, array, part)
            assert found.dtype == values.dtype
            assert np.array_equal(found, values[(slot, *part.slices)])
