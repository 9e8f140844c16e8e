"""Look-ups: the signatures of one parcel, read directly from the Parquet row groups that contain them.

Most of the time of a query about one parcel is spent planning a statement over a hundred columns. So the queries of
sql/time_series/ that return long rows are answered here by the same rules without SQL; where a rule needs more than
the rows themselves, or the rows are in many files, SQL answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cbm_lake import cards
from cbm_lake.lake import schemas, templates
from cbm_lake.storage.datafiles import DataFile
from cbm_lake.storage.store import Store, translated

QUESTIONS: Final = {f"time_series.{card}": card for card in cards.CARD_BANDS}
"""The named queries answered here, and the card of each."""
_PARAMETERS: Final = {"aoi", "year", "ptype", "pid", "bands"}
_LAST = chr(0x10FFFF)
"""Sorts after every pid."""
Footer: TypeAlias = tuple[pq.FileMetaData, list[tuple[str, str]]]
"""A footer, and the smallest and largest pid of each row group."""
_FILES = 16
"""With more files than these, DuckDB with its threads is faster."""


@dataclass(frozen=True)
class CardFiles:
    """The signatures of a card in a snapshot: data files and the rules of which rows count."""

    store: Store
    files: Sequence[DataFile]
    counting: pa.Array
    """The extractions whose rows count."""
    outdated: frozenset[str]
    """Parcels of which only some rows of an extraction count."""
    further: templates.Further = templates.NOTHING
    """The optional statistics, and the indices of pixels, in the table."""


def of_parcel(files: Sequence[DataFile], params: Mapping[str, object]) -> list[DataFile]:
    """The files of a card that can contain a parcel, by partition and bounds of pid."""
    pid = str(params["pid"])
    partition = {(name, str(params[name])) for name in ("aoi", "year") if params.get(name) is not None}
    return [  # can_hold without a call for each file, of which there may be thousands
        file
        for file in files
        if ((bounds := file.bounds.get("pid")) is None or bounds[0] <= pid <= bounds[1])
        and partition <= file.partition.items()
    ]


def series(card: str, source: CardFiles, params: dict[str, Any]) -> pa.Table | None:
    """The result of sql/time_series/<card>.sql, or None where SQL has to compute it."""
    if not _is_usual(params) or params["pid"] in source.outdated:
        return None
    files = of_parcel(source.files, params)
    if len(files) > _FILES:
        return None
    groups = [group for file in files for group in _groups(source.store, file.path, params["pid"])]
    parts = [_of(group, params["pid"]) for group in groups]  # columns of a later version are null in older files
    wide = pa.concat_tables([_empty(card, source.further), *parts], promote_options="default")
    counts = pc.and_(pc.equal(wide["ptype"], params["ptype"]), pc.is_in(wide["extraction"], source.counting))
    counts = pc.and_(counts, wide["mask"].is_null())
    counting = wide if pc.all(counts).as_py() else wide.filter(counts)
    return long_rows(card, counting, params["bands"], source.further)


def _of(group: pa.Table, pid: str) -> pa.Table:
    """The rows of a parcel in a row group, where they are usually contiguous."""
    indices = pc.indices_nonzero(pc.equal(group["pid"], pid))
    if not len(indices):
        return group.slice(0, 0)
    first, last = indices[0].as_py(), indices[-1].as_py()
    return group.slice(first, len(indices)) if last - first + 1 == len(indices) else group.take(indices)


def _is_usual(params: dict[str, Any]) -> bool:
    """Whether all parameters are present and of the usual types; everything else is left to DuckDB."""
    texts = [params.get("aoi"), params.get("ptype"), params.get("pid"), *(params.get("bands") or [])]
    return (
        set(params) == _PARAMETERS and isinstance(params["year"], int) and all(isinstance(text, str) for text in texts)
    )


def _groups(store: Store, path: str, pid: str) -> list[pa.Table]:
    """The row groups of a file that can hold a parcel."""
    with translated("read", path):
        _, bounds = _footer(store, path)
        return [_group(store, path, number) for number, (first, last) in enumerate(bounds) if first <= pid <= last]


def _footer(store: Store, path: str) -> Footer:
    """A file's footer, and the smallest and largest pid of each row group."""
    return store.caches.footers.get(path, lambda: _read_footer(store, path), lambda footer: footer[0].serialized_size)


def _read_footer(store: Store, path: str) -> Footer:
    with store.open(path) as file:
        footer = pq.read_metadata(file)
    column = footer.schema.names.index("pid")
    statistics = [footer.row_group(number).column(column).statistics for number in range(footer.num_row_groups)]
    return footer, [(one.min, one.max) if one and one.has_min_max else ("", _LAST) for one in statistics]


def _group(store: Store, path: str, number: int) -> pa.Table:
    """A row group, cached."""
    groups = store.caches.row_groups
    return groups.get((path, number), lambda: _read_group(store, path, number), lambda rows: rows.nbytes)


def _read_group(store: Store, path: str, number: int) -> pa.Table:
    footer, _ = _footer(store, path)
    remote = "://" in store.url  # where one long request is better than a hundred short ones
    with (
        store.open(path) as file,
        pq.ParquetFile(file, metadata=footer, pre_buffer=remote, page_checksum_verification=True) as parquet,
    ):
        return parquet.read_row_group(number, use_threads=False)


@lru_cache
def _empty(card: str, further: templates.Further) -> pa.Table:
    """An empty table with the columns of a card's files."""
    schema = schemas.signatures(card, *further)
    return pa.schema([field for field in schema if field.name not in ("aoi", "year")]).empty_table()


@lru_cache
def _answer(card: str, statistics: tuple[str, ...]) -> pa.Schema:
    """The schema of the result, optional statistics last."""
    kinds = cards.get(card).classification
    classes = [(kinds.column, pa.list_(pa.field("l", pa.int32())))] if kinds else []
    keys = [("reference", pa.string()), ("obsid", pa.string())]
    series, others = _columns_of(cards.statistics.SERIES), _columns_of(statistics)
    return pa.schema([("date_part", pa.float64()), ("band", pa.string()), *series, *classes, *keys, *others])


def _columns_of(statistics: tuple[str, ...]) -> list[tuple[str, pa.DataType]]:
    return [(name, pa.type_for_alias(cards.STATISTICS[name].dtype)) for name in statistics]


def counting(card: str, signatures: pa.Table) -> pa.Table:
    """The rows of the view counting by which all these signatures count, in whichever version of the parcels."""
    extractions = pc.unique(signatures["extraction"])
    outlines = pa.repeat(pa.scalar(0, pa.uint64()), len(extractions))
    return pa.table({"card": pa.repeat(card, len(extractions)), "extraction": extractions, "outlines": outlines})


def long_rows(card: str, wide: pa.Table, bands: Sequence[str] | None, further: templates.Further) -> pa.Table:
    """Melt wide rows into long ones, by time and band; bands without pixels in a scene are left out."""
    schema, statistics = _answer(card, further.statistics), further.statistics
    asked = [band for band in templates.measured(card, further.indices) if bands is None or band in bands]
    if not asked or not wide.num_rows:
        return schema.empty_table()
    repeated = {"obsid": wide["scene"], "reference": wide["reference"]}
    if kinds := cards.get(card).classification:
        repeated[kinds.column] = _classes(wide, kinds)
    repeated["date_part"] = pc.divide(pc.cast(wide["obstime"], pa.int64()), 1e6)
    columns = {name: _stacked([values] * len(asked)) for name, values in repeated.items()}
    columns |= {
        name: _stacked([wide[f"{band}_{name}"] for band in asked]) for name in (*cards.statistics.SERIES, *statistics)
    }
    columns["band"] = _stacked([pa.repeat(band, wide.num_rows) for band in asked])
    rows = pa.table([columns[name] for name in schema.names], schema=schema)
    if rows["count"].null_count:
        rows = rows.filter(rows["count"].is_valid())
    return rows.sort_by([("date_part", "ascending"), ("band", "ascending"), ("obsid", "ascending")])


def _stacked(columns: Sequence[pa.Array | pa.ChunkedArray]) -> pa.Array:
    """Columns concatenated."""
    parts = [column.chunks if isinstance(column, pa.ChunkedArray) else [column] for column in columns]
    return pa.concat_arrays([part for chunks in parts for part in chunks])


def _classes(wide: pa.Table, kinds: cards.Classification) -> pa.Array:
    """Pixels of each scene class, as one list a row."""
    number = len(kinds.columns)
    stacked = _stacked([wide[column] for column in kinds.columns])
    turned = np.arange(number * wide.num_rows).reshape(number, wide.num_rows).T.ravel()
    ends = np.arange(0, number * wide.num_rows + 1, number, dtype="int32")
    return pa.ListArray.from_arrays(ends, stacked.take(turned), type=pa.list_(pa.field("l", pa.int32())))
