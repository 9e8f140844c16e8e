"""Lights of parcels that were worked on a part only, where parts were searched."""

from datetime import date

import factories
import pyarrow as pa
import pytest
from test_lights_due import GRASS, STANDS, colours
from test_markers import fill, seen

from cbm_lake import markers
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import schemas
from cbm_lake.markers.finding import part_of

pytestmark = pytest.mark.thorough


RED = ("red", "seen all season, never mown")


def put(lake, *events, pid="a", worked="mown", marker="mowing", share=0.5):
    """Write parts as a search leaves them: for each event (first day, last day) one that was worked, and the rest."""
    parcels = lake.parcel_set("ms", 2024)
    (area,) = lake.sql("select area_m2 from parcels where pid = $pid", pid=pid)["area_m2"].to_pylist()
    rows = []
    for start, end in events:
        same = {**parcels.params, "pid": pid, "version": parcels.version, "part": part_of(parcels), "marker": marker}
        same |= {"date_start": start, "date_main": start, "date_end": end, "confidence": 0.9}
        rows += [
            {**same, "number": 1, "state": worked, "share": share, "area_m2": share * area},
            {**same, "number": 2, "state": f"un{worked}", "share": 1 - share, "area_m2": (1 - share) * area},
        ]
    lake.put("divided", pa.Table.from_pylist(rows, schema=schemas.PARTS), part_of(parcels))
    return area / 10_000


@pytest.fixture
def standing(lake):
    """A meadow that stands all season: its mean shows no cut."""
    fill(lake, *seen("a", STANDS), pids=("a",))
    markers.find("ms", 2024, lake=lake)
    return lake


def test_a_meadow_that_was_mown_on_a_part_is_yellow_and_says_how_much(standing):
    assert colours(standing) == {"a": RED}
    hectares = put(standing, (date(2024, 6, 4), date(2024, 6, 24)))
    reason = f"mown on a part only, see parts: {hectares / 2:.2f} of {hectares:.2f} ha"
    assert colours(standing) == {"a": ("yellow", reason)}
    (light,) = markers.traffic_light("ms", 2024, scenarios=[GRASS], lake=standing).to_pylist()
    assert (light["events"], light["date_start"], light["date_end"]) == (1, date(2024, 6, 4), date(2024, 6, 24))
    rows = markers.evidence("ms", 2024, "a", GRASS, lake=standing).to_pylist()
    (part,) = (row for row in rows if row["marker"] == "mown_part")
    assert [part[f"value_{number}"] for number in (1, 2, 3)] == pytest.approx([0.5, hectares / 2, hectares])
    assert part["confidence"] == 0.9


def test_of_several_parts_the_largest_is_named_and_even_all_together_are_never_green(standing):
    put(standing, (date(2024, 6, 4), date(2024, 6, 24)), share=0.5)
    put_together = [(date(2024, 6, 4), date(2024, 6, 24)), (date(2024, 8, 1), date(2024, 8, 11))]
    hectares = put(standing, *put_together, share=0.6)
    colour, reason = colours(standing)["a"]
    assert colour == "yellow"
    assert reason.endswith(f"{0.6 * hectares:.2f} of {hectares:.2f} ha")


def test_a_part_that_is_mown_after_the_due_date_leaves_the_meadow_red(standing):
    put(standing, (date(2024, 9, 22), date(2024, 10, 10)))
    assert colours(standing) == {"a": RED}


def test_a_part_counts_from_the_first_clear_look_after_it_on(standing):
    put(standing, (date(2024, 9, 10), date(2024, 10, 10)))
    assert colours(standing, "2024-10-09") == {"a": RED}
    assert colours(standing) == {"a": RED}  # settled before, and so final


def test_parts_of_an_outline_that_is_in_force_no_more_do_not_count(standing):
    put(standing, (date(2024, 6, 4), date(2024, 6, 24)))
    rows = factories.parcels(("a",), [("grassland", "451")])
    area = rows.schema.get_field_index("area")
    larger = rows.set_column(area, rows.schema.field(area), [[2 * rows["area"][0].as_py()]])
    standing.add_parcels("ms", 2024, "", "v2", larger)
    assert standing.sql("select pid from parts").num_rows == 2
    assert standing.query("markers.worked_parts", **standing.parcel_set("ms", 2024).params, pids=None).num_rows == 0


def test_parts_of_other_parcels_say_nothing(lake):
    fill(lake, *seen("a", STANDS), *seen("b", STANDS), pids=("a", "b"))
    markers.find("ms", 2024, lake=lake)
    put(lake, (date(2024, 6, 4), date(2024, 6, 24)), pid="b")
    assert {pid: colour for pid, (colour, _) in colours(lake).items()} == {"a": "red", "b": "yellow"}
    assert colours(lake, pids=["a"]) == {"a": RED}


def test_grassland_that_was_ploughed_on_a_part_is_not_said_to_be_unploughed(lake):
    fill(lake, *seen("a", STANDS), pids=("a",), crops=[("permanent grassland", "1")])
    markers.find("ms", 2024, lake=lake)
    scenario = "permanent grassland is not ploughed"
    assert colours(lake, scenario=scenario)["a"] == ("green", "not ploughed")
    put(lake, (date(2024, 6, 4), date(2024, 6, 24)), worked="ploughed", marker="ploughing", share=0.25)
    colour, reason = colours(lake, scenario=scenario)["a"]
    assert (colour, reason.split(":")[0]) == ("yellow", "ploughed on a part, see parts")


@pytest.mark.parametrize("colour", ["red", "green"])
def test_parts_make_no_light_final(standing, colour):
    rule = {"colour": colour, "marker": "mown_part", "at_least": 1, "reason": "x"}
    scenario = {"half": {"crops": ["grass"], "due": "09-15", "rules": [rule]}}
    with pytest.raises(InvalidInputError, match="a rule that counts mown_part is yellow"):
        markers.traffic_light("ms", 2024, parameters={"scenarios": scenario}, lake=standing)
