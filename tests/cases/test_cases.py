"""Cases from their opening to their end: who decided what, and that no decision of several people is lost."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely
import yaml
from factories import degrees, fill, outline, parcels, scene, scenes, signature, signatures, write
from PIL import Image
from pypdf import PdfReader
from test_photos import CLOCK, tags_of
from typer.testing import CliRunner

from cbm_lake import backup, cases, markers, report
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.files import clock
from cbm_lake.lake import Lake, open_lake, schemas
from cbm_lake.report import evidence

pytestmark = pytest.mark.thorough


RULES = {
    "scenarios": {
        "is seen": {"due": "01-31", "rules": [{"colour": "red", "reason": "of wheat"}], "looks": 0},
        "is yellow": {"due": "01-31", "rules": [{"colour": "yellow", "reason": "perhaps"}], "looks": 0},
    }
}
PIDS = ("1", "2", "a/b")
SOON = clock.now().date() + timedelta(days=30)
"""A day until which an answer can be expected."""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A lake of three parcels that were seen every tenth day, with their markers."""
    lake = fill(Lake(str(tmp_path_factory.mktemp("built"))), names=[f"S{number}" for number in range(9)], pids=PIDS)
    markers.find("ms", 2024, lake=lake)
    return Path(lake.url)


@pytest.fixture
def seen(built, workspace):
    """A copy of that lake as the lake of the workspace."""
    shutil.copytree(built, workspace.lake_url, dirs_exist_ok=True)
    return open_lake()


def opened(**others):
    return cases.open_cases("ms", 2024, **{"scenarios": ["is seen"], "parameters": RULES, **others})


def ids(table):
    return table["case_id"].to_pylist()


def test_a_case_is_opened_once_for_each_red_light(seen):
    first = opened(who="ann", note="look here")
    assert first["pid"].to_pylist() == sorted(PIDS)
    assert set(first["status"].to_pylist()) == {"open"}
    assert (first["colour"][0].as_py(), first["reason"][0].as_py()) == ("red", "of wheat")
    assert first["day"][0].as_py() == date(2024, 3, 21)
    assert opened().num_rows == 0
    assert opened(scenarios=["is yellow"]).num_rows == 0
    assert opened(scenarios=["is yellow"], colours="yellow", pids=["2"])["pid"].to_pylist() == ["2"]
    assert cases.listed("ms", 2024).num_rows == 4
    assert cases.listed("MS", 2024, scenarios="is yellow", lake=Lake(seen.url)).num_rows == 1


def test_a_case_goes_its_way_and_every_step_stays(seen):
    case = ids(opened(pids=["2"], who="ann"))[0]
    cases.notify(case, answer_by=SOON, who="bob")
    cases.answer(case[:6], "mown on 3 July", who="farmer")
    cases.answer(case, "and again on 9 August", who="farmer")
    closed = cases.close(case, "nonconforming", who="cleo")
    assert (closed["status"][0].as_py(), closed["outcome"][0].as_py()) == ("closed", "nonconforming")
    cases.reopen(case, "a photo came by post", who="ann")
    (row,) = cases.listed("ms", 2024).to_pylist()
    assert (row["status"], row["outcome"], row["number"]) == ("open", None, 6)
    history = cases.history(case)
    assert history["who"].to_pylist() == ["ann", "bob", "farmer", "farmer", "cleo", "ann"]
    assert history["status"].to_pylist() == ["open", "notified", "answered", "answered", "closed", "open"]
    assert history["answer_by"][1].as_py() == SOON


@pytest.mark.parametrize(
    ("steps", "refused"),
    [
        ([], lambda case: cases.answer(case, "yes")),
        ([], lambda case: cases.reopen(case, "why")),
        ([cases.notify], cases.notify),
        ([lambda case: cases.close(case, "conforming")], lambda case: cases.close(case, "nonconforming")),
        ([lambda case: cases.close(case, "conforming")], cases.notify),
    ],
)
def test_a_step_that_does_not_follow_is_refused_by_who_was_first(seen, steps, refused):
    case = ids(opened(pids=["1"], who="ann"))[0]
    for step in steps:
        step(case)
    before = cases.history(case)
    with pytest.raises(InvalidInputError, match=case):
        refused(case)
    assert cases.history(case).equals(before)


def test_of_many_cases_all_are_decided_or_none(seen):
    names = ids(opened())
    cases.close(names[1], "conforming", who="bob")
    with pytest.raises(InvalidInputError, match="bob"):
        cases.notify(names)
    assert cases.listed("ms", 2024)["status"].to_pylist().count("open") == 2


def test_who_decides_between_a_look_and_a_commit_is_not_overwritten(seen, monkeypatch):
    case = ids(opened(pids=["1"]))[0]
    look, others = cases.record.check_status, iter([lambda: cases.close(case, "conforming", who="bob")])

    def slowly(rows, status):
        look(rows, status)
        next(others, lambda: None)()

    monkeypatch.setattr(cases.record, "check_status", slowly)
    with pytest.raises(InvalidInputError, match="bob"):
        cases.close(case, "nonconforming", who="ann")
    assert cases.history(case)["outcome"].to_pylist() == [None, "conforming"]


ANSWERS = """
import sys
from cbm_lake import cases
for number in range(4):
    cases.answer(sys.argv[1], f"{sys.argv[2]} {number}", who=sys.argv[2])
"""


@pytest.mark.slow
def test_no_decision_of_several_people_at_once_is_lost(seen):
    first, second = ids(opened(pids=["1", "2"]))
    cases.notify([first, second])
    people = [("ann", first), ("bob", second), ("cleo", first)]
    running = [subprocess.Popen([sys.executable, "-c", ANSWERS, case, who]) for who, case in people]
    assert [process.wait() for process in running] == [0, 0, 0]
    for case in (first, second):
        history = cases.history(case).to_pylist()
        assert [row["number"] for row in history] == list(range(1, len(history) + 1))
        notes = {row["note"] for row in history if row["status"] == "answered"}
        assert notes == {f"{who} {number}" for who, of in people if of == case for number in range(4)}


def test_there_is_no_case_of_an_unknown_or_doubtful_name(seen):
    names = ids(opened())
    for name in ("zzzz", ""):
        with pytest.raises(NotFoundError, match="cases list"):
            cases.history(name)
    common = [name for name in names if name[0] == names[0][0]]
    if len(common) > 1:
        with pytest.raises(NotFoundError, match="begin"):
            cases.history(names[0][0])
    assert cases.history(names[0]).num_rows == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda case: cases.close(case, "fine"),
        lambda case: cases.reopen(case, " "),
        cases.answer,
        lambda case: cases.listed("ms", 2024, statuses="lost"),
        lambda case: cases.notify(case, answer_by="soon"),
        lambda case: cases.notify(case, answer_by="2024-09-01"),
        lambda case: cases.notices(case, "notices.csv", answer_by=clock.now().date() - timedelta(days=1)),
        lambda case: cases.reschedule(case, SOON, "why"),
        lambda case: cases.open_cases("ms", 2024, colours="purple"),
        lambda case: cases.open_cases("ms", 2024, scenarios="there is none"),
        lambda case: cases.notices(case, "notices.docx"),
    ],
)
def test_absurd_input_is_refused_in_a_line_and_leaves_all_as_it_was(seen, call):
    case = ids(opened(pids=["1"]))[0]
    with pytest.raises(InvalidInputError) as caught:
        call(case)
    assert "\n" not in str(caught.value)
    assert cases.history(case).num_rows == 1


# -- photos -----------------------------------------------------------------------------------------------------------


def photo(path, x, y, *, colour=(10, 90, 20), inside=CLOCK):
    image, exif = Image.new("RGB", (6, 4), colour), Image.Exif()
    exif[0x8825], exif[0x8769] = tags_of(*degrees(x, y)), dict(inside)
    image.save(path, "PNG", exif=exif)
    return str(path)


def now_clock():
    taken = datetime.now(UTC) - timedelta(seconds=1)
    return {0x9003: f"{taken:%Y:%m:%d %H:%M:%S}", 0x9011: "+00:00"}


def test_a_photo_is_stored_and_compared_with_parcel_and_notice(seen, tmp_path, monkeypatch):
    first, second = ids(opened(pids=["1", "2"]))
    monkeypatch.setattr(clock, "now", lambda: datetime(2024, 7, 1, 8, tzinfo=UTC))
    cases.notify([first, second])
    monkeypatch.setattr(clock, "now", lambda: datetime(2024, 7, 9, 8, tzinfo=UTC))
    middle, far = outline(0).centroid, outline(2).centroid
    good = photo(tmp_path / "good.png", middle.x, middle.y)
    cases.answer(first, files=[good, photo(tmp_path / "far.png", far.x, far.y, colour=(1, 2, 3))])
    cases.answer(second, "the same", files=good)
    inside, outside = cases.history(first)["photos"][-1].as_py()
    assert (inside["distance"], inside["contradictions"]) == (0, [])
    assert outside["distance"] == pytest.approx(170, abs=1)
    assert outside["contradictions"] == ["it was taken 170 m from the parcel"]
    (copied,) = cases.history(second)["photos"][-1].as_py()
    assert "the same picture was handed in for parcel 1" in copied["contradictions"]
    assert cases.listed("ms", 2024, pids="1")["contradictions"].to_pylist() == [1]
    stored = cases.save_photo(first, "good.png", tmp_path / "out")
    assert stored.read_bytes() == Path(good).read_bytes()
    with pytest.raises(NotFoundError, match=r"other\.png"):
        cases.save_photo(first, "other.png", tmp_path / "out")


def test_photos_are_in_a_backup_and_no_vacuum_takes_them(seen, tmp_path):
    case = ids(opened(pids=["1"]))[0]
    cases.notify(case)
    cases.answer(case, files=photo(tmp_path / "a.png", *outline(0).centroid.coords[0]))
    seen.vacuum(0)
    assert cases.save_photo(case, "a.png", tmp_path / "out").exists()
    backup(tmp_path / "copy", lake=seen)
    assert cases.save_photo(case, "a.png", tmp_path / "again", lake=Lake(str(tmp_path / "copy"))).exists()


# -- lineage and replay -----------------------------------------------------------------------------------------------


def test_a_case_stays_with_its_geometry_when_parcels_are_declared_anew(seen):
    opened()
    renamed = parcels(("N1", "N2", "a/b"), [("wheat", "1")] * 3)
    seen.add_parcels("ms", 2024, "", "v2", renamed)
    rows = cases.listed("ms", 2024, lake=Lake(seen.url)).to_pylist()
    assert {row["pid"]: row["pids_now"] for row in rows} == {"1": ["N1"], "2": ["N2"], "a/b": ["a/b"]}
    markers.find("ms", 2024)
    assert reopened(Lake(seen.url)).num_rows == 0


def redeclared(lake, **shapes):
    """Load the parcels anew, with other identifiers and geometries, and search them."""
    table = parcels(tuple(shapes), [("wheat", "1")] * len(shapes))
    place = table.schema.get_field_index("geometry")
    table = table.set_column(place, table.schema.field(place), [[shape.wkb for shape in shapes.values()]])
    lake.add_parcels("ms", 2024, "", "v2", table)
    markers.find("ms", 2024)
    return Lake(lake.url)


def reopened(lake):
    """Open cases for lights of every colour: of parcels that nobody has looked at yet, too."""
    return opened(lake=lake, colours=list(markers.COLOURS))


def test_parts_of_a_divided_parcel_are_named_by_their_size_and_get_no_further_case(seen):
    opened(pids=["1"])
    west, south, east, north = outline(0).bounds
    parts = {"small": shapely.box(west, south, west + 30, north), "large": shapely.box(west + 30, south, east, north)}
    lake = redeclared(seen, **parts, off=outline(9))
    assert cases.listed("ms", 2024, lake=lake)["pids_now"].to_pylist() == [["large", "small"]]
    assert reopened(lake)["pid"].to_pylist() == ["off"]


def test_a_parcel_that_is_redrawn_gets_no_further_case_under_its_identifier(seen):
    opened(pids=["1"])
    west, south, east, north = outline(0).bounds
    around = shapely.box(west - 100, south - 100, east + 100, north + 100)
    lake = redeclared(seen, **{"1": around, "other": around})
    assert reopened(lake)["pid"].to_pylist() == ["other"]


def test_an_identifier_that_is_given_to_another_parcel_gets_its_own_case(seen):
    opened(pids=["1"])
    assert reopened(redeclared(seen, **{"1": outline(9)}))["pid"].to_pylist() == ["1"]


def test_invalid_geometries_are_repaired_before_they_are_compared(seen):
    opened(pids=["1"])
    west, south, east, north = outline(0).bounds
    bow = shapely.Polygon([(west, south), (east, north), (east, south), (west, north)])
    lake = redeclared(seen, bow=bow)
    assert reopened(lake).num_rows == 0
    assert cases.listed("ms", 2024, lake=lake)["pids_now"].to_pylist() == [["bow"]]


def test_what_opened_a_case_is_judged_again_as_of_then(seen, tmp_path):
    case = ids(opened(pids=["1"]))[0]
    assert cases.verify(case).equal
    seen.add_scenes(scenes(scene("late", datetime(2024, 3, 25, 10, tzinfo=UTC))))
    write(seen, signatures(signature("1", "late", datetime(2024, 3, 25, 10, tzinfo=UTC))), scene="late")
    markers.find("ms", 2024)
    assert cases.verify(case).equal
    cases.notify(case)
    cases.answer(case, files=photo(tmp_path / "a.png", *outline(0).centroid.coords[0], inside=now_clock()))
    (stored,) = (tmp_path / "data" / "lake" / "photos").iterdir()
    stored.write_bytes(stored.read_bytes()[:-1] + b"x")
    assert cases.verify(case).differences == ("photo a.png is not the one that was handed in",)
    stored.unlink()
    assert cases.verify(case).differences == ("photo a.png is gone",)


def test_a_decision_that_was_changed_in_the_table_is_found_by_the_replay(seen):
    case = ids(opened(pids=["1"]))[0]
    (row,) = cases.history(case).to_pylist()
    forged = {**row, "colour": "green", "number": 2, "status": "closed"}
    seen.decide(lambda: pa.Table.from_pylist([forged], schema=schemas.DECISIONS))
    assert cases.verify(case).differences == ("colour was green, and is red when judged again as of then",)


def test_decisions_that_cannot_follow_each_other_are_found_by_the_replay(seen):
    case, other = ids(opened(pids=["1", "2"]))
    cases.notify([case, other])
    (_, notified) = cases.history(case).to_pylist()
    for number, status in ((3, "open"), (4, "notified")):
        row = {**notified, "number": number, "status": status, "who": "mallory", "answer_by": None}
        seen.decide(lambda row=row: pa.Table.from_pylist([row], schema=schemas.DECISIONS))
    assert cases.verify(case).differences == ("decision 3 (open, mallory) cannot follow notified",)
    gap = {**cases.history(other).to_pylist()[1], "number": 4}
    seen.decide(lambda: pa.Table.from_pylist([gap], schema=schemas.DECISIONS))
    assert cases.verify(other).differences == ("decision 3 is not there; number 4 stands in its place",)


# -- until when an answer is expected ----------------------------------------------------------------------------------


def test_a_day_that_is_past_is_refused_by_name_and_today_is_not(seen):
    case = ids(opened(pids=["1"]))[0]
    today = clock.now().date()
    with pytest.raises(InvalidInputError, match=rf"answer_by=2024-09-01 is past.*: give {today} or a later day"):
        cases.notify(case, answer_by="2024-09-01")
    cases.notify(case, answer_by=today)
    for day in (today - timedelta(days=1), "2023-01-01", "soon"):
        with pytest.raises(InvalidInputError):
            cases.reschedule(case, day, "why")
    with pytest.raises(InvalidInputError, match="say why"):
        cases.reschedule(case, SOON, " ")
    assert cases.history(case).num_rows == 2


def test_another_day_is_a_decision_of_its_own_and_changes_nothing_else(seen, tmp_path):
    first, second = ids(opened(pids=["1", "2"]))
    cases.notify([first, second], answer_by=SOON, who="ann")
    before = cases.listed("ms", 2024).to_pylist()
    later = SOON + timedelta(days=14)
    moved = cases.reschedule([first, second], later, "hay weather", who="bob").to_pylist()
    assert [(row["status"], row["answer_by"], row["who"], row["note"]) for row in moved] == [
        ("notified", later, "bob", "hay weather")
    ] * 2
    assert [row["notified"] for row in moved] == [row["notified"] for row in before]
    history = cases.history(first)
    assert history["answer_by"].to_pylist() == [None, SOON, later]
    assert history["who"].to_pylist()[1:] == ["ann", "bob"]
    (file,) = cases.notices(first, tmp_path / "again.parquet", record_it=False)
    assert gpd.read_parquet(file)["answer_by"].tolist() == [later]
    assert cases.verify(first).equal
    cases.answer(first, "mown")
    with pytest.raises(InvalidInputError, match=r"is answered, by .* and cannot be given another date"):
        cases.reschedule([second, first], SOON, "why")
    assert cases.history(second).num_rows == 3
    cases.notify(first)
    assert cases.listed("ms", 2024, pids="1")["answer_by"].to_pylist() == [None]


def test_who_gives_a_date_without_having_seen_another_is_refused(seen, monkeypatch):
    case = ids(opened(pids=["1"]))[0]
    cases.notify(case, answer_by=SOON)
    look, others = cases.record.check_status, iter([lambda: cases.reschedule(case, SOON, "first", who="bob")])

    def slowly(rows, status):
        look(rows, status)
        next(others, lambda: None)()

    monkeypatch.setattr(cases.record, "check_status", slowly)
    with pytest.raises(InvalidInputError, match=f"meanwhile bob on .* decided on case {case}"):
        cases.reschedule(case, SOON + timedelta(days=1), "second", who="ann")
    assert cases.history(case)["note"].to_pylist() == ["", "", "first"]


DATES = """
import sys
from cbm_lake import cases
from cbm_lake.errors import InvalidInputError
for number in range(4):
    while True:
        try:
            cases.reschedule(sys.argv[1], sys.argv[3], f"{sys.argv[2]} {number}", who=sys.argv[2])
        except InvalidInputError as error:
            assert "meanwhile" in str(error), error
        else:
            break
"""


@pytest.mark.slow
def test_no_date_that_several_people_give_at_once_is_lost(seen):
    case = ids(opened(pids=["1"]))[0]
    cases.notify(case, answer_by=SOON)
    people = ("ann", "bob", "cleo")
    running = [subprocess.Popen([sys.executable, "-c", DATES, case, who, f"{SOON}"]) for who in people]
    assert [process.wait() for process in running] == [0, 0, 0]
    history = cases.history(case).to_pylist()
    assert [row["number"] for row in history] == list(range(1, 15))
    assert {row["note"] for row in history[2:]} == {f"{who} {number}" for who in people for number in range(4)}
    assert cases.verify(case).equal


# -- notices and the command line -------------------------------------------------------------------------------------


def test_notices_are_a_table_or_reports_and_recorded_once_they_are_whole(seen, tmp_path):
    names = ids(opened())
    (file,) = cases.notices(names[:2], tmp_path / "notices.gpkg", answer_by=SOON, who="ann")
    layer = gpd.read_file(file)
    assert sorted(layer["case_id"]) == sorted(names[:2])
    assert layer.geometry.iloc[0].equals(outline(0)) or layer.geometry.iloc[0].equals(outline(1))
    with pytest.raises(InvalidInputError, match="notified"):
        cases.notices(names, tmp_path / "again.csv")
    assert not (tmp_path / "again.csv").exists()
    (pdf,) = cases.notices(names[2], tmp_path / "pdf")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert report.verify(pdf, redraw=False).equal
    digests = cases.history(names[2])["notice"].to_pylist()
    assert [digest and len(digest) for digest in digests] == [None, 64]
    assert pc.all(pc.equal(cases.listed("ms", 2024)["status"], "notified")).as_py()


def test_a_table_of_notices_says_what_the_farmer_needs_and_nothing_of_colleagues(seen, tmp_path):
    case = ids(opened(pids=["1"], who="ann", note="cousin of the mayor"))
    (file,) = cases.notices(case, tmp_path / "notices.parquet", answer_by=SOON, who="bob", note="be polite")
    (row,) = gpd.read_parquet(file).to_dict("records")
    parcel = ["aoi", "year", "pid", "crop_name", "area_m2"]
    assert list(row) == ["case_id", *parcel, "scenario", "colour", "reason", "day", "answer_by", "epsg", "geometry"]
    assert (row["pid"], row["crop_name"], row["area_m2"]) == ("1", "wheat", pytest.approx(10_004))
    assert (row["reason"], row["answer_by"]) == ("of wheat", SOON)
    assert not any(word in str(row) for word in ("ann", "bob", "mayor", "polite"))


@pytest.mark.parametrize("suffix", [".csv", ".gpkg"])
def test_a_table_of_notices_has_the_day_until_which_to_answer(seen, tmp_path, suffix):
    (file,) = cases.notices(ids(opened(pids=["1"])), tmp_path / f"notices{suffix}", answer_by=SOON)
    table = pd.read_csv(file) if suffix == ".csv" else gpd.read_file(file)
    assert [str(day)[:10] for day in table["answer_by"]] == [f"{SOON}"]


NEIGHBOURS = ("own-4711", "other-4712", "other-4713")


@pytest.fixture
def among_neighbours(workspace):
    """A lake of the workspace whose parcels have the same crop and identifiers that stand nowhere else."""
    lake = fill(open_lake(), names=[f"S{number}" for number in range(9)], pids=NEIGHBOURS)
    markers.find("ms", 2024, lake=lake)
    return lake


def test_a_notice_says_first_what_is_asked_until_when_and_how_and_names_no_other_parcel(among_neighbours, tmp_path):
    (case,) = ids(opened(pids=NEIGHBOURS[:1]))
    (file,) = cases.notices(case, tmp_path / "pdf", answer_by=SOON, note="about the <north> & #east")
    pages = [" ".join(page.extract_text().split()) for page in PdfReader(file).pages]
    first = pages[0][: pages[0].index("declared in")]
    asked = (NEIGHBOURS[0], "is seen", "of wheat (red", f"by {SOON:%-d %B %Y}", case, "about the <north> & #east")
    assert [text for text in asked if text not in first] == []
    everything = " ".join([*pages, json.dumps(evidence.read(file)), PdfReader(file).metadata.title])
    assert not any(pid in everything for pid in NEIGHBOURS[1:])
    assert "same crop" not in everything
    usual = report.parcel("ms", 2024, NEIGHBOURS[0], folder=tmp_path, formats="json").files["json"]
    assert all(pid in usual.read_text() for pid in NEIGHBOURS[1:])
    assert report.verify(file).equal


def test_a_notice_without_a_new_day_has_the_one_that_is_recorded_or_says_that_there_is_none(seen, tmp_path):
    (case,) = ids(opened(pids=["1"]))
    (file,) = cases.notices(case, tmp_path / "none", record_it=False)
    assert "no day is set" in PdfReader(file).pages[0].extract_text()
    cases.notify(case, answer_by=SOON)
    (file,) = cases.notices(case, tmp_path / "recorded", record_it=False)
    assert f"by {SOON:%-d %B %Y}" in PdfReader(file).pages[0].extract_text()
    assert report.verify(file, redraw=False).equal


def test_a_notice_whose_day_was_changed_in_its_evidence_does_not_verify(seen, tmp_path):
    (case,) = ids(opened(pids=["1"]))
    (file,) = cases.notices(case, tmp_path, answer_by=SOON)
    document = evidence.read(file)
    document["others"]["notice"]["answer_by"] = "2099-01-01"
    (tmp_path / "forged.json").write_text(json.dumps(document))
    assert not report.verify(tmp_path / "forged.json", redraw=False).equal


def run(*words):
    return CliRunner().invoke(app, ["cases", *words])


def test_a_case_from_light_to_end_on_the_command_line(seen, tmp_path):
    scenario = ["--aoi", "ms", "--year", "2024", "--scenario", "looks as declared"]
    assert "0 cases were opened" in run("open", *scenario).output
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES))
    own = ["--parameters", str(tmp_path / "rules.yaml"), "--scenario", "is seen", "--pid", "1"]
    assert "1 case was opened" in run("open", "--aoi", "ms", "--year", "2024", *own).output
    (case,) = ids(cases.listed("ms", 2024))
    assert opened(pids=["1"]).num_rows == 0
    assert cases.history(case)["parameters"][0].as_py() == json.dumps(RULES, sort_keys=True)
    assert case in run("list", "--aoi", "ms", "--format", "csv").output
    assert str(tmp_path / "n.csv") in run("notify", case[:8], "--to", str(tmp_path / "n.csv")).output
    refused = run("reschedule", case, "--answer-by", "2024-09-01", "--note", "why")
    assert "answer_by=2024-09-01 is past" in str(refused.exception)
    until = run("reschedule", case, "--answer-by", f"{SOON}", "--note", "hay weather")
    assert f"1 case is to be answered by {SOON}" in until.output
    answer = run("answer", case, "--photo", photo(tmp_path / "a.png", *outline(0).centroid.coords[0]))
    assert "photo a.png: it was taken" in answer.output
    assert "1 case is closed" in run("close", case, "--outcome", "conforming").output
    assert "1 case is open again" in run("reopen", case, "--note", "why").output
    verified = run("verify", case)
    assert (verified.exit_code, "all is as it was recorded" in verified.output) == (0, True)
