"""Blocks of cubes: what is not whole is missing, is read from the scene again, and is never taken for nodata."""

import json
import logging
import shutil
from pathlib import Path

import damage
import numpy as np
import pytest
import rasterio
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from cbm_lake import extract
from cbm_lake.errors import SourceError
from cbm_lake.files import durable
from cbm_lake.lake import Lake
from cbm_lake.lake.check import check
from cbm_lake.rasters import blocks, cube

pytestmark = pytest.mark.thorough


BANDS = damage.BANDS
AGAIN = {**damage.SEASON, "bands": BANDS, "workers": 0, "again": True}


@pytest.fixture
def lake(undamaged, tmp_path):
    return damage.copy(undamaged, tmp_path / "lake")


def block(lake, band="B04", slot=0):
    (file,) = Path(lake.url).glob(f"cubes/s2/*/{band}/c/{slot}/0/0")
    return file


def rows(lake):
    return lake.sql("select * from s2 order by scene, pid").to_pylist()


def pixels(lake, **options):
    return {name: band.values for name, band in lake.cube("s2", **options).data_vars.items()}


def of_fill(path):
    """A block that zarr reads as fill: its index says that no pixels are there."""
    import google_crc32c

    index = b"\xff" * 16
    path.write_bytes(index + google_crc32c.value(index).to_bytes(4, "little"))


def nodata(path):
    """A block that is sound, of nodata alone."""
    array = zarr.open_array(path.parents[4], path="B04", mode="r+").with_config({"write_empty_chunks": True})
    array[int(path.parents[1].name)] = 0


def bit(path):
    damage.turned(100, 3)(path)


def index_bit(path):
    damage.turned(path.stat().st_size - 12, 0)(path)


DAMAGES = [damage.emptied, damage.cut, damage.garbage, damage.zeros, damage.deleted, of_fill, nodata, bit, index_bit]


@pytest.mark.parametrize("act", DAMAGES)
def test_a_damaged_block_is_read_from_the_scene_again(lake, undamaged, act, caplog):
    file = block(lake)
    right, before = rows(undamaged), file.read_bytes()
    act(file)
    with caplog.at_level(logging.WARNING, "cbm_lake"):
        done = extract.s2(**AGAIN, lake=lake)
    assert str(file) in caplog.text
    assert "read from the scene again" in caplog.text
    assert done.emptied == ()
    assert file.read_bytes() == before
    assert rows(lake) == right
    assert check(lake, deep=True).to_pylist() == []


@pytest.mark.parametrize("act", DAMAGES)
def test_readers_refuse_a_damaged_block_by_name_and_pictures_are_of_the_scene_itself(lake, undamaged, act, caplog):
    file = block(lake)
    act(file)
    with pytest.raises(SourceError, match=f"{file} is damaged .*`cbm-lake check` names the command"):
        pixels(lake, resolution=10)
    right = pixels(undamaged, resolution=20)
    assert all(np.array_equal(values, right[name]) for name, values in pixels(lake, resolution=20).items())


@pytest.mark.parametrize("act", DAMAGES)
def test_check_names_a_damaged_block_and_a_deep_look_every_one(lake, act):
    file = block(lake)
    act(file)
    found = check(lake, deep=True).to_pylist()
    assert [(row["severity"], row["file"]) for row in found] == [("fault", str(file.relative_to(lake.url)))]
    assert "run `cbm-lake extract s2 --start" in found[0]["advice"]
    if act not in (damage.garbage, damage.zeros, bit, index_bit):  # of the same size
        assert len(check(lake)) == 1


def test_a_scene_whose_file_has_gone_fails_by_name_when_its_block_is_damaged(lake, undamaged):
    file = block(lake)
    damage.emptied(file)
    (href,) = {
        asset["href"]
        for row in lake.sql("select assets, id from stac_scenes order by datetime limit 1").to_pylist()
        for name, asset in row["assets"].items()
        if name == "B04"
    }
    Path(href).rename(f"{href}.away")
    try:
        with pytest.raises(SourceError, match="1 of 3 scenes failed"):
            extract.s2(**AGAIN, lake=lake)
        assert rows(lake) == rows(undamaged)
    finally:
        Path(f"{href}.away").rename(href)


def test_blocks_carry_checksums_and_the_ledger_has_their_sizes(lake):
    array = zarr.open_array(block(lake).parents[4], path="B04", mode="r")
    assert blocks.has_checksums(array)
    assert array.compressors[-1] == Crc32cCodec()
    found = lake.query("cube.blocks", card="s2", scenes=None).to_pylist()
    assert {(row["band"], row["slot"]) for row in found} == {(b, s) for b in (*BANDS, "SCL") for s in range(3)}
    for row in found:
        file = Path(lake.url) / f"cubes/s2/{row['grid']}.zarr/{row['band']}/c/{row['slot']}/{row['row']}/{row['col']}"
        assert file.stat().st_size == row["bytes"]


def test_blocks_are_on_the_disk_before_the_ledger_names_them_each_once(undamaged, tmp_path, monkeypatch):
    lake = damage.copy(undamaged, tmp_path / "lake")
    for folder in ("cubes", "slots"):
        shutil.rmtree(tmp_path / "lake" / folder)
    steps, sync, record = [], durable._sync, Lake.record
    monkeypatch.setattr(durable, "_sync", lambda path: (steps.append(str(path)), sync(path))[1])
    monkeypatch.setattr(
        Lake, "record", lambda self, *args, **more: (steps.append("record"), record(self, *args, **more))[1]
    )
    extract.s2(**AGAIN, lake=Lake(lake.url))
    written = [str(path) for path in (tmp_path / "lake" / "cubes").rglob("c/*/*/*")]
    assert len(written) == 3 * len((*BANDS, "SCL"))
    for path in written:
        assert steps.count(path) == 1
        slot = int(Path(path).parts[-3])
        assert steps.index(path) < [i for i, step in enumerate(steps) if step == "record"][slot]


def without_checksums(lake):
    """What version 0.1 left: arrays without checksums, and a ledger that knows no blocks."""
    for path in Path(lake.url).glob("cubes/s2/*/*/zarr.json"):
        if len(json.loads(path.read_text())["shape"]) == 3:
            array = zarr.open_array(path.parent, mode="r")
            values, attributes = array[:], dict(array.attrs)
            shutil.rmtree(path.parent)
            zarr.create_array(
                path.parent,
                shape=array.shape,
                dtype=array.dtype,
                chunks=array.chunks,
                shards=array.shards,
                compressors=[codec for codec in array.compressors if isinstance(codec, BloscCodec)],
                fill_value=0,
                dimension_names=("time", "y", "x"),
                attributes=attributes,
            )[:] = values
    for path in Path(lake.url).glob("cubes/s2/*/zarr.json"):
        cube._consolidate(str(path.parent), json.loads(path.read_text())["attributes"])


def test_a_cube_without_checksums_is_read_and_an_empty_block_of_it_is_missing(undamaged, tmp_path, caplog):
    lake = damage.copy(undamaged, tmp_path / "lake")
    without_checksums(lake)
    with pytest.MonkeyPatch.context() as patch:  # as of a ledger that knows no blocks
        query = Lake.query
        known = lambda self, name, /, **p: query(self, name, **p).slice(0, 0 if name == "cube.blocks" else None)  # noqa: E731
        patch.setattr(Lake, "query", known)
        right = pixels(undamaged, resolution=10)
        assert all(np.array_equal(values, right[name]) for name, values in pixels(lake, resolution=10).items())
        file = block(lake)
        damage.emptied(file)
        with pytest.raises(SourceError, match=f"{file} is damaged"):
            pixels(lake, resolution=10)
        extract.s2(**AGAIN, lake=lake)
    assert rows(lake) == rows(undamaged)
    notes = check(lake, deep=True).to_pylist()
    assert {row["severity"] for row in notes} == {"note"}
    assert all("carry no checksums" in row["what"] for row in notes)


def test_a_scene_that_had_signatures_and_has_none_now_is_a_warning(tmp_path, caplog):
    lake = damage.build(tmp_path)
    scene = lake.sql("select id, assets from stac_scenes order by datetime limit 1").to_pylist()[0]
    count = len([row for row in rows(lake) if row["scene"] == scene["id"]])
    for band in (*BANDS, "SCL"):
        href = scene["assets"][band]["href"]
        with rasterio.open(href) as file:
            profile = file.profile
        with rasterio.open(href, "w", **profile) as file:
            file.write(np.zeros((1, *file.shape), file.dtypes[0]))
    with caplog.at_level(logging.WARNING, "cbm_lake"):
        done = extract.s2(**AGAIN, lake=lake)
    assert [outcome.scene for outcome in done.emptied] == [scene["id"]]
    assert f"it had {count} signatures over demo 2024 and has none now" in caplog.text
    (entry,) = lake.sql("select * from extractions where scene = $id", id=scene["id"]).to_pylist()
    assert (entry["status"], entry["rows"]) == ("done", 0)
    assert entry["problem"].startswith(f"it had {count} signatures")
    caplog.clear()
    assert extract.s2(**AGAIN, lake=lake).emptied == ()
