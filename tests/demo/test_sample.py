"""The generated sample is what it says: the same each time, valid, and true to its truth."""

import json
from itertools import product

import geopandas as gpd
import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
import shapely.geometry
from rasterstats import zonal_stats

from cbm_lake.demo import imagery, sample
from cbm_lake.demo.phenology import CROPS, draw
from cbm_lake.errors import InvalidInputError

SIZE, DATES = 160, 8
BANDS = {"blue": 10, "green": 10, "red": 10, "nir": 10, "rededge1": 20, "swir16": 20}
HIDDEN = (3, 8, 9, 10)

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rasterstats with affine 3


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A small sample, and the progress that was reported while it was written."""
    steps = []
    folder = tmp_path_factory.mktemp("sample")
    written = sample.write(folder, dates=DATES, size=SIZE, progress=lambda *step: steps.append(step))
    return written, steps


@pytest.fixture(scope="session")
def scenes(small):
    """The Sentinel-2 items in order of time, read as any STAC client would read them."""
    return items(small[0], "s2")


@pytest.fixture(scope="session")
def parcels(small):
    return gpd.read_file(small[0].parcels).to_crs(32631)


@pytest.fixture(scope="session")
def truth(small):
    return pd.read_parquet(small[0].truth)


@pytest.fixture(scope="session")
def measured(scenes, parcels):
    """NDVI and visible pixels per parcel and date, by rasterstats from the rasters."""
    return pd.concat([measure(scene, parcels) for scene in scenes], ignore_index=True)


def items(written, card):
    files = (written.folder / card).glob("*/*.json")
    return sorted((pystac.Item.from_file(str(file)) for file in files), key=lambda item: item.datetime)


def pixels(item, key):
    """The stored numbers of an asset."""
    with rasterio.open(item.assets[key].get_absolute_href()) as raster:
        return raster.read(1)


def scaling(item, key):
    return item.assets[key].extra_fields["raster:bands"][0]


def reflectance_mean(item, key, parcels):
    """Mean reflectance per parcel, read as the item's metadata say."""
    stats = zonal_stats(list(parcels.geometry), item.assets[key].get_absolute_href(), stats=["mean", "count"])
    band = scaling(item, key)
    mean = np.array([np.nan if row["mean"] is None else row["mean"] for row in stats], dtype=float)
    return mean * band["scale"] + band["offset"], np.array([row["count"] for row in stats])


def measure(item, parcels):
    red, count = reflectance_mean(item, "red", parcels)
    nir, _ = reflectance_mean(item, "nir", parcels)
    return pd.DataFrame(
        {
            "pid": parcels["parcel_id"],
            "obstime": item.datetime,
            "ndvi": (nir - red) / (nir + red),
            "count": count,
        }
    )


def test_the_same_seed_gives_the_same_sample_and_another_seed_another(tmp_path):
    first, second, other = (
        sample.write(tmp_path / name, seed=seed, dates=1, size=120) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    for card in ("s2", "bs", "c6"):
        for one, two in zip(items(first, card), items(second, card), strict=True):
            assert one.id == two.id
            for key in one.assets:
                assert np.array_equal(pixels(one, key), pixels(two, key))
    pd.testing.assert_frame_equal(pd.read_parquet(first.truth), pd.read_parquet(second.truth))
    pd.testing.assert_frame_equal(pd.read_parquet(first.events), pd.read_parquet(second.events))
    assert gpd.read_file(first.parcels).equals(gpd.read_file(second.parcels))
    assert not np.array_equal(pixels(items(first, "s2")[0], "red"), pixels(items(other, "s2")[0], "red"))


def test_progress_counts_every_picture_once(small):
    written, steps = small
    total = sum(len(items(written, card)) for card in written.items)
    assert steps == [(number, total) for number in range(1, total + 1)]


def test_parcels_have_unique_textual_identifiers_and_the_declared_columns(parcels):
    assert list(parcels.columns) == ["parcel_id", "crop_name", "crop_code", "farm_id", "geometry"]
    assert parcels["parcel_id"].is_unique
    assert parcels["parcel_id"].str.fullmatch(r"0\d{5}").all()
    codes = {crop.name: crop.code for crop in CROPS}
    assert set(parcels["crop_name"]) == set(codes)
    assert (parcels["crop_name"].map(codes) == parcels["crop_code"]).all()


def test_parcels_come_in_every_awkward_shape_but_valid(parcels):
    assert parcels.is_valid.all()
    assert (parcels.count_geometries() > 1).any()
    assert (parcels.explode().count_interior_rings() > 0).any()
    assert (parcels.area < 800).any()
    pairs = gpd.sjoin(parcels[["geometry"]], parcels[["geometry"]], predicate="overlaps")
    assert len(pairs) > 0
    turned = parcels.minimum_rotated_rectangle().area / parcels.envelope.area
    assert turned.median() < 0.9


def test_the_full_place_has_about_300_parcels_of_usual_size():
    from cbm_lake.demo.landscape import build

    hectares = build(480, np.random.default_rng(2024)).parcels.area / 10_000
    assert 280 <= len(hectares) <= 360
    assert 1.0 <= hectares.median() <= 1.4
    assert hectares.max() <= 8.1


def test_the_parcel_file_is_in_degrees_so_that_readers_must_reproject(small):
    assert gpd.read_file(small[0].parcels).crs.to_epsg() == 4326


@pytest.mark.parametrize("card", ["s2", "bs", "c6"])
def test_items_lie_beside_their_rasters_and_the_collection_names_the_same_files(small, card):
    written = small[0]
    collection = pystac.ItemCollection.from_file(str(written.items[card]))
    single = {item.id: item for item in items(written, card)}
    assert {item.id for item in collection} == set(single)
    for item in collection:
        for key, asset in item.assets.items():
            relative = json.loads((written.folder / card / item.id / f"{item.id}.json").read_text())
            assert relative["assets"][key]["href"].startswith("./")
            with (
                rasterio.open(asset.href) as one,
                rasterio.open(single[item.id].assets[key].get_absolute_href()) as two,
            ):
                assert one.name == two.name


def test_rasters_are_as_their_items_say(small):
    for card in ("s2", "bs", "c6"):
        for item in items(small[0], card):
            for key, asset in item.assets.items():
                with rasterio.open(asset.get_absolute_href()) as raster:
                    about = (raster.crs.to_string(), list(raster.shape), list(raster.transform)[:6])
                    assert about == (
                        item.properties["proj:code"],
                        asset.extra_fields["proj:shape"],
                        asset.extra_fields["proj:transform"],
                    )
                    assert raster.dtypes[0] == scaling(item, key)["data_type"]
                    assert raster.nodata == 0
                    assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
                    assert raster.compression.name.lower() == "deflate"
                    assert raster.overviews(1) == []


def test_optical_items_follow_earth_search(scenes):
    for scene in scenes:
        assert {key: scene.assets[key].extra_fields["gsd"] for key in BANDS} == BANDS
        assert pixels(scene, "scl").dtype == np.uint8
        taken = scene.datetime.strftime("%Y%m%dT%H%M%S")
        platform = {"sentinel-2a": "S2A", "sentinel-2b": "S2B"}[scene.properties["platform"]]
        assert scene.id == f"{platform}_T31UES_{taken}_L2A"
        baseline = scene.properties["s2:processing_baseline"].replace(".", "")
        assert f"_{taken}_N{baseline}_R008_T31UES_" in scene.properties["s2:product_uri"]
        assert scene.properties["grid:code"] == "MGRS-31UES"
        assert "no satellite" in scene.properties["description"]


def test_the_footprint_is_where_the_pixels_are(scenes):
    for scene in scenes:
        footprint = gpd.GeoSeries([shapely.geometry.shape(scene.geometry)], crs=4326)
        share = footprint.to_crs(32631).area[0] / (SIZE * 10) ** 2
        assert share == pytest.approx((pixels(scene, "red") > 0).mean(), abs=0.01)


def test_one_scene_ends_in_the_picture_and_is_nodata_in_all_bands_there(scenes):
    cut = [scene for scene in scenes if scene.properties["s2:nodata_pixel_percentage"] > 0]
    assert len(cut) == 1
    outside = pixels(cut[0], "scl") == 0
    assert 0.1 < outside.mean() < 0.6
    for key, size in BANDS.items():
        grown = outside if size == 20 else outside.repeat(2, axis=0).repeat(2, axis=1)
        assert np.array_equal(pixels(cut[0], key) == 0, grown)


def test_only_scenes_of_a_new_baseline_carry_the_offset(scenes):
    offsets = {scene.properties["s2:processing_baseline"]: scaling(scene, "red")["offset"] for scene in scenes}
    assert offsets == {"02.14": 0.0, "05.10": -0.1}
    for scene in scenes:
        dark = np.percentile(pixels(scene, "red")[pixels(scene, "red") > 0], 1)
        assert (dark > 1000) == (scaling(scene, "red")["offset"] < 0)


def test_ndvi_measured_by_rasterstats_follows_the_truth_where_the_sky_is_clear(measured, truth):
    both = truth.merge(measured, on=["pid", "obstime"], suffixes=("", "_seen"))
    clear = both[(both["clouded"] == 0) & (both["outside"] == 0)]
    assert len(clear) > 200
    error = (clear["ndvi_seen"] - clear["ndvi"]).abs()
    assert error[clear["count"] >= 30].max() < 0.005
    assert error.max() < 0.03
    hidden = both[both["clouded"] == 1]
    assert (hidden["ndvi_seen"] - hidden["ndvi"]).abs().median() > 0.1


def test_the_truth_counts_hidden_and_outside_pixels_as_the_scene_classes_do(scenes, parcels, truth):
    for scene in scenes:
        rows = truth[truth["obstime"] == scene.datetime].set_index("pid").loc[parcels["parcel_id"]]
        classes = pixels(scene, "scl").repeat(2, axis=0).repeat(2, axis=1)
        with rasterio.open(scene.assets["red"].get_absolute_href()) as raster:
            transform = raster.transform
        for column, mask in (("clouded", np.isin(classes, HIDDEN)), ("outside", classes == 0)):
            stats = zonal_stats(
                list(parcels.geometry), mask.astype("uint8"), affine=transform, nodata=255, stats="mean"
            )
            assert rows[column].to_numpy() == pytest.approx([row["mean"] for row in stats])


def test_clouds_are_bright_in_the_bands_and_counted_in_the_item(scenes):
    seen = 0
    for scene in scenes:
        classes, blue = pixels(scene, "scl"), pixels(scene, "blue").astype(float)
        inside = classes > 0
        share = 100 * np.isin(classes, (8, 9, 10)).sum() / inside.sum()
        assert scene.properties["eo:cloud_cover"] == pytest.approx(share, abs=1e-4)
        coarse = blue.reshape(SIZE // 2, 2, SIZE // 2, 2).mean(axis=(1, 3))
        if (classes == 9).any() and (classes == 4).any():
            seen += 1
            assert coarse[classes == 9].mean() > coarse[classes == 4].mean() + 2500
    assert seen >= 2
    cover = [scene.properties["eo:cloud_cover"] for scene in scenes]
    assert sum(value > 90 for value in cover) == 2
    assert sum(value == 0 for value in cover) == DATES // 2


def test_mowing_makes_the_ndvi_drop_and_the_sward_grows_again():
    growth = draw(["grassland"] * 200, np.random.default_rng(3))
    day = growth.cuts[:, 0]
    before, after, later = (np.diagonal(growth.ndvi(day + step)) for step in (-1, 0, 25))
    assert (before - after > 0.25).all()
    assert (later - after > 0.15).mean() > 0.9


def test_events_in_the_file_are_seen_in_the_truth(small, truth):
    events = pd.read_parquet(small[0].events)
    assert set(events["event"]) >= {"sowing", "mowing", "harvest", "ploughing"}
    assert set(events["pid"]) <= set(truth["pid"])
    whole = truth[truth["kinds"] == "whole"].assign(date=lambda rows: rows["obstime"].dt.date)
    falls = []
    for _, event in events[events["event"] == "harvest"].iterrows():
        series = whole[whole["pid"] == event["pid"]].set_index("date")["ndvi"]
        falls += [series[series.index >= event["date"]].max()] if (series.index >= event["date"]).any() else []
    assert len(falls) > 5
    assert np.median(falls) < 0.35


def test_the_truth_knows_which_parcels_are_not_as_declared(truth):
    parcels = truth.drop_duplicates("pid").set_index("pid")
    assert set(parcels["kinds"]) == {"whole", "split", "mixed", "wrong_crop"}
    wrong = parcels["kinds"] == "wrong_crop"
    assert (parcels["crop"] != parcels["declared"]).equals(wrong)
    assert (parcels["second"] != "").equals(parcels["kinds"].isin(["split", "mixed"]))


def test_split_parcels_show_two_crops(scenes, parcels, truth):
    """Their NDVI varies within the parcel far more than that of whole parcels."""
    spread = []
    for scene in [scene for scene in scenes if scene.properties["eo:cloud_cover"] == 0]:
        red, nir = (pixels(scene, key) * 1e-4 + scaling(scene, key)["offset"] for key in ("red", "nir"))
        with rasterio.open(scene.assets["red"].get_absolute_href()) as raster:
            transform = raster.transform
        ndvi = np.where(pixels(scene, "red") > 0, (nir - red) / (nir + red), -9)
        stats = zonal_stats(list(parcels.geometry), ndvi, affine=transform, nodata=-9, stats="std")
        spread.append([row["std"] for row in stats])
    widest = pd.Series(np.nanmax(np.array(spread, dtype=float), axis=0), index=parcels["parcel_id"])
    kinds = truth.drop_duplicates("pid").set_index("pid")["kinds"]
    assert widest[kinds == "split"].min() > 2 * widest[kinds == "whole"].median()


@pytest.mark.parametrize(("card", "size", "top"), [("bs", 10, 10.0), ("c6", 20, 1.0)])
def test_radar_images_are_positive_floats_on_their_grid(small, card, size, top):
    for item, key in product(items(small[0], card), ("vv", "vh")):
        image = pixels(item, key)
        assert image.dtype == np.float32
        assert image.shape == (SIZE * 10 // size, SIZE * 10 // size)
        assert 0 < image.min() <= image.max() < top
        assert item.properties["sar:instrument_mode"] == "IW"
        assert item.id.endswith("_CARD_BS" if card == "bs" else "_CARD_COH6")
    orbits = {item.properties["sat:orbit_state"] for item in items(small[0], card)}
    assert orbits == {"ascending", "descending"}


def test_coherence_is_high_on_bare_soil_and_low_under_a_closed_crop(small, parcels, truth):
    maize = truth[(truth["crop"] == "maize") & (truth["kinds"] == "whole")]["pid"]
    fields = parcels[parcels["parcel_id"].isin(maize) & (parcels.area > 5_000)]
    images = {item.datetime.month: item for item in items(small[0], "c6")}
    spring, summer = (
        np.mean([row["mean"] for row in zonal_stats(list(fields.geometry), asset_href(images[month]), stats="mean")])
        for month in (4, 8)
    )
    assert spring > summer + 0.25


def asset_href(item):
    return item.assets["vv"].get_absolute_href()


@pytest.mark.parametrize("wrong", [{"dates": 0}, {"dates": 50}, {"size": 100}, {"size": 161}])
def test_impossible_sizes_are_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(InvalidInputError, match=str(next(iter(wrong.values())))):
        sample.write(tmp_path / "none", **wrong)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("cover", [0.1, 0.5])
def test_a_pixel_that_is_not_marked_as_cloud_or_shadow_is_seen_unchanged(cover):
    rng = np.random.default_rng(4)
    clear = {"B04": np.full((160, 160), 0.1), "B08": np.full((160, 160), 0.3)}
    above = imagery.sky((160, 160), cover, rng)
    classes = imagery.scene_classes(np.full((160, 160), 0.5), above).repeat(2, axis=0).repeat(2, axis=1)
    seen = imagery.observed(clear, above, rng)
    open_sky = classes == 4
    assert 0.1 < open_sky.mean() < 1 - cover
    for band, level in clear.items():
        assert np.abs(seen[band] - level)[open_sky].max() < 0.03
        assert seen[band][classes == 3].mean() < 0.85 * level.mean()


def test_writing_again_into_the_same_folder_gives_the_same(tmp_path):
    first = sample.write(tmp_path, dates=1, size=120)
    rows = len(gpd.read_file(first.parcels))
    assert sample.write(tmp_path, dates=1, size=120) == first
    assert len(gpd.read_file(first.parcels)) == rows
