"""Questions are checked before they are answered: scene classes, parcels that there are not, names of bands of old."""

import contextlib
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import requests
from factories import copied, fill
from rest_server import WHO, served
from typer.testing import CliRunner

import cbm_lake as cbm
from cbm_lake import cards, show
from cbm_lake.cli import app
from cbm_lake.cli import main as run_main
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake, open_lake, queries

KEY = {"aoi": "ms", "year": 2024, "ptype": ""}
OF_ONE = [query.name for query in queries.load().values() if query.of_one_parcel]
CLEAR = {"pixels": 8, "share": 0.9, "cloud": 0.4, "brightest": 3000}
OTHERS = {
    "bands": ["B04"],
    "screen": [3, 8, 9],
    "first": 19_000,
    "last": 20_500,
    "least": 0.1,
    "since": "2024-01-01",
    **CLEAR,
}


@pytest.fixture
def filled(lake, two_scenes):
    return copied(two_scenes, lake)


def asked(name, pid):
    """The parameters of a question of one parcel."""
    return {
        **KEY,
        "pid": pid,
        **{other: value for other, value in OTHERS.items() if re.search(rf"\${other}\b", queries.get(name).sql)},
    }


def test_all_questions_that_name_one_parcel_are_among_them():
    assert {"parcels.by_pid", "markers.by_pid", "report.scenes", "time_series.s2", "time_series.radar"} <= set(OF_ONE)


# -- parcels that there are not ---------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("pid", ["zzz", "", "0", "a'b", "\u00e9"])
@pytest.mark.parametrize("name", OF_ONE)
def test_a_question_of_a_parcel_that_there_is_not_is_one_line(filled, name, pid):
    for ask in (filled.query, lambda name, **params: filled.export(name, "x.csv", **params)):
        with pytest.raises(NotFoundError, match="no parcel ") as told:
            ask(name, **asked(name, pid))
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", OF_ONE)
def test_of_a_parcel_that_is_declared_and_not_extracted_the_answer_has_no_rows(lake, name):
    fill(lake, names=())
    assert lake.query(name, **asked(name, "12")).num_rows == (name == "parcels.by_pid")


@pytest.mark.thorough
@pytest.mark.parametrize("name", OF_ONE)
def test_files_of_an_earlier_version_that_lack_columns_are_no_binder_error(filled, name):
    for file in Path(filled.url).glob("signatures/**/*.parquet"):
        table = pq.read_table(file, partitioning=None)
        lacking = [column for column in table.column_names if column.startswith(("scl_", "share", "B11_"))]
        pq.write_table(table.drop_columns(lacking), file)
    lake = Lake(filled.url)
    with contextlib.suppress(NotFoundError):
        lake.query(name, **asked(name, "zzz"))
    assert lake.query(name, **asked(name, "12")).num_rows >= 0


def test_the_command_line_and_the_service_say_so_too(filled, tmp_path, monkeypatch, capsys):
    done = CliRunner().invoke(app, ["sql", "time_series.ndvi", *_params(pid="zzz", screen="3")])
    assert isinstance(done.exception, (NotFoundError, InvalidInputError))
    monkeypatch.setattr("sys.argv", ["cbm-lake", "get", "time-series", "--aoi", "ms", "--year", "2024", "--pid", "zzz"])
    with pytest.raises(SystemExit, match="1"):
        run_main()
    told = capsys.readouterr().err
    assert "no parcel 'zzz' in ms 2024" in told
    assert len(told.strip().splitlines()) == 1
    with served(filled, tmp_path) as address:
        answer = requests.get(f"{address}/v1/timeseries", params={**KEY, "pid": "zzz"}, auth=WHO, timeout=30)
    assert answer.status_code == 404
    assert "no parcel 'zzz'" in json.dumps(answer.json())


def _params(**values):
    return [word for name, value in {**KEY, **values}.items() for word in ("-p", f"{name}={value}")]


# -- scene classes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "classes"),
    [
        ("3_8_9_10_11", (3, 8, 9, 10, 11)),
        ("3,8,9", (3, 8, 9)),
        (" 3, 8 ", (3, 8)),
        ([3, "8"], (3, 8)),
        (3, (3,)),
        ("0", (0,)),
        ((3, 3, 8), (3, 8)),
        (np.array([3, 11]), (3, 11)),
        (np.int8(3), (3,)),
        (3.0, (3,)),
        ({3}, (3,)),
        (range(3, 5), (3, 4)),
        ((), ()),
        (iter([10]), (10,)),
    ],
)
def test_scene_classes_are_understood_in_the_originals_form_and_others(named, classes):
    assert cards.scene_classes(named) == classes


NONSENSE = [
    "",
    " ",
    "nonsense",
    "3_x",
    "3__8_",
    "3-8",
    "99",
    "-1",
    "3.5",
    "\u0663",
    (99,),
    [-1],
    ["x"],
    True,
    [False],
    None,
    [None],
    3.5,
    float("nan"),
    float("inf"),
    [3, 2.5],
    {3: 1},
    b"\x03",
    [[3]],
    object(),
    np.bool_(True),
]


@pytest.mark.parametrize("named", NONSENSE)
def test_what_are_no_scene_classes_is_refused_with_the_name_of_the_option(named):
    with pytest.raises(InvalidInputError, match=r"^screen="):
        cards.scene_classes(named)


DOORS = {
    "ndvi": lambda screen: show.time_series.ndvi("ms", 2024, "12", screen=screen),
    "scl": lambda screen: show.time_series.ndvi("ms", 2024, "12", scl=screen),
    "s2": lambda screen: show.time_series.s2("ms", 2024, "12", screen=screen),
    "chips": lambda screen: show.chip_images.by_pid("ms", 2024, "12", screen=screen),
    "place": lambda screen: show.chip_images.by_location(3, 43, "2024-01-01", "2024-02-01", screen=screen),
    "grid": lambda screen: show.chip_images.grid("ms", 2024, "12", screen=screen),
    "calendar": lambda screen: show.calendar.by_pid("ms", 2024, "12", screen=screen),
    "histograms": lambda screen: show.calendar.histograms("ms", 2024, "12", screen=screen),
    "scatter": lambda screen: show.calendar.scatter("ms", 2024, "12", screen=screen),
    "foi.suspicious": lambda screen: cbm.foi.suspicious("ms", 2024, screen=screen),
    "foi.thematic": lambda screen: cbm.foi.thematic("ms", 2024, screen=screen),
    "query": lambda screen: open_lake().query("time_series.ndvi", **KEY, pid="12", screen=screen),
    "export": lambda screen: open_lake().export("time_series.ndvi", "x.csv", **KEY, pid="12", screen=screen),
}


@pytest.mark.parametrize("screen", ["", "nonsense", (99,), True, 2.5, [float("nan")]], ids=repr)
@pytest.mark.parametrize("door", DOORS)
def test_every_door_refuses_what_are_no_scene_classes_before_any_work(filled, door, screen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match="scene classes"):
        DOORS[door](screen)
    assert not list(tmp_path.glob("x.csv"))


@pytest.mark.parametrize(
    "command", [["time-series"], ["chips", "--start", "2024-01-01", "--end", "2024-02-01"], ["calendar"]]
)
def test_the_command_line_names_its_own_option(filled, tmp_path, monkeypatch, capsys, command):
    where = ["--aoi", "ms", "--year", "2024", "--pid", "12", "--screen", "99", "--out", "x.png"]
    words = ["cbm-lake", "show", *command, *where]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit, match="1"):
        run_main()
    told = capsys.readouterr().err
    assert "--screen '99' is no list of scene classes" in told
    assert "screen=" not in told


# -- bands ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "name"),
    [("s2", "B4"), ("s2", "b8"), ("s2", "B8A"), ("s2", "SC"), ("bs", "VVb"), ("c6", "VHc"), ("bs", "vv")],
)
def test_band_names_of_old_are_understood(filled, card, name):
    frame = cbm.get.time_series.by_pid("ms", 2024, "12", card, band=name)
    assert set(frame["band"]) <= {cards.band_called(name) + {"bs": "b", "c6": "c"}.get(card, "")}
