"""The guided way: as far as it goes, what is missing, and on from there."""

import json
from datetime import date

import pytest

from cbm_lake import qa
from cbm_lake.demo import sample
from cbm_lake.errors import InvalidInputError
from cbm_lake.qa.guide import STEPS

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    return sample.write(tmp_path_factory.mktemp("sample"), dates=3, size=160)


def state(steps):
    return {step.name: step.status for step in steps}


def test_the_way_ends_where_something_is_missing_says_what_and_goes_on_from_there(workspace, lake, season):
    def go(**settings):
        return qa.workflow("demo", 2024, workers=0, lake=lake, **settings)

    steps = go()
    assert state(steps) == {"connect": "done", "parcels": "missing"}
    assert "give the file of the parcels" in steps[-1].message

    steps = go(parcels=str(season.parcels), pid="parcel_id")
    assert state(steps) == {"connect": "done", "parcels": "done", "tables": "done", "catalogue": "missing"}
    assert "give the scenes" in steps[-1].message

    steps = go(scenes=str(season.items["s2"]))
    assert steps[-1].name == "configure"
    assert steps[-1].message == "give start= and end="

    steps = go(start="2024-01-01", end="2024-12-31", bands=("B04", "B08"))
    assert steps[-1].name == "get"
    assert "give the name of a sample that was drawn, or parcels" in steps[-1].message
    assert "3 scenes extracted, 0 before" in steps[-2].message

    pids = lake.sql("select pid from parcels order by pid limit 2")["pid"].to_pylist()
    steps = go(pids=tuple(pids))
    assert state(steps) == dict.fromkeys(STEPS, "done")
    assert "0 scenes extracted, 3 before" in {step.name: step.message for step in steps}["extract"]
    for pid in pids:
        folder = workspace.temp / "demo" / "2024" / pid
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["info.json", "ndvi.png", "time_series_s2.csv"]
    assert state(go()) == dict.fromkeys(STEPS, "done")


def test_the_parcels_of_a_sample_are_got_as_many_as_the_settings_allow(workspace, lake, season):
    workspace.configure("set", plimit=2)
    frame = {"gsa_par_id": [], "gsa_hol_id": [], "ua_grp_id": [], "covered": [], "ranking": []}
    settings = {"parcels": str(season.parcels), "pid": "parcel_id", "scenes": str(season.items["s2"])}
    days = {"start": "2024-01-01", "end": str(date(2024, 12, 31)), "bands": ("B04", "B08")}
    qa.workflow("demo", 2024, workers=0, lake=lake, **settings, **days)
    for number, pid in enumerate(lake.sql("select pid from parcels order by pid limit 4")["pid"].to_pylist()):
        for name, value in zip(frame, (pid, f"h{number}", "G", 1, number), strict=True):
            frame[name].append(value)
    import pandas as pd

    drawn = qa.sample(pd.DataFrame(frame), {"G": 4}, extraction_id="s1")
    steps = qa.workflow("demo", 2024, workers=0, lake=lake, sample="s1")
    assert state(steps) == dict.fromkeys(STEPS, "done")
    got = sorted(path.name for path in (workspace.temp / "demo" / "2024").iterdir())
    assert got == sorted(drawn.parcels["gsa_par_id"].to_pylist())[:2]


@pytest.mark.slow
def test_what_cannot_be_used_is_not_kept(workspace, lake, season):
    def go(**settings):
        return qa.workflow("demo", 2024, workers=0, lake=lake, **settings)

    go(parcels=str(season.parcels), pid="parcel_id", scenes=str(season.items["s2"]))
    for wrong, problem in {
        ("B99",): "has no band B99",
        "2024-12-31": "the dates are reversed",
    }.items():
        given = {"bands": wrong} if isinstance(wrong, tuple) else {"start": wrong, "end": "2024-01-01"}
        with pytest.raises(InvalidInputError, match=problem):
            go(**given)
    assert go()[-1].message == "give start= and end="
    go(start="2024-01-01", end="2024-12-31", bands=("B04", "B08"))
    assert "no parcel 'NOPE'" in go(pids=("NOPE",))[-1].message
    assert "give the name of a sample" in go()[-1].message
    assert go(sample="nosuch")[-1].status == "missing"
    assert "give the name of a sample" in go()[-1].message
    (pid,) = lake.sql("select pid from parcels order by pid limit 1")["pid"].to_pylist()
    assert go(pids=(pid,))[-1].status == "done"
    assert "nosuch" in go(sample="nosuch")[-1].message
    with pytest.raises(InvalidInputError, match="either sample= or pids="):
        go(sample="a", pids=("b",))


@pytest.mark.parametrize("aoi", ["../../x", "müns ter"])
def test_a_name_that_is_none_is_refused_and_leaves_no_file(workspace, lake, aoi):
    with pytest.raises(InvalidInputError, match="cannot name an area"):
        qa.workflow(aoi, 2024, lake=lake)
    assert [path.name for path in workspace.config_file.parent.iterdir()] == ["main.json"]


def test_an_unknown_setting_is_refused_and_known_ones_are_kept_in_config(workspace, lake):
    with pytest.raises(InvalidInputError, match=r"no setting nope; there are: bands, end, parcels"):
        qa.workflow("ms", 2024, lake=lake, nope=1)
    qa.workflow("ms", 2024, "m", lake=lake, start="2024-01-01")
    held = json.loads((workspace.root / "config" / "workflow_ms_2024_m.json").read_text())
    assert held["start"] == "2024-01-01"
