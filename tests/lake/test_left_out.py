"""Scenes that a person leaves out: not extracted, not counted, superseding nobody, until put back."""

import pyarrow as pa
import pytest
from factories import PIDS, copied, day, fill, parcel_set, parcels, scene, scenes, signature, signatures, write
from typer.testing import CliRunner

import cbm_lake as cbm
from cbm_lake import cli
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake, open_lake

pytestmark = pytest.mark.thorough


def ids(lake):
    return lake.sql("select distinct scene from s2 order by 1")["scene"].to_pylist()


def run(*words):
    return CliRunner().invoke(cli.app, list(words))


@pytest.fixture(scope="module")
def three_scenes(tmp_path_factory):
    return fill(Lake(str(tmp_path_factory.mktemp("three-scenes"))), names=("A_1", "A_2", "B_1"))


@pytest.fixture
def filled(lake, three_scenes):
    return copied(three_scenes, lake)


def test_a_scene_that_is_left_out_counts_nowhere_until_it_is_put_back(filled):
    before = filled.sql("from s2 order by all")
    assert cbm.scenes.leave_out("A_1", "haze over the whole tile", who="ada") == ["A_1"]
    assert ids(filled) == ["A_2", "B_1"]
    series = filled.query("time_series.s2", aoi="ms", year=2024, ptype="", pid="12", bands=None)
    assert set(series["obsid"].to_pylist()) == {"A_2", "B_1"}
    filled.compact()
    assert ids(filled) == ["A_2", "B_1"]
    assert cbm.scenes.put_back("A_1", "it was the wrong tile") == ["A_1"]
    assert filled.sql("from s2 order by all").equals(before)


def test_who_left_it_out_when_and_why_is_shown_and_the_past_stays(filled):
    cbm.scenes.leave_out("A_1", " broken file ", who="ada")
    cbm.scenes.put_back("A_1", "delivered again", who="grace")
    cbm.scenes.leave_out("A_1", "broken again")
    (row,) = cbm.scenes.left_out().to_pylist()
    assert (row["card"], row["scene"], row["obstime"], row["why"]) == ("s2", "A_1", day(0), "broken again")
    assert row["who"]
    history = filled.sql("select status, why, who from exclusions order by decided").to_pylist()
    assert [tuple(row.values())[:2] for row in history] == [
        ("left out", "broken file"),
        ("put back", "delivered again"),
        ("left out", "broken again"),
    ]
    shown = filled.sql("select id, left_out from scenes where left_out is not null").to_pylist()
    assert shown == [{"id": "A_1", "left_out": "broken again"}]


def test_as_of_a_moment_before_nothing_was_left_out(filled):
    cbm.scenes.leave_out("B_1", "first")
    first = filled.sql("select decided from exclusions")["decided"][0].as_py()
    cbm.scenes.leave_out("A_*", "second")
    assert ids(open_lake()) == []
    assert ids(open_lake(as_of=first)) == ["A_1", "A_2", "B_1"]


def test_many_are_left_out_by_a_pattern_in_one_commit(filled):
    assert cbm.scenes.leave_out(["A_*", "B_1", "A_1"], "test") == ["A_1", "A_2", "B_1"]
    assert filled._tables["exclusions"].open().version() == 1
    assert cbm.scenes.put_back("*", "again") == ["A_1", "A_2", "B_1"]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: cbm.scenes.leave_out("A_3", "x"), NotFoundError, r"no scene 'A_3' is catalogued; did you mean A_"),
        (lambda: cbm.scenes.leave_out("zzz", "x"), NotFoundError, "`cbm-lake scenes list` shows those that there are"),
        (lambda: cbm.scenes.leave_out(["A_1", "Q*"], "x"), NotFoundError, r"no scene 'Q\*' is catalogued"),
        (lambda: cbm.scenes.leave_out("A_1", "  "), InvalidInputError, "say why the scenes are left out"),
        (lambda: cbm.scenes.leave_out("A_1", "x", card="s9"), InvalidInputError, "unknown card 's9'"),
        (lambda: cbm.scenes.leave_out("A_1", "x", card="bs"), NotFoundError, "no scene 'A_1' is catalogued"),
        (lambda: cbm.scenes.put_back("A_1", "x"), NotFoundError, "no scene 'A_1' is left out"),
    ],
)
def test_what_cannot_be_left_out_is_refused_in_one_line_and_nothing_is_written(filled, call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert filled.sql("from exclusions").num_rows == 0


def test_of_two_cards_with_the_same_identifier_the_named_one_is_left_out(lake):
    lake.add_scenes(scenes(scene("X", card="bs"), scene("X", card="c6")))
    cbm.scenes.leave_out("X", "c6 is noisy", card="c6")
    assert lake.sql("select card from scenes where left_out is not null")["card"].to_pylist() == ["c6"]
    cbm.scenes.leave_out("X", "both")
    assert lake.sql("select card from left_out order by 1")["card"].to_pylist() == ["bs", "c6"]


@pytest.fixture
def reprocessed(lake):
    """One acquisition in three baselines, all extracted; one number per product."""
    lake.add_parcels("ms", 2024, "", "v1", parcels())
    names = {"old": "02.14", "mid": "04.00", "new": "05.10"}
    lake.add_scenes(scenes(*(scene(name, acquisition="one", baseline=base) for name, base in names.items())))
    for number, name in enumerate(names):
        rows = [signature(pid, name, red=100 * (number + 1)) for pid in sorted(PIDS)]
        write(lake, signatures(*rows), parcel_set(), name)
    return lake


def test_a_scene_that_is_left_out_supersedes_no_other(reprocessed):
    reds = "select distinct scene, B04_mean from s2"
    assert reprocessed.sql(reds).to_pylist() == [{"scene": "new", "B04_mean": 300}]
    cbm.scenes.leave_out("new", "wrong")
    assert reprocessed.sql(reds).to_pylist() == [{"scene": "mid", "B04_mean": 200}]
    states = {row["id"]: row["superseded"] for row in reprocessed.sql("select id, superseded from scenes").to_pylist()}
    assert (states["old"], states["mid"]) == (True, False)
    cbm.scenes.leave_out("mid", "wrong as well")
    assert reprocessed.sql(reds).to_pylist() == [{"scene": "old", "B04_mean": 100}]
    cbm.scenes.leave_out("old", "all of them")
    assert reprocessed.sql(reds).num_rows == 0
    cbm.scenes.put_back("new", "right after all")
    assert reprocessed.sql(reds).to_pylist() == [{"scene": "new", "B04_mean": 300}]


def test_what_was_superseded_by_one_that_is_left_out_counts_while_nothing_else_takes_its_place(lake):
    """old was extracted, mid was not, new was and is left out: old counts until mid is extracted."""
    lake.add_parcels("ms", 2024, "", "v1", parcels())
    names = {"old": "02.14", "mid": "04.00", "new": "05.10"}
    lake.add_scenes(scenes(*(scene(name, acquisition="one", baseline=base) for name, base in names.items())))
    for name in ("old", "new"):
        write(lake, signatures(signature("12", name)), parcel_set(), name)
    assert ids(lake) == ["new"]
    cbm.scenes.leave_out("new", "wrong")
    assert ids(lake) == ["old"]
    write(lake, signatures(signature("12", "mid")), parcel_set(), "mid")
    assert ids(lake) == ["mid"]


def test_one_of_the_same_product_under_two_names_takes_the_others_place(lake):
    rows = [scene(name, acquisition="one", reference="P.SAFE") for name in ("P1", "P2")]
    lake.add_scenes(scenes(*rows))
    question = "select id from scenes where not superseded and left_out is null"
    assert lake.sql(question)["id"].to_pylist() == ["P2"]
    cbm.scenes.leave_out("P2", "dead address")
    assert lake.sql(question)["id"].to_pylist() == ["P1"]


def test_questions_do_not_offer_what_is_left_out(filled):
    key = {"card": "s2", "start": day(0), "stop": day(11)}
    cbm.scenes.leave_out("A_1", "x")
    assert filled.query("scenes.between", **key)["id"].to_pylist() == ["A_2", "B_1"]
    assert filled.query("scenes.covering", **key, lon=3.0, lat=43.5)["id"].to_pylist() == ["A_2", "B_1"]
    assert filled.query("scenes.superseded", card="s2")["id"].to_pylist() == ["A_1"]
    assert filled.query("scenes.days", card="s2", aoi="ms", year=2024, ptype="").num_rows == 2
    (counts,) = filled.query("scenes.status").to_pylist()
    assert (counts["scenes"], counts["left_out"]) == (3, 1)


def test_the_commands(filled):
    done = run("scenes", "leave-out", "A_1", "B*", "--why", "hail on the lens", "--who", "ada")
    assert (done.exit_code, done.stdout) == (0, "A_1 is left out\nB_1 is left out\n")
    assert "hail on the lens" in run("scenes", "list", "--left-out").stdout
    assert "hail on the lens" in run("status").stdout
    listed = run("scenes", "list", "--format", "csv").stdout.splitlines()
    assert len(listed) == 4
    assert "hail on the lens" in listed[1]
    assert run("scenes", "put-back", "B_1", "--why", "was dust").stdout == "B_1 is put back\n"
    assert ids(filled) == ["A_2", "B_1"]


def test_the_past_cannot_be_changed(filled):
    was = open_lake(as_of="2030-01-01")
    with pytest.raises(InvalidInputError, match="open it without as_of"):
        cbm.scenes.leave_out("A_1", "x", lake=was)


def test_a_lake_without_the_table_has_nothing_left_out(filled):
    assert cbm.scenes.left_out().num_rows == 0
    assert isinstance(cbm.scenes.left_out(lake=Lake(filled.url)), pa.Table)
