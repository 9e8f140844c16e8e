"""A catalogue of very many files answers as its files do, from one file that sums them up."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import factories
import pyarrow.compute as pc
import pytest

from cbm_lake.lake import Lake, sums
from cbm_lake.lake.check import check
from cbm_lake.storage.store import Store

pytestmark = pytest.mark.thorough


ROWS = "from stac_scenes order by card, id"
CATALOGUED = 70


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A lake that was catalogued scene by scene, and the moment of each."""
    lake = Lake(str(tmp_path_factory.mktemp("sums") / "lake"))
    moments = []
    for number in range(CATALOGUED):
        lake.add_scenes(factories.scenes(factories.scene(f"S{number:03}", factories.day(number % 12))))
        moments.append(datetime.now(UTC))
    return lake.url, moments


def files_read(url):
    return len(sums.shortened(Store(url), Lake(url).snapshot().scenes))


def without_sums(url, moment=None):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "shortened", lambda _, scenes: list(scenes))
        return Lake(url, moment).sql(ROWS)


@pytest.mark.slow
def test_few_files_are_read_and_every_row_is_the_same(made):
    url, _ = made
    assert files_read(url) <= 34
    rows = Lake(url).sql(ROWS)
    assert rows.num_rows == CATALOGUED
    assert rows.equals(without_sums(url))


def test_the_catalogue_as_it_was_is_the_same(made):
    url, moments = made
    for number in (3, 40, 66, CATALOGUED - 1):
        rows = Lake(url, moments[number]).sql(ROWS)
        assert rows.num_rows == number + 1
        assert rows.equals(without_sums(url, moments[number]))


def copied(url, folder):
    shutil.copytree(url, folder)
    return str(folder)


@pytest.mark.parametrize("damage", ["turned", "cut", "emptied", "deleted"])
def test_a_damaged_sum_is_not_read_and_check_names_it(made, tmp_path, damage):
    url = copied(made[0], tmp_path / "lake")
    for path in map(Path, Store(url).files(sums.FOLDER)):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        new = {"turned": content, "cut": content[:100], "emptied": b""}
        path.unlink() if damage == "deleted" else path.write_bytes(bytes(new[damage]))
    assert files_read(url) == CATALOGUED
    assert Lake(url).sql(ROWS).equals(without_sums(url))
    found = check(Lake(url), deep=True).filter(pc.field("severity") == "fault")
    assert any(name.startswith("sums/") for name in found["file"].to_pylist()) == (damage != "deleted")


def test_a_file_of_the_catalogue_that_has_gone_is_not_answered_from_a_sum(made, tmp_path):
    url = copied(made[0], tmp_path / "lake")
    gone = Path(Lake(url).snapshot().scenes[5])
    gone.unlink()
    assert Lake(url).sql(ROWS).num_rows == CATALOGUED - 1


def test_old_sums_go_with_a_vacuum_and_the_newest_stays(made, tmp_path):
    url = copied(made[0], tmp_path / "lake")
    assert len(Store(url).files(sums.FOLDER)) > 1
    Lake(url).vacuum(0)
    assert len(Store(url).files(sums.FOLDER)) == 1
    assert files_read(url) <= 34


def test_compaction_sums_up_what_an_earlier_version_catalogued(made, tmp_path):
    url = copied(made[0], tmp_path / "lake")
    for path in Store(url).files(sums.FOLDER):
        Path(path).unlink()
    before = Lake(url).sql(ROWS)
    Lake(url).compact()
    assert files_read(url) == 1
    assert Lake(url).sql(ROWS).equals(before)
