"""The Flemish way of filling buckets against a literal telling of its rules."""

import re
from collections import Counter

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qa_rules import Flemish, Literal, Row

from cbm_lake import qa


@st.composite
def flemish_lists(draw):
    count = draw(st.integers(1, 14))
    ranks = draw(st.permutations(range(count)))
    parcels = []
    for parcel in range(count):
        holding = f"h{draw(st.integers(0, 4))}"
        parcels += [(f"0{parcel}", holding, group) for group in draw(st.sets(st.sampled_from("ABC"), min_size=1))]
    known = draw(st.integers(1, count))
    return (
        parcels,
        [(f"0{parcel}", ranks[parcel]) for parcel in range(known)],
        {g: draw(st.integers(0, 5)) for g in "ABC"},
    )


def flemish_tables(parcels, ranking):
    frame = pd.DataFrame(parcels, columns=["parcel_id", "holding_id", "ua_group"])
    return frame, pd.DataFrame(ranking, columns=["parcel_id", "ranking"])


@pytest.mark.slow
@given(flemish_lists(), st.booleans(), st.sampled_from([-1, 0, 1, 2, 3, 0.3, 0.5]))
@settings(max_examples=300, deadline=None)
def test_the_flemish_way_is_that_of_its_literal_rules(lists, skip, capping):
    parcels, ranking, sizes = lists
    found = qa.fill_buckets(*flemish_tables(parcels, ranking), sizes, skip, capping)
    chosen = set(zip(found["bucket"].to_pylist(), found["parcel_id"].to_pylist(), strict=True))
    assert chosen == Flemish(parcels, ranking, sizes, skip, capping).run()
    assert len(chosen) == found.num_rows


@given(flemish_lists(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_without_capping_both_ways_give_the_same_sample(lists, skip):
    parcels, ranking, sizes = lists
    sizes = {group: max(size, 1) for group, size in sizes.items()}
    rank = dict(ranking)
    rows = [Row(parcel, holding, group, 0, rank[parcel]) for parcel, holding, group in parcels if parcel in rank]
    found = qa.fill_buckets(*flemish_tables(parcels, ranking), sizes, skip_parcels_0_ua_groups=skip)
    expected = {(row.ua_grp_id, row.gsa_par_id) for row in Literal(rows, sizes, False, 0, 0 if skip else 1).run()}
    chosen = set(zip(found["bucket"].to_pylist(), found["parcel_id"].to_pylist(), strict=True))
    if any(count > sizes[group] for group, count in Counter(group for group, _ in chosen).items()):
        assert skip  # the one more that a bucket can get, after which the samples may part
    else:
        assert chosen == expected


def test_skipping_gives_a_bucket_one_more_when_the_next_parcel_has_another_to_go_to():
    parcels = [(parcel, "a", group) for parcel in "1235" for group in "AB"]
    tables = flemish_tables([*parcels, ("4", "b", "A")], [(parcel, int(parcel)) for parcel in "12345"])
    buckets = [
        Counter(qa.fill_buckets(*tables, {"A": 4, "B": 9}, skip)["bucket"].to_pylist()) for skip in (False, True)
    ]
    assert buckets == [{"A": 4, "B": 4}, {"A": 5, "B": 4}]


def test_under_capping_a_parcel_that_is_in_a_bucket_is_not_offered_to_its_others():
    parcels = [("1", "a", "B"), ("2", "a", "B"), ("3", "a", "B"), ("4", "a", "A"), ("4", "a", "B"), ("5", "b", "A")]
    tables = flemish_tables([*parcels, ("6", "a", "B")], [(str(number), number) for number in range(1, 7)])
    for capping, expected in {
        1: {"A4", "B1", "B2", "B3", "B6"},
        -1: {"A4", "A5", "B1", "B2", "B3", "B4", "B6"},
    }.items():
        rows = qa.fill_buckets(*tables, 9, capping=capping).to_pylist()
        assert {row["bucket"] + row["parcel_id"] for row in rows} == expected


def test_flemish_buckets_have_their_columns_and_integer_identifiers_stay_integers():
    parcels = pd.DataFrame({"parcel_id": [7, 7, 8], "ua_group": ["A", "B", "A"], "holding_id": ["x", "x", "y"]})
    ranking = pd.DataFrame({"ranking": [2, 1, 3], "parcel_id": [7, 8, 9]})
    assert qa.fill_buckets(parcels, ranking, 1).to_pylist() == [
        {"bucket": "A", "parcel_id": 8, "holding_id": "y", "ua_group": "A", "ranking": 1},
        {"bucket": "B", "parcel_id": 7, "holding_id": "x", "ua_group": "B", "ranking": 2},
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"parcels": {"parcel_id": ["1"], "holding_id": ["a"], "ua_group": ["A"], "more": [1]}},
            "must have the columns",
        ),
        ({"parcels": {"parcel_id": ["1"], "holding_id": ["a"]}}, "must have the columns"),
        ({"ranking": {"parcel_id": ["1"], "rank": [1]}}, "must have the columns parcel_id, ranking"),
        ({"ranking": {"parcel_id": ["1", "1"], "ranking": [1, 2]}}, "repeat an earlier one"),
        ({"ranking": {"parcel_id": ["1"], "ranking": [1.5]}}, "not whole numbers"),
        (
            {"parcels": {"parcel_id": ["1", "1"], "holding_id": ["a", "b"], "ua_group": ["A", "B"]}},
            "a parcel_id stands with several holdings",
        ),
        ({"bucket_size": {"B": 1}}, "no size for A"),
        ({"bucket_size": -1}, "below 0"),
        ({"capping": 1.5}, "capping 1.5"),
        ({"capping": -2}, "capping -2"),
    ],
)
def test_wrong_flemish_input_is_refused_as_a_value_error(change, told):
    given = {
        "parcels": {"parcel_id": ["1"], "holding_id": ["a"], "ua_group": ["A"]},
        "ranking": {"parcel_id": ["1"], "ranking": [1]},
        "bucket_size": 1,
        **change,
    }
    tables = {name: pa.table(value) if name in ("parcels", "ranking") else value for name, value in given.items()}
    with pytest.raises(ValueError, match=re.escape(told)):
        qa.fill_buckets(**tables)
