"""Cubes: whoever makes or lengthens one at the same moment, it becomes what each of them wants."""

import multiprocessing
from datetime import UTC, datetime

import pytest
import zarr
from affine import Affine

from cbm_lake.cube import Cube, Slot
from cbm_lake.rasters import Grid

GRID = Grid(epsg=32631, transform=Affine(10, 0, 552000, 0, -10, 5648000), shape=(160, 160))
SLOTS = [Slot(f"S{number}", datetime(2024, 1, 1 + number, tzinfo=UTC), -1000) for number in range(6)]
BANDS = dict.fromkeys(("B02", "B04", "B08"), "uint16")


def lengthen(urls, begin):
    for url in urls:
        begin.wait()
        Cube(url).extend(GRID, BANDS, SLOTS)


@pytest.mark.slow
def test_several_who_make_the_same_cube_at_once_do_not_disturb_each_other(tmp_path):
    urls = [str(tmp_path / f"{number}.zarr") for number in range(20)]
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(3, timeout=60)
    processes = [context.Process(target=lengthen, args=(urls, begin)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    for url in urls:
        group = zarr.open_group(url, mode="r")
        assert {name: group[name].shape for name in BANDS} == dict.fromkeys(BANDS, (6, 160, 160))
        assert group["boa_offset"][:].tolist() == [-1000] * 6
        assert group["x"][0] == 552005
        assert list(group["scene"][:]) == [slot.scene for slot in SLOTS]
        assert group.attrs["proj:code"] == "EPSG:32631"
