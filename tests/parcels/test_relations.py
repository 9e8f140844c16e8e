"""The relations of parcels of two years, on drawings whose areas can be counted."""

import numpy as np
import pytest
from shapely import box

from cbm_lake.parcels.relations import relate
from cbm_lake.zonal.overlaps import overlaps


def strip(*ends):
    """Parcels along a road, 10 m deep: (0, 100) is the one from 0 to 100 m."""
    return {f"{first}-{last}": box(first, 0, last, 10) for first, last in ends}


def relations(before, after, **options):
    """The relation of each pair of names; None where there is no other parcel."""
    later, earlier = (np.array(list(parcels.values()), object) for parcels in (after, before))
    areas, areas_before = (np.array([shape.area for shape in shapes]) for shapes in (later, earlier))
    related = relate(overlaps(later, earlier), areas, areas_before, **options)
    mine, theirs = list(after), list(before)
    rows = zip(related.earlier.tolist(), related.later.tolist(), related.relation.tolist(), strict=True)
    pairs = {(theirs[one], mine[other]): relation for one, other, relation in rows}
    new, gone = ((None, mine[row]) for row in related.new), ((theirs[row], None) for row in related.gone)
    return pairs | dict.fromkeys(new, "new") | dict.fromkeys(gone, "gone")


def named(before, after, relation):
    """Parcels of strips as they are called there."""
    name = [None if ends is None else f"{ends[0]}-{ends[1]}" for ends in (before, after)]
    return {(name[0], name[1]): relation}


A, LEFT, RIGHT = (0, 100), (0, 50), (50, 100)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([A], [A], [(A, A, "same")]),
        ([A], [(0, 96)], [(A, (0, 96), "same")]),  # 0.96 of the earlier one: the rest is a sliver
        ([A], [(0, 104)], [(A, (0, 104), "same")]),  # 0.96 of the later one
        ([A], [(4, 104)], [(A, (4, 104), "same")]),
        ([A], [(0, 94)], [(A, (0, 94), "moved")]),
        ([A], [(20, 120)], [(A, (20, 120), "moved")]),
        ([A], [(0, 180)], [(A, (0, 180), "moved")]),  # it has grown, and is most of what it became
        ([A], [(49, 149)], [(A, (49, 149), "moved")]),  # 51 of 100
        ([A], [(51, 151)], [(A, (51, 151), "part of")]),  # 49 of 100
        ([A], [RIGHT], [(A, RIGHT, "part of")]),  # half of it, and no more than half
        ([A], [(0, 30)], [(A, (0, 30), "part of")]),
        ([(0, 30)], [A], [((0, 30), A, "part of")]),
        ([A], [LEFT, RIGHT], [(A, LEFT, "split"), (A, RIGHT, "split")]),
        ([A], [(0, 20), (80, 100)], [(A, (0, 20), "split"), (A, (80, 100), "split")]),  # and the rest is gone
        ([A], [(0, 96), (96, 100)], [(A, (0, 96), "same"), (A, (96, 100), "split")]),
        ([A], [(0, 90), (90, 130)], [(A, (0, 90), "moved"), (A, (90, 130), "part of")]),
        ([LEFT, RIGHT], [A], [(LEFT, A, "merged"), (RIGHT, A, "merged")]),
        ([(0, 20), (80, 100)], [A], [((0, 20), A, "merged"), ((80, 100), A, "merged")]),
        ([(0, 96), (96, 100)], [A], [((0, 96), A, "same"), ((96, 100), A, "merged")]),
        ([], [A], [(None, A, "new")]),
        ([A], [], [(A, None, "gone")]),
        ([A], [(100, 200)], [(None, (100, 200), "new"), (A, None, "gone")]),  # they touch
        (
            [A],
            [(98, 198)],
            [(A, (98, 198), "sliver"), (None, (98, 198), "new"), (A, None, "gone")],
        ),
        (  # the boundary between two moves by 10 m
            [A, (100, 200)],
            [(0, 110), (110, 200)],
            [(A, (0, 110), "moved"), ((100, 200), (0, 110), "part of"), ((100, 200), (110, 200), "moved")],
        ),
        (  # ... by 2 m
            [A, (100, 200)],
            [(0, 102), (102, 200)],
            [(A, (0, 102), "same"), ((100, 200), (0, 102), "sliver"), ((100, 200), (102, 200), "same")],
        ),
        (  # two of each year with three boundaries: split and merged at once is neither
            [(0, 100), (100, 140)],
            [(0, 30), (30, 140)],
            [((0, 100), (0, 30), "split"), ((0, 100), (30, 140), "part of"), ((100, 140), (30, 140), "merged")],
        ),
        (  # divided across: each later one has a half of each earlier one, and no more
            [(0, 100), (100, 200)],
            [(50, 150)],
            [((0, 100), (50, 150), "part of"), ((100, 200), (50, 150), "part of")],
        ),
        (  # a large parcel of many that each lost a little: it is not new
            [(start, start + 1000) for start in range(0, 40_000, 1000)],
            [(0, 40_000)],
            [((start, start + 1000), (0, 40_000), "merged") for start in range(0, 40_000, 1000)],
        ),
    ],
)
def test_relations_are_those_of_a_drawing(before, after, expected):
    pairs = {}
    for row in expected:
        pairs |= named(*row)
    assert relations(strip(*before), strip(*after)) == pairs


def test_a_parcel_that_lies_in_slivers_of_others_alone_is_not_new():
    before = {f"row {row}": box(0, 10 * row, 1000, 10 * row + 10) for row in range(40)}
    after = {"road": box(0, 0, 30, 400)}  # 1/40 of it in each row, of which it is 3 %
    assert set(relations(before, after).values()) == {"part of"}
    assert set(relations(after, before).values()) == {"part of"}


def test_a_margin_of_slivers_all_round_makes_a_parcel_no_less_new():
    before = {"ring": box(-100, -100, 200, 200).difference(box(1, 1, 99, 99))}
    assert relations(before, {"pond": box(0, 0, 100, 100)}) == {
        ("ring", "pond"): "sliver",
        (None, "pond"): "new",
        ("ring", None): "gone",
    }


def test_parcels_of_one_year_that_lie_on_each_other_are_each_the_same():
    twice = {"one": box(0, 0, 100, 10), "other": box(0, 0, 100, 10)}
    assert relations(twice, strip((0, 100))) == {("one", "0-100"): "same", ("other", "0-100"): "same"}
    assert set(relations(twice, twice).values()) == {"same"}


def test_what_counts_can_be_chosen():
    before, after = strip((0, 100), (100, 200)), strip((0, 102), (102, 200))
    assert relations(before, after, least_share=0.01)["100-200", "0-102"] == "part of"
    assert relations(before, after, least_share=0)["0-100", "0-102"] == "moved"
    assert relations(before, before, least_share=0) == {("0-100", "0-100"): "same", ("100-200", "100-200"): "same"}


def test_boundaries_that_touch_by_rounding_are_no_overlap():
    third = 100 / 3
    before = {"a": box(0, 0, third, 10), "b": box(third, 0, 100, 10)}
    after = {"a": box(0, 0, third + 1e-9, 10), "b": box(third - 1e-9, 0, 100, 10)}
    assert relations(before, after) == {("a", "a"): "same", ("b", "b"): "same"}
