"""Delta Sharing: the unmodified client reads what SQL gives, of the areas that an account is granted, and no others."""

import json
import math
import re
from datetime import UTC, datetime

import delta_sharing
import duckdb
import pandas as pd
import pytest
import requests
from factories import PIDS, day, parcel_set, parcels, scene, scenes, signature, signatures, write
from rest_server import ROOT, WHO, served
from typer.testing import CliRunner

from cbm_lake import scenes as decisions
from cbm_lake.cli import app
from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.server.accounts import Accounts
from cbm_lake.server.sharing import hints, profiles
from cbm_lake.server.sharing.copies import File

BOTH = pytest.mark.parametrize("delta", [False, True, None])


def added(lake, aoi, year, numbers=(0, 1, 4), red=400, pids=PIDS):
    """An area and year with signatures of several months, recorded as done; the lake."""
    lake.add_parcels(aoi, year, "", "v1", parcels(pids))
    names = [f"{aoi}{year}-{number}" for number in numbers]
    moments = [day(number).replace(year=year) for number in numbers]
    lake.add_scenes(scenes(*map(scene, names, moments)))
    for name, moment in zip(names, moments, strict=True):
        rows = [signature(pid, name, moment, aoi=aoi, year=year, red=red + n) for n, pid in enumerate(sorted(pids))]
        write(lake, signatures(*rows), parcel_set(aoi, year), name, finished=moment)
    return lake


def filled(folder):
    """Areas ms, be and dk; ms and be in two years."""
    lake = Lake(str(folder))
    for number, (aoi, year) in enumerate((("ms", 2023), ("ms", 2024), ("be", 2023), ("be", 2024), ("dk", 2024))):
        added(lake, aoi, year, red=300 + 20 * number)
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def url(lake, folder):
    with served(lake, folder) as address:
        Accounts(folder / "users.json").add("eva", "a long password", aois=("ms", "be"))
        yield address


def profile_of(folder, url, who="ada", days=90):
    """The path of a profile file of an account."""
    file = folder / f"{who}-{len(list(folder.glob('*.share')))}.share"
    profiles.write(Accounts(folder / "users.json"), who, url, file, days)
    return str(file)


@pytest.fixture(scope="module")
def profile(folder, url):
    return profile_of(folder, url)


def of_sql(lake, table, aoi, year):
    """The rows of a view in the order of all columns, as pandas has them."""
    return lake.sql(f"from {table} where aoi = $aoi and year = $year", aoi=aoi, year=year).to_pandas()


def plain(value):
    """A value as it can be compared whatever brought it."""
    if isinstance(value, datetime):
        return pd.Timestamp(value).tz_convert("UTC").isoformat()
    if isinstance(value, dict):
        return tuple(sorted((key, plain(each)) for key, each in value.items()))
    if isinstance(value, bytes | str) or value is None:
        return value
    if hasattr(value, "__len__"):
        return tuple(plain(each) for each in value)
    return None if pd.isna(value) else float(value) if isinstance(value, float) else value


def rows_of(frame):
    return sorted((tuple(map(plain, row)) for row in frame.itertuples(index=False)), key=repr)


def same(frame, expected):
    assert list(frame.columns) == list(expected.columns)
    assert len(frame) == len(expected) > 0
    assert rows_of(frame) == rows_of(expected)


# -- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@BOTH
@pytest.mark.parametrize("table", ["s2", "parcels", "observations"])
@pytest.mark.parametrize(("aoi", "year"), [("ms", 2023), ("ms", 2024), ("be", 2023)])
def test_a_table_has_the_rows_that_sql_gives(lake, url, folder, aoi, year, table, delta):
    read = delta_sharing.load_as_pandas(
        f"{profile_of(folder, url, 'eva')}#{aoi}.{year}.{table}", use_delta_format=delta
    )
    same(read, of_sql(lake, table, aoi, year))


def test_accounts_see_the_areas_that_they_are_granted(url, folder):
    for who, areas in (("ada", {"ms"}), ("bob", {"be"}), ("eva", {"ms", "be"}), ("root", {"ms", "be", "dk"})):
        client = delta_sharing.SharingClient(profile_of(folder, url, who))
        assert {share.name for share in client.list_shares()} == areas
        assert {table.share for table in client.list_all_tables()} == areas


def test_shares_have_years_and_years_have_the_tables_that_have_rows(url, folder):
    client = delta_sharing.SharingClient(profile_of(folder, url, "root"))
    found = {(table.share, table.schema, table.name) for table in client.list_all_tables()}
    years = {"ms": ("2023", "2024"), "be": ("2023", "2024"), "dk": ("2024",)}
    names = ("observations", "parcels", "s2")
    assert found == {(aoi, year, name) for aoi, of_area in years.items() for year in of_area for name in names}
    (share,) = [share for share in client.list_shares() if share.name == "be"]
    assert [schema.name for schema in client.list_schemas(share)] == ["2023", "2024"]
    assert [table.name for table in client.list_tables(client.list_schemas(share)[0])] == list(names)


@pytest.mark.parametrize(
    "path", ["shares", "shares/ms/schemas", "shares/ms/all-tables", "shares/ms/schemas/2024/tables"]
)
@pytest.mark.parametrize("most", [1, 2, 3])
def test_lists_come_page_by_page(url, path, most):
    whole = requests.get(f"{url}/delta-sharing/{path}", auth=ROOT, timeout=30).json()
    assert "nextPageToken" not in whole
    items, token = [], ""
    while token is not None:
        asked = {"maxResults": most, **({"pageToken": token} if token else {})}
        page = requests.get(f"{url}/delta-sharing/{path}", params=asked, auth=ROOT, timeout=30).json()
        assert len(page["items"]) <= most
        items, token = items + page["items"], page.get("nextPageToken")
    assert items == whole["items"]


def test_a_page_of_nothing_says_where_the_first_begins_and_a_wrong_token_is_refused(url):
    at = f"{url}/delta-sharing/shares"
    assert requests.get(at, params={"maxResults": 0}, auth=WHO, timeout=30).json()["nextPageToken"]
    answer = requests.get(at, params={"pageToken": "é"}, auth=WHO, timeout=30)
    assert answer.status_code == 400
    assert "nextPageToken" in answer.json()["detail"]


@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("limit", [1, 4, 100])
def test_a_limit_gives_so_many_rows_of_the_table(lake, profile, limit, delta):
    read = delta_sharing.load_as_pandas(f"{profile}#ms.2024.s2", limit=limit, use_delta_format=delta)
    expected = of_sql(lake, "s2", "ms", 2024)
    assert len(read) == min(limit, len(expected))
    assert set(rows_of(read)) <= set(rows_of(expected))


def test_arrow_has_the_types_of_sql(lake, profile):
    metadata = delta_sharing.get_table_metadata(f"{profile}#ms.2024.s2")
    fields = {field["name"]: field["type"] for field in json.loads(metadata.schema_string)["fields"]}
    assert list(fields) == lake.sql("from s2").column_names
    assert [fields[name] for name in ("pid", "year", "obstime", "B04_count", "B04_mean", "share")] == [
        "string",
        "integer",
        "timestamp",
        "integer",
        "float",
        "float",
    ]
    assert fields["scl"]["type"] == "array"


@pytest.mark.parametrize("delta", [False, True])
def test_what_is_not_there_is_refused_by_name(profile, delta):
    for name in ("ms.2024.nothing", "ms.1999.s2", "be.2024.s2", "atlantis.2024.s2"):
        with pytest.raises(requests.HTTPError, match="404"):
            delta_sharing.load_as_pandas(f"{profile}#{name}", use_delta_format=delta)
    with pytest.raises(requests.HTTPError, match="does not tell changes"):
        delta_sharing.load_table_changes_as_pandas(f"{profile}#ms.2024.s2", starting_version=1, use_delta_format=delta)


# -- predicates -------------------------------------------------------------------------------------------------------


def asked(url, who=WHO, **body):
    """The lines of an answer about ms.2024.s2."""
    answer = requests.post(
        f"{url}/delta-sharing/shares/ms/schemas/2024/tables/s2/query", json=body, auth=who, timeout=30
    )
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def files_of(lines):
    return [line["file"] for line in lines if "file" in line]


@pytest.mark.parametrize(
    ("condition", "months"),
    [
        ("obstime >= '2024-02-01T00:00:00Z'", ["02"]),
        ("obstime < '2024-02-01T00:00:00Z'", ["01"]),
        ("obstime = '2024-01-11T10:40:00Z'", ["01"]),
        ("obstime > '2024-02-11'", ["02"]),  # a time without a zone may be that of any
        ("year = 2024", ["01", "02"]),
        ("year > 2024", []),
        ("pid = '12'", ["01", "02"]),
        ("pid > 'z'", []),
        ("B04_mean > 1000000", ["01", "02"]),  # not known of files
        ("obstime >= current_date", ["01", "02"]),  # not understood
    ],
)
def test_predicates_leave_out_files_without_a_fitting_row(lake, url, condition, months):
    found = files_of(asked(url, predicateHints=[condition]))
    stats = [json.loads(file["stats"]) for file in found]
    assert [each["minValues"]["obstime"][5:7] for each in stats] == months
    if "current" not in condition and "B04" not in condition:
        fitting = duckdb.from_arrow(lake.sql("from s2 where aoi = 'ms' and year = 2024")).filter(condition)
        assert sum(each["numRecords"] for each in stats) >= len(fitting.fetchall())


def column(name, kind="string"):
    return {"op": "column", "name": name, "valueType": kind}


def literal(value, kind="string"):
    return {"op": "literal", "value": value, "valueType": kind}


FEBRUARY = {"op": "greaterThanOrEqual", "children": [column("obstime", "timestamp"), literal("2024-02-01T00:00:00Z")]}
JANUARY = {"op": "greaterThan", "children": [literal("2024-02-01T00:00:00Z"), column("obstime", "timestamp")]}


@pytest.mark.parametrize(
    ("tree", "count"),
    [
        (FEBRUARY, 1),
        (JANUARY, 1),
        ({"op": "and", "children": [FEBRUARY, JANUARY]}, 0),
        ({"op": "or", "children": [FEBRUARY, JANUARY]}, 2),
        ({"op": "not", "children": [FEBRUARY]}, 2),
        ({"op": "isNull", "children": [column("pid")]}, 0),
        ({"op": "equal", "children": [column("pid"), column("scene")]}, 2),
        ({"op": "and", "children": ["x"]}, 2),
        ([], 2),
        ("x", 2),
    ],
)
def test_predicates_in_json_do_too(url, tree, count):
    assert len(files_of(asked(url, jsonPredicateHints=json.dumps(tree)))) == count


@pytest.mark.parametrize("text", ["", "{", "[" * 90_000, '{"op": "and", "children": [' * 3_000])
def test_predicates_that_are_none_leave_out_nothing(url, text):
    assert len(files_of(asked(url, jsonPredicateHints=text))) == 2


def test_the_client_hands_on_a_predicate_and_reads_the_files_that_are_left(lake, profile):
    read = delta_sharing.load_as_pandas(
        f"{profile}#ms.2024.s2", jsonPredicateHints=json.dumps(FEBRUARY), use_delta_format=False
    )
    expected = of_sql(lake, "s2", "ms", 2024)
    same(read, expected[expected.obstime >= "2024-02-01"])


def test_a_time_without_a_zone_leaves_out_no_file_that_it_may_mean():
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    file = File(None, "0.parquet", 1, 1, {"obstime": (noon, noon)}, {})
    for text, kept in (("2024-05-01T01:00:00", 1), ("2024-05-01T23:00:00", 1), ("2024-05-02T03:00:00", 0)):
        assert len(hints.fitting([file], [f"obstime = '{text}'"], None, None)) == kept


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31T23:59:59"])
def test_a_time_at_an_end_of_the_calendar_leaves_out_nothing(url, text):
    assert len(files_of(asked(url, predicateHints=[f"obstime >= '{text}'"]))) == 2


@pytest.mark.parametrize("text", ["{", "[" * 90_000, "[]"])
def test_a_limit_beside_a_predicate_that_is_not_understood_leaves_out_nothing(url, text):
    assert len(files_of(asked(url, jsonPredicateHints=text, limitHint=1))) == 2


# -- links and grants -------------------------------------------------------------------------------------------------


def test_a_link_is_read_in_parts_without_a_login_and_a_changed_one_not(url):
    address = files_of(asked(url))[0]["url"]
    whole = requests.get(address, timeout=30)
    assert whole.content[:4] == whole.content[-4:] == b"PAR1"
    part = requests.get(address, headers={"Range": "bytes=0-3"}, timeout=30)
    assert (part.status_code, part.content) == (206, b"PAR1")
    assert requests.head(address, timeout=30).headers["content-length"] == str(len(whole.content))
    token = re.search(r"shared/([^/]+)/", address)[1]
    said, _, signature = token.partition(".")
    for other in (said, f"{said}.", f"{said}.{signature[::-1]}", f"A{said[1:]}.{signature}", "é" * 9, "a" * 3_000, "."):
        assert requests.get(address.replace(token, other), timeout=30).status_code == 404
    assert requests.get(address.replace("/0.parquet", "/1.parquet"), timeout=30).status_code == 404


def test_links_end(lake, tmp_path):
    with served(lake, tmp_path, seconds=0) as address:
        links = files_of(asked(address))
        assert requests.get(links[0]["url"], timeout=30).status_code == 404
    assert links[0]["expirationTimestamp"] > 0


def test_what_is_taken_from_an_account_is_gone_at_once_links_too(lake, tmp_path):
    with served(lake, tmp_path) as address:
        accounts, file = Accounts(tmp_path / "users.json"), profile_of(tmp_path, address)
        link = files_of(asked(address))[0]["url"]
        accounts.revoke("ada", ("ms",))
        assert requests.get(link, timeout=30).status_code == 404
        assert delta_sharing.SharingClient(file).list_shares() == []
        accounts.grant("ada", ("be",))
        assert [share.name for share in delta_sharing.SharingClient(file).list_shares()] == ["be"]
        accounts.revoke("ada", ())
        with pytest.raises(requests.HTTPError, match="401"):
            delta_sharing.SharingClient(file).list_shares()


def test_a_copy_is_written_once_for_all_accounts(lake, tmp_path):
    with served(lake, tmp_path) as address:
        for who in (WHO, ROOT, WHO):
            asked(address, who)
        assert len(list((tmp_path / "shared").iterdir())) == 1


def test_copies_that_nobody_asks_for_make_room(lake, tmp_path):
    from cbm_lake.server.results import Room

    with served(lake, tmp_path, seconds=0, room=Room(all_bytes=1)) as address:
        at = f"{address}/delta-sharing/shares/ms/schemas"
        for year in (2023, 2024, 2023):
            assert requests.post(f"{at}/{year}/tables/s2/query", json={}, auth=WHO, timeout=30).status_code == 200
            assert len(list((tmp_path / "shared").iterdir())) == 1


# -- versions ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def growing(tmp_path):
    """A lake that is written to, the address of its service, and a profile."""
    lake = added(added(Lake(str(tmp_path / "lake")), "ms", 2024), "be", 2024)
    with served(lake, tmp_path) as address:
        yield lake, f"{profile_of(tmp_path, address)}#ms.2024.s2"


def seen_of(lake):
    return rows_of(of_sql(lake, "s2", "ms", 2024))


@pytest.mark.thorough
@pytest.mark.parametrize("delta", [False, True])
def test_each_version_keeps_its_rows_while_the_lake_is_written_compacted_and_vacuumed(growing, delta):
    lake, table = growing
    seen = {delta_sharing.get_table_version(table): seen_of(lake)}

    def step(change):
        change()
        number = delta_sharing.get_table_version(table)
        same(delta_sharing.load_as_pandas(table, use_delta_format=delta), of_sql(lake, "s2", "ms", 2024))
        assert number not in seen or seen[number] == seen_of(lake)
        seen[number] = seen_of(lake)

    step(lambda: added(lake, "ms", 2024, (5, 6), red=777))
    step(lambda: decisions.leave_out("ms2024-0", "clouds", lake=lake))
    step(lake.compact)
    step(lambda: lake.vacuum(days=1))
    step(lambda: decisions.put_back("ms2024-0", "no clouds", lake=lake))
    assert len({repr(rows) for rows in seen.values()}) == 3
    assert len(seen) >= 4
    for number, rows in seen.items():
        assert rows_of(delta_sharing.load_as_pandas(table, version=number, use_delta_format=delta)) == rows


def test_versions_grow_and_a_timestamp_gives_the_rows_of_then(growing):
    lake, table = growing
    first, then = delta_sharing.get_table_version(table), seen_of(lake)
    moment = datetime.now(UTC).isoformat()
    added(lake, "ms", 2024, (5,))
    assert delta_sharing.get_table_version(table) > first
    assert rows_of(delta_sharing.load_as_pandas(table, timestamp=moment)) == then
    assert (
        first
        < delta_sharing.get_table_version(table, starting_timestamp=moment)
        <= delta_sharing.get_table_version(table)
    )
    with pytest.raises(requests.HTTPError, match="nothing has changed since"):
        delta_sharing.get_table_version(table, starting_timestamp="2999-01-01T00:00:00Z")


def test_versions_and_times_that_never_were_are_refused_by_name(growing):
    _, table = growing
    for wrong, reason in (
        ({"version": 10_000}, "no version 10000"),
        ({"timestamp": "1999-01-01T00:00:00Z"}, "nothing of ms.2024.s2 yet"),
        ({"timestamp": "yesterday"}, "yesterday"),
        ({"timestamp": "2024-01-01T00:00:00Z", "version": 3}, "not both"),
    ):
        with pytest.raises(requests.HTTPError, match=reason):
            delta_sharing.load_as_pandas(table, **wrong)


def test_rows_of_a_command_that_has_not_ended_are_not_given(growing):
    lake, table = growing
    before = delta_sharing.load_as_pandas(table)
    rows = signatures(*(signature(pid, "ms2024-9", day(7), red=1) for pid in PIDS))
    lake.write_signatures("s2", rows, 4711)  # and killed before the ledger's line
    assert rows_of(delta_sharing.load_as_pandas(table)) == rows_of(before) == seen_of(lake)


def test_what_another_area_gets_leaves_the_rows_alone(growing):
    lake, table = growing
    before = delta_sharing.load_as_pandas(table)
    added(lake, "be", 2024, (5, 6))
    assert rows_of(delta_sharing.load_as_pandas(table)) == rows_of(before)


def test_a_nan_is_a_nan(growing):
    lake, table = growing
    name = "ms2024-8"
    lake.add_scenes(scenes(scene(name, day(8))))
    write(lake, signatures(signature("12", name, day(8), red=math.nan)), parcel_set("ms", 2024), name, finished=day(8))
    read = delta_sharing.load_as_pandas(table)
    assert read[read.scene == name].B04_mean.isna().all()
    assert len(read) == len(seen_of(lake))


# -- profiles ---------------------------------------------------------------------------------------------------------


def test_a_profile_is_private_ends_and_is_never_overwritten(tmp_path):
    accounts = Accounts(tmp_path / "users.json")
    accounts.add(*WHO, aois=("ms",))
    file = tmp_path / "ada.share"
    profiles.write(accounts, "ada", "https://lake.example.org/cbm/", file, 7)
    assert file.stat().st_mode & 0o777 == 0o600
    said = json.loads(file.read_text())
    assert said["endpoint"] == "https://lake.example.org/cbm/delta-sharing"
    left = datetime.fromisoformat(said["expirationTime"]) - datetime.now(UTC)
    assert 6 < left.days + 1 <= 7
    assert accounts.check_token(said["bearerToken"]).name == "ada"
    with pytest.raises(ValueError, match="is there already"):
        profiles.write(accounts, "ada", "https://lake.example.org", file)
    with pytest.raises(ValueError, match="no address"):
        profiles.profile(accounts, "ada", "lake.example.org")
    with pytest.raises(NotFoundError, match="no account"):
        profiles.write(accounts, "nobody", "https://lake.example.org", tmp_path / "nobody.share")
    assert not (tmp_path / "nobody.share").exists()
    assert len(accounts.users()["ada"].tokens) == 1


def test_the_command_writes_a_profile_for_an_account(workspace):
    Accounts(workspace.config_file.with_name("users.json")).add(*WHO, aois=("ms",))
    file = workspace.root / "ada.share"
    asked = ["user", "share", "ada", "--url", "https://lake.example.org", "--days", "3", "--output", str(file)]
    answer = CliRunner().invoke(app, asked)
    assert answer.exit_code == 0, answer.output
    assert json.loads(file.read_text())["endpoint"] == "https://lake.example.org/delta-sharing"
    assert json.loads(file.read_text())["bearerToken"] not in answer.output
    assert CliRunner().invoke(app, asked).exit_code != 0
