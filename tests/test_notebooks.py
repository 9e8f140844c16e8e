"""Every notebook runs from end to end on the demo lake, and what lies in the repository is without outputs."""

import json
import os
from pathlib import Path

import geopandas as gpd
import nbformat
import pytest
import small_demo
from nbclient import NotebookClient

from cbm_lake import extract, parcels

pytestmark = pytest.mark.thorough


FOLDER = Path(__file__).parent.parent / "notebooks"
QUICK = ("1_get_started",)
SLOW = (
    "2_catalogue_and_extract",
    "3_sql_and_analytics",
    "4_view",
    "5_foi",
    "6_qa",
    "7_rest_client",
    "8_cluster",
    "9_xarray",
    "10_crop_check",
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The workspace of a small demonstration."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(folder))
        small_demo.make(folder)
        add_area(folder)
        yield folder


OTHERS = "zz-"
"""What identifiers of the other area begin with."""


def add_area(folder):
    """A second area of two years; its parcels lie where those of the demo do, are larger and come first by name."""
    declared = gpd.read_file(folder / "sample" / "parcels.gpkg")
    larger = declared.to_crs(3035).buffer(15).to_crs(declared.crs)
    declared = declared.assign(parcel_id=OTHERS + declared["parcel_id"], geometry=larger)
    declared.to_file(folder / "others.gpkg")
    for year in (2023, 2024):
        parcels.load(folder / "others.gpkg", "aa", year, pid="parcel_id", crop_name="crop_name", crop_code="crop_code")
    extract.run(extract.plan("s2", "2024-03-01", "2024-10-31", aoi="aa", year=2024), workers=0)


def executed(name, workspace):
    """The outputs of a notebook's cells, by the first line of each cell."""
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    environment = {**os.environ, "CBM_LAKE_HOME": str(workspace)}
    client = NotebookClient(book, timeout=120, resources={"metadata": {"path": str(workspace)}})
    client.execute(env=environment)
    return [(cell.source, cell.outputs) for cell in book.cells if cell.cell_type == "code"]


def settings(workspace):
    """The content of the files of settings."""
    return {path.name: path.read_bytes() for path in sorted((workspace / "config").iterdir()) if path.is_file()}


def check(name, workspace):
    """Run a notebook; nothing of the other area is in what it shows, and the settings are those of before."""
    before = settings(workspace)
    cells = executed(name, workspace)
    shown = json.dumps([output for _, outputs in cells for output in outputs])
    assert OTHERS not in shown
    assert settings(workspace) == before
    assert not complaints(cells)
    return cells


def pictures(cells):
    return sum("image/png" in output.get("data", {}) for _, outputs in cells for output in outputs)


EXPECTED = (
    "Normalized/laundered field name",  # that a Shapefile has short names is told by GDAL
    "is judged without",  # the crop check names what the sample lacks
    "these are not judged",  # crops of too few parcels
    "blocks of",
    "none disagrees",
    "lie where parcels of",  # parcels of the sample overlap each other
)
"""What lines of the standard error output say that are no complaints."""


def complaints(cells):
    """Lines that cells wrote to the standard error output."""
    told = [output.text for _, outputs in cells for output in outputs if output.get("name") == "stderr"]
    return [line for line in "".join(told).splitlines() if not any(words in line for words in EXPECTED)]


@pytest.mark.parametrize("name", QUICK)
def test_a_notebook_runs_shows_pictures_of_its_area_and_complains_of_nothing(name, demo):
    assert pictures(check(name, demo)) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_longer_notebook_runs_of_its_area_and_complains_of_nothing(name, demo):
    assert any(outputs for _, outputs in check(name, demo))


def test_every_notebook_is_executed_by_a_test():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted([*QUICK, *SLOW])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs_begins_with_what_it_is_and_is_short(path):
    book = nbformat.read(path, as_version=4)
    assert book.cells[0].cell_type == "markdown"
    assert book.cells[0].source.startswith("# ")
    for cell in book.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert len(cell.source.splitlines()) <= 20
    assert len(book.cells) <= 25
