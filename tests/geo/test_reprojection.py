"""Coordinates are moved as pyproj moves them, one by one, on any thread, and the way is looked up once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from cbm_lake.geo.reprojection import reprojected, transformer


@pytest.mark.parametrize("target", [3035, 2154, 32631, CRS.from_epsg(28992)])
def test_every_corner_is_where_pyproj_puts_it_also_on_other_threads(target):
    shape = shapely.from_wkt(
        "POLYGON ((3 50, 3.1 50, 3.1 50.1, 3 50), (3.05 50.01, 3.06 50.01, 3.06 50.02, 3.05 50.01))"
    )
    there = Transformer.from_crs(4326, target, always_xy=True)
    expected = np.array([there.transform(*place) for place in shapely.get_coordinates(shape)])
    with ThreadPoolExecutor(4) as threads:
        for moved in threads.map(lambda _: reprojected(shape, 4326, target), range(8)):
            assert moved.geom_type == "Polygon"
            assert shapely.get_coordinates(moved) == pytest.approx(expected, abs=1e-6)


def test_a_way_is_looked_up_once_and_none_is_needed_within_a_system():
    assert transformer(4326, 3857) is transformer(4326, 3857)
    shape = shapely.Point(3, 50)
    assert reprojected(shape, 4326, 4326) is shape
    assert reprojected([], 4326, 3857).size == 0


def test_a_system_that_there_is_not_is_an_error_of_proj():
    with pytest.raises(ProjError):
        transformer(4326, 999999)
