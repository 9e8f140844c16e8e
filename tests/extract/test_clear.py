"""Clear pixels of partly clouded parcels: which parcels get a row of them, and that their numbers are right."""

import json
import shutil

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from exactextract import exact_extract
from rasterio.features import rasterize
from rasterio.warp import Resampling, reproject
from rasterstats import zonal_stats
from scipy import ndimage
from typer.testing import CliRunner

from cbm_lake import card2db, cards, extract, parcels
from cbm_lake.cli import app
from cbm_lake.demo import sample
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.lake import Lake

pytestmark = pytest.mark.thorough


SEASON = {"start": "2024-01-01", "end": "2024-12-31", "aoi": "demo", "year": 2024}
BANDS = ("B04", "B08", "B11")
USUAL = "SCL 3,8,9,10,11"
SCREENED = cards.CLOUD_CLASSES
STATS = "count mean std min max percentile_25 percentile_50 percentile_75"


@pytest.fixture(scope="session")
def generated(tmp_path_factory):
    """A generated season: 2 dates, 128 x 128 pixels."""
    return sample.write(tmp_path_factory.mktemp("clear"), dates=2, size=128)


@pytest.fixture
def season(tmp_path, generated):
    """A copy of it, whose first scene has clouds over parts of parcels and pixels of no class."""
    folder = tmp_path / "sample"
    shutil.copytree(generated.folder, folder)
    items = folder / "s2.json"
    items.write_text(items.read_text().replace(str(generated.folder), str(folder)))
    classes, transform, epsg = read(asset(folder, "SCL"))
    write(asset(folder, "SCL"), clouded(classes.shape), transform, epsg)
    return folder


def clouded(shape, seed=1):
    """Classes with blots of each screened class, and some pixels of none."""
    rng = np.random.default_rng(seed)
    clouds = ndimage.gaussian_filter(rng.normal(size=shape), 3)
    classes = np.where(rng.random(shape) < 0.02, 0, 4)
    classes[clouds > np.quantile(clouds, 0.75)] = 9
    classes[clouds > np.quantile(clouds, 0.95)] = rng.choice(SCREENED)
    return classes.astype(np.uint8)


def asset(folder, band, scene=0):
    return folder / "s2" / scene_id(folder, scene) / f"{band}.tif"


def scene_id(folder, scene=0):
    return json.loads((folder / "s2.json").read_text())["features"][scene]["id"]


def catalogue(tmp_path, season):
    lake = Lake(str(tmp_path / "lake"))
    card2db.items(str(season / "s2.json"), card="s2", lake=lake)
    parcels.load(str(season / "parcels.gpkg"), "demo", 2024, pid="parcel_id", lake=lake)
    return lake


def rows(lake, scene, masked=True):
    word = "not null" if masked else "null"
    statement = f"select * from s2_rows where scene = $scene and mask is {word} order by pid"  # noqa: S608
    return {row["pid"]: row for row in lake.sql(statement, scene=scene).to_pylist()}


def shapes(lake, epsg):
    table = lake.sql("select pid, geometry, epsg from parcels order by pid")
    series = gpd.GeoSeries(shapely.from_wkb(table["geometry"].to_pylist()), crs=table["epsg"][0].as_py())
    return dict(zip(table["pid"].to_pylist(), series.to_crs(epsg), strict=True))


def read(path):
    with rasterio.open(path) as file:
        return file.read(1), file.transform, file.crs.to_epsg()


def write(path, values, transform, epsg, **more):
    size = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype}
    path.parent.mkdir(exist_ok=True)
    with rasterio.open(path, "w", driver="GTiff", crs=f"EPSG:{epsg}", transform=transform, **size, **more) as file:
        file.write(values, 1)


def brought(codes, transform, to, shape, outside):
    """Codes at the centre of each pixel of another grid, as GDAL resamples to the nearest one."""
    crs = "EPSG:32631"
    result = np.full(shape, outside, np.uint8)
    reproject(
        codes.astype(np.uint8),
        result,
        src_transform=transform,
        dst_transform=to,
        src_crs=crs,
        dst_crs=crs,
        resampling=Resampling.nearest,
        init_dest_nodata=False,
        tolerance=0,
    )
    return result


def oracle(season, dilate=0, other=None):
    """Of each band of the first scene and of the classes: pixels, 0 clear 1 unknown 2 masked, and the transform."""
    classes, at, _ = read(asset(season, "SCL"))
    masked = ndimage.maximum_filter(np.isin(classes, SCREENED), 2 * dilate + 1, mode="constant")
    codes = np.where(masked, 2, np.where(classes == 0, 1, 0))
    result = {}
    for band in (*BANDS, "SCL"):
        pixels, transform, _ = read(asset(season, band))
        on_band = brought(codes, at, transform, pixels.shape, 1)
        if other is not None:
            on_band = np.maximum(on_band, brought(*other, transform, pixels.shape, 2))
        result[band] = pixels, on_band, transform
    return result


def expected_parcels(lake, truth, epsg):
    """The parcels with a masked pixel, whose numbers that changes, with 8 clear pixels and half of all left."""
    chosen = set()
    for pid, shape in shapes(lake, epsg).items():
        masked = differs = False
        fullest = pixels_of_it = 0
        for band in BANDS:
            pixels, codes, transform = truth[band]
            inside = rasterize([shape], pixels.shape, transform=transform).astype(bool) if not shape.is_empty else None
            masked |= bool((codes[inside] == 2).any())
            valid = inside & (pixels > 0)
            differs |= bool((valid & (codes > 0)).any())
            if band != "B11":
                pixels_of_it = max(pixels_of_it, int(inside.sum()))
                fullest = max(fullest, int((valid & (codes == 0)).sum()))
        if masked and differs and fullest >= 8 and 2 * fullest >= pixels_of_it:
            chosen.add(pid)
    return chosen


def is_enough(row):
    """Whether 8 clear pixels, and half of the parcel, are left."""
    return max(row["B04_count"], row["B08_count"]) >= 8 and row["share"] >= 0.5


def check(lake, season, truth, names=None):
    """Compare the rows of clear pixels of the first scene with rasterstats of the masked bands."""
    scene = scene_id(season)
    mine, offset = rows(lake, scene), lake.sql("select boa_offset o from scenes where id = $s", s=scene)["o"][0].as_py()
    epsg = read(asset(season, "B04"))[2]
    assert set(mine) == expected_parcels(lake, truth, epsg)
    assert len(mine) > 8
    outlines = shapes(lake, epsg)
    for band in BANDS:
        pixels, codes, transform = truth[band]
        masked = np.where(codes == 0, pixels, 0)
        stats = zonal_stats([outlines[pid] for pid in mine], masked, affine=transform, nodata=0, stats=STATS)
        for row, expected in zip(mine.values(), stats, strict=True):
            assert row[f"{band}_count"] == expected["count"]
            if not expected["count"]:
                assert row[f"{band}_mean"] is None
                continue
            assert row[f"{band}_min"] == expected["min"] + offset
            assert row[f"{band}_mean"] == pytest.approx(expected["mean"] + offset, rel=1e-6)
            assert row[f"{band}_std"] == pytest.approx(expected["std"], rel=1e-5, abs=1e-3)
            assert row[f"{band}_p75"] == pytest.approx(expected["percentile_75"] + offset, rel=1e-6)
    classes, codes, transform = truth["SCL"]
    for pid, row in mine.items():
        inside = rasterize([outlines[pid]], classes.shape, transform=transform).astype(bool) & (codes == 0)
        assert row["scl"] == [int((classes[inside] == value).sum()) for value in range(12)]
        whole = rasterize([outlines[pid]], truth["B04"][0].shape, transform=truth["B04"][2]).sum()
        assert row["share"] == pytest.approx(min(1, max(row["B04_count"], row["B08_count"]) / whole), abs=1e-6)
    return mine


def test_they_equal_rasterstats_of_the_masked_bands(tmp_path, season):
    lake = catalogue(tmp_path, season)
    done = extract.s2(**SEASON, bands=BANDS, workers=0, lake=lake)
    mine = check(lake, season, oracle(season))
    assert {row["mask"] for row in mine.values()} == {USUAL}
    assert done.clear == lake.sql("select count(mask) n from s2_rows")["n"][0].as_py() >= len(mine)
    assert done.rows == lake.sql("select count(*) n from s2")["n"][0].as_py()


@pytest.mark.parametrize("dilate", [1, 3])
def test_clouds_are_grown_by_pixels_of_the_classification(tmp_path, season, dilate):
    lake = catalogue(tmp_path, season)
    extract.s2(**SEASON, bands=BANDS, workers=0, dilate=dilate, lake=lake)
    scene = scene_id(season)
    kept = {pid: row for pid, row in rows(lake, scene).items() if is_enough(row)}
    truth = oracle(season, dilate)
    assert set(kept) == expected_parcels(lake, truth, read(asset(season, "B04"))[2])
    assert {row["mask"] for row in kept.values()} == {f"{USUAL} dilated {dilate}"}
    pixels, codes, transform = truth["B04"]
    outlines = shapes(lake, read(asset(season, "B04"))[2])
    stats = zonal_stats(
        [outlines[pid] for pid in kept], np.where(codes == 0, pixels, 0), affine=transform, nodata=0, stats="count"
    )
    assert [row["B04_count"] for row in kept.values()] == [row["count"] for row in stats]


def test_a_classification_that_begins_and_ends_elsewhere_is_laid_over_the_bands_by_its_place(tmp_path, season):
    classes, transform, epsg = read(asset(season, "SCL"))
    part, at = classes[7:-5, 3:-9], transform * Affine.translation(3, 7)
    write(asset(season, "SCL"), part, at, epsg)
    lake = catalogue(tmp_path, season)
    extract.s2(**SEASON, bands=BANDS, workers=0, lake=lake)
    check(lake, season, oracle(season))


def test_by_the_coverage_rule_they_equal_exactextract_of_the_masked_bands(tmp_path, season):
    lake = catalogue(tmp_path, season)
    extract.s2(**SEASON, bands=BANDS, rule="coverage", workers=0, lake=lake)
    scene = scene_id(season)
    mine, whole = rows(lake, scene), rows(lake, scene, masked=False)
    offset = lake.sql("select boa_offset o from scenes where id = $s", s=scene)["o"][0].as_py()
    truth, epsg = oracle(season), read(asset(season, "B04"))[2]
    outlines = shapes(lake, epsg)
    assert len(mine) > 8
    covered = {}
    for band in BANDS:
        pixels, codes, transform = truth[band]
        for pid in whole:
            masked = exact(np.where(codes == 2, 1, 0), transform, outlines[pid], 0)["count"]
            clear = exact(np.where(codes == 0, pixels, 0), transform, outlines[pid], 0)
            covered.setdefault(pid, []).append((masked, clear["count"]))
            if pid in mine:
                row = mine[pid]
                assert row[f"{band}_count"] == (max(round(clear["count"]), 1) if clear["count"] else 0)
                if clear["count"]:
                    assert row[f"{band}_mean"] == pytest.approx(clear["mean"] + offset, rel=1e-5)
    assert set(mine) == {
        pid
        for pid, counts in covered.items()
        if any(masked > 0 for masked, _ in counts)
        and max(counts[0][1], counts[1][1]) >= max(8, 0.5 * outlines[pid].area / 100)
    }
    assert all(row["covered"] == pytest.approx(max(n for _, n in covered[pid])) for pid, row in mine.items())


def exact(array, transform, shape, nodata):
    from exactextract.raster import NumPyRasterSource

    height, width = array.shape
    west, north = transform * (0, 0)
    east, south = transform * (width, height)
    source = NumPyRasterSource(array.astype(float), west, south, east, north, nodata=nodata)
    feature = {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
    found = exact_extract(source, [feature], ["count", "mean"])[0]["properties"]
    return {"count": found["count"] or 0, "mean": found["mean"]}


def test_rows_of_all_pixels_are_the_same_with_and_without_them(tmp_path, season):
    lake, other = catalogue(tmp_path / "a", season), catalogue(tmp_path / "b", season)
    extract.s2(**SEASON, bands=BANDS, statistics="p10,valid_share", workers=0, lake=lake)
    off = extract.s2(**SEASON, bands=BANDS, statistics="p10,valid_share", clear=False, workers=0, lake=other)
    assert lake.sql("select * from s2 order by scene, pid").equals(other.sql("select * from s2 order by scene, pid"))
    assert off.clear == other.sql("select count(mask) n from s2_rows")["n"][0].as_py() == 0
    part = rows(lake, scene_id(season))
    assert all(row["B04_valid_share"] < 1 and row["B04_p10"] is not None for row in part.values())
    assert lake.sql("select distinct mask from ledger")["mask"].to_pylist() == [USUAL]
    assert other.sql("select distinct mask from ledger")["mask"].to_pylist() == [""]


def test_the_usual_mask_is_added_to_what_was_extracted_without_one_but_not_taken_away(tmp_path, season):
    lake = catalogue(tmp_path, season)
    extract.s2(**SEASON, bands=BANDS, clear=False, workers=0, lake=lake)
    assert extract.s2(**SEASON, bands=BANDS, workers=0, lake=lake).scenes == 2
    assert extract.s2(**SEASON, bands=BANDS, workers=0, lake=lake).scenes == 0
    assert extract.s2(**SEASON, bands=BANDS, clear=False, workers=0, lake=lake).scenes == 0
    assert extract.s2(**SEASON, bands=BANDS, dilate=1, workers=0, lake=lake).scenes == 2
    assert lake.sql("select distinct mask from s2_rows where mask is not null")["mask"].to_pylist() == [
        f"{USUAL} dilated 1"
    ]


# -- other masks --------------------------------------------------------------------------------------------------


def with_probability(season, pixel=20, **more):
    """Add to the item of the first scene an asset with a cloud probability; its values and transform."""
    classes, transform, epsg = read(asset(season, "SCL"))
    rng = np.random.default_rng(5)
    at = transform * Affine.scale(pixel / 20)
    shape = tuple(int(np.ceil(size * 20 / pixel)) for size in classes.shape)
    field = ndimage.gaussian_filter(rng.normal(size=shape), 60 / pixel)
    values = (100 * field.argsort(axis=None).argsort().reshape(shape) / field.size).astype(np.uint8)
    path = season / "masks" / f"{scene_id(season)}_prob.tif"
    write(path, values, at, epsg, **more)
    document = json.loads((season / "s2.json").read_text())
    document["features"] = document["features"][:1]
    document["features"][0]["assets"]["cloud"] = {"href": str(path)}
    (season / "s2.json").write_text(json.dumps(document))
    return values, at


@pytest.mark.parametrize("pixel", [10, 20, 60])
def test_a_cloud_probability_is_a_mask_beside_the_classes(tmp_path, season, pixel):
    values, at = with_probability(season, pixel)
    lake = catalogue(tmp_path, season)
    extract.s2(**SEASON, bands=BANDS, mask="cloud > 70", workers=0, lake=lake)
    truth = oracle(season, other=(np.where(values > 70, 2, 0), at))
    mine = rows(lake, scene_id(season))
    assert {row["mask"] for row in mine.values()} == {f"{USUAL} and cloud > 70"}
    outlines = shapes(lake, read(asset(season, "B04"))[2])
    for band in BANDS:
        pixels, codes, transform = truth[band]
        clear = np.where(codes == 0, pixels, 0)
        stats = zonal_stats([outlines[pid] for pid in mine], clear, affine=transform, nodata=0, stats="count mean")
        assert [row[f"{band}_count"] for row in mine.values()] == [row["count"] for row in stats]
    enough = {pid for pid, row in mine.items() if is_enough(row)}
    assert enough == expected_parcels(lake, truth, read(asset(season, "B04"))[2])


def test_what_another_mask_hides_wholly_is_clouded_though_the_classes_say_clear(tmp_path, season):
    with_probability(season)
    lake = catalogue(tmp_path, season)
    extract.s2(**SEASON, bands=BANDS, workers=0, lake=lake)
    before = lake.sql("select count(*) n from observations where usable")["n"][0].as_py()
    assert before
    assert extract.s2(**SEASON, bands=BANDS, mask="cloud >= 0", workers=0, lake=lake).scenes == 1
    counts = lake.sql("select usable, why_not, count(*) n from observations group by all").to_pylist()
    assert not [row for row in counts if row["usable"]]
    assert sum(row["n"] for row in counts if row["why_not"] == "cloudy") >= before


def test_a_folder_of_masks_has_one_for_each_scene_and_a_missing_one_fails_by_name(tmp_path, season):
    with_probability(season)
    shutil.copytree(season / "masks", tmp_path / "masks")
    lake = catalogue(tmp_path, season)
    folder = tmp_path / "masks"
    assert extract.s2(**SEASON, bands=BANDS, mask=f"{folder} = 90,91,92", workers=0, lake=lake).scenes == 1
    assert {row["mask"] for row in rows(lake, scene_id(season)).values()} == {f"{USUAL} and {folder} = 90,91,92"}
    (file,) = folder.iterdir()
    shutil.copy(file, folder / f"another_{file.name}")
    with pytest.raises(SourceError, match=rf"scene {scene_id(season)}: 2 files .* in {folder}"):
        extract.s2(**SEASON, bands=BANDS, mask=f"{folder} != 0", workers=0, lake=lake)
    for one in folder.iterdir():
        one.unlink()
    with pytest.raises(SourceError, match=rf"scene {scene_id(season)}: no file in {folder}"):
        extract.s2(**SEASON, bands=BANDS, mask=f"{folder} != 0", workers=0, lake=lake)
    assert lake.query("scenes.failed")["scene"].to_pylist() == [scene_id(season)]
    with pytest.raises(SourceError, match=f"scene {scene_id(season)} has no mask snow: neither"):
        extract.s2(**SEASON, bands=BANDS, mask="snow > 10", workers=0, lake=lake)


def test_pixels_that_a_mask_does_not_know_are_masked_and_one_in_another_system_is_refused(tmp_path, season):
    values, at = with_probability(season, nodata=50)
    lake = catalogue(tmp_path, season)
    extract.s2(**SEASON, bands=BANDS, mask="cloud > 100", workers=0, lake=lake)
    truth = oracle(season, other=(np.where(values == 50, 2, 0), at))
    pixels, codes, transform = truth["B04"]
    mine, outlines = rows(lake, scene_id(season)), shapes(lake, read(asset(season, "B04"))[2])
    stats = zonal_stats(
        [outlines[pid] for pid in mine], np.where(codes == 0, pixels, 0), affine=transform, nodata=0, stats="count"
    )
    assert [row["B04_count"] for row in mine.values()] == [row["count"] for row in stats]
    write(season / "masks" / f"{scene_id(season)}_prob.tif", values, at, 3035)
    with pytest.raises(SourceError, match="is in EPSG:3035, the bands of scene"):
        extract.s2(**SEASON, bands=BANDS, mask="cloud > 99", workers=0, lake=lake)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": "cloud"}, "does not say which of its values"),
        ({"mask": "cloud > many"}, "does not say which of its values"),
        ({"mask": "> 40"}, "does not say which of its values"),
        ({"mask": "cloud > 1,2"}, "several numbers"),
        ({"mask": "/nowhere/masks != 0"}, "no folder /nowhere/masks"),
        ({"mask": "cloud > 40", "clear": False}, "clear pixels only"),
        ({"dilate": -1}, "no number of pixels"),
        ({"dilate": True}, "no number of pixels"),
    ],
)
def test_masks_that_say_too_little_are_refused(tmp_path, season, options, message):
    lake = catalogue(tmp_path, season)
    with pytest.raises(InvalidInputError, match=message):
        extract.s2(**SEASON, **options, workers=0, lake=lake)
    with pytest.raises(InvalidInputError, match="card bs has no scene classes"):
        extract.bs(**SEASON, dilate=1, workers=0, lake=lake)


def test_the_command_takes_the_same_options_and_says_how_many(tmp_path, season, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path / "home"))
    with_probability(season)
    lake = Lake(str(tmp_path / "home" / "data" / "lake"))
    card2db.items(str(season / "s2.json"), card="s2", lake=lake)
    parcels.load(str(season / "parcels.gpkg"), "demo", 2024, pid="parcel_id", lake=lake)
    command = ["extract", "s2", "--start", "2024-01-01", "--end", "2024-12-31", "--aoi", "demo", "--year", "2024"]
    command += ["--bands", "B04,B08", "--workers", "0"]
    done = CliRunner().invoke(app, [*command, "--dilate", "1", "--mask", "cloud > 70"])
    assert done.exit_code == 0, done.output
    assert "of clear pixels alone" in done.output
    assert {row["mask"] for row in rows(lake, scene_id(season)).values()} == {f"{USUAL} dilated 1 and cloud > 70"}
    assert "0 scenes to extract" in CliRunner().invoke(app, [*command, "--no-clear"]).output


def test_indices_of_pixels_are_of_the_clear_pixels_too(tmp_path, season):
    lake = catalogue(tmp_path, season)
    extract.s2(**SEASON, bands=BANDS, indices="ndvi,ndmi", workers=0, lake=lake)
    scene, truth = scene_id(season), oracle(season)
    offset = lake.sql("select boa_offset o from scenes where id = $s", s=scene)["o"][0].as_py()
    outlines, mine = shapes(lake, read(asset(season, "B04"))[2]), rows(lake, scene)
    values = {band: np.where(truth[band][0] == 0, np.nan, truth[band][0].astype(float) + offset) for band in BANDS}
    fine = values["B08"]
    nir = {"B04": fine, "B11": (fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / 4}
    assert mine
    for name, band in (("NDVI", "B04"), ("NDMI", "B11")):
        _, codes, transform = truth[band]
        below = nir[band] + values[band]
        index = np.where((below > 0) & (codes == 0), (nir[band] - values[band]) / np.where(below > 0, below, 1), -9)
        index = np.nan_to_num(index, nan=-9)
        stats = zonal_stats([outlines[pid] for pid in mine], index, affine=transform, nodata=-9, stats=STATS)
        for row, expected in zip(mine.values(), stats, strict=True):
            assert row[f"{name}_count"] == expected["count"]
            for mean, key in (("mean", "mean"), ("p25", "percentile_25")):
                number = row[f"{name}_{mean}"]
                assert (number or 0) == pytest.approx(expected[key] or 0, rel=1e-4, abs=1e-6)
    for pid, row in rows(lake, scene, masked=False).items():
        if pid in mine:
            assert row["NDVI_count"] >= mine[pid]["NDVI_count"]


# -- planted clouds -----------------------------------------------------------------------------------------------


def test_looks_that_clear_pixels_add_have_the_ndvi_of_the_scene_without_clouds(tmp_path, generated):
    folders = [tmp_path / "truth", tmp_path / "planted"]
    for folder in folders:
        shutil.copytree(generated.folder, folder)
        items = folder / "s2.json"
        items.write_text(items.read_text().replace(str(generated.folder), str(folder)))
    number = min(range(2), key=lambda n: np.isin(read(asset(folders[0], "SCL", n))[0], SCREENED).sum())
    classes, transform, epsg = read(asset(folders[0], "SCL", number))
    assert not np.isin(classes, SCREENED).any()
    field = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=classes.shape), 3)
    cloud = (field > np.quantile(field, 0.8)) & (classes > 0)
    write(asset(folders[1], "SCL", number), np.where(cloud, 9, classes).astype(np.uint8), transform, epsg)
    for band in ("B04", "B08"):
        pixels, transform, _ = read(asset(folders[1], band, number))
        bright = np.where(np.kron(cloud, np.ones((2, 2), bool)) & (pixels > 0), 6000, pixels).astype(np.uint16)
        write(asset(folders[1], band, number), bright, transform, epsg)
    looks = []
    for folder in folders:
        lake = catalogue(folder, folder)
        extract.s2(**SEASON, bands=("B04", "B08"), workers=0, lake=lake)
        statement = "select pid, ndvi, usable, clear_part from observations where scene = $scene order by pid"
        looks.append({row["pid"]: row for row in lake.sql(statement, scene=scene_id(folder, number)).to_pylist()})
    truth, planted = looks
    added = [pid for pid, row in planted.items() if row["clear_part"] and truth[pid]["usable"]]
    assert len(added) >= 5
    assert all(planted[pid]["usable"] for pid in added)
    errors = np.array([planted[pid]["ndvi"] - truth[pid]["ndvi"] for pid in added])
    assert np.sqrt((errors**2).mean()) <= 0.02
    touched = rows(lake, scene_id(folder, number))
    unchanged = [pid for pid, row in planted.items() if row["usable"] and pid not in touched]
    assert all(planted[pid]["ndvi"] == truth[pid]["ndvi"] for pid in unchanged)
