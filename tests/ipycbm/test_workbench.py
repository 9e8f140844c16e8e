"""The workbench without a browser: what can be decided when, what is recorded, others' decisions, and the address."""

import json
import shutil
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import ipywidgets
import pytest
from bench_parts import parts
from factories import fill

from cbm_lake import cases, ipycbm, markers, qa
from cbm_lake.errors import SourceError
from cbm_lake.ipycbm import texts as page_texts
from cbm_lake.ipycbm.desk import address, bench, deciding, desks
from cbm_lake.ipycbm.desk.bench import Workbench
from cbm_lake.ipycbm.desk.state import State
from cbm_lake.ipycbm.heartbeat import Heartbeat
from cbm_lake.ipycbm.texts import LANGUAGES, Texts
from cbm_lake.lake import Lake, open_lake

pytestmark = pytest.mark.thorough


PIDS = ("1", "2", "a/b", "ü 4")
RULES = {
    "scenarios": {
        "is seen": {"due": "01-31", "rules": [{"colour": "red", "reason": "of wheat"}], "looks": 0},
        "is red too": {"due": "01-31", "rules": [{"colour": "red", "reason": "of maize"}], "looks": 0},
    }
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    lake = fill(Lake(str(tmp_path_factory.mktemp("built"))), names=[f"S{number}" for number in range(5)], pids=PIDS)
    markers.find("ms", 2024, lake=lake)
    return Path(lake.url)


@pytest.fixture
def lake(built, workspace, monkeypatch):
    shutil.copytree(built, workspace.lake_url, dirs_exist_ok=True)
    monkeypatch.setattr(page_texts, "_ON_PAGE", {})
    return open_lake()


def made(lake, **chosen):
    state = State(**{"aoi": "ms", "year": 2024, **chosen})
    page = Workbench(state, lake, parts)
    wait(lambda: page.bar.bound or page.bar.locked.startswith(("locked", "no parcel")))
    return page


def wait(happened, seconds=120):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def idle(page):
    return not any(each.loading for each in page.loader.standings().values()) and not page.decisions._busy


def press(page, choice, note="", number=None):
    number = page.bar.bound.get("number", 0) if number is None else number
    page._hear({"kind": "decide", "choice": choice, "note": note, "number": number})
    wait(lambda: idle(page))


def look(page):
    """Look whether others have decided, as the page does every few seconds."""
    page._look_again()
    wait(lambda: not page._looking.locked())


def judged(lake, **limits):
    return cases.judgements("ms", 2024, lake=lake.at(None), **limits).to_pylist()


# -- deciding ---------------------------------------------------------------------------------------------------------


def test_a_decision_is_on_what_is_drawn_and_the_next_parcel_without_one_comes(lake, monkeypatch):
    monkeypatch.setenv("HTTP_X_CBM_LAKE_WHO", "ada")
    page = made(lake, day="2024-06-12")
    first = page.state.pid
    assert page.bar.progress == "0 of 4"
    before = datetime.now(UTC)
    press(page, "confirmed", " mown ")
    wait(lambda: page.bar.bound.get("pid") not in (None, first))
    (row,) = judged(lake)
    assert (row["pid"], row["scenario"], row["decision"], row["who"]) == (first, "", "confirmed", "ada")
    assert row["note"] == "mown"
    assert row["as_of"] <= before <= row["decided"]  # of the drawing, not of the click
    assert json.loads(row["shown"])["map"]["day"] == "2024-06-12"
    assert page.bar.progress == "1 of 4"
    assert page.bar.said == f"parcel {first}: confirm, recorded"
    assert page.state.day == ""  # the next one at its own clearest day
    assert page.parts.worklist.refreshed == 1


def test_all_are_decided_one_after_the_other_and_then_it_is_said(lake):
    page = made(lake)
    for choice in ("confirmed", "refused", "photo", "undecidable"):
        wait(lambda: page.bar.bound)
        press(page, choice)
    assert sorted(row["decision"] for row in judged(lake)) == ["confirmed", "photo", "refused", "undecidable"]
    assert {row["pid"] for row in judged(lake)} == set(PIDS)
    assert page.bar.said == "every parcel of the list is decided"
    assert page.bar.progress == "4 of 4"


def test_nothing_is_recorded_on_what_is_no_longer_on_the_screen(lake):
    page = made(lake)
    old = page.bar.bound["number"]
    page.state.pid = page.parts.worklist.step(page.state.pid, 1)
    wait(lambda: page.bar.bound.get("number", old) != old)
    press(page, "confirmed", number=old)
    press(page, "confirmed", number=0)
    press(page, "no such decision")
    assert judged(lake) == []
    assert page.bar.said.startswith("not recorded")


def test_a_note_is_recorded_whole_or_not_at_all(lake):
    page = made(lake)
    press(page, "confirmed", "x" * (deciding.LONGEST_NOTE + 1))
    assert judged(lake) == []
    assert page.bar.said == "not recorded: the note has 2001 characters; at most 2000 can be recorded"
    press(page, "confirmed", "y" * deciding.LONGEST_NOTE)
    assert [row["note"] for row in judged(lake)] == ["y" * deciding.LONGEST_NOTE]


@pytest.mark.parametrize("name", ["map", "evidence", "strip"])
def test_while_anything_loads_or_failed_recording_is_locked_with_the_reason(lake, name):
    page = made(lake)
    number, part = page.bar.bound["number"], getattr(page.parts, name)
    part.gate.clear()
    part.fails = {"2": SourceError("scene s.tif is broken")}
    page.state.pid = "2"
    assert page.bar.bound == {}
    assert page.bar.locked == f"parcel 2 is loading: {page.texts(name)}" or page.texts(name) in page.bar.locked
    assert "cbm-old" in page.cells[name]._dom_classes
    page._hear({"kind": "decide", "choice": "refused", "note": "", "number": number})
    part.gate.set()
    wait(lambda: page.bar.locked.startswith("locked"))
    assert page.bar.locked == f"locked: {page.texts(name)} could not be drawn, scene s.tif is broken"
    press(page, "refused", number=number)
    assert judged(lake) == []
    page.state.pid = "1"
    wait(lambda: page.bar.bound.get("pid") == "1")
    assert "cbm-old" not in page.cells[name]._dom_classes


def test_of_clicks_in_quick_succession_the_last_is_drawn_and_decided_on(lake):
    page = made(lake)
    for pid in PIDS * 5:
        page.state.pid = pid
    wait(lambda: page.bar.bound.get("pid") == PIDS[-1])
    assert page.parts.map.value == f"drawn {PIDS[-1]}"
    press(page, "refused")
    assert [row["pid"] for row in judged(lake)] == [PIDS[-1]]


def test_two_presses_of_a_key_record_one_decision(lake):
    page = made(lake)
    number = page.bar.bound["number"]
    for _ in range(2):
        page._hear({"kind": "decide", "choice": "confirmed", "note": "", "number": number})
    wait(lambda: len(judged(lake)) == 1 and page.bar.bound.get("number", number) != number)
    assert len(judged(lake, history=True)) == 1


def test_undo_takes_back_ones_own_decisions_the_last_first(lake):
    page = made(lake)
    decided = []
    for choice in ("confirmed", "photo"):
        wait(lambda: page.bar.bound)
        decided.append(page.bar.bound["pid"])
        press(page, choice)
    for pid in reversed(decided):
        page._hear({"kind": "undo"})
        wait(lambda pid=pid: page.bar.bound.get("pid") == pid and pid not in [row["pid"] for row in judged(lake)])
    assert judged(lake) == []
    assert len(judged(lake, history=True)) == 4  # nothing is overwritten
    page._hear({"kind": "undo"})
    assert page.bar.said == "nothing was decided on this page"


def test_a_scenario_is_decided_on_where_one_is_chosen(lake):
    cases.judge("ms", 2024, "1", "refused", who="eve", lake=lake)
    page = made(lake, pid="1")
    assert page.bar.standing.startswith("decided: refuse, by eve")
    names = cases.worklist("ms", 2024, lake=lake).page()["scenario"].to_pylist()
    name = next(each for each in names if each)
    page.state.subject = name
    wait(lambda: idle(page))
    page.state.pid = cases.worklist("ms", 2024, scenario=name, lake=lake).page()["pid"][0].as_py()
    wait(lambda: page.bar.bound.get("pid") == page.state.pid and idle(page))
    press(page, "confirmed")
    assert (name, "confirmed") in [(row["scenario"], row["decision"]) for row in judged(lake)]


# -- several people ---------------------------------------------------------------------------------------------------


def test_what_another_has_just_decided_is_said_instead_of_decided_over(lake):
    page = made(lake)
    pid = page.state.pid
    cases.judge("ms", 2024, pid, "refused", who="eve", lake=lake)
    press(page, "confirmed")
    assert page.bar.said.startswith(f"not recorded: eve has just decided on parcel {pid} (refuse)")
    assert [(row["who"], row["decision"]) for row in judged(lake)] == [("eve", "refused")]
    wait(lambda: page.bar.standing.startswith("decided: refuse, by eve") and page.bar.bound)
    press(page, "confirmed")  # now with that in sight
    (row,) = judged(lake)
    assert (row["decision"], row["former_decision"], row["former_who"]) == ("confirmed", "refused", "eve")


def test_decisions_of_others_appear_when_the_page_looks_again(lake):
    page = made(lake)
    look(page)
    assert page.parts.worklist.refreshed == 0
    cases.judge("ms", 2024, page.state.pid, "photo", "by phone", who="eve", lake=lake)
    look(page)
    wait(lambda: page.bar.standing.startswith("decided: ask for a photo, by eve"))
    assert page.bar.progress == "1 of 4"
    assert page.parts.worklist.refreshed == 1
    look(page)
    assert page.parts.worklist.refreshed == 1


def test_looks_do_not_pile_up(lake, monkeypatch):
    page = made(lake)
    gate, looks = threading.Event(), []

    def slow():
        looks.append(1)
        gate.wait(20)

    monkeypatch.setattr(page, "_version", slow)
    for _ in range(20):
        page._look_again()
    gate.set()
    wait(lambda: not page._looking.locked())
    assert len(looks) <= 2


# -- the other desks --------------------------------------------------------------------------------------------------


@pytest.fixture
def sample(lake, workspace):
    listed = workspace.root / "ranked.csv"
    lines = [f"{pid},H{number},all,1,{number}" for number, pid in enumerate(PIDS, 1)]
    listed.write_text("\n".join(["gsa_par_id,gsa_hol_id,ua_grp_id,covered,ranking", *lines]), "utf-8")
    qa.sample(str(listed), extraction_id="first")
    return "first"


def test_the_desk_of_a_sample_inspects_it_and_an_undo_leads_back_since_verdicts_stay(lake, sample):
    page = made(lake, desk="sample", subject=sample)
    assert [choice["key"] for choice in page.bar.choices] == ["c", "n", "i"]
    pid = page.state.pid
    press(page, "photo")  # of another desk
    press(page, "nonconforming", "ploughed")
    rows = qa.inspections(sample, lake=lake.at(None)).to_pylist()
    assert [(row["pid"], row["verdict"], row["note"]) for row in rows] == [(pid, "nonconforming", "ploughed")]
    wait(lambda: page.bar.said == "every parcel of the list is decided" and page.bar.bound)  # the one that was drawn
    assert page.bar.standing.startswith("decided: not conforming")
    page._hear({"kind": "undo"})
    wait(lambda: "again" in page.bar.said and idle(page))
    assert page.bar.said.startswith(f"parcel {pid} again: a verdict of a sample stays in its record")
    press(page, "conforming")
    verdicts = qa.verdicts(sample, lake=lake.at(None)).to_pylist()
    assert {row["gsa_par_id"]: row["verdict"] for row in verdicts}[pid] == "conforming"
    assert len(qa.inspections(sample, lake=lake.at(None))) == 2


def test_the_desk_of_cases_closes_them_and_an_undo_opens_them_again(lake):
    cases.open_cases("ms", 2024, scenarios=["is seen"], parameters=RULES, lake=lake)
    page = made(lake, desk="cases")
    pid = page.state.pid
    press(page, "nonconforming", "not mown")
    closed = [row for row in cases.listed("ms", 2024, lake=lake.at(None)).to_pylist() if row["status"] == "closed"]
    assert [(row["pid"], row["outcome"]) for row in closed] == [(pid, "nonconforming")]
    page._hear({"kind": "undo"})
    wait(lambda: page.bar.bound.get("pid") == pid and idle(page))
    assert {row["status"] for row in cases.listed("ms", 2024, lake=lake.at(None)).to_pylist()} == {"open"}


def test_of_several_cases_of_a_parcel_none_is_closed_until_one_is_chosen(lake):
    cases.open_cases("ms", 2024, parameters=RULES, lake=lake)
    page = made(lake, desk="cases", pid="1")
    press(page, "conforming")
    assert "has several cases" in page.bar.said
    assert {row["status"] for row in cases.listed("ms", 2024, lake=lake.at(None)).to_pylist()} == {"open"}
    page.state.subject = "is seen"
    wait(lambda: idle(page) and page.bar.bound)
    press(page, "conforming")
    closed = [row for row in cases.listed("ms", 2024, lake=lake.at(None)).to_pylist() if row["status"] == "closed"]
    assert [(row["pid"], row["scenario"]) for row in closed] == [("1", "is seen")]


def test_each_desk_has_a_key_of_its_own_for_each_decision_and_a_text():
    for desk in desks.DESKS.values():
        keys = [choice.key for choice in desk.choices.values()]
        assert len(set(keys)) == len(keys)
        assert not {"u", "m", "N", "/", "?"} & set(keys)
        for name in desk.choices:
            assert Texts("bench", "fr")(name)


# -- the address ------------------------------------------------------------------------------------------------------


def asked(monkeypatch, **values):
    from urllib.parse import urlencode

    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5")
    monkeypatch.setenv("QUERY_STRING", urlencode(values))


@pytest.fixture
def plain_parts(monkeypatch):
    monkeypatch.setattr(bench, "_parts", parts)


CHOSEN = {
    "desk": "cases",
    "subject": "is seen",
    "aoi": "ms",
    "year": 2024,
    "pid": "a/b",
    "day": "2024-06-12",
    "compared": "2024-05-01",
    "layer": "B08, B04, B03",
    "index": "ndwi",
    "where": "area_ha > 0 and crop <> 'x & y'",
    "sort": "-area_ha",
}


def test_a_link_restores_what_was_chosen():
    state = State(**CHOSEN)
    restored = State()
    assert address.restore(restored, address.parsed(address.link_of(state))) == {}
    assert {name: getattr(restored, name) for name in CHOSEN} == CHOSEN
    assert address.values_of(State()) == dict.fromkeys(address.ADDRESS, "")


def test_a_page_begins_with_what_its_address_asks_for(lake, plain_parts, monkeypatch):
    asked(monkeypatch, aoi="MS", year="2024", pid="a/b", day="2024-06-12", utm_source="mail", lang="de")
    page = ipycbm.workbench()
    wait(lambda: page.bar.bound)
    assert (page.state.pid, page.state.day) == ("a/b", "2024-06-12")
    assert page.bar.what == "Parzelle a/b · Bild vom 2024-06-12"
    assert page.address.own
    written = page.address.written
    assert (written["pid"], written["lang"], written["desk"]) == ("a/b", "de", "")
    page.state.pid = "1"
    assert page.address.written["pid"] == "1"
    assert page.address.written["day"] == ""


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"year": "2O24"}, "2O24"),
        ({"year": "99999"}, "99999"),
        ({"desk": "<img src=x onerror=alert(1)>"}, "<img src=x onerror=alert(1)>"),
        ({"day": "12.6.2024"}, "12.6.2024"),
        ({"index": "no'; drop table"}, "drop table"),
        ({"pid": "<script>1</script>"}, "<script>1</script>"),
        ({"pid": "1\n2"}, "1\\n2"),
        ({"aoi": "elsewhere"}, "elsewhere"),
        ({"aoi": "ms", "year": "2019"}, "2019"),
        ({"aoi": "ms", "year": "2024", "ptype": "trees"}, "trees"),
    ],
)
def test_what_a_link_names_and_there_is_not_is_said_by_name_and_left_out(lake, plain_parts, monkeypatch, values, named):
    asked(monkeypatch, **values)
    page = ipycbm.workbench()
    wait(lambda: page.bar.bound)
    assert named in page.bar.said
    assert page.state.pid in PIDS
    assert (page.state.aoi, page.state.year, page.state.desk) == ("ms", 2024, "season")


def test_in_a_notebook_the_arguments_count_and_the_address_is_left_alone(lake, plain_parts):
    page = ipycbm.workbench("ms", 2024, pid="2", desk="season")
    wait(lambda: page.bar.bound.get("pid") == "2")
    assert not page.address.own
    assert not page.bar.own


def test_a_lake_without_parcels_says_so(workspace):
    widget = ipycbm.workbench()
    assert isinstance(widget, ipywidgets.HTML)
    assert "no parcels have been loaded yet" in widget.value


# -- language, heartbeat ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_is_said_in_the_chosen_language_and_goes_on_working(lake, language):
    page = made(lake)
    pid = page.state.pid
    page.top.language.value = language
    wait(lambda: page.bar.bound.get("pid") == pid)
    texts = Texts("bench", language)
    assert [choice["label"] for choice in page.bar.choices] == [
        texts(name) for name in ("confirmed", "refused", "photo", "undecidable")
    ]
    assert page.top.desk.description == texts("desk")
    press(page, "photo")
    assert page.bar.said == texts("recorded", pid=pid, decision=texts("photo"))


def test_a_heartbeat_tells_that_somebody_looks_and_nothing_else_does(lake):
    beats = []
    heart = Heartbeat(Texts("bench"), lambda: beats.append(1))
    for content in ({"kind": "beat"}, {"kind": "other"}, {}):
        heart._hear(heart, content, [])
    assert beats == [1]


def test_the_data_sets_are_offered_and_another_one_begins_with_its_own_first_parcel(lake):
    fill(lake, names=["S9"], pids=("x", "y"), ptype="trees")
    page = made(lake, pid="2")
    assert [name for name, _ in page.top.set.options] == ["ms 2024", "ms 2024 trees"]
    page.top.set.value = ("ms", 2024, "trees")
    wait(lambda: page.bar.bound.get("pid") == "x")
    assert page.bar.progress == "0 of 2"
    press(page, "confirmed")
    assert cases.judgements("ms", 2024, "trees", lake=lake.at(None))["pid"].to_pylist() == ["x"]
    assert cases.judgements("ms", 2024, "", lake=lake.at(None)).num_rows == 0
