"""Markers of a lake: from signatures to rows, lights and seasons."""

from datetime import UTC, date, datetime, timedelta

import factories
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from cbm_lake import markers
from cbm_lake.demo import phenology as demo
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import open_lake, schemas
from cbm_lake.markers.parameters import defaults, read

NEW_YEAR = datetime(2024, 1, 1, 10, 40, tzinfo=UTC)
MOWN = [(100, 0.8), (120, 0.85), (135, 0.5), (150, 0.6), (165, 0.8), (200, 0.82), (215, 0.8), (230, 0.81)]
STILL = [(day, 0.8) for day, _ in MOWN]


def seen(pid, series, **others):
    """Signatures of a parcel that looks so on those days of the year (from 1); red and nir are of that NDVI."""
    for day, ndvi in series:
        moment = NEW_YEAR + timedelta(days=day - 1)
        red = 2000 * (1 - ndvi)
        yield factories.signature(pid, f"S{day}", moment, **{"red": red, "nir": 4000 - red} | others)


def coherence(pid, series):
    for day, value in series:
        name, moment = f"C{day}", NEW_YEAR + timedelta(days=day - 1)
        row = factories.signature(pid, name, moment)
        known = {field.name for field in schemas.signatures("c6")}
        both = {f"{band}_mean": value for band in ("VV", "VH")} | {f"{band}_count": 25 for band in ("VV", "VH")}
        yield {name: held for name, held in row.items() if name in known and name[0] not in "B"} | both


def fill(lake, *rows, pids=("a", "b"), crops=None, c6=()):
    """Parcels and what was seen of them, as one extraction."""
    crops = crops or [("grassland", "451")] * len(pids)
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels(pids, crops))
    if rows:
        factories.write(lake, factories.signatures(*rows))
    if c6:
        factories.write(lake, factories.signatures(*c6, card="c6"), scene="C", card="c6")
    return lake


def found(lake, marker, **others):
    """The rows of one marker that a search gives."""
    return [row for row in markers.find("ms", 2024, lake=lake, **others).to_pylist() if row["marker"] == marker]


# -- finding -----------------------------------------------------------------------------------------------------------


def test_a_cut_is_found_dated_and_written_into_the_lake(lake):
    fill(lake, *seen("a", MOWN), *seen("b", STILL))
    (cut,) = found(lake, "mowing")
    assert (cut["pid"], cut["marker_type"], cut["observable"]) == ("a", "s2", True)
    assert (cut["date_start"], cut["date_end"]) == (date(2024, 4, 29), date(2024, 5, 14))
    assert cut["date_start"] <= cut["date_main"] <= cut["date_end"]
    assert cut["duration_days"] == 15
    assert cut["value_1"] == pytest.approx(0.35, abs=1e-4)
    assert cut["value_2"] == pytest.approx(0.3 / 0.35, abs=1e-4)
    assert cut["value_3"] is None
    held = lake.sql("select * from markers where marker = 'mowing'").to_pylist()
    assert held == [{name: value for name, value in cut.items() if name != "part"}]


def test_bare_soil_and_vegetation_are_told_with_their_extremes(lake):
    series = [(100, 0.25), (110, 0.15), (120, 0.12), (130, 0.18), (140, 0.5), (150, 0.8), (160, 0.5), (170, 0.3)]
    fill(lake, *seen("a", series))
    (bare,), (green,), (peak,), (least,) = (
        found(lake, marker) for marker in ("bare_soil", "vegetated", "ndvi_maximum", "ndvi_minimum")
    )
    assert (bare["date_main"], green["date_main"]) == (date(2024, 4, 29), date(2024, 5, 29))
    assert bare["date_start"] == date(2024, 4, 14)  # half-way from 0.25 to 0.15
    assert [bare["value_1"], bare["value_2"]] == pytest.approx([0.12, 0.15], abs=1e-6)
    assert [green["value_1"], green["value_2"], green["value_3"]] == pytest.approx([0.8, 0.6, 3], abs=1e-6)
    assert (peak["date_main"], peak["value_1"]) == (date(2024, 5, 29), pytest.approx(0.8))
    assert (least["date_main"], least["value_1"]) == (date(2024, 4, 29), pytest.approx(0.12))
    assert found(lake, "presence")[0]["date_start"] == green["date_start"]


def test_what_the_service_answers_has_its_columns_unchanged(lake):
    fill(lake, *seen("a", MOWN), *seen("b", STILL))
    markers.find("ms", 2024, lake=lake)
    answer = lake.query("markers.by_pid", aoi="ms", year=2024, ptype="", pid="a")
    assert answer.column_names == [
        "foi_id",
        "marker",
        "marker_type",
        "date_start",
        "date_main",
        "date_end",
        "duration_days",
        "value_1",
        "value_2",
        "value_3",
        "pid",
        "practice",
    ]
    assert "mowing" in answer["marker"].to_pylist()


def test_a_second_search_replaces_the_first_and_leaves_migrated_markers(lake):
    fill(lake, *seen("a", MOWN), *seen("b", STILL))
    given = {"aoi": "ms", "year": 2024, "ptype": "", "pid": "a", "marker": "visit", "part": 7}
    lake.put("marked", pa.Table.from_pylist([given], schema=schemas.MARKERS), 7)
    first, second = (markers.find("ms", 2024, lake=lake) for _ in range(2))
    assert second.equals(first)
    assert lake.sql("select count(*) as n from markers")["n"][0].as_py() == first.num_rows + 1
    assert lake.sql("select pid from markers where marker = 'visit'").num_rows == 1


def test_for_some_parcels_only_theirs_are_replaced(lake):
    fill(lake, *seen("a", MOWN), *seen("b", STILL))
    whole = markers.find("ms", 2024, lake=lake)
    some = markers.find("ms", 2024, pids=["a"], parameters={"mowing": {"drop": 0.9}}, lake=lake)
    assert set(some["pid"].to_pylist()) == {"a"}
    held = lake.sql("select pid, count(*) as n from markers group by pid order by pid").to_pylist()
    assert held == [{"pid": "a", "n": some.num_rows}, {"pid": "b", "n": whole["pid"].to_pylist().count("b")}]
    assert not lake.sql("select * from markers where marker = 'mowing'").num_rows


@pytest.mark.parametrize("verb", [markers.find, markers.phenology, markers.smoothed, markers.traffic_light])
def test_unknown_parcels_and_areas_are_told(mown, verb):
    with pytest.raises(NotFoundError, match="no parcel 'zz' in ms 2024"):
        verb("ms", 2024, pids=["a", "zz"], lake=mown)
    with pytest.raises(NotFoundError, match="no parcels of xx 2024"):
        verb("xx", 2024, lake=mown)


def test_several_scenes_of_one_day_are_averaged(lake):
    half = [(day, value) for day, value in MOWN if day != 135]
    extra = [*seen("a", [(135, 0.4)]), *seen("a", [(135, 0.6)])]
    extra[1]["scene"] = "other tile"
    fill(lake, *seen("a", half), *extra)
    (cut,) = found(lake, "mowing")
    assert cut["value_1"] == pytest.approx(0.35, abs=1e-4)


UNUSABLE = {
    "cloud": {"scl": {9: 25}},
    "one pixel in shadow": {"scl": {4: 24, 3: 1}},
    "not classified": {"scl": {0: 25}},
    "too bright for land": {"red": 6000, "nir": 9000},
    "seven pixels": {"B04_count": 7},
    "too low for land": {"red": 1000, "nir": 1100},
}


def test_what_is_not_a_clear_view_does_not_count(lake):
    rows = [row for pid, unusable in UNUSABLE.items() for row in seen(pid, [(137, 0.3), (142, 0.4)], **unusable)]
    clear = [row for pid in UNUSABLE for row in seen(pid, STILL)]
    fill(lake, *clear, *rows, pids=tuple(UNUSABLE), crops=[("grassland", "451")] * len(UNUSABLE))
    found = markers.find("ms", 2024, lake=lake).to_pylist()
    assert "mowing" not in {row["marker"] for row in found}
    dates = {row["pid"]: row["value_1"] for row in found if row["marker"] == "observed"}
    assert dates == dict.fromkeys(UNUSABLE, len(STILL))


def test_a_share_of_cloud_may_be_allowed(lake):
    fill(lake, *seen("a", STILL, scl={4: 24, 9: 1}))
    assert [row["value_1"] for row in found(lake, "observed")] == [0, 0]
    assert [row["value_1"] for row in found(lake, "observed", parameters={"clear": {"cloud": 0.05}})] == [8, 0]


def test_a_parcel_that_is_hardly_seen_is_told_and_breaks_nothing(lake):
    some = {"never": [], "once": [(150, 0.7)], "twice": [(150, 0.7), (160, 0.7)], "often": STILL}
    rows = [row for pid, series in some.items() for row in seen(pid, series)]
    fill(lake, *rows, pids=tuple(some), crops=[("grassland", "451")] * 4)
    told = {row["pid"]: (row["value_1"], row["date_start"], row["observable"]) for row in found(lake, "observed")}
    day = date(2024, 5, 29)
    assert told == {
        "never": (0, None, False),
        "once": (1, day, False),
        "twice": (2, day, False),
        "often": (8, date(2024, 4, 9), True),
    }
    for row in markers.phenology("ms", 2024, lake=lake).to_pylist():
        assert row["season_start"] is row["amplitude"] is None
        assert row["observable"] == (row["pid"] == "often")
    assert set(markers.smoothed("ms", 2024, lake=lake)["pid"].to_pylist()) == {"often"}


def test_parcels_without_any_signature_are_not_observable(lake):
    rows = markers.find("ms", 2024, lake=fill(lake)).to_pylist()
    assert [(row["pid"], row["marker"], row["observable"]) for row in rows] == [
        ("a", "observed", False),
        ("b", "observed", False),
    ]


def test_scenes_of_other_seasons_do_not_count(lake):
    fill(lake, *seen("a", [(day - 366, value) for day, value in MOWN]), *seen("b", STILL))
    assert [row["value_1"] for row in found(lake, "observed")] == [0, 8]
    last_year = {"season": {"start": "10-01", "end": "09-30"}}
    assert [row["value_1"] for row in found(lake, "observed", parameters=last_year)] == [0, 8]
    fill(lake, *seen("a", [(-40, 0.5), (-30, 0.5)]), *seen("b", STILL))
    assert [row["value_1"] for row in found(lake, "observed", parameters=last_year)] == [2, 8]


def test_a_rise_of_coherence_makes_a_cut_surer(lake):
    rng = np.random.default_rng(0)
    before = [(day, 0.3 + 0.01 * rng.standard_normal()) for day in range(90, 130, 6)]
    wave = [*before, (132, 0.6), (138, 0.6)]
    fill(lake, *seen("a", MOWN), *seen("b", MOWN), c6=coherence("a", wave))
    with_radar, without = found(lake, "mowing")
    assert (with_radar["marker_type"], without["marker_type"]) == ("s2+c6", "s2")
    assert with_radar["value_3"] == pytest.approx(0.3, abs=0.05)
    assert with_radar["confidence"] == pytest.approx(1 - (1 - without["confidence"]) / 2)


def test_a_rise_of_coherence_alone_is_a_cut_where_nothing_else_was_seen(lake):
    wave = [(day, 0.3 + 0.01 * (day % 4)) for day in range(90, 130, 6)] + [(132, 0.6), (138, 0.6)]
    gap = [pair for pair in STILL if pair[0] not in (120, 135, 150)]
    fill(lake, *seen("a", gap), *seen("b", STILL), c6=[*coherence("a", wave), *coherence("b", wave)])
    (cut,) = found(lake, "mowing")
    assert (cut["pid"], cut["marker_type"], cut["value_1"]) == ("a", "c6", None)
    assert cut["confidence"] <= 0.5


def test_orbits_that_see_another_coherence_are_levelled(lake):
    lake.add_scenes(
        factories.scenes(
            *(
                factories.scene(f"C{day}", NEW_YEAR, card="c6", **{"sat:relative_orbit": 1 + day % 2})
                for day in range(90, 140)
            )
        )
    )
    wave = [(day, 0.3 + 0.3 * (day % 2)) for day in range(90, 140, 3)]
    fill(lake, *seen("a", STILL), pids=("a",), crops=[("grassland", "")], c6=coherence("a", wave))
    key = {"aoi": "ms", "year": 2024, "ptype": "", "first": 0, "last": 99_999, "pixels": 8, "share": None, "pids": None}
    values = lake.query("markers.coherence", **key)["coherence"].to_numpy()
    np.testing.assert_allclose(values, values.mean(), atol=1e-6)


def test_a_lake_whose_markers_lack_the_new_columns_is_read(lake):
    from cbm_lake.storage.delta import Table
    from cbm_lake.storage.store import Store

    old = pa.schema([field for field in schemas.MARKERS if field.name not in ("confidence", "observable")])
    fill(lake, *seen("a", MOWN))
    table = Table(Store(lake.url), "markers", old, keys=("pid",), partitions=("aoi", "year"))
    given = {"aoi": "ms", "year": 2024, "ptype": "", "pid": "a", "marker": "visit", "part": 7}
    table.put(pa.Table.from_pylist([given], schema=old), "part", 7)
    (row,) = lake.sql("select marker, confidence, observable from markers").to_pylist()
    assert row == {"marker": "visit", "confidence": None, "observable": None}


# -- against the curves of the sample ----------------------------------------------------------------------------------


CROPS = ["winter wheat", "maize", "grassland", "rapeseed", "sugar beet", "fallow"]


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A lake of 72 parcels that grow as in the sample, seen every fifth day, and their work (pid, event, day).

    Parcel 0000 is winter wheat that was declared as maize.
    """
    lake = open_lake(str(tmp_path_factory.mktemp("grown")))
    rng = np.random.default_rng(11)
    names = CROPS * 12
    growth = demo.draw(names, rng)
    days = np.arange(60, 306, 5)
    ndvi = growth.ndvi(days.astype(float)) + 0.01 * rng.standard_normal((len(names), len(days)))
    pids = [f"{number:04}" for number in range(len(names))]
    series = (zip(days.tolist(), curve, strict=True) for curve in ndvi)
    rows = (row for pid, curve in zip(pids, series, strict=True) for row in seen(pid, curve))
    fill(lake, *rows, pids=pids, crops=[("maize", None), *((name, None) for name in names[1:])])
    work = growth.events()
    return lake, [(pids[row.surface], row.event, int(row.day)) for row in work.itertuples() if 60 <= row.day <= 300]


def hits(rows, work, event, tolerance):
    """How many of the work of a kind have a marker near, and how many markers there are."""
    days = [(row["pid"], row["date_main"].timetuple().tm_yday) for row in rows]
    wanted = [(pid, day) for pid, what, day in work if what in event]
    near = [any(pid == mine and abs(day - when) <= tolerance for mine, when in days) for pid, day in wanted]
    return sum(near), len(wanted), len(days)


@pytest.mark.parametrize(
    ("marker", "event", "tolerance", "recall", "precision"),
    [
        ("mowing", ("mowing", "mulching"), 6, 0.8, 0.8),
        ("harvest", ("harvest",), 30, 0.9, 0.9),
        ("ploughing", ("ploughing",), 6, 0.7, 0.9),
    ],
)
def test_the_work_of_the_sample_is_found(grown, marker, event, tolerance, recall, precision):
    lake, work = grown
    near, wanted, given = hits(found(lake, marker), work, event, tolerance)
    assert near >= recall * wanted
    assert near >= precision * given


def test_a_crop_declared_as_another_is_an_outlier_near_its_own(grown):
    lake, _ = grown
    rows = found(lake, "similarity")
    outliers = [row for row in rows if row["marker_type"] == "outlier"]
    assert "0000" in [row["pid"] for row in outliers]
    assert len(outliers) <= 4
    (wheat,) = [row for row in rows if row["pid"] == "0000"]
    assert wheat["practice"] == "winter wheat"
    (rank,) = [row for row in found(lake, "distance_rank") if row["pid"] == "0000"]
    assert (rank["value_1"], rank["value_3"]) == (1, 13)


def test_the_season_of_the_sample_has_its_order_and_its_time(grown):
    lake, _ = grown
    rows = markers.phenology("ms", 2024, lake=lake).to_pylist()
    maize = [row for row in rows if row["crop_name"] == "maize"]
    assert all(row["season_start"] < row["season_peak"] < row["season_end"] for row in maize)
    start = np.median([row["season_start"].timetuple().tm_yday for row in maize])
    assert abs(start - (166 - 8 * np.log(3))) < 7  # a logistic rise is at a quarter ln 3 of its days before the middle
    some = markers.phenology("ms", 2024, pids=["0001", "0007"], lake=lake).to_pylist()
    assert some == [rows[1], rows[7]]


def test_smooth_curves_stay_near_what_was_drawn(grown):
    lake, _ = grown
    curves = markers.smoothed("ms", 2024, pids=["0001"], lake=lake).to_pydict()
    growth = demo.draw(CROPS * 12, np.random.default_rng(11))
    days = np.array([day.timetuple().tm_yday for day in curves["date"]], float)
    harvest = growth.harvest[1]
    apart = np.abs(days - harvest) > 15
    assert np.abs(np.array(curves["ndvi"]) - growth.ndvi(days)[1])[apart].max() < 0.08
    assert not any(curves["filled"])


@pytest.fixture(scope="module")
def mown(tmp_path_factory):
    """A lake of a parcel that was mown and one that was not, with their markers."""
    lake = fill(open_lake(str(tmp_path_factory.mktemp("mown"))), *seen("a", MOWN), *seen("b", STILL))
    markers.find("ms", 2024, lake=lake)
    return lake


# -- traffic light -----------------------------------------------------------------------------------------------------


def light(lake, **others):
    """Colour and reason by parcel and scenario."""
    rows = markers.traffic_light("ms", 2024, lake=lake, **{"day": "2024-12-31"} | others).to_pylist()
    return {(row["pid"], row["scenario"]): (row["colour"], row["reason"]) for row in rows}


def test_grassland_that_is_mown_is_green_and_what_is_never_mown_red(lake):
    every = [(day, 0.8) for day in range(10, 360, 10)]
    fill(
        lake,
        *seen("a", MOWN),
        *seen("b", every),
        *seen("c", MOWN[:2]),
        pids=("a", "b", "c"),
        crops=[("Permanent GRASSLAND", None)] * 3,
    )
    markers.find("ms", 2024, lake=lake)
    lights = light(lake, scenarios=["grassland is mown"])
    assert [lights[pid, "grassland is mown"][0] for pid in "abc"] == ["green", "red", "cannot be seen"]
    assert lights["a", "grassland is mown"][1] == "mown"
    assert lights["c", "grassland is mown"][1] == "seen clearly 0 of 1 times since it was due on 2024-09-15"


def test_a_light_tells_the_marker_that_decided(mown):
    (cut,) = mown.sql("select * from markers where marker = 'mowing'").to_pylist()
    rules = [
        {"colour": "green", "reason": "mown", "marker": "mowing", "at_least": 1},
        {"colour": "red", "reason": "not mown"},
    ]
    given = {"scenarios": {"mine": {"rules": rules}}}
    rows = markers.traffic_light(
        "ms", 2024, scenarios=["mine"], parameters=given, day="2024-12-31", lake=mown
    ).to_pylist()
    names = ("date_start", "date_end", "confidence")
    assert [rows[0][name] for name in ("events", *names)] == [1, *(cut[name] for name in names)]
    looks = [date(2024, 4, 9), date(2024, 8, 17), pytest.approx(8 / 9)]
    assert [rows[1][name] for name in ("events", *names)] == [None, *looks]


@pytest.mark.parametrize(
    ("rule", "colours"),
    [
        pytest.param({"marker": "mowing", "at_least": 1}, "rg", id="at least"),
        pytest.param({"marker": "mowing", "at_most": 0}, "gr", id="at most"),
        pytest.param({"marker": "mowing", "at_least": 1, "from": "05-15"}, "gg", id="from a day later"),
        pytest.param({"marker": "mowing", "at_least": 1, "from": "05-14"}, "rg", id="from the last day"),
        pytest.param({"marker": "mowing", "at_least": 1, "to": "04-29"}, "rg", id="to the first day"),
        pytest.param({"marker": "mowing", "at_least": 1, "to": "04-28"}, "gg", id="to a day earlier"),
        pytest.param({"marker": "mowing", "type": "c6", "at_least": 1}, "gg", id="of a type"),
        pytest.param({"marker": "mowing", "confidence": 0.99, "at_least": 1}, "gg", id="sure enough"),
        pytest.param({"unseen": False}, "rr", id="observable"),
        pytest.param({"gap": 74}, "rr", id="gap"),  # from day 230 to the end of October, day 305
        pytest.param({"gap": 75}, "gg", id="no longer gap"),
    ],
)
def test_rules_hold_as_they_say(mown, rule, colours):
    rules = [{"colour": "red", "reason": "it holds", **rule}, {"colour": "green", "reason": "else"}]
    lights = light(mown, scenarios=["mine"], parameters={"scenarios": {"mine": {"rules": rules}}})
    assert "".join(lights[pid, "mine"][0][0] for pid in "ab") == colours


def test_a_scenario_asks_only_of_its_crops(lake):
    fill(lake, *seen("a", STILL), pids=("a", "b", "c"), crops=[("Wheat (winter)", "1"), (None, "7"), (None, None)])
    markers.find("ms", 2024, lake=lake)
    rules = [{"colour": "green", "reason": "so"}]
    asked = {"by name": {"crops": ["wheat"]}, "by code": {"codes": ["7"]}, "of all": {}}
    given = {"scenarios": {name: {"rules": rules, **which} for name, which in asked.items()}}
    lights = light(lake, scenarios=list(asked), parameters=given)
    assert sorted(lights) == [("a", "by name"), ("a", "of all"), ("b", "by code"), ("b", "of all"), ("c", "of all")]


def test_lights_need_markers_and_known_scenarios(lake):
    fill(lake, *seen("a", MOWN))
    with pytest.raises(NotFoundError, match="no markers of ms 2024 were found yet"):
        markers.traffic_light("ms", 2024, lake=lake)
    with pytest.raises(InvalidInputError, match="no scenario 'flying'; there are: grassland is mown"):
        markers.traffic_light("ms", 2024, scenarios=["flying"], lake=lake)


# -- parameters --------------------------------------------------------------------------------------------------------


def test_the_defaults_are_right_and_what_is_given_comes_first(tmp_path):
    assert read().mowing.drop == defaults()["mowing"]["drop"] == 0.11
    assert read({"mowing": {"drop": 0.2}}).mowing.drop == 0.2
    assert read({"mowing": {"drop": 0.2}}).mowing.regain == read().mowing.regain
    assert read({"mowing": {"season": {"start": "03-01"}}}).mowing.season.end == read().mowing.season.end
    assert "grassland is mown" not in read({"scenarios": {"grassland is mown": None}}).scenarios
    file = tmp_path / "mine.yaml"
    file.write_text("mowing: {drop: 0.3}\n")
    assert read(file).mowing.drop == read(str(file)).mowing.drop == 0.3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"mowing": {"drop": 2}}, "mowing.drop=2"),
        ({"mowing": {"depth": 0.1}}, "mowing.depth=0.1"),
        ({"moving": {}}, "moving"),
        ({"clear": {"screen": [0]}}, "clear.screen[0]=0"),
        ({"season": {"start": "13-01"}}, "season.start='13-01'"),
        ({"scenarios": {"x": {"rules": [{"colour": "blue", "reason": ""}]}}}, "scenarios.x.rules[0].colour='blue'"),
        ({"scenarios": {"x": {"rules": [{"colour": "red", "reason": "", "marker": "mowing"}]}}}, "at_least or at_most"),
        ({"scenarios": {"x": {"rules": [{"colour": "red", "reason": "", "at_least": 1}]}}}, "at_least or at_most"),
        ({"scenarios": {"x": {"rules": [{"colour": "red", "reason": "", "from": "31-01"}]}}}, "rules[0].from='31-01'"),
        ("no such file.yaml", "cannot be read"),
    ],
)
def test_wrong_parameters_are_named(given, told):
    with pytest.raises(InvalidInputError) as refused:
        read(given)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_holds_no_parameters_is_told(tmp_path):
    file = tmp_path / "list.yaml"
    file.write_text("- 1\n")
    with pytest.raises(InvalidInputError, match="holds no parameters"):
        read(file)


# -- command line ------------------------------------------------------------------------------------------------------


def run(*arguments):
    from cbm_lake.cli.markers import app

    result = CliRunner().invoke(app, [*arguments, "--aoi", "ms", "--year", "2024"])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.thorough
def test_the_commands_find_show_lights_and_seasons(lake):
    fill(lake, *seen("a", MOWN), *seen("b", STILL))
    assert "1 mowing" in run("find")
    assert "mowing" in run("find", "--pid", "a", "--format", "csv")
    assert '"reason": "mown"' in run("lights", "--scenario", "grassland is mown", "--format", "json")
    assert '"colour": "not yet due"' in run("lights", "--day", "2024-06-01", "--format", "json")
    assert '"marker": "mowing"' in run("evidence", "--pid", "a", "--scenario", "grassland is mown", "--format", "json")
    assert '"pid": "b"' in run("lights", "--colour", "not yet due", "--format", "json")
    assert '"pid": "a"' not in run("lights", "--colour", "red", "--format", "json")
    assert '"pid": "b"' in run("phenology", "--format", "json")
    assert '"filled"' in run("phenology", "--curves", "--pid", "a", "--format", "json")
