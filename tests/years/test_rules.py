"""Rotation, permanent grassland and fallow after fallow, on land whose shares are known by pencil."""

import logging
from itertools import pairwise

import fields
import numpy as np
import pytest
from fields import declare, said
from hypothesis import given, settings
from hypothesis import strategies as st

from cbm_lake import years
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake

CROPS = [("w", 900, 950, "winter wheat"), ("m", 950, 960, "maize"), ("g", 960, 970, "grass"), ("f", 970, 980, "fallow")]
"""So that all years write crops in the same words."""


def holds(found, rule=None):
    return {pid: values[0] for pid, values in said(found, rule).items()}


def test_the_same_crop_in_two_years_breaks_the_rotation_and_another_one_keeps_it(lake):
    now = [("1", 0, 100, "winter wheat"), ("2", 100, 200, "maize"), *CROPS]
    declare(lake, {2023: [("a", 0, 100, "Winter Wheat "), ("b", 100, 200, "winter wheat"), *CROPS], 2024: now})

    found = said(years.rotation("ms", 2024))

    assert found["1"] == ("no", "the same crop in 2 successive years", 1.0, 1.0)
    assert found["2"] == ("yes", "another crop grew there before", 0.0, 0.0)
    assert found["g"] == ("yes", "this crop needs no rotation", 0.0, 0.0)
    assert found["f"][0] == "yes"


def test_shares_of_split_and_merged_parcels_are_areas_of_land(lake):
    before = [("a", 0, 50, "maize"), ("b", 50, 200, "winter wheat"), ("c", 200, 400, "maize"), *CROPS]
    now = [("merged", 0, 200, "maize"), ("split1", 200, 300, "maize"), ("split2", 300, 400, "winter wheat"), *CROPS]
    declare(lake, {2023: before, 2024: now})

    found = years.rotation("ms", 2024)

    assert said(found)["merged"] == ("no", "the same crop in 2 successive years", 0.5, 0.25)
    assert said(found)["split1"][0] == "no"
    assert said(found)["split2"][0] == "yes"
    (merged,) = [row for row in found.to_pylist() if row["pid"] == "merged"]
    assert merged["years"] == [2024, 2023]
    assert merged["pids_before"] == ["b", "a"]
    assert merged["compared_by"] == ["name"]
    assert merged["evidence"] == "2023: b (winter wheat) 0.75, a (maize) 0.25"
    assert [row["pid"] for row in found.to_pylist()][:2] == ["m", "split1"]


# Half of parcel p was maize in 2023 and half in 2022: the shares alone do not say whether it is the same half.
@pytest.mark.parametrize(
    ("half", "expected"), [((0, 50), ("no", 0.5)), ((50, 100), ("yes", 0.0)), ((25, 75), ("no", 0.25))]
)
def test_outlines_decide_whether_the_shares_of_two_years_are_the_same_land(half, expected, lake):
    first, last = half
    rest = [("x", 0, first, "winter wheat"), ("y", last, 100, "winter wheat")]
    chain = {
        2022: [("old", first, last, "maize"), *(one for one in rest if one[1] < one[2]), *CROPS],
        2023: [("a", 0, 50, "maize"), ("b", 50, 100, "winter wheat"), *CROPS],
        2024: [("p", 0, 100, "maize"), *CROPS],
    }
    declare(lake, chain)

    by_sql = lake.query(
        "years.rotation", aoi="ms", year=2024, ptype="", years=3, exempt=["grass"], digits=8, slivers=0.05
    ).to_pylist()
    (p,) = [row for row in by_sql if row["pid"] == "p"]
    found = said(years.rotation("ms", 2024, years=3))["p"]

    assert (p["holds"], p["area_m2"], p["most_m2"]) == ("cannot say", 0, 5_000)
    assert (found[0], found[3]) == (expected[0], pytest.approx(expected[1]))


def test_years_in_different_coordinate_systems_are_compared_in_that_of_the_last(lake):
    chain = {
        2022: [("old", 25, 75, "maize"), ("x", 0, 25, "winter wheat"), ("y", 75, 100, "winter wheat"), *CROPS],
        2023: [("a", 0, 50, "maize"), ("b", 50, 100, "winter wheat"), *CROPS],
        2024: [("p", 0, 100, "maize"), *CROPS],
    }
    for year, epsg in ((2022, 4326), (2023, 32631), (2024, fields.EPSG)):
        declare(lake, {year: chain[year]}, lineage=False, epsg=epsg)

    found = said(years.rotation("ms", 2024, years=3))["p"]

    assert (found[0], found[3]) == ("no", pytest.approx(0.25, abs=1e-4))


# Earlier parcels that overlap each other: shares add up to more than the land that they cover.
@pytest.mark.parametrize(
    ("before", "holds", "area"),
    [
        ([("a", 0, 60, "maize"), ("b", 0, 60, "maize")], "no", 0.6),  # and 40 m are on no record
        ([("a", 0, 100, "maize"), ("b", 0, 100, "maize")], "no", 1.0),
        ([("a", 0, 60, "winter wheat"), ("b", 0, 60, "winter wheat")], "cannot say", 0.0),
        ([("a", 0, 100, "winter wheat"), ("b", 0, 60, "winter wheat")], "yes", 0.0),
        ([("a", 0, 60, "maize"), ("b", 40, 100, "winter wheat")], "no", 0.4),
        ([("a", 0, 100, "maize"), ("b", 0, 100, "winter wheat")], "cannot say", 0.0),
        ([("a", 0, 50, "maize"), ("b", 0, 50, "maize"), ("c", 50, 100, "winter wheat")], "no", 0.5),
    ],
)
def test_land_that_is_declared_twice_counts_once(before, holds, area, lake):
    declare(lake, {2023: [*before, *CROPS], 2024: [("p", 0, 100, "maize"), *CROPS]})

    found = said(years.rotation("ms", 2024))["p"]

    assert (found[0], found[3]) == (holds, pytest.approx(area))


def test_the_worked_example_of_the_documentation(lake):
    chain = {
        2022: [("o", 0, 100, "maize"), ("r", 100, 200, "wheat"), *CROPS],
        2023: [("a", 0, 100, "maize"), ("b", 100, 150, "maize"), ("c", 150, 200, "wheat"), *CROPS],
        2024: [("p", 0, 200, "maize"), *CROPS],
    }
    declare(lake, chain)
    bounds = {"aoi": "ms", "year": 2024, "ptype": "", "years": 3, "exempt": ["3302"], "digits": 8, "slivers": 0.05}

    (two,) = [row for row in years.rotation("ms", 2024).to_pylist() if row["pid"] == "p"]
    (by_sql,) = [row for row in lake.query("years.rotation", **bounds).to_pylist() if row["pid"] == "p"]
    (three,) = [row for row in years.rotation("ms", 2024, years=3).to_pylist() if row["pid"] == "p"]

    assert (two["holds"], two["area_m2"]) == ("no", 15_000)
    assert two["evidence"] == "2023: a (maize) 0.50, b (maize) 0.25, c (wheat) 0.25"
    assert (by_sql["area_m2"], by_sql["most_m2"]) == (5_000, 10_000)
    assert (three["area_m2"], three["share"]) == (pytest.approx(10_000), pytest.approx(0.5))


def test_a_chain_of_five_years_with_a_split_and_a_merger(lake):
    # metres: 0-60 was grass all along, 60-100 was maize in 2021, 100-140 came in 2022, and is grass since
    chain = {
        2020: [("a", 0, 100, "grass"), ("b", 100, 200, "maize"), *CROPS],
        2021: [("a1", 0, 60, "grass"), ("a2", 60, 100, "maize"), ("b", 100, 200, "maize"), *CROPS],
        2022: [("a", 0, 140, "grass"), ("b", 140, 200, "maize"), *CROPS],
        2023: [("a", 0, 140, "grass"), ("b", 140, 200, "maize"), *CROPS],
        2024: [("left", 0, 80, "grass"), ("right", 80, 140, "grass"), ("b", 140, 200, "maize"), *CROPS],
    }
    declare(lake, chain)

    five = said(years.grassland("ms", 2024), "permanent grassland")
    three = said(years.grassland("ms", 2024, years=3), "permanent grassland")

    assert five["left"] == ("yes", "grass in 5 successive years", 0.6, 0.75)
    assert five["right"] == ("no", "other crops grew there before", 0.0, 0.0)
    assert "b" not in five
    assert three["left"][3] == three["right"][3] == 1


def test_fallow_after_fallow_is_of_the_land_and_not_of_the_identifier(lake):
    before = [("1", 0, 100, "fallow"), ("2", 100, 200, "maize"), *CROPS]
    declare(lake, {2023: before, 2024: [("2", 0, 100, "fallow"), ("1", 100, 200, "fallow"), *CROPS]})

    found = said(years.fallow("ms", 2024))

    assert found["2"] == ("yes", "fallow in 2 successive years", 1.0, 1.0)
    assert found["1"] == ("no", "something was grown there before", 0.0, 0.0)
    assert set(found) == {"1", "2", "f"}


def test_a_missing_year_is_no_rotation_and_no_problem_but_cannot_be_said(lake, caplog):
    declare(lake, {2022: [("1", 0, 100, "maize"), *CROPS], 2024: [("1", 0, 100, "maize"), *CROPS]})

    with caplog.at_level(logging.WARNING):
        found = said(years.rotation("ms", 2024, years=3))

    assert found["1"][:2] == ("cannot say", "no parcels of 2023 in the lake")
    assert found["1"][2] == 0
    assert "there are no parcels of 2023" in caplog.text


def test_land_that_was_not_declared_the_year_before_cannot_be_judged(lake):
    before = [("1", 0, 60, "winter wheat"), *CROPS]
    declare(lake, {2023: before, 2024: [("1", 0, 100, "maize"), ("2", 100, 200, "maize"), *CROPS]})

    found = said(years.rotation("ms", 2024))

    assert found["1"][:2] == ("cannot say", "40 % of the land was not declared in 2023")
    assert found["2"][:2] == ("cannot say", "100 % of the land was not declared in 2023")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (lambda pid: None, "no crop is declared in 2023"),
        (lambda pid: f"Kultur {pid}", "crops of 100 % of the land cannot be judged in 2023"),
    ],
)
def test_a_year_without_crops_or_in_other_words_cannot_be_judged(words, reason, lake):
    now = [("1", 0, 100, "maize"), ("2", 100, 200, "winter wheat"), *CROPS]
    declare(lake, {2023: [(pid, start, end, words(pid)) for pid, start, end, _ in now], 2024: now})

    found = said(years.rotation("ms", 2024))

    assert found["1"][:2] == found["2"][:2] == ("cannot say", reason)


def test_equal_codes_under_different_names_decide_nothing(lake):
    # in 2023 code 1 was maize, in 2024 it is winter wheat: a column of codes of two systems
    before = [("1", 0, 100, ("maize", "1")), ("2", 100, 200, ("winter wheat", "2")), *CROPS]
    now = [("1", 0, 100, ("winter wheat", "1")), ("2", 100, 200, ("winter wheat", "1")), *CROPS]
    declare(lake, {2023: before, 2024: now})

    found = holds(years.rotation("ms", 2024))

    assert found["1"] == "cannot say"
    assert found["2"] == "cannot say"


def test_codes_alone_are_compared_where_both_years_have_them(lake):
    before = [("1", 0, 100, (None, "115")), ("2", 100, 200, (None, "411"))]
    now = [("1", 0, 100, (None, "115")), ("2", 100, 200, (None, "115"))]
    declare(lake, {2023: before, 2024: now})

    found = years.rotation("ms", 2024, exempt=["=900"])

    assert holds(found) == {"1": "no", "2": "yes"}
    assert {row["compared_by"][0] for row in found.to_pylist()} == {"code"}


@pytest.mark.parametrize("crops", [("rét", None), (None, "PPH")])
def test_a_crop_that_may_need_no_rotation_is_not_accused(crops, lake):
    now = [("1", 0, 100, crops), ("2", 100, 200, ("búza", "BTH")), ("3", 200, 300, (None, None))]
    before = [("1", 0, 100, crops), ("2", 100, 200, ("kukorica", "MIS")), ("3", 200, 300, (None, None))]
    declare(lake, {2023: before, 2024: now})

    found = said(years.rotation("ms", 2024))

    assert found["1"][:2] == ("cannot say", "whether the declared crop needs rotation cannot be judged")
    assert found["3"][:2] == ("cannot say", "no crop is declared")
    listed = ["=rét", "=pph"]
    assert holds(years.rotation("ms", 2024, exempt=listed))["1"] == "yes"
    assert holds(years.rotation("ms", 2024, exempt=["=xyz"]))["1"] == "no"


def test_crops_in_words_of_a_known_language_are_judged_also_where_none_of_the_list_is_declared(lake):
    now = [("1", 0, 100, "maize"), ("2", 100, 200, "winter wheat"), ("3", 200, 300, "carrots")]
    declare(lake, {2023: now, 2024: now})

    assert set(holds(years.rotation("ms", 2024)).values()) == {"no"}
    assert holds(years.grassland("ms", 2024, years=2)) == {}


def test_grass_in_unknown_words_is_not_said_to_be_none(lake):
    words = [("1", 0, 100, "rét"), ("2", 100, 200, "búza")]
    declare(lake, {2023: words, 2024: words})

    assert set(holds(years.grassland("ms", 2024, years=2)).values()) == {"cannot say"}
    named = said(years.grassland("ms", 2024, years=2, grass=["=rét"]), "permanent grassland")
    assert named == {"1": ("yes", "grass in 2 successive years", 1.0, 1.0)}


def test_land_that_two_parcels_of_a_year_claim_for_different_crops_cannot_be_judged(lake):
    before = [("a", 0, 100, "maize"), ("b", 0, 100, "winter wheat"), *CROPS]
    declare(lake, {2023: before, 2024: [("1", 0, 100, "maize"), *CROPS]})

    assert said(years.rotation("ms", 2024))["1"][:2] == ("cannot say", "100 % of the land was declared twice in 2023")


def test_lineage_of_other_outlines_does_not_count(lake):
    chain = {2023: [("1", 0, 100, "maize"), *CROPS], 2024: [("1", 0, 100, "maize"), *CROPS]}
    declare(lake, chain, lineage=False)
    fields.relate(lake, chain, 2024, 2023, version="g0_a0")

    rows = lake.query(
        "years.rotation", aoi="ms", year=2024, ptype="", years=2, exempt=["grass"], digits=8, slivers=0.05
    )

    assert {row["reason"] for row in rows.to_pylist() if row["pid"] == "1"} == {"no lineage from 2023"}


def test_lineage_that_is_missing_or_out_of_date_is_computed(lake):
    chain = {2023: [("a", 0, 50, "maize"), ("b", 50, 200, "rye"), *CROPS], 2024: [("p", 0, 200, "maize"), *CROPS]}
    declare(lake, chain, lineage=False)
    first = said(years.rotation("ms", 2024))
    lake.add_parcels("ms", 2023, "", "g2023b_a", fields.table([("a", 0, 150, "maize"), ("b", 150, 200, "rye"), *CROPS]))

    assert first["p"] == ("no", "the same crop in 2 successive years", pytest.approx(0.5), pytest.approx(0.25))
    assert said(years.rotation("ms", 2024))["p"][3] == pytest.approx(0.75)


def test_grass_that_was_ploughed_and_is_grass_again_has_the_day(lake):
    chain = {
        year: [("1", 0, 100, "grass"), ("2", 100, 200, "grass"), ("3", 200, 300, "grass")] for year in (2023, 2024)
    }
    declare(lake, chain)
    events = [
        ("1", "ploughing", "2024-08-20", 0.9),
        ("1", "sowing", "2024-09-01", 0.8),
        ("2", "ploughing", "2024-05-01", 0.4),
    ]
    fields.mark(lake, 2024, *events, pids=("1", "2", "3"))

    found = years.grassland("ms", 2024, years=2)

    resown = {row["pid"]: row for row in found.to_pylist() if row["rule"] == "ploughed and resown"}
    assert {pid: row["holds"] for pid, row in resown.items()} == {"1": "yes", "2": "cannot say", "3": "no"}
    assert str(resown["1"]["day"]) == "2024-08-20"
    assert resown["1"]["evidence"] == "confidence 0.90; sown on 2024-09-01"
    assert resown["1"]["share"] == 1
    assert resown["2"]["reason"] == "perhaps ploughed on 2024-05-01"


def test_without_markers_or_clear_dates_nothing_is_said_of_ploughing(lake):
    declare(lake, {year: [("1", 0, 100, "grass"), ("2", 100, 200, "grass")] for year in (2023, 2024)})
    none = said(years.grassland("ms", 2024, years=2), "ploughed and resown")
    fields.mark(lake, 2024, pids=("1", "2"), observed=False)
    unseen = said(years.grassland("ms", 2024, years=2), "ploughed and resown")

    assert none["1"][:2] == ("cannot say", "there are no markers of 2024")
    assert unseen["1"][:2] == ("cannot say", "not seen on enough clear dates")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"years": 1}, "2 to 30"),
        ({"slivers": 1.5}, "0 to 1"),
        ({"digits": 7}, "8"),
        ({"exempt": []}, "is empty"),
        ({"exempt": ["g"]}, "too short"),
        ({"exempt": [" "]}, "a word"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(wrong, said, lake):
    declare(lake, {2024: CROPS})

    with pytest.raises(InvalidInputError, match=said):
        years.rotation("ms", 2024, **wrong)


def test_an_unknown_set_is_refused_with_those_that_there_are(lake):
    declare(lake, {2024: CROPS})

    with pytest.raises(NotFoundError, match="ms 2024"):
        years.fallow("ms", 2023)


WORDS = ("maize", "winter wheat", "grass", None)
LAYOUTS = st.lists(
    st.tuples(st.sets(st.integers(1, 19), max_size=6), st.lists(st.sampled_from(WORDS), min_size=7, max_size=7)),
    min_size=3,
    max_size=4,
)


@settings(max_examples=6)
@given(layouts=LAYOUTS)
def test_areas_of_random_layouts_are_those_of_counted_metres(layouts, tmp_path_factory):
    chain = {}
    for number, (cuts, words) in enumerate(layouts):
        edges = [0, *(5 * cut for cut in sorted(cuts)), 100]
        pieces = zip(pairwise(edges), words, strict=False)
        chain[2021 + number] = [(f"{start}", start, end, word) for (start, end), word in pieces] + CROPS
    lake = declare(Lake(str(tmp_path_factory.mktemp("layouts"))), chain)
    last, span = max(chain), len(chain)

    found = {row["pid"]: row for row in years.rotation("ms", last, years=span, lake=lake).to_pylist()}

    for pid, start, end, crop in chain[last][: -len(CROPS)]:
        crops = np.array([[_crop(chain[year], metre) for metre in range(start, end)] for year in sorted(chain)[:-1]])
        same = (crops == crop).all(axis=0).sum() if crop else 0
        possible = ((crops == crop) | (crops == "nothing")).all(axis=0).sum() if crop else end - start
        if crop == "grass":
            same = possible = 0
        assert found[pid]["area_m2"] == pytest.approx(100 * same, abs=1e-6)
        assert found[pid]["most_m2"] >= 100 * possible - 1e-6
        if found[pid]["most_m2"] > 5 * (end - start) and possible > 0.05 * (end - start):
            assert found[pid]["most_m2"] == pytest.approx(100 * possible, abs=1e-6)
        expected = "no" if same > 0.05 * (end - start) else "yes" if possible <= 0.05 * (end - start) else "cannot say"
        assert found[pid]["holds"] == expected


def _crop(parcels, metre):
    return next((crop or "nothing" for _, start, end, crop in parcels if start <= metre < end), "nothing")
