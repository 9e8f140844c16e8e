"""What extraction writes: signatures, the ledger, slots of cubes, headers of rasters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from cbm_lake import cards
from cbm_lake.lake.schemas.common import SEQUENCE, TIME

_SLOT = pa.struct([("grid", pa.string()), ("slot", pa.int64())])

_BLOCK = pa.struct(
    [
        ("grid", pa.string()),
        ("band", pa.string()),
        ("row", pa.int32()),
        ("col", pa.int32()),
        ("bytes", pa.int64()),
    ]
)
"""A block of a cube, by its numbers down and across, and the size of its file."""

EXTRACTIONS: Final = pa.schema(
    [
        pa.field("card", pa.string(), nullable=False),
        pa.field("scene", pa.string(), nullable=False),
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("year", pa.int32(), nullable=False),
        pa.field("ptype", pa.string(), nullable=False),  # "" is the main parcel set
        pa.field("parcels", pa.string(), nullable=False),  # version of the parcel set
        pa.field("attempt", pa.int64(), nullable=False),  # 1, 2, … of that scene over that set, whatever its version
        pa.field("extraction", pa.int64(), nullable=False),  # number of what was done; its signatures carry it
        pa.field("base", pa.int64()),  # extraction whose signatures still hold for the parcels left out, or null
        pa.field("bands", pa.list_(pa.string())),
        pa.field("rule", pa.string(), nullable=False),  # as `cards.pixelrule` writes it: centre, 5 m inside
        pa.field("boa_offset", pa.int32()),  # DN that was added
        pa.field("cube", pa.bool_(), nullable=False),  # whether the scene stands in the cube
        pa.field("status", pa.string(), nullable=False),  # done or failed
        pa.field("problem", pa.string()),  # why it failed, or what is odd about it though it is done
        pa.field("rows", pa.int64(), nullable=False),  # signatures written, those of clear pixels alone not among them
        pa.field("started", TIME, nullable=False),
        pa.field("finished", TIME, nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        pa.field("revision", pa.string()),  # of the scene's catalogue entry; null in entries of version 0.1
        pa.field("slots", pa.list_(_SLOT)),  # where its pixels stand in the cubes; null in entries of version 0.1
        pa.field("discarded", pa.int64()),  # pixels that cannot be reflectance, taken as nodata
        pa.field("blocks", pa.list_(_BLOCK)),  # of the cubes that hold its pixels; null in entries of version 0.1
        pa.field("pixels", pa.string()),  # digest of the stamps of its files; null in entries of version 0.1
        pa.field("statistics", pa.list_(pa.string())),  # beside those that every signature has; null is none
        pa.field("indices", pa.list_(pa.string())),  # that were computed pixel by pixel; null is none
        pa.field("mask", pa.string()),  # as in signatures; "" where none was asked for, null before masks and of radar
        pa.field("mask_stamp", pa.string()),  # of the mask's further raster; null without one, and before
        pa.field("clear", pa.int64()),  # signatures of clear pixels alone, written beside `rows`; null is none
        SEQUENCE,
    ]
)
"""The ledger: one row per try to extract a scene over a parcel set. What the latest successful one wrote counts."""

SLOTS: Final = pa.schema(
    [
        pa.field("card", pa.string(), nullable=False),
        pa.field("grid", pa.string(), nullable=False),
        pa.field("slot", pa.int64(), nullable=False),  # place on the time axis
        pa.field("scene", pa.string(), nullable=False),
        pa.field("obstime", TIME, nullable=False),
        pa.field("boa_offset", pa.int32(), nullable=False),  # DN to add to the stored DN
        pa.field("stamps", pa.string()),  # JSON: of each band the stamp of the file that its pixels are from
    ]
)
"""Which scene has which place on the time axis of a cube."""

RASTERS: Final = pa.schema(
    [
        pa.field("href", pa.string(), nullable=False),
        pa.field("header", pa.string(), nullable=False),  # JSON: grid, dtype, blocks
        pa.field("seen", TIME, nullable=False),
        SEQUENCE,
    ]
)
"""What the headers of rasters say, so that none is read twice."""

_OF_ROW = (
    pa.field("aoi", pa.string(), nullable=False),
    pa.field("year", pa.int32(), nullable=False),
    pa.field("ptype", pa.string(), nullable=False),
    pa.field("pid", pa.string(), nullable=False),
    pa.field("scene", pa.string(), nullable=False),
    pa.field("obstime", TIME, nullable=False),
    pa.field("reference", pa.string(), nullable=False),
    pa.field("rule", pa.string(), nullable=False),
    pa.field("extraction", pa.int64(), nullable=False),
)
"""The columns of every signature besides its statistics."""

_SHARE: Final = pa.field("share", pa.float32())
"""The share of the whole parcel, 0 to 1, whose pixels were counted; null in rows of version 0.1 and migrated ones."""

_COVERED: Final = pa.field("covered", pa.float64())
"""By the rule coverage: the sum of the shares of pixels, of the band that has most; null by the rule centre."""

_MASK: Final = pa.field("mask", pa.string())
"""What was masked in a row of clear pixels alone, a further one beside that of all pixels, whose mask is null."""


def signatures(card: str, statistics: Iterable[str] = (), indices: Iterable[str] = ()) -> pa.Schema:
    """The schema of a card's signatures: one wide row per parcel and scene, partitioned by aoi and year.

    Parcels that are partly masked have a second one, of their clear pixels alone; see `_MASK`.

    Args:
        card: its name.
        statistics: the optional ones.
        indices: those that are computed pixel by pixel, by their names.
    """
    bands = cards.CARD_BANDS[card]
    classification = cards.get(card).classification
    classes = [pa.field(column, pa.int32()) for column in classification.columns] if classification else []
    stored, others = statistic_columns(bands, cards.statistics.STORED), optional_columns(bands, statistics, indices)
    return pa.schema([*_OF_ROW, *stored, *classes, _SHARE, _COVERED, _MASK, *others])


def optional_columns(bands: Iterable[str], statistics: Iterable[str], indices: Iterable[str]) -> list[pa.Field]:
    """The columns of optional statistics of bands, and of all statistics of indices: NDVI_count, NDVI_mean, …"""
    further, names = tuple(statistics), [cards.INDICES[name].column for name in indices]
    of_indices = statistic_columns(names, (*cards.statistics.STORED, *further))
    return [*statistic_columns(bands, further), *of_indices]


def statistic_columns(bands: Iterable[str], statistics: Iterable[str]) -> list[pa.Field]:
    """The columns of statistics of bands: B04_count, B04_mean, …"""
    kinds = {name: pa.type_for_alias(cards.STATISTICS[name].dtype) for name in statistics}
    return [pa.field(f"{band}_{name}", kind) for band in bands for name, kind in kinds.items()]


SC: Final = pa.schema([*_OF_ROW, *statistic_columns(["SC"], cards.statistics.STORED)])
"""Statistics of the scene classes as numbers, a band of the original library: only in migrated scenes."""
