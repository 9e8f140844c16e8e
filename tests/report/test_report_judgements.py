"""Reports of parcels that were judged: what stands is on every page, and every forgery of what was decided is found."""

import json
import shutil
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from factories import copied, parcels
from pptx import Presentation
from pypdf import PdfReader
from test_report_forged import resealed
from typer.testing import CliRunner

from cbm_lake import cases, report
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, open_lake, schemas
from cbm_lake.report import evidence, figures
from cbm_lake.report.notice import Notice

pytestmark = pytest.mark.thorough


MOWN = "grassland is mown"
SETS = (("ms", 2024, ""), ("ms", 2024, "m"), ("be", 2023, ""))
DRAWN = {"pid": "1", "day": "2024-05-20", "scene": "S2A_X", "layer": "true colour", "index": "ndvi", "peers": None}


@pytest.fixture
def plain(monkeypatch):
    """Without figures, which take long."""
    monkeypatch.setattr(figures, "draw", lambda *_, **__: ({}, dict.fromkeys(evidence.FIGURES, "left out"), ""))
    monkeypatch.setattr(sys.modules["cbm_lake.report.slides"], "FIGURES", {})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A parcel of three sets, judged by two people in one of them: a scenario twice, the whole once."""
    lake = Lake(str(tmp_path_factory.mktemp("prepared")))
    for aoi, year, ptype in SETS:
        lake.add_parcels(aoi, year, ptype, f"{aoi}{year}{ptype}", parcels(("1", "2"), [("wheat", "1")] * 2))
    light = {"aoi": "ms", "year": 2024, "ptype": "", "kind": "light", "pid": "1", "scenario": MOWN, "after": "red"}
    light |= {"reason": "no mowing until 1 July", "due": date(2024, 7, 1), "day": date(2024, 6, 1), "version": "x"}
    rows = pa.Table.from_pylist([{**light, "recorded": datetime(2024, 6, 2, tzinfo=UTC)}], schema=schemas.CHANGES)
    lake.record_changes(lake.parcel_set("ms", 2024), lambda: rows)
    for pid, ptype, decision, who, others in (
        ("1", None, "confirmed", "ann", {"scenario": MOWN}),
        ("1", None, "photo", "bob", {"scenario": MOWN, "note": "grazed?", "shown": DRAWN}),
        ("1", None, "undecidable", "ann", {}),
        ("1", "m", "refused", "SECRET", {}),
        ("2", None, "refused", "SECRET", {}),
    ):
        cases.judge("ms", 2024, pid, decision, ptype=ptype, who=who, lake=lake, **others)
    cases.judge("be", 2023, "1", "refused", who="SECRET", lake=lake)
    return lake


@pytest.fixture
def lake(prepared, workspace, plain):
    """The workspace's lake, a copy of it."""
    return copied(prepared, open_lake())


def made(tmp_path, form="json", **others):
    return report.parcel("ms", 2024, "1", folder=tmp_path, formats=form, **others).files[form]


def texts(file):
    if file.suffix == ".pdf":
        return " ".join("".join(page.extract_text() for page in PdfReader(file).pages).split())
    if file.suffix == ".pptx":
        shapes = [shape for slide in Presentation(file).slides for shape in slide.shapes]
        return " ".join(shape.text_frame.text for shape in shapes if shape.has_text_frame)
    return file.read_text()


def test_every_page_says_what_stands_by_whom_of_which_light_and_what_was_on_the_screen(lake, tmp_path):
    files = [made(tmp_path, form) for form in ("pdf", "html")]
    for file in (*files, report.slides("ms", 2024, "1", file=tmp_path / "a.pptx")):
        said = texts(file)
        assert "a photo is asked of the farmer, by bob" in said, file
        assert "the light was red: no mowing until 1 July, final from 1 July 2024 on; note: grazed?" in said
        assert "day 2024-05-20, index ndvi, layer true colour, pid 1, scene S2A_X" in said
        assert "it cannot be decided, by ann" in said
        assert "1 earlier entries are in the evidence" in said
        assert "SECRET" not in said
    assert all(report.verify(file).equal for file in files)
    history = evidence.read(files[0])["facts"]["judgements"]
    assert [(row["scenario"], row["number"], row["decision"], row["stands"]) for row in history] == [
        ("", 1, "undecidable", True),
        (MOWN, 1, "confirmed", False),
        (MOWN, 2, "photo", True),
    ]


def test_a_report_stays_true_when_more_is_decided_withdrawn_and_declared_anew(lake, tmp_path):
    file = made(tmp_path, "html")
    cases.withdraw("ms", 2024, "1", scenario=MOWN, who="bob")
    cases.judge("ms", 2024, "1", "refused", scenario=MOWN, who="ann")
    lake.add_parcels("ms", 2024, "", "v2", parcels(("1", "2"), [("maize", "2")] * 2))
    assert report.verify(file).equal
    again = made(tmp_path / "again", "html")
    assert "refused, by ann" in texts(again)
    assert "another crop is declared by now" in texts(again)
    assert report.verify(again).equal


def test_a_parcel_that_nobody_judged_says_nothing_and_a_notice_nothing_of_colleagues(lake, tmp_path):
    notice = Notice("case-1", MOWN, "red", "no mowing", date(2024, 6, 1), None)
    file = made(tmp_path, "html", notice=notice)
    assert "grazed?" not in texts(file)
    assert report.verify(file).equal
    file = report.parcel("be", 2023, "2", folder=tmp_path, formats="html").files["html"]
    assert "Judgements" not in texts(file)
    assert "judgements" not in evidence.read(file)["facts"]


def whole(notice="", reason="looks odd"):
    return Notice("case-1", notice, "red", reason, date(2024, 6, 1), None)


def test_a_notice_of_a_declaration_as_a_whole_says_so(lake, tmp_path):
    assert "the declaration as a whole" in texts(made(tmp_path, "html", notice=whole()))


# -- forgeries ---------------------------------------------------------------------------------------------------------


def decision(row):
    row["decision"] = "confirmed"


def person(row):
    row["who"] = "mallory"


def note(row):
    row["note"] = ""


def light(row):
    row["colour"] = "green"


def drawn(row):
    row["shown"] = None


@pytest.mark.parametrize("forge", [decision, person, note, light, drawn])
def test_evidence_of_which_a_judgement_was_changed_does_not_verify(lake, tmp_path, forge):
    document = evidence.read(made(tmp_path))
    forge(document["facts"]["judgements"][-1])
    file = tmp_path / "forged.json"
    file.write_text(json.dumps(resealed(document)))
    verdict = report.verify(file)
    assert verdict.status == 1
    assert any("judgement" in text for text in verdict.differences)


@pytest.mark.parametrize("gone", [[0], [1], [2], [0, 1, 2]])
def test_evidence_from_which_judgements_were_taken_does_not_verify(lake, tmp_path, gone):
    document = evidence.read(made(tmp_path))
    rows = [row for number, row in enumerate(document["facts"]["judgements"]) if number not in gone]
    document["facts"]["judgements"] = rows
    file = tmp_path / "forged.json"
    file.write_text(json.dumps(resealed(document)))
    assert report.verify(file).status == 1


@pytest.mark.parametrize("odd", [1, "x", {}, [1], [{}], [{"scenario": 1}], [{"scenario": [], "number": 1}], None])
def test_odd_evidence_of_judgements_is_told_and_breaks_nothing(lake, tmp_path, odd):
    document = evidence.read(made(tmp_path))
    document["facts"]["judgements"] = odd
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(resealed(document)))
    done = CliRunner().invoke(app, ["report", "verify", str(file)])
    assert done.exit_code in (1, 2) or isinstance(done.exception, InvalidInputError)


def altered(table):
    table.update({"decision": "'confirmed'"}, predicate="number = 2")


def removed(table):
    table.delete("number = 2")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (altered, f'judgement 2 of {MOWN}.decision was "photo", is "confirmed"'),
        (removed, f"judgement 2 of {MOWN} is in the lake no more"),
    ],
)
def test_a_judgement_that_was_changed_or_taken_away_in_the_lake_afterwards_is_found(lake, tmp_path, change, words):
    file = made(tmp_path)
    assert report.verify(file).equal
    change(DeltaTable(f"{lake.url}/judgements"))
    verdict = report.verify(file, lake=Lake(lake.url))
    assert verdict.differences == (words,)


def test_a_table_of_judgements_that_is_gone_is_found(lake, tmp_path):
    file = made(tmp_path)
    shutil.rmtree(Path(lake.url) / "judgements")
    verdict = report.verify(file, lake=Lake(lake.url))
    assert verdict.status == 1
    assert any(
        "judgement 1 of the declaration as a whole is in the lake no more" in text for text in verdict.differences
    )


def test_a_gap_in_what_was_decided_is_found(lake, tmp_path):
    (row,) = cases.judgements("ms", 2024, "", scenarios=MOWN, history=True, decisions="photo").to_pylist()
    gap = {**row, "number": 4}
    lake.add_judgements(lambda: pa.Table.from_pylist([gap], schema=schemas.JUDGEMENTS))
    verdict = report.verify(made(tmp_path))
    assert verdict.differences == (f"judgement 3 of {MOWN} is missing",)
