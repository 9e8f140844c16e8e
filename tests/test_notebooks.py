"""Every notebook runs from end to end on the demo lake, and what lies in the repository is without outputs."""

import os
from pathlib import Path

import nbformat
import pytest
import small_demo
from nbclient import NotebookClient

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
        yield small_demo.make(folder)


def executed(name, workspace):
    """The outputs of a notebook's cells, by the first line of each cell."""
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    environment = {**os.environ, "CBM_LAKE_HOME": str(workspace)}
    client = NotebookClient(book, timeout=120, resources={"metadata": {"path": str(workspace)}})
    client.execute(env=environment)
    return [(cell.source, cell.outputs) for cell in book.cells if cell.cell_type == "code"]


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
def test_a_notebook_runs_shows_pictures_and_complains_of_nothing(name, demo):
    cells = executed(name, demo)
    assert pictures(cells) >= 2
    assert not complaints(cells)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_longer_notebook_runs_and_complains_of_nothing(name, demo):
    cells = executed(name, demo)
    assert any(outputs for _, outputs in cells)
    assert not complaints(cells)


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
