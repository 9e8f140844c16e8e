"""What the parcels of a set declare: the crop, as one kind of code for all, where they lie and how large they are."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError, NotFoundError, counted, quoted, some, wrong_argument
from cbm_lake.geo.reprojection import transformer
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet

log = logging.getLogger(__name__)

Reals = npt.NDArray[np.float64]

COLUMNS: Final = ("hcat", "crop_code", "crop_name")
"""Columns that say which crop is declared; the first that has any value counts, but names rather than codes where each
code has one name and each name one code."""
_EQUAL_AREA: Final = 3035
"""EPSG code of the system in metres in which blocks are cut."""


@dataclass(frozen=True, eq=False)
class Declared:
    """The declarations of a parcel set; one entry per parcel, by pid."""

    pids: pa.Array
    """Text, sorted."""
    codes: npt.NDArray[np.object_]
    """The declared crop as `column` has it; None where it has none."""
    column: str
    """One of COLUMNS."""
    hcat: pa.Array
    """The crop as HCAT code; null where it is unknown."""
    area_m2: Reals
    x: Reals
    """Metres east, EPSG:3035, of the centroid; y: metres north."""
    y: Reals

    def __len__(self) -> int:
        return len(self.pids)


def read(lake: Lake, parcels: ParcelSet, by: str | None = None) -> Declared:
    """Read the declarations of a parcel set.

    Args:
        lake: the lake.
        parcels: the set.
        by: which of COLUMNS says the crop; None is as there.

    Raises:
        NotFoundError: the set has no parcel.
        InvalidInputError: no parcel has a crop, or not in that column.
    """
    rows = lake.query("crops.declared", **parcels.params).combine_chunks()
    if not rows.num_rows:
        raise NotFoundError(f"{parcels.name} has no parcels")
    column = _column(rows, parcels, by)
    _tell_unknown(rows, parcels, column)
    lon, lat = (rows[name].to_numpy() for name in ("centroid_lon", "centroid_lat"))
    x, y = transformer(4326, _EQUAL_AREA).transform(lon, lat)
    hcat = rows["hcat"] if "hcat" in rows.column_names else pa.nulls(rows.num_rows, pa.string())
    codes = _texts(rows[column]).to_numpy(zero_copy_only=False)
    area = rows["area_m2"].to_numpy().astype(np.float64)
    return Declared(rows["pid"].combine_chunks(), codes, column, _texts(hcat), area, x, y)


def _texts(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Texts without blanks around them; null where nothing is left."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    trimmed = pc.utf8_trim_whitespace(array.cast(pa.string()))
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _column(rows: pa.Table, parcels: ParcelSet, by: str | None) -> str:
    """The column that says the crop."""
    if by is not None and by not in COLUMNS:
        raise wrong_argument("by", f"{quoted(by)} is no column of crops; choose {', '.join(COLUMNS)}")
    filled = [name for name in COLUMNS if name in rows.column_names and _texts(rows[name]).null_count < rows.num_rows]
    if by is None and filled and filled[0] == "crop_code" and _are_names(rows):
        return "crop_name"
    if by in filled or (by is None and filled):
        return by or filled[0]
    if filled:
        raise InvalidInputError(f"no parcel of {parcels.name} has a {by}; it has {' and '.join(filled)}")
    raise InvalidInputError(
        f"no parcel of {parcels.name} has a declared crop; load the parcels again and name the column of the crop"
    )


def _tell_unknown(rows: pa.Table, parcels: ParcelSet, column: str) -> None:
    """Warn of parcels whose crop another column says alone: without a code of this one they cannot be judged."""
    others = [_texts(rows[name]) for name in COLUMNS[1:] if name in rows.column_names and name != column]
    said = pc.coalesce(*others, pa.nulls(rows.num_rows, pa.string())).filter(pc.is_null(_texts(rows[column])))
    crops = said.drop_null()
    if len(crops):
        log.warning(
            "%s of %s declare a crop that has no %s, and cannot be judged: %s",
            counted(len(crops), "parcel"),
            parcels.name,
            column,
            some(sorted(crops.unique().to_pylist())),
        )


def _are_names(rows: pa.Table) -> bool:
    """Whether names say the same as codes, in words."""
    both = pa.table({name: _texts(rows[name]) for name in ("crop_code", "crop_name")})
    pairs = both.group_by(both.column_names).aggregate([])
    return all(pc.count_distinct(pairs[name], mode="all").as_py() == pairs.num_rows for name in both.column_names)
