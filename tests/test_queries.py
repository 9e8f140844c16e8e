"""Every file of sql/ is documented, and runs."""

import re

import factories
import pytest

from cbm_lake import queries
from cbm_lake.errors import InvalidInputError, NotFoundError

QUESTIONS = [query for query in queries.load().values() if not query.name.startswith("lookup.")]
FILES = {"truth", "events"}
"""Parameters that are files, which cannot be null."""


def statement(query):
    return "\n".join(line for line in query.sql.splitlines() if not line.lstrip().startswith("--"))


def parameters(query):
    """The parameters that the statement has, as DuckDB sees them."""
    import duckdb

    found = set()
    for part in duckdb.connect().extract_statements(statement(query)):
        found |= part.named_parameters
    return found


def ids(query):
    return query.name


@pytest.fixture
def sample_files(tmp_path):
    """Empty files of the columns that the demonstration's queries read."""
    import duckdb

    truth = "pid varchar, obstime timestamptz, ndvi double, crop varchar, second varchar, kinds varchar"
    tables = {"truth": truth, "events": "pid varchar, date date, crop varchar, event varchar"}
    connection = duckdb.connect()
    for name, columns in tables.items():
        connection.execute(f"create table {name} ({columns})")
        connection.execute(f"copy {name} to '{tmp_path}/{name}.parquet'")
    return {name: f"{tmp_path}/{name}.parquet" for name in tables}


def test_there_are_queries():
    assert {"parcels.by_pid", "time_series.s2", "scenes.between"} <= set(queries.load())


@pytest.mark.parametrize("query", [*queries.load().values(), *queries.definitions()], ids=ids)
def test_every_file_says_what_it_is_and_names_its_parameters(query):
    assert len(query.description) > 30
    assert query.description.endswith((".", ")")), query.description
    for name in parameters(query):
        assert re.search(rf"\${name}\b", query.description), f"${name} is not in the leading comment"


@pytest.mark.parametrize("query", [*queries.load().values(), *queries.definitions()], ids=ids)
def test_every_file_is_one_statement(query):
    import duckdb

    assert len(duckdb.connect().extract_statements(query.sql)) == 1


@pytest.mark.parametrize("query", QUESTIONS, ids=ids)
def test_every_question_runs_on_an_empty_lake_and_names_its_columns(query, lake, sample_files):
    answer = lake.query(query.name, **{name: sample_files.get(name) for name in parameters(query)})
    assert answer.num_rows == 0
    assert len(answer.column_names) == len(set(answer.column_names)) > 0
    assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in answer.column_names)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("parcels.by_pid", "pid crop_name crop_code epsg geometry area_m2 centroid_lon centroid_lat"),
        ("parcels.in_box", "pid crop_name crop_code epsg geometry area_m2 centroid_lon centroid_lat"),
        ("parcels.areas", "aoi epsg parcels west south east north"),
        ("time_series.ndvi", "obstime ndvi count cloud observable scene"),
        ("time_series.s2", "date_part band count mean std min p25 p50 p75 max scl reference obsid"),
        ("time_series.bs", "date_part band count mean std min p25 p50 p75 max reference obsid"),
        ("time_series.c6", "date_part band count mean std min p25 p50 p75 max reference obsid"),
        ("scenes.failed", "card scene aoi year ptype problem finished"),
    ],
)
def test_the_questions_that_code_relies_on_have_their_columns_in_order(name, columns, lake):
    query = queries.get(name)
    assert lake.query(name, **dict.fromkeys(parameters(query))).column_names == columns.split()


def test_an_unknown_query_is_refused_with_the_list():
    with pytest.raises(NotFoundError, match=r"no query 'parcels\.nope'; there are: .*parcels\.by_pid"):
        queries.get("parcels.nope")


def test_macros_and_views_are_no_questions():
    assert not [name for name in queries.load() if name.startswith(("views.", "macros."))]


def test_a_missing_and_an_unknown_parameter_are_named(lake):
    with pytest.raises(InvalidInputError, match="pid"):
        lake.query("parcels.by_pid", aoi="ms", year=2024, ptype="")
    with pytest.raises(InvalidInputError, match="colour"):
        lake.query("parcels.by_pid", aoi="ms", year=2024, ptype="", pid="12", colour="red")


@pytest.mark.parametrize("query", [query for query in QUESTIONS if query.of_one_parcel], ids=ids)
def test_questions_of_one_parcel_that_take_a_pid_look_at_no_other_parcel(query, lake):
    if "pid" not in parameters(query):
        pytest.skip("takes no pid, so nothing is narrowed")
    factories.fill(lake, pids=("1", "2", "3"))
    given = {"aoi": "ms", "year": 2024, "ptype": "", "pid": "2", "bands": None, "screen": [3]}
    given = {name: given[name] for name in parameters(query)}
    assert lake.query(query.name, **given).equals(lake.sql(query.sql, **given))
