"""Progress of long work: what callbacks are given, and what is said of the time left."""

import types

import IPython
import IPython.display
import pytest

from cbm_lake import progress


def test_a_callback_is_called_with_what_it_takes():
    two, three = [], []
    for callback in (lambda done, total: two.append((done, total)), lambda *told: three.append(told)):
        with progress.reported(callback, "work") as tell:
            tell(1, 2, "first")
            tell(2, 2)
    assert two == [(1, 2), (2, 2)]
    assert three == [(1, 2, "first"), (2, 2)]


@pytest.mark.parametrize("wish", [None, "auto"])
def test_where_nobody_sees_it_nothing_is_written(wish, capfd):
    with progress.reported(wish, "work") as tell:
        tell(1, 2, "first")
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_bar(capfd, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.reported("auto", "extract s2") as tell:
        tell(3, 12, "scene A")
    drawn = capfd.readouterr()
    assert drawn.out == ""
    assert "extract s2" in drawn.err
    assert "3/12" in drawn.err


@pytest.mark.parametrize("step", ["parcel 12[3]: s2", "parcel [red]: s2", "parcel a[/b]: s2"])
def test_a_step_is_said_as_it_is_named(step, capfd, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.reported("auto", "get") as tell:
        tell(1, 2, step)
    assert step in capfd.readouterr().err


def test_in_a_notebook_there_is_a_bar(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", shown.append)
    with progress.reported("auto", "extract s2") as tell:
        tell(3, 12, "scene A")
    bar, line = shown[0].children
    assert (bar.description, bar.max, bar.value) == ("extract s2", 12, 3)
    assert line.value == "3 of 12 · scene A"


def test_the_time_left_is_by_the_speed_of_this_piece_of_work():
    now = [100.0]
    pace = progress.Pace(lambda: now[0])
    pace.at(2, 12)
    assert pace.left() is None
    now[0] += 20
    pace.at(4, 12)
    assert pace.left() == pytest.approx(80)
    now[0] += 10
    assert pace.left() == pytest.approx(120)
    pace.at(1, 5)  # another piece of work
    assert pace.left() is None
    now[0] += 4
    pace.at(3, 5)
    assert pace.left() == pytest.approx(4)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (59.4, "59 s"), (61, "1 min"), (3_599, "1 h 0 min"), (7_500, "2 h 5 min")]
)
def test_durations_in_words(seconds, text):
    assert progress.duration(seconds) == text


def test_a_line_says_how_much_what_and_how_long():
    assert progress.in_words(12, 1_203, "scene A", 40) == "12 of 1,203 · scene A · about 40 s left"
    assert progress.in_words(0, 0, "reading") == "reading"
