"""When two declared crops are the same, and which are of a list: truth tables of the macros."""

import pytest

from cbm_lake.errors import InvalidInputError
from cbm_lake.years.classes import FALLOW, GRASS, ROTATION_FREE, crops

WINTER_WHEAT, SPRING_WHEAT, ANY_WHEAT, WHEAT = "3301010101", "3301010102", "3301010199", "3301010100"
BARLEY, CEREALS, OTHER_CEREALS, MAIZE = "3301010401", "3301010000", "3301019900", "3301010600"
MEADOW, TEMPORARY_GRASS, FALLOW_LAND, POTATOES, UNKNOWN = (
    "3302000000",
    "3301090100",
    "3301110000",
    "3301030000",
    "3399000000",
)


@pytest.mark.parametrize(
    ("one", "other", "digits", "same"),
    [
        (WINTER_WHEAT, WINTER_WHEAT, 10, True),
        (WINTER_WHEAT, SPRING_WHEAT, 10, False),
        (WINTER_WHEAT, SPRING_WHEAT, 8, True),
        (WINTER_WHEAT, BARLEY, 8, False),
        (WINTER_WHEAT, BARLEY, 6, True),
        (WINTER_WHEAT, POTATOES, 6, False),
        (WINTER_WHEAT, WHEAT, 10, None),  # wheat of no season may be winter wheat
        (WINTER_WHEAT, ANY_WHEAT, 10, None),
        (ANY_WHEAT, ANY_WHEAT, 10, None),
        (WINTER_WHEAT, ANY_WHEAT, 8, True),
        (WINTER_WHEAT, CEREALS, 8, None),
        (CEREALS, CEREALS, 8, None),  # two different ones may be meant
        (CEREALS, CEREALS, 6, True),
        (OTHER_CEREALS, OTHER_CEREALS, 8, None),
        (POTATOES, POTATOES, 8, True),
        (MEADOW, MEADOW, 8, True),
        (MEADOW, TEMPORARY_GRASS, 8, False),
        ("3301000000", "3301000000", 6, None),
        ("3303000000", "3303060000", 8, None),
        ("3301061222", "3301061219", 8, False),  # mint and lavender: of herbs the last digits are crops
        ("3301061222", "3301061222", 8, True),
        ("3301061299", "3301061299", 8, None),
        ("3301061200", "3301061222", 8, None),
        ("3301061200", "3301061200", 8, None),
        ("3301090301", "3301090303", 8, False),  # lucerne and clover
        ("3301090301", "3301090303", 6, True),
        ("3301011599", "3301011599", 8, None),  # mixtures of cereals
        ("3301011501", "3301011501", 10, None),
        ("3301011599", "3301011599", 6, True),
        ("3303120000", "3303120000", 8, None),
        ("3301060401", "3301060499", 8, True),  # rape of any season
        (UNKNOWN, UNKNOWN, 8, None),
        (None, WHEAT, 8, None),
    ],
)
def test_codes_of_hcat_are_the_same_crop_or_not_or_that_cannot_be_said(one, other, digits, same, lake):
    statement = "select same_hcat($one, $other, $digits) as a, same_hcat($other, $one, $digits) as b"
    (row,) = lake.sql(statement, one=one, other=other, digits=digits).to_pylist()
    assert row == {"a": same, "b": same}


@pytest.mark.parametrize(
    ("listed", "hcat", "name", "code", "expected"),
    [
        (GRASS, MEADOW, "anything", None, True),
        (GRASS, TEMPORARY_GRASS, None, None, True),
        (GRASS, MAIZE, "maize after grass", None, False),  # HCAT decides over names
        (GRASS, UNKNOWN, "old meadow", None, True),
        (GRASS, "3301090000", None, None, None),  # plants harvested green: grass is among them
        (GRASS, "3301000000", None, None, None),
        (GRASS, "3301990000", "other arable land", None, None),
        (GRASS, "3301090301", "lucerne", None, False),
        (FALLOW, "3301990000", None, None, None),
        (ROTATION_FREE, "3301061600", "sainfoin", None, True),
        (GRASS, None, "Dauergrünland", None, True),
        (GRASS, None, "maize", "411", False),
        (GRASS, None, None, "PPH", None),  # a code alone is no word
        (("=pph",), None, None, "PPH", True),
        (("3302", "=luz"), "3301090301", None, "LUZ", True),  # whoever lists a code of the agency has a reason
        (("3302", "=luz"), "3301090303", None, "TRE", False),
        (("=pph",), None, None, "BTH", False),
        (("=pph", "meadow"), None, "Meadow", "X", True),
        (GRASS, None, None, None, None),
        (FALLOW, FALLOW_LAND, None, None, True),
        (FALLOW, None, "Jachère de 6 ans", None, True),
        (ROTATION_FREE, "3303060000", None, None, True),
        (ROTATION_FREE, "3301010700", None, None, True),
        (ROTATION_FREE, "3301090400", "green maize", None, False),
        (ROTATION_FREE, WINTER_WHEAT, None, None, False),
        (("3302",), None, "wheat", None, None),  # nothing in the list could name it
    ],
)
def test_a_crop_is_of_a_list_or_not_or_that_cannot_be_said(listed, hcat, name, code, expected, lake):
    statement = "select is_listed_crop($listed::varchar[], $hcat, $name, $code) as a"
    (row,) = lake.sql(statement, listed=crops(listed, (), "grass"), hcat=hcat, name=name, code=code).to_pylist()
    assert row["a"] is expected


@pytest.mark.parametrize(
    ("by_name", "by_code", "same"),
    [
        (True, True, True),
        (True, None, True),
        (None, False, False),
        (True, False, None),
        (False, True, None),
        (None, None, None),
    ],
)
def test_a_name_and_a_code_that_contradict_each_other_decide_nothing(by_name, by_code, same, lake):
    (row,) = lake.sql("select same_crop($a::boolean, $b::boolean) as a", a=by_name, b=by_code).to_pylist()
    assert row["a"] is same


def test_lists_are_texts_in_small_letters_without_doubles():
    assert crops(["= PPH", "Meadow ", "meadow", "3302"], GRASS, "grass") == ["=pph", "meadow", "3302"]
    assert crops("Weide", GRASS, "grass") == ["weide"]
    assert crops(None, GRASS, "grass")[0] == "3302"
    with pytest.raises(InvalidInputError, match="write =2"):
        crops(["2"], GRASS, "grass")
