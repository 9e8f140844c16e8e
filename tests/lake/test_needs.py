"""Views are created when a statement needs them, and no statement sees a difference."""

import pytest
from factories import fill

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, needs, queries
from cbm_lake.lake.database import Database
from cbm_lake.lake.needs import Definition, Definitions

pytestmark = pytest.mark.thorough


LISTS = [
    "show tables",
    "from (show tables)",
    "desc",
    "from (desc)",
    "/* all */ desc",
    "-- all\ndesc",
    "describe",
    "select table_name from information_schema.tables",
    "select table_name from information_schema.columns",
    "select view_name as name from duckdb_views()",
    "select function_name from duckdb_functions() where not internal",
    "select relname from pg_catalog.pg_class",
    "select name from sqlite_master",
]
OF_S2 = [
    "select pid from s2",
    'select pid from "s2"',
    "SELECT PID FROM S2",
    "select pid from main.s2",
    "select pid from memory.main.s2",
    "select s2.pid from scenes, s2 where s2.scene = scenes.id",
    "select pid from (from s2)",
    "with s3 as (select * from s2) select pid from s3",
    "select pid from query_table('s2')",
    "select pid from query_table('s' || '2')",
    "from query('select pid from s' || '2')",
]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    return fill(Lake(str(tmp_path_factory.mktemp("filled")))).url


@pytest.fixture(scope="module")
def names(url):
    """Every table and view of a lake."""
    return Lake(url).sql("show tables")["name"].to_pylist()


@pytest.fixture
def ask(url):
    """A new database over the lake, without any view yet."""

    def new():
        lake = Lake(url)
        return Database(lake._store, lake._tables, lake.snapshot())

    return new


def sorted_rows(table):
    return sorted(map(repr, table.to_pylist()))


def test_each_view_alone_has_the_rows_that_it_has_beside_all_others(ask, names, url):
    with Lake(url).connect() as everything:
        for name in names:
            database = ask()
            rows = database.rows(f'from "{name}"', {})
            assert not database._definitions.is_complete, name
            assert sorted_rows(rows) == sorted_rows(everything.sql(f'from "{name}"').to_arrow_table()), name


def test_each_macro_comes_with_those_that_it_calls():
    macros = {needs.created(macro): macro for macro in queries.definitions() if macro.name.startswith("macros.")}
    assert {"is_usable", "not_observed"} <= needs.read_by(macros["why_not"].sql)
    assert {"is_observed", "least_pixels"} & needs.read_by(macros["not_observed"].sql)


def test_every_definition_creates_one_name(names):
    created = [needs.created(definition) for definition in queries.definitions()]
    assert len(created) == len(set(created))
    assert {"scenes", "parcels", "s2", "observed_s2", "is_usable"} <= set(created)


@pytest.mark.parametrize("statement", LISTS)
def test_what_lists_views_lists_all_of_them(ask, statement):
    everything = ask()
    everything.cursor()
    assert sorted_rows(ask().rows(statement, {})) == sorted_rows(everything.rows(statement, {}))


@pytest.mark.parametrize("statement", OF_S2)
def test_a_view_is_there_however_a_statement_names_it(ask, statement):
    rows = ask().rows(statement, {})
    assert set(rows["pid"].to_pylist()) == set(ask().rows("select distinct pid from s2", {})["pid"].to_pylist())
    assert rows.num_rows


def test_a_statement_creates_what_it_needs_alone(ask):
    database = ask()
    database.rows("select 1", {})
    assert not database._definitions.has("scenes")
    database.rows("select count(*) from scenes", {})
    assert database._definitions.has("scenes")
    assert not database._definitions.has("s2")
    assert not database._definitions.has("fiboa_parcels")


def test_a_wrong_name_is_compared_with_all_that_there_is(ask):
    with pytest.raises(InvalidInputError, match=r"Did you mean .*s2_long"):
        ask().rows("from s2_lonk", {})


def test_what_could_not_be_created_is_tried_again():
    tries = []

    def create():
        tries.append(len(tries))
        if len(tries) == 1:
            raise OSError("no file")

    definitions = Definitions([Definition(("a",), (), create), Definition(("b",), ("a",), lambda: None)])
    with pytest.raises(OSError, match="no file"):
        definitions.provide(["b"])
    assert not definitions.has("a")
    assert not definitions.has("b")
    definitions.provide(["b"])
    assert definitions.is_complete
    definitions.provide_all()
    assert tries == [0, 1]
