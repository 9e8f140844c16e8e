"""Worklists beside pandas: rows, order, filter, search, pages, decisions of others, files; of several parcel sets."""

import json
from datetime import UTC, date, datetime, timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from factories import outline, parcels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listed_parcels import NIGHTS, ORDER, SCENARIOS, SETS, SINCE, Truth, judge, judgement, of
from typer.testing import CliRunner

from cbm_lake import cases, markers, qa
from cbm_lake.cases import worklists
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake, schemas
from cbm_lake.markers.finding import part_of
from cbm_lake.storage.store import Store


@pytest.fixture(scope="module")
def truths(tmp_path_factory):
    lake = Lake(str(tmp_path_factory.mktemp("listed")))
    return lake, [Truth(lake, key, seed) for seed, key in enumerate(SETS)]


def same(table, frame, columns=None):
    """Whether a worklist has the rows of a frame in its order."""
    columns = columns or [name for name in frame.columns if name in table.column_names]
    seen = table.select(columns).to_pylist()
    known = [
        {name: None if pd.isna(value) else int(value) if name == "crop_rank" else value for name, value in row.items()}
        for row in frame[columns].to_dict("records")
    ]
    assert seen == known


@pytest.mark.parametrize("since", [None, SINCE])
@pytest.mark.parametrize("scenario", [None, *SCENARIOS])
@pytest.mark.parametrize("number", range(len(SETS)))
def test_rows_and_their_order_are_those_that_pandas_gives(truths, number, scenario, since):
    lake, all_truths = truths
    truth = all_truths[number]
    frame = truth.frame(scenario, since)
    listed = cases.worklist(*truth.key, scenario=scenario, since=since, lake=lake)
    assert frame["decision"].notna().any()
    assert not frame["decision"].notna().all()
    assert since is None or frame["change"].notna().any()
    same(listed.page(0, 1000), frame)
    assert listed.count() == cases.Count(len(frame), int(frame["decision"].isna().sum()))


CONDITIONS = {
    "": lambda frame: frame["pid"] == frame["pid"],
    "colour = 'red'": lambda frame: frame["colour"] == "red",
    "area_ha > 1 and decision is null": lambda frame: (frame["area_ha"] > 1) & frame["decision"].isna(),
    "crop_rank < 20 or crop_check = 'disagrees'": lambda f: (f["crop_rank"] < 20) | (f["crop_check"] == "disagrees"),
    "decision in ('photo', 'refused') -- these": lambda frame: frame["decision"].isin(["photo", "refused"]),
    "outdated = 'light'\nand reason like 'red%'": lambda f: (f["outdated"] == "light") & (f["colour"] == "red"),
    "pid = 'nobody'": lambda frame: frame["pid"] == "nobody",
}
SEARCHES = {
    "": lambda frame: frame["pid"] == frame["pid"],
    "1": lambda frame: frame["pid"].str.startswith("1") | frame["crop"].isin(["c1"]),
    " MAIZE ": lambda frame: frame["crop"] == "maize",
    "temporary grass": lambda frame: frame["crop"] == "grassland, temporary",
    "nothing": lambda frame: frame["pid"] == "",
}
SORTS = ("", "pid", "-pid", "area_ha", "-area_ha", "colour", "-decided", "crop", "-crop_rank", "change")


def expected(frame, where, search, sort):
    """The rows that a worklist must have, by pandas."""
    frame = frame[CONDITIONS[where](frame) & SEARCHES[search](frame)]
    column = sort.removeprefix("-")
    if not column:
        return frame
    values = frame[column]
    if values.dropna().empty:
        return frame
    ordered = frame[values.notna()].sort_values(column, ascending=not sort.startswith("-"), kind="stable")
    return pd.concat([ordered, frame[values.isna()]])


@pytest.mark.thorough
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, len(SETS) - 1),
    scenario=st.sampled_from([None, *SCENARIOS]),
    where=st.sampled_from(sorted(CONDITIONS)),
    search=st.sampled_from(sorted(SEARCHES)),
    sort=st.sampled_from(SORTS),
    limit=st.integers(1, 70),
)
def test_pages_together_are_the_whole_in_order_whatever_filter_and_sort(
    truths, number, scenario, where, search, sort, limit
):
    lake, all_truths = truths
    truth = all_truths[number]
    frame = expected(truth.frame(scenario, SINCE), where, search, sort)
    asked = {"scenario": scenario, "since": SINCE, "where": where, "search": search, "sort": sort}
    listed = cases.worklist(*truth.key, **asked, lake=lake)
    pages = [listed.page(offset, limit) for offset in range(0, len(frame) + 1, limit)]
    pids = [pid for page in pages for pid in page["pid"].to_pylist()]
    assert pids == frame["pid"].tolist()
    assert all(page.num_rows == limit for page in pages[:-1])
    assert [listed.position(pid) for pid in pids] == list(range(len(pids)))
    undecided = np.flatnonzero(frame["decision"].isna())
    for after in range(-1, len(pids)):
        later = [*undecided[undecided > after], *undecided]
        assert listed.next_open(after) == (later[0] if later else None)
    assert listed.position("nobody") is None


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("color = 'red'", '(?s)color.*Candidate bindings: "colour".*LINE 1: +color.*\n +\\^'),
        ("area_ha > 1\n and crp = 'x'", "(?s)LINE 2:.*crp = 'x'"),
        ("area_ha like", "(?s)syntax error.*LINE 1: area_ha like\n +\\^"),
        ("1 = 1) or (1 = 1", "no condition"),
        ("true; drop table parcels", "."),
        ("true order by pid", "more than a condition"),
        ("true from parcels", "more than a condition"),
        ("true, false", "more than a condition"),
        ("true as name", "more than a condition"),
        ("distinct true", "more than a condition"),
        ("true limit 1", "more than a condition"),
        ("true union all select true", "more than a condition"),
        ("pid in (select pid from parcels)", "subquery"),
        ("exists (from 'x.parquet')", "subquery"),
        ("area_ha > $x", "parameter"),
        ("columns(*) is null", "star"),
        ("row_number() over () = 1", "window"),
        ("read_text('/etc/passwd') = 'x'", "read_text"),
        ("getenv('HOME') = 'x'", "getenv"),
        ("sum(area_ha) > 3", "aggregate"),
        ("len(range(4000000000)) > 0", "range"),
        ("len(generate_series(1, 4000000000)) > 0", "generate_series"),
        ("length(repeat(pid, 1000000000)) > 0", "repeat"),
        ("random() < 0.5", "random"),
        ("crop::integer = 3", "Conversion"),
        ("/* never closed", "."),
        ("'" + "x" * 30_000 + "' = pid", "characters"),
    ],
)
def test_what_is_no_condition_is_refused_by_name(truths, where, message):
    lake, all_truths = truths
    with pytest.raises(InvalidInputError, match=message):
        cases.worklist(*all_truths[0].key, where=where, lake=lake).page()


@pytest.mark.parametrize("condition", ["due < {}", "decided > {}::timestamptz - interval 9 year and due < {}"])
@pytest.mark.parametrize("now", ["current_date", "today()", "now()::date"])
def test_a_condition_of_the_present_is_looked_at_anew(truths, monkeypatch, condition, now):
    lake, all_truths = truths
    asked = []
    ordered = worklists._ordered
    monkeypatch.setattr(worklists, "_ordered", lambda *told, **more: asked.append(told) or ordered(*told, **more))
    for _ in range(2):
        cases.worklist(*all_truths[0].key, where=condition.replace("{}", now), lake=lake)
    assert len(asked) == 2
    for _ in range(2):
        cases.worklist(*all_truths[0].key, where=condition.replace("{}", "date '2024-07-02'"), lake=lake)
    assert len(asked) <= 3


def test_unknown_columns_scenarios_sets_and_pages_are_refused_by_name(truths):
    lake, all_truths = truths
    key = all_truths[0].key
    with pytest.raises(InvalidInputError, match=r"no column 'size' to sort by; choose from pid, colour"):
        cases.worklist(*key, sort="-size", lake=lake)
    with pytest.raises(NotFoundError, match=r"light of 'mowed'; there are: arable, catch crop, mown"):
        cases.worklist(*key, scenario="mowed", lake=lake)
    with pytest.raises(NotFoundError, match="no parcels of xx 2024"):
        cases.worklist("xx", 2024, lake=lake)
    with pytest.raises(InvalidInputError, match="no page"):
        cases.worklist(*key, lake=lake).page(-1)


def test_what_somebody_else_decides_is_in_the_next_worklist_also_where_it_is_filtered_or_sorted(truths):
    lake, all_truths = truths
    truth, other = all_truths[1], all_truths[0]
    undecided = "decision is null"
    before, elsewhere = cases.worklist(*truth.key, where=undecided, lake=lake), cases.worklist(*other.key, lake=lake)
    pid = before.page(3, 1)["pid"][0].as_py()
    judge(lake, judgement(truth.parcels, pid, "", "photo", datetime(2025, 1, 1, tzinfo=UTC), "ben", 9))
    after = cases.worklist(*truth.key, where=undecided, lake=lake)
    assert after.count().rows == before.count().rows - 1
    assert after.position(pid) is None
    latest = cases.worklist(*truth.key, sort="-decided", lake=lake).page(0, 1).to_pylist()[0]
    assert (latest["pid"], latest["decision"], latest["who"]) == (pid, "photo", "ben")
    assert cases.worklist(*other.key, lake=lake).page(0, 99).equals(elsewhere.page(0, 99))
    assert before.position(pid) == 3  # what was asked for before stays as it was
    assert cases.last_visit(*truth.key, who="ben", lake=lake) == datetime(2025, 1, 1, tzinfo=UTC)
    assert cases.last_visit(*other.key, who="ben", lake=lake) is None
    judge(
        lake, judgement(truth.parcels, pid, "", "withdrawn", datetime(2025, 1, 2, tzinfo=UTC), "ben", 10, withdraws=9)
    )
    assert cases.worklist(*truth.key, where=undecided, lake=lake).page(0, 99).equals(before.page(0, 99))


def test_a_new_night_and_a_new_crop_check_are_in_the_next_worklist(tmp_path):
    lake = Lake(str(tmp_path))
    truth = Truth(lake, ("ms", 2024, ""), 7)
    pid = cases.worklist(*truth.key, where="colour = 'green'", lake=lake).page()["pid"][0].as_py()
    row = {**truth.parcels.params, "kind": "light", "pid": pid, "scenario": "arable", "after": "red", "version": "x"}
    row |= {"before": truth.lights.get((pid, "arable")), "day": date(2024, 9, 1), "recorded": NIGHTS[-1]}
    lake.record_changes(truth.parcels, lambda: of(schemas.CHANGES, [row]))
    truth.lights[pid, "arable"] = "red"
    same(cases.worklist(*truth.key, lake=lake).page(), truth.frame(), ["pid", "colour", "scenario", "decision"])
    checked = {
        **truth.parcels.params,
        "version": "v",
        "run": "s",
        "day": date(2024, 9, 2),
        "part": part_of(truth.parcels),
    }
    checked |= {"pid": pid, "verdict": "disagrees", "reason": "x", "rank": 1}
    lake.put("checked_crops", of(schemas.CROP_CHECKS, [checked]), part_of(truth.parcels))
    rows = cases.worklist(*truth.key, where="crop_check is not null", lake=lake).page().to_pylist()
    assert [(row["pid"], row["crop_check"], row["crop_rank"]) for row in rows] == [(pid, "disagrees", 1)]


def test_results_of_foi_are_those_of_the_set_and_of_the_last_check(tmp_path):
    lake = Lake(str(tmp_path))
    for key in SETS:
        lake.add_parcels(*key, "v", parcels(["1", "2", "3", "4"], [("maize", "1")] * 4))

    def put(name, *flags):
        rows = {"id": ["1", "2", "3", "4"], "foi_h": [one[0] for one in flags], "foi_c": [one[1] for one in flags]}
        Store(lake.url).write(f"foi/{name}.parquet", pa.table(rows))

    def foi(*key):
        return cases.worklist(*key, sort="pid", lake=lake).page()["foi"].to_pylist()

    assert foi("ms", 2024) == [None] * 4
    put("ms_2024_foi_v1", (1, 1), (1, 1), (1, 1), (1, 1))
    assert foi("ms", 2024) == ["heterogeneous, several crops"] * 4
    put("ms_2024_negative_buffer_10_foi_v2", (0, 0), (1, 0), (0, 1), (None, 1))
    assert foi("ms", 2024) == ["one field", "heterogeneous", "several crops", None]
    put("ms_2024_m_foi_v2", (1, 0), (1, 0), (1, 0), (1, 0))
    assert foi("ms", 2024) == ["one field", "heterogeneous", "several crops", None]
    assert foi("ms", 2024, "m") == ["heterogeneous"] * 4
    assert foi("ms", 2023) == foi("be", 2024) == [None] * 4


@pytest.mark.parametrize("extension", [".csv", ".xlsx", ".parquet", ".gpkg", ".geojson"])
def test_a_selection_is_written_with_its_rows_in_order_and_its_geometries(truths, tmp_path, extension):
    lake, all_truths = truths
    truth = all_truths[3]
    listed = cases.worklist(*truth.key, where="area_ha > 1", sort="-area_ha", lake=lake)
    file = tmp_path / f"list{extension}"
    assert listed.export(file) == listed.count().rows > 5
    readers = {".csv": lambda path: pd.read_csv(path, dtype={"pid": str}), ".parquet": gpd.read_parquet}
    excel = {".xlsx": lambda path: pd.read_excel(path, dtype={"pid": str})}
    written = {**readers, **excel}.get(extension, gpd.read_file)(file)
    frame = listed.page(0, 1000).to_pandas()
    assert written["pid"].tolist() == frame["pid"].tolist()
    assert written["area_ha"].tolist() == pytest.approx(frame["area_ha"].tolist())
    assert written["colour"].fillna("").tolist() == frame["colour"].fillna("").tolist()
    assert set(frame.columns) <= set(written.columns)
    if extension in (".gpkg", ".parquet"):
        numbers = [truth.pids.index(pid) for pid in frame["pid"]]
        assert all(written.geometry.iloc[at].equals(outline(number)) for at, number in enumerate(numbers))
    assert "geometry" not in written.columns or extension not in (".csv", ".xlsx")


def test_a_format_that_there_is_not_is_refused(truths, tmp_path):
    lake, all_truths = truths
    with pytest.raises(InvalidInputError, match="cannot export"):
        cases.worklist(*all_truths[0].key, lake=lake).export(tmp_path / "list.doc")


def test_lights_are_judged_from_the_markers_where_no_night_recorded_them(tmp_path):
    from factories import fill

    lake = fill(Lake(str(tmp_path)), names=[f"S{number}" for number in range(9)], pids=("1", "2", "a/b"))
    assert cases.worklist("ms", 2024, lake=lake).page()["colour"].to_pylist() == [None] * 3
    markers.find("ms", 2024, lake=lake)
    judged = markers.traffic_light("ms", 2024, lake=lake).to_pandas()
    assert len(judged)
    judged["severity"] = judged["colour"].map(ORDER.index)
    worst = judged.sort_values(["severity", "scenario"]).groupby("pid").first()
    rows = cases.worklist("ms", 2024, lake=lake).page().to_pylist()
    assert {row["pid"]: (row["colour"], row["scenario"], row["reason"]) for row in rows if row["colour"]} == {
        pid: (row.colour, row.scenario, row.reason) for pid, row in worst.iterrows()
    }


def test_a_lake_as_of_a_moment_has_no_later_decisions(truths):
    lake, all_truths = truths
    truth = all_truths[2]
    moment = datetime.now(UTC)
    then = cases.worklist(*truth.key, lake=lake).page(0, 99)
    pid = cases.worklist(*truth.key, where="decision is null", lake=lake).page()["pid"][0].as_py()
    judge(lake, judgement(truth.parcels, pid, "", "refused", datetime.now(UTC), number=20))
    assert not cases.worklist(*truth.key, lake=lake).page(0, 99).equals(then)
    assert cases.worklist(*truth.key, lake=Lake(lake.url, moment)).page(0, 99).equals(then)
    judge(lake, judgement(truth.parcels, pid, "", "withdrawn", datetime.now(UTC), number=21, withdraws=20))


# -- other desks ------------------------------------------------------------------------------------------------------


def test_the_parcels_of_a_sample_are_listed_once_each_with_the_verdict_that_all_their_groups_have(truths, workspace):
    lake, all_truths = truths
    truth = all_truths[0]
    rows = [
        {
            "gsa_par_id": pid,
            "gsa_hol_id": f"H{number % 4}",
            "ua_grp_id": group,
            "covered": 1,
            "ranking": 2 * number + at,
        }
        for number, pid in enumerate(sorted(truth.pids))
        for at, group in enumerate(("BISS", "ES")[: 1 + (number % 3 > 0)])
    ]
    listed = workspace.root / "ranked.csv"
    pd.DataFrame(rows).to_csv(listed, index=False)
    qa.sample(str(listed), extraction_id="one")
    drawn = qa.verdicts("one", lake=lake).to_pandas()
    pids = list(dict.fromkeys(drawn.sort_values("order_added")["gsa_par_id"]))
    several = [pid for pid in pids if (drawn["gsa_par_id"] == pid).sum() > 1]
    first = next(pid for pid in pids if pid not in several)
    qa.inspect("one", first, "conforming", "fine", who="ann", lake=lake)
    bucket = drawn[drawn["gsa_par_id"] == several[-1]]["bucket_id"].iloc[0]
    qa.inspect("one", several[-1], "nonconforming", who="ben", bucket=bucket, lake=lake)  # in one of its groups only
    todo = cases.sample_worklist("one", *truth.key, lake=lake)
    table = todo.page(0, 1000).to_pandas()
    assert table["pid"].tolist() == pids
    assert table.set_index("pid")["decision"].dropna().to_dict() == {first: "conforming"}
    assert table.set_index("pid").loc[first, ["who", "note"]].tolist() == ["ann", "fine"]
    areas = truth.base.set_index("pid")["area_ha"]
    assert table["area_ha"].tolist() == [areas[pid] for pid in pids]
    buckets = {pid: ", ".join(sorted(set(rows["bucket_id"]))) for pid, rows in drawn.groupby("gsa_par_id")}
    assert table["bucket"].tolist() == [buckets[pid] for pid in pids]
    assert (todo.next_open(pids.index(first) - 1), todo.count().open) == (
        (pids.index(first) + 1) % len(pids),
        len(pids) - 1,
    )
    qa.inspect("one", several[-1], "conforming", who="ben", lake=lake)
    again = cases.sample_worklist("one", *truth.key, where="decision is not null", sort="-decided", lake=lake)
    assert again.page()["pid"].to_pylist() == [several[-1], first]
    with pytest.raises(NotFoundError, match="no sample 'two'"):
        cases.sample_worklist("two", *truth.key, lake=lake)


def test_cases_are_listed_by_how_they_stand_and_closed_ones_have_their_outcome(workspace):
    lake = Lake(workspace.lake_url)
    truth, other = (Truth(lake, key, seed) for seed, key in enumerate(SETS[:2]))
    now = datetime.now(UTC)

    def decision(parcels, number, status, at=1, **others):
        same = {**parcels.params, "case_id": f"{parcels.ptype}{number:04}", "pid": f"{number}", "scenario": "mown"}
        same |= {"number": at, "status": status, "who": f"w{at}", "note": "", "version": "x", "colour": "red"}
        decided = now + timedelta(minutes=number + 100 * at)
        return {**same, "decided": decided, "as_of": decided, "epsg": 32631, "geometry": outline(0).wkb, **others}

    rows = [decision(truth.parcels, number, "open") for number in range(8)]
    rows += [decision(other.parcels, 3, "open")]
    rows += [decision(truth.parcels, 2, "notified", 2, answer_by=date(2030, 5, 1))]
    rows += [decision(truth.parcels, 6, "notified", 2, answer_by=date(2030, 1, 1))]
    rows += [
        decision(truth.parcels, 1, "notified", 2, answer_by=date(2030, 1, 1)),
        decision(truth.parcels, 1, "answered", 3),
    ]
    rows += [decision(truth.parcels, 0, "closed", 2, outcome="conforming", note="fine")]
    lake.decide(lambda: of(schemas.DECISIONS, rows))
    todo = cases.case_worklist(*truth.key, lake=lake)
    table = todo.page().to_pylist()
    assert [row["pid"] for row in table] == ["3", "4", "5", "7", "1", "6", "2", "0"]
    assert [row["status"] for row in table] == ["open"] * 4 + ["answered", "notified", "notified", "closed"]
    assert [row["decision"] for row in table] == [None] * 7 + ["conforming"]
    assert (table[-1]["who"], table[-1]["note"]) == ("w2", "fine")
    assert todo.count() == cases.Count(8, 7)
    assert cases.case_worklist(*other.key, lake=lake).page()["case_id"].to_pylist() == ["m0003"]
    assert cases.case_worklist(*truth.key, where="status = 'open' and decision is null", lake=lake).count().rows == 4
    assert cases.case_worklist(*truth.key, scenario="arable", lake=lake).count().rows == 0


# -- on the command line ----------------------------------------------------------------------------------------------


def printed(*words):
    """The rows that a command prints."""
    done = CliRunner().invoke(app, ["worklist", *map(str, words), "--format", "json"], catch_exceptions=False)
    assert done.exit_code == 0
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.thorough
def test_the_commands_print_what_the_library_lists_and_write_the_same_rows(workspace, tmp_path):
    lake = Lake(workspace.lake_url)
    one, two = (Truth(lake, key, seed) for seed, key in enumerate(SETS[:2]))
    for truth in (one, two):
        key = ["--aoi", truth.key[0], "--year", truth.key[1], *(["--ptype", truth.key[2]] if truth.key[2] else [])]
        listed = cases.worklist(*truth.key, where="decision is null", sort="-area_ha", lake=lake).page(limit=1000)
        chosen = [*key, "--where", "decision is null", "--sort", "-area_ha"]
        assert [row["pid"] for row in printed("season", *chosen)] == listed["pid"].to_pylist()
        file = tmp_path / "todo.csv"
        done = CliRunner().invoke(app, ["worklist", "season", *map(str, chosen), "--to", str(file)])
        assert f"{listed.num_rows} rows written to" in " ".join(done.output.split())
        assert pd.read_csv(file, dtype={"pid": str})["pid"].tolist() == listed["pid"].to_pylist()
        visit = cases.last_visit(*truth.key, who="ann", lake=lake)
        for said, moment in (("visit", visit), (SINCE.isoformat(), SINCE)):
            rows = printed("season", *key, "--since", said, "--who", "ann")
            changed = cases.worklist(*truth.key, since=moment, lake=lake).page(limit=1000)["change"].to_pylist()
            assert [row["change"] for row in rows] == changed
        assert any(changed)
        assert printed("cases", *key) == []
