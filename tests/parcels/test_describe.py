"""Rasters joined to parcels: against rasterstats, exactextract and numpy."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterstats
import shapely
from affine import Affine
from rasterio.features import rasterize
from typer.testing import CliRunner

from cbm_lake import markers, parcels
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake

KEY = {"aoi": "aa", "year": 2024}
DEM = Affine(1 / 3600, 0, 2.95, 0, -1 / 3600, 43.45)
UTM = Affine(20, 0, 496_000, 0, -20, 4_812_000)
SOILS = {1: "sand", 2: "clay", 3: "peat", 4: "loam"}


def fields(number=150, seed=3):
    """Parcels of some 0.2 to 60 ha."""
    random = np.random.default_rng(seed)
    x, y = random.uniform(497_000, 505_000, number), random.uniform(4_800_000, 4_808_000, number)
    angle = (np.arange(7) + random.uniform(0, 1, (number, 7))) * 2 * np.pi / 7
    radius = random.uniform(25, 400, (number, 1))
    outlines = np.stack([x[:, None] + radius * np.cos(angle), y[:, None] + radius * np.sin(angle)], axis=-1)
    return gpd.GeoDataFrame(
        {"pid": [f"p{i:03}" for i in range(number)]}, geometry=shapely.polygons(outlines), crs=32631
    )


def raster(path, pixels, transform=DEM, crs=4326, **options):
    options = {"nodata": None, "tiled": True, "blockxsize": 64, "blockysize": 64} | options
    shape = {"height": pixels.shape[0], "width": pixels.shape[1], "count": 1, "dtype": pixels.dtype}
    with rasterio.open(path, "w", "GTiff", crs=crs, transform=transform, **shape, **options) as file:
        file.write(pixels, 1)
    return path


def heights(dtype="float32", shape=(400, 500)):
    random = np.random.default_rng(1)
    row, col = np.indices(shape)
    return (300 + 80 * np.sin(row / 40) + 60 * np.cos(col / 55) + random.normal(0, 4, shape)).astype(dtype)


def soils():
    random = np.random.default_rng(2)
    return np.kron(random.integers(1, 5, (60, 60)), np.ones((10, 10), int)).astype("uint8")


@pytest.fixture
def frame():
    return fields()


@pytest.fixture
def lake(tmp_path, frame):
    frame.to_parquet(tmp_path / "parcels.parquet")
    lake = Lake(str(tmp_path / "lake"))
    parcels.load(tmp_path / "parcels.parquet", "aa", 2024, lake=lake)
    return lake


def attributes(lake):
    return lake.sql("from parcel_attributes order by aoi, pid").to_pandas().set_index("pid")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("crs", "transform", "shape"),
    [(4326, DEM, (400, 500)), (3035, None, (500, 500)), (32630, None, (500, 500)), (32631, UTM, (600, 600))],
)
@pytest.mark.parametrize("nodata", [-9999.9, float("nan"), -3.4e38])
def test_measurements_of_a_raster_in_another_system_are_those_of_rasterstats(
    lake, frame, tmp_path, crs, transform, shape, nodata
):
    moved = frame.to_crs(crs)
    if transform is None:
        west, _, _, north = moved.total_bounds
        transform = Affine(25, 0, west - 100, 0, -25, north + 100)
    pixels = heights(shape=shape)
    pixels[50:120] = nodata
    file = raster(tmp_path / "dem.tif", pixels, transform, crs, nodata=nodata)
    found = parcels.describe(
        file, "elevation", **KEY, statistics=("mean", "std", "min", "max", "p50", "count"), lake=lake
    )
    assert found.columns == tuple(f"elevation_{one}" for one in ("mean", "std", "min", "max", "p50", "count"))
    ours = attributes(lake)
    truth = rasterstats.zonal_stats(moved, file, stats="mean std min max median count")
    for mine, theirs in (("mean", "mean"), ("std", "std"), ("min", "min"), ("max", "max"), ("p50", "median")):
        right = np.array([one[theirs] if one["count"] else np.nan for one in truth], float)
        np.testing.assert_allclose(ours[f"elevation_{mine}"], right, rtol=2e-5, atol=2e-3 if mine == "std" else 0)
    counts = np.array([one["count"] for one in truth])
    assert (ours["elevation_count"].fillna(0) == counts).all()
    assert found.without == (counts == 0).sum()


def test_the_mean_is_the_column_of_that_name_and_its_unit_is_known(lake, tmp_path):
    file = raster(tmp_path / "dem.tif", heights())
    with rasterio.open(file, "r+") as opened:
        opened.units = ["m"]
    parcels.describe(str(file), "elevation", **KEY, lake=lake)
    parcels.describe(str(file), "slope", **KEY, unit="degrees", statistics="max", lake=lake)
    assert list(attributes(lake)) == ["aoi", "year", "ptype", "elevation", "slope_max"]
    rows = lake.sql("select distinct attribute, unit, rule, raster from parcel_attributes_long order by attribute")
    assert rows["unit"].to_pylist() == ["m", "degrees"]
    assert rows["raster"].to_pylist() == [str(file)] * 2


def test_classes_are_those_that_numpy_counts(lake, frame, tmp_path):
    pixels = soils()
    file = raster(tmp_path / "soil.tif", pixels, UTM, 32631)
    parcels.describe(file, "soil", **KEY, categories=True, statistics=["majority", "share", "variety"], lake=lake)
    ours = attributes(lake)
    for pid, shape in zip(frame.pid, frame.geometry, strict=True):
        inside = rasterize([shape], pixels.shape, transform=UTM).astype(bool)
        values, counts = np.unique(pixels[inside], return_counts=True)
        if not len(values):
            assert np.isnan(ours.loc[pid, "soil_share"])
            continue
        assert ours.loc[pid, "soil_majority"] == values[counts.argmax()]  # the least of equally many
        assert ours.loc[pid, "soil_share"] == pytest.approx(counts.max() / counts.sum())
        assert ours.loc[pid, "soil_variety"] == len(values)
    assert lake.sql("select soil_majority from parcel_attributes").schema.types[0] == "int64"


def test_classes_with_texts_are_texts_and_those_without_are_refused(lake, tmp_path):
    file = raster(tmp_path / "soil.tif", soils(), UTM, 32631)
    found = parcels.describe(file, "soil", **KEY, categories=SOILS, lake=lake)
    assert found.columns == ("soil", "soil_share")
    assert set(attributes(lake)["soil"].dropna()) == set(SOILS.values())
    with pytest.raises(InvalidInputError, match="classes without a text: 3, 4; add them"):
        parcels.describe(file, "soil", **KEY, categories={1: "sand", 2: "clay"}, lake=lake)


@pytest.mark.parametrize("categories", [False, True])
def test_a_raster_coarser_than_the_parcels_counts_by_coverage(lake, frame, tmp_path, caplog, categories):
    exactextract = pytest.importorskip("exactextract")
    coarse = Affine(500, 0, 495_000, 0, -500, 4_812_000)
    pixels = np.random.default_rng(5).integers(1, 5, (30, 30)).astype("int16")
    file = raster(tmp_path / "coarse.tif", pixels, coarse, 32631)
    assert parcels.describe(file, "c", **KEY, categories=categories, lake=lake).without > 20
    assert "have no value of c; the rule coverage counts parts of pixels" in caplog.text
    statistics = "majority,share,variety" if categories else "mean,min,max,count"
    assert (
        parcels.describe(
            file, "c", **KEY, categories=categories, statistics=statistics, rule="coverage", lake=lake
        ).without
        == 0
    )
    ours = attributes(lake)
    wanted = ["majority", "variety", "count"] if categories else ["mean", "min", "max", "count"]
    truth = exactextract.exact_extract(str(file), frame, wanted, output="pandas")
    for one in set(wanted) - ({"count"} if categories else set()):
        np.testing.assert_allclose(ours[f"c_{one}"], truth[one], rtol=1e-5)
    pixels_of = lake.sql("select distinct pid, pixels from parcel_attributes_long order by pid")["pixels"]
    np.testing.assert_allclose(pixels_of, truth["count"], rtol=1e-5)


def test_describing_again_replaces_and_two_areas_share_a_column(lake, tmp_path, frame):
    parcels.load(tmp_path / "parcels.parquet", "bb", 2024, lake=lake)
    first, second = (raster(tmp_path / f"{n}.tif", np.full((400, 500), n, "int16")) for n in (7, 8))
    for file in (first, second, second):
        parcels.describe(file, "elevation", **KEY, lake=lake)
    assert attributes(lake)["elevation"].dropna().unique().tolist() == [8]
    assert lake.sql("select count(*) as n from parcel_attributes_long")["n"].to_pylist() == [len(frame)]
    soil = raster(tmp_path / "soil.tif", soils(), UTM, 32631)
    parcels.describe(soil, "elevation", "bb", 2024, categories=SOILS, lake=lake)
    found = lake.sql("select distinct aoi, elevation from parcel_attributes where elevation is not null order by all")
    assert found["elevation"].to_pylist() == ["8", "clay", "loam", "peat", "sand"]


def test_a_parcel_whose_outline_changed_has_no_value_until_it_is_described_again(lake, frame, tmp_path):
    file = raster(tmp_path / "dem.tif", heights())
    parcels.describe(file, "elevation", **KEY, lake=lake)
    before = attributes(lake)
    frame.geometry = [shapely.affinity.translate(s, 300) if i < 2 else s for i, s in enumerate(frame.geometry)]
    frame.iloc[:-1].to_parquet(tmp_path / "changed.parquet")
    parcels.load(tmp_path / "changed.parquet", "aa", 2024, lake=lake)
    after = attributes(lake)
    assert list(after.index) == list(frame.pid[2:-1])
    assert after["elevation"].equals(before["elevation"].loc[after.index])
    parcels.describe(file, "elevation", **KEY, lake=lake)
    assert len(attributes(lake)) == len(frame) - 1


def test_masks_scale_offset_and_several_bands_are_heeded(lake, frame, tmp_path):
    stored = (heights() * 10).astype("int16")
    file = raster(tmp_path / "dem.tif", stored)
    mask = np.full(stored.shape, 255, np.uint8)
    mask[:, :200] = 0
    with rasterio.open(file, "r+") as opened:
        opened.write_mask(mask)
        opened.scales, opened.offsets = [0.1], [-5.0]
    parcels.describe(file, "elevation", **KEY, statistics=["mean", "count"], lake=lake)
    real = np.where(mask > 0, stored * 0.1 - 5, np.nan)
    truth = rasterstats.zonal_stats(frame.to_crs(4326), real, affine=DEM, nodata=np.nan, stats="mean count")
    right = np.array([one["mean"] if one["count"] else np.nan for one in truth], float)
    np.testing.assert_allclose(attributes(lake)["elevation_mean"], right, rtol=1e-6)
    with rasterio.open(
        tmp_path / "two.tif", "w", "GTiff", width=500, height=400, count=2, dtype="int16", crs=4326, transform=DEM
    ) as two:
        two.write(np.stack([stored, stored * 0 + 3]))
    with pytest.raises(InvalidInputError, match="has 2 bands; say which by band="):
        parcels.describe(tmp_path / "two.tif", "x", **KEY, lake=lake)
    parcels.describe(tmp_path / "two.tif", "x", **KEY, band=2, lake=lake)
    assert attributes(lake)["x"].dropna().unique().tolist() == [3]


def test_a_rotated_raster_is_warped_first(lake, frame, tmp_path):
    turned = Affine.translation(493_000, 4_803_000) @ Affine.rotation(25) @ Affine.scale(20, -20)
    pixels = np.fromfunction(lambda row, col: 100 + 0.1 * row + 0.2 * col, (900, 900)).astype("float32")
    parcels.describe(raster(tmp_path / "r.tif", pixels, turned, 32631), "plane", **KEY, lake=lake)
    centres = np.column_stack([frame.centroid.x, frame.centroid.y])
    col, row = np.array([~turned * tuple(centre) for centre in centres]).T - 0.5
    inside = (np.minimum(row, col) > 30) & (np.maximum(row, col) < 870) & (frame.area > 40_000)
    assert inside.sum() > 30
    np.testing.assert_allclose(
        attributes(lake)["plane"][inside.to_numpy()], (100 + 0.1 * row + 0.2 * col)[inside], atol=0.2
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "Elevation"}, "cannot name a column"),
        ({"name": "pid"}, "cannot name a column"),
        ({"name": "x", "statistics": "mode"}, "there is no statistic.*mode.*of measurements"),
        ({"name": "x", "statistics": "mean", "categories": True}, "there is no statistic.*mean.*of classes"),
        ({"name": "x", "rule": "touched"}, "unknown rule 'touched'"),
        ({"name": "x", "band": 2}, "has 1 bands, not a band 2"),
        ({"name": "x", "categories": True}, "holds float32; classes are whole numbers"),
    ],
)
def test_what_cannot_be_is_refused_by_name(lake, tmp_path, options, said):
    file = raster(tmp_path / "dem.tif", heights())
    with pytest.raises(InvalidInputError, match=said):
        parcels.describe(file, **options, **KEY, lake=lake)
    assert not lake.sql("from parcel_attributes_long").num_rows


@pytest.mark.parametrize("name", ["crop_name", "area_m2", "geometry"])
def test_no_attribute_has_the_name_of_a_column_of_parcels(lake, tmp_path, name):
    with pytest.raises(InvalidInputError, match=f"{name} is a column of parcels already"):
        parcels.describe(tmp_path / "dem.tif", name, lake=lake)


def test_a_raster_elsewhere_or_nowhere_is_refused(lake, tmp_path):
    far = raster(tmp_path / "far.tif", heights(), Affine(1 / 3600, 0, 20, 0, -1 / 3600, 50))
    with pytest.raises(InvalidInputError, match="lies elsewhere than the parcels"):
        parcels.describe(far, "elevation", **KEY, lake=lake)
    with pytest.raises(InvalidInputError, match="has no coordinate system"):
        parcels.describe(raster(tmp_path / "no.tif", heights(), DEM, None), "elevation", **KEY, lake=lake)
    with pytest.raises(NotFoundError, match="no parcels of zz 2024"):
        parcels.describe(far, "elevation", "zz", 2024, lake=lake)


def test_many_parts_give_what_one_gives(lake, tmp_path, monkeypatch):
    file = raster(tmp_path / "dem.tif", heights())
    parcels.describe(file, "whole", **KEY, lake=lake)
    monkeypatch.setattr(parcels.describing, "_PIXELS", 500)
    parcels.describe(file, "parts", **KEY, lake=lake)
    found = attributes(lake)
    assert found["whole"].equals(found["parts"].rename("whole"))


def test_the_command_line_describes(lake, tmp_path, monkeypatch):
    monkeypatch.setattr("cbm_lake.parcels.describing.lake_or_default", lambda _: lake)
    file = raster(tmp_path / "soil.tif", soils(), UTM, 32631)
    key = ["--aoi", "aa", "--year", "2024"]
    texts = ",".join(f"{value}={text}" for value, text in SOILS.items())
    answer = CliRunner().invoke(app, ["parcels", "describe", str(file), "--as", "soil", *key, "--categories", texts])
    assert answer.exit_code == 0, answer.output
    assert "150 parcels described by soil, soil_share" in answer.output
    assert set(attributes(lake)["soil"].dropna()) == set(SOILS.values())
    answer = CliRunner().invoke(app, ["parcels", "describe", str(file), "--as", "s", *key, "--categories", "a=b"])
    assert answer.exit_code != 0


def test_the_only_parcels_need_not_be_named(lake, frame, tmp_path, monkeypatch):
    monkeypatch.setattr("cbm_lake.parcels.describing.lake_or_default", lambda _: lake)
    file = raster(tmp_path / "dem.tif", heights())
    answer = CliRunner().invoke(app, ["parcels", "describe", str(file), "--as", "elevation"])
    assert answer.exit_code == 0, answer.output
    assert parcels.describe(file, "again", statistics="mean", lake=lake).parcels == len(frame)
    found = attributes(lake)
    assert found["elevation"].equals(found["again_mean"].rename("elevation"))
    parcels.load(tmp_path / "parcels.parquet", "aa", 2023, lake=lake)
    with pytest.raises(InvalidInputError, match="parcels of aa 2023, aa 2024 may be meant; say the area and the year"):
        parcels.describe(file, "elevation", lake=lake)
    assert parcels.describe(file, "elevation", year=2023, lake=lake).parcels == len(frame)


def test_scenarios_ask_by_what_rasters_say_of_parcels(lake, frame, tmp_path, caplog):
    pixels = np.where(np.indices((600, 600))[0] < 300, 2.0, 20.0).astype("float32")
    pixels[:, :150] = np.nan
    parcels.describe(raster(tmp_path / "slope.tif", pixels, UTM, 32631), "slope", **KEY, lake=lake)
    parcels.describe(raster(tmp_path / "soil.tif", soils(), UTM, 32631), "soil", **KEY, categories=SOILS, lake=lake)
    parcels.describe(raster(tmp_path / "zone.tif", soils(), UTM, 32631), "zone", **KEY, categories=True, lake=lake)
    markers.find(**KEY, lake=lake)
    rules = [{"colour": "yellow", "reason": "look"}]

    def asked(**where):
        given = {"scenarios": {"mine": {"where": where, "rules": rules}}}
        return set(markers.traffic_light(**KEY, scenarios=["mine"], parameters=given, lake=lake)["pid"].to_pylist())

    said = attributes(lake)
    assert asked(slope={"at_least": 10}) == set(said.index[said.slope >= 10])
    assert f"asks nothing of {said.slope.isna().sum()} parcels without slope" in caplog.text
    assert asked(slope={"at_least": 1, "at_most": 10}) == set(said.index[said.slope.between(1, 10)])
    assert asked(soil={"among": ["peat", "clay"]}) == set(said.index[said.soil.isin(["peat", "clay"])])
    both = said.index[(said.slope >= 10) & (said.zone == 3)]
    assert asked(slope={"at_least": 10}, zone={"among": [3]}) == set(both)
    assert 0 < len(both) < len(said)
    with pytest.raises(NotFoundError, match="asks for 'height', which no raster gave"):
        asked(height={"at_most": 3})
    with pytest.raises(InvalidInputError, match="asked for by among"):
        asked(soil={"at_most": 3})
    with pytest.raises(InvalidInputError):
        asked(soil={})


def test_no_attribute_is_of_other_areas_or_years(lake, tmp_path):
    file = raster(tmp_path / "dem.tif", heights())
    parcels.load(tmp_path / "parcels.parquet", "aa", 2025, lake=lake)
    parcels.describe(file, "elevation", **KEY, lake=lake)
    assert set(attributes(lake)["year"]) == {2024}
    assert lake.query("markers.attributes", aoi="aa", year=2025, ptype="").num_rows == 0
