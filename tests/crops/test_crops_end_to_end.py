"""The crop check from the lake to the verdicts with the models that it has."""

import json

import crops_lake
import pytest

from cbm_lake import crops
from cbm_lake.crops.verification import recompute
from cbm_lake.lake import Lake

pytestmark = pytest.mark.thorough


WRONG = (4, 9, 33)


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """Sixty parcels, of which three declare what does not grow there; the lake and the verdicts."""
    lake = crops_lake.fill(Lake(str(tmp_path_factory.mktemp("crops"))), 60, wrong=WRONG, radar=False)
    return lake, crops.check("ms", 2024, alpha="10%", since=False, lake=lake)


def test_wrong_declarations_are_first_in_the_list(checked):
    _, rows = checked
    assert set(rows["pid"].to_pylist()[:3]) == {crops_lake.pid(number) for number in WRONG}
    assert set(rows["verdict"].to_pylist()) <= {"agrees", "disagrees", "cannot say"}


def test_no_correct_declaration_is_accused(checked):
    _, rows = checked
    accused = {row["pid"] for row in rows.to_pylist() if row["verdict"] == "disagrees"}
    assert accused <= {crops_lake.pid(number) for number in WRONG}


def test_the_figures_are_drawn(checked, tmp_path):
    lake, _ = checked
    crops.show("ms", 2024, file=tmp_path / "check.png", lake=lake)
    assert (tmp_path / "check.png").stat().st_size > 50_000
    (run,) = crops.runs("ms", 2024, lake=lake).to_pylist()
    assert json.loads(run["figures"])["accuracy"] > 0.9


def test_the_same_lake_gives_the_same_verdicts(checked):
    lake, rows = checked
    assert recompute(lake, "ms", 2024, None, rows["run"][0].as_py()) == []


def test_one_crop_alone_cannot_be_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(crops_lake, "MAIZE", crops_lake.WHEAT)
    lake = crops_lake.fill(Lake(str(tmp_path)), 12, radar=False)
    rows = crops.check("ms", 2024, since=False, lake=lake)
    assert set(rows["verdict"].to_pylist()) == {"cannot say"}
    assert len(set(rows["reason"].to_pylist())) == 1
    assert rows["rank"].null_count == 12
    assert crops.ranked("ms", 2024, lake=lake).num_rows == 12
    crops.show("ms", 2024, lake=lake)
