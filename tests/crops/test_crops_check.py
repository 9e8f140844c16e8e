"""The crop check on the lake: verdicts, records, days; with a model whose answers are known."""

import json
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from unittest import mock

import crops_lake
import factories
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import stand_in

from cbm_lake import crops
from cbm_lake.crops import asking, checking, clearing, recording, verification
from cbm_lake.crops.verification import recompute
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake, open_lake, schemas
from cbm_lake.lake.snapshots import Snapshots
from cbm_lake.parcels import hcat

pytestmark = pytest.mark.thorough


WRONG = (4, 9)
PARCELS = 24
LAST = crops_lake.moment(crops_lake.SCENES - 1).date()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Parcels, of which 4 and 9 declare what does not grow there."""
    return crops_lake.fill(Lake(str(tmp_path_factory.mktemp("crops"))), wrong=WRONG)


@pytest.fixture
def filled(prepared, lake):
    """The workspace's lake, a copy of it."""
    return factories.copied(prepared, lake)


@pytest.fixture(autouse=True)
def simple(monkeypatch):
    """The simple model."""
    monkeypatch.setattr(checking, "judge", stand_in.judge)
    monkeypatch.setattr(clearing, "judge_by_day", stand_in.judge_by_day)


def undecided(judged):
    """The same without any verdict."""
    return replace(judged, verdict=np.full(len(judged.verdict), "cannot say", object))


def by_pid(rows):
    return {row["pid"]: row for row in rows.to_pylist()}


def test_the_least_likely_declarations_are_first_in_the_list(filled):
    rows = crops.check("ms", 2024, lake=filled)
    assert rows.num_rows == PARCELS
    assert set(rows["pid"].to_pylist()[:2]) == {crops_lake.pid(number) for number in WRONG}
    assert rows["rank"].to_pylist() == list(range(1, PARCELS + 1))
    assert rows["verdict"].to_pylist() == ["disagrees"] * 2 + ["agrees"] * (PARCELS - 2)
    assert set(rows["day"].to_pylist()) == {LAST}


def test_the_lake_has_what_was_returned_and_names_its_run(filled):
    rows = crops.check("ms", 2024, lake=filled)
    stored = filled.sql("select * from crop_checks order by rank")
    assert stored.select(rows.column_names).to_pylist() == rows.to_pylist()
    (run,) = filled.sql("select * from crop_runs").to_pylist()
    assert set(rows["run"].to_pylist()) == {run["run"]}
    assert (run["aoi"], run["year"], run["ptype"], run["alpha"]) == ("ms", 2024, "", 0.05)


def test_the_run_records_settings_data_libraries_and_figures(filled):
    crops.check("ms", 2024, alpha="10 %", seed=7, lake=filled)
    (run,) = filled.sql("select * from crop_runs").to_pylist()
    settings, snapshot = json.loads(run["settings"]), json.loads(run["snapshot"])
    assert (settings["alpha"], settings["seed"], run["alpha"]) == (0.1, 7, 0.1)
    assert snapshot["tables"]["signatures_s2"] == dict(filled.snapshot().versions)["signatures_s2"]
    assert len(snapshot["features"]) == len(snapshot["verdicts"]) == 64
    assert {"duckdb", "numpy", "scikit-learn"} <= json.loads(run["libraries"]).keys()
    figures = json.loads(run["figures"])
    assert figures["accuracy"] == pytest.approx((PARCELS - 2) / PARCELS)
    assert figures["nothing"] is None
    assert figures["verdicts"] == {"agrees": PARCELS - 2, "disagrees": 2}
    assert figures["by_day"][-1]["day"] == str(LAST)


def test_a_second_check_replaces_the_verdicts_and_keeps_both_runs(filled):
    first = crops.check("ms", 2024, lake=filled)
    second = crops.check("ms", 2024, seed=1, lake=filled)
    assert filled.sql("select distinct run from crop_checks").to_pylist() == [{"run": second["run"][0].as_py()}]
    listed = crops.runs("ms", 2024, lake=filled)
    assert listed["run"].to_pylist() == [second["run"][0].as_py(), first["run"][0].as_py()]
    assert listed["verdicts"].to_pylist() == [PARCELS, 0]


def test_another_parcel_set_keeps_its_verdicts(filled):
    filled.add_parcels("ms", 2024, "other", "v9", factories.parcels())
    other = factories.parcel_set(ptype="other", version="v9")
    rows = [factories.signature(pid, "S9", crops_lake.moment(9), ptype="other") for pid in sorted(factories.PIDS)]
    factories.write(filled, factories.signatures(*rows), other, "S9")
    crops.check("ms", 2024, lake=filled)
    crops.check("ms", 2024, "other", lake=filled)
    counts = filled.sql("select ptype, count(*) as n from crop_checks group by all order by all").to_pylist()
    assert counts == [{"ptype": "", "n": PARCELS}, {"ptype": "other", "n": 3}]


def test_since_is_the_first_tried_day_from_which_the_verdict_was_the_same(filled):
    rows = by_pid(crops.check("ms", 2024, lake=filled))
    season = checking.reading.read(
        filled,
        filled.parcel_set("ms", 2024),
        checking.declarations.read(filled, filled.parcel_set("ms", 2024)),
        checking.Calendar.until(2024, LAST),
        checking.read_parameters(None).clear,
    ).season
    days = clearing.tried(season, int(season.days[-1]) + 4)
    verdicts = {
        day: dict(zip(season.pids.to_pylist(), stand_in.judge(season.until(day)).verdict, strict=True)) for day in days
    }
    for pid, row in rows.items():
        same = [day for day in days if all(verdicts[later][pid] == row["verdict"] for later in days if later >= day)]
        expected = date.fromordinal(date(1970, 1, 1).toordinal() + min(same))
        assert row["since"] == min(expected, row["day"]), pid


def test_what_was_not_seen_has_no_rank_no_p_value_and_no_day(lake):
    crops_lake.fill(lake, 6, radar=False, cloudy=lambda number, _: number == 3)
    row = by_pid(crops.check("ms", 2024, lake=lake))[crops_lake.pid(3)]
    assert row["verdict"] == "cannot say"
    assert [row[name] for name in ("rank", "p_value", "since", "fold", "crop_group")] == [None] * 5
    assert row["likely"] == []


def test_without_days_no_since_is_worked_out(filled):
    rows = crops.check("ms", 2024, since=False, lake=filled)
    assert rows["since"].null_count == PARCELS


def test_days_are_worked_out_unasked_for_small_sets_only(filled, monkeypatch):
    monkeypatch.setattr(checking, "_MOST_BY_DAY", PARCELS - 1)
    assert crops.check("ms", 2024, lake=filled)["since"].null_count == PARCELS
    assert crops.check("ms", 2024, since=True, lake=filled)["since"].null_count == 0


def test_only_what_was_seen_until_the_day_counts(filled):
    rows = crops.check("ms", 2024, day="2024-05-31", lake=filled)
    assert set(rows["day"].to_pylist()) == {date(2024, 5, 31)}
    assert pc.max(rows["since"]).as_py() <= date(2024, 5, 31)


def test_the_days_of_the_season_say_how_good_a_check_would_have_been(filled):
    rows = crops.by_day("ms", 2024, days=["2024-04-30", "2024-06-30"], lake=filled)
    assert rows["day"].to_pylist() == [date(2024, 4, 30), date(2024, 6, 30)]
    assert rows["accuracy"][1].as_py() == pytest.approx((PARCELS - 2) / PARCELS)
    assert rows["undecided"].to_pylist() == [0, 0]
    assert not filled.sql("from crop_runs").num_rows


def test_a_day_in_the_middle_of_a_step_is_told_nothing_that_was_seen_after_it(filled, monkeypatch):
    lasts = []

    def looked(season, settings, days):
        for day in days:
            lasts.append(int(season.until(day).days[-1]))
            yield day, stand_in.judge(season.until(day), settings)

    monkeypatch.setattr(clearing, "judge_by_day", looked)
    days = [date(2024, 5, 28), date(2024, 5, 29), date(2024, 6, 6), LAST]  # a step is from 28 May to 6 June
    assert crops.by_day("ms", 2024, days=days, lake=filled)["day"].to_pylist() == days
    lasts = [date(1970, 1, 1) + timedelta(last) for last in lasts]
    assert lasts[:3] == [date(2024, 5, 23), date(2024, 5, 23), date(2024, 6, 2)]  # middles of steps that have ended
    assert lasts[3] == LAST


def test_each_day_has_to_be_in_the_season(filled):
    with pytest.raises(InvalidInputError, match="the season of 2024 begins on 2023-10-01"):
        crops.by_day("ms", 2024, days=["2022-05-01", "2024-06-30"], lake=filled)


def test_what_counts_as_seen_is_as_the_parameters_of_markers_say_and_is_repeated_so(filled):
    crops.check("ms", 2024, since=False, lake=filled)
    crops.check("ms", 2024, since=False, parameters={"clear": {"brightest": 900}}, lake=filled)  # bare soil is brighter
    own, default = crops.runs("ms", 2024, lake=filled).to_pylist()
    assert [json.loads(run["settings"])["clear"]["brightest"] for run in (own, default)] == [900, 3500]
    assert json.loads(own["snapshot"])["features"] != json.loads(default["snapshot"])["features"]
    assert recompute(filled, "ms", 2024, None, own["run"]) == []


def test_the_days_are_months_where_none_are_named(filled):
    days = crops.by_day("ms", 2024, lake=filled)["day"].to_pylist()
    assert days[-1] == LAST
    assert {(later - day).days for day, later in pairwise(days[:-1])} == {30}


@pytest.mark.parametrize(
    ("alpha", "share"),
    [(0.05, 0.05), ("5%", 0.05), ("5 %", 0.05), ("0.05", 0.05), ("2,5 %", 0.025), (" 10% ", 0.1), ("50%", 0.5)],
)
def test_a_promise_is_a_share_or_percent(alpha, share):
    assert asking.share_of(alpha) == pytest.approx(share)


@pytest.mark.parametrize("alpha", [0, -0.1, 0.6, 1, 5, "5", "0%", "60%", "five", "", "5%%", "-5%", "nan", float("nan")])
def test_other_promises_are_refused_in_plain_words(alpha):
    with pytest.raises(InvalidInputError, match=r"the promised error \(alpha\) is a share"):
        asking.share_of(alpha)


def test_a_bare_five_is_asked_whether_it_is_percent():
    with pytest.raises(InvalidInputError, match="write 5%"):
        asking.share_of("5")


def test_groups_are_read_from_a_file_as_texts(tmp_path):
    file = tmp_path / "groups.yaml"
    file.write_text("0115: cereals\n411: maize\n")
    assert asking.settings(0.05, file, 0, {"size_limits_m2": "5000,20000"}).size_limits_m2 == (5000, 20000)
    assert asking.settings(0.05, file, 0, None).groups == {"0115": "cereals", "411": "maize"}
    file.write_text("- a\n")
    with pytest.raises(InvalidInputError, match="groups are pairs of texts"):
        asking.settings(0.05, file, 0, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aoi": "nowhere"}, "no parcels of nowhere 2024"),
        ({"year": 2023}, "no parcels of ms 2023"),
        ({"day": "2023-09-01"}, "the season of 2024 begins on 2023-10-01"),
        ({"day": "2199-01-01"}, "2199-01-01 has not come yet"),
        ({"day": "soon"}, "'soon' is no day"),
        ({"day": "2024-01-15"}, "nothing was extracted over ms 2024 from 2023-10-01 to 2024-01-15"),
        ({"alpha": "5"}, "write 5%"),
        ({"by": "colour"}, "no column of crops"),
        ({"settings": {"fold": 3}}, "there is no setting 'fold' of a crop check; did you mean 'folds'"),
        ({"settings": {"alpha": 0.1}}, "alpha is no further setting"),
        ({"settings": {"seed": 3}}, "seed is no further setting"),
        ({"settings": {"size_limits_m2": "a,b"}}, "size_limits_m2"),
        ({"groups": "nowhere.yaml"}, "there is no file nowhere.yaml of groups of crops"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_checked_is_said_in_a_plain_line(filled, options, message):
    with pytest.raises((InvalidInputError, NotFoundError), match=message):
        crops.check(**({"aoi": "ms", "year": 2024, "lake": filled} | options))
    assert not filled.sql("from crop_runs").num_rows


def test_parcels_without_any_signature_are_refused(lake):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    with pytest.raises(NotFoundError, match="nothing was extracted over ms 2024; extract Sentinel-2 first"):
        crops.check("ms", 2024, lake=lake)


def test_what_is_missing_is_said(lake, caplog):
    crops_lake.fill(lake, 6, radar=False)
    crops.check("ms", 2024, lake=lake)
    assert "ms 2024 is judged without B02, B03" in caplog.text
    assert "Sentinel-1 backscatter" in caplog.text


def test_crops_in_hcat_are_named_in_words(lake):
    crops_lake.fill(lake, 8, radar=False)
    codes = ["3301010101", "3301090400"]
    rows = factories.parcels([crops_lake.pid(n) for n in range(8)], crops_lake.declared(8))
    for name in ("hcat:code", "hcat:name"):
        if name in rows.column_names:
            rows = rows.drop_columns([name])
    rows = rows.append_column("hcat:code", pa.array([codes[n % 2] for n in range(8)]))
    rows = rows.append_column("hcat:name", pa.array([None] * 8, pa.string()))
    lake.add_parcels("ms", 2024, "", "v1_hcat", rows)
    checked = crops.check("ms", 2024, lake=lake)
    assert set(checked["hcat"].to_pylist()) == set(codes)
    names = {hcat.names()[code].replace("_", " ") for code in codes}
    assert set(checked["crop_group"].to_pylist()) == names
    assert {name for names in checked["likely"].to_pylist() for name in names} == names


def test_codes_in_sentences_become_words():
    assert hcat.in_words("like 3301010101, not 3399999999") == "like winter common soft wheat, not 3399999999"


# -- records ----------------------------------------------------------------------------------------------------------


def test_a_check_that_is_stopped_between_its_two_writes_leaves_no_verdict_without_its_run(filled):
    first = crops.check("ms", 2024, lake=filled)
    with mock.patch.object(Lake, "put", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        crops.check("ms", 2024, seed=1, lake=filled)
    runs = set(filled.sql("select run from crop_runs")["run"].to_pylist())
    assert len(runs) == 2
    assert set(filled.sql("select run from crop_checks")["run"].to_pylist()) == {first["run"][0].as_py()}
    assert crops.ranked("ms", 2024, lake=filled)["run"][0] == first["run"][0]


_KILLED = """
    import os, sys
    sys.path[:0] = {paths!r}
    import stand_in
    from cbm_lake import crops
    from cbm_lake.crops import checking, clearing
    from cbm_lake.lake import Lake
    checking.judge, clearing.judge_by_day = stand_in.judge, stand_in.judge_by_day
    Lake.put = lambda *_, **__: os._exit(9)
    crops.check("ms", 2024, seed=1)
"""


def test_a_killed_process_leaves_the_verdicts_of_before(filled):
    first = crops.check("ms", 2024, lake=filled)
    code = textwrap.dedent(_KILLED.format(paths=sys.path))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    stored = open_lake().sql("select distinct run from crop_checks").to_pylist()
    assert stored == [{"run": first["run"][0].as_py()}]


def test_a_reader_between_two_checks_sees_each_verdict_with_its_run(filled):
    joined = "select count(*) as n from crop_checks anti join crop_runs using (run)"
    crops.check("ms", 2024, lake=filled)
    before = Lake(filled.url)
    put = Lake.put

    def looked(lake, name, *args, **kwargs):
        put(lake, name, *args, **kwargs)
        assert before.sql(joined).to_pylist() == [{"n": 0}]

    with mock.patch.object(Lake, "put", looked):
        crops.check("ms", 2024, seed=1, lake=filled)


def test_of_two_writers_the_later_ones_verdicts_stay_whole(filled):
    put, other = Lake.put, []

    def late(lake, name, *args, **kwargs):
        if not other:
            other.append(None)
            other[0] = crops.check("ms", 2024, seed=5, lake=lake)
        put(lake, name, *args, **kwargs)

    with mock.patch.object(Lake, "put", late):
        mine = crops.check("ms", 2024, seed=1, lake=filled)
    runs = filled.sql("select run, count(*) as n from crop_checks group by run").to_pylist()
    assert runs == [{"run": mine["run"][0].as_py(), "n": PARCELS}]
    assert filled.sql("select count(*) as n from crop_runs").to_pylist() == [{"n": 2}]


def test_who_writes_while_the_lake_is_read_makes_it_be_read_again(filled):
    read, times = checking.reading.read, []

    def meddled(lake, *args):
        times.append(None)
        result = read(lake, *args)
        if len(times) == 1:
            factories.write(lake, crops_lake.by_pid([crops_lake.optical(1, 0)]), None, "S0", attempt=1)
        return result

    with mock.patch.object(checking.reading, "read", meddled):
        crops.check("ms", 2024, since=False, lake=filled)
    assert len(times) == 2


def test_who_goes_on_writing_is_waited_for_in_vain(filled):
    read, times = checking.reading.read, []

    def meddled(lake, *args):
        times.append(None)
        result = read(lake, *args)
        factories.write(lake, crops_lake.by_pid([crops_lake.optical(1, 0)]), None, "S0", attempt=len(times))
        return result

    with (
        mock.patch.object(checking.reading, "read", meddled),
        pytest.raises(SourceError, match="others went on writing"),
    ):
        crops.check("ms", 2024, since=False, lake=filled)


# -- repeated ---------------------------------------------------------------------------------------------------------


def test_a_check_is_repeated_by_the_lake_as_it_was_then(filled):
    run = crops.check("ms", 2024, alpha=0.1, seed=3, lake=filled)["run"][0].as_py()
    assert recompute(filled, "ms", 2024, None, run, since=True) == []
    factories.write(filled, crops_lake.by_pid([crops_lake.optical(1, 0)]), None, "S0", attempt=1)
    assert recompute(filled, "ms", 2024, None, run) == []
    crops.check("ms", 2024, seed=4, lake=filled)
    assert recompute(filled, "ms", 2024, None, run) == []


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("verdict", "agrees", r"the verdicts in the lake differ: \S+ agrees, repeated: disagrees"),
        ("rank", 24, "the verdicts in the lake differ"),
        ("likely", ["9"], "the verdicts in the lake differ"),
        ("crop_group", "9", "the verdicts in the lake differ"),
        ("p_value", 0.5, "the verdicts in the lake differ"),
        ("probability", [0.1], "the verdicts in the lake differ"),
        ("reason", "by sight", "the verdicts in the lake differ"),
        ("since", date(2024, 4, 1), "the verdicts in the lake differ"),
        ("pid", "x", r"the verdicts in the lake differ: \S+ has none, repeated: disagrees, x was not checked"),
    ],
)
def test_a_forged_verdict_is_detected(filled, column, value, message):
    rows = crops.check("ms", 2024, lake=filled)
    forged = rows.to_pylist()
    forged[0][column] = value
    schema = pa.schema([field for field in schemas.CROP_CHECKS if field.name not in ("part", "sequence")])
    part = recording.part_of(filled.parcel_set("ms", 2024))
    filled.put("checked_crops", recording.numbered(pa.Table.from_pylist(forged, schema=schema), part), part)
    *others, difference = recompute(filled, "ms", 2024, None, rows["run"][0].as_py(), since=column == "since")
    assert others == ([] if column == "since" else [verification.CHANGED])
    assert pc.match_substring_regex(pa.array([difference]), message)[0].as_py()


def test_a_model_that_answers_otherwise_is_told(filled, monkeypatch):
    run = crops.check("ms", 2024, since=False, lake=filled)["run"][0].as_py()
    monkeypatch.setattr(checking, "judge", lambda season, _: undecided(stand_in.judge(season)))
    differences = recompute(filled, "ms", 2024, None, run)
    assert differences[0] == "the verdicts are not those that the check recorded"


def test_a_check_that_there_is_not_is_said(filled):
    with pytest.raises(NotFoundError, match="there is no crop check x of ms 2024"):
        recompute(filled, "ms", 2024, None, "x")


# -- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_has_what_was_declared_and_can_be_narrowed(filled):
    crops.check("ms", 2024, lake=filled)
    rows = crops.ranked("ms", 2024, verdict="disagrees", lake=filled)
    assert {(row["pid"], row["crop_name"], row["likely"]) for row in rows.to_pylist()} == {
        (crops_lake.pid(4), "wheat", "maize 0.90"),
        (crops_lake.pid(9), "maize", "wheat 0.90"),
    }
    assert crops.ranked("ms", 2024, crop_group="maize", lake=filled).num_rows == PARCELS / 2


def test_a_list_of_parcels_that_were_never_checked_is_refused(filled):
    with pytest.raises(NotFoundError, match="the crops of ms 2024 were never checked"):
        crops.ranked("ms", 2024, lake=filled)
    with pytest.raises(InvalidInputError, match="no verdict 'maybe'; choose disagrees, agrees, cannot say"):
        crops.ranked("ms", 2024, verdict="maybe", lake=filled)


def test_a_list_of_other_parcels_than_those_that_were_checked_is_warned_of(filled, caplog):
    crops.check("ms", 2024, lake=filled)
    pids = [crops_lake.pid(number) for number in range(PARCELS)]
    filled.add_parcels("ms", 2024, "", "v1_b", factories.parcels(pids, crops_lake.declared(PARCELS)))
    crops.ranked("ms", 2024, lake=filled)
    assert "the parcels of ms 2024 are others than those that were checked" in caplog.text


@pytest.mark.parametrize("ending", ["gpkg", "parquet", "csv", "xlsx", "geojson", "fgb"])
def test_the_list_is_written_for_other_tools(filled, tmp_path, ending):
    crops.check("ms", 2024, lake=filled)
    key = filled.parcel_set("ms", 2024).params
    path = tmp_path / f"list.{ending}"
    assert filled.export("crops.ranked", path, **key, verdict=None, crop_group=None) == PARCELS
    assert path.stat().st_size


def test_verdicts_are_read_before_the_checks_that_they_name(filled):
    crops.check("ms", 2024, since=False, lake=filled)
    renew, order = Snapshots._renew, []

    def noted(snapshots, name):
        order.append(name)
        renew(snapshots, name)

    with mock.patch.object(Snapshots, "_renew", noted):
        Lake(filled.url).snapshot()
    assert order.index("checked_crops") < order.index("checks_of_crops")
