"""Worklists beside pandas: rows, order, filter, search, pages, decisions of others, files; several areas, years and sets."""

import math
from datetime import UTC, date, datetime, timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from factories import outline, parcels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbm_lake import cases, markers
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake, schemas
from cbm_lake.markers.finding import part_of
from cbm_lake.storage.store import Store

SETS = (("ms", 2024, ""), ("ms", 2024, "m"), ("ms", 2023, ""), ("be", 2024, ""))
SCENARIOS = ("mown", "catch crop", "arable")
COLOURS = (*markers.COLOURS, None)
ORDER = ["red", "yellow", "cannot be seen", "not yet due", "green"]
CROPS = ("maize", "Winter wheat", "grassland, temporary", None)
NIGHTS = [datetime(2024, month, 1, 3, tzinfo=UTC) for month in (6, 7, 8)]
SINCE = datetime(2024, 6, 15, tzinfo=UTC)


def of(schema, rows):
    return pa.Table.from_pylist(rows, schema=schema)


def declared(rng, count):
    """Parcels with crops and areas drawn, and pids that sort otherwise as text than as numbers."""
    pids = [str(number) for number in rng.choice(10_000, count, replace=False)]
    names = [CROPS[number] for number in rng.integers(0, len(CROPS), count)]
    rows = parcels(pids, [(name, f"c{number % 5}" if number % 7 else None) for number, name in enumerate(names)])
    place = rows.schema.get_field_index("area")
    return rows.set_column(place, rows.schema.field(place), pa.array(np.round(rng.lognormal(0, 1, count), 3)))


def record_lights(lake, parcels, rng, pids):
    """Lights of three nights, as changes; what of it holds at the end, and before the second night, by parcel and scenario."""
    present, past = {}, {}
    for number, night in enumerate(NIGHTS):
        rows = []
        for pid in pids:
            for scenario in SCENARIOS:
                after = COLOURS[rng.integers(len(COLOURS))]
                before = present.get((pid, scenario))
                if rng.random() < 0.5 or before == after:
                    continue
                present[pid, scenario] = after
                rows.append(
                    {
                        **parcels.params,
                        "kind": "light",
                        "pid": pid,
                        "scenario": scenario,
                        "before": before,
                        "after": after,
                        "reason": f"{after} of {scenario}",
                        "due": date(2024, 7, 1 + SCENARIOS.index(scenario)),
                        "day": night.date(),
                        "recorded": night,
                        "version": "x",
                    }
                )
            if number and rng.random() < 0.2:
                same = {**parcels.params, "kind": "marker", "pid": pid, "marker": "mowing", "number": 1}
                rows.append({**same, "after": "2024-06-12", "day": night.date(), "recorded": night, "version": "x"})
                present.setdefault("mowing", set()).add(pid)
        lake.record_changes(parcels, lambda rows=rows: of(schemas.CHANGES, rows))
        if number == 0:
            past = dict(present)
    return present, past


def judgement(parcels, pid, scenario, decision, decided, who="ann", number=1, **others):
    """A row of judgements."""
    same = {**parcels.params, "pid": pid, "scenario": scenario, "number": number, "decision": decision, "note": "n"}
    same |= {"who": who, "decided": decided, "as_of": decided, "parcels": parcels.version, "version": "x"}
    return {**same, **others}


def judge(lake, *rows):
    lake.add_judgements(lambda: of(schemas.JUDGEMENTS, list(rows)))


class Truth:
    """What a worklist must give, worked out by pandas alone."""

    def __init__(self, lake, key, seed):
        rng = np.random.default_rng(seed)
        table = declared(rng, 60)
        lake.add_parcels(*key, f"v{seed}", table)
        self.key, self.parcels = key, lake.parcel_set(*key)
        self.pids = table["id"].to_pylist()
        names = [name or code for name, code in zip(table["crop:name"].to_pylist(), table["crop:code"].to_pylist())]
        self.base = pd.DataFrame({"pid": self.pids, "crop": names, "area_ha": table["area"].to_pylist()})
        self.lights, self.past = record_lights(lake, self.parcels, rng, self.pids)
        self.mown = self.lights.pop("mowing", set())
        self.past.pop("mowing", None)
        self._check_crops(lake, rng)
        self._judge(lake, rng)

    def _check_crops(self, lake, rng):
        checked = [pid for pid in self.pids if rng.random() < 0.8]
        ranks = [int(rank) for rank in rng.permutation(len(checked)) + 1]
        verdicts = [("agrees", "disagrees", "cannot say")[number] for number in rng.integers(0, 3, len(checked))]
        same = {**self.parcels.params, "version": self.parcels.version, "run": "r", "day": date(2024, 9, 1)}
        part = part_of(self.parcels)
        rows = [
            {**same, "pid": pid, "verdict": verdict, "reason": "x", "rank": rank if rank % 4 else None, "part": part}
            for pid, rank, verdict in zip(checked, ranks, verdicts, strict=True)
        ]
        lake.put("checked_crops", of(schemas.CROP_CHECKS, rows), part)
        self.checks = {row["pid"]: (row["verdict"], row["rank"]) for row in rows}

    def _judge(self, lake, rng):
        self.judged, rows = {}, []
        for pid in self.pids:
            for scenario in ("", *SCENARIOS):
                if rng.random() < 0.25:
                    decided = datetime(2024, 9, 1, tzinfo=UTC) + timedelta(seconds=int(rng.integers(10**6)))
                    decision = ("confirmed", "refused", "photo", "undecidable")[rng.integers(4)]
                    colour = COLOURS[rng.integers(len(COLOURS))]
                    rows.append(judgement(self.parcels, pid, scenario, decision, decided, colour=colour))
                    self.judged[pid, scenario] = rows[-1]
        judge(lake, *rows)

    def frame(self, scenario=None, since=None):
        """All rows in the order of the desk."""
        rows = [
            row for row in (self.row(pid, scenario, since) for pid in self.pids) if scenario is None or row["colour"]
        ]
        frame = pd.DataFrame(rows).merge(self.base, on="pid")
        frame["severity"] = [ORDER.index(colour) if colour else 9 for colour in frame["colour"]]
        frame = frame.sort_values(["severity", "crop_rank", "pid"], na_position="last", kind="stable")
        return frame.drop(columns="severity").reset_index(drop=True)

    def row(self, pid, scenario, since):
        own = [(ORDER.index(self.lights[pid, name]), name) for name in SCENARIOS if self.lights.get((pid, name))]
        own = [one for one in own if scenario in (None, one[1])]
        colour, name = (ORDER[min(own)[0]], min(own)[1]) if own else (None, None)
        verdict, rank = self.checks.get(pid, (None, None))
        candidates = [self.judged.get((pid, at)) for at in {"", name or ""}]
        standing = max((row for row in candidates if row), key=lambda row: row["decided"], default=None)
        return {
            "pid": pid,
            "colour": colour,
            "scenario": name,
            "reason": f"{colour} of {name}" if colour else None,
            "crop_check": verdict,
            "crop_rank": math.nan if rank is None else rank,
            "change": self.change(pid, name, scenario) if since else None,
            "decision": standing and standing["decision"],
            "decided": standing and standing["decided"],
            "outdated": "light" if standing and standing["colour"] != colour else None,
        }

    def change(self, pid, name, scenario):
        texts = []
        for other in sorted(SCENARIOS, key=lambda other: (other != name, other)):
            then, now = self.past.get((pid, other)), self.lights.get((pid, other))
            if then != now and scenario in (None, other):
                text = f"{then or 'none'} → {now or 'none'}"
                texts.append(text if other == name else f"{other}: {text}")
        texts += ["mowing"] if pid in self.mown else []
        return "; ".join(texts) or None


@pytest.fixture(scope="module")
def truths(tmp_path_factory):
    lake = Lake(str(tmp_path_factory.mktemp("listed")))
    return lake, [Truth(lake, key, seed) for seed, key in enumerate(SETS)]


def same(table, frame, columns=None):
    """Whether a worklist has the rows of a frame in its order."""
    columns = columns or [name for name in frame.columns if name in table.column_names]
    seen = table.select(columns).to_pylist()
    known = [
        {name: None if value is None or value != value else value for name, value in row.items()}
        for row in frame[columns].to_dict("records")
    ]
    for row in known:
        row |= {"crop_rank": row["crop_rank"] and int(row["crop_rank"])} if "crop_rank" in row else {}
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
        ("crop::integer = 3", "Conversion"),
        ("/* never closed", "."),
        ("'" + "x" * 30_000 + "' = pid", "characters"),
    ],
)
def test_what_is_no_condition_is_refused_by_name(truths, where, message):
    lake, all_truths = truths
    with pytest.raises(InvalidInputError, match=message):
        cases.worklist(*all_truths[0].key, where=where, lake=lake).page()


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
