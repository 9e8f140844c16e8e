"""A stranger's SQL reads the lake's views and nothing else, whatever it says."""

import json
import math
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from factories import fill, parcel_set, signature, signatures, write

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake
from cbm_lake.server import statements
from cbm_lake.server.granting import Grants
from cbm_lake.server.sqlbox import Limits, Question, SqlBox, TooLargeError

SECRET = "only-the-server-knows"

UNCHECKED = """
from cbm_lake.server import sqlbox, statements
statements.check = lambda statement: None
sqlbox.main()
"""

ALLOWED = {
    "select 1 as one": 1,
    "from s2": 6,
    "table parcels": 3,
    "select pid, ndvi(B04_mean, B08_mean) as v from s2 where share_of(scl, [3, 8]) = 0 order by v desc limit 2": 2,
    "with few as (select pid from parcels limit 2) select * from few join s2 using (pid)": 4,
    "with a as (select 1), b as (from A) from b where exists (with c as (from a) from c) union all from a": 2,
    "with s2 as (select pid from s2 limit 1) select pid from s2": 1,
    "select crop_name, count(*) from parcels group by all having count(*) > 0": 1,
    "select * exclude (geometry) from parcels": 3,
    "select date_trunc('month', obstime) as month, median(B04_mean) from s2 group by month": 1,
    "select pid, row_number() over (partition by pid order by obstime) as n from s2 qualify n = 1": 3,
    "select pid from parcels union all select pid from s2": 9,
    "select list_transform([1, 2], lambda x: x + 1) as l, case when true then 1 else 2 end, '1'::int": 1,
    "select * from s2_long where pid in (select pid from parcels where area_m2 > 0) and band = 'B04'": 6,
    "select count(*) filter (B04_count > 3), quantile_cont(B04_mean, 0.9) from s2": 1,
    "select columns('B04_.*') from s2": 6,
    "select i from range(3) as t(i)": 3,
    "values (1), (2)": 2,
    "select id from scenes where not superseded": 2,
}

ATTACKS = (
    """
copy (select 1) to '/tmp/out.csv'
copy s2 to 's3://bucket/x.parquet'
copy parcels from '/etc/passwd'
attach '/tmp/x.db'
attach 'postgres:dbname=x'
detach memory
install httpfs
load httpfs
create table t as select 1
create view v as select 1
create macro m() as 1
create or replace temp view s2 as select 1
create secret (type s3)
drop view s2
delete from parcels
update parcels set pid = '1'
insert into parcels select * from parcels
truncate parcels
alter table parcels rename to p
export database '/tmp/x'
import database '/tmp/x'
pragma database_list
pragma version
set threads = 64
set global enable_external_access = true
reset lock_configuration
call pragma_version()
use temp
checkpoint
vacuum
analyze
explain analyze select 1
prepare p as select 1
execute p
begin; select 1
select 1; select 2
select 1; drop view s2
show tables
show all tables
describe s2
summarize s2
select * from read_csv('/etc/passwd')
select * from read_csv_auto('/etc/passwd')
select * from read_text('/etc/passwd')
select * from read_blob('/etc/passwd')
select * from read_json('/etc/passwd')
select * from read_parquet('scenes/*.parquet')
select * from parquet_metadata('x.parquet')
select * from sniff_csv('/etc/passwd')
select * from glob('/*')
select * from '/etc/passwd'
select * from 'file.csv'
select * from "https://example.org/x.parquet"
from "s3://bucket/x.parquet"
with "/etc/passwd" as (select 1) select * from "/etc/passwd"
select * from (with "x.csv" as (select 1) select 1), "x.csv"
select * from duckdb_settings()
select * from duckdb_tables()
select * from duckdb_secrets()
select * from information_schema.tables
select * from pg_catalog.pg_tables
select * from sqlite_master
select * from stac_scenes
select * from ledger
select * from signatures_s2
select * from fiboa_parcels
select * from parcel_versions
select * from granted
select * from main.s2
select * from memory.main.parcels
select * from system.main.duckdb_settings
select * from query('select 1')
select * from query_table('ledger')
select * from sys
select * from os
select getenv('HOME')
select current_setting('home_directory')
select getvariable('files')
select version()
select nextval('s')
select txid_current()
select main.getenv('HOME')
select system.main.version()
select read_text('/etc/passwd')
select * from s2 at (version => 1)
select * from repeat_row(1, num_rows => 10)
select * from test_all_types()
select * from pragma_table_info('s2')
select /* harmless */ g{e}tenv('HOME')
select get/**/env('HOME')
-- select 1
with recursive t(n) as (select 1 union all select n + 1 from t) select * from t
pivot s2 on scene using sum(B04_mean)
select * from s2 positional join read_text('/etc/passwd')
select (select content from read_text('/etc/passwd'))
select * from s2 where pid in (select content from read_text('/etc/passwd'))
select * from s2 order by (select 1 from glob('*'))
select * from s2 limit (select count(*) from glob('*'))
select list_transform([1], lambda x: getenv('HOME'))
select sum(1) over (order by (select getenv('HOME')))
select case when true then getenv('HOME') end
select * from (values (getenv('HOME')))
select * from s2 asof join ledger using (obstime)
with ledger as (select * from ledger) select * from ledger
with recursive ledger as (select * from ledger) select * from ledger
select * from ledger, (with ledger as (select 1) select 1)
with a as (select * from readable), readable as (select 1) select * from a
with duckdb_views as (select * from duckdb_views) select sql from duckdb_views
select path from duckdb_databases, (with duckdb_databases as (select 1) select 1)
""".replace("{e}", chr(0x435))
    .strip()
    .splitlines()
)

BOMBS = {
    "select sum(a.i * b.i) from range(10000000) a(i), range(10000000) b(i)": "more than 2 seconds",
    "select list(i) from range(1000000000) t(i)": "memory|seconds",
    "select repeat('x', 2000000000) || repeat('y', 2000000000)": "memory|seconds|cannot be run",
    "select count(*) from s2 a, s2 b, s2 c, s2 d, s2 e, s2 f, s2 g, s2 h, s2 i, s2 j, s2 k, s2 l": "seconds|memory",
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return fill(Lake(str(tmp_path_factory.mktemp("sql") / "lake")))


@pytest.fixture(scope="module")
def box():
    made = SqlBox()
    yield made
    made.close()


def ask(box, lake, statement, aois=("ms",), limits=None, **params):
    with tempfile.TemporaryDirectory() as folder, Grants(lake, Path(folder)).database(aois) as database:
        question = Question(str(database), lake.url, statement, params, limits or Limits(seconds=20))
        schema, *batches = box.ask(question)
    return pa.Table.from_batches(batches, schema)


@pytest.mark.parametrize("statement", ALLOWED)
def test_what_an_analyst_asks_passes_the_list(lake, statement):
    statements.check(statement)
    assert lake.sql(statement).num_rows == ALLOWED[statement]


@pytest.mark.slow
def test_what_passes_is_answered_by_the_locked_process(box, lake):
    for statement in list(ALLOWED)[:4]:
        assert ask(box, lake, statement).num_rows == ALLOWED[statement]


@pytest.mark.parametrize("statement", ATTACKS)
def test_no_attack_passes_the_list_and_none_gets_out_of_the_locked_process_either(lake, statement):
    with pytest.raises(InvalidInputError) as caught:
        statements.check(statement)
    assert "\n" not in str(caught.value)


def test_there_are_enough_attacks():
    assert len(set(ATTACKS)) >= 60


@pytest.mark.slow
def test_the_locked_process_lets_nothing_out_when_the_list_is_passed_by(lake, tmp_path, monkeypatch):
    """The second wall: without the list, only the files of the views are read, and nothing is written anywhere."""
    monkeypatch.setenv("CBM_LAKE_API__PASS", SECRET)
    outside = tmp_path / "secret.csv"
    outside.write_text(SECRET)
    box = SqlBox((sys.executable, "-s", "-c", UNCHECKED))
    for statement in (
        f"from '{outside}'",
        f"from read_text('{outside}')",
        "from read_text('/proc/self/environ')",
        "from read_text('/etc/passwd')",
        f"copy (select 1) to '{tmp_path}/out.csv'",
        "set threads = 2",
        f"copy (select 1) to '{lake.url}/out.csv'",
        f"attach '{tmp_path}/x.db'",
        "install httpfs",
        "load httpfs",
        "from glob('/*')",
        "from duckdb_secrets() where false or 1 / 0",
        "reset lock_configuration",
    ):
        with pytest.raises(InvalidInputError) as caught:
            ask(box, lake, statement)
        assert SECRET not in str(caught.value)
    assert not (tmp_path / "out.csv").exists()
    settings = ask(box, lake, "select name, value from duckdb_settings()").to_pylist()
    assert SECRET not in json.dumps(settings)
    box.close()


@pytest.mark.thorough
@pytest.mark.parametrize(
    "statement", [pytest.param(b, marks=pytest.mark.exhaustive) if n else b for n, b in enumerate(BOMBS)]
)
def test_a_bomb_ends_in_time_with_one_line(box, lake, statement):
    with pytest.raises(InvalidInputError, match=BOMBS[statement]) as caught:
        ask(box, lake, statement, limits=Limits(memory_mb=200, seconds=2))
    assert "\n" not in str(caught.value)


def test_an_answer_with_more_rows_than_one_may_have_is_none(box, lake):
    limits = Limits(rows=25_000)
    assert ask(box, lake, "select i from range(25000) t(i)", limits=limits).num_rows == 25_000
    with pytest.raises(TooLargeError, match=r"more than 25000 rows.*limit 25000 offset"):
        ask(box, lake, "select i from range(25001) t(i)", limits=limits)


@pytest.mark.slow
def test_only_the_rows_of_granted_areas_are_seen(box, tmp_path):
    lake = fill(Lake(str(tmp_path / "lake")))
    write(lake, signatures(signature("77", aoi="nl")), parcel_set("nl"))
    count = "select (select count(*) from s2), (select count(*) from parcels), (select count(*) from s2_long)"
    seen = {aois: tuple(ask(box, lake, count, aois).to_pylist()[0].values()) for aois in (("ms",), ("nl",), (), None)}
    assert seen == {("ms",): (6, 3, 12), ("nl",): (1, 0, 2), (): (0, 0, 0), None: (7, 3, 14)}
    for attack in ("ms' or '1'='1", "') or true --"):
        assert ask(box, lake, "from s2", (attack,)).num_rows == 0


def test_parameters_are_values(box, lake):
    assert ask(box, lake, "select $x as x", x="1'; drop view s2; --")["x"].to_pylist() == ["1'; drop view s2; --"]
    assert ask(box, lake, "from s2 where pid = $pid", pid="0012").num_rows == 2


def test_what_duckdb_says_of_a_wrong_statement_is_told_in_one_line(box, lake):
    with pytest.raises(InvalidInputError, match=r"this SQL cannot be run: .*nope") as caught:
        ask(box, lake, "select nope from s2")
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidInputError, match="only a SELECT can be run"):
        ask(box, lake, "selct 1")
    with pytest.raises(InvalidInputError, match="at most 20000"):
        ask(box, lake, f"select {'1 + ' * 9000} 1")


@pytest.mark.slow
def test_every_answer_is_given_by_a_process_of_its_own(box, lake):
    assert math.isclose(ask(box, lake, "select 0.5 as half")["half"].to_pylist()[0], 0.5)
    first, second = (ask(box, lake, "select count(*) as n from s2") for _ in range(2))
    assert first.equals(second)
