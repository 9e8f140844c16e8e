"""The options of public functions: each is checked by its name before anything is done, and refused in one line."""

import enum
import importlib
import inspect
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import copied

import cbm_lake as cbm
from cbm_lake import foi, get, guard, markers, report, show
from cbm_lake.errors import InvalidInputError, LakeError
from cbm_lake.lake.options import CHECKS, checked_option

report_slides = importlib.import_module("cbm_lake.report.slides")

MODULES = (
    get.parcel_info,
    get.time_series,
    get.chip_images,
    get.background,
    get.parcels_list,
    get.notes,
    get.several,
    show.time_series,
    show.chip_images,
    show.background,
    show.parcel_info,
    show.calendar,
    report,
    report_slides,
)
FREE = {"lake", "progress", "wanted", "polygon", "geometry", "notice", "args", "kwargs"}
"""What is not an option, or is checked where it is understood (polygons: sources/polygons.py)."""
GIVEN = {
    "aoi": "ms",
    "year": 2024,
    "pid": "12",
    "pids": ["12"],
    "lon": 3,
    "lat": 43,
    "start_date": "2024-03-01",
    "end_date": "2024-03-05",
    "polygon": "3_43-3_44-4_44-3_43",
    "text": "a",
}


def functions():
    """The public functions of the modules, by name."""
    for module in MODULES:
        for name, function in vars(module).items():
            own = inspect.isfunction(function) and function.__module__ == module.__name__
            if own and not name.startswith("_") and "aoi" in inspect.signature(function).parameters:
                yield f"{module.__name__.removeprefix('cbm_lake.')}.{name}", function


FUNCTIONS = dict(functions())
OPTIONS = [
    (name, option)
    for name, function in FUNCTIONS.items()
    for option in inspect.signature(function).parameters
    if option in CHECKS
]
NONSENSE = [object(), {}, {"a": 1}, b"x", float("nan"), float("inf"), [object()], [None]]


@pytest.fixture
def filled(lake, two_scenes):
    return copied(two_scenes, lake)


def test_every_option_of_every_public_function_is_checked():
    assert len(FUNCTIONS) > 20
    for name, function in FUNCTIONS.items():
        options = set(inspect.signature(function).parameters)
        assert options <= CHECKS.keys() | FREE, f"{name}: {options - CHECKS.keys() - FREE}"


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=["-".join(each) for each in OPTIONS])
def test_nonsense_is_refused_by_the_name_of_the_option(workspace, name, option):
    function = FUNCTIONS[name]
    parameters = inspect.signature(function).parameters
    needed = {other: value for other, value in GIVEN.items() if other in parameters}
    default = parameters[option].default
    for value in NONSENSE if default is None else [*NONSENSE, None]:
        with pytest.raises(InvalidInputError, match=rf"^{option}=") as told:
            function(**{**needed, option: value})
        assert "\n" not in str(told.value)


BOUNDS = {
    "year": (["2024", 2024.0, np.int16(2024)], ["", "x", "2024.5", 24, 99999, True, "nan"]),
    "lon": ([-180, "3.5", np.float32(3)], ["", 181, True, "x"]),
    "lat": ([90, "-43"], [91, "inf", False]),
    "pid": (["a b", 12, np.int64(12), ["a", 1]], [True, 1.5, None, [True]]),
    "start_date": (
        ["2024-03-01", "20240301", date(2024, 3, 1), datetime(2024, 3, 1, tzinfo=UTC), "2024-03-01T10:00Z"],
        ["", "2024-13-45", "March", 20240301, 2024.0, True, "01/03/2024"],
    ),
    "chipsize": ([1, "256", 1280.0], [0, -5, 2.5, "", "x", True]),
    "columns": ([1, 24], [0, 25, 1.5, True]),
    "max_line_plots": ([1], [0, 1.5, True, "many"]),
    "max_peers": ([0, "10"], [-1, 1.5, True]),
    "distance": ([0, "1000"], [-1, "far", True]),
    "percentile": (
        [(2, 98), [0, 100], np.array([1, 99])],
        [(98, 2), (2,), (2, 98, 99), "2,98", 5, (-1, 50), (0, 101), (True, 50)],
    ),
    "hspace": ([0, 0.5], [-0.1, 11, "wide"]),
    "geom": ([True, 0, np.bool_(False)], ["True", 2, "no", 1.5]),
    "file": ([Path("a.png"), "a.png"], ["", 5, True, b"a"]),
    "tms": (["google", ["google", "osm"]], ["", [], 5, [""], True]),
    "bands": (["B04", ("B04", "B08")], ["", [], 4, [4]]),
    "tstype": (["s2", ["bs", "c6"]], [[], 2, [None]]),
    "aoi": (["ms"], ["", " ", 5, True, "..", "../../etc", "a\\b", "a\0"]),
}


@pytest.mark.parametrize("option", BOUNDS)
def test_what_is_meant_is_understood_and_what_is_beyond_is_refused(option):
    right, wrong = BOUNDS[option]
    for value in right:
        checked_option(option, value, several=True)
    for value in wrong:
        with pytest.raises(InvalidInputError, match=f"^{option}="):
            checked_option(option, value, several=True)


class Area(str, enum.Enum):  # noqa: UP042 - whose str() is another text than a StrEnum's
    here = "ms"


ODD = {
    "missing of pandas": pd.NA,
    "missing moment": pd.NaT,
    "decimal": Decimal("sNaN"),
    "view of bytes": memoryview(b"3"),
    "integer of many digits": 10**5000,
    "in a list": [10**5000],
    "many lines": pd.Series([object()] * 9),
    "long list": [object()] * 100_000,
    "complex": 3j,
    "table": pd.DataFrame({"a": [{}]}),
    "long text": ["\n" * 9_000, 7.5j],
    "an array that is no list": np.array(object()),
}


def refusal(name, value):
    """What is told of an option; empty where it is accepted."""
    try:
        checked_option(name, value, several=True)
    except InvalidInputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", sorted(CHECKS))
@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_odd_kinds_are_refused_in_one_short_line_or_are_what_they_say(name, value):
    text = refusal(name, value)
    assert "\n" not in text
    assert len(text) < 300
    assert text or isinstance(value, list | int | pd.DataFrame)  # an identifier of many digits, names of columns


@pytest.mark.parametrize("option", ["aoi", "ptype", "pid", "band", "tms"])
def test_a_member_of_an_enumeration_of_texts_is_its_text(option):
    assert checked_option(option, Area.here) == "ms"
    assert type(checked_option(option, Area.here)) is str


@pytest.mark.parametrize("value", [np.array(3), np.array("3"), np.uint8(3), "3", 3.0])
def test_an_array_of_no_dimension_is_its_value(value):
    assert checked_option("screen", value) == (3,)
    assert checked_option("columns", value) == 3


@pytest.mark.parametrize("value", [["1_0"], "+3", ["+3"], "\uff13", "0x3"])
def test_scene_classes_are_written_as_people_write_them(value):
    assert "is none of 0 to 11" in refusal("screen", value)


def test_numbers_are_written_as_people_write_them():
    assert "columns='1_0' is not right" in refusal("columns", "1_0")


def test_a_number_is_an_identifier_everywhere(filled):
    get.notes.write("ms", 2024, 12, "twelve")
    assert get.notes.read("ms", 2024, np.int64(12)) == get.notes.read("ms", 2024, "12") == "twelve"


def test_one_identifier_is_one_parcel_and_not_its_letters(filled):
    for pids in ("12", 12, ["12"], np.array(["12"])):
        assert set(get.several.by_pids("ms", 2024, pids)["pid"]) == {"12"}


def test_days_the_wrong_way_round_are_refused_before_any_work(workspace):
    days = {"start_date": "2024-03-02", "end_date": date(2024, 3, 1)}
    for function in (get.chip_images.by_pid, show.chip_images.by_pid, show.chip_images.grid, show.calendar.by_pid):
        with pytest.raises(InvalidInputError, match="comes before"):
            function("ms", 2024, "12", **days)
    with pytest.raises(InvalidInputError, match="comes before"):
        get.chip_images.by_location(3, 43, **days)


@pytest.mark.parametrize("value", [None, "", 5, True, "x", "1_2-3_4", [], {}, object(), b"x", float("nan"), "{}", "{"])
def test_what_is_no_polygon_is_refused(filled, value):
    with pytest.raises(InvalidInputError):
        get.parcel_info.by_polygon("ms", 2024, value)


@pytest.mark.parametrize(
    "ask",
    [
        lambda value: foi.suspicious("ms", 2024, cloud=value),
        lambda value: foi.suspicious("ms", 2024, peers=value),
        lambda value: foi.thematic("ms", 2024, clusters=value),
        lambda value: foi.thematic("ms", 2024, periods=value),
        lambda value: markers.find("ms", value),
        lambda value: guard.scenes("ms", value),
        lambda value: cbm.open_lake().parcel_set("ms", value),
        lambda value: cbm.open_lake().parcel_set(value, 2024),
    ],
)
@pytest.mark.parametrize("value", [True, float("nan"), "x", [], {}, object(), b"x", float("inf")])
def test_numbers_of_other_functions_are_checked_too(filled, ask, value):
    if isinstance(value, str):
        with pytest.raises(LakeError):
            ask(value)
    else:
        with pytest.raises(InvalidInputError) as told:
            ask(value)
        assert "\n" not in str(told.value)
