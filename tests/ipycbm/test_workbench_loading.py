"""Loading of the workbench's parts: the newest request wins, whatever is slow, and errors clear what was drawn."""

import threading
import time
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from bench_parts import Plain

from cbm_lake.errors import SourceError
from cbm_lake.ipycbm.desk.loading import Loader, Slot, summary
from cbm_lake.ipycbm.desk.state import Drawn, Request, State
from cbm_lake.lake.keys import ParcelKey

MOMENT = datetime(2026, 11, 30, 12, tzinfo=UTC)


def request(pid, day="", layer="true colour", index="ndvi", aoi="ms", year=2024):
    return Request(ParcelKey(aoi, year, "", pid), day, "", layer, index, MOMENT)


def wait(happened):
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def idle(loader):
    return not any(each.loading for each in loader.standings().values())


@pytest.fixture
def map_part():
    return Plain(State())


@pytest.fixture
def curve():
    return Plain(State())


@pytest.fixture
def loader(map_part, curve):
    slots = {"map": Slot(map_part, ("key", "day", "layer")), "evidence": Slot(curve, ("key", "index"))}
    return Loader(slots, lambda: None)


def test_all_parts_draw_a_parcel_and_each_says_what_it_shows(loader):
    loader.ask(request("7", day="2024-06-12"))
    wait(lambda: loader.drawn_of(request("7").key))
    drawn = loader.drawn_of(request("7").key)
    assert summary(drawn) == {
        "map": {"day": "2024-06-12", "layer": "true colour"},
        "evidence": {"day": "2024-06-12", "layer": "true colour"},
    }
    for other in (request("8"), request("7", aoi="es"), request("7", year=2023)):
        assert loader.drawn_of(other.key) is None


def test_a_part_is_read_again_only_for_what_it_depends_on(loader, map_part, curve):
    first = request("7")
    for each in (first, first, replace(first, day="2024-05-01"), replace(first, day="2024-05-01", index="ndwi")):
        loader.ask(each)
        wait(lambda: idle(loader))
    assert [(each.key.pid, each.day) for each in map_part.reads] == [("7", ""), ("7", "2024-05-01")]
    assert [each.index for each in curve.reads] == ["ndvi", "ndwi"]
    loader.ask(first := replace(first, day="2024-05-01", index="ndwi"), again=("evidence",))
    wait(lambda: idle(loader))
    assert (len(map_part.reads), len(curve.reads)) == (2, 3)


def test_of_several_quick_requests_the_newest_is_drawn_and_those_between_are_not_read(loader, map_part):
    map_part.gate.clear()
    for number in range(50):
        loader.ask(request(str(number)))
    assert loader.standings()["map"].loading
    map_part.gate.set()
    wait(lambda: loader.drawn_of(request("49").key))
    assert map_part.shows == ["49"]
    assert len(map_part.reads) <= 3  # two at once, and the newest


def test_a_slow_answer_to_a_former_request_is_never_shown(map_part):
    gates = {pid: threading.Event() for pid in "ab"}

    class Slow(Plain):
        def read(self, request):
            assert gates[request.key.pid].wait(20)
            return request

    part = Slow(State())
    loader = Loader({"map": Slot(part)}, lambda: None)
    loader.ask(request("a"))
    loader.ask(request("b"))
    gates["b"].set()
    wait(lambda: loader.drawn_of(request("b").key))
    gates["a"].set()
    wait(lambda: not any(thread.name.startswith("cbm") for thread in threading.enumerate()))
    assert part.shows == ["b"]
    assert loader.drawn_of(request("b").key)


def test_what_is_drawn_counts_no_more_once_something_newer_loads(loader, map_part):
    loader.ask(request("1"))
    wait(lambda: loader.drawn_of(request("1").key))
    map_part.gate.clear()
    loader.ask(request("1", day="2024-06-01"))
    assert loader.drawn_of(request("1").key) is None
    assert loader.standings()["map"].drawn.key.pid == "1"  # still on the screen, faded
    map_part.gate.set()
    wait(lambda: loader.drawn_of(request("1").key))
    assert loader.drawn_of(request("1").key)["map"].day == date(2024, 6, 1)


@pytest.mark.parametrize("error", [SourceError("scene x.tif cannot be read"), KeyError("B08")])
def test_an_error_clears_the_part_that_it_is_of_and_says_why(loader, map_part, curve, error):
    map_part.fails = {"2": error}
    loader.ask(request("1"))
    wait(lambda: idle(loader))
    loader.ask(request("2"))
    wait(lambda: idle(loader))
    standings = loader.standings()
    assert standings["map"].drawn is None
    assert ("x.tif" in map_part.value) if isinstance(error, SourceError) else ("a fault of cbm-lake" in map_part.value)
    assert standings["map"].problem == map_part.value
    assert standings["evidence"].drawn.key.pid == "2"
    assert loader.drawn_of(request("2").key) is None
    loader.ask(request("1"))
    wait(lambda: loader.drawn_of(request("1").key))


def test_an_error_in_showing_is_one_of_the_part(loader, map_part):
    def fail(_):
        raise SourceError("no place to draw")

    map_part.show = fail
    loader.ask(request("1"))
    wait(lambda: idle(loader))
    assert loader.standings()["map"].problem == "no place to draw"


def test_clearing_drops_what_is_still_read(loader, map_part):
    map_part.gate.clear()
    loader.ask(request("1"))
    loader.clear("no parcel")
    map_part.gate.set()
    wait(lambda: len(map_part.reads) == 1)
    loader.ask(request("2"))
    wait(lambda: loader.drawn_of(request("2").key))
    assert map_part.shows == ["2"]


def test_whoever_asks_while_a_part_shows_is_not_held_up():
    """A part may change the state while it shows, and a person while it is shown: neither waits for the other."""
    entered, leave = threading.Event(), threading.Event()

    class Showing(Plain):
        def show(self, request):
            entered.set()
            assert leave.wait(20)
            return super().show(request)

    part = Showing(State())
    loader = Loader({"map": Slot(part)}, lambda: None)
    loader.ask(request("1"))
    assert entered.wait(20)
    loader.ask(request("2"))  # returns although 1 is being shown
    leave.set()
    wait(lambda: loader.drawn_of(request("2").key))
    assert part.value == "drawn 2"


def test_a_day_that_no_part_has_is_none():
    drawn = Drawn(ParcelKey("ms", 2024, "", "1"), None, "ndvi", MOMENT)
    assert summary({"evidence": drawn}) == {"evidence": {"day": None, "layer": "ndvi"}}
