"""openEO over cards of two missions, with real masks of clouds and parcels of any form: equal to SQL both ways."""

import math

import numpy as np
import openeo
import pytest
import small_demo
from rest_server import WHO, served

from cbm_lake.lake import open_lake

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(folder))
        small_demo.make(folder, dates=4)
        yield open_lake()


@pytest.fixture(scope="module")
def connection(lake, tmp_path_factory):
    with served(lake, tmp_path_factory.mktemp("server")) as url:
        yield openeo.connect(f"{url}/openeo").authenticate_basic(*WHO), f"{url}/ogc/collections/parcels_demo_2024/items"


def expected(lake, card, columns):
    """Numbers by moment and parcel, NaN where there is no row, as SQL gives them."""
    pids = lake.sql("select pid from parcels order by pid")["pid"].to_pylist()
    rows = lake.sql(f"select obstime, pid, {columns} from {card} order by obstime, share").to_pandas()  # noqa: S608
    times = sorted(rows["obstime"].unique())
    values = np.full((len(times), len(pids), rows.shape[1] - 2), np.nan)
    for moment, pid, *numbers in rows.itertuples(index=False):
        values[times.index(moment), pids.index(pid)] = numbers
    return [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in times], values


@pytest.mark.parametrize(("card", "bands"), [("s2", ["B08", "B11"]), ("bs", ["VH", "VV"])])
@pytest.mark.parametrize(
    ("process", "statistic"), [("mean", "mean"), ("median", "p50"), ("count", "count"), ("max", "max")]
)
def test_every_parcel_and_scene_is_that_of_sql_by_both_ways(lake, connection, card, bands, process, statistic):
    client, parcels = connection
    times, numbers = expected(lake, card, ", ".join(f"{band}_{statistic}" for band in bands))
    numbers = np.nan_to_num(numbers) if process == "count" else numbers  # of what was not seen there is no row
    cube = client.load_collection(card, bands=bands)
    for one in (cube, cube.apply(lambda x: x * 1)):
        answer = one.aggregate_spatial(parcels, process).execute()
        assert list(answer) == times
        np.testing.assert_allclose(np.array(list(answer.values()), float), numbers, rtol=1e-6)


def test_a_season_of_both_missions_has_the_scenes_of_its_months(lake, connection):
    client, parcels = connection
    for card, band in (("s2", "B04"), ("bs", "VV")):
        months = lake.sql(f"select distinct strftime(obstime, '%Y-%m') as m from {card} order by m")["m"].to_pylist()  # noqa: S608
        cube = client.load_collection(card, bands=[band]).aggregate_temporal_period("month", "count")
        answer = cube.aggregate_spatial(parcels, "max").execute()
        assert list(answer) == months
        counted = "select strftime(obstime, '%Y-%m') as m, count(distinct scene) as n from"
        scenes = lake.sql(f"{counted} {card} group by m order by m")
        most = [
            max(value for (value,) in page if value is not None and not math.isnan(value)) for page in answer.values()
        ]
        assert most == pytest.approx(scenes["n"].to_pylist())
