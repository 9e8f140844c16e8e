"""Reports of parcels whose declared crop was checked: verdict, promise and figure; and every forgery is found."""

import json
from datetime import date

import checked_crops
import crops_lake
import factories
import pyarrow as pa
import pytest
import stand_in
from checked_crops import CROPS, PIDS, SAYS
from pypdf import PdfReader
from test_lights_due import STANDS
from test_markers import fill, seen
from typer.testing import CliRunner

from cbm_lake import crops, markers, report, show
from cbm_lake.cards import CLOUD_CLASSES, INDICES
from cbm_lake.cli import app
from cbm_lake.crops import checking, clearing, verification
from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake, open_lake, schemas
from cbm_lake.markers.finding import part_of
from cbm_lake.report import evidence, facts, figures, rechecking, words
from cbm_lake.report.notice import Notice
from cbm_lake.show import computing, peers
from cbm_lake.show.reading import Reading

pytestmark = pytest.mark.thorough


RECOMPUTE = verification.recompute
NOTICE = Notice("case-1", "the declared crop grows", "red", "another crop", date(2024, 11, 1), None)


@pytest.fixture(autouse=True)
def repeated(monkeypatch):
    """What a repetition of the check says of it, as no model made it: by default that it is the same."""
    differences = []
    monkeypatch.setattr(verification, "recompute", lambda *_: differences)
    rechecking._repeated.cache_clear()
    yield differences
    rechecking._repeated.cache_clear()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Four parcels of which lights are known, without a crop check."""
    lake = Lake(str(tmp_path_factory.mktemp("prepared")))
    fill(lake, *(row for pid in PIDS for row in seen(pid, STANDS)), pids=PIDS, crops=CROPS)
    markers.find("ms", 2024, lake=lake)
    return lake


@pytest.fixture
def unchecked(prepared, workspace):
    """The workspace's lake, a copy of it."""
    return factories.copied(prepared, open_lake())


@pytest.fixture
def lake(unchecked):
    checked_crops.put(unchecked, SAYS)
    return unchecked


@pytest.fixture
def plain(monkeypatch):
    """Without figures, which take long."""
    monkeypatch.setattr(figures, "draw", lambda *_, **__: ({}, dict.fromkeys(evidence.FIGURES, "left out"), ""))


def text_of(file):
    return " ".join(" ".join(page.extract_text() for page in PdfReader(file).pages).split())


def test_a_report_says_the_verdict_the_likely_crops_the_promise_and_what_it_cost(lake, tmp_path, plain):
    files = report.parcel("ms", 2024, "a", folder=tmp_path).files
    expected = [
        "disagrees: grassland is not among the likely crops",
        "maize (0.90), sunflower (0.06)",
        "at most 5 % of the accused are accused wrongly",
        "of 4 parcels it cannot say of 2 (50%); it accuses 1",
        "1 of 4; 1 is the most doubtful",
        "2024-07-05",
        "0.004",
        "seed 7",
        "SHA-256 f00d",
    ]
    page, printed = files["html"].read_text(), text_of(files["pdf"])
    for line in expected:
        assert line in page
        assert line.replace(" ", "") in printed.replace(" ", "")
    assert all(report.verify(file).equal for file in files.values())


def test_what_is_sealed_is_the_row_of_the_lake_and_of_its_run(lake, tmp_path, plain):
    file = report.parcel("ms", 2024, "a", folder=tmp_path, formats="json").files["json"]
    sealed = evidence.read(file)["facts"]["crop_check"]
    (row,) = lake.sql("select * from crop_checks join crop_runs using (run, day) where pid = 'a'").to_pylist()
    for name in ("verdict", "p_value", "likely", "probability", "rank", "run", "alpha", "settings", "snapshot"):
        assert sealed[name] == row[name]
    assert (sealed["judged"], sealed["accused"], sealed["undecided"]) == (4, 1, 2)


@pytest.mark.parametrize("pid", ["b", "c", "d"])
def test_reports_of_all_verdicts_can_be_written_and_verified(lake, tmp_path, plain, pid):
    files = report.parcel("ms", 2024, pid, folder=tmp_path).files
    assert SAYS[pid]["reason"] in files["html"].read_text()
    assert all(report.verify(file).equal for file in files.values())


def test_a_report_of_a_check_whose_record_is_lost_says_so(unchecked, tmp_path, plain):
    checked_crops.put(unchecked, SAYS, recorded=False)
    files = report.parcel("ms", 2024, "a", folder=tmp_path).files
    assert "r1, of which there is no record" in files["html"].read_text()
    assert all(report.verify(file).equal for file in files.values())


@pytest.mark.slow
def test_without_a_check_a_report_says_nothing_of_it(unchecked, tmp_path, plain):
    files = report.parcel("ms", 2024, "a", folder=tmp_path).files
    assert "crop_check" not in evidence.read(files["html"])["facts"]
    assert "Crop check" not in files["html"].read_text()
    assert "Crop check" not in text_of(files["pdf"])
    checked_crops.put(unchecked, SAYS)
    assert all(report.verify(file).equal for file in files.values())  # as of then there was none


def _forged(file, change):
    """A report whose check was changed by somebody who seals it again and renders the page anew."""
    sealed = evidence.read(file)
    change(sealed["facts"]["crop_check"])
    sealed["sha256_of_facts"] = facts.digest(sealed["facts"])
    sealed["sha256"] = facts.digest({name: value for name, value in sealed.items() if name != "sha256"})
    file.write_text(json.dumps(sealed))
    assert words.of(sealed)["crop"]
    return report.verify(file)


FORGERIES = {
    "verdict": lambda row: row.update(verdict="agrees"),
    "alpha": lambda row: row.update(alpha=0.01),
    "promise": lambda row: row.update(settings='{"promise": "parcels"}'),
    "rank": lambda row: row.update(rank=2),
    "likely": lambda row: row["likely"].__setitem__(0, "rape"),
    "probability": lambda row: row["probability"].__setitem__(0, 0.99),
    "since": lambda row: row.update(since="2024-05-05"),
    "p_value": lambda row: row.update(p_value=0.2),
    "run": lambda row: row.update(run="r0"),
    "accused": lambda row: row.update(accused=0),
    "undecided": lambda row: row.update(undecided=0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORGERIES)
def test_whoever_forges_the_check_is_found_by_the_lake(lake, tmp_path, plain, name):
    file = report.parcel("ms", 2024, "a", folder=tmp_path, formats="json").files["json"]
    verdict = _forged(file, FORGERIES[name])
    assert verdict.status == 1
    where = "settings" if name == "promise" else name
    assert any(f"crop_check.{where}" in difference for difference in verdict.differences)


def test_a_check_that_was_taken_out_of_a_report_is_missed(lake, tmp_path, plain):
    file = report.parcel("ms", 2024, "a", folder=tmp_path, formats="json").files["json"]
    sealed = evidence.read(file)
    del sealed["facts"]["crop_check"]
    sealed["sha256_of_facts"] = facts.digest(sealed["facts"])
    sealed["sha256"] = facts.digest({name: value for name, value in sealed.items() if name != "sha256"})
    file.write_text(json.dumps(sealed))
    assert report.verify(file).status == 1


def test_a_later_check_changes_no_report_that_was_made_before(lake, tmp_path, plain):
    file = report.parcel("ms", 2024, "a", folder=tmp_path, formats="json").files["json"]
    checked_crops.put(lake, {**SAYS, "a": SAYS["b"]}, run="r2")
    assert report.verify(file).equal


# -- the check, repeated -----------------------------------------------------------------------------------------------


def test_a_check_that_comes_out_otherwise_is_a_difference(lake, tmp_path, plain, repeated):
    file = report.parcel("ms", 2024, "a", folder=tmp_path, formats="json").files["json"]
    repeated.append("the verdicts are not those that the check recorded")
    verdict = report.verify(file)
    assert verdict.status == 1
    assert verdict.differences == ("its crop check, repeated: the verdicts are not those that the check recorded",)
    assert report.verify(file, recheck=False).equal


def test_a_check_by_other_libraries_that_comes_out_otherwise_is_no_forgery_but_said(lake, tmp_path, plain, repeated):
    checked_crops.put(lake, SAYS, run="r2", libraries={"numpy": "1.0"})
    file = report.parcel("ms", 2024, "a", folder=tmp_path, formats="json").files["json"]
    repeated += [*verification.other_libraries({"numpy": "1.0"}), "the verdicts are not those that the check recorded"]
    verdict = report.verify(file)
    assert verdict.equal
    assert any("repeated with other libraries (numpy is of version" in note for note in verdict.notes)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("there is no crop check r1"), 1),
        (KeyError("by"), 1),
        (SourceError("it is no more there"), 0),
        (ConfigError("scikit-learn is missing"), 0),
    ],
)
def test_a_check_that_cannot_be_repeated_is_forged_or_only_said(lake, tmp_path, plain, monkeypatch, error, status):
    def fail(*_):
        raise error

    monkeypatch.setattr(verification, "recompute", fail)
    file = report.parcel("ms", 2024, "a", folder=tmp_path, formats="json").files["json"]
    verdict = report.verify(file)
    assert verdict.status == status
    assert any("crop check" in text for text in (*verdict.differences, *verdict.notes))


@pytest.fixture
def judged(workspace, monkeypatch):
    """A lake whose crops were checked, by a model whose answers are known; without the imitated repetition."""
    monkeypatch.setattr(verification, "recompute", RECOMPUTE)
    monkeypatch.setattr(checking, "judge", stand_in.judge)
    monkeypatch.setattr(clearing, "judge_by_day", stand_in.judge_by_day)
    lake = crops_lake.fill(open_lake(), wrong=(4,))
    crops.check("ms", 2024, lake=lake)
    return lake


def test_verification_repeats_the_check_from_what_it_read(judged, tmp_path, plain):
    file = report.parcel("ms", 2024, crops_lake.pid(4), folder=tmp_path, formats="json").files["json"]
    assert evidence.read(file)["facts"]["crop_check"]["verdict"] == "disagrees"
    verdict = report.verify(file)
    assert verdict.equal
    assert "its crop check, repeated, says the same" in verdict.notes


@pytest.mark.parametrize("others", [[], ["numpy is of version 9, the check was made by 1"]])
def test_verdicts_that_somebody_wrote_into_the_lake_are_found_by_repeating_the_check(
    judged, tmp_path, plain, monkeypatch, others
):
    monkeypatch.setattr(verification, "other_libraries", lambda _: others)
    rows = judged.sql("select * exclude (version), version from crop_checks").to_pylist()
    for row in rows:
        row["verdict"] = "agrees"
    part = part_of(judged.parcel_set("ms", 2024))
    forged = pa.Table.from_pylist([{**row, "part": part} for row in rows], schema=schemas.CROP_CHECKS)
    judged.put("checked_crops", forged, part)
    file = report.parcel("ms", 2024, crops_lake.pid(4), folder=tmp_path, formats="json").files["json"]
    verdict = report.verify(file)
    assert verdict.status == 1
    assert any("the verdicts in the lake differ" in text for text in verdict.differences)


# -- the figure --------------------------------------------------------------------------------------------------------


def test_the_figure_has_the_bands_of_the_declared_and_of_the_likely_crop(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "FEWEST", 1)
    page = show.crop_check.by_pid("ms", 2024, "a", file=tmp_path / "a.png", lake=lake)
    texts = [text.get_text() for text in page.legends[0].get_texts()]
    assert texts[0] == "parcel a"
    assert texts[1] == "declared: median and 10 to 90 % of 1 other parcels of grassland, by 10 days"
    assert texts[2] == "likely: median and 10 to 90 % of 1 other parcels of maize, by 10 days"
    assert (tmp_path / "a.png").stat().st_size > 10_000
    agrees = show.crop_check.by_pid("ms", 2024, "b", lake=lake)
    assert [text.get_text() for text in agrees.legends[0].get_texts()][1:] == [
        "declared: no band of peers: no other parcel of grassland, 1 are needed"  # the only other one is accused
    ]


def test_a_band_of_a_group_is_of_its_other_parcels_that_are_not_accused(lake, monkeypatch):
    monkeypatch.setattr(peers, "FEWEST", 1)
    reading = Reading.of(lake)
    (parcel, other) = (reading.parcels("ms", 2024, pid, None)[0] for pid in ("a", "b"))
    (line,) = peers.of_group(reading, parcel, "grassland", INDICES["ndvi"], CLOUD_CLASSES, "#000000").lines
    curve = computing.index_curve(reading.series(other, "s2"), INDICES["ndvi"], CLOUD_CLASSES)
    steps = curve.groupby((curve["time"].dt.tz_localize(None).dt.dayofyear - 1) // peers.STEP)["value"].mean()
    assert line.rows["value"].tolist() == pytest.approx(steps.tolist())
    assert line.rows["count"].unique().tolist() == [1]


def test_too_few_parcels_of_a_group_are_no_band_and_the_figure_says_so(lake):
    page = show.crop_check.by_pid("ms", 2024, "a", lake=lake)
    assert [text.get_text() for text in page.legends[0].get_texts()][1:] == [
        "declared: no band of peers: 1 other parcel of grassland, 10 are needed",
        "likely: no band of peers: 1 other parcel of maize, 10 are needed",
    ]


def test_a_parcel_that_was_not_checked_has_no_such_figure(unchecked):
    with pytest.raises(NotFoundError, match="parcel a was not checked yet"):
        show.crop_check.by_pid("ms", 2024, "a", lake=unchecked)
    with pytest.raises(InvalidInputError):
        show.crop_check.by_pid("ms", 2024, "a", file="a.xyz", lake=unchecked)


def test_the_figure_is_drawn_from_the_command_line(lake, tmp_path):
    asked = ["show", "crop-check", "--aoi", "ms", "--year", "2024", "--pid", "a", "--out", str(tmp_path / "a.svg")]
    assert CliRunner().invoke(app, asked).exit_code == 0
    assert (tmp_path / "a.svg").exists()


@pytest.mark.slow
def test_a_report_has_the_figure_and_a_notice_has_not(lake, tmp_path):
    files = report.parcel("ms", 2024, "a", folder=tmp_path, tms="none").files
    assert '<img id="crop"' in files["html"].read_text()
    assert all(report.verify(file).equal for file in files.values())
    notice = report.parcel("ms", 2024, "a", folder=tmp_path, name="notice", notice=NOTICE).files
    assert '<img id="crop"' not in notice["html"].read_text()
    assert all(report.verify(file).equal for file in notice.values())
