"""The offset guard: scenes put wrong are found, others are not, and suspects count for nothing until cleared."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from factories import entry, parcel_set, parcels, scene, scenes, signatures
from typer.testing import CliRunner

from cbm_lake import cards, guard
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import open_lake

sys.path.insert(0, str(Path(__file__).parent.parent))  # benchmarks are no part of what is installed

from benchmarks import guard as truth

pytestmark = pytest.mark.thorough


runner = CliRunner()
BANDS = {
    "B02": (900, 300),
    "B04": (1500, 350),
    "B05": (1700, 900),
    "B08": (2100, 4200),
    "B11": (2900, 1900),
    "B12": (2400, 1000),
}
"""DN of soil and of plants."""
START = datetime(2024, 3, 1, 10, 40, tzinfo=UTC)
DATES = 12


def season(lake, wrong, count=40, haze=(), clouds=()):
    """Dates over parcels that green and are harvested; `wrong` says by how many DN which bands of a date are off."""
    rng = np.random.default_rng(1)
    pids = [f"{number:03}" for number in range(count)]
    lake.add_parcels("ms", 2024, "", "v1", parcels(pids, [("wheat", "1")] * count))
    lake.add_scenes(scenes(*(scene(f"S{n:02}", START + timedelta(days=10 * n)) for n in range(DATES))))
    peak = rng.normal(60, 25, count)
    for number in range(DATES):
        green = np.exp(-(((10 * number - peak) / 40) ** 2))
        rows = []
        for place, pid in enumerate(pids):
            clouded = number in clouds and place % 2 == 0
            row = {f"scl_{value}": 30 if value == (9 if clouded else 4) else 0 for value in cards.CLASSES}
            for band, (soil, plant) in BANDS.items():
                mean = soil + (plant - soil) * green[place] + rng.normal(0, 50) + (5000 if clouded else 0)
                mean += {"B02": 900, "B04": 700, "B05": 500, "B08": 350}.get(band, 60) if number in haze else 0
                mean += wrong.get(number, {}).get(band, 0)
                values = (100, mean, 20, mean - 200, mean + 200, mean - 20, mean, mean + 20)
                row |= {f"{band}_{key}": value for key, value in zip(cards.statistics.STORED, values, strict=True)}
            known = {"pid": pid, "scene": f"S{number:02}", "obstime": START + timedelta(days=10 * number)}
            rows.append({"aoi": "ms", "year": 2024, "ptype": "", "reference": "", "rule": "centre", **known, **row})
        done = entry(f"S{number:02}")
        table = signatures(*({**row, "extraction": done["extraction"]} for row in rows))
        lake.write_signatures("s2", table, done["extraction"])
        lake.record(done)
    return lake


def found(lake, **options):
    rows = guard.scenes("ms", 2024, lake=lake, **options).to_pylist()
    return {row["scene"]: row for row in rows if row["verdict"] == "suspect"}


@pytest.mark.parametrize("shift", [1000, pytest.param(-1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("bands", [tuple(BANDS), ("B02", "B04", "B08"), ("B05", "B11", "B12")])
@pytest.mark.parametrize("numbers", [(4, 5), (0, 11)])
def test_each_fault_of_each_set_of_bands_is_found_and_nothing_else(workspace, shift, bands, numbers):
    lake = season(open_lake(), {number: dict.fromkeys(bands, shift) for number in numbers}, haze=(8,), clouds=(2, 10))
    told = found(lake, mark=False)
    assert sorted(told) == [f"S{number:02}" for number in numbers]
    for row in told.values():
        assert row["shift"] == pytest.approx(shift, abs=350)
        assert ("not removed" in row["kind"]) == (shift > 0)


def test_haze_and_a_season_as_it_should_be_alarm_nobody(workspace):
    lake = season(open_lake(), {}, haze=(2, 3, 7), clouds=(1, 5, 8))
    assert found(lake) == {}
    assert guard.suspects(lake=lake).num_rows == 0


def test_shifts_are_the_medians_of_a_calculation_by_hand(workspace):
    lake = season(open_lake(), {5: dict.fromkeys(BANDS, 1000)})
    rows = lake.sql("select pid, obstime, scene, B04_mean from s2").to_pandas()
    table = rows.pivot_table(index="obstime", columns="pid", values="B04_mean")
    expected = (table.iloc[5] - table.iloc[[3, 4, 6, 7]].median()).median()
    row = next(row for row in guard.scenes("ms", 2024, mark=False, lake=lake).to_pylist() if row["scene"] == "S05")
    assert f"B04 {expected:+.0f}" in row["reason"]


def test_with_few_parcels_nothing_is_said(workspace):
    lake = season(open_lake(), {5: dict.fromkeys(BANDS, 1000)}, count=6)
    rows = guard.scenes("ms", 2024, lake=lake).to_pylist()
    assert {row["verdict"] for row in rows} == {"undecided"}
    assert "only 6 parcels" in rows[0]["reason"]


def test_suspects_count_for_nothing_until_somebody_clears_them(workspace):
    lake = season(open_lake(), {5: dict.fromkeys(BANDS, 1000)})
    before = lake.sql("select count(*) as n from s2")["n"][0].as_py()
    key = {"aoi": "ms", "year": 2024, "ptype": "", "pid": "001"}
    assert lake.query("time_series.s2", **key, bands=None).num_rows == DATES * len(BANDS)
    moment = datetime.now(UTC)
    assert set(found(lake)) == {"S05"}
    assert lake.sql("select count(*) as n from s2")["n"][0].as_py() == before - 40
    assert lake.query("time_series.s2", **key, bands=None).num_rows == (DATES - 1) * len(BANDS)
    assert lake.sql("select id from scenes where suspect is not null")["id"].to_pylist() == ["S05"]
    assert open_lake(as_of=moment.isoformat()).sql("select count(*) as n from s2")["n"][0].as_py() == before
    assert set(found(lake)) == {"S05"}  # again, and it is marked once
    assert guard.suspects(lake=lake).num_rows == 1
    lake.compact()
    guard.clear("S05", "looked at it, it is snow", lake=lake)
    assert lake.sql("select count(*) as n from s2")["n"][0].as_py() == before
    with pytest.raises(NotFoundError, match="is not marked"):
        guard.clear("S05", "again", lake=lake)
    with pytest.raises(InvalidInputError, match="say why"):
        guard.clear("S05", " ", lake=lake)


def test_a_scene_that_is_excepted_is_suspect_but_not_marked(workspace):
    lake = season(open_lake(), {3: dict.fromkeys(BANDS, 1000), 8: dict.fromkeys(BANDS, 1000)})
    assert sorted(found(lake, but=["S03"])) == ["S03", "S08"]
    assert guard.suspects(lake=lake)["scene"].to_pylist() == ["S08"]


def test_the_past_is_not_marked_and_an_empty_area_is_told(workspace):
    lake = season(open_lake(), {5: dict.fromkeys(BANDS, 1000)})
    with pytest.raises(InvalidInputError, match="as it was"):
        guard.scenes("ms", 2024, lake=open_lake(as_of=datetime.now(UTC).isoformat()))
    lake.add_parcels("be", 2024, "", "v1", parcels())
    lake.add_parcels("be", 2025, "", "v1", parcels([], []))
    with pytest.raises(NotFoundError, match="no scene of Sentinel-2 was extracted over be 2025"):
        guard.scenes("be", 2025, lake=lake)
    with pytest.raises(NotFoundError, match="no scene of Sentinel-2 was extracted over be 2024"):
        guard.scenes("be", 2024, lake=lake)


def test_the_commands_check_list_and_clear(workspace):
    season(open_lake(), {5: dict.fromkeys(BANDS, -1000)})
    answer = runner.invoke(app, ["guard", "check", "--aoi", "ms", "--year", "2024"])
    assert answer.exit_code == 1, answer.output
    assert "S05" in answer.output
    assert "S05" in runner.invoke(app, ["guard", "list"]).output
    assert runner.invoke(app, ["guard", "clear", "S05", "--reason", "seen"]).exit_code == 0
    assert isinstance(guard.suspects(), pa.Table)
    assert guard.suspects().num_rows == 0


def test_parcels_with_other_versions_do_not_disturb(workspace):
    lake = season(open_lake(), {})
    assert parcel_set().version == "v1"
    lake.add_parcels("ms", 2024, "", "v2", parcels(["000"], [("maize", "2")]))
    assert found(lake, mark=False) == {}


@pytest.mark.slow
@pytest.mark.parametrize("shift", [1000, -1000])
def test_faults_in_the_season_of_real_meadows_are_found_and_nobody_is_alarmed(shift, realdata, workspace):
    folder = realdata / "timeseries" / "gmd_mowing" / "CH_poly"
    if not folder.is_dir():
        pytest.skip("no Swiss meadows among the real data")
    days = truth.read(folder, 2020)
    wrong = dict.fromkeys(("2020-04-06", "2020-05-21", "2020-07-20", "2020-09-13"), shift)
    assert all((days[days["mask"] == 1].Date == day).sum() >= 10 for day in wrong)
    lake = truth.meadows(open_lake(), days, 2020, wrong, truth.SETS["all"])
    rows = guard.scenes("ms", 2020, mark=False, lake=lake).to_pylist()
    assert sum(row["verdict"] != "undecided" for row in rows) > 80
    assert {row["scene"] for row in rows if row["verdict"] == "suspect"} == wrong.keys()
