"""Keys of parcels: whatever a caller writes for the same parcel is one key, and what is none is refused by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import schemas
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.lake.records import (
    BBox,
    FileEntry,
    LedgerEntry,
    SceneAsset,
    SceneLink,
    SceneRecord,
    SlotPosition,
    StoredBlock,
)


@pytest.mark.parametrize("aoi", ["ms", "MS", "Ms"])
@pytest.mark.parametrize("year", [2024, "2024", np.int64(2024)])
@pytest.mark.parametrize("pid", [31, "31", np.int32(31)])
@pytest.mark.parametrize("ptype", [None, ""])
def test_all_forms_of_the_same_parcel_are_one_key(aoi, year, pid, ptype):
    key = ParcelKey.of(aoi, year, pid, ptype)
    assert key == ParcelKey("ms", 2024, "", "31")
    assert hash(key) == hash(ParcelKey("ms", 2024, "", "31"))
    assert key.params == {"aoi": "ms", "year": 2024, "ptype": "", "pid": "31"}
    assert type(key.year) is int


@given(st.text(min_size=1).filter(str.strip))
def test_the_text_of_an_identifier_is_never_changed(pid):
    assert ParcelKey.of("ms", 2024, pid).pid == pid


@pytest.mark.parametrize(
    ("aoi", "year", "pid", "ptype", "name"),
    [
        (None, 2024, "1", None, "aoi"),
        ("", 2024, "1", None, "aoi"),
        ("a/b", 2024, "1", None, "aoi"),
        ("ms", None, "1", None, "year"),
        ("ms", 2024.5, "1", None, "year"),
        ("ms", True, "1", None, "year"),
        ("ms", 24, "1", None, "year"),
        ("ms", 2024, None, None, "pid"),
        ("ms", 2024, True, None, "pid"),
        ("ms", 2024, ["1", "2"], None, "pid"),
        ("ms", 2024, "1", 3, "ptype"),
        ("ms", 2024, "1", ["m"], "ptype"),
    ],
)
def test_what_is_no_key_is_refused_by_the_name_of_its_part(aoi, year, pid, ptype, name):
    with pytest.raises(InvalidInputError, match=f"^{name}="):
        ParcelKey.of(aoi, year, pid, ptype)


def test_a_key_says_itself_as_a_person_would():
    assert str(ParcelKey.of("MS", 2024, 31)) == "31 of ms 2024"
    assert str(ParcelKey.of("MS", 2024, 31, "m")) == "31 of ms 2024 m"


def test_keys_cannot_be_changed():
    with pytest.raises(AttributeError):
        ParcelKey("ms", 2024, "", "31").pid = "32"


@pytest.mark.parametrize(
    ("record", "schema"),
    [(SceneRecord, schemas.SCENES), (LedgerEntry, schemas.EXTRACTIONS), (FileEntry, schemas.FILES)],
    ids=["scene", "ledger", "file"],
)
def test_records_have_the_columns_of_their_table(record, schema):
    assert list(record.__annotations__) == schema.names
    needed = {item.name for item in schema if not item.nullable}
    assert needed <= record.__required_keys__ | {"attempt"}  # which is filled in


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (BBox, schemas.SCENES.field("bbox").type),
        (SceneLink, schemas.SCENES.field("links").type.value_type),
        (SceneAsset, schemas.SCENES.field("assets").type[0].type),
        (SlotPosition, schemas.EXTRACTIONS.field("slots").type.value_type),
        (StoredBlock, schemas.EXTRACTIONS.field("blocks").type.value_type),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_records_have_the_fields_of_their_structures(record, kind):
    assert list(record.__annotations__) == [item.name for item in kind]
