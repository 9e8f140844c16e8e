"""Flemish variant of bucket filling: a separate ranking, and holdings capped by number or share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError
from cbm_lake.qa.buckets import Buckets, Ints, Ranked
from cbm_lake.qa.parcel_list import Listed, Source, codes, load, look_through, repeated

PARCEL_COLUMNS: Final = ("parcel_id", "holding_id", "ua_group")
RANKING_COLUMNS: Final = ("parcel_id", "ranking")


def fill_buckets(
    parcels: Source,
    ranking: Source,
    bucket_size: int | Mapping[str, int],
    skip_parcels_0_ua_groups: bool = False,
    capping: float = -1,
) -> pa.Table:
    """Fill all buckets; columns bucket, parcel_id, holding_id, ua_group, ranking; by bucket, in the order added.

    Identifiers may be texts or integers and come back as such. Without capping the sample is that of `sample`: skipping
    corresponds to noncontributing=0, not skipping to noncontributing=1. As in the original program, skipping can give a
    bucket one parcel more than its size: a parcel that follows the one that filled it, and has another bucket to go to.

    Args:
        parcels: file or table of just parcel_id, holding_id and ua_group; one row per parcel and group.
        ranking: file or table of just parcel_id and ranking; parcels that are not in both lists are left out.
        bucket_size: how many parcels a bucket may hold, for all groups or by group.
        skip_parcels_0_ua_groups: whether a parcel is passed over when all its buckets are full; it calls in its holding
            otherwise.
        capping: -1 for none, a number of holdings, or, below 1, a share of the holdings in `parcels`.

    Raises:
        SourceError: a file cannot be read.
        InvalidInputError: a list has other columns or wrong values, or an option is wrong.
    """
    listed = _columns(load(parcels, "the parcels", ()), PARCEL_COLUMNS)
    limit = _limit(capping, pc.count_distinct(listed["holding_id"]).as_py())
    joined = _joined(listed, _columns(load(ranking, "the ranking", RANKING_COLUMNS[1:]), RANKING_COLUMNS))
    numbers = {name: codes(_texts(joined[name])) for name in PARCEL_COLUMNS}
    parcel, holding, group = (numbers[name][0] for name in PARCEL_COLUMNS)
    ranked = Ranked(parcel, holding, group, np.ones(joined.num_rows, np.bool_))
    added = _fill(ranked, _sizes(bucket_size, numbers["ua_group"][1].to_pylist()), limit, skip=skip_parcels_0_ua_groups)
    rows = joined.take(pa.array(added[np.argsort(ranked.groups[added], kind="stable")]))
    return rows.select(["ua_group", *PARCEL_COLUMNS, "ranking"]).rename_columns(["bucket", *PARCEL_COLUMNS, "ranking"])


def _fill(ranked: Ranked, sizes: Sequence[int], limit: int | None, *, skip: bool) -> Ints:
    """Rows of the buckets, in the order added."""
    buckets = Buckets(ranked, sizes)
    rows = np.sort(np.unique(ranked.parcels, return_index=True)[1]).tolist()  # one per parcel, best first
    met: set[int] = set()
    gone = buckets.full()
    if _go_through(buckets, rows, limit, met, gone, skip=skip):
        used = {ranked.parcel[row] for row in buckets.rows}
        available = [row for row in rows if buckets.sampled[ranked.holding[row]] and ranked.parcel[row] not in used]
        _go_through(buckets, available, None, met, gone, skip=skip)
        buckets.fill_empty(np.ones(len(ranked.groups), np.bool_))
    return np.asarray(buckets.rows, np.int32)


def _go_through(
    buckets: Buckets, rows: Iterable[int], limit: int | None, met: set[int], gone: set[int], *, skip: bool
) -> bool:
    """Process parcels in order; True if another holding is due but the limit is reached.

    Args:
        buckets: the buckets to fill.
        rows: one row of each parcel, best first.
        limit: how many holdings may be in use.
        met: holdings that have been called in; added to.
        gone: groups whose rows have left the list; the original takes full ones off just before a parcel is placed, but
            after it has looked which groups the parcel has.
        skip: whether a parcel whose buckets are all full is passed over.
    """
    ranked = buckets.ranked
    live = bytearray(b"\1") * len(ranked.groups)
    for row in rows:
        holding, parcel = ranked.holding[row], ranked.parcel[row]
        if not buckets.unfilled:
            return False
        ranks = [row for row in ranked.of_parcel(parcel) if ranked.group[row] not in gone]
        if skip and all(buckets.is_full(ranked.group[row]) for row in ranks):
            continue
        if limit == buckets.holdings:
            return True
        gone |= buckets.full()
        if holding in met:
            for each in ranks:
                buckets.add(each, beyond=skip)
        else:
            met.add(holding)
            buckets.call_in(holding, live)
    return False


# -- input -----------------------------------------------------------------------------------------------------------


def _columns(listed: Listed, names: Sequence[str]) -> pa.Table:
    """Validate the columns: text or integer identifiers, integer ranking."""
    if sorted(listed.rows.column_names) != sorted(names):
        header = ", ".join(listed.rows.column_names)
        raise InvalidInputError(f"{listed.name} must have the columns {', '.join(names)}, not {header}")
    numbers = [name for name in names if name == "ranking" or pa.types.is_integer(listed.rows[name].type)]
    checked = look_through(listed, [name for name in names if name not in numbers], numbers)
    if checked.problems:
        return checked.checked()
    texts = pa.table({name: _texts(checked.rows[name]) for name in names})
    owners = None
    if "holding_id" in names:
        pairs = texts.select(["parcel_id", "holding_id"]).group_by(["parcel_id", "holding_id"]).aggregate([])
        owners = repeated(pairs, ("parcel_id",)) and "a parcel_id stands with several holdings"
    return checked.checked(owners, repeated(texts, [name for name in names if name not in ("holding_id", "ranking")]))


def _texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(pa.string())


def _joined(parcels: pa.Table, ranking: pa.Table) -> pa.Table:
    """Ranked parcels, best first, with rows in list order."""
    positions = pc.index_in(_texts(parcels["parcel_id"]), value_set=_texts(ranking["parcel_id"]))
    ranked = parcels.append_column("ranking", ranking["ranking"].take(positions)).filter(pc.is_valid(positions))
    return ranked.take(pa.array(np.argsort(np.asarray(ranked["ranking"]), kind="stable")))


def _limit(capping: float, holdings: int) -> int | None:
    """Maximum number of holdings, or None."""
    if capping == -1:
        return None
    if 0 <= capping < 1:
        return int(holdings * capping)
    if capping != int(capping) or capping < 0:
        raise InvalidInputError(f"capping {capping} is no number of holdings; give -1, a share below 1, or 1, 2, 3, …")
    return int(capping)


def _sizes(numbers: int | Mapping[str, int], groups: Sequence[str]) -> list[int]:
    sizes = (
        {str(name): size for name, size in numbers.items()}
        if isinstance(numbers, Mapping)
        else dict.fromkeys(groups, numbers)
    )
    missing = [name for name in groups if name not in sizes]
    if missing:
        raise InvalidInputError(f"bucket_size has no size for {', '.join(missing)}; give one for every group")
    if any(size < 0 for size in sizes.values()):
        raise InvalidInputError("bucket_size is below 0; give how many parcels a bucket may hold")
    return [sizes[name] for name in groups]
