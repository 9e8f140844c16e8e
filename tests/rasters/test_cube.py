"""Cubes: whoever makes or lengthens one at the same moment, it becomes what each of them wants."""

import multiprocessing
from datetime import UTC, datetime

import pytest
import xarray as xr
import zarr
from affine import Affine

from cbm_lake.rasters import Grid
from cbm_lake.rasters.cube import Cube, Slot

GRID = Grid(epsg=32631, transform=Affine(10, 0, 552000, 0, -10, 5648000), shape=(160, 160))
SLOTS = [Slot(f"S{number}", datetime(2024, 1, 1 + number, tzinfo=UTC), -1000) for number in range(6)]
BANDS = dict.fromkeys(("B02", "B04", "B08"), "uint16")


def whole(url):
    """Whether the consolidated metadata say of every array what it says itself, its length above all."""
    told = zarr.open_group(url, mode="r", use_consolidated=True)
    arrays = dict(zarr.open_group(url, mode="r", use_consolidated=False).arrays())
    same = {name: array.metadata.to_dict() for name, array in told.arrays()}
    return same == {name: array.metadata.to_dict() for name, array in arrays.items()}


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
        assert whole(url)
        assert list(group["scene"][:]) == [slot.scene for slot in SLOTS]
        assert group.attrs["proj:code"] == "EPSG:32631"


def lengthen_by(urls, begin, band, lengths):
    """As planners do that know of fewer and fewer bands and slots: each looks again until it knows of all."""
    for url in urls:
        begin.wait()
        for length in lengths:
            Cube(url).extend(GRID, {band: "uint16"}, SLOTS[:length])


@pytest.mark.slow
def test_consolidated_metadata_never_end_behind_the_arrays(tmp_path):
    urls = [str(tmp_path / f"{number}.zarr") for number in range(20)]
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(3, timeout=60)
    plans = (("B02", (2, 6)), ("B04", (6,)), ("B08", (4, 6)))
    processes = [context.Process(target=lengthen_by, args=(urls, begin, *plan)) for plan in plans]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    for url in urls:
        assert whole(url)
        assert sorted(xr.open_zarr(url).data_vars) == ["B02", "B04", "B08"]
        assert xr.open_zarr(url).sizes["time"] == 6


def test_extending_what_is_right_changes_no_file(tmp_path):
    cube = Cube(str(tmp_path / "a.zarr"))
    cube.extend(GRID, BANDS, SLOTS, {0, 3})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    cube.extend(GRID, BANDS, SLOTS, {0, 3})
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert [str(name) for name in cube.open()["scene"].values] == ["S0", "S3"]


def test_a_longer_cube_is_seen_at_once_by_those_who_read_consolidated_metadata(tmp_path):
    cube = Cube(str(tmp_path / "a.zarr"))
    for length in (1, 4, 6):
        cube.extend(GRID, BANDS, SLOTS[:length], range(length))
        found = xr.open_zarr(cube.url, consolidated=True)
        assert found.sizes["time"] == length
        assert found["counts"].values.tolist() == [1] * length
