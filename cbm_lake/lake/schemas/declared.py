"""What is said of declarations: whether the declared crop grows there, and what the parcels of another year became."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from cbm_lake.lake.schemas.common import SEQUENCE, TIME

CROP_CHECKS: Final = pa.schema(
    [
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("year", pa.int32(), nullable=False),
        pa.field("ptype", pa.string(), nullable=False),
        pa.field("pid", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of the parcel set
        pa.field("run", pa.string(), nullable=False),  # of crop_runs
        pa.field("day", pa.date32(), nullable=False),  # nothing later was used
        pa.field("hcat", pa.string()),  # code of the declared crop; null where it is unknown
        pa.field("crop_group", pa.string()),  # the group of crops of the declared one; null where there is none
        pa.field("size_class", pa.string()),
        pa.field("verdict", pa.string(), nullable=False),  # agrees, disagrees or cannot say
        pa.field("reason", pa.string(), nullable=False),  # of the verdict, in words
        pa.field("p_value", pa.float64()),  # conformal, of the declared group; null where nothing was predicted
        pa.field("likely", pa.list_(pa.string())),  # the groups of the prediction set, the most likely first
        pa.field("probability", pa.list_(pa.float64())),  # by the model, of each of these
        pa.field("since", pa.date32()),  # from when on the verdict was the same
        pa.field("rank", pa.int32()),  # 1 is the least likely declaration of the set; null where nothing was predicted
        pa.field("fold", pa.int32()),  # the parcels that the model did not see
        pa.field("part", pa.int64(), nullable=False),
        SEQUENCE,
    ]
)
"""One row per parcel of the last check of a parcel set; parts replace each other."""

CROP_RUNS: Final = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("year", pa.int32(), nullable=False),
        pa.field("ptype", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of the parcel set
        pa.field("day", pa.date32(), nullable=False),
        pa.field("alpha", pa.float64(), nullable=False),  # the promised share of wrong accusations
        pa.field("settings", pa.string(), nullable=False),  # JSON: model, seed, blocks, groups, features
        pa.field("snapshot", pa.string(), nullable=False),  # JSON: versions of the tables, digest of the features
        pa.field("libraries", pa.string(), nullable=False),  # JSON: name and version
        pa.field("figures", pa.string(), nullable=False),  # JSON: accuracy, confusion, reliability, alpha, beta
        pa.field("checked", TIME, nullable=False),
        pa.field("cbm_lake", pa.string(), nullable=False),  # its version
        SEQUENCE,
    ]
)
"""One row per crop check; earlier ones stay."""

SAME: Final = "same"
MOVED: Final = "moved"
SPLIT: Final = "split"
MERGED: Final = "merged"
PART_OF: Final = "part of"
NEW: Final = "new"
GONE: Final = "gone"
SLIVER: Final = "sliver"
RELATIONS: Final = {
    SAME: "the later and the earlier parcel cover each other, but for slivers",
    MOVED: "one parcel with another outline: most of each lies in the other; or the same outline elsewhere",
    SPLIT: "most of the later parcel was in the earlier one, and so was most of another later one",
    MERGED: "most of the earlier parcel is in the later one, and so is most of another earlier one",
    PART_OF: "a part of the later parcel was a part of the earlier one, and nothing of the above",
    NEW: "the later parcel lies in none of the earlier year",
    GONE: "the earlier parcel lies in none of the later year",
    SLIVER: "they overlap by less than counts: boundaries that were drawn again",
}
"""The relations of a later parcel with an earlier one, the first that holds; two parcels of one year that overlap may
both be the same as one of another."""

LINEAGE: Final = pa.schema(
    [
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("year", pa.int32(), nullable=False),  # the later one
        pa.field("ptype", pa.string(), nullable=False),
        pa.field("year_before", pa.int32(), nullable=False),
        pa.field("ptype_before", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of the parcel set of the later year
        pa.field("version_before", pa.string(), nullable=False),
        pa.field("pid", pa.string()),  # null: gone
        pa.field("pid_before", pa.string()),  # null: new
        pa.field("relation", pa.string(), nullable=False),  # same, moved, split, merged, part of, new, gone or sliver
        pa.field("area_m2", pa.float64()),
        pa.field("area_before_m2", pa.float64()),
        pa.field("shared_m2", pa.float64(), nullable=False),
        pa.field("share", pa.float64()),  # of the later parcel's area
        pa.field("share_before", pa.float64()),  # of the earlier parcel's area
        pa.field("least_share", pa.float64(), nullable=False),  # below which an overlap is a sliver
        pa.field("part", pa.int64(), nullable=False),
        SEQUENCE,
    ]
)
"""One row per pair of parcels of two years that overlap, and per parcel without any; parts replace each other."""
