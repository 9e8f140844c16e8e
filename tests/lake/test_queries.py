"""Every file of sql/ is documented, and runs."""

import re
from pathlib import Path

import factories
import pytest

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake, queries, schemas

SQL = Path(__file__).parents[2] / "sql"
QUESTIONS = [*queries.load().values()]
ALL = [*queries.statements().values(), *queries.definitions()]
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


@pytest.fixture(scope="module")
def sample_files(tmp_path_factory):
    """Empty files of the columns that the demonstration's queries read."""
    import duckdb

    folder = tmp_path_factory.mktemp("sample")
    truth = "pid varchar, obstime timestamptz, ndvi double, crop varchar, second varchar, kinds varchar"
    tables = {"truth": truth, "events": "pid varchar, date date, crop varchar, event varchar"}
    connection = duckdb.connect()
    for name, columns in tables.items():
        connection.execute(f"create table {name} ({columns})")
        connection.execute(f"copy {name} to '{folder}/{name}.parquet'")
    return {name: f"{folder}/{name}.parquet" for name in tables}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A lake with nothing in it, which no test writes to."""
    return Lake(str(tmp_path_factory.mktemp("empty")))


def test_there_are_queries():
    assert {"parcels.by_pid", "time_series.s2", "scenes.between"} <= set(queries.load())


@pytest.mark.thorough
@pytest.mark.parametrize("query", ALL, ids=ids)
def test_every_file_says_what_it_is_and_names_its_parameters(query):
    assert len(query.description) > 30
    assert query.description.endswith((".", ")")), query.description
    for name in parameters(query):
        assert re.search(rf"\${name}\b", query.description), f"${name} is not in the leading comment"


@pytest.mark.thorough
@pytest.mark.parametrize("query", ALL, ids=ids)
def test_every_file_is_one_statement(query):
    import duckdb

    assert len(duckdb.connect().extract_statements(query.sql)) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("query", QUESTIONS, ids=ids)
def test_every_question_runs_on_an_empty_lake_and_names_its_columns(query, empty, sample_files):
    answer = empty.query(query.name, **{name: sample_files.get(name) for name in parameters(query)})
    assert answer.num_rows == 0
    assert len(answer.column_names) == len(set(answer.column_names)) > 0
    statistics = {name for card in cards.CARDS for name in schemas.signatures(card).names}
    assert all(re.fullmatch("[a-z][a-z0-9_]*", name) or name in statistics for name in answer.column_names)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("parcels.by_pid", "pid crop_name crop_code epsg geometry area_m2 centroid_lon centroid_lat"),
        ("parcels.in_box", "pid crop_name crop_code epsg geometry area_m2 centroid_lon centroid_lat"),
        ("parcels.areas", "aoi epsg parcels west south east north"),
        ("time_series.ndvi", "obstime ndvi count cloud observable scene sky share seen"),
        ("time_series.s2", "date_part band count mean std min p25 p50 p75 max scl reference obsid"),
        ("time_series.bs", "date_part band count mean std min p25 p50 p75 max reference obsid"),
        ("time_series.c6", "date_part band count mean std min p25 p50 p75 max reference obsid"),
        ("scenes.failed", "card scene aoi year ptype problem finished"),
    ],
)
def test_the_questions_that_code_relies_on_have_their_columns_in_order(name, columns, empty):
    query = queries.get(name)
    assert empty.query(name, **dict.fromkeys(parameters(query))).column_names == columns.split()


def test_an_unknown_query_is_refused_with_the_list():
    with pytest.raises(NotFoundError, match=r"no query 'parcels\.nope'; there are: .*parcels\.by_pid"):
        queries.get("parcels.nope")


def test_macros_views_and_steps_are_no_questions_and_steps_are_found_by_name():
    folders = {name.partition(".")[0] for name in queries.load()}
    assert folders.isdisjoint((*queries.VIEWS, *queries.STEPS))
    assert queries.get("lookup.s2").sql
    assert {path.parent.name for path in SQL.glob("*/*.sql")} == folders | {*queries.VIEWS, *queries.STEPS}


@pytest.mark.parametrize(
    ("series", "latest"),
    [
        ([(400, 1200)], (0.5, 0)),
        ([(400, 1200), (0, 0)], (0.5, 0)),
        ([(400, 1200), (None, 1200)], (0.5, 0)),
        ([(400, 1200), (600, 600)], (0.0, 1)),
        ([(0, 0)], (None, None)),
    ],
)
def test_the_latest_ndvi_has_the_date_on_which_it_was_seen(series, latest, lake):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels(("1",), [("wheat", "1")]))
    for number, (red, nir) in enumerate(series):
        row = factories.signature("1", str(number), factories.day(number), B04_mean=red, B08_mean=nir)
        factories.write(lake, factories.signatures(row), scene=str(number))
    row = lake.query("parcels.latest_ndvi", aoi="ms", year=2024, screen=[3, 8, 9, 10, 11]).to_pylist()[0]
    ndvi, number = latest
    assert (row["ndvi"], row["obstime"]) == (ndvi, None if number is None else factories.day(number))


@pytest.mark.parametrize(("statement", "meant"), [("select B4_mean from s2", "B04_mean"), ("from s2_lon", "s2_long")])
def test_what_may_have_been_meant_is_named(statement, meant, lake):
    with pytest.raises(InvalidInputError, match=rf"cannot be run: [^\n]*\"{meant}\"[^\n]*$"):
        lake.sql(statement)


def test_a_missing_and_an_unknown_parameter_are_named(lake):
    with pytest.raises(InvalidInputError, match="pid"):
        lake.query("parcels.by_pid", aoi="ms", year=2024, ptype="")
    with pytest.raises(InvalidInputError, match="colour"):
        lake.query("parcels.by_pid", aoi="ms", year=2024, ptype="", pid="12", colour="red")


@pytest.mark.thorough
@pytest.mark.parametrize("pid", ["2", "no such parcel"])
@pytest.mark.parametrize("query", [query for query in QUESTIONS if query.narrows], ids=ids)
def test_questions_of_one_parcel_that_take_a_pid_look_at_no_other_parcel(query, pid, lake):
    if "pid" not in parameters(query):
        pytest.skip("takes no pid, so nothing is narrowed")
    factories.fill(lake, pids=("1", "2", "3"))
    for card in ("bs", "c6"):
        row = factories.signature("2", **factories.band("VV", 0.5))
        radar = {name: value for name, value in row.items() if name[:3] not in ("B04", "B08", "scl")}
        factories.write(lake, factories.signatures(radar, card=card), card=card)
    given = {"aoi": "ms", "year": 2024, "ptype": "", "pid": pid, "bands": None, "screen": [3]}
    given = {name: given[name] for name in parameters(query)}
    rows = lake.sql(query.sql, **given)
    if pid == "2":
        assert lake.query(query.name, **given).equals(rows)
        return
    with pytest.raises(NotFoundError, match="no parcel"):
        lake.query(query.name, **given)
    assert rows.num_rows == 0
