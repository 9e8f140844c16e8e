"""Reports: what they say is in the lake, can be recomputed, and nothing in them is taken for markup."""

import base64
import html
import json
import re

import nbformat
import pytest
from factories import PIDS, day, fill, parcel_set, parcels, signature, signatures, write
from pypdf import PdfReader
from typer.testing import CliRunner

from cbm_lake import markers, report
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.get import folders
from cbm_lake.lake import open_lake
from cbm_lake.parcel.sources.direct import LakeSource
from cbm_lake.report import evidence, facts, figures, verification, words

pytestmark = pytest.mark.thorough


runner = CliRunner()
FIGURES = ("place", "ndvi", "bands", "radar", "calendar")


@pytest.fixture
def lake(workspace):
    return fill(open_lake())


@pytest.fixture
def plain(monkeypatch):
    """Without figures, which take long."""
    monkeypatch.setattr(figures, "draw", lambda *_, **__: ({}, dict.fromkeys(FIGURES, "left out"), ""))


def test_a_report_says_what_the_lake_says_with_figures_and_evidence(lake, tmp_path):
    made = report.parcel("ms", 2024, "a/b", folder=tmp_path, formats=("pdf", "html", "json"))
    assert {form: file.name for form, file in made.files.items()} == {
        form: f"report_ms_2024_a%2Fb.{form}" for form in ("pdf", "html", "json")
    }
    assert set(made.missing) == {"place", "calendar", "radar"} & set(made.missing)  # this lake has no pictures
    document = PdfReader(made.files["pdf"])
    text = " ".join(page.extract_text() for page in document.pages)
    ndvi = lake.query("time_series.ndvi", aoi="ms", year=2024, ptype="", pid="a/b", screen=[3])["ndvi"][0].as_py()
    assert "Parcel a/b" in text
    assert f"{ndvi:.3f}".rstrip("0") in text
    attached = json.loads(document.attachments[evidence.NAME][0])
    assert attached == json.loads(made.files["json"].read_text()) == evidence.read(made.files["html"])
    assert [row["scene"] for row in attached["facts"]["scenes"]] == ["A", "B"]
    assert all(report.verify(file).equal for file in made.files.values())


def test_the_colours_of_the_parcel_are_told_and_recomputed(lake, tmp_path, plain):
    markers.find("ms", 2024)
    files = report.parcel("ms", 2024, "12", folder=tmp_path).files
    told = evidence.read(files["html"])["facts"]["lights"]
    expected = markers.traffic_light("ms", 2024, pids=["12"]).to_pylist()
    assert [(row["scenario"], row["colour"], row["reason"]) for row in told] == [
        (row["scenario"], row["colour"], row["reason"]) for row in expected
    ]
    assert expected
    text = " ".join(page.extract_text() for page in PdfReader(files["pdf"]).pages)
    for row in expected:
        assert row["scenario"] in text
        assert f'class="lamp {row["colour"]}">{row["colour"]}</td>' in files["html"].read_text()
    assert all(report.verify(file).equal for file in files.values())


def test_what_was_recorded_later_changes_nothing_as_of_then(lake, tmp_path, plain):
    file = report.parcel("ms", 2024, "12", folder=tmp_path, formats=("json",)).files["json"]
    rows = [signature(pid, "A", day(0), B04_mean=1.0) for pid in sorted(PIDS)]
    write(lake, signatures(*rows), parcel_set(), "A", finished=day(9))
    lake.add_parcels("ms", 2024, "", "v2", parcels(PIDS[:1], [("maize", "2")]))
    assert report.verify(file).equal
    with pytest.raises(NotFoundError):
        report.parcel("ms", 2024, "12", folder=tmp_path, formats=("json",))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("facts", "optical", 0, "ndvi"), 0.9),
        (("facts", "parcel", "area_m2"), 1.0),
        (("as_of",), "2020-01-01T00:00:00"),
    ],
)
def test_a_number_that_was_changed_is_found(lake, tmp_path, plain, path, value):
    file = report.parcel("ms", 2024, "12", folder=tmp_path, formats=("json",)).files["json"]
    sealed = json.loads(file.read_text())
    place = sealed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    file.write_text(json.dumps(sealed))
    verdict = report.verify(file)
    assert not verdict.equal
    assert "changed" in verdict.differences[0]
    sealed["sha256_of_facts"] = facts.digest(sealed["facts"])  # whoever changes it may also seal it again
    sealed["sha256"] = facts.digest({name: inner for name, inner in sealed.items() if name != "sha256"})
    file.write_text(json.dumps(sealed))
    assert not report.verify(file).equal  # but the lake knows


def test_rows_that_the_lake_has_lost_are_told(lake, tmp_path, plain):
    file = report.parcel("ms", 2024, "12", folder=tmp_path, formats=("json",)).files["json"]
    sealed = json.loads(file.read_text())
    extra = {**sealed["facts"]["optical"][0], "scene": "C"}
    sealed["facts"]["optical"].append(extra)
    told = verification.differences(
        sealed["facts"], facts.gather(LakeSource(facts.open_at(sealed["as_of"])), sealed["key"])
    )
    assert len(told) == 1
    assert told[0].startswith("optical[2] was {")


@pytest.mark.slow
def test_a_figure_that_was_changed_is_found(lake, tmp_path):
    file = report.parcel("ms", 2024, "12", folder=tmp_path, formats=("html",)).files["html"]
    page = file.read_text()
    name, content = re.search(r'<img id="(\w+)" src="data:image/png;base64,([^"]+)"', page).groups()
    other = base64.b64encode(base64.b64decode(content) + b" ").decode()
    file.write_text(page.replace(content, other))
    assert report.verify(file).differences == (f"the figure {name} was changed",)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7 nothing", b"<html></html>", b"{}", b"\xff\xfe", b"[1]"])
@pytest.mark.parametrize("ending", ["pdf", "html", "json", "txt"])
def test_what_is_no_report_is_refused_in_one_line(tmp_path, content, ending):
    file = tmp_path / f"a.{ending}"
    file.write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        report.verify(file)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_cut_or_missing_is_refused(lake, tmp_path, plain):
    file = report.parcel("ms", 2024, "12", folder=tmp_path, formats=("pdf",)).files["pdf"]
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(InvalidInputError, match="no evidence"):
        report.verify(file)
    with pytest.raises(SourceError, match=r"none\.pdf cannot be read"):
        report.verify(tmp_path / "none.pdf")


HOSTILE = (
    '#read("/etc/passwd")',
    "<script>alert(1)</script>",
    "$x^2$ *bold* `raw` #pagebreak()",
    "</script><b>",
    "{{ 7 * 7 }}",
)


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_is_taken_for_markup(workspace, tmp_path, plain, text):
    lake = open_lake()
    fill(lake, pids=(text,))
    lake.add_parcels("ms", 2024, "", "v2", parcels((text,), [(text, text)]))
    folders.write("ms", 2024, text, "notes.txt", text)
    made = report.parcel("ms", 2024, text, folder=tmp_path)
    whole = "".join(page.extract_text() for page in PdfReader(made.files["pdf"]).pages)
    assert "".join(text.split()) in "".join(whole.split())
    page = made.files["html"].read_text()
    assert page.count("<script") == 1
    assert "<b>" not in page.replace("<b>Nearest", "").replace("<b>Notes", "")
    assert text in html.unescape(page)
    assert all(report.verify(file).equal for file in made.files.values())


def test_of_a_batch_those_that_fail_do_not_stop_the_others(lake, tmp_path, plain):
    told = []
    with pytest.raises(SourceError, match="1 of 3 reports could not be made, the others are: nobody: no parcel"):
        report.batch(
            "ms", 2024, ["12", "nobody", "0012"], folder=tmp_path, formats=("json",), progress=lambda *n: told.append(n)
        )
    assert sorted(file.name for file in tmp_path.glob("*.json")) == [
        "report_ms_2024_0012.json",
        "report_ms_2024_12.json",
    ]
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("formats", [(), ("docx",), ("pdf", "exe")])
def test_formats_that_there_are_not_are_refused(lake, formats):
    with pytest.raises(InvalidInputError, match="choose from" if formats else "a format such as pdf"):
        report.parcel("ms", 2024, "12", formats=formats)


def test_one_format_and_one_parcel_need_no_list(lake, tmp_path):
    (made,) = report.batch("ms", 2024, "0012", folder=tmp_path, formats="json")
    assert [file.name for file in made.files.values()] == ["report_ms_2024_0012.json"]


def test_the_commands_write_and_verify(lake, tmp_path, plain):
    key = ["--aoi", "ms", "--year", "2024"]
    to = ["--folder", str(tmp_path), "--format", "json"]
    answer = runner.invoke(app, ["report", "parcel", *key, "--pid", "12", *to])
    assert answer.exit_code == 0, answer.output
    file = tmp_path / "report_ms_2024_12.json"
    answer = runner.invoke(app, ["report", "verify", str(file)])
    assert (answer.exit_code, "values are equal" in answer.output) == (0, True)
    file.write_text(file.read_text().replace('"count":', '"counts":', 1))
    assert runner.invoke(app, ["report", "verify", str(file)]).exit_code == 1
    assert runner.invoke(app, ["report", "verify", str(tmp_path / "none.pdf")]).exit_code == 2
    (tmp_path / "list.txt").write_text("12\n\n0012\n12\n")
    answer = runner.invoke(app, ["report", "batch", f"@{tmp_path / 'list.txt'}", *key, *to])
    assert answer.exit_code == 0, answer.output
    assert (tmp_path / "report_ms_2024_0012.json").exists()


def test_a_season_in_words_names_its_days(lake):
    found = facts.gather(LakeSource(lake), {"aoi": "ms", "year": 2024, "ptype": "", "pid": "12"})
    clear = [row for row in found["optical"] if row["cloud"] == 0 and row["observable"]]
    told = " ".join(words._summary(found))
    assert f"on {len(clear)} days it was seen" in told


def test_numbers_that_are_none_become_null():
    assert facts.plain({"a": [float("nan"), float("inf"), 1 / 3]}) == {"a": [None, None, 0.333333333]}


# -- notebooks --------------------------------------------------------------------------------------------------------


@pytest.fixture
def notebook(tmp_path):
    cells = [nbformat.v4.new_markdown_cell("# Meadows"), nbformat.v4.new_code_cell("print(6 * 7)")]
    cells[1].outputs = [nbformat.v4.new_output("stream", text="42\n")]
    file = tmp_path / "analysis.ipynb"
    file.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    return file


def test_a_notebook_becomes_a_page_with_or_without_its_code(notebook):
    whole = report.from_notebook(notebook).read_text()
    bare = report.from_notebook(notebook, with_code=False).read_text()
    assert "Meadows" in whole
    assert "42" in bare
    assert ('class="mi">6' in whole, 'class="mi">6' in bare) == (True, False)


def test_what_is_no_notebook_is_refused(tmp_path):
    (tmp_path / "a.ipynb").write_text("no")
    with pytest.raises(InvalidInputError, match="is no notebook"):
        report.from_notebook(tmp_path / "a.ipynb")
    with pytest.raises(SourceError, match="cannot be read"):
        report.from_notebook(tmp_path / "b.ipynb")
