"""Every query of the cookbook, and that of the README, answers on a small demonstration."""

import re
from pathlib import Path

import pytest
import small_demo

from cbm_lake import markers, weather
from cbm_lake.lake import open_lake

pytestmark = pytest.mark.thorough


PAGE = Path(__file__).parent.parent / "docs" / "cookbook.md"
RECIPES = [
    *re.findall(r"^### \d+\. ([^\n]+)$.*?^```sql\n(.*?)^```", PAGE.read_text(), re.S | re.M),
    *re.findall(
        r"^## ([^\n]+)\n\n[^#]*?^```sql\n(.*?)^```", (PAGE.parent.parent / "README.md").read_text(), re.S | re.M
    ),
]


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    """A lake with signatures, markers and weather, in a folder that holds somebody's notes."""
    folder = tmp_path_factory.mktemp("cookbook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(folder))
        small_demo.make(folder, dates=16)
        lake = open_lake()
        markers.find("demo", 2024)
        (folder / "days.csv").write_text("meteo_date,tmin,tmax,tmean,prec\n2024-05-01,4,18,11,2.5\n")
        (folder / "grid.csv").write_text('grid_id,polygon\n1,"POLYGON((0 45, 10 45, 10 55, 0 55, 0 45))"\n')
        weather.load(folder / "days.csv", "demo", grid=folder / "grid.csv")
        (folder / "notes.csv").write_text("pid,note\n000115,visited\n")
    return folder, lake


def test_there_are_at_least_twenty():
    assert len(RECIPES) > 20
    assert RECIPES[-1][0] == "Ten lines of SQL"


@pytest.mark.parametrize(("title", "statement"), RECIPES, ids=[title for title, _ in RECIPES])
def test_every_query_answers(title, statement, season, monkeypatch):
    folder, lake = season
    monkeypatch.chdir(folder)

    assert lake.sql(statement).num_rows > 0
