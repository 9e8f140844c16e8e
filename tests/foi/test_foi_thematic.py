"""Thematic rasters are made from the lake's cubes, and see what grows in a parcel through clouds."""

import importlib.util
import json
import sys
from datetime import UTC, datetime, timedelta

import factories
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import yaml
import zarr
from affine import Affine
from foi_rules import files_of_at_most
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterstats import zonal_stats

from cbm_lake.demo import sample
from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError, SourceError
from cbm_lake.foi import season
from cbm_lake.foi.learning import Sample, _smallest_ranks, crops_of
from cbm_lake.foi.thematic import check_raster, thematic
from cbm_lake.lake import Lake
from cbm_lake.lake.slots import SlotContent
from cbm_lake.rasters import Grid, Window
from cbm_lake.rasters.cube import Cube, Slot

COUNT, DATES = 24, 9
SHAPE = (14, 266)
FINE = Grid(32631, Affine(10, 0, factories.X - 20, 0, -10, factories.Y + 120), SHAPE)
COARSE = Grid(32631, Affine(20, 0, factories.X - 20, 0, -20, factories.Y + 120), (7, 133))
PIDS = tuple(f"{number:03d}" for number in range(COUNT))
SPLIT, WRONG = 5, 10
"""The parcel whose right half is of the other crop, and the one that is wholly."""
CURVES = {
    "wheat": (0.3, 0.5, 0.8, 0.85, 0.8, 0.5, 0.2, 0.15, 0.15),
    "maize": (0.15, 0.15, 0.15, 0.3, 0.6, 0.7, 0.6, 0.3, 0.15),
}
DAYS = [datetime(2024, 3, 10, 10, 40, tzinfo=UTC) + timedelta(days=25 * number) for number in range(DATES)]
OFFSETS = [0, 0, *[-1000] * (DATES - 2)]
HOW = {"clusters": 2, "periods": 4}
"""Enough to tell these crops apart."""


pytestmark = [pytest.mark.usefixtures("few_trees"), pytest.mark.thorough]


@pytest.fixture(scope="module")
def few_trees():
    """Small forests, which are fast and see these crops as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("cbm_lake.foi.learning"), "TREES", 10)
        yield


def declared(number):
    return ("wheat", "1") if number % 2 == 0 else ("maize", "2")


def grown():
    """Whether maize grows on each pixel, and in which parcel it is (-1: none)."""
    maize, owner = np.zeros(SHAPE, bool), np.full(SHAPE, -1)
    for number in range(COUNT):
        columns = slice(2 + 11 * number, 12 + 11 * number)
        right = slice(7 + 11 * number, 12 + 11 * number)
        maize[2:12, columns] = (declared(number)[0] == "maize") ^ (number == WRONG)
        owner[2:12, columns] = number
        if number == SPLIT:
            maize[2:12, right] ^= True
    return maize, owner


def drawn(rng):
    """NDVI without clouds, (dates, rows, columns)."""
    curves = {name: np.array(curve)[:, None, None] for name, curve in CURVES.items()}
    noise = rng.normal(0, 0.02, (DATES, *SHAPE))
    return np.where(grown()[0], curves["maize"], curves["wheat"]) + noise


def optical(ndvi, clouded):
    """Stored DN of B04 and B08 and the classes; `clouded` says where on the coarse grid, by date."""
    hidden = clouded.repeat(2, axis=1).repeat(2, axis=2)
    red = np.where(hidden, 6000, 3000 * (1 - ndvi) / 2)
    nir = np.where(hidden, 6100, 3000 * (1 + ndvi) / 2)
    shift = np.array(OFFSETS)[:, None, None]
    return {
        "B04": (red - shift).round().astype("uint16"),
        "B08": (nir - shift).round().astype("uint16"),
        "SCL": np.where(clouded, 9, 4).astype("uint8"),
    }


def store(lake, card, grid, bands, offsets, scenes="ABCDEFGHI"):
    slots = [Slot(name, day, offset) for name, day, offset in zip(scenes, DAYS, offsets, strict=True)]
    rows = [factories.scene(slot.scene, slot.obstime, card=card, boa_offset=slot.boa_offset) for slot in slots]
    lake.add_scenes(factories.scenes(*rows))
    lake.prepare(card)
    stamps = dict.fromkeys(bands, "stamp")
    lake.reserve_slots(
        card, grid.name, [SlotContent(slot.scene, slot.obstime, slot.boa_offset, stamps) for slot in slots]
    )
    cube = Cube(lake.cube_url(card, grid.name))
    cube.extend(grid, {name: str(values.dtype) for name, values in bands.items()}, slots)
    for name, values in bands.items():
        zarr.open_array(cube.url, path=name, mode="r+")[:] = values
    for number, slot in enumerate(slots):
        place = {"grid": grid.name, "slot": number}
        done = {"card": card, "cube": True, "bands": list(bands), "boa_offset": slot.boa_offset, "slots": [place]}
        lake.record(factories.entry(slot.scene, **done))


def filled(lake, *, clouds=True, radar=False, seed=0):
    """The lake with parcels and cubes; the NDVI as drawn."""
    rng = np.random.default_rng(seed)
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels(PIDS, [declared(number) for number in range(COUNT)]))
    ndvi = drawn(rng)
    clouded = rng.random((DATES, *COARSE.shape)) < (0.3 if clouds else 0)
    clouded[:2, :, :20] = clouds
    bands = optical(ndvi, clouded)
    store(lake, "s2", FINE, {name: bands[name] for name in ("B04", "B08")}, OFFSETS)
    store(lake, "s2", COARSE, {"SCL": bands["SCL"]}, OFFSETS)
    if radar:
        power = 10 ** (np.where(grown()[0], -9, -15) / 10) * rng.gamma(15, 1 / 15, (DATES, *SHAPE))
        store(lake, "bs", FINE, {name: power.astype("float32") for name in ("VV", "VH")}, [0] * DATES)
    return ndvi


def found(lake, *, periods=DATES, radar=True, dates=("2024-01-01", "2024-12-31"), grid=None):
    parcels = lake.parcel_set("ms", 2024)
    return season.find(lake, parcels, dates, grid=grid, periods=periods, screen=(3, 8, 9, 10, 11), radar=radar)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A lake with clouds and radar, for tests that write nothing to it."""
    lake = Lake(str(tmp_path_factory.mktemp("thematic")))
    filled(lake, radar=True)
    return lake


@pytest.fixture(scope="module")
def rasters(full, few_trees, tmp_path_factory):
    """What each method makes of that lake, with two clusters."""
    return {
        method: thematic("ms", 2024, **HOW, method=method, folder=tmp_path_factory.mktemp(method), lake=full)
        for method in ("clusters", "crops")
    }


def read(path):
    with rasterio.open(path) as raster:
        return raster.read(1)


# -- features -----------------------------------------------------------------------------------------------------


def test_features_without_clouds_are_the_drawn_ndvi_whatever_the_offset(lake):
    ndvi = filled(lake, clouds=False)
    features = found(lake).features(Window(0, 0, *SHAPE))
    assert features.shape == ndvi.shape
    assert np.abs(features - ndvi).max() < 0.001


def test_hidden_pixels_are_interpolated_over_time_and_the_ends_are_as_the_nearest(lake):
    ndvi = filled(lake)
    scl = zarr.open_array(lake.cube_url("s2", COARSE.name), path="SCL", mode="r")[:]
    seen = (scl == 4).repeat(2, axis=1).repeat(2, axis=2)
    features = found(lake).features(Window(0, 0, *SHAPE))
    at = np.array([day.timestamp() for day in DAYS])
    for row, col in np.random.default_rng(1).integers((0, 0), SHAPE, (200, 2)):
        clear = seen[:, row, col]
        if clear.any():
            expected = np.interp(at, at[clear], ndvi[clear, row, col])
            assert features[:, row, col] == pytest.approx(expected, abs=0.001)
        else:
            assert np.isnan(features[:, row, col]).all()


@given(
    arrays(np.float32, (7, 5), elements=st.floats(-1, 1, width=16) | st.just(np.nan)),
    st.lists(st.integers(1, 50), min_size=7, max_size=7),
)
def test_filling_gaps_is_linear_interpolation_of_each_column(values, steps):
    at = np.cumsum(steps).astype(float)
    found = season.filled(values, at)
    for column in range(values.shape[1]):
        seen = np.isfinite(values[:, column])
        expected = np.interp(at, at[seen], values[seen, column]) if seen.any() else np.full(7, np.nan)
        assert found[:, column] == pytest.approx(expected, abs=1e-5, nan_ok=True)


@pytest.mark.filterwarnings("ignore:All-NaN slice encountered:RuntimeWarning")
@given(st.integers(1, 9), arrays(np.float32, (9, 4), elements=st.floats(-1, 1, width=16) | st.just(np.nan)))
def test_medians_of_periods_are_those_of_numpy(periods, values):
    import xarray as xr

    times = xr.DataArray(np.array([day.replace(tzinfo=None) for day in DAYS], "datetime64[us]"), dims="time")
    found = season.medians(times, periods, lambda dates: values[dates])
    for number, part in enumerate(np.array_split(np.arange(9), periods)):
        expected = np.nanmedian(values[part], axis=0)
        seen = np.isfinite(expected)
        assert found[number][seen] == pytest.approx(expected[seen], abs=1e-6)


def test_radar_is_used_where_there_is_some_and_a_factor_of_ten_in_power_is_ten_decibel(full, lake):
    filled(lake)
    assert found(lake).radar is None
    features = found(full).features(Window(0, 0, *SHAPE))[DATES:]
    maize, owner = grown()
    assert features.shape == (2 * DATES, *SHAPE)
    step = features[:, maize].mean() - features[:, ~maize & (owner >= 0)].mean()
    assert step == pytest.approx(6 * season.DECIBEL, abs=0.01)


def test_a_block_has_the_same_features_as_the_whole_and_an_odd_corner_the_right_classes(full):
    whole = found(full).features(Window(0, 0, *SHAPE))
    for window in (Window(3, 7, 5, 12), Window(13, 265, 1, 1)):
        part = found(full).features(window)
        assert np.array_equal(
            part,
            whole[:, window.row : window.row + window.height, window.col : window.col + window.width],
            equal_nan=True,
        )


def test_only_the_dates_of_the_season_count(full):
    assert found(full, dates=("2024-05-01", "2024-07-01")).optical["scene"].to_numpy().tolist() == ["D", "E"]
    with pytest.raises(NotFoundError, match="no scene of 2023-01-01 to 2023-12-31"):
        found(full, dates=("2023-01-01", "2023-12-31"))


def test_owners_are_the_parcels_and_a_margin_takes_their_border_away(full):
    owners = found(full).owners(Window(0, 0, *SHAPE))
    assert np.array_equal(owners, grown()[1])
    inner = found(full).owners(Window(0, 0, *SHAPE), margin=10)
    assert np.bincount(inner[inner >= 0]).tolist() == [64] * COUNT


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=60), st.integers(1, 5))
def test_of_each_parcel_so_many_pixels_are_taken_those_with_the_least_luck(owners, most):
    owners = np.array(owners)
    luck = np.random.default_rng(0).random(len(owners))
    chosen = _smallest_ranks(owners, luck, most)
    for number in range(5):
        mine = np.flatnonzero(owners == number)
        assert set(chosen[owners[chosen] == number]) == set(mine[np.argsort(luck[mine])[:most]])
    assert (owners[chosen] >= 0).all()


# -- rasters ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("radar", [False, True])
def test_clusters_part_the_crops_and_the_split_parcel_is_in_two(full, rasters, tmp_path, radar):
    made = rasters["clusters"] if radar else thematic("ms", 2024, **HOW, radar=False, folder=tmp_path, lake=full)
    labels, (maize, owner) = read(made.raster), grown()
    inside = (owner >= 0) & (labels > 0)
    assert inside.sum() > 0.95 * (owner >= 0).sum()
    assert ((labels[inside] == 1) == maize[inside]).mean() > 0.98  # maize has the lower mean NDVI
    assert made.category_map == {1: "c01", 2: "c02"}
    assert made.accuracy is None


def test_crops_are_seen_as_they_grow_and_not_as_they_were_declared(rasters):
    made = rasters["crops"]
    labels, (maize, owner) = read(made.raster), grown()
    inside = (owner >= 0) & (labels > 0)
    assert made.category_map == {1: "maize", 2: "wheat"}
    assert ((labels[inside] == 1) == maize[inside]).mean() > 0.99
    assert (labels[(owner == WRONG) & inside] == 1).mean() > 0.95


def test_no_parcel_is_classified_by_what_was_learned_from_its_own_pixels():
    rng = np.random.default_rng(0)
    declared = rng.permutation(["wheat", "maize"] * 30)
    parcel = np.arange(60).repeat(20)
    features = (rng.normal(0, 1, (60, 5))[parcel] + rng.normal(0, 0.01, (1200, 5))).astype(np.float32)
    shapes = np.array([factories.outline(number) for number in range(60)])
    model, names, accuracy = crops_of(Sample(features, parcel, 5), declared, shapes, 0)
    remembered = np.array(names)[model(features, parcel)] == declared[parcel]
    assert remembered.mean() == accuracy.overall
    assert 0.2 < accuracy.overall < 0.8  # a forest that knows the parcel is right everywhere


def test_the_accuracy_adds_up_and_lies_beside_the_raster(rasters):
    made = rasters["crops"]
    matrix = made.accuracy.confusion.to_numpy()
    assert made.accuracy.overall == pytest.approx(np.trace(matrix) / matrix.sum())
    assert made.accuracy.by_parcel == pytest.approx((COUNT - 1) / COUNT, abs=0.5 / COUNT)
    for number, crop in enumerate(("maize", "wheat")):
        row = made.accuracy.classes.loc[crop]
        precision, recall = (
            matrix[number, number] / matrix[:, number].sum(),
            matrix[number, number] / matrix[number].sum(),
        )
        assert row["precision"] == pytest.approx(precision)
        assert row["recall"] == pytest.approx(recall)
        assert row["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
        assert row["pixels"] == matrix[number].sum()
    written = json.loads(made.raster.with_suffix(".json").read_text("utf-8"))
    assert written["overall"] == made.accuracy.overall
    assert written["confusion"]["wheat"]["maize"] == made.accuracy.confusion.loc["wheat", "maize"]


def test_v2_takes_the_raster_and_flags_the_split_parcel_only(full, rasters, tmp_path):
    from cbm_lake.foi.version2 import v2

    made = rasters["clusters"]
    table = v2(
        None, made.raster, made.classes, -10, aoi="ms", year=2024, lake=full, folder=tmp_path / "out"
    ).table.to_pandas()
    assert table.loc[table["foi_h"].astype(int) == 1].iloc[:, 0].tolist() == [PIDS[SPLIT]]
    assert table.loc[table["foi_c"].astype(int) == 1].iloc[:, 0].tolist() == [PIDS[SPLIT]]


def test_the_raster_lies_on_the_cube_and_the_classes_beside_it(rasters):
    made = rasters["clusters"]
    with rasterio.open(made.raster) as raster:
        assert (raster.crs.to_epsg(), raster.transform, raster.shape) == (32631, FINE.transform, SHAPE)
        assert (raster.count, raster.dtypes, raster.nodata) == (1, ("uint8",), 0)
    assert yaml.safe_load(made.classes.read_text("utf-8")) == {"category_map": made.category_map}
    assert {path.name for path in made.raster.parent.iterdir()} == {"ms_2024_clusters.tif", "ms_2024_clusters.yml"}
    counts = check_raster(made.raster, made.classes)
    assert sum(counts.values()) == SHAPE[0] * SHAPE[1]


def test_a_raster_whose_last_bytes_found_no_room_is_told_and_not_left(full, rasters, tmp_path):
    with (
        files_of_at_most(rasters["clusters"].raster.stat().st_size - 1),
        pytest.raises(ConfigError, match="cannot be written"),
    ):
        thematic("ms", 2024, **HOW, folder=tmp_path / "out", lake=full)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("method", ["clusters", "crops"])
def test_the_same_seed_gives_the_same_raster_and_progress_counts_blocks_twice(full, rasters, tmp_path, method):
    steps = []
    again = thematic(
        "ms", 2024, **HOW, method=method, folder=tmp_path, lake=full, progress=lambda *step: steps.append(step)
    )
    assert np.array_equal(read(again.raster), read(rasters[method].raster))
    assert steps == [(1, 2, "classifying pixels"), (2, 2, "classifying pixels")]


def test_rare_crops_are_told_and_not_learned(full, tmp_path, caplog):
    names = [("rye", "3") if number < 2 else declared(number) for number in range(COUNT)]
    lake = Lake(str(tmp_path / "lake"))
    filled(lake)
    lake.add_parcels("ms", 2024, "", "v2", factories.parcels(PIDS, names))
    made = thematic("ms", 2024, **HOW, method="crops", folder=tmp_path, lake=lake)
    assert made.accuracy.skipped == {"rye": 2}
    assert made.category_map == {1: "maize", 2: "wheat"}
    assert "rye" in caplog.text


# -- refusals -----------------------------------------------------------------------------------------------------


def test_without_scikit_learn_one_error_names_the_extra(monkeypatch, full):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ConfigError, match=r"cbm-lake\[foi\]"):
        thematic("ms", 2024, lake=full)


@pytest.mark.parametrize("wrong", [{"method": "magic"}, {"clusters": 1}, {"clusters": 256}, {"periods": 0}])
def test_impossible_settings_are_refused(wrong, full):
    with pytest.raises(InvalidInputError, match=str(next(iter(wrong.values())))):
        thematic("ms", 2024, **wrong, lake=full)


def test_too_few_pixels_or_crops_are_refused(full, lake, tmp_path):
    with pytest.raises(InvalidInputError, match="too few for 255 clusters"):
        thematic("ms", 2024, **HOW | {"clusters": 255}, lake=full, folder=tmp_path)
    filled(lake)
    lake.add_parcels("ms", 2024, "", "v2", factories.parcels(PIDS, [("wheat", "1")] * COUNT))
    with pytest.raises(InvalidInputError, match="1 crops are declared"):
        thematic("ms", 2024, **HOW, method="crops", lake=lake, folder=tmp_path)


def test_without_cubes_or_classes_the_error_says_what_to_extract(lake):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    with pytest.raises(NotFoundError, match="extract s2 with a cube"):
        found(lake)
    store(lake, "s2", FINE, {name: np.ones((DATES, *SHAPE), "uint16") for name in ("B04", "B08")}, OFFSETS)
    with pytest.raises(NotFoundError, match="SCL"):
        found(lake)


def test_where_parcels_lie_on_several_grids_one_must_be_named(lake):
    filled(lake)
    other = Grid(32631, FINE.transform, (14, 270))
    store(lake, "s2", other, {name: np.ones((DATES, *other.shape), "uint16") for name in ("B04", "B08")}, OFFSETS)
    with pytest.raises(InvalidInputError, match=rf"grid=.*{FINE.name}"):
        found(lake)
    assert found(lake, grid=FINE.name).grid.shape == SHAPE
    with pytest.raises(NotFoundError, match="cube elsewhere"):
        found(lake, grid="elsewhere")


# -- truth --------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rasterstats with affine 3
def test_the_sample_tells_which_parcels_have_two_crops_and_how_much_of_the_second(tmp_path):
    written = sample.write(tmp_path, dates=1, size=160)
    kinds = pd.read_parquet(written.kinds).set_index("pid")
    names = yaml.safe_load(written.cover.with_suffix(".yml").read_text("utf-8"))["category_map"]
    parcels = gpd.read_file(written.parcels).to_crs(32631).set_index("parcel_id")
    stats = zonal_stats(list(parcels.geometry), str(written.cover), categorical=True, category_map=names)
    for pid, found in zip(parcels.index, stats, strict=True):
        if pid not in kinds.index:
            assert not found
        elif kinds.at[pid, "kind"] in ("split", "mixed"):
            assert found[kinds.at[pid, "second"]] / sum(found.values()) == pytest.approx(kinds.at[pid, "share"])
            assert sum(found.values()) == kinds.at[pid, "pixels"]
    assert kinds.loc[kinds["kind"] == "split", "share"].between(0.4, 0.6).all()
    assert kinds.loc[kinds["kind"] == "mixed", "share"].between(0.3, 0.65).all()
    assert (kinds.loc[kinds["kind"].isin(["whole", "wrong_crop"]), "share"] == 0).all()
    assert {"split", "mixed", "whole", "wrong_crop"} == set(kinds["kind"])


# -- any raster ---------------------------------------------------------------------------------------------------


def raster(path, pixels, crs=32631, count=1, nodata=None):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=pixels.shape[0],
        width=pixels.shape[1],
        count=count,
        dtype=pixels.dtype,
        crs=crs,
        transform=FINE.transform,
        nodata=nodata,
    ) as file:
        for band in range(1, count + 1):
            file.write(pixels, band)
    return path


def test_checking_a_raster_counts_its_values(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4, (2100, 30)).astype("int16")
    counts = check_raster(raster(tmp_path / "a.tif", pixels), {1: "a", 2: "b", 3: "c", 4: "d"})
    assert counts == dict(zip(*map(np.ndarray.tolist, np.unique(pixels, return_counts=True)), strict=True))


def test_the_nodata_of_a_raster_needs_no_class(tmp_path):
    pixels = np.full((5, 5), -999, "int16")
    assert check_raster(raster(tmp_path / "a.tif", pixels, nodata=-999), {1: "a"}) == {-999: 25}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: raster(path, np.full((9, 9), 7, "uint8")), "without a class: 7"),
        (lambda path: raster(path, np.ones((9, 9), "float32")), "whole numbers"),
        (lambda path: raster(path, np.ones((9, 9), "uint8"), count=2), "2 bands"),
        (lambda path: raster(path, np.ones((9, 9), "uint8"), crs=None), "coordinate system"),
    ],
)
def test_an_unusable_raster_is_refused_with_the_reason(tmp_path, make, message):
    with pytest.raises(InvalidInputError, match=message):
        check_raster(make(tmp_path / "a.tif"), {1: "a"})


def test_a_raster_that_is_not_there_is_an_error_of_its_source(tmp_path):
    with pytest.raises(SourceError, match=r"none\.tif"):
        check_raster(tmp_path / "none.tif", {1: "a"})
