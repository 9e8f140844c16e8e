"""Files of a table as the log describes them, compared with what is in them."""

from datetime import UTC, datetime

import factories
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cbm_lake.lake import Lake
from cbm_lake.storage.datafiles import DataFile


@pytest.fixture
def files(tmp_path):
    lake = factories.fill(Lake(str(tmp_path / "lake")))
    table = lake._tables["signatures_s2"]
    return table, table.files(table.open())


def test_a_file_is_described_as_it_is(files):
    table, described = files
    assert described
    for file in described:
        rows = pq.ParquetFile(file.path).read()
        assert file.rows == rows.num_rows
        assert file.path == f"{table.url}/{file.relative}"
        assert file.relative.startswith(file.folder)
        assert file.folder == "".join(f"{name}={value}/" for name, value in file.partition.items())
        for column, bounds in file.bounds.items():
            ends = pc.min_max(rows[column]).as_py()
            assert bounds == (ends["min"], ends["max"])
    assert {column for file in described for column in file.bounds} == {"pid", "extraction"}


def test_no_file_is_passed_over_that_holds_a_value(files):
    _, described = files
    for file in described:
        rows = pq.ParquetFile(file.path).read()
        assert all(file.can_hold("pid", pid) for pid in rows["pid"].to_pylist())
        assert file.only("extraction") == rows["extraction"][0].as_py()
        assert not file.can_hold("pid", chr(0x10FFFF))


def test_of_a_column_without_bounds_nothing_is_ruled_out():
    file = DataFile("lake/a.parquet", "a.parquet", 1, None, {}, {"obstime": (datetime(2024, 1, 1, tzinfo=UTC),) * 2})
    assert file.can_hold("pid", "1")
    assert file.only("pid") is None
    assert file.only("obstime") == datetime(2024, 1, 1, tzinfo=UTC)
    assert file.folder == ""
