"""openEO by the unmodified client: numbers equal to SQL, and to numpy and rasterstats over the scenes' own files."""

import json

import geopandas
import numpy as np
import openeo
import pandas as pd
import pytest
import rasterio
import rasterstats
import requests
import shapely
import two_tiles
import xarray as xr
from factories import PIDS, day, outline
from openeo.processes import array_create, mean, quantiles, sd
from openeo.rest.conversions import timeseries_json_to_pandas
from openeo_graphs import mean_of, node, of
from pyproj import Transformer
from rest_server import OTHER, ROOT, WHO, served

pytestmark = pytest.mark.thorough


CLOUDS = (3, 8, 9, 10, 11)
ORDER = sorted(PIDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("openeo")


@pytest.fixture(scope="module")
def lake(folder):
    return two_tiles.make(folder)


@pytest.fixture(scope="module")
def url(lake, tmp_path_factory):
    with served(lake, tmp_path_factory.mktemp("server")) as address:
        yield address


def connected(url, who):
    return openeo.connect(f"{url}/openeo", auth_options=None).authenticate_basic(*who)


@pytest.fixture(scope="module")
def root(url):
    return connected(url, ROOT)


def parcels_of(url, aoi="ms", query=""):
    return f"{url}/ogc/collections/parcels_{aoi}_2024/items{query}"


def moments(rows):
    return [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in rows]


def sql(lake, columns, aoi):
    """Rows of signatures by time and parcel, of shape (times, parcels, columns), and the times."""
    table = lake.sql(
        f"select obstime, pid, {columns} from s2 where aoi = $aoi and obstime < $end order by obstime, pid",  # noqa: S608
        aoi=aoi,
        end=day(30),
    ).to_pandas()
    times = table["obstime"].drop_duplicates()
    return moments(times), table.iloc[:, 2:].to_numpy(float).reshape(len(times), len(ORDER), -1)


def array_of(answer):
    return np.array(list(answer.values()), float)


def stack(aoi, band, clouds=None):
    """What numpy reads of the scenes' own pixels of each parcel: reflectance x 10000 on the 10 m grid, NaN is nodata.

    Of shape (scenes, parcels, pixels).
    """
    scenes = []
    for name, offset in two_tiles.OFFSETS.items():
        values = two_tiles.pixels(f"{aoi}{name}", band).astype(float)
        full = np.where(values == 0, np.nan, values + offset) if band != "SCL" else values
        full = np.kron(full, np.ones((2, 2))) if two_tiles.BANDS[band] == 20 else full
        if clouds:
            classes = np.kron(two_tiles.pixels(f"{aoi}{name}", "SCL"), np.ones((2, 2)))
            full = np.where(np.isin(classes, clouds), np.nan, full)
        rows = []
        for pid in ORDER:
            west, _, _, north = outline(PIDS.index(pid)).bounds
            row, col = round((two_tiles.TOP - north) / 10), round((west - two_tiles.LEFT) / 10)
            rows.append(full[row : row + 10, col : col + 10].ravel())
        scenes.append(rows)
    return np.array(scenes)


# -- what the service is ------------------------------------------------------------------------------------------


def test_the_client_finds_the_version_and_logs_in(url, root):
    assert root.root_url == f"{url}/openeo/1.2"
    assert root.capabilities().api_version() == "1.2.0"
    assert root.describe_account()["user_id"] == "root"
    assert openeo.connect(f"{url}/openeo/1.2").capabilities().api_version() == "1.2.0"
    assert requests.get(f"{url}/.well-known/openeo", timeout=9).json()["versions"][0]["url"] == root.root_url


def test_endpoints_that_are_announced_are_there(url, root):
    documented = requests.get(f"{url}/openapi.json", timeout=9).json()["paths"]
    names = {"{job_id}": "{job}", "{collection_id}": "{name}"}
    for endpoint in root.capabilities().get("endpoints"):
        path = endpoint["path"]
        for theirs, ours in names.items():
            path = path.replace(theirs, ours)
        path = f"/openeo{path}".rstrip("/")
        assert {method.lower() for method in endpoint["methods"]} == set(documented[path]), path


def test_strangers_read_what_it_can_but_no_data(url):
    for path in ("", "/", "/processes", "/file_formats", "/conformance", "/.well-known/openeo"):
        assert requests.get(f"{url}/openeo{path}", timeout=9).status_code == 200
    for path in ("/collections", "/jobs", "/me", "/credentials/basic"):
        answer = requests.get(f"{url}/openeo{path}", timeout=9)
        assert (answer.status_code, answer.json()["code"]) == (401, "AuthenticationRequired")


def test_a_collection_has_its_bands_and_the_extent_of_readable_areas_only(url, root, lake):
    ada = connected(url, WHO)
    assert ada.list_collection_ids() == root.list_collection_ids() == ["s2"]
    assert connected(url, OTHER).list_collection_ids() == []
    described = {name: one.describe_collection("s2") for name, one in (("ada", ada), ("root", root))}
    assert root.collection_metadata("s2").band_names[:2] == ["B02", "B03"]
    assert described["ada"]["extent"]["spatial"]["bbox"] == [pytest.approx(list(lake.footprint("ms").bounds))]
    assert len(described["root"]["extent"]["spatial"]["bbox"]) == 3
    assert "east" not in json.dumps(described["ada"])
    with pytest.raises(openeo.rest.OpenEoApiError, match="CollectionNotFound"):
        connected(url, OTHER).describe_collection("s2")


def test_a_token_of_a_login_gives_no_further_token(url, root):
    with pytest.raises(openeo.rest.OpenEoApiError, match="AuthenticationRequired"):
        root.get("/credentials/basic")


# -- signatures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aoi", ["ms", "east"])
@pytest.mark.parametrize(
    ("process", "columns"),
    [
        ("mean", "B04_mean, B05_mean"),
        ("median", "B04_p50, B05_p50"),
        ("min", "B04_min, B05_min"),
        ("max", "B04_max, B05_max"),
        ("count", "B04_count, B05_count"),
        ("sd", "B04_std * sqrt(B04_count / (B04_count - 1)), B05_std * sqrt(B05_count / (B05_count - 1))"),
        ("variance", "B04_std ** 2 * B04_count / (B04_count - 1), B05_std ** 2 * B05_count / (B05_count - 1)"),
        ("sum", "B04_mean * B04_count, B05_mean * B05_count"),
    ],
)
def test_statistics_of_parcels_are_those_of_sql_whether_of_signatures_or_of_pixels(
    url, root, lake, aoi, process, columns
):
    cube = root.load_collection("s2", bands=["B04", "B05"])
    times, expected = sql(lake, columns, aoi)
    of_signatures = cube.aggregate_spatial(parcels_of(url, aoi), process).execute()
    of_pixels = cube.apply(lambda x: x + 0).aggregate_spatial(parcels_of(url, aoi), process).execute()
    for answer in (of_signatures, of_pixels):
        assert list(answer) == times
        np.testing.assert_allclose(array_of(answer), expected, rtol=1e-6)


def test_several_statistics_stand_side_by_side(url, root, lake):
    cube = root.load_collection("s2", bands=["B08", "B04"])
    quarters = "p25, B08_p50, B08_p75"
    times, expected = sql(
        lake, f"B08_mean, B08_max, B08_{quarters}, B04_mean, B04_max, B04_p25, B04_p50, B04_p75", "ms"
    )

    def several(data):
        return array_create([mean(data), data.max(), quantiles(data, probabilities=[0.25, 0.5, 0.75])])

    answer = cube.aggregate_spatial(parcels_of(url), several).execute()
    assert list(answer) == times
    np.testing.assert_allclose(array_of(answer), expected, rtol=1e-6)


def test_quantiles_that_signatures_lack_come_of_pixels(url, root):
    cube = root.load_collection("s2", bands=["B04"])
    answer = cube.aggregate_spatial(
        parcels_of(url), lambda data: quantiles(data, probabilities=[0.95, 0.05, 0.33])
    ).execute()
    expected = np.nanquantile(stack("ms", "B04"), [0.95, 0.05, 0.33], axis=-1)
    np.testing.assert_allclose(array_of(answer), np.moveaxis(expected, 0, -1), rtol=1e-6)


def test_the_way_is_said(url):
    def way(graph):
        answer = requests.post(f"{url}/openeo/result", json={"process": {"process_graph": graph}}, auth=WHO, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-cbm-lake-way"]

    assert way(mean_of(parcels_of(url))) == "answered from signatures"
    spread = {"process_graph": {"a": node("absolute", True, x={"from_parameter": "x"})}}
    assert "pixels of 3 scenes" in way(mean_of(parcels_of(url), abs=node("apply", data=of("load"), process=spread)))
    cuts = {"west": 3.0, "south": 43.0, "east": 3.002, "north": 44.0}
    assert "cuts parcels" in way(mean_of(parcels_of(url), box=node("filter_bbox", data=of("load"), extent=cuts)))
    holds = {"west": 2.0, "south": 43.0, "east": 4.0, "north": 44.0}
    assert "signatures" in way(mean_of(parcels_of(url), box=node("filter_bbox", data=of("load"), extent=holds)))


def test_parcels_by_their_identifiers_are_in_the_order_in_which_they_are_asked(url, root, lake):
    cube = root.load_collection("s2", bands=["B04"])
    _, expected = sql(lake, "B04_mean", "ms")
    for asked in (["a/b", "0012"], ["12"]):
        query = "?" + "&".join(f"ids={pid.replace('/', '%2F')}" for pid in asked)
        for one in (cube, cube.apply(lambda x: x * 1)):
            answer = array_of(one.aggregate_spatial(parcels_of(url, query=query), "mean").execute())
            np.testing.assert_allclose(answer, expected[:, [ORDER.index(pid) for pid in asked]], rtol=1e-6)
    one = array_of(cube.aggregate_spatial(parcels_of(url, query="/a%2Fb"), "mean").execute())
    np.testing.assert_allclose(one, expected[:, [ORDER.index("a/b")]], rtol=1e-6)


def test_the_end_of_an_interval_does_not_count(url, root, lake):
    times, _ = sql(lake, "B04_mean", "ms")
    reference = parcels_of(url)
    for extent, expected in (
        ([times[0], times[1]], times[:1]),
        ([times[1], None], times[1:]),
        ([times[0][:10], times[2][:10]], times[:2]),
        ([None, times[2]], times[:2]),
    ):
        cube = root.load_collection("s2", bands=["B04"], temporal_extent=extent)
        for one in (cube, cube.apply(lambda x: x + 0)):
            assert list(one.aggregate_spatial(reference, "mean").execute()) == expected
    narrowed = (
        root.load_collection("s2", bands=["B04"]).filter_temporal(times[0], times[2]).filter_temporal(times[1], None)
    )
    assert list(narrowed.aggregate_spatial(reference, "mean").execute()) == times[1:2]


# -- pixels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aoi", ["ms", "east"])
def test_ndvi_without_clouds_is_that_of_numpy(url, root, aoi):
    cube = root.load_collection("s2", bands=["B04", "B08"])
    scl = root.load_collection("s2", bands=["SCL"]).band("SCL")
    hidden = (scl == 3) | ((scl >= 8) & (scl <= 11))
    red, nir = (stack(aoi, band, CLOUDS) for band in ("B04", "B08"))
    expected = np.nanmean((nir - red) / (nir + red), axis=-1)
    clear = cube.mask(hidden)
    arithmetic = (clear.band("B08") - clear.band("B04")) / (clear.band("B08") + clear.band("B04"))
    for one in (clear.ndvi(), arithmetic, cube.ndvi(nir="B08", red="red").mask(hidden)):
        answer = array_of(one.aggregate_spatial(parcels_of(url, aoi), "mean").execute())
        np.testing.assert_allclose(answer[..., 0], expected, rtol=1e-6)


def test_bands_keep_their_pixels_unless_they_are_combined(url, root):
    cube = root.load_collection("s2", bands=["B04", "B05"])
    alone = array_of(cube.aggregate_spatial(parcels_of(url), "count").execute())
    combined = (cube.band("B04") - cube.band("B05")).aggregate_spatial(parcels_of(url), "min").execute()
    np.testing.assert_allclose(alone[0, :, 0] / alone[0, :, 1], 4, rtol=0.2)
    expected = np.nanmin(stack("ms", "B04") - stack("ms", "B05"), axis=-1)
    np.testing.assert_allclose(array_of(combined)[..., 0], expected, rtol=1e-6)


def test_a_band_beside_others_and_a_scale(url, root):
    cube = root.load_collection("s2", bands=["B08", "B04"]).ndvi(target_band="NDVI")
    scaled = cube.apply(lambda x: x.linear_scale_range(0, 10_000, 0, 1)).filter_bands(["NDVI", "B04"])
    answer = array_of(scaled.aggregate_spatial(parcels_of(url), sd).execute())
    red, nir = stack("ms", "B04"), stack("ms", "B08")
    for number, values in enumerate(((nir - red) / (nir + red), red)):
        expected = np.nanstd(np.clip(values, 0, 10_000) / 10_000, axis=-1, ddof=1)
        np.testing.assert_allclose(answer[..., number], expected, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:All-NaN slice", "ignore:Mean of empty slice")
@pytest.mark.parametrize(("process", "function"), [("max", np.nanmax), ("median", np.nanmedian), ("mean", np.nanmean)])
def test_time_is_reduced_pixel_by_pixel(url, root, process, function):
    cube = root.load_collection("s2", bands=["B04", "B08"]).filter_bands(["B04"])
    expected = np.nanmean(function(stack("ms", "B04", CLOUDS), axis=0), axis=-1)
    scl = root.load_collection("s2", bands=["SCL"]).band("SCL")
    clear = cube.mask((scl == 3) | (scl > 7))
    reduced = (
        clear.reduce_dimension(dimension="t", reducer=process).aggregate_spatial(parcels_of(url), "mean").execute()
    )
    np.testing.assert_allclose(np.array(reduced, float)[:, 0], expected, rtol=1e-6)
    (label,) = {f"{day(n):%Y-%m}" for n in range(3)}
    monthly = clear.aggregate_temporal_period("month", process).aggregate_spatial(parcels_of(url), "mean").execute()
    assert list(monthly) == [label]
    np.testing.assert_allclose(array_of(monthly)[0, :, 0], expected, rtol=1e-6)
    daily = clear.aggregate_temporal_period("day", process).aggregate_spatial(parcels_of(url), "mean").execute()
    assert list(daily) == [f"{day(n):%Y-%j}" for n in range(3)]
    np.testing.assert_allclose(array_of(daily)[..., 0], np.nanmean(stack("ms", "B04", CLOUDS), axis=-1), rtol=1e-6)


def test_pixels_in_parts_are_those_of_the_whole(url, root, monkeypatch):
    from cbm_lake.server.openeo import pixels

    cube = root.load_collection("s2", bands=["B04", "B05"]).apply(lambda x: x + 0)
    whole = cube.aggregate_spatial(parcels_of(url), "mean").execute()
    monkeypatch.setattr(pixels, "_AT_ONCE", 150)
    assert cube.aggregate_spatial(parcels_of(url), "mean").execute() == whole


def in_degrees(shape, epsg):
    return reprojected(shape, epsg, 4326)


def reprojected(shape, source, target):
    turn = Transformer.from_crs(source, target, always_xy=True)
    return shapely.transform(shape, lambda xy: np.column_stack(turn.transform(xy[:, 0], xy[:, 1])))


def drawn(aoi):
    """Polygons between the parcels of an area, in degrees, with a hole and in two parts."""
    west, south = 500_013.0, 4_800_017.0
    ring = shapely.Point(west + 100, south + 30).buffer(28)
    shapes = [
        ring.difference(shapely.Point(west + 100, south + 30).buffer(9)),
        shapely.MultiPolygon(
            [shapely.box(west, south, west + 40, south + 33), shapely.box(west + 60, south, west + 95, south + 9)]
        ),
        shapely.Polygon([(west + 200, south), (west + 290, south + 5), (west + 230, south + 70)]),
    ]
    return [in_degrees(shape, two_tiles.ZONES[aoi]) for shape in shapes]


@pytest.mark.parametrize("aois", [("ms",), ("east", "ms")])
def test_polygons_that_are_sent_have_the_statistics_of_rasterstats(root, folder, aois):
    where = [(aoi, shape) for aoi in aois for shape in drawn(aoi)]
    features = [
        {"type": "Feature", "id": f"f{n}", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
        for n, (_, shape) in enumerate(where)
    ]
    collection = {"type": "FeatureCollection", "features": features}
    cube = root.load_collection("s2", bands=["B08"])
    answer = array_of(
        cube.aggregate_spatial(collection, lambda data: array_create([mean(data), data.max(), data.count()])).execute()
    )
    assert answer.shape == (3, len(where), 3)
    for number, (aoi, shape) in enumerate(where):
        there = reprojected(shape, 4326, two_tiles.ZONES[aoi])
        for row, (name, offset) in enumerate(two_tiles.OFFSETS.items()):
            with rasterio.open(folder / aoi / name / "B08.tif") as file:
                (expected,) = rasterstats.zonal_stats(
                    there,
                    file.read(1).astype(float),
                    affine=file.transform,
                    nodata=0,
                    stats=["mean", "max", "count"],
                )
            found = answer[row, number]
            assert found == pytest.approx(
                [expected["mean"] + offset, expected["max"] + offset, expected["count"]], rel=1e-6
            )


def test_polygons_and_boxes_cut_pixels(root, url):
    shape = drawn("ms")[0]
    cube = root.load_collection("s2", bands=["B04"])
    whole = array_of(cube.aggregate_spatial(shape, "count").execute())
    west, south, east, north = shape.bounds
    left = cube.filter_bbox(west=west - 1, south=south - 1, east=(west + east) / 2, north=north + 1)
    right = cube.filter_spatial(shapely.box((west + east) / 2, south - 0.01, east + 0.01, north + 0.01))
    halves = [array_of(one.aggregate_spatial(shape, "count").execute()) for one in (left, right)]
    assert (halves[0] > 0).all()
    np.testing.assert_array_equal(halves[0] + halves[1], whole)


# -- formats ------------------------------------------------------------------------------------------------------


def test_every_format_holds_the_same_numbers(url, root, tmp_path, lake):
    times, expected = sql(lake, "B04_mean, B08_mean", "ms")
    cube = root.load_collection("s2", bands=["B04", "B08"]).aggregate_spatial(parcels_of(url), "mean")
    for name in ("CSV", "Parquet", "GeoParquet", "netCDF", "JSON"):
        cube.download(tmp_path / f"result.{name}", format=name)
    frames = {
        "csv": pd.read_csv(tmp_path / "result.CSV", dtype={"id": str}, parse_dates=["t"]),
        "parquet": pd.read_parquet(tmp_path / "result.Parquet"),
        "geoparquet": geopandas.read_parquet(tmp_path / "result.GeoParquet"),
    }
    for frame in frames.values():
        assert list(frame["id"]) == ORDER * len(times)
        assert moments(frame["t"].drop_duplicates()) == times
        np.testing.assert_allclose(frame[["B04", "B08"]].to_numpy().reshape(expected.shape), expected, rtol=1e-6)
    assert frames["geoparquet"].crs == "OGC:CRS84"
    first = frames["geoparquet"].geometry[ORDER.index("12")]
    assert first.symmetric_difference(in_degrees(outline(PIDS.index("12")), 32631)).area < 1e-12
    with xr.open_dataset(tmp_path / "result.netCDF") as dataset:
        assert list(dataset["feature"].values) == ORDER
        np.testing.assert_allclose(np.stack([dataset["B04"], dataset["B08"]], axis=-1), expected, rtol=1e-6)
    series = timeseries_json_to_pandas(tmp_path / "result.JSON")
    assert list(series.index) == times


def test_a_result_without_time_has_every_format(url, root, tmp_path):
    cube = root.load_collection("s2", bands=["B04"]).reduce_dimension(dimension="t", reducer="max")
    cube = cube.aggregate_spatial(parcels_of(url), lambda data: array_create([data.min(), data.max()]))
    for name in ("CSV", "Parquet", "GeoParquet", "netCDF"):
        cube.download(tmp_path / f"result.{name}", format=name)
    expected = pd.read_parquet(tmp_path / "result.Parquet")
    assert list(expected.columns) == ["id", "B04_min", "B04_max"]
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "result.CSV", dtype={"id": str}), expected, check_dtype=False)
    with xr.open_dataset(tmp_path / "result.netCDF") as dataset:
        np.testing.assert_allclose(dataset["B04_max"], expected["B04_max"])


def test_a_result_with_periods_has_every_format(url, root, tmp_path):
    cube = root.load_collection("s2", bands=["B04"]).aggregate_temporal_period("week", "mean")
    cube = cube.aggregate_spatial(parcels_of(url), "mean")
    labels = list(cube.execute())
    for name in ("CSV", "netCDF"):
        cube.download(tmp_path / f"result.{name}", format=name)
    assert list(pd.read_csv(tmp_path / "result.CSV")["t"].drop_duplicates()) == labels
    with xr.open_dataset(tmp_path / "result.netCDF") as dataset:
        assert list(dataset["t"].values) == labels
