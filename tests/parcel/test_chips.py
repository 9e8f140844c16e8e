"""Chips: the pixels that GDAL reads, at every place and size, from cube and file, and which scenes are offered."""

import io
import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import factories
import imagecodecs
import numpy as np
import pytest
import rasterio
import shapely
import zarr
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import open_lake
from cbm_lake.lake.slots import SlotContent
from cbm_lake.parcel import chips
from cbm_lake.rasters import Raster, Window, render
from cbm_lake.rasters.blocks import CubeSource
from cbm_lake.rasters.cube import Cube, Slot

LEFT, TOP = 499_980, 4_800_000
SHAPE = (2300, 2200)
"""Rows and columns at 10 m: more than one shard of the cube each way."""
DAY = datetime(2024, 5, 1, 10, 40, tzinfo=UTC)
NAME = "S2A_MSIL2A_{:%Y%m%dT%H%M%S}_N0510_R008_T31TEJ_20240501T142821"


def dn(shape, seed):
    """DN that tell every pixel from its neighbours; some dark, some nodata."""
    pixels = np.random.default_rng(seed).integers(0, 12_000, shape).astype(np.uint16)
    pixels[:40, :30] = 0
    return pixels


def write(path, pixels, metres, left=LEFT, top=TOP, epsg=32631, **options):
    """The array as a COG-like GeoTIFF."""
    profile = {"driver": "GTiff", "count": 1, "tiled": True, "blockxsize": 512, "blockysize": 512, "nodata": 0}
    place = {"crs": f"EPSG:{epsg}", "transform": Affine(metres, 0, left, 0, -metres, top)}
    shape = {"height": pixels.shape[0], "width": pixels.shape[1], "dtype": pixels.dtype}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **{**profile, **place, **shape, **options}) as file:
        file.write(pixels, 1)
    return str(path)


def footprint(shape=SHAPE, left=LEFT, top=TOP, epsg=32631):
    """The outline of a raster of 10 m in degrees."""
    corners = shapely.box(left, top - shape[0] * 10, left + shape[1] * 10, top)
    turn = Transformer.from_crs(epsg, 4326, always_xy=True)
    return shapely.transform(corners.segmentize(1000), lambda xy: np.column_stack(turn.transform(xy[:, 0], xy[:, 1])))


def row(name, obstime=DAY, outline=None, hrefs=None, **others):
    """A row of the catalogue."""
    outline = footprint() if outline is None else outline
    box = dict(zip(("xmin", "ymin", "xmax", "ymax"), outline.bounds, strict=True))
    assets = {band: {"href": href, "type": "image/tiff"} for band, href in (hrefs or {}).items()}
    return factories.scene(name, obstime, geometry=outline.wkb, bbox=box, assets=assets, **others)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Bands of a scene: 10 m, 20 m, classes, and 60 m."""
    folder = tmp_path_factory.mktemp("files")
    half = (SHAPE[0] // 2, SHAPE[1] // 2)
    classes = np.random.default_rng(5).integers(0, 12, half).astype(np.uint8)
    return {
        "B04": write(folder / "B04.tif", dn(SHAPE, 1), 10),
        "B08": write(folder / "B08.tif", dn(SHAPE, 2), 10),
        "B11": write(folder / "B11.tif", dn(half, 3), 20),
        "SCL": write(folder / "SCL.tif", classes, 20),
        "B12": write(folder / "B12.tif", dn((SHAPE[0] // 6, SHAPE[1] // 6), 4), 60),
    }


@pytest.fixture
def filled(lake, files):
    lake.add_scenes(factories.scenes(row("A", hrefs=files, reference=NAME.format(DAY) + ".SAFE")))
    return lake


@pytest.fixture(scope="module")
def shared(tmp_path_factory, files):
    """The same lake for tests that only read it."""
    lake = open_lake(str(tmp_path_factory.mktemp("lake")))
    lake.add_scenes(factories.scenes(row("A", hrefs=files, reference=NAME.format(DAY) + ".SAFE")))
    return lake


def at(column, row_, epsg=32631):
    """The place in degrees of a point that lies so many pixels of 10 m right of and below the corner."""
    return factories.degrees(LEFT + 10 * column, TOP - 10 * row_, epsg)


def truth(href, lon, lat, chipsize, offset=-1000):
    """The chip as rasterio reads it, boundless, and the offset by hand; and where it lies."""
    with rasterio.open(href) as file:
        x, y = Transformer.from_crs(4326, file.crs, always_xy=True).transform(lon, lat)
        size = max(1, round(chipsize / file.res[0]))
        left = round((x - file.bounds.left) / file.res[0] - size / 2)
        top = round((file.bounds.top - y) / file.res[1] - size / 2)
        window = rasterio.windows.Window(left, top, size, size)
        stored = file.read(1, window=window, boundless=True, fill_value=0).astype(int)
        place = file.window_transform(window)
    return np.where(stored == 0, 0, np.maximum(stored + offset, 1)), place


# -- which scenes -------------------------------------------------------------------------------------------------


def test_scenes_come_by_time_from_the_first_day_to_the_end_of_the_last(lake):
    times = [DAY.replace(hour=0, minute=0), DAY, DAY.replace(hour=23, minute=59), DAY + timedelta(days=1)]
    rows = [row(f"S{number}", time) for number, time in enumerate(times)]
    lake.add_scenes(factories.scenes(*reversed(rows)))
    found = chips.covering(lake, *at(100, 100), "2024-05-01", "2024-05-01")
    assert [scene.id for scene in found] == ["S0", "S1", "S2"]
    assert chips.covering(lake, *at(100, 100), "2024-05-03", "2024-06-01") == []
    assert chips.covering(lake, *at(100, 100), "2024-05-01", "2024-05-01", card="bs") == []


def test_only_footprints_that_cover_the_place_count_not_their_boxes(lake):
    triangle = shapely.Polygon([(2.9, 43.0), (3.3, 43.0), (2.9, 43.4)])
    lake.add_scenes(factories.scenes(row("A", outline=triangle)))
    assert [scene.id for scene in chips.covering(lake, 2.95, 43.05, "2024-05-01", "2024-05-01")] == ["A"]
    assert chips.covering(lake, 3.29, 43.39, "2024-05-01", "2024-05-01") == []


def test_of_one_moment_the_scene_with_more_of_the_chip_then_the_higher_baseline_is_taken(lake):
    lon, lat = at(100, 100)
    half = shapely.box(lon - 1, lat - 1, lon + 0.0001, lat + 1)
    moment = {"obstime": DAY, "reference": NAME.format(DAY)}
    lake.add_scenes(
        factories.scenes(
            row("half", outline=half, baseline="05.11", **moment),
            row("whole", baseline="05.10", **{**moment, "reference": moment["reference"].replace("T31TEJ", "T31TDJ")}),
            row("older", baseline="04.00", **{**moment, "reference": moment["reference"].replace("T31TEJ", "T31TEH")}),
        )
    )
    [found] = chips.covering(lake, lon, lat, "2024-05-01", "2024-05-01")
    assert found.id == "whole"
    assert found.overlap == pytest.approx(1)


def test_tiles_of_one_overflight_are_one_scene_although_catalogues_tell_their_own_seconds(lake):
    names = [NAME.format(DAY).replace("T31TEJ", tile) for tile in ("T31TEJ", "T31TDJ")]
    lake.add_scenes(
        factories.scenes(
            *(row(name, DAY + timedelta(seconds=7 * n), reference=name) for n, name in enumerate(names)),
        )
    )
    assert len(chips.covering(lake, *at(100, 100), "2024-05-01", "2024-05-01")) == 1


def test_of_one_moment_a_product_can_be_named(lake):
    names = [NAME.format(DAY).replace("T31TEJ", tile) for tile in ("T31TEJ", "T31TDJ")]
    lake.add_scenes(factories.scenes(*(row(name, reference=f"{name}.SAFE") for name in names)))
    for name in names:
        found = chips.covering(lake, *at(100, 100), "2024-05-01", "2024-05-01", products=[name])
        assert [scene.product for scene in found] == [name]
    assert chips.covering(lake, *at(100, 100), "2024-05-01", "2024-05-01", products=["other"]) == []


def test_superseded_scenes_are_not_offered(lake):
    both = {"acquisition": "one", "obstime": DAY}
    assets = {"B04": {"href": "/x.tif", "type": "image/tiff"}}
    rows = [row("old", baseline="02.14", **both), row("new", baseline="05.10", **both)]
    lake.add_scenes(factories.scenes(*({**each, "assets": assets} for each in rows)))
    assert [scene.id for scene in chips.covering(lake, *at(100, 100), "2024-05-01", "2024-05-01")] == ["new"]


def test_names_of_products_can_be_names_of_files(lake, files):
    lake.add_scenes(factories.scenes(row("A", reference="../../S2A.weird/name.SAFE", hrefs=files)))
    [found] = chips.covering(lake, *at(100, 100), "2024-05-01", "2024-05-01")
    assert found.product == "______S2A_weird_name"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ((181, 50, "2024-05-01", "2024-05-01"), "longitude comes first"),
        ((5, float("nan"), "2024-05-01", "2024-05-01"), "longitude comes first"),
        ((179.999, 50, "2024-05-01", "2024-05-01"), "across the antimeridian"),
        ((5, 50, "spring", "2024-05-01"), "'spring' is no day"),
        ((5, 50, "2024-05-01", None), "None is no day"),
        ((5, 50, "2024-05-01", "9999-12-31"), "9999-12-31 is not between the years 1970 and 2200"),
    ],
)
def test_places_and_days_that_are_none_are_told(lake, asked, told):
    with pytest.raises(InvalidInputError, match=told):
        chips.covering(lake, *asked)


# -- pixels -------------------------------------------------------------------------------------------------------

PLACES = st.tuples(st.floats(-300, SHAPE[1] + 300), st.floats(-300, SHAPE[0] + 300))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=PLACES, chipsize=st.integers(1, 5120), band=st.sampled_from(["B04", "B11", "SCL", "B12"]))
def test_a_chip_is_what_rasterio_reads(shared, files, place, chipsize, band):
    lon, lat = at(*place)
    found = chips.read(shared, chips.by_id(shared, "A"), [band], lon, lat, chipsize)
    expected, where = truth(files[band], lon, lat, chipsize, 0 if band == "SCL" else -1000)
    assert np.array_equal(found[band], expected)
    assert Affine(*found.attrs["transform"]).almost_equals(where)
    x, y = Transformer.from_crs(4326, 32631, always_xy=True).transform(lon, lat)
    pixel = where.a
    centre = where * (expected.shape[1] / 2, expected.shape[0] / 2)
    assert max(abs(centre[0] - x), abs(centre[1] - y)) <= pixel / 2 + 1e-6


def test_bands_of_20_m_come_in_pixels_of_10_m_each_the_one_that_holds_it(shared, files):
    lon, lat = at(1003.2, 701.4)
    found = chips.read(shared, chips.by_id(shared, "A"), ["B04", "B11", "SCL"], lon, lat, 1270)
    assert found["B04"].shape == found["B11"].shape == (127, 127)
    with rasterio.open(files["B11"]) as file:
        coarse = file.read(1).astype(int)
    rows, columns = ((TOP - found.y.values) // 20).astype(int), ((found.x.values - LEFT) // 20).astype(int)
    sampled = coarse[np.ix_(rows, columns)]
    assert np.array_equal(found["B11"], np.where(sampled == 0, 0, np.maximum(sampled - 1000, 1)))


@pytest.fixture
def cubed(filled, files):
    """The lake with a cube that holds the upper left and lower right shard of B04, marked so that it tells."""
    raster = Raster.inspect(files["B04"])
    url = filled.cube_url("s2", raster.grid.name)
    filled.prepare("s2")
    filled.reserve_slots("s2", raster.grid.name, [SlotContent("A", DAY, -1000, {"B04": raster.stamp})])
    Cube(url).extend(raster.grid, {"B04": "uint16"}, [Slot("A", DAY, -1000)])
    list(CubeSource(url, "B04", 0, raster).read([Window(0, 0, 8, 8), Window(2100, 2100, 8, 8)]))
    place = {"grid": raster.grid.name, "slot": 0}
    filled.record(factories.entry("A", cube=True, bands=["B04"], slots=[place]))
    return filled


def test_pixels_come_out_of_the_cube_and_across_its_shards_out_of_the_file(cubed, files, monkeypatch):
    read = []
    real = chips.source
    monkeypatch.setattr(chips, "source", lambda raster: read.append(raster.href) or real(raster))
    scene = chips.by_id(cubed, "A")
    for place, from_file in (
        ((1000, 1000), 0),
        ((2150, 2200), 0),
        ((2048, 2048), 1),
        ((2048, 500), 1),
        ((500, 2250), 1),
    ):
        read.clear()
        found = chips.read(cubed, scene, ["B04"], *at(*place), 640)
        assert np.array_equal(found["B04"], truth(files["B04"], *at(*place), 640)[0])
        assert len(read) == from_file


def test_a_band_or_scene_that_the_cube_lacks_comes_out_of_the_file(cubed, files):
    scene = chips.by_id(cubed, "A")
    for band in ("B08", "B11"):
        found = chips.read(cubed, scene, [band], *at(500, 500), 640)
        assert np.array_equal(found[band], truth(files[band], *at(500, 500), 640)[0])
    other = replace(scene, boa_offset=0)  # what the cube has was stored with another offset
    assert np.array_equal(
        chips.read(cubed, other, ["B04"], *at(500, 500), 640)["B04"], truth(files["B04"], *at(500, 500), 640, 0)[0]
    )


def test_what_a_failed_attempt_left_in_the_cube_is_not_looked_at(filled, files, monkeypatch):
    raster = Raster.inspect(files["B04"])
    url = filled.cube_url("s2", raster.grid.name)
    filled.prepare("s2")
    filled.reserve_slots("s2", raster.grid.name, [SlotContent("A", DAY, -1000, {"B04": raster.stamp})])
    Cube(url).extend(raster.grid, {"B04": "uint16"}, [Slot("A", DAY, -1000)])
    zarr.open_array(url, path="B04", mode="r+")[:] = 7
    filled.record(factories.entry("A", "failed", bands=["B04"]))
    found = chips.read(filled, chips.by_id(filled, "A"), ["B04"], *at(500, 500), 640)
    assert np.array_equal(found["B04"], truth(files["B04"], *at(500, 500), 640)[0])


def test_a_damaged_cube_does_not_matter(cubed, files):
    cube = Path(cubed.cube_url("s2", Raster.inspect(files["B04"]).grid.name))
    (cube / "B04/c/0/0/0").write_bytes(b"\0" * 100)
    found = chips.read(cubed, chips.by_id(cubed, "A"), ["B04"], *at(500, 500), 640)
    assert np.array_equal(found["B04"], truth(files["B04"], *at(500, 500), 640)[0])


def test_unknown_scenes_and_bands_are_told(shared):
    with pytest.raises(NotFoundError, match="no scene 'nowhere' of card s2"):
        chips.by_id(shared, "nowhere")
    with pytest.raises(SourceError, match="scene A has no raster of B02; it has B04"):
        chips.read(shared, chips.by_id(shared, "A"), ["B02"], *at(5, 5))


# -- files --------------------------------------------------------------------------------------------------------

MAY = ("2024-05-01", "2024-05-31")


def test_files_have_the_contracts_name_place_and_numbers(filled, files, tmp_path):
    lon, lat = at(1500, 800)
    [chip] = chips.write(filled, lon, lat, *MAY, band="B04", folder=tmp_path / "new" / "chips")
    assert chip.file == tmp_path / "new" / "chips" / f"{NAME.format(DAY)}.B04.tif"
    assert (chip.scene, chip.band, chip.obstime) == (NAME.format(DAY), "B04", DAY)
    expected, place = truth(files["B04"], lon, lat, 1280)
    with rasterio.open(chip.file) as file:
        assert (file.crs.to_epsg(), file.shape, file.dtypes, file.nodata) == (32631, (128, 128), ("uint16",), 0)
        assert file.transform.almost_equals(place)
        assert np.array_equal(file.read(1), expected)
        assert file.tags()["boa_offset"] == "-1000"
    [coarse] = chips.write(filled, lon, lat, *MAY, band="SCL", folder=tmp_path)
    with rasterio.open(coarse.file) as file:
        assert (file.shape, file.dtypes) == ((64, 64), ("uint8",))
        assert np.array_equal(file.read(1), truth(files["SCL"], lon, lat, 1280, 0)[0])


def test_a_scene_of_the_neighbouring_zone_stays_in_its_own_zone(lake, tmp_path):
    pixels = dn((400, 400), 9)
    left, top = (round(value, -1) for value in Transformer.from_crs(32631, 32632, always_xy=True).transform(LEFT, TOP))
    href = write(tmp_path / "B04.tif", pixels, 10, left, top, 32632)
    lake.add_scenes(factories.scenes(row("Z", outline=footprint((400, 400), left, top, 32632), hrefs={"B04": href})))
    lon, lat = Transformer.from_crs(32632, 4326, always_xy=True).transform(left + 2000, top - 2000)
    [chip] = chips.write(lake, lon, lat, *MAY, band="B04", chipsize=500, folder=tmp_path / "chips")
    with rasterio.open(chip.file) as file:
        assert file.crs.to_epsg() == 32632
        assert np.array_equal(file.read(1), truth(href, lon, lat, 500)[0])


def test_radar_is_float_without_offset_and_named_by_its_polarisation(lake, tmp_path):
    pixels = np.random.default_rng(1).random((300, 300)).astype(np.float32)
    href = write(tmp_path / "VV.tif", pixels, 10)
    radar = row(
        "R", outline=footprint((300, 300)), hrefs={"VV": href}, card="bs", boa_offset=0, reference="S1A_IW.SAFE"
    )
    lake.add_scenes(factories.scenes(radar))
    [chip] = chips.write(lake, *at(150, 150), *MAY, band="VV", chipsize=100, folder=tmp_path / "chips", card="bs")
    assert chip.file.name == "S1A_IW_VV.tif"
    with rasterio.open(chip.file) as file:
        assert np.array_equal(file.read(1), pixels[145:155, 145:155])


def test_what_is_there_is_not_read_again_unless_place_size_or_offset_is_another(filled, tmp_path):
    def written(lon, lat, size):
        [chip] = chips.write(filled, lon, lat, *MAY, band="B04", chipsize=size, folder=tmp_path)
        return chip.file.stat().st_mtime_ns, rasterio.open(chip.file).shape

    place, beside = at(1500.2, 800.2), at(1503.4, 800.2)
    first = written(*place, 1280)
    assert written(*place, 1280) == first
    second = written(*place, 640)
    assert second[1] == (64, 64)
    assert written(*beside, 640)[0] != second[0]
    assert [file.name for file in tmp_path.glob("*.tif")] == [f"{NAME.format(DAY)}.B04.tif"]
    scene = row("A", hrefs=dict(chips.by_id(filled, "A").hrefs), reference=NAME.format(DAY), boa_offset=0)
    third = written(*place, 640)
    filled.add_scenes(factories.scenes(scene))
    assert written(*place, 640)[0] != third[0]


def test_a_damaged_file_in_the_folder_is_written_again(filled, tmp_path):
    (tmp_path / f"{NAME.format(DAY)}.B04.tif").write_bytes(b"half")
    [chip] = chips.write(filled, *at(1500, 800), *MAY, band="B04", folder=tmp_path)
    assert rasterio.open(chip.file).shape == (128, 128)


def test_a_broken_scene_is_left_out_and_told_unless_there_is_no_other(filled, tmp_path, caplog):
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"II*\0 this is no picture")
    rows = [row("broken", DAY + timedelta(days=1), hrefs={"B04": str(bad)}), row("bare", DAY + timedelta(days=2))]
    filled.add_scenes(factories.scenes(*rows))
    with caplog.at_level(logging.WARNING):
        found = chips.write(filled, *at(500, 500), *MAY, band="B04", folder=tmp_path / "chips")
    assert [chip.scene for chip in found] == [NAME.format(DAY)]
    assert "no chip of scene broken" in caplog.text
    assert "no chip of scene bare: scene bare has no raster of B04" in caplog.text
    with pytest.raises(SourceError, match=r"no chip of scene broken: raster .*bad\.tif cannot be opened"):
        chips.write(filled, *at(500, 500), "2024-05-02", "2024-05-03", band="B04", folder=tmp_path / "chips")
    assert [file.name for file in (tmp_path / "chips").iterdir()] == [f"{NAME.format(DAY)}.B04.tif"]


def test_more_scenes_than_the_limit_are_refused_but_those_that_are_there_do_not_count(lake, files, tmp_path):
    days = [DAY + timedelta(days=number) for number in range(4)]
    lake.add_scenes(factories.scenes(*(row(f"S{day:%d}", day, hrefs=files) for day in days)))
    asked = {"band": "SCL", "chipsize": 100, "folder": tmp_path}
    with pytest.raises(
        InvalidInputError, match="4 scenes from 2024-05-01 to 2024-05-31 are more than 3; ask for fewer"
    ):
        chips.write(lake, *at(500, 500), *MAY, **asked, limit=3)
    chips.write(lake, *at(500, 500), "2024-05-01", "2024-05-02", **asked, limit=3)
    found = chips.write(lake, *at(500, 500), *MAY, **asked, limit=3)
    assert [chip.obstime for chip in found] == days


def test_bands_and_sizes_that_cannot_be_are_told(filled, tmp_path):
    place = at(500, 500)
    with pytest.raises(InvalidInputError, match="card s2 has no band VV"):
        chips.write(filled, *place, *MAY, band="VV", folder=tmp_path)
    for size in (0, -5, 5121, float("nan")):
        with pytest.raises(InvalidInputError, match="is not between 1 and 5120 metres"):
            chips.write(filled, *place, *MAY, band="B04", chipsize=size, folder=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="cannot be written"):
        chips.write(filled, *place, *MAY, band="B04", folder=tmp_path / "file" / "below")
    assert chips.write(filled, 40, 40, *MAY, band="B04", folder=tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_two_who_write_the_same_chip_at_once_leave_one_whole_file(filled, tmp_path):
    found = []
    ask = lambda: found.extend(chips.write(filled, *at(500, 500), *MAY, band="B04", folder=tmp_path / "chips"))  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({chip.file for chip in found}) == 1
    assert len(found) == 4
    assert len(list((tmp_path / "chips").iterdir())) == 1
    assert rasterio.open(found[0].file).read(1).any()


# -- maps ---------------------------------------------------------------------------------------------------------


def picture(png):
    return imagecodecs.png_decode(png)


def tile_of(lon, lat, z):
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(lon, lat)
    side = 2 * chips.HALF_MAP / 2**z
    return z, int((x + chips.HALF_MAP) // side), int((chips.HALF_MAP - y) // side)


def square(z, x, y):
    """A tile's box in Web Mercator, and the places of its pixels in UTM."""
    side = 2 * chips.HALF_MAP / 2**z
    west, north = x * side - chips.HALF_MAP, chips.HALF_MAP - y * side
    columns, rows = np.meshgrid(np.arange(256) + 0.5, np.arange(256) + 0.5)
    turn = Transformer.from_crs(3857, 32631, always_xy=True)
    return (west, north - side, west + side, north), turn.transform(
        west + columns * side / 256, north - rows * side / 256
    )


@pytest.mark.parametrize("z", [14, 17])
def test_a_tile_shows_each_place_where_it_is(shared, files, z):
    """Classes are compared, since they are not mixed with their neighbours."""
    box, (x, y) = square(*tile_of(*at(1100, 1100), z))
    found = chips.mapped(shared, chips.by_id(shared, "A"), ["SCL"], box, 256)["SCL"]
    with rasterio.open(files["SCL"]) as file:
        classes = file.read(1)
    rows, columns = ((TOP - y) // 20).astype(int), ((x - LEFT) // 20).astype(int)
    inside = (rows >= 0) & (columns >= 0) & (rows < classes.shape[0]) & (columns < classes.shape[1])
    expected = np.where(inside, classes[rows.clip(0, classes.shape[0] - 1), columns.clip(0, classes.shape[1] - 1)], 0)
    assert inside.mean() > 0.5
    assert (found == expected).mean() > 0.98


def test_a_tile_beside_the_scene_is_transparent(shared):
    scene = chips.by_id(shared, "A")
    for place in ((3.0, 10.0, 12), (-170.0, -40.0, 3), (0.1, 0.1, 8)):
        shown = picture(chips.tile(shared, scene, "B08_B04_B11", *tile_of(*place)))
        assert shown.shape == (256, 256, 4)
        assert not shown[..., 3].any()


def test_the_whole_world_is_one_tile_and_scenes_without_overviews_are_refused_when_too_large(shared, monkeypatch):
    scene = chips.by_id(shared, "A")
    assert picture(chips.tile(shared, scene, "B04", 0, 0, 0)).shape[:2] == (256, 256)
    monkeypatch.setattr(chips, "_MOST_DECODED", 1000)
    with pytest.raises(InvalidInputError, match="has no overviews for a picture of all that; zoom in"):
        chips.tile(shared, scene, "B04", *tile_of(*at(1000, 1000), 8))


@pytest.mark.parametrize("z", [9, 11, 13])
def test_zoomed_out_overviews_are_read_and_lie_right(lake, tmp_path, monkeypatch, z):
    rows, columns = np.indices((2048, 2048))
    href = write(tmp_path / "B04.tif", (1500 + rows + 2 * columns).astype(np.uint16), 10)
    with rasterio.open(href, "r+") as file:
        file.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
    lake.add_scenes(factories.scenes(row("A", hrefs={"B04": href}, outline=footprint((2048, 2048)))))
    monkeypatch.setattr(chips, "_MOST_DECODED", 600_000)
    box, (x, y) = square(*tile_of(*at(1000, 1000), z))
    found = chips.mapped(lake, chips.by_id(lake, "A"), ["B04"], box, 256)["B04"].astype(float)
    error = found - (500 + (TOP - y) / 10 + 2 * (x - LEFT) / 10 - 1.5)
    assert (found > 0).mean() > (0.01 if z == 9 else 0.3)
    assert abs(error[found > 0].mean()) < 1.5
    assert np.percentile(np.abs(error[found > 0]), 95) < (40 if z == 9 else 4)


def test_a_product_in_zarr_is_thinned_where_it_is_zoomed_out(lake, tmp_path):
    rows, columns = np.indices((2048, 2048))
    group = zarr.open_group(tmp_path / "S2A_N0511_.zarr", mode="w")
    array = group.create_array("b04", data=(1500 + rows + 2 * columns).astype(np.uint16), chunks=(512, 512))
    array.attrs.update({"proj:epsg": 32631, "proj:transform": [10, 0, LEFT, 0, -10, TOP]})
    href = str(tmp_path / "S2A_N0511_.zarr" / "b04")
    lake.add_scenes(factories.scenes(row("A", hrefs={"B04": href}, outline=footprint((2048, 2048)))))
    box, (x, y) = square(*tile_of(*at(1000, 1000), 11))
    found = chips.mapped(lake, chips.by_id(lake, "A"), ["B04"], box, 256)["B04"].astype(float)
    error = found - (500 + (TOP - y) / 10 + 2 * (x - LEFT) / 10 - 1.5)
    assert abs(error[found > 0].mean()) < 2
    [chip] = chips.write(lake, *at(1000, 1000), *MAY, band="B04", chipsize=100, folder=tmp_path / "chips")
    with rasterio.open(chip.file) as file:
        assert np.array_equal(file.read(1), 500 + (rows + 2 * columns)[995:1005, 995:1005])


@pytest.mark.parametrize("wrong", [(-1, 0, 0), (3, 8, 0), (3, 0, 8), (40, 0, 0), (2, -1, 0)])
def test_tiles_that_are_none_are_told(shared, wrong):
    with pytest.raises(InvalidInputError, match="there is no tile"):
        chips.tile(shared, chips.by_id(shared, "A"), "B04", *wrong)


def test_a_picture_stretches_each_band_between_its_percentiles(shared, files):
    lon, lat = at(1000, 1000)
    shown = picture(chips.picture(shared, chips.by_id(shared, "A"), "B08_B04_B11", lon, lat, 1280, lut="5_95"))
    assert shown.shape[:2] == (128, 128)
    values = truth(files["B08"], lon, lat, 1280)[0]
    low, high = np.percentile(values[values > 0], (5, 95))
    expected = ((values - low) / (high - low)).clip(0, 1) * 255
    assert np.abs(shown[..., 0] - expected).max() <= 1


def test_pictures_that_cannot_be_are_told():
    band = np.ones((4, 4), np.uint16)
    with pytest.raises(InvalidInputError, match="one band or three, not 2"):
        render.stretched({"B04": band, "B08": band})
    for lut in ("95_5", "x", "5_101", "5", "5_5"):
        with pytest.raises(InvalidInputError, match="no stretch"):
            render.stretched({"B04": band}, lut)


def test_nothing_but_nodata_is_a_picture_too():
    empty = np.zeros((4, 4), np.uint16)
    shown = picture(render.png(render.stretched({"B04": empty}, "5_95"), empty == 0))
    assert not shown.any()
    assert io.BytesIO(render.png(render.stretched({"SCL": empty.astype(np.uint8) + 200}))).read(4) == b"\x89PNG"


# -- real products ------------------------------------------------------------------------------------------------


def test_chips_of_jpeg_2000_are_what_rasterio_reads(lake, realdata, tmp_path):
    href = str(next((realdata / "s2_herault_2018").glob("safe/*20180707*.SAFE/**/*B04_10m.jp2")))
    with rasterio.open(href) as file:
        bounds = file.bounds
    outline = shapely.box(*rasterio.warp.transform_bounds("EPSG:32631", "EPSG:4326", *bounds))
    lake.add_scenes(factories.scenes(row("J", hrefs={"B04": href}, outline=outline, boa_offset=0)))
    lon, lat = factories.degrees(bounds.left + 400, bounds.top - 700)
    [chip] = chips.write(lake, lon, lat, *MAY, band="B04", chipsize=1280, folder=tmp_path)
    with rasterio.open(chip.file) as file:
        assert np.array_equal(file.read(1), truth(href, lon, lat, 1280, 0)[0])
