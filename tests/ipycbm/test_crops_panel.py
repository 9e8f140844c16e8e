"""The ranked list of a crop check in the widget, and in a real browser."""

import checked_crops
import ipywidgets
import pytest
import small_demo
from checked_crops import CROPS, PIDS, SAYS
from test_browser import in_browser, served, visited
from test_ipycbm import all_of
from test_lights_due import STANDS
from test_markers import fill, seen

from cbm_lake.ipycbm import crops_panel
from cbm_lake.ipycbm.panel import Panel
from cbm_lake.lake import open_lake


@pytest.fixture
def unchecked(workspace):
    return fill(open_lake(), *(row for pid in PIDS for row in seen(pid, STANDS)), pids=PIDS, crops=CROPS)


@pytest.fixture
def lake(unchecked):
    checked_crops.put(unchecked, SAYS)
    return unchecked


def forms(widget):
    """The forms of a widget by their buttons."""
    return {form.button.description: form for form in all_of(widget, Panel)}


def listed(form, **values):
    """The identifiers of the list, in its order, and its texts."""
    for name, value in values.items():
        form.inputs[name].value = value
    form.submit().result(60)
    buttons = [one.description for one in all_of(form.result, ipywidgets.Button)]
    return buttons, " ".join(one.value for one in all_of(form.result, ipywidgets.HTML)) + form.message.value


def test_the_list_is_by_rank_and_says_verdict_crops_promise_and_since(lake):
    form = forms(crops_panel.panel(lake))["list"]
    pids, texts = listed(form)
    assert pids == ["a", "c", "b", "d"]
    for text in ("disagrees", "grassland", "maize (0.90), sunflower (0.06)", "0.004", "2024-07-05", "2024-10-01"):
        assert text in texts
    assert "4 parcels; data up to 2024-10-01; at most 5 % of the accused are accused wrongly" in texts


@pytest.mark.parametrize(
    ("values", "pids"),
    [
        ({"verdict": "disagrees"}, ["a"]),
        ({"verdict": "cannot say"}, ["c", "d"]),
        ({"crop": "Grass"}, ["a", "b"]),
        ({"crop": "411"}, ["c"]),
        ({"crop": "maize", "verdict": "cannot say"}, ["c"]),
        ({"most": 2}, ["a", "c"]),
    ],
)
def test_a_list_is_of_a_verdict_a_crop_and_so_many(lake, values, pids):
    shown, texts = listed(forms(crops_panel.panel(lake))["list"], **values)
    assert shown == pids
    assert ("the first 2 of 4 parcels" in texts) == ("most" in values)


def test_a_list_without_parcels_or_without_a_check_is_a_plain_line(unchecked):
    form = forms(crops_panel.panel(unchecked))["list"]
    assert "the crops were not checked yet" in listed(form)[1]
    checked_crops.put(unchecked, SAYS)
    assert "no parcel has this verdict and crop; choose others" in listed(form, crop="oats")[1]


def test_names_of_an_agency_are_text_in_the_list(unchecked):
    likely = ["<b>bold</b>", "maize"]
    checked_crops.put(unchecked, {"a": {**SAYS["a"], "likely": likely, "reason": "<i>x</i>"}})
    _, texts = listed(forms(crops_panel.panel(unchecked))["list"])
    assert "&lt;b&gt;bold&lt;/b&gt;" in texts
    assert "<b>bold" not in texts


def test_a_click_on_a_parcel_shows_its_picture_and_what_is_said_of_it(lake):
    both = forms(crops_panel.panel(lake))
    listed(both["list"])
    button = all_of(both["list"].result, ipywidgets.Button)[0]
    button.click()
    both["look"].submit().result(60)
    assert both["look"].inputs["pid"].value == "a"
    assert len(all_of(both["look"].result, ipywidgets.Image)) == 1
    (said,) = all_of(both["look"].result, ipywidgets.HTML)
    assert "parcel a: disagrees: grassland is not among the likely crops; likely maize (0.90)" in said.value
    assert both["look"].inputs["pid"].options == ("a", "c", "b", "d")


@pytest.mark.slow
@in_browser
def test_the_ranked_list_is_seen_filtered_and_opened_in_a_browser(tmp_path, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    demo = small_demo.make(tmp_path)
    pids = open_lake().sql("select pid from parcels order by pid limit 4")["pid"].to_pylist()
    checked_crops.put(open_lake(), dict(zip(pids, SAYS.values(), strict=True)), of=("demo", 2024))
    with served(demo) as url, visited(url) as visit:
        visit.tab("crops")
        visit.press("list")
        visit.see("4 parcels; data up to 2024-10-01; at most 5 % of the accused are accused wrongly")
        visit.shoot("13_crops")
        visit.page.get_by_label("verdict", exact=True).locator("visible=true").first.select_option("disagrees")
        visit.press("list")
        visit.see("1 parcel; data up to")
        visit.press(pids[0])
        visit.see_picture(1)
        visit.see(f"parcel {pids[0]}: disagrees")
        visit.shoot("14_crop_of_a_parcel")
