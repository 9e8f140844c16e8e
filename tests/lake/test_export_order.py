"""The same question is the same file, however its rows lie in the lake."""

import hashlib
import sqlite3
import zipfile
from collections import Counter

import duckdb
import pyarrow.compute as pc
import pytest
from factories import day, parcel_set, parcels, scene, scenes, signature, signatures, write
from hypothesis import given, settings
from hypothesis import strategies as st

from cbm_lake.config import Workspace
from cbm_lake.lake import Lake, export, ordering

pytestmark = pytest.mark.thorough


PIDS = tuple(f"{number:03}" for number in range(40))
QUESTIONS = (
    "s2",
    "parcels",
    "s2_long",
    "select pid, B04_mean from s2",
    "select ptype, pid from s2 order by ptype desc",
    "select crop_name, count(*) as n from parcels group by crop_name",
    "select pid, scene from s2 limit 7",
    "select aoi, pid from s2 union all select aoi, pid from parcels",
    "select distinct year, scene from s2",
)


@pytest.fixture(scope="module")
def lakes(tmp_path_factory):
    """The same rows in two lakes: written in another order, one of them compacted."""
    made = []
    for turned in (False, True):
        lake = Lake(str(tmp_path_factory.mktemp("lake")))
        sets = [(aoi, year) for aoi in ("ms", "nl") for year in (2023, 2024)]
        names = ["A", "B", "C"]
        lake.add_scenes(scenes(*(scene(name, day(number)) for number, name in enumerate(names))))
        for aoi, year in reversed(sets) if turned else sets:
            crops = [(f"crop {number % 5}", "1") for number in range(len(PIDS))]
            lake.add_parcels(aoi, year, "", "v1", parcels(PIDS, crops))
            for name in reversed(names) if turned else names:
                moment = day(names.index(name))
                rows = [signature(pid, name, moment, aoi=aoi, year=year, red=400) for pid in PIDS]
                write(lake, signatures(*rows), parcel_set(aoi, year), name)
        made.append(lake)
    made[1].compact()
    return made


def content(file):
    """What a file says, without the time at which it was made."""
    if file.suffix == ".xlsx":
        with zipfile.ZipFile(file) as book:
            return [book.read(name) for name in sorted(book.namelist()) if "worksheets" in name or "Strings" in name]
    if file.suffix == ".gpkg":
        with sqlite3.connect(file) as layer:
            return layer.execute("select * from rows").fetchall()
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_the_same_question_is_the_same_file(lakes, tmp_path, question, ending):
    found = []
    for number, lake in enumerate(lakes):
        for threads in (1, 4):
            lake.connect()
            lake._cursor().execute(f"set global threads = {threads}")
            file = tmp_path / f"{number}-{threads}" / f"rows{ending}"
            assert lake.export(question, file)
            found.append(content(file))
    assert len(Counter(map(str, found))) == 1


@pytest.mark.parametrize("ending", [".geojson", ".gpkg", ".fgb", ".xlsx", ".arrow"])
def test_files_of_every_format_have_the_same_order(lakes, tmp_path, ending):
    question = "s2" if ending == ".arrow" else "select pid, aoi, year, crop_name from parcels"
    question = (
        "select pid, aoi, year, epsg, geometry from parcels" if ending in (".geojson", ".gpkg", ".fgb") else question
    )
    found = []
    for number, lake in enumerate(lakes):
        file = tmp_path / str(number) / f"rows{ending}"
        lake.export(question, file)
        found.append(content(file))
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def rows():
    connection = duckdb.connect()
    connection.execute("create table t as select i % 4 as a, (i * 7919) % 50 as b, i % 3 = 0 as c from range(120) r(i)")
    return connection


KEYS = st.lists(st.sampled_from(["a", "b", "c desc", "a + b", "b desc nulls first"]), max_size=3)


@settings(max_examples=60, deadline=None)
@given(keys=KEYS, limit=st.one_of(st.none(), st.integers(0, 130)), distinct=st.booleans())
def test_the_order_of_the_statement_comes_first_and_the_rows_stay(rows, keys, limit, distinct):
    # distinct rows can be ordered by their columns alone
    keys = [key for key in keys if not (distinct and key == "a + b")]
    plain = "select distinct a, b, c from t" if distinct else "select a, b, c from t"
    statement = plain + (f" order by {', '.join(keys)}" if keys else "")
    statement += f" limit {limit}" if limit is not None else ""
    found = ordering.ordered(rows, statement, {}).fetchall()
    every = rows.sql(plain).fetchall()
    signs = {"a": lambda row: row[0], "b": lambda row: row[1], "c desc": lambda row: -row[2]}
    signs |= {"a + b": lambda row: row[0] + row[1], "b desc nulls first": lambda row: -row[1]}
    right = sorted(every, key=lambda row: (*(signs[key](row) for key in keys), row))
    assert found == (right if limit is None else right[:limit])


@pytest.mark.parametrize(
    "statement",
    [
        "select a, $x::integer[] as given from t where a = $y order by a",
        "from t order by all desc limit 3",
        "with one as (select 1 as a) from one limit 1",
        "values (2), (1)",
        "describe t",
        "summarize t",
        "pivot t on a using sum(b) group by c",
        "pivot t on a using sum(b) group by c order by c desc",
        "select [x + 1 for x in [a, b]] as l, interval 3 day as d from t order by b limit 2",
        "select a, row_number() over (order by b, a, c) as n from t qualify n < 5 order by a",
    ],
)
def test_a_statement_gives_the_rows_that_it_gave(rows, statement):
    params = {"x": [1, 2], "y": 3} if "$x" in statement else {}
    found = ordering.ordered(rows, statement, params)
    plain = rows.sql(statement, params=params or None)
    assert (found.columns, found.types) == (plain.columns, plain.types)
    if "limit" not in statement:
        assert Counter(map(str, found.fetchall())) == Counter(map(str, plain.fetchall()))
    else:
        assert len(found.fetchall()) == len(plain.fetchall())


def test_the_order_of_pseudonymous_rows_tells_nothing_of_the_identifiers(lakes, tmp_path, workspace):
    import pyarrow.parquet as pq

    found = []
    for number, lake in enumerate(lakes):
        file = tmp_path / f"{number}.parquet"
        lake.export("select pid, scene, aoi from s2 where year = 2024", file, pseudonymous=True)
        found.append(pq.read_table(file))
    assert found[0].equals(found[1])
    key = export.key_of(Workspace.here())
    names = {export.Pseudonyms(key).of(pid): pid for pid in PIDS}
    pids = [names[text] for text in found[0].filter(pc.field("scene") == "A")["pid"].to_pylist()]
    assert sorted(pids) == sorted(PIDS * 2)
    assert pids[:40] not in (sorted(PIDS), sorted(PIDS, reverse=True))
