"""One clear observation: every question, figure and report says the same of the same look at the same parcel."""

from datetime import UTC, datetime, timedelta

import factories
import numpy as np
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbm_lake import cards, get, markers, scenes, show
from cbm_lake.cards import S2, observation
from cbm_lake.errors import InvalidInputError
from cbm_lake.ipycbm import overview
from cbm_lake.lake import Lake
from cbm_lake.lake.looks import count
from cbm_lake.parcel.sources import wire
from cbm_lake.report import facts, words
from cbm_lake.show import computing, reading

pytestmark = pytest.mark.thorough


SCREEN = list(cards.CLOUD_CLASSES)
LOOKS = {
    "clear": ({"share": 1.0}, None),
    "of version 0.1": ({"share": None}, None),
    "just enough seen": ({"share": 0.9}, None),
    "eight pixels": ({"share": 1.0, **factories.band("B04", 400, 8), **factories.band("B08", 1200, 8)}, None),
    "no data beside": ({"share": 1.0, "scl": {0: 70, 4: 30}}, None),
    "two pixels": ({"share": 1.0, **factories.band("B04", 400, 2), **factories.band("B08", 1200, 2)}, "small"),
    "few of one band": ({"share": 1.0, **factories.band("B02", 300, 3)}, "small"),
    "few of red": ({"share": 1.0, **factories.band("B04", 400, 3), **factories.band("B11", 900, 25)}, "small"),
    "partly seen": ({"share": 0.5}, "cut"),
    "small and cut": ({"share": 0.5, **factories.band("B04", 400, 2), **factories.band("B08", 1200, 2)}, "small"),
    "one cloudy pixel": ({"share": 1.0, "scl": {4: 24, 9: 1}}, "cloudy"),
    "snow": ({"share": 1.0, "scl": {11: 25}}, "cloudy"),
    "cut and cloudy": ({"share": 0.5, "scl": {4: 24, 9: 1}}, "cut"),
    "unknown": ({"share": 1.0, "scl": {0: 25}}, "unknown"),
    "not classified": ({"share": 1.0, **{f"scl_{value}": None for value in cards.CLASSES}}, "unknown"),
}
"""What one scene saw of a parcel, and why it is not usable."""


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    return Lake(str(tmp_path / "data" / "lake"))


def fill(lake, aoi="ms", year=2024, pid="12"):
    """A parcel with one look of each kind, five days apart; the scenes by the kind."""
    key = {"aoi": aoi, "year": year, "ptype": ""}
    lake.add_parcels(aoi, year, "", "v1", factories.parcels((pid, "other"), (("wheat", "1"), ("wheat", "1"))))
    days = {name: datetime(year, 3, 1, 10, 40, tzinfo=UTC) + timedelta(days=5 * n) for n, name in enumerate(LOOKS)}
    lake.add_scenes(factories.scenes(*(factories.scene(f"{aoi}{year} {name}", day) for name, day in days.items())))
    for name, day in days.items():
        scene = f"{aoi}{year} {name}"
        row = factories.signature(pid, scene, day, aoi=aoi, year=year, **LOOKS[name][0])
        factories.write(lake, factories.signatures(row), factories.parcel_set(aoi, year), scene)
    return key | {"pid": pid}, days


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory):
    """A lake of two areas and years, and what `fill` says of each."""
    lake = Lake(str(tmp_path_factory.mktemp("two-sets")))
    return lake, {where: fill(lake, *where) for where in (("ms", 2024), ("nl", 2023))}


@pytest.fixture(params=[("ms", 2024), ("nl", 2023)], ids=["ms", "nl"])
def filled(lake, two_sets, request):
    """A copy of it, and what is to be known of the area and year that is asked about."""
    prepared, filled = two_sets
    return factories.copied(prepared, lake), *filled[request.param]


USABLE = {name for name, (_, why) in LOOKS.items() if why is None}


def named(days, moments):
    """The kinds of looks at some moments."""
    by_day = {day.date(): name for name, day in days.items()}
    return {by_day[moment.date()] for moment in moments}


def test_the_view_says_of_each_look_whether_it_is_usable_and_why_not(filled):
    lake, key, days = filled
    statement = "select obstime, usable, why_not from observations where (aoi, year, pid) = ($aoi, $year, $pid)"
    rows = lake.sql(statement, aoi=key["aoi"], year=key["year"], pid=key["pid"])
    told = {next(iter(named(days, [row["obstime"]]))): row for row in rows.to_pylist()}
    assert {name: row["why_not"] for name, row in told.items()} == {name: why for name, (_, why) in LOOKS.items()}
    assert {name for name, row in told.items() if row["usable"]} == USABLE
    assert set(observation.WHY_NOT) == {why for _, why in LOOKS.values() if why}


@pytest.mark.slow
def test_every_named_question_counts_the_same_looks(filled):
    lake, key, days = filled
    group = {name: key[name] for name in ("aoi", "year", "ptype")}
    for name, day in days.items():
        usable, unknown = name in USABLE, LOOKS[name][1] == "unknown"
        rows = lake.query("parcels.ndvi_on", **group, day=day.date(), screen=SCREEN, cloud=0).to_pylist()
        assert [row["unknown"] for row in rows] == ([False] if usable else [True] if unknown else []), name
        (scene,) = [
            row
            for row in lake.query("scenes.clear", aoi=key["aoi"], year=key["year"], screen=SCREEN).to_pylist()
            if row["obstime"] == day
        ] or [{"clear": 0}]
        assert scene["clear"] == usable, name
    crop = lake.query("time_series.crop_ndvi", aoi=key["aoi"], year=key["year"], screen=SCREEN, cloud=0).to_pylist()
    by_day = {day.date(): name for name, day in days.items()}
    assert {by_day[row["day"]] for row in crop if row["parcels"]} == USABLE
    others = {**group, "crop": "wheat", "without": "other", "screen": SCREEN}
    for query, more in {
        "time_series.crop_of_index": {"index": "ndvi"},
        "time_series.crop_index": {"plus": ["B08"], "minus": ["B04"]},
        "time_series.crop_s2": {"bands": ["B04"]},
    }.items():
        assert {by_day[row["day"]] for row in lake.query(query, **others, **more).to_pylist()} == USABLE, query
    weeks = lake.query("national.ndvi_by_crop_and_week", **group).to_pylist()
    assert sum(row["parcels"] for row in weeks) == len(USABLE)
    latest = lake.query("parcels.latest_ndvi", aoi=key["aoi"], year=key["year"], screen=SCREEN).to_pylist()
    (row,) = [row for row in latest if row["pid"] == key["pid"]]
    assert row["obstime"] == max(days[name] for name in USABLE)
    assert count(lake, "status.looks", **group, screen=SCREEN, cloud=0)["clear"] == len(USABLE)


def test_figures_reports_markers_and_maps_agree_about_every_date(filled):
    lake, key, days = filled
    aoi, year, pid = key["aoi"], key["year"], key["pid"]
    figures = reading.Reading.of(lake)
    curve = computing.ndvi_curve(figures.series(figures.parcels(aoi, year, pid)[0], "s2"), SCREEN)
    assert named(days, curve["time"][computing.clear(curve)]) == USABLE
    assert len(curve) == len(LOOKS)

    figure = show.time_series.ndvi(aoi, year, pid)
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "cloud-free"]
    assert len(line.get_xdata()) == len(USABLE)

    rows = lake.query("report.optical", **key, screen=SCREEN).to_pylist()
    used = [
        row["obstime"]
        for row in rows
        if words._season_row({**row, "obstime": row["obstime"].isoformat()})["used"] == "yes"
    ]
    assert named(days, used) == USABLE

    fates = markers.looks(aoi, year, pids=[pid], lake=lake)
    assert fates["clear"] == len(USABLE)
    for why in observation.WHY_NOT:
        assert fates[why] == sum(reason == why for _, reason in LOOKS.values())

    told = overview.tell(lake, {"aoi": aoi, "year": year, "ptype": None}, pid)
    for why, text in overview._PALE.items():
        assert f"{fates[why]} {text}" in told

    panel = show.calendar._panel(
        figures.series(figures.parcels(aoi, year, pid)[0], "s2"),
        show.calendar.views.view("ndvi"),
        SCREEN,
        datetime(year, 1, 1).date(),
        datetime(year, 12, 31).date(),
    )
    rows = panel.lines[0].rows
    assert named(days, rows["time"][computing.clear(rows)]) == USABLE


def test_other_classes_are_the_same_rule_with_other_classes(lake):
    key, days = fill(lake)
    rows = lake.query("time_series.observations", **key, screen=[9]).to_pylist()
    assert named(days, [row["obstime"] for row in rows if row["usable"]]) == USABLE | {"snow"}
    rows = lake.query("time_series.observations", **key, screen=[0]).to_pylist()
    assert {"no data beside", "unknown"} <= named(days, [row["obstime"] for row in rows if row["why_not"] == "cloudy"])


@pytest.mark.parametrize(("most", "usable"), [(0, False), (0.03, False), (0.04, True), (1, True)])
def test_a_share_of_clouds_may_be_allowed_up_to_and_with_that_share(lake, most, usable):
    factories.write(lake, factories.signatures(factories.signature("12", scl={4: 24, 9: 1})))
    (row,) = lake.sql("select usable, clear_share from observations_s2([9], most := $most)", most=most).to_pylist()
    assert row == {"usable": usable, "clear_share": pytest.approx(0.96)}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pixels=st.one_of(st.none(), st.integers(0, 12)),
    share=st.one_of(st.none(), st.floats(0, 1, width=32)),
    classified=st.integers(0, 30),
    screened=st.integers(0, 30),
    most=st.one_of(st.none(), st.sampled_from([0.0, 0.1, 0.29, 0.5, 1.0])),
)
def test_the_rule_by_pencil(lake, pixels, share, classified, screened, most):
    screened = min(screened, classified)
    statement = """
        select why_not($pixels::integer, $share::float, observable, unknown, clouded) as why,
            is_usable(observable, unknown, clouded) as usable
        from (select is_observed($pixels::integer, $share::float) as observable, $classified::integer = 0 as unknown,
            coalesce(is_clouded($screened::integer, $classified::integer, $most::double), false) as clouded)
    """
    values = {"pixels": pixels, "share": share, "classified": classified, "screened": screened, "most": most}
    (row,) = lake.sql(statement, **values).to_pylist()
    if (pixels or 0) < observation.LEAST_PIXELS:
        expected = "small"
    elif share is not None and share < np.float32(observation.LEAST_SHARE):
        expected = "cut"
    elif classified == 0:
        expected = "unknown"
    else:
        expected = "cloudy" if screened / classified > (most or 0) else None
    assert row == {"why": expected, "usable": expected is None}


def test_a_small_parcel_is_recognised_without_the_lake_by_its_pixels():
    scenes = [{"B04_count": 25, "B11_count": 6}, {"B04_count": 3, "B08_count": 25, "B11_count": 9}, {"B11_count": 9}]
    assert [wire._why_not(S2, scene) for scene in scenes] == [None, "small", None]


def test_numbers_of_the_rule_in_sql_are_those_of_the_data(lake):
    (row,) = lake.sql("select least_pixels() a, least_share() b, most_cloud() c, cloud_classes() d").to_pylist()
    assert row["a"] == observation.LEAST_PIXELS
    assert row["b"] == pytest.approx(observation.LEAST_SHARE)
    assert row["c"] == observation.MOST_CLOUD
    assert row["d"] == SCREEN


# -- clear pixels alone -------------------------------------------------------------------------------------------

USUAL = "SCL 3,8,9,10,11"
PARTLY = {"share": 1.0, "scl": {4: 18, 9: 7}}
"""Seven of twenty-five classified pixels are clouded."""


def clear_row(share=0.72, count=72, mask=USUAL, **others):
    """The row of clear pixels of such a look: its NDVI is 0.6, that of all pixels 0.5."""
    bands = {**factories.band("B04", 300, count), **factories.band("B08", 1200, count)}
    return {"share": share, "scl": {4: round(25 * share)}, "mask": mask, **bands, **others}


TAKEN = {
    "most of it is clear": (PARTLY, clear_row(), {}),
    "just enough is clear": (PARTLY, clear_row(0.6, 60), {}),
    "eight pixels": (PARTLY, clear_row(0.7, 8), {}),
    "fewer classes are screened": (PARTLY, clear_row(), {"classes": [9]}),
    "no class is screened too": (PARTLY, clear_row(), {"classes": [0, 9]}),
    "no classified pixel is left": (PARTLY, clear_row(scl={}), {}),
    "less is asked for": (PARTLY, clear_row(0.5, 50), {"least_clear": 0.5}),
    "fewer pixels are asked for": (PARTLY, clear_row(0.7, 5), {"fewest": 5}),
    "clouds are grown": (PARTLY, clear_row(mask=f"{USUAL} dilated 1"), {}),
    "another mask hides some": ({"share": 1.0}, clear_row(mask=f"{USUAL} and cloud > 40"), {}),
    "little of it is cut off": ({**PARTLY, "share": 0.95}, clear_row(), {}),
}
"""What all pixels say, what the clear ones, and options of the question, where these stand for the parcel."""
NOT_TAKEN = {
    "too little is clear": (PARTLY, clear_row(0.59, 59), {}, "cloudy"),
    "seven pixels": (PARTLY, clear_row(0.7, 7), {}, "cloudy"),
    "other classes are screened": (PARTLY, clear_row(), {"classes": [2, 9]}, "cloudy"),
    "the mask is of no classes": (PARTLY, clear_row(mask="cloud > 40"), {}, "cloudy"),
    "so many clouds are allowed": (PARTLY, clear_row(), {"most": 0.3}, None),
    "nothing is screened": (PARTLY, clear_row(), {"classes": []}, None),
    "most is asked for": (PARTLY, clear_row(), {"least_clear": 0.9}, "cloudy"),
    "never": (PARTLY, clear_row(0.99, 99), {"least_clear": 2}, "cloudy"),
    "the parcel is cut": ({**PARTLY, "share": 0.8}, clear_row(), {}, "cut"),
    "the parcel is small": (
        {**PARTLY, **factories.band("B04", 400, 7), **factories.band("B08", 1200, 7)},
        clear_row(0.7, 5),
        {},
        "small",
    ),
    "another mask hides most": ({"share": 1.0}, clear_row(0.2, 20, f"{USUAL} and cloud > 40"), {}, "cloudy"),
    "grown clouds hide all": ({"share": 1.0}, clear_row(0.0, 0, f"{USUAL} dilated 2"), {}, "cloudy"),
    "another mask hides less than is allowed": (
        {"share": 1.0},
        clear_row(0.9, 90, f"{USUAL} and cloud > 40"),
        {"most": 0.2},
        None,
    ),
}
"""The same where they do not, and why the look is not usable."""


def look(lake, whole, clear, options):
    """One look at a parcel as observations_s2 has it."""
    rows = [factories.signature("12", **whole), factories.signature("12", **clear)]
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels(("12",), (("wheat", "1"),)))
    lake.add_scenes(factories.scenes("A"))
    factories.write(lake, factories.signatures(*rows), clear=1, mask=clear["mask"])
    classes = options.pop("classes", SCREEN)
    asked = "".join(f", {name} := {value}" for name, value in options.items())
    (row,) = lake.sql(f"select * from observations_s2($classes::integer[]{asked})", classes=classes).to_pylist()  # noqa: S608
    assert lake.sql("select ndvi(B04_mean, B08_mean) v from s2")["v"].to_pylist() == [pytest.approx(0.5)]
    return row


@pytest.mark.parametrize(("whole", "clear", "options"), TAKEN.values(), ids=TAKEN)
def test_clear_pixels_stand_for_a_parcel_when(lake, whole, clear, options):
    row = look(lake, whole, clear, dict(options))
    assert row["usable"]
    assert row["clear_part"]
    assert row["why_not"] is None
    assert row["ndvi"] == pytest.approx(0.6)
    assert row["clear_share"] == pytest.approx(clear["share"])
    assert row["share"] == pytest.approx(whole["share"])
    assert (row["cloud"], row["pixels"]) == (0, clear["B04_count"])


def test_a_question_for_less_clear_pixels_than_are_stored_is_refused_by_name(lake):
    with pytest.raises(InvalidInputError, match=r"least_clear := 0.4 is below 0.5: of parcels of which less is clear"):
        look(lake, PARTLY, clear_row(), {"least_clear": 0.4})


@pytest.mark.parametrize(("whole", "clear", "options", "why"), NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_all_pixels_count_when(lake, whole, clear, options, why):
    row = look(lake, whole, clear, dict(options))
    assert row["why_not"] == why
    assert row["usable"] == (why is None)
    assert not row["clear_part"]
    assert row["ndvi"] == pytest.approx(0.5)


def test_look_ups_and_views_of_rows_have_those_of_all_pixels_alone(lake):
    look(lake, PARTLY, clear_row(), {})
    assert lake.sql("select count(*) n from signatures_s2")["n"].to_pylist() == [2]
    assert lake.sql("select count(*) n from s2_long where band = 'B04'")["n"].to_pylist() == [1]
    assert "mask" not in lake.sql("select * from s2 limit 0").column_names
    key = {"aoi": "ms", "year": 2024, "ptype": "", "pid": "12"}
    assert lake.query("time_series.s2", **key, bands=["B04"])["mean"].to_pylist() == [400]  # without SQL
    by_sql = lake.sql("select mean from s2_long where pid = '12' and band = 'B04'")
    assert by_sql["mean"].to_pylist() == [400]
    assert lake.query("time_series.looks_s2", **key, screen=SCREEN)["B04_mean"].to_pylist() == [300]


def test_figures_draw_the_clear_pixels_and_tell_them_apart(lake):
    look(lake, PARTLY, clear_row(), {})
    figures = reading.Reading.of(lake)
    (parcel,) = figures.parcels("ms", 2024, "12")
    curve = computing.ndvi_curve(figures.series(parcel, "s2"), cards.CLOUD_CLASSES)
    (row,) = curve[["value", "cloud", "clear_part", "count"]].values.tolist()
    assert row == [pytest.approx(0.6), pytest.approx(0.28), True, 72.0]
    assert computing.clear(curve).all()
    curve = computing.ndvi_curve(figures.series(parcel, "s2"), [2, 9])
    assert curve[["value", "clear_part", "why_not"]].values.tolist() == [[pytest.approx(0.5), False, "cloudy"]]


@pytest.mark.parametrize(("seen", "clear"), [(1.0, 0.72), (0.95, 0.76), (0.92, 0.92)])
def test_curves_reports_and_images_tell_one_share_of_clouds_of_a_parcel_that_is_cut(lake, seen, clear):
    look(lake, {**PARTLY, "share": seen}, clear_row(clear), {})
    key = {"aoi": "ms", "year": 2024, "ptype": "", "pid": "12", "screen": SCREEN}
    hidden = pytest.approx(1 - clear / seen, abs=1e-6)  # of what was seen of it
    figures = reading.Reading.of(lake)
    (parcel,) = figures.parcels("ms", 2024, "12")
    assert computing.cloud_shares(figures.series(parcel, "s2"), SCREEN).tolist() == [hidden]
    (row,) = lake.query("report.optical", **key).to_pylist()
    assert facts.hidden_share(row) == hidden
    assert lake.query("time_series.sky_s2", **key)["cloud"].to_pylist() == [hidden]


def test_a_crop_is_described_by_clear_pixels_where_they_count(lake):
    look(lake, PARTLY, clear_row(), {})
    key = {"aoi": "ms", "year": 2024, "ptype": "", "crop": "wheat", "without": "", "screen": SCREEN}
    assert lake.query("time_series.crop_s2", **key, bands=["B04"])["mean"].to_pylist() == [300]
    index = lake.query("time_series.crop_index", **key, plus=["B08"], minus=["B04"])
    assert index["mean"].to_pylist() == [pytest.approx(0.6)]


def test_time_series_for_people_tell_clear_pixels_apart(lake):
    look(lake, PARTLY, clear_row(), {})
    usual = get.time_series.by_pid("ms", 2024, "12", band="B04", lake=lake)
    assert usual[["mean"]].values.tolist() == [[400.0]]
    assert "clear_part" not in usual
    of_clear = get.time_series.by_pid("ms", 2024, "12", band="B04", clear=True, lake=lake)
    assert of_clear[["mean", "clear_part", "usable"]].values.tolist() == [[300.0, True, True]]
    other = get.time_series.by_pid("ms", 2024, "12", band="B04", clear=True, screen=[2, 9], lake=lake)
    assert other[["mean", "clear_part", "usable"]].values.tolist() == [[400.0, False, False]]
    with pytest.raises(InvalidInputError, match="bs has no scene classes"):
        get.time_series.by_pid("ms", 2024, "12", "bs", clear=True, lake=lake)


def test_rows_of_clear_pixels_go_aside_and_come_back_with_their_scene(lake):
    look(lake, PARTLY, clear_row(), {})
    before = lake.sql("select * from s2_rows order by mask nulls first")
    scenes.leave_out("A", why="hazy", lake=lake)
    assert lake.sql("select count(*) n from signatures_s2")["n"].to_pylist() == [0]
    scenes.put_back("A", why="it is not", lake=lake)
    assert lake.sql("select * from s2_rows order by mask nulls first").equals(before)
    assert lake.sql("select count(*) n from signatures_s2")["n"].to_pylist() == [2]
    lake.compact()
    assert lake.sql("select * from s2_rows order by mask nulls first").equals(before)
    assert lake.sql("select clear_part from observations")["clear_part"].to_pylist() == [True]


def test_tables_without_masks_have_looks_as_ever_and_take_masks_later(lake):
    """A lake of an earlier version: its table and its files lack the column."""
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels(("12",), (("wheat", "1"),)))
    lake.add_scenes(factories.scenes(factories.scene("A", factories.day(0))))
    rows = factories.signatures(factories.signature("12", "A", factories.day(0), extraction=factories.number("A")))
    write_deltalake(f"{lake.url}/signatures/s2", rows.drop_columns("mask"), partition_by=["aoi", "year"])
    lake.record(factories.entry("A", rows=1))
    opened = Lake(lake.url)
    assert opened.sql("select clear_part, usable from observations").to_pylist() == [
        {"clear_part": False, "usable": True}
    ]
    opened.add_scenes(factories.scenes(factories.scene("B", factories.day(1))))
    rows = [factories.signature("12", "B", factories.day(1), **row) for row in (PARTLY, clear_row())]
    factories.write(opened, factories.signatures(*rows), scene="B", clear=1, mask=USUAL)
    for _ in range(2):
        parts = opened.sql("select scene, clear_part, usable from observations order by scene").to_pylist()
        assert [(row["clear_part"], row["usable"]) for row in parts] == [(False, True), (True, True)]
        assert opened.sql("select count(*) n from s2")["n"].to_pylist() == [2]
        opened.compact()
    scenes.leave_out("A", why="hazy", lake=opened)
    scenes.put_back("A", why="it is not", lake=opened)
    assert opened.sql("select count(*) n from s2_rows")["n"].to_pylist() == [3]
