"""Integrity of Parquet files (digests, pages, columns), and of a lake's plain files: parcels, scenes, pixel indexes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cbm_lake.errors import SourceError
from cbm_lake.files import digests, filenames
from cbm_lake.lake import queries, schemas, sums
from cbm_lake.lake.check.looking import RESTORE, UNREADABLE, Looking, part_of, reason
from cbm_lake.lake.records import FileEntry
from cbm_lake.storage.store import DRAFT

_LATER = frozenset({"datastrip", "produced", "updated", "revision", "sequence"})
"""Columns of the catalogue that version 0.1 did not have; where they are missing they are null."""
_AGAIN = {
    "parcels": f"{RESTORE}, or delete it and load these parcels again",
    "scenes": f"{RESTORE}, or delete it and catalogue these scenes again",
}
_GONE = {
    "parcels": f"{RESTORE}, or load these very parcels again",
    "scenes": f"{RESTORE}, or catalogue these scenes again and run `cbm-lake check --forget {{}}`",
}
_BATCH = 8_192


def rows_of(
    looking: Looking, name: str, advice: str, columns: Iterable[str] = (), digest: str | None = None
) -> int | None:
    """The rows of a Parquet file; None when it cannot be read, or is not what was written, which is then a finding.

    Args:
        looking: the look.
        name: of the file in the lake.
        advice: what to do then.
        columns: that it must have.
        digest: on record, where it is not in the name.
    """
    part, filesystem = part_of(name), looking.store.filesystem[0]
    path = f"{looking.store.filesystem[1]}/{name}"
    try:
        if changed := looking.reads_all(name) and _changed(looking, name, digest):
            looking.fault(part, f"the file is not what was written: {changed}", name, advice)
            return None
        with pq.ParquetFile(path, filesystem=filesystem, page_checksum_verification=True) as file:
            missing = set(columns) - set(file.schema_arrow.names)
            rows = int(file.metadata.num_rows)
            if looking.reads_all(name):
                rows = sum(batch.num_rows for batch in file.iter_batches(_BATCH))
    except UNREADABLE as error:
        looking.fault(part, f"the file is damaged: {reason(error)}", name, advice)
        return None
    if missing:
        looking.fault(part, f"the file has no column {', '.join(sorted(missing))}", name, advice)
        return None
    return rows


def _changed(looking: Looking, name: str, digest: str | None) -> str:
    """How a file deviates from the digest on record; "" where it does not, or none is on record."""
    recorded = digests.recorded(name) or digest
    if recorded is None:
        return ""
    filesystem, root = looking.store.filesystem
    with filesystem.open_input_stream(f"{root}/{name}") as stream:
        return "" if digests.computed(stream) == recorded else "its digest is another"


def column(looking: Looking, name: str, columns: Sequence[str]) -> pa.Table | None:
    """Some columns of a file; None when they cannot be read, which only a deep look finds beforehand."""
    try:
        return looking.store.read(name, columns)
    except (SourceError, *UNREADABLE) as error:
        looking.fault(part_of(name), reason(error), name, RESTORE)
        return None


def whole(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with all columns of a schema; those that its version of this package did not know are null."""
    for item in schema:
        if item.nullable and item.name not in table.column_names:
            table = table.append_column(item, pa.nulls(table.num_rows, item.type))
    return table.select(schema.names).cast(schema)


# -- parcels, scenes, indexes ---------------------------------------------------------------------------------------


def check_manifest(looking: Looking, due: Mapping[str, FileEntry]) -> None:
    """Recorded files that are missing or have another size."""
    for name, entry in due.items():
        folder = part_of(name)
        if not looking.has(name):
            looking.fault(folder, "the file is missing", name, _GONE[folder].format(name))
        elif looking.size(name) != entry["bytes"]:
            problem = f"the file has {looking.size(name):,} bytes, {entry['bytes']:,} were written"
            looking.fault(folder, problem, name, _AGAIN[folder])


def check_parcels(looking: Looking, due: Mapping[str, FileEntry]) -> set[tuple[str, int, str, str]]:
    """Parcel files, and pixel indexes that belong to none; the versions that are there: area, year, kind, version."""
    files = looking.names("parcels", ".parquet")
    looking.each(lambda name: _plain(looking, name, due, schemas.PARCELS.names), files)
    parts = {name: filenames.parts_of_parcels(f"/{name}") for name in files}
    versions = {part[:4] for part in parts.values() if part}
    present = {version for *_, version in versions}
    indexes = looking.names("indexes", ".parquet")
    looking.each(lambda name: rows_of(looking, name, "delete it; the next extraction builds it again"), indexes)
    advice = "delete it; the catalogue is read without it, and summed up again later"
    looking.each(lambda name: rows_of(looking, name, advice), looking.names(sums.FOLDER, ".parquet"))
    again = "delete it; the next search for markers reads everything"
    looking.each(lambda name: rows_of(looking, name, again), looking.names("searches", ".parquet"))
    for name in indexes:
        if name.split("/")[1] not in present:
            problem = f"a pixel index of {looking.size(name):,} bytes whose parcels are not there"
            looking.note("indexes", problem, name, "delete it")
    return versions


def _plain(looking: Looking, name: str, due: Mapping[str, FileEntry], columns: Collection[str]) -> int | None:
    if name in due and looking.size(name) != due[name]["bytes"]:  # which is reported already
        return None
    digest = due[name]["digest"] if name in due else None
    return rows_of(looking, name, _AGAIN[part_of(name)], columns, digest)


def check_scenes(looking: Looking, due: Mapping[str, FileEntry]) -> pa.Table:
    """Catalogue files, and scenes with contradictory entries in several of them.

    Returns:
        The scenes: card, id, datetime and more.
    """
    columns = ["card", "id", "datetime", "reference", "acquisition", "boa_offset", "revision"]
    files = looking.names("scenes", ".parquet")
    names = [name for name in schemas.SCENES.names if name not in _LATER]
    rows = looking.each(lambda name: _plain(looking, name, due, names), files)
    schema = pa.schema([*(schemas.SCENES.field(name) for name in columns), ("file", pa.string())])
    tables = [schema.empty_table()]
    for name in (name for name, count in zip(files, rows, strict=True) if count is not None):
        table = column(looking, name, columns)
        if table is not None:
            files_of = pa.array([name] * table.num_rows, pa.string())
            tables.append(whole(table.append_column("file", files_of), schema))
    catalogued = pa.concat_tables(tables)
    connection = duckdb.connect()
    connection.register("catalogued", catalogued)
    for row in connection.sql(queries.get("check.conflicts").sql).to_arrow_table().to_pylist():
        problem = f"scene {row['id']} of card {row['card']} stands in several files with different {row['differing']}"
        advice = "the latest counts; what was extracted before it came keeps to what it knew then"
        looking.fault("scenes", problem, row["files"][-1], advice)
    return catalogued


def check_results(looking: Looking) -> None:
    """Tables of results, which the analysis that wrote them can write again."""
    looking.each(
        lambda name: rows_of(looking, name, "delete it and run that analysis again"), looking.names("foi", ".parquet")
    )


def check_leftovers(looking: Looking) -> None:
    """Leftovers of interrupted writes."""
    for name in filter(DRAFT.search, looking.listing.files):
        problem = f"a draft of {looking.size(name):,} bytes: a write broke off, or is going on"
        looking.note(name.partition("/")[0], problem, name, "delete it when nobody is writing")
