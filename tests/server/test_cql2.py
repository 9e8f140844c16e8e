"""Filters of CQL2, as text and JSON, against the same conditions written in plain Python."""

import json
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cbm_lake.errors import InvalidInputError
from cbm_lake.server import cql2
from cbm_lake.server.selection import Wanted, conditions_of, matching, select

NAMES = ["wheat", "Blé d'hiver", "maize", None, "50%_off", "a\\b"]
ROWS = [
    {
        "pid": f"p{number}",
        "crop": NAMES[number % len(NAMES)],
        "eo:area": None if number % 7 == 3 else number / 2,
        "number": number - 10,
        "seen": datetime(2024, 1 + number % 12, 1, 10, tzinfo=UTC),
        "day": date(2024, 1 + number % 12, 1),
        "good": None if number % 5 == 4 else number % 2 == 0,
        "geometry": shapely.box(number, 0, number + 1, 1).wkb if number != 5 else None,
    }
    for number in range(24)
]
TABLE = pa.Table.from_pylist(ROWS).cast(
    pa.schema(
        [
            *[("pid", pa.string()), ("crop", pa.string()), ("eo:area", pa.float64()), ("number", pa.int32())],
            *[("seen", pa.timestamp("us", "UTC")), ("day", pa.date32()), ("good", pa.bool_())],
            ("geometry", pa.binary()),
        ]
    )
)
QUERYABLES = cql2.of_schema(TABLE.schema)
MAY = datetime(2024, 5, 1, 10, tzinfo=UTC)


def found(tree):
    wanted = Wanted(filter=tree)
    return [ROWS[place]["pid"] for place in matching(TABLE, wanted, conditions_of(wanted, QUERYABLES))]


def shape(row):
    return None if row["geometry"] is None else shapely.from_wkb(row["geometry"])


BOX = shapely.box(4.5, 0.5, 9.5, 2)

CASES = {
    "crop = 'wheat'": lambda r: r["crop"] == "wheat",
    "crop <> 'wheat'": lambda r: r["crop"] not in (None, "wheat"),
    "crop = 'Blé d''hiver'": lambda r: r["crop"] == "Blé d'hiver",
    "NOT crop = 'wheat'": lambda r: r["crop"] not in (None, "wheat"),
    "crop IS NULL": lambda r: r["crop"] is None,
    "crop is not null AND eo:area IS NULL": lambda r: r["crop"] is not None and r["eo:area"] is None,
    "crop LIKE 'w%'": lambda r: (r["crop"] or "").startswith("w"),
    "crop LIKE '50\\%\\_%'": lambda r: r["crop"] == "50%_off",
    "crop NOT LIKE '%e%'": lambda r: r["crop"] is not None and "e" not in r["crop"],
    "CASEI(crop) = casei('WHEAT')": lambda r: r["crop"] == "wheat",
    "ACCENTI(crop) LIKE 'Ble%'": lambda r: (r["crop"] or "").startswith("Blé"),
    "crop IN ('wheat', 'maize')": lambda r: r["crop"] in ("wheat", "maize"),
    "number NOT IN (1, 2, -3)": lambda r: r["number"] not in (1, 2, -3),
    '"eo:area" BETWEEN 2 AND 5.5': lambda r: r["eo:area"] is not None and 2 <= r["eo:area"] <= 5.5,
    "eo:area NOT BETWEEN 2 AND 5.5 AND number > 0": lambda r: (
        r["eo:area"] is not None and not 2 <= r["eo:area"] <= 5.5 and r["number"] > 0
    ),
    "number > 3 OR number < -5 AND eo:area >= 1": lambda r: (
        r["number"] > 3 or (r["number"] < -5 and r["eo:area"] is not None and r["eo:area"] >= 1)
    ),
    "(number > 3 OR number < -5) AND eo:area >= 1": lambda r: (
        (r["number"] > 3 or r["number"] < -5) and r["eo:area"] is not None and r["eo:area"] >= 1
    ),
    "eo:area * 2 - 10 = number": lambda r: r["eo:area"] is not None,
    "number + 2 * 3 = 7": lambda r: r["number"] == 1,
    "(number + 2) * 3 = 9": lambda r: r["number"] == 1,
    "2 ^ 3 = number": lambda r: r["number"] == 8,
    "-number = 4": lambda r: r["number"] == -4,
    "number / 0 = 1": lambda r: False,
    "number % 3 = 1": lambda r: np.fmod(r["number"], 3) == 1,
    "number div 2 = 2": lambda r: r["number"] in (4, 5),
    "good = TRUE": lambda r: r["good"] is True,
    "NOT good": lambda r: r["good"] is False,
    "good AND number > 0": lambda r: r["good"] is True and r["number"] > 0,
    "seen > TIMESTAMP('2024-05-01T12:00:00+02:00')": lambda r: r["seen"] > MAY,
    "seen >= '2024-05-01T10:00:00Z'": lambda r: r["seen"] >= MAY,
    "day = DATE('2024-05-01')": lambda r: r["day"] == date(2024, 5, 1),
    "day < '2024-05-01'": lambda r: r["day"] < date(2024, 5, 1),
    "T_AFTER(seen, TIMESTAMP('2024-05-01T10:00:00Z'))": lambda r: r["seen"] > MAY,
    "T_BEFORE(seen, DATE('2024-05-01'))": lambda r: r["seen"] < datetime(2024, 5, 1, tzinfo=UTC),
    "T_INTERSECTS(seen, DATE('2024-05-01'))": lambda r: r["seen"].month == 5,
    "T_DURING(seen, INTERVAL('2024-05-01T10:00:00Z', '..'))": lambda r: r["seen"] > MAY,
    "T_INTERSECTS(seen, INTERVAL('..', '2024-05-01'))": lambda r: r["seen"] < datetime(2024, 5, 2, tzinfo=UTC),
    "T_DISJOINT(day, INTERVAL('2024-02-01', '2024-11-30'))": lambda r: r["day"].month in (1, 12),
    "T_EQUALS(seen, TIMESTAMP('2024-05-01T10:00:00Z'))": lambda r: r["seen"] == MAY,
    "T_STARTS(seen, INTERVAL('2024-05-01T10:00:00Z','2024-06-01'))": lambda r: r["seen"] == MAY,
    "T_FINISHES(seen, INTERVAL('2024-04-01','2024-05-01T10:00:00Z'))": lambda r: r["seen"] == MAY,
    f"S_INTERSECTS(geometry, {BOX.wkt})": lambda r: shape(r) is not None and shape(r).intersects(BOX),
    "S_INTERSECTS(geometry, BBOX(4.5, 0.5, 9.5, 2))": lambda r: shape(r) is not None and shape(r).intersects(BOX),
    "S_DISJOINT(geometry, BBOX(4.5, 0.5, 9.5, 2))": lambda r: shape(r) is not None and shape(r).disjoint(BOX),
    "S_WITHIN(geometry, POLYGON((3 -1, 9 -1, 9 2, 3 2, 3 -1)))": lambda r: r["pid"] in ("p3", "p4", "p6", "p7", "p8"),
    "S_CONTAINS(geometry, POINT(7.5 0.5))": lambda r: r["pid"] == "p7",
    "S_WITHIN(POINT(7.5 0.5), geometry)": lambda r: r["pid"] == "p7",
    "S_TOUCHES(geometry, POLYGON((8 0, 9 0, 9 1, 8 1, 8 0)))": lambda r: r["pid"] in ("p7", "p9"),
    "S_EQUALS(geometry, POLYGON((8 0, 9 0, 9 1, 8 1, 8 0)))": lambda r: r["pid"] == "p8",
    "S_OVERLAPS(geometry, BBOX(8.5, -1, 9.5, 2))": lambda r: r["pid"] in ("p8", "p9"),
    "S_CROSSES(geometry, LINESTRING(6.5 0.5, 8.5 0.5))": lambda r: r["pid"] in ("p6", "p7", "p8"),
    "number > -6 AND S_INTERSECTS(geometry, BBOX(3.5, .5, 9.5, 2)) AND crop LIKE 'w%'": lambda r: r["pid"] == "p6",
    "geometry IS NULL": lambda r: r["pid"] == "p5",
    "NOT S_INTERSECTS(geometry, POINT(7.5 .5)) AND number = -3": lambda r: False,
    "S_INTERSECTS(geometry, POINT(7.5 .5)) OR S_INTERSECTS(geometry, POINT(2.5 .5))": lambda r: (
        r["pid"] in ("p7", "p2")
    ),
}


@pytest.mark.parametrize("text", CASES)
def test_a_filter_finds_what_the_condition_in_python_does(text):
    expected = [row["pid"] for row in ROWS if CASES[text](row)]
    assert 0 < len(expected) < len(ROWS) or text in (
        "number / 0 = 1",
        "NOT S_INTERSECTS(geometry, POINT(7.5 .5)) AND number = -3",
    )
    tree = cql2.parse(text)
    assert found(tree) == expected
    assert found(json.loads(json.dumps(tree))) == expected


def test_the_forms_of_json_that_clients_send():
    polygon = {"type": "Polygon", "coordinates": [[[8, 0], [9, 0], [9, 1], [8, 1], [8, 0]]]}
    for tree, expected in (
        ({"op": "between", "args": [{"property": "number"}, [1, 3]]}, ["p11", "p12", "p13"]),
        ({"op": "between", "args": [{"property": "number"}, 1, 3]}, ["p11", "p12", "p13"]),
        ({"op": "isNull", "args": [{"property": "geometry"}]}, ["p5"]),
        ({"op": "s_equals", "args": [{"property": "geometry"}, polygon]}, ["p8"]),
        ({"op": "s_contains", "args": [polygon, {"property": "geometry"}]}, ["p8"]),
        ({"op": "S_OVERLAPS", "args": [{"property": "geometry"}, {"bbox": [8.5, -1, 9.5, 2]}]}, ["p8", "p9"]),
        ({"op": "t_during", "args": [{"property": "seen"}, {"interval": ["2024-05-01", "2024-05-31"]}]}, ["p4", "p16"]),
        ({"op": "=", "args": [{"property": "seen"}, {"timestamp": "2024-05-01T10:00:00Z"}]}, ["p4", "p16"]),
    ):
        assert found(tree) == expected, tree


REFUSED = {
    "nobody = 1": "nobody",
    "crop = 1": "text cannot be compared with a number",
    "crop > geometry": "cannot be compared",
    "crop": "no condition",
    "number + crop = 1": "a number is needed",
    "number LIKE 'a'": "a text is needed",
    "crop LIKE 'a\\'": "cannot be read",
    "A_CONTAINS(crop, 1)": "a_contains",
    "system('ls') = 1": "system",
    "crop = 'wheat' AND": "its end",
    "crop = 'wheat": "cannot be read",
    "crop = 'wheat')": "not expected",
    "crop NOT 'wheat'": "LIKE, BETWEEN or IN",
    "crop IN ()": "cannot be read",
    "seen = '2024-05-01'": "no timestamp",
    "seen > TIMESTAMP('2024-13-01T00:00:00Z')": "2024-13-01",
    "day = DATE('2024-02-30')": "2024-02-30",
    "T_AFTER(crop, DATE('2024-01-01'))": "timestamp or a date",
    "S_INTERSECTS(geometry, POLYGON((0 0, 1 1)))": "no geometry",
    "S_INTERSECTS(geometry, POINT(500 1))": "not in degrees",
    "S_INTERSECTS(crop, POINT(5 1))": "a geometry is needed",
    "S_INTERSECTS(POINT(5 1), POINT(5 1))": "property with the geometry",
    "number = 1" + "0" * 400: "not finite",
    "number = 99999999999999999999": "too large",
    "number = ;": "cannot be read",
    "": "its end",
    "(" * 500 + "good" + ")" * 500: "nested",
    "NOT " * 500 + "good": "nested",
    " AND ".join(["good"] * 3000): "parts",
    "crop = '" + "x" * 60_000 + "'": "characters",
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_refused_by_name(text):
    with pytest.raises(InvalidInputError) as caught:
        cql2.compiled(cql2.parse(text), QUERYABLES)
    assert REFUSED[text] in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "tree",
    [
        [],
        {},
        7,
        "good",
        {"op": 5},
        {"op": "and"},
        {"op": "and", "args": []},
        {"op": "and", "args": {}},
        {"op": "=", "args": [1]},
        {"op": "=", "args": [{"property": {}}, 1]},
        {"op": "=", "args": [{"property": "crop"}, None]},
        {"op": "=", "args": [{"property": "crop"}, {"timestamp": 5}]},
        {"op": "in", "args": [{"property": "crop"}, "wheat"]},
        {"op": "in", "args": [{"property": "crop"}, ["x"] * 10_001]},
        {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Polygon"}]},
        {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Polygon", "coordinates": 5}]},
        {"op": "s_intersects", "args": [{"property": "geometry"}, {"bbox": ["a", 1, 2, 3]}]},
        {"op": "t_during", "args": [{"property": "seen"}, {"interval": ["2024-01-01"]}]},
        {"op": "t_during", "args": [{"property": "seen"}, {"interval": 5}]},
    ],
)
def test_trees_that_are_none_are_refused(tree):
    with pytest.raises(InvalidInputError):
        cql2.compiled(tree, QUERYABLES)


def test_a_long_chain_is_not_deep():
    text = " OR ".join(f"number = {number}" for number in range(200))
    assert sorted(found(cql2.parse(text))) == sorted(row["pid"] for row in ROWS if row["number"] >= 0)


def test_spatial_predicates_are_few():
    one = f"S_TOUCHES(geometry, {BOX.wkt})"
    assert cql2.compiled(cql2.parse(" OR ".join([one] * 10)), QUERYABLES)
    with pytest.raises(InvalidInputError, match="spatial predicates"):
        cql2.compiled(cql2.parse(" OR ".join([one] * 11)), QUERYABLES)


def test_a_geometry_that_crosses_itself_is_refused_at_once():
    corners = np.random.default_rng(1).uniform(0, 1, (1_000, 2)).tolist()
    with pytest.raises(InvalidInputError, match="not valid"):
        cql2.geometry({"type": "Polygon", "coordinates": [[*corners, corners[0]]]})


def test_a_tree_that_goes_deep_or_has_a_million_values_is_refused():
    deep = True
    for _ in range(10_000):
        deep = {"op": "not", "args": [deep]}
    with pytest.raises(InvalidInputError, match="nested"):
        cql2.compiled(deep, QUERYABLES)
    with pytest.raises(InvalidInputError, match="1000000 values"):
        cql2.compiled({"op": "in", "args": [{"property": "pid"}, ["p1"] * 1_000_000]}, QUERYABLES)


@given(st.text(alphabet=st.sampled_from("acrop='\"()<>,.%\\ 19-+*/^éIN NOT LIKE AND POINT"), max_size=60))
def test_any_text_is_a_tree_or_refused(text):
    try:
        found(cql2.parse(text))
    except InvalidInputError:
        return


@given(
    st.text(max_size=30).filter(lambda text: "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text))
)
def test_a_literal_is_a_value_and_never_more(text):
    tree = {"op": "=", "args": [{"property": "crop"}, text]}
    assert found(tree) == [row["pid"] for row in ROWS if row["crop"] == text]
    quoted = text.replace("'", "''")
    if not text.endswith("\\") and "\\'" not in quoted:
        assert cql2.parse(f"crop = '{quoted}'") == tree


def test_the_order_has_ties_by_identifier_and_null_last():
    wanted = Wanted(sort=(("crop", False), ("number", True)))
    chosen = select(TABLE.to_batches(5), wanted, QUERYABLES, "pid")
    got = [(row["crop"], row["number"]) for row in chosen.cut(0, 100).to_pylist()]
    plain = sorted(ROWS, key=lambda row: (row["crop"] is None, row["crop"] or "", -row["number"]))
    assert got == [(row["crop"], row["number"]) for row in plain]
    with pytest.raises(InvalidInputError, match="sort"):
        select(TABLE.to_batches(), Wanted(sort=(("geometry", False),)), QUERYABLES, "pid")
