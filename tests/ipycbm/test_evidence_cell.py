"""Evidence of the workbench: its curves are those of the figures and of SQL, and what is missing is named."""

import re
import threading
from datetime import UTC, date, datetime, timedelta

import factories
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import three_years

from cbm_lake import cards, show
from cbm_lake.cards import CLOUD_CLASSES, INDICES, observation
from cbm_lake.errors import NotFoundError
from cbm_lake.ipycbm.desk.arriving import Arriving
from cbm_lake.ipycbm.desk.evidence import Evidence
from cbm_lake.ipycbm.desk.observed import Observations
from cbm_lake.ipycbm.desk.state import Request, State
from cbm_lake.ipycbm.texts import LANGUAGES, Texts
from cbm_lake.lake import schemas
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.markers.saying import CANNOT_BE_SEEN, NOT_YET_DUE
from cbm_lake.show.reading import WORK

pytestmark = pytest.mark.thorough


OTHERS = tuple(f"n{number:02}" for number in range(14))
"""Parcels of area nl in 2024, all wheat but the last, of which there is no look; n12 was seen by Landsat alone."""
LANDSAT, NEVER = OTHERS[-2:]
MOMENT = datetime(2024, 12, 1, tzinfo=UTC)


def of_table(schema, **known):
    return pa.Table.from_pylist([{name: known.get(name) for name in schema.names}], schema=schema)


def radar_rows(year, pid):
    """Backscatter of 2023 at 05:50 and 17:20 of each sixth day: two orbits a day."""
    for number in range(4):
        for hour in (5, 17):
            moment = datetime(year, 3, 1, hour, 50, tzinfo=UTC) + timedelta(days=6 * number)
            key = {"aoi": "ms", "year": year, "ptype": "", "pid": pid, "scene": f"R{year}{number}{hour}"}
            power = 0.05 + 0.001 * number + 0.01 * (hour == 17)
            statistics = {**scaled("VV", power), **scaled("VH", power / 4)}
            yield {**key, "obstime": moment, "reference": key["scene"], "rule": "centre", "extraction": 0, **statistics}


def scaled(band, mean):
    """Statistics of a band of linear power."""
    return {
        f"{band}_{name}": mean * factor for name, factor in {"mean": 1, "p25": 0.8, "p50": 1, "p75": 1.2}.items()
    } | {
        f"{band}_count": 100,
        f"{band}_std": 0.1 * mean,
        f"{band}_min": mean / 2,
        f"{band}_max": mean * 2,
    }


def fill_nl(lake):
    """Parcels of wheat: looks of Sentinel-2 over the first twelve, of Landsat over one."""
    lake.add_parcels("nl", 2024, "", "v1", factories.parcels(OTHERS, (("wheat", "1"),) * len(OTHERS)))
    for number in range(6):
        moment = datetime(2024, 3, 1, 10, 40, tzinfo=UTC) + timedelta(days=25 * number)
        name = f"N{number}"
        lake.add_scenes(factories.scenes(factories.scene(name, moment)))
        rows = [
            factories.signature(
                pid,
                name,
                moment,
                aoi="nl",
                red=900 - 20 * place,
                nir=2000 + 100 * number,
                scl={9: 25} if number == 3 else {4: 25},
            )
            for place, pid in enumerate(OTHERS[:-2])
        ]
        if number == 2:  # a gap: the first parcel was not seen
            rows = rows[1:]
        if number == 4:  # a part of the second is clouded
            rows[1] |= {f"scl_{value}": {4: 20, 8: 5}.get(value, 0) for value in cards.CLASSES}
        factories.write(lake, factories.signatures(*rows), factories.parcel_set("nl"), name, finished=moment)
    card = cards.get("ls")
    moment = datetime(2024, 6, 3, 10, 20, tzinfo=UTC)
    kinds = dict.fromkeys(card.classification.columns, 0)
    clear = next(column for column in kinds if column.endswith("_6"))
    row = factories.signature(LANDSAT, "L0", moment, aoi="nl")
    row = {name: value for name, value in row.items() if not name.startswith(("B0", "scl_"))}
    row |= {**factories.band(card.band_named("red"), 500), **factories.band(card.band_named("nir"), 1500)}
    rows = factories.signatures(row | kinds | {clear: 100}, card="ls")
    factories.write(lake, rows, factories.parcel_set("nl"), "L0", card="ls", finished=moment)


def fill_radar(lake):
    for row in radar_rows(2023, "B"):
        scene = row["scene"]
        rows = factories.signatures(row, card="bs")
        factories.write(lake, rows, factories.parcel_set(year=2023), scene, card="bs", finished=row["obstime"])


def fill_light(lake, day, colour, before, **others):
    """A change of the light of parcel B in 2023."""
    key = {"aoi": "ms", "year": 2023, "ptype": "", "kind": "light", "pid": "B", "scenario": "mown"}
    light = of_table(
        schemas.CHANGES,
        **key,
        before=before,
        after=colour,
        day=day,
        recorded=MOMENT,
        version="x",
        cause="scene",
        **others,
    )
    lake.record_changes(factories.parcel_set(year=2023), lambda: light)


def fill_work(lake):
    """A mowing of parcel B in 2023, between two looks."""
    mowing = {"marker": "mowing", "marker_type": "s2", "date_start": date(2023, 6, 1), "date_main": date(2023, 6, 5)}
    key = {"aoi": "ms", "year": 2023, "ptype": "", "pid": "B", "part": 5}
    lake.put("marked", of_table(schemas.MARKERS, **key, **mowing, date_end=date(2023, 6, 12), observable=True), 5)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Three years of ms, radar and work in one of them, and another area; shared by all tests, which write nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(tmp_path_factory.mktemp("home")))
        from cbm_lake.config import Workspace
        from cbm_lake.lake import open_lake

        Workspace.here().create()
        opened = open_lake()
        for year in three_years.OUTLINES:
            opened.add_parcels("ms", year, "", "v1", three_years.parcels(year))
            three_years.write_looks(opened, year, three_years.looks(year)[:7])
        three_years.weather(opened, three_years.constant_weather())
        fill_nl(opened)
        fill_radar(opened)
        fill_work(opened)
        fill_light(opened, date(2023, 6, 20), "yellow", None, reason="not clear", due=date(2023, 7, 31))
        fill_light(opened, date(2023, 8, 1), "red", "yellow", reason="no mowing <seen>", due=date(2023, 7, 31))
        yield opened


@pytest.fixture
def evidence(lake, workspace):
    return Evidence(State(), Observations(lake))


def request(aoi, year, pid, index="ndvi"):
    return Request(ParcelKey(aoi, year, "", pid), "", "", "true colour", index, MOMENT)


def panel(season, name):
    return next((part for part in season.figure["panels"] if part["name"] == name), None)


def points(part, number=0):
    """Time, value and usability of each point of a curve."""
    rows = part["series"][number]["points"]
    return (
        pd.to_datetime([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array([row[4] for row in rows]),
    )


def drawn_line(axes, label, number=0):
    lines = [line for line in axes.lines if line.get_label() == label]
    return pd.to_datetime(lines[number].get_xdata()), np.asarray(lines[number].get_ydata(), float)


# -- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aoi", "year", "pid"),
    [
        ("ms", 2022, "C"),
        ("ms", 2023, "B"),
        ("ms", 2024, "A"),
        ("nl", 2024, "n00"),
        ("nl", 2024, "n01"),
        ("nl", 2024, "n11"),
    ],
)
def test_every_point_is_that_of_the_static_figure(evidence, lake, aoi, year, pid):
    season = evidence.read(request(aoi, year, pid))
    evidence.show(season)
    settled(evidence)
    figure = show.time_series.index(aoi, year, pid, "ndvi", markers=True, lake=lake)
    part = panel(season, "index")
    assert evidence.chart.band["limits"] == pytest.approx(figure.axes[0].get_ylim())
    time, value, usable = points(part)
    when, values = drawn_line(figure.axes[0], "cloud-free")
    assert list(time[usable]) == list(when)
    assert value[usable] == pytest.approx(values, abs=0)
    when, values = drawn_line(figure.axes[0], "_clouded")
    assert list(time[~usable]) == list(when)
    assert value[~usable].clip(*figure.axes[0].get_ylim()) == pytest.approx(values, abs=0)
    bands = [row[2:4] for row in part["series"][0]["points"] if row[4]]
    fill = next(c for c in figure.axes[0].collections if c.get_label() == "_band").get_paths()[0].vertices
    assert sorted({low for low, _ in bands} | {high for _, high in bands}) == pytest.approx(sorted(set(fill[:, 1])))


def settled(evidence):
    """Wait until what comes later has come."""
    evidence._later._pool.submit(lambda: None).result()


def test_an_index_of_whose_bands_there_is_nothing_is_named(evidence):
    season = evidence.read(request("ms", 2023, "B", "evi"))
    evidence.show(season)
    settled(evidence)
    assert panel(season, "index") is None
    assert evidence.chart.band == {}
    assert "Not in this lake: this index, radar coherence." in evidence.note.value
    evidence.show(evidence.read(request("nl", 2024, "n00", "evi")))
    assert "Not in this lake: this index, radar" in evidence.note.value


def test_values_are_those_of_sql_in_each_year_and_area(evidence, lake):
    for aoi, year, pid in [("ms", 2022, "N"), ("ms", 2023, "B"), ("ms", 2024, "D"), ("nl", 2024, "n05")]:
        time, value, usable = points(panel(evidence.read(request(aoi, year, pid)), "index"))
        key = {"aoi": aoi, "year": year, "ptype": "", "pid": pid}
        rows = lake.query("time_series.ndvi", **key, screen=list(CLOUD_CLASSES)).to_pandas()
        assert list(time) == list(rows["obstime"].dt.tz_convert(None))
        assert value == pytest.approx(rows["ndvi"].to_numpy(), abs=1e-6)  # of float32
        assert list(usable) == list(rows["observable"] & (rows["sky"] == "clear"))


def test_a_leap_day_is_drawn_and_a_clouded_look_is_not_usable(evidence):
    time, _, usable = points(panel(evidence.read(request("ms", 2024, "A")), "index"))
    assert pd.Timestamp(2024, 2, 29, 10, 40) in time
    assert (~usable).sum() == 1


def test_each_point_tells_its_scene_and_the_clear_share_of_the_parcel(evidence):
    rows = panel(evidence.read(request("nl", 2024, "n01")), "index")["series"][0]["points"]
    told = {row[7]: (row[6], row[5]) for row in rows}
    assert told["N0"] == (1.0, None)
    assert told["N3"] == (0.0, "cloudy")
    assert told["N4"][0] == pytest.approx(0.8)


def test_a_look_that_was_not_taken_is_a_gap(evidence):
    rows = panel(evidence.read(request("nl", 2024, "n00")), "index")["series"][0]["points"]
    assert [row[7] for row in rows] == ["N0", "N1", "N3", "N4", "N5"]


def test_radar_is_that_of_the_figure_with_both_orbits_of_a_day(evidence, lake):
    part = panel(evidence.read(request("ms", 2023, "B")), "bs")
    figure = show.time_series.s1("ms", 2023, "B", "bs", lake=lake)
    for number, band in enumerate(("VV", "VH")):
        time, value, usable = points(part, number)
        when, values = drawn_line(figure.axes[0], band)
        assert len(time) == 8
        assert usable.all()
        assert list(time) == list(when)
        assert value == pytest.approx(values, abs=0)
    assert part["limits"] == pytest.approx(figure.axes[0].get_ylim())
    assert points(part)[1][0] == pytest.approx(10 * np.log10(0.05), abs=1e-5)


@pytest.mark.parametrize(("year", "pid", "days"), [(2022, "C", 365), (2024, "A", 366)])
def test_weather_is_that_of_the_figure_on_each_day_of_the_year(evidence, lake, year, pid, days):
    part = panel(evidence.read(request("ms", year, pid)), "weather")
    figure = show.time_series.weather("ms", year, pid, lake=lake)
    warmth, rain = figure.axes
    assert part["limits"] == pytest.approx(rain.get_ylim())
    assert part["right"]["limits"] == pytest.approx(warmth.get_ylim())
    assert [row[1] for row in part["series"][0]["points"]] == [bar.get_height() for bar in rain.patches]
    mean = [row[1] for row in part["right"]["series"][0]["points"]]
    assert mean == [2.0 + 0.5 * (year - 2022)] * days


def test_the_band_of_peers_comes_later_and_is_that_of_the_figure(evidence, lake):
    season = evidence.read(request("nl", 2024, "n03"))
    assert evidence.observations.of(season.request.key).bands == {}
    evidence.show(season)
    settled(evidence)
    figure = show.time_series.ndvi("nl", 2024, "n03", peers=True, lake=lake)
    when, values = drawn_line(figure.axes[0], "_peers")
    [line] = evidence.chart.band["lines"]
    assert not evidence.chart.band["loading"]
    assert list(pd.to_datetime([row[0] for row in line["rows"]])) == list(when.floor("s"))
    assert [row[1] for row in line["rows"]] == pytest.approx(values, abs=0)
    again = evidence.read(request("nl", 2024, "n03"))
    evidence.show(again)
    assert evidence.chart.band["lines"] == [line]  # at once


def test_too_few_peers_are_named(evidence):
    evidence.show(evidence.read(request("ms", 2022, "C")))
    settled(evidence)
    assert (evidence.chart.band["loading"], evidence.chart.band["lines"]) == (False, [])
    assert "no band of peers" in evidence.note.value


# -- what is there, and what is not -----------------------------------------------------------------------------------


def test_panels_without_data_are_not_drawn_but_named(evidence):
    season = evidence.read(request("nl", 2024, "n02"))
    evidence.show(season)
    assert [part["name"] for part in season.figure["panels"]] == ["index"]
    assert "radar backscatter, radar coherence, weather" in evidence.note.value
    season = evidence.read(request("ms", 2023, "B"))
    evidence.show(season)
    assert [part["name"] for part in season.figure["panels"]] == ["index", "bs", "weather"]
    assert "Not in this lake: radar coherence." in evidence.note.value


def test_a_parcel_without_any_look_says_so(evidence):
    season = evidence.read(request("nl", 2024, NEVER))
    drawn = evidence.show(season)
    assert drawn.key.pid == NEVER
    assert (evidence.chart.figure, evidence.chart.days) == ({}, [])
    assert "No look at this parcel yet" in evidence.note.value
    assert "wheat, 1.00 ha" in evidence.facts.value


def test_a_parcel_that_another_optical_card_saw_has_its_curve(evidence, lake):
    season = evidence.read(request("nl", 2024, LANDSAT))
    time, value, usable = points(panel(season, "index"))
    figure = show.time_series.index("nl", 2024, LANDSAT, "ndvi", card="ls", lake=lake)
    when, values = drawn_line(figure.axes[0], "cloud-free")
    assert (list(time), list(usable)) == (list(when), [True])
    assert value == pytest.approx(values, abs=0)
    assert "Landsat" in panel(season, "index")["title"]


def test_an_unknown_parcel_is_refused(evidence):
    with pytest.raises(NotFoundError, match="no parcel 'x'"):
        evidence.read(request("ms", 2023, "x"))


def test_work_due_dates_and_lights_are_in_the_figure_and_the_facts(evidence):
    season = evidence.read(request("ms", 2023, "B"))
    evidence.show(season)
    assert season.figure["events"] == [
        {"name": "mowing", "first": "2023-06-01", "day": "2023-06-05", "last": "2023-06-12"}
    ]
    assert [(line["day"], line["label"]) for line in season.figure["days"]] == [("2023-07-31", "due: mown")]
    assert "mown: red</b> no mowing &lt;seen&gt; · due 2023-07-31" in evidence.facts.value
    assert "mown: yellow → red (2023-08-01)" in evidence.facts.value
    assert "mown: - → yellow (2023-06-20)" in evidence.facts.value
    evidence.decision = "confirmed & signed"
    assert "<b>Decision</b> confirmed &amp; signed" in evidence.facts.value


def test_changes_are_counted_since_the_last_visit(lake, workspace):
    evidence = Evidence(State(), Observations(lake))
    evidence.since = MOMENT + timedelta(days=1)
    evidence.show(evidence.read(request("ms", 2023, "B")))
    assert "Changes since your last visit</b> none" in evidence.facts.value


def test_the_figure_is_said_in_a_sentence(evidence):
    evidence.show(evidence.read(request("ms", 2024, "A")))
    assert evidence.chart.label == (
        "Season of parcel A, 2024. NDVI (vegetation): 7 looks, 6 of them clear, from 0.40 to 0.52. "
        "Rain (mm a day), temperature (°C): 366 values"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_draws_and_explains_every_index(lake, workspace, language):
    evidence = Evidence(State(), Observations(lake), language=language)
    for name in INDICES:
        evidence.state.index = name
        assert evidence.index.value == name
        assert len(evidence.index.tooltip) > 40
    evidence.show(evidence.read(request("ms", 2023, "B")))
    assert evidence.chart.language == language
    assert not re.search(r"\{\w+\}", evidence.facts.value + evidence.chart.label)


def test_whatever_the_lake_can_say_has_its_words():
    texts = Texts("evidence", "en")
    states = ("green", "yellow", "red", NOT_YET_DUE, CANNOT_BE_SEEN, "agrees", "disagrees", "cannot say")
    for name in (*WORK, *states, *observation.WHY_NOT, *INDICES, *(f"{index}_tip" for index in INDICES)):
        assert texts.template(name)


# -- part of the workbench --------------------------------------------------------------------------------------------


def test_the_day_is_that_of_the_state_both_ways(evidence):
    evidence.show(evidence.read(request("ms", 2023, "B")))
    assert evidence.chart.days[:2] == ["2023-01-05", "2023-01-25"]
    evidence.state.day = "2023-01-25"
    assert evidence.chart.day == "2023-01-25"
    evidence.chart.day = "2023-01-05"
    assert evidence.state.day == "2023-01-05"


def test_what_is_drawn_is_said_and_cleared_with_the_reason(evidence):
    drawn = evidence.show(evidence.read(request("ms", 2022, "N")))
    assert (drawn.key, drawn.layer, drawn.day, drawn.as_of) == (ParcelKey("ms", 2022, "", "N"), "ndvi", None, MOMENT)
    evidence.clear("the lake <is> away")
    assert (evidence.chart.figure, evidence.chart.days, evidence.facts.value) == ({}, [], "")
    assert "the lake &lt;is&gt; away" in evidence.note.value
    evidence.clear()
    assert evidence.note.value == ""


def test_only_the_newest_start_is_shown():
    seen, begun, go = [], threading.Event(), threading.Event()
    arriving = Arriving(seen.append, seen.append)

    def slow():
        begun.set()
        go.wait(20)
        yield "old"

    first = arriving.start(slow)
    begun.wait(20)
    last = arriving.start(lambda: iter(["new", "newer"]))
    go.set()
    first.result(), last.result()
    assert seen == ["new", "newer"]


def test_a_refusal_of_what_comes_later_is_told():
    refused = []
    arriving = Arriving(lambda _: None, refused.append)

    def work():
        raise NotFoundError("gone")
        yield

    arriving.start(work).result()
    assert [str(error) for error in refused] == ["gone"]


# -- what is remembered -----------------------------------------------------------------------------------------------


class Counting:
    """A lake that counts its questions."""

    def __init__(self, lake):
        self.lake, self.asked = lake, 0

    def of(self, monkeypatch):
        query = type(self.lake).query

        def counted(lake, name, /, **params):
            self.asked += 1
            return query(lake, name, **params)

        monkeypatch.setattr(type(self.lake), "query", counted)
        return self


def test_a_prefetched_parcel_is_drawn_without_a_question(lake, workspace, monkeypatch):
    observations = Observations(lake)
    counting = Counting(lake).of(monkeypatch)
    evidence = Evidence(State(), observations)
    evidence.prefetch(
        [ParcelKey("ms", 2022, "", "C"), ParcelKey("ms", 2022, "", "gone"), ParcelKey("nl", 2024, "", "n04")]
    )
    evidence._ahead._pool.submit(lambda: None).result()
    before = counting.asked
    assert before > 8
    evidence.read(request("nl", 2024, "n04"))
    evidence.read(request("ms", 2022, "C"))
    assert counting.asked == before
    evidence.read(request("ms", 2022, "N"))
    assert counting.asked > before


def test_threads_that_ask_for_one_parcel_share_a_reading(lake, workspace):
    observations, results = Observations(lake), []
    threads = [
        threading.Thread(target=lambda: results.append(observations.of(ParcelKey("nl", 2024, "", "n07"))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(result) for result in results}) == 1


def test_only_so_many_parcels_are_remembered(lake, workspace):
    observations = Observations(lake, most=2)
    first = observations.of(ParcelKey("nl", 2024, "", "n00"))
    for pid in ("n01", "n02"):
        observations.of(ParcelKey("nl", 2024, "", pid))
    assert not observations.is_current(first)
    assert observations.of(ParcelKey("nl", 2024, "", "n00")) is not first


def test_what_somebody_extracted_meanwhile_is_drawn(workspace):
    from cbm_lake.lake import open_lake

    lake = factories.fill(open_lake(), names=("A", "B"))
    evidence = Evidence(State(), Observations(lake))
    season = evidence.read(request("ms", 2024, "0012"))
    assert evidence.observations.is_current(season.observed)
    moment = factories.day(2)
    lake.add_scenes(factories.scenes(factories.scene("C", moment)))
    rows = factories.signatures(factories.signature("0012", "C", moment, red=300, nir=900 * 3))
    factories.write(lake, rows, scene="C", finished=moment)
    assert not evidence.observations.is_current(season.observed)
    again = evidence.read(request("ms", 2024, "0012"))
    assert [len(panel(one, "index")["series"][0]["points"]) for one in (season, again)] == [2, 3]
    assert panel(again, "index")["series"][0]["points"][-1][1] == pytest.approx(0.8)
