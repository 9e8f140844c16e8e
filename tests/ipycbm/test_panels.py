"""What every form of every widget keeps to: a result is of what the form says, or it is marked as old, or gone."""

import html
import re
import threading
from datetime import UTC, datetime, timedelta

import ipyleaflet
import ipywidgets
import pandas as pd
import pytest
from factories import PIDS, fill, parcels
from test_ipycbm import all_of

from cbm_lake import get, qa
from cbm_lake.errors import InvalidInputError
from cbm_lake.get import parcel_info
from cbm_lake.ipycbm import (
    card2db_panel,
    changes,
    choice,
    config_panel,
    crops_panel,
    extract_panel,
    files,
    foi_panel,
    forms,
    get_panel,
    holdings,
    newest,
    opened,
    overview,
    qa_panel,
    view_panel,
)
from cbm_lake.ipycbm.note_form import Notes
from cbm_lake.ipycbm.panel import Panel, rendered

pytestmark = pytest.mark.thorough


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
    """All forms of a widget, their actions replaced by one that gives what it was called with.

    What there is of a parcel is not looked up: other parcels would have less to choose from.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holdings.Holdings, "_follow", lambda *_: None)
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


def settle():
    """Wait for what is looked up beside the page, which changes forms too."""
    for thread in threading.enumerate():
        if thread.name == newest.THREAD:
            thread.join(60)


def _check_one(form, widget, trait):
    settle()
    form.submit().result(20)
    what = f"{form.button.description}: {type(widget).__name__} {getattr(widget, 'description', '')}"
    assert form.result.children, f"{what}: {form.message.value}"
    assert (form.old.value, form.result_values is None) == ("", False), what
    before, said = getattr(widget, trait), form.form.values()
    setattr(widget, trait, another(widget, trait))
    settle()
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
        settle()
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
    days = choice.Days(datetime(2024, 1, 1, tzinfo=UTC).date(), datetime(2024, 12, 31, tzinfo=UTC).date())
    known = forms.Form({"days": days})
    before = known.values()
    days.last.value = None
    assert known.words(before) == "days 2024-01-01 to 2024-12-31"
    assert known.differs(before)


# -- what is old is locked --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_nothing_in_an_old_result_can_be_pressed_or_downloaded(lake_with_parcels, module):
    for form in every_form(module):
        pressed = ipywidgets.Button(description="in the result")
        form._render = lambda _, pressed=pressed: ipywidgets.VBox([pressed, ipywidgets.Button(disabled=True)])
        form.submit().result(20)
        assert not pressed.disabled
        for widget, trait in sorted(form.form.watched(), key=str):
            before = getattr(widget, trait)
            setattr(widget, trait, another(widget, trait))
            if not form.is_old:
                continue
            assert pressed.disabled
            assert "pointer-events: none" in form.old.value
            assert "a[download] { display: none }" in form.old.value
            assert "cbm-lake-old" in form.result._dom_classes
            if not isinstance(widget, ipywidgets.FileUpload):
                setattr(widget, trait, before)
            if not form.is_old:
                assert [button.disabled for button in form.result.children[0].children] == [False, True]
            break


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_under_an_error_of_any_form_nothing_is_shown(lake_with_parcels, module):
    for form in every_form(module):
        form.submit().result(20)
        assert form.result.children

        def refuse(**_):
            raise InvalidInputError("it cannot be done")

        form.action = refuse
        form.submit().result(20)
        assert not form.result.children, form.button.description
        assert "it cannot be done" in form.message.value


def test_while_it_runs_the_button_can_be_pressed_only_for_other_values():
    begun, gate, pid = threading.Event(), threading.Event(), ipywidgets.Text("1")

    def action(pid):
        begun.set()
        gate.wait(20)
        return pid

    draws, saves = Panel("look", action, pid=pid), Panel("save", action, fleeting=True, pid=pid)
    running = [draws.submit(), saves.submit()]
    begun.wait(20)
    assert [draws.button.disabled, saves.button.disabled] == [True, True]
    pid.value = "2"
    assert [draws.button.disabled, saves.button.disabled] == [False, True]
    draws.button.click()
    gate.set()
    assert [each.result(20) for each in running] == ["2", "1"]


# -- what is said -----------------------------------------------------------------------------------------------------

PYTHON = re.compile(r"`|\bipycbm\.|\bcbm\.\w+\(|\b[a-z]+(_[a-z]+)*=")
"""What only those who write Python understand."""


TYPED = ("", "x=y", "\\0\n", "no/such thing", "-1", "\u00df\u65e5")
"""Wrong texts for every field."""


def wrong_inputs(widget):
    """Wrong inputs of a panel, one kind after another; gives what was typed, which a message may repeat."""
    texts = [*all_of(widget, ipywidgets.Text), *all_of(widget, ipywidgets.Textarea)]
    for typed in TYPED:
        for text in texts:
            text.value = typed
        yield typed
    for text in texts:
        text.value = ""
    for name in ("b.csv", "b.gpkg", "b.zip"):
        sent = {"name": name, "content": memoryview(b"\0b"), "type": "", "size": 2, "last_modified": datetime.now(UTC)}
        for upload in all_of(widget, ipywidgets.FileUpload):
            upload.value = (sent,)
        yield name
    for number in (*all_of(widget, ipywidgets.BoundedIntText), *all_of(widget, ipywidgets.BoundedFloatText)):
        number.value = number.max
    yield ""
    for picker in all_of(widget, ipywidgets.DatePicker):
        picker.value = None
    yield ""


def said_by(form):
    """The lines that a form shows after it has run."""
    shown = [each.value for each in all_of(form.result, ipywidgets.HTML) if len(each.value) < 2_000]
    return [html.unescape(re.sub(r"<[^>]+>", "", line)) for line in (form.message.value, *shown)]


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_what_a_form_says_of_wrong_inputs_names_no_argument(lake_with_parcels, module):
    widget = module.panel()
    found = all_of(widget, Panel)
    for typed in wrong_inputs(widget):
        for form in found:
            if not form.form.differs(form.asked):  # it has answered these inputs
                continue
            form.submit().result(60)
            lines = said_by(form)
            assert any(lines) or form.result.children or form.locked(), form.button.description
            assert "a fault of cbm-lake" not in lines[0], (form.button.description, typed, lines[0])
            for line in lines:
                told = line.replace("x=y", "it")  # which was typed
                assert not PYTHON.search(told), (form.button.description, typed, line)


def test_an_error_of_a_parcel_that_is_none_is_told_without_names_of_arguments(lake_with_parcels):
    for wrong in ({"aoi": ""}, {"year": 3}, {"pid": 1.5}):
        with pytest.raises(InvalidInputError) as told:
            parcel_info.by_pid(**{"aoi": "ms", "year": 2024, "pid": "12"} | wrong)
        assert f"{next(iter(wrong))}=" in str(told.value)
        assert not PYTHON.search(told.value.plain)
        assert "is not right" in told.value.plain


# -- tabs hear of each other ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_what_another_tab_or_process_loads_is_offered_and_choices_stay(lake_with_parcels, module):
    lake, widget = lake_with_parcels, module.panel()
    choosers = all_of(widget, choice.ParcelSet)
    heard = []
    for chooser in choosers:
        chooser.aoi.value, chooser.year.value = "ms", next(year for year in chooser.year.options if int(year) == 2023)
        chooser.aoi.observe(lambda change: heard.append(change["new"]), "value")
        chooser.year.observe(lambda change: heard.append(change["new"]), "value")
    lake.add_parcels("aa", 2024, "", "v1", parcels(PIDS, [("rye", "2")] * len(PIDS)))
    changes.announce("parcels")
    for chooser in choosers:
        assert chooser.aoi.options == ("aa", "ms", "zz")
        assert (chooser.aoi.value, int(chooser.year.value)) == ("ms", 2023)
    lake.add_parcels("bb", 2024, "", "v1", parcels(PIDS, [("rye", "2")] * len(PIDS)))
    changes.refresh_within(widget)
    assert all(chooser.aoi.options == ("aa", "bb", "ms", "zz") for chooser in choosers)
    assert heard == []


def test_what_is_got_loaded_and_drawn_appears_elsewhere_at_once(lake_with_parcels, tmp_path):
    catalogue, got, seen, desk = card2db_panel.panel(), get_panel.panel(), view_panel.panel(), qa_panel.Desk()
    kept = seen.parcels
    assert (kept.aoi.options, kept.value) == (("ms", "zz"), ("ms", 2024, "0012"))
    get.folders.write("qq", 2022, "7", "info.json", "{}")
    fetch = next(form for form in all_of(got, Panel) if form.button.description == "get")
    fetch.action = lambda **_: pd.DataFrame({"pid": [], "what": [], "problem": []})
    fetch.submit().result(20)
    assert kept.aoi.options == ("ms", "qq", "zz")
    assert kept.value == ("ms", 2024, "0012")
    load = next(form for form in all_of(catalogue, Panel) if form.button.description == "load")
    lake_with_parcels.add_parcels("aa", 2024, "", "v1", parcels(PIDS, [("rye", "2")] * len(PIDS)))
    load.action = lambda **_: "loaded"
    load.submit().result(20)
    assert all("aa" in each.aoi.options for each in (*all_of(got, choice.ParcelSet), desk.parcels))
    assert desk.sample.options == ()
    listed = tmp_path / "list.csv"
    listed.write_text("gsa_par_id;gsa_hol_id;ua_grp_id;covered;ranking\n0012;H;ww;1;1\n12;H;ww;1;2\n")
    qa.sample(listed, extraction_id="first")
    changes.announce("samples")
    assert desk.sample.options == ("first",)


# -- notes ------------------------------------------------------------------------------------------------------------


def notes_of(widget):
    return next(iter(all_of(widget, Notes)))


def test_notes_are_of_the_parcel_whose_were_read(lake_with_parcels):
    for key in (("ms", 2024, "12"), ("ms", 2023, "12"), ("zz", 2023, "a/b")):
        get.notes.write(*key, " ".join(map(str, key)))
    widget = view_panel.panel()
    kept, notes = widget.parcels, notes_of(widget)
    for aoi, year, pid in (("ms", "2024", "12"), ("ms", "2023", "12"), ("zz", "2023", "a/b")):
        kept.aoi.value, kept.year.value = aoi, year
        kept.pid.value = pid
        assert (notes.text.value, notes.loaded) == (f"{aoi} {year} {pid}", (aoi, int(year), pid))
        assert f"notes on parcel {pid} of {aoi} {year}, last changed by" in notes.heading.value
        assert not notes.button.disabled


def test_what_is_typed_stays_with_its_parcel(lake_with_parcels):
    widget = view_panel.panel()
    kept, notes = widget.parcels, notes_of(widget)
    kept.pid.value = "12"
    notes.text.value = "of twelve"
    kept.pid.value = "0012"
    assert notes.text.value == ""
    assert "unsaved: notes on parcel 12" in notes.heading.value
    notes.submit().result(20)
    assert get.notes.read("ms", 2024, "12") == ""
    kept.pid.value = "1"  # half of one
    assert notes.button.disabled
    assert "no parcel is chosen" in notes.lock.value
    kept.pid.value = "12"
    assert notes.text.value == "of twelve"
    notes.submit().result(20)
    assert get.notes.read("ms", 2024, "12") == "of twelve"
    assert "unsaved" not in notes.heading.value


def test_what_others_wrote_meanwhile_is_not_lost(lake_with_parcels):
    widget = view_panel.panel()
    kept, notes = widget.parcels, notes_of(widget)
    kept.pid.value = "12"
    notes.text.value = "mine"
    get.notes.write("ms", 2024, "12", "of ada", who="ada")
    notes.submit().result(20)
    assert "others changed these notes meanwhile" in notes.message.value
    assert get.notes.read("ms", 2024, "12") == "of ada"
    assert notes.text.value == "of ada\n\nmine"
    notes.submit().result(20)
    assert get.notes.read("ms", 2024, "12") == "of ada\n\nmine"
    assert [each.text for each in get.notes.history("ms", 2024, "12")] == ["of ada", "of ada\n\nmine"]
    with pytest.raises(InvalidInputError, match="were changed meanwhile by"):
        get.notes.write("ms", 2024, "12", "other", instead_of="of ada")


def test_nobody_deletes_what_others_wrote(lake_with_parcels, workspace):
    workspace.configure("set", user="bob")
    for pid, who in (("12", "ada"), ("0012", "bob")):
        get.notes.write("ms", 2024, pid, f"of {who}", who=who)
    files = get.leftovers.of_folders(get.folders.of_parcels(workspace.data))
    assert "ada (2 files)" in get.leftovers.in_words(files)
    get.leftovers.delete(files, also_by_person=True)
    assert [get.notes.read("ms", 2024, pid) for pid in ("12", "0012")] == ["of ada", ""]
    widget = view_panel.panel()
    widget.parcels.pid.value = "12"
    form = next(form for form in all_of(widget, Panel) if form.button.description == "what would be deleted")
    form.submit().result(20)
    (box,) = form.result.children
    assert "ada (2 files)" in box.line.value
    next(button for button in all_of(box, ipywidgets.Button) if button.description == "delete …").click()
    assert "Others made this, and it stays: notes of parcel ms 2024 12" in box.line.value
    assert "delete yours too" not in [button.description for button in all_of(box, ipywidgets.Button)]
    widget.parcels.pid.value = "0012"
    assert not form.result.children  # the question was about another parcel


def test_notes_of_a_page_are_of_the_account_that_opened_it(workspace, monkeypatch):
    monkeypatch.setenv("HTTP_X_CBM_LAKE_WHO", "carol")
    monkeypatch.setenv("CBM_LAKE_VISITOR", "")
    opened.introduce()
    get.notes.write("ms", 2024, "12", "seen")
    assert [each.who for each in get.notes.history("ms", 2024, "12")] == ["carol"]
