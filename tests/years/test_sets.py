"""Sensitive grassland and reference parcels, on land whose areas are known by pencil."""

import logging

import duckdb
import fields
import pytest
from fields import declare, said

from cbm_lake import years
from cbm_lake.errors import InvalidInputError, NotFoundError

pytestmark = pytest.mark.thorough


CHAIN = {year: [("1", 0, 100, "grass"), ("2", 100, 200, "grass"), ("3", 200, 300, "maize")] for year in (2022, 2023)}
NOW = [("1", 0, 100, "maize"), ("2", 100, 200, "grass"), ("3", 200, 300, "maize"), ("far", 500, 600, "grass")]
PLOUGHED = [(pid, "ploughing", "2024-04-10", 0.9) for pid in ("1", "2", "3", "far")]


@pytest.fixture
def sensitive(lake):
    """Three years of parcels, of which 1, 3 and a quarter of 2 are in a sensitive area; all are ploughed in 2024."""
    declare(lake, {**CHAIN, 2024: NOW})
    declare(lake, {2024: [("n1", 0, 125, None), ("n2", 200, 300, None)]}, ptype="natura", lineage=False)
    fields.mark(lake, 2024, *PLOUGHED, pids=("1", "2", "3", "far"))
    return lake


def test_grassland_that_was_never_ploughed_before_is_ploughed_for_the_first_time(sensitive):
    for year in (2022, 2023):
        fields.mark(sensitive, year, pids=("1", "2", "3"))

    found = said(years.sensitive("ms", 2024, areas="natura", years=3))

    assert found["1"] == ("yes", "ploughed on 2024-04-10, and never in the 2 years before", 1.0, 1.0)
    assert found["2"] == ("yes", "ploughed on 2024-04-10, and never in the 2 years before", 0.25, 0.25)
    assert found["3"][:2] == ("no", "it was no grassland the year before")
    assert "far" not in found


def test_ploughing_of_an_earlier_year_on_the_same_land_makes_it_not_the_first(sensitive):
    fields.mark(sensitive, 2023, pids=("1", "2"))
    fields.mark(
        sensitive, 2022, ("1", "ploughing", "2022-09-01", 0.8), ("2", "ploughing", "2022-09-01", 0.5), pids=("1", "2")
    )

    found = said(years.sensitive("ms", 2024, areas="natura", years=3))

    assert found["1"][:2] == ("no", "ploughed before, on 2022-09-01")
    assert found["2"][:2] == ("cannot say", "ploughed on 2024-04-10, and perhaps before, on 2022-09-01")


@pytest.mark.parametrize(
    ("before", "now", "ploughed", "holds", "reason"),
    [
        # what was ploughed in 2022: 90 of the 100 metres of parcel 1; what of it was grass in 2023; what it is now
        (100, "maize", 0, "yes", "ploughed on 2024-04-10, and never in the 2 years before"),
        (100, "maize", 97, "no", "ploughed before, on 2022-09-01"),
        (100, "maize", 30, "cannot say", "ploughed on 2024-04-10, and 30 % of it before, on 2022-09-01"),
        (100, "maize", 4, "yes", "ploughed on 2024-04-10, and never in the 2 years before"),
        (30, "maize", 0, "cannot say", "ploughed on 2024-04-10; 30 % of it was grassland the year before"),
        (97, "maize", 0, "yes", "ploughed on 2024-04-10, and never in the 2 years before"),
        (0, "grass", 0, "no", "it was no grassland the year before"),  # sown this spring, after a plough
        (0, "maize", 0, "no", "it was no grassland the year before"),
    ],
)
def test_grassland_and_first_ploughing_are_of_the_whole_land_or_cannot_be_said(
    before, now, ploughed, holds, reason, lake
):
    def pieces(first, last, metres, one, other):
        rows = [("x", first, first + metres, one), ("y", first + metres, last, other)]
        return [row for row in rows if row[1] < row[2]]

    rest = [("r", 100, 200, "grass"), ("s", 200, 300, "maize")]
    chain = {
        2022: [*pieces(0, 100, ploughed, "grass", "grass"), *rest],
        2023: [*pieces(0, 100, before, "grass", "maize"), *rest],
        2024: [("1", 0, 100, now), *rest],
    }
    declare(lake, chain)
    declare(lake, {2024: [("n1", 0, 100, None)]}, ptype="natura", lineage=False)
    fields.mark(lake, 2024, ("1", "ploughing", "2024-04-10", 0.9), pids=("1",))
    fields.mark(lake, 2023, pids=("x", "y"))
    fields.mark(lake, 2022, *([("x", "ploughing", "2022-09-01", 0.8)] if ploughed else []), pids=("x", "y"))

    assert said(years.sensitive("ms", 2024, areas="natura", years=3))["1"][:2] == (holds, reason)


def test_areas_in_another_coordinate_system_are_reprojected_and_said(lake, caplog):
    declare(lake, {2024: NOW})
    declare(lake, {2024: [("r", 0, 150, None)]}, ptype="reference", lineage=False, epsg=4326)

    with caplog.at_level(logging.WARNING):
        found = said(years.reference("ms", 2024))

    assert found["1"][0] == "yes"
    assert found["1"][2] == pytest.approx(0, abs=1e-4)
    assert found["2"][0] == "no"
    assert found["2"][3] == pytest.approx(0.5, abs=1e-4)
    assert "EPSG:4326; they are reprojected to EPSG:3035" in caplog.text


def test_whether_it_is_the_first_time_cannot_be_said_of_years_without_markers(sensitive):
    fields.mark(sensitive, 2023, pids=("1", "2"))

    found = said(years.sensitive("ms", 2024, areas="natura", years=3))

    assert found["1"][0] == "cannot say"
    assert found["1"][1].startswith(
        "ploughed on 2024-04-10; whether for the first time cannot be said: ploughing was not"
    )
    assert found["1"][1].endswith("in 2022")


def test_a_column_may_say_what_is_sensitive(lake):
    declare(lake, {2023: NOW, 2024: NOW}, lineage=True, sensitive=["yes", None, "0", "No"])
    fields.mark(lake, 2024, *PLOUGHED, pids=("1", "2", "3", "far"))

    found = years.sensitive("ms", 2024, column="sensitive", years=2, grass=["maize", "grass"])

    assert set(said(found)) == {"1"}


def test_a_column_that_says_neither_is_refused_by_value(lake):
    declare(lake, {2024: NOW}, sensitive=["yes", "perhaps", "0", "No"])

    with pytest.raises(InvalidInputError, match="parcel 2 is 'perhaps'"):
        years.sensitive("ms", 2024, column="sensitive")
    with pytest.raises(NotFoundError, match="did you mean 'sensitive'"):
        years.sensitive("ms", 2024, column="sensitiv")
    with pytest.raises(InvalidInputError, match="one of them"):
        years.sensitive("ms", 2024)
    with pytest.raises(NotFoundError, match="no areas 'natura'"):
        years.sensitive("ms", 2024, areas="natura")


def test_what_lies_outside_of_all_references_is_measured(lake):
    # perimeters are 2 * (100 + length): 400 m of parcel 1 tolerate 500 m², 5 m outside are 500 m², 6 m are 600 m²
    now = [("within", 0, 100, None), ("edge", 100, 200, None), ("beyond", 300, 400, None), ("none", 600, 700, None)]
    declare(lake, {2024: now})
    references = [("r1", 0, 60, None), ("r2", 50, 195, None), ("r3", 306, 500, None)]
    declare(lake, {2024: references}, ptype="reference", lineage=False)

    found = years.reference("ms", 2024)

    by_pid = said(found)
    assert by_pid["within"][:2] == ("yes", "it lies within")
    assert by_pid["edge"][:2] == ("yes", "what lies outside is within the tolerance")
    assert by_pid["beyond"][:2] == ("no", "600 m² lie outside, 500 are tolerated")
    assert by_pid["beyond"][3] == pytest.approx(0.06)
    assert by_pid["none"] == ("no", "it lies in no reference parcel", 1.0, 1.0)
    rows = {row["pid"]: row for row in found.to_pylist()}
    assert rows["within"]["evidence"] == "reference r1, r2"
    assert rows["beyond"]["evidence"] == "reference r3"
    assert next(row["pid"] for row in found.to_pylist()) == "none"


def test_more_may_be_claimed_than_lies_within_the_reference(lake):
    now = [("drawn", 0, 100, None), ("claimed", 100, 200, None), ("unclaimed", 200, 300, None)]
    declare(lake, {2024: now}, hectares=[1.0, 1.2, None], squares=[1e4, 1e4, 1e4], words=["1 ha", "x", "y"])
    declare(lake, {2024: [("r", 0, 300, None)]}, ptype="reference", lineage=False, hectares=[3.0])

    found = said(years.reference("ms", 2024, claimed="hectares"))

    assert found["drawn"][0] == found["unclaimed"][0] == "yes"
    assert found["claimed"][:2] == ("no", "2000 m² more are claimed than lie within, 500 are tolerated")
    with pytest.raises(InvalidInputError, match="not the area in hectares"):
        years.reference("ms", 2024, claimed="squares")
    with pytest.raises(InvalidInputError, match="no number of hectares"):
        years.reference("ms", 2024, claimed="words")
    with pytest.raises(NotFoundError, match="did you mean 'hectares'"):
        years.reference("ms", 2024, claimed="hectare")


def test_references_of_an_earlier_year_are_used_and_said(lake, caplog):
    declare(lake, {2024: NOW})
    declare(lake, {2022: [("r", 0, 1000, None)]}, ptype="reference", lineage=False)

    with caplog.at_level(logging.WARNING):
        found = said(years.reference("ms", 2024))

    assert {values[0] for values in found.values()} == {"yes"}
    assert "those of 2022" in caplog.text
    with pytest.raises(NotFoundError, match="no areas 'lpis'"):
        years.reference("ms", 2024, areas="lpis")
    with pytest.raises(InvalidInputError, match="0 or more"):
        years.reference("ms", 2024, buffer=-1)


def test_findings_are_files_with_and_without_geometries(lake, tmp_path):
    import geopandas as gpd

    declare(lake, {2024: NOW})
    declare(lake, {2024: [("r", 0, 100, None)]}, ptype="reference", lineage=False)
    found = years.reference("ms", 2024)

    assert years.write(found, tmp_path / "found.csv") == years.write(found, tmp_path / "found.gpkg") == 4
    layer = gpd.read_file(tmp_path / "found.gpkg").set_index("pid")
    assert layer.crs.to_epsg() == fields.EPSG
    assert layer.loc["far"].geometry.equals(fields.box(500, 600))
    assert set(duckdb.read_csv(str(tmp_path / "found.csv")).columns) == set(found.column_names)
    with pytest.raises(InvalidInputError, match="whose parcels"):
        years.write(found.replace_schema_metadata(), tmp_path / "other.gpkg")
