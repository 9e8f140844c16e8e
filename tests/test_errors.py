"""Errors: their message for a person, their parts for a program, also from another process."""

import pickle

import pytest

from cbm_lake.errors import InvalidInputError, LakeError, NotFoundError, SourceError, TooManyError, UnknownSetError


def test_advice_follows_the_reason_and_both_can_be_had_alone():
    error = SourceError("raster a.tif is cut; at 10 bytes", advice="fetch it again")
    assert str(error) == "raster a.tif is cut; at 10 bytes; fetch it again"
    assert (error.reason, error.advice) == ("raster a.tif is cut; at 10 bytes", "fetch it again")


def test_a_message_in_one_piece_is_the_reason():
    error = InvalidInputError("no such band; choose another")
    assert (str(error), error.reason, error.advice) == ("no such band; choose another",) * 2 + ("",)


def test_too_many_is_an_input_that_is_refused_and_says_how_many():
    error = TooManyError("30 scenes are more than 24", advice="ask for fewer days", count=30, limit=24)
    assert isinstance(error, InvalidInputError)
    assert isinstance(error, ValueError)
    assert str(error) == "30 scenes are more than 24; ask for fewer days"
    assert (error.count, error.limit) == (30, 24)


def test_an_unknown_parcel_set_lists_those_that_there_are_but_not_in_its_reason():
    error = UnknownSetError("no parcels of xx 2024", "ms 2023, ms 2024")
    assert isinstance(error, NotFoundError)
    assert str(error) == "no parcels of xx 2024 in this lake; there are: ms 2023, ms 2024"
    assert error.reason == "no parcels of xx 2024"


@pytest.mark.parametrize(
    "error",
    [
        LakeError("a"),
        SourceError("a", advice="b"),
        InvalidInputError("a", advice="b"),
        TooManyError("a", advice="b", count=3, limit=2),
        UnknownSetError("a", "ms 2024"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_workers_arrive_with_all_that_they_carry(error):
    other = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)
