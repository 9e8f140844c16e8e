"""`sample`: draws the yearly IACS quality assessment sample from a ranked parcel list.

The rules are those of the JRC's tool QUASSA 2.10; where its command line differs from its notebook, the notebook's.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError
from cbm_lake.qa.buckets import SHARE_OF_HOLDINGS, Ints, Mask, Ranked, select
from cbm_lake.qa.drawn import Sample, Totals, write
from cbm_lake.qa.options import Options, options
from cbm_lake.qa.parcel_list import Source, codes, read_parcels, read_targets
from cbm_lake.qa.targets import RULES, raised

log = logging.getLogger(__name__)

OUTPUT: Final = "output"
"""Folder of the workspace that samples are written to."""
METADATA_KEY: Final = b"cbm_lake.sample"
"""Where the schema of a sample's rows, also in its Parquet file, says how it was drawn, as JSON."""
_COVERED_ONLY: Final = 2


def sample(
    parcels: Source,
    targets: Source | Mapping[str, int] | None = None,
    *,
    three_percent: bool = False,
    covered_priority: int = 0,
    noncontributing: int = 0,
    extraction_id: str | None = None,
    target_rule: str = "simple",
    raise_by: float = 0,
    holding_groups: Sequence[str] = (),
    folder: str | Path | None = None,
) -> Sample:
    """Draw a sample, write it to files, and return it; deterministic for the same list.

    Rows of equal ranking are taken in the order of the list. Options are explained in docs/qa.md.

    Args:
        parcels: CSV or Parquet file or table: gsa_par_id, gsa_hol_id, ua_grp_id (texts), covered (0/1), ranking.
        targets: file or table of ua_grp_id and target, or a mapping; without it `target_rule` decides.
        three_percent: whether the sample is taken from 3 % of the holdings.
        covered_priority: 0 ignores coverage, 1 takes covered parcels first, 2 covered parcels only.
        noncontributing: 1 retains a holding's best parcel on the list when its buckets are full, 0 does not.
        extraction_id: begins the names of the files; made up without it.
        target_rule: simple (5 %, at most 300), buffer, minimal, ulm or ulm_minimal.
        raise_by: percent by which targets are raised.
        holding_groups: groups whose interventions are checked for the whole holding.
        folder: where the files go; without it output/ in the workspace.

    Raises:
        SourceError: a file cannot be read or written.
        InvalidInputError: an option or a list is wrong; the message names all that is.
    """
    settings = options(
        three_percent=three_percent,
        covered_priority=covered_priority,
        noncontributing=noncontributing,
        extraction_id=extraction_id or f"extraction_{uuid.uuid4().hex[:8]}",
        target_rule=target_rule,
        raise_by=raise_by,
        holding_groups=tuple(holding_groups),
    )
    listed = _List(read_parcels(parcels))
    sizes = _targets(listed, targets, settings)
    result = _draw(listed, sizes, settings)
    return write(result, Path(folder) if folder else Workspace.here().root / OUTPUT)


@dataclass(frozen=True)
class _List:
    """Parcel list with names encoded as integers, in file order."""

    rows: pa.Table

    @cached_property
    def parcels(self) -> Ints:
        return codes(self.rows["gsa_par_id"])[0]

    @cached_property
    def holdings(self) -> Ints:
        return codes(self.rows["gsa_hol_id"])[0]

    @cached_property
    def groups(self) -> Ints:
        return codes(self.rows["ua_grp_id"])[0]

    @cached_property
    def group_names(self) -> list[str]:
        names: list[str] = codes(self.rows["ua_grp_id"])[1].to_pylist()
        return names

    @cached_property
    def group_sizes(self) -> list[int]:
        sizes: list[int] = np.bincount(self.groups).tolist()
        return sizes

    @cached_property
    def covered(self) -> Mask:
        covered: Mask = np.asarray(self.rows["covered"]) == 1
        return covered

    @cached_property
    def holding_count(self) -> int:
        return int(self.holdings.max()) + 1

    def parcel_count(self, rows: Ints | slice = slice(None)) -> int:
        """Number of distinct parcels (per holding) in some rows."""
        numbers = np.sort(self.parcels[rows].astype(np.int64) * self.holding_count + self.holdings[rows])
        return int(np.count_nonzero(np.diff(numbers, prepend=-1)))


def _targets(listed: _List, source: Source | Mapping[str, int] | None, settings: Options) -> list[int]:
    """Target of each group by index."""
    if source is not None:
        sizes = list(read_targets(source, listed.group_names).values())
    else:
        sizes = [RULES[settings.target_rule](size) for size in listed.group_sizes]
    unknown = sorted(set(settings.holding_groups) - set(listed.group_names))
    if unknown:
        raise InvalidInputError(f"holding_groups {', '.join(unknown)} are not in the parcel list; correct them")
    return [raised(target, settings.raise_by) for target in sizes]


def _draw(listed: _List, targets: list[int], settings: Options) -> Sample:
    ranking = np.asarray(listed.rows["ranking"])
    order = np.argsort(ranking, kind="stable").astype(np.int32)
    _warn_of_ties(listed, ranking, order)
    if settings.covered_priority == _COVERED_ONLY:
        order = order[listed.covered[order]]
    ranked = Ranked(listed.parcels[order], listed.holdings[order], listed.groups[order], listed.covered[order])
    added = select(
        ranked,
        targets,
        limit=int(listed.holding_count * SHARE_OF_HOLDINGS) if settings.three_percent else None,
        covered_first=settings.covered_priority == 1,
        retain=settings.noncontributing == 1,
    )
    return _as_sample(listed, targets, order[added], settings)


def _warn_of_ties(listed: _List, ranking: Ints, order: Ints) -> None:
    """Warn about ties in the ranking: the methodology requires unique ranks."""
    tied = (ranking[order[1:]] == ranking[order[:-1]]) & (listed.parcels[order[1:]] != listed.parcels[order[:-1]])
    if tied.any():
        log.warning("%d parcels have the ranking of another one; their order in the list decides", tied.sum())


# -- the result ----------------------------------------------------------------------------------------------


def _as_sample(listed: _List, targets: list[int], added: Ints, settings: Options) -> Sample:
    """The sample with its tables.

    Args:
        listed: the parcel list.
        targets: of each group.
        added: rows of the list in the order in which they were added.
        added: the options.
    """
    by_bucket = np.argsort(listed.groups[added], kind="stable")
    rows = _extracted(listed, added[by_bucket], by_bucket.astype(np.int32) + 1)
    selected = np.bincount(listed.groups[added], minlength=len(targets))
    buckets = pa.table(
        {
            "bucket_id": pa.array(listed.group_names, pa.string()),
            "selected": pa.array(selected, pa.int64()),
            "target": pa.array(targets, pa.int64()),
            "total": pa.array(listed.group_sizes, pa.int64()),
        }
    )
    story = {"extraction_id": settings.extraction_id, **settings.model_dump(), "buckets": buckets.to_pylist()}
    return Sample(
        settings.extraction_id,
        settings,
        rows.replace_schema_metadata({METADATA_KEY: json.dumps(story)}),
        _by_parcel(rows),
        buckets,
        _interventions(listed, added, settings) if settings.holding_groups else None,
        _totals(listed, added),
        {},
    )


def _extracted(listed: _List, rows: Ints, order_added: Ints) -> pa.Table:
    table = listed.rows.select(["ua_grp_id", "gsa_par_id", "gsa_hol_id", "ranking", "covered"]).take(pa.array(rows))
    table = table.rename_columns(["bucket_id", *table.column_names[1:]])
    return table.append_column("order_added", pa.array(order_added, pa.int64()))


def _by_parcel(rows: pa.Table) -> pa.Table:
    """One row per gsa_par_id; if several holdings share it, the last row's holding is named."""
    by_parcel: dict[str, dict[str, object]] = {}
    buckets: dict[str, list[str]] = {}
    for row in rows.to_pylist():
        by_parcel[row["gsa_par_id"]] = {name: row[name] for name in ("gsa_par_id", "gsa_hol_id", "ranking", "covered")}
        buckets.setdefault(row["gsa_par_id"], []).append(row["bucket_id"])
    schema = pa.schema([rows.schema.field(name) for name in ("gsa_par_id", "gsa_hol_id", "ranking", "covered")])
    table = pa.Table.from_pylist(list(by_parcel.values()), schema=schema)
    named = [sorted(set(names)) for names in buckets.values()]
    joined = pa.array([",".join(f"[{name}]" for name in names) for names in named], pa.string())
    return table.append_column("buckets", joined).append_column(
        "bucket_count", pa.array([len(names) for names in named], pa.int64())
    )


def _interventions(listed: _List, added: Ints, settings: Options) -> pa.Table:
    """Rows of holding-level groups from holdings that have a parcel in such a group's bucket."""
    level = np.isin(listed.groups, [listed.group_names.index(name) for name in settings.holding_groups])
    holdings = listed.holdings[added[level[added]]]
    eligible = level & np.isin(listed.holdings, holdings)
    if settings.covered_priority == _COVERED_ONLY:
        eligible &= listed.covered
    selected = np.zeros(len(eligible), np.int64)
    selected[added] = 1
    return listed.rows.append_column("selected", pa.array(selected)).filter(pa.array(eligible))


def _totals(listed: _List, added: Ints) -> Totals:
    covered = listed.covered[added]
    return Totals(
        rows=listed.rows.num_rows,
        selected_rows=len(added),
        parcels=listed.parcel_count(),
        selected_parcels=listed.parcel_count(added),
        covered_parcels=listed.parcel_count(added[covered]),
        uncovered_parcels=listed.parcel_count(added[~covered]),
        holdings=listed.holding_count,
        selected_holdings=int(pc.count_distinct(pa.array(listed.holdings[added])).as_py()),
    )
