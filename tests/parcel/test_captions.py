"""What backgrounds are called: what their files say that they show, with product and date, wherever they are shown."""

import json
import re

import ipywidgets
import pytest
import rasterio
import requests
from rest_server import WHO
from rest_server import served as rest_served
from test_basemaps import Tiles, served
from test_ipycbm import all_of, press

from cbm_lake import card2db, get, ipycbm, parcels, report, show
from cbm_lake.demo import sample
from cbm_lake.ipycbm import view_panel
from cbm_lake.lake import open_lake
from cbm_lake.parcel import basemaps
from cbm_lake.parcel.basemaps import Square
from cbm_lake.parcel.sources import ApiSource

pytestmark = pytest.mark.thorough


PORTLESS = "http://127.0.0.1:9/{z}/{x}/{y}.png"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return sample.write(tmp_path_factory.mktemp("sample"), dates=3, size=160)


@pytest.fixture
def pid(workspace, drawn):
    """A parcel of a lake with scenes; the settings name a tile server "agency" that does not answer."""
    parcels.load(drawn.parcels, "demo", 2024, pid="parcel_id", crop_name="crop_name", crop_code="crop_code")
    card2db.items(str(drawn.items["s2"]), card="s2")
    workspace.configure("tms", agency=PORTLESS)
    return open_lake().sql("select pid from parcels order by area_m2 desc limit 1")["pid"][0].as_py()


def words(figure):
    texts = [text.get_text() for text in figure.texts]
    return " ".join([*texts, *(text.get_text() for axes in figure.axes for text in axes.texts)]).replace("\n", " ")


CREDIT = "; contains modified Copernicus Sentinel data 2024"
SUBSTITUTE = re.compile(
    r"sentinel, 2024-\d\d-\d\d, instead of agency, which did not answer, S2[AB]_MSIL2A_[\w ]+" + CREDIT
)


def test_a_substitute_is_not_stored_under_the_name_of_what_was_asked_for_and_goes_when_the_server_answers(
    pid, workspace
):
    folder = get.folders.place("demo", 2024, pid, "backgrounds")
    (found,) = get.background.by_pid("demo", 2024, pid, tms="agency")
    assert found == folder / "sentinel.tif"
    assert not (folder / "agency.tif").exists()
    with served(Tiles()) as url:
        workspace.configure("tms", agency=url + "/{z}/{x}/{y}.png")
        (found,) = get.background.by_pid("demo", 2024, pid, tms="agency")
    assert found == folder / "agency.tif"
    assert basemaps.caption(basemaps.tags(found), "agency") == "agency, no date given"
    workspace.configure("tms", agency=PORTLESS)
    get.background.by_pid("demo", 2024, pid, tms="agency")
    assert basemaps.tags(folder / "agency.tif")["tms"] == "agency"  # what it shows is true


def test_a_file_that_an_earlier_version_named_after_a_server_that_did_not_answer_is_deleted(pid):
    folder = get.folders.place("demo", 2024, pid, "backgrounds")
    (found,) = get.background.by_pid("demo", 2024, pid, tms="sentinel")
    found.rename(folder / "agency.tif")
    get.background.by_pid("demo", 2024, pid, tms="agency")
    assert sorted(file.name for file in folder.glob("*.tif")) == ["sentinel.tif"]


def test_figures_say_what_is_shown_with_product_and_date(pid):
    figure = show.background.by_pid("demo", 2024, pid, tms="agency")
    assert SUBSTITUTE.search(words(figure))
    assert SUBSTITUTE.fullmatch(figure.get_label())
    several = show.background.by_pid("demo", 2024, pid, tms=["agency", "sentinel"])
    assert [axes.get_title(loc="left").partition(" ·")[0] for axes in several.axes] == ["sentinel", "sentinel"]
    assert SUBSTITUTE.search(words(show.parcel_info.by_pid("demo", 2024, pid, tms="agency")))
    own = show.background.by_pid("demo", 2024, pid, tms="sentinel")
    assert re.fullmatch(r"sentinel, 2024-\d\d-\d\d, S2[AB]_MSIL2A_\w+" + CREDIT, own.get_label())


def test_interactive_figures_say_it_too(pid):
    for drawn in (
        show.background.by_pid("demo", 2024, pid, tms="agency", interactive=True),
        show.parcel_info.by_pid("demo", 2024, pid, tms="agency", interactive=True),
    ):
        assert SUBSTITUTE.search(drawn.opts.get("plot").kwargs["title"])


def test_the_widgets_say_it(pid):
    get.parcel_info.by_pid("demo", 2024, pid)
    tabs = view_panel.panel().tabs
    form = dict(zip(tabs.titles, tabs.children, strict=True))["background"]
    for stack in (press(form, servers=("agency",)), ipycbm.bg_slider("demo", 2024, pid, tms="agency")):
        (slider,) = all_of(stack, ipywidgets.SelectionSlider)
        assert [SUBSTITUTE.fullmatch(title) is not None for title, _ in slider.options] == [True]
    rows = get.several.by_pids("demo", 2024, [pid], get.several.Wanted(series=(), backgrounds=("agency",)))
    assert rows["problem"].isna().all()
    assert SUBSTITUTE.search(rows["what"].iloc[1])


def test_the_report_and_its_evidence_say_it(pid, tmp_path):
    made = report.parcel("demo", 2024, pid, folder=tmp_path, formats=("json", "html"), tms="agency")
    evidence = json.loads(made.files["json"].read_text())
    assert SUBSTITUTE.fullmatch(evidence["others"]["background"])
    assert SUBSTITUTE.search(made.files["html"].read_text())


def test_the_service_says_it_and_asks_the_server_again(pid, workspace, tmp_path):
    (row,) = (
        open_lake()
        .sql(
            "select lon, lat from (select centroid_lon as lon, centroid_lat as lat, pid from parcels) where pid = $pid",
            pid=pid,
        )
        .to_pylist()
    )
    params = {**row, "chipsize": 64, "extend": 512, "tms": "agency", "iformat": "tif"}
    with rest_served(open_lake(), tmp_path) as address:

        def ask(**others):
            return requests.get(f"{address}/query/backgroundByLocation", params=params | others, auth=WHO, timeout=60)

        answer = ask()
        assert answer.text.endswith("/sentinel.tif")
        assert SUBSTITUTE.fullmatch(answer.headers["X-Background"])
        assert SUBSTITUTE.search(ask(iformat="png").text)
        square = Square(row["lon"], row["lat"], "agency", 64, 512)
        by_api = ApiSource(address, *WHO).write_background(square, tmp_path / "agency.tif")
        assert by_api == tmp_path / "sentinel.tif"
        by_service = ApiSource(address, *WHO)
        assert by_service.background(square).name == "sentinel"
        with served(Tiles()) as url:
            workspace.configure("tms", agency=url + "/{z}/{x}/{y}.png")
            assert ask().text.endswith("/agency.tif")
            assert ask().headers["X-Background"] == "agency, no date given"
            assert by_service.background(square).caption == "agency, no date given"


def test_a_file_that_says_nothing_is_not_named_after_what_was_asked_for(tmp_path):
    place = {"crs": "EPSG:3857", "transform": rasterio.Affine(2, 0, 0, 0, -2, 0)}
    with rasterio.open(tmp_path / "b.tif", "w", driver="GTiff", count=3, height=4, width=4, dtype="uint8", **place):
        pass
    found = basemaps.caption(basemaps.tags(tmp_path / "b.tif"), "Google")
    assert found == "of unknown origin; Google was asked for"


def test_a_substitute_of_another_server_is_called_by_what_is_asked_for_now():
    about = {"tms": "sentinel", "date": "2024-06-11", "product": "S2A_X", "asked": "agency", "attribution": "credit"}
    assert basemaps.caption(about, "Sentinel") == "sentinel, 2024-06-11, S2A_X; credit"
    instead = "sentinel, 2024-06-11, instead of agency, which did not answer, S2A_X; credit"
    assert basemaps.caption(about) == basemaps.caption(about, "Agency") == instead
