"""What every form of every widget keeps to: a result is of what the form says, or it is marked as old, or gone."""

import threading
from datetime import UTC, datetime, timedelta

import ipyleaflet
import ipywidgets
import pytest
from factories import PIDS, fill, parcels
from test_ipycbm import all_of

from cbm_lake.errors import InvalidInputError
from cbm_lake.get import parcel_info
from cbm_lake.ipycbm import (
    card2db_panel,
    config_panel,
    crops_panel,
    extract_panel,
    files,
    foi_panel,
    forms,
    get_panel,
    overview,
    qa_panel,
    view_panel,
)
from cbm_lake.ipycbm.panel import Panel, rendered

MODULES = (
    card2db_panel,
    config_panel,
    crops_panel,
    extract_panel,
    foi_panel,
    get_panel,
    overview,
    qa_panel,
    view_panel,
)
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}


def another(widget, trait):  # noqa: C901, PLR0911 - one line for each kind of input
    """Another value for an input."""
    value = getattr(widget, trait)
    if isinstance(widget, ipywidgets.FileUpload):
        sent = {"name": "b.csv", "content": memoryview(b"b"), "type": "", "size": 1, "last_modified": datetime.now(UTC)}
        return (sent,)
    if isinstance(widget, ipyleaflet.Marker):
        return (value[0] + 1, value[1])
    if isinstance(widget, ipyleaflet.DrawControl):
        return [*value, {"type": "Feature", "properties": {}, "geometry": SQUARE}]
    if isinstance(widget, ipywidgets.Tab):
        return 1 - (value or 0) if len(widget.children) == 2 else ((value or 0) + 1) % len(widget.children)
    if isinstance(widget, ipywidgets.SelectMultiple):
        return () if value else widget.options[:1]
    if isinstance(widget, (ipywidgets.Dropdown, ipywidgets.ToggleButtons)):
        options = [each[1] if isinstance(each, tuple) else each for each in widget.options]
        return next((each for each in options if each != value), value)
    if isinstance(widget, ipywidgets.DatePicker):
        return value + timedelta(days=-1 if "first" in widget.description else 1)
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):  # of a slider of ranges
        return (value[0] + 1, value[1])
    if isinstance(value, (int, float)):
        return value + (1 if value + 1 <= getattr(widget, "max", value + 1) else -1)
    return f"{value}1"


@pytest.fixture
def lake_with_parcels(lake):
    fill(lake)
    for key in (("ms", 2023, ""), ("ms", 2024, "other"), ("zz", 2023, "")):
        lake.add_parcels(*key, "v1", parcels(PIDS, [("grass", "1")] * len(PIDS)))
    for aoi, year in (("ms", 2024), ("ms", 2023), ("zz", 2023)):
        for pid in PIDS:
            parcel_info.by_pid(aoi, year, pid)
    return lake


def every_form(module):
    """All forms of a widget, their actions replaced by one that gives what it was called with."""
    found = all_of(module.panel(), Panel)
    for form in found:
        form.action, form._render, form.after, form.locked = (lambda **values: values), rendered, lambda _: None, str
        for widget in (form.form._inputs or {}).values():
            for file in all_of(widget, files.File):
                file.path.value = "a.csv"
    for drawing in {widget for form in found for widget, _ in form.form.watched() if hasattr(widget, "polyline")}:
        drawing.data = [{"type": "Feature", "properties": {}, "geometry": SQUARE}]
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_result_is_old_or_gone_as_soon_as_any_input_says_another(lake_with_parcels, module):
    found = every_form(module)
    assert found
    for form in found:
        for widget, trait in sorted(form.form.watched(), key=str):
            _check_one(form, widget, trait)


def _check_one(form, widget, trait):
    form.submit().result(20)
    what = f"{form.button.description}: {type(widget).__name__} {getattr(widget, 'description', '')}"
    assert form.result.children, f"{what}: {form.message.value}"
    assert (form.old.value, form.result_values is None) == ("", False), what
    before, said = getattr(widget, trait), form.form.values()
    setattr(widget, trait, another(widget, trait))
    if getattr(widget, trait) == before:  # there is one only
        return
    if not form.form.differs(said):  # a part that does not matter now, such as that of a tab that is not open
        assert isinstance(widget, (ipywidgets.ValueWidget, ipyleaflet.Marker, ipyleaflet.DrawControl)), what
        return
    assert form.result_values is None, what
    if form.result.children:
        assert f"press {form.button.description} again" in form.old.value, what
    if not isinstance(widget, ipywidgets.FileUpload):
        setattr(widget, trait, before)
        assert form.old.value == "" or form.form.differs(said), what


def test_every_input_of_a_form_is_watched(lake_with_parcels):
    for module in MODULES:
        for form in all_of(module.panel(), Panel):
            watched = {widget for widget, _ in form.form.watched()}
            for name, widget in form.inputs.items():
                parts = [
                    each
                    for each in all_of(widget, ipywidgets.ValueWidget)
                    if not isinstance(each, (ipywidgets.HTML, ipywidgets.Label))
                ]
                assert parts, name
                assert set(parts) <= watched, (module.__name__, name)


def test_what_is_old_says_of_what_it_is_and_never_writes_a_secret():
    secret, pid = ipywidgets.Password(description="password"), ipywidgets.Text("000591", description="parcel")
    form = Panel("look", lambda pid, secret: pid, pid=pid, secret=secret)
    secret.value = "s3cr3t"
    form.submit().result(20)
    pid.value, secret.value = "<b>2", "other"
    assert "of parcel 000591, another password" in form.old.value
    assert "press look again" in form.old.value
    assert "s3cr3t" not in form.old.value
    pid.value, secret.value = "000591", "s3cr3t"
    assert form.old.value == ""


def test_a_form_changed_while_it_runs_marks_the_answer_as_old():
    gate, pid = threading.Event(), ipywidgets.Text("1", description="parcel")
    form = Panel("look", lambda pid: gate.wait(20) and pid, pid=pid)
    running = form.submit()
    pid.value = "2"
    gate.set()
    assert running.result(20) == "1"
    assert "of parcel 1" in form.old.value
    assert form.result_values is None


def test_values_are_those_of_the_click():
    begun, gate, pid = threading.Event(), threading.Event(), ipywidgets.Text("1")
    context = ipywidgets.Text("a")

    def action(pid, context):
        begun.set()
        gate.wait(20)
        return pid + context

    form = Panel("look", action, context={"context": context}, pid=pid)
    running = form.submit()
    pid.value = context.value = "2"
    gate.set()
    assert running.result(20) == "1a"


def test_where_it_redraws_the_newest_click_is_drawn_and_the_older_answer_dropped():
    gates = {pid: threading.Event() for pid in "123"}
    shown, pid = [], ipywidgets.Text("1")

    def action(pid):
        gates[pid].wait(20)
        return pid

    def draw(answer):
        shown.append(answer)
        return rendered(answer)

    form = Panel("look", action, redraws=True, render=draw, pid=pid)
    running = form.submit()
    for value in "23":
        pid.value = value
        assert form.submit() is running
    assert not form.result.children
    for gate in gates.values():
        gate.set()
    assert running.result(20) == "3"
    assert form.result.children[0].value == "3"
    assert form.result_values == {"pid": "3"}


def test_under_an_error_no_former_result_stays():
    def action(pid):
        if pid == "2":
            raise InvalidInputError("no such parcel")
        return pid

    pid = ipywidgets.Text("1", description="parcel")
    form = Panel("look", action, pid=pid)
    form.submit().result(20)
    pid.value = "2"
    form.submit().result(20)
    assert "no such parcel" in form.message.value
    assert not form.result.children
    pid.value = "1"
    assert form.result_values is None


def test_what_an_action_changes_in_its_form_does_not_make_its_answer_old():
    sure = ipywidgets.Checkbox(True)
    form = Panel("delete", lambda sure: "gone", after=lambda _: setattr(sure, "value", False), fleeting=True, sure=sure)
    form.submit().result(20)
    assert form.result.children[0].value == "gone"
    sure.value = True
    assert not form.result.children


def test_inputs_of_several_parts_are_told_in_words():
    days = get_panel.Days(datetime(2024, 1, 1, tzinfo=UTC).date(), datetime(2024, 12, 31, tzinfo=UTC).date())
    known = forms.Form({"days": days})
    before = known.values()
    days.last.value = None
    assert known.words(before) == "days 2024-01-01 to 2024-12-31"
    assert known.differs(before)
