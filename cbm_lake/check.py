"""Is a lake whole? What its tables, catalogues and cubes speak of is looked at, and what is wrong told with what to do.

    listing of all files ─► logs and files of the tables ─► what the ledger says against what is there
                       └──► parcels, scenes, indexes ──► cubes ──► leftovers of writes that broke off

Every part is read by itself, so that one that cannot be read does not hide what is wrong with the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import pairwise, product
from typing import Any, Final, TypeVar, cast
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from pyarrow import fs

from cbm_lake import queries, schemas, tables
from cbm_lake.access import zarr_store
from cbm_lake.delta import Table
from cbm_lake.errors import NotFoundError, SourceError
from cbm_lake.lake import Lake
from cbm_lake.store import Store, translated

FINDINGS: Final = pa.schema(
    [
        pa.field("severity", pa.string(), nullable=False),  # fault, or note: harmless
        pa.field("part", pa.string(), nullable=False),  # table, folder or cube
        pa.field("what", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),  # in the lake; of several the first
        pa.field("advice", pa.string(), nullable=False),
    ]
)
"""One row per finding."""

Progress = Callable[[int, int], None]
"""Called with how many files were looked at and how many there are."""

_T = TypeVar("_T")
_READERS: Final = 8
"""Files that are looked at at once: they may be far away."""
_UNREADABLE: Final = (OSError, RuntimeError, ValueError, KeyError, TypeError)
"""What the Arrow, Zarr and JSON readers raise for damaged bytes."""
_LEFTOVER: Final = re.compile(r"(^|/)\.[^/]*$|\.partial$|\.tmp$|#\d+$")
"""Drafts of this package, of zarr, of the log, and of the object store's uploads."""
_RESTORE: Final = "restore it from a copy"
_LATER: Final = frozenset({"datastrip", "produced", "updated", "revision", "sequence"})
"""Columns of the catalogue that version 0.1 did not have; where they are missing they are null."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be; the fields are the columns of FINDINGS."""

    severity: str
    part: str
    what: str
    file: str
    advice: str


@dataclass
class _Check:
    """One look at a lake."""

    store: Store
    deep: bool
    listing: dict[str, int]
    """Size of every file by its name in the lake."""
    filesystem: fs.FileSystem
    root: str
    progress: Progress
    findings: list[Finding] = field(default_factory=list)
    looked_at: int = 0

    def fault(self, part: str, what: str, file: str, advice: str) -> None:
        self.findings.append(Finding("fault", part, what, file, advice))

    def note(self, part: str, what: str, file: str, advice: str) -> None:
        self.findings.append(Finding("note", part, what, file, advice))

    def names(self, folder: str, ending: str = "") -> list[str]:
        """The files below a folder, without drafts."""
        found = (name for name in self.listing if name.startswith(f"{folder}/") and name.endswith(ending))
        return sorted(name for name in found if not _LEFTOVER.search(name))

    def each(self, work: Callable[[str], _T], names: Iterable[str]) -> list[_T]:
        """Look at many files at once; the answers come in the order of the names."""
        answers = []
        with ThreadPoolExecutor(_READERS) as pool:
            for answer in pool.map(work, names):
                answers.append(answer)
                self.looked_at += 1
                self.progress(min(self.looked_at, len(self.listing)), len(self.listing))
        return answers


def check(lake: Lake, *, deep: bool = False, progress: Progress | None = None) -> pa.Table:
    """What is wrong with a lake, as rows of FINDINGS; none when it is whole.

    Args:
        lake: the lake, as it is now.
        deep: read every page of every Parquet file and every block of every cube, not their footers and lengths only.
        progress: called after each file.

    Raises:
        NotFoundError: there is no lake.
        SourceError: its folder cannot be listed.
    """
    store = Store(lake.url)
    filesystem, root = store.filesystem
    with translated("list", lake.url):
        found = filesystem.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    listing = {info.path.removeprefix(root).lstrip("/"): info.size for info in found if info.is_file}
    if not listing:
        raise NotFoundError(f"there is no lake at {lake.url}; give its folder or URL")
    looking = _Check(store, deep, listing, filesystem, root, progress or (lambda _, __: None))
    checked = {table.name: _check_table(looking, table.name, table.schema) for table in tables.of(store).values()}
    _check_ledger(looking, checked)
    _check_cubes(looking, checked["slots"])
    _check_parcels(looking)
    _check_scenes(looking)
    _check_leftovers(looking)
    _check_settled(looking, lake)
    looking.progress(len(listing), len(listing))
    rows = sorted(set(looking.findings), key=lambda finding: (finding.severity, finding.part, finding.file))
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=FINDINGS)


# -- Parquet files ------------------------------------------------------------------------------------------------


def _rows(looking: _Check, name: str, advice: str, wanted: Iterable[str] = ()) -> int | None:
    """The rows of a Parquet file; None when it cannot be read, which is then told."""
    part = name.partition("/")[0] if not name.startswith("signatures/") else "/".join(name.split("/")[:2])
    try:
        with pq.ParquetFile(
            f"{looking.root}/{name}", filesystem=looking.filesystem, page_checksum_verification=True
        ) as file:
            missing = set(wanted) - set(file.schema_arrow.names)
            rows = int(file.metadata.num_rows)
            if looking.deep:
                rows = sum(batch.num_rows for batch in file.iter_batches(8_192))
    except _UNREADABLE as error:
        looking.fault(part, f"the file is damaged: {_reason(error)}", name, advice)
        return None
    if missing:
        looking.fault(part, f"the file has no column {', '.join(sorted(missing))}", name, advice)
        return None
    return rows


def _column(looking: _Check, name: str, columns: Sequence[str]) -> pa.Table | None:
    """Some columns of a file; None when they cannot be read, which only a deep look finds beforehand."""
    try:
        return looking.store.read(name, columns)
    except SourceError as error:
        looking.fault(name.partition("/")[0], _reason(error), name, _RESTORE)
        return None


def _reason(error: Exception) -> str:
    told = " ".join(str(error).split()) or type(error).__name__
    return told if len(told) <= 200 else f"{told[:200]}…"


# -- tables -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Files:
    """The files of a Delta table that can be read."""

    names: list[str]
    known: bool
    """Whether the log tells which files the table has."""
    whole: bool
    """Whether all of them can be read."""


def _check_table(looking: _Check, name: str, schema: pa.Schema) -> _Files:
    """A table's log, and the files that it names."""
    data = {file for file in looking.names(name, ".parquet") if "/_delta_log/" not in file}
    ever = _check_log(looking, name)
    files = _snapshot(looking, name, schema)
    if files is None:
        looking.each(lambda file: _rows(looking, file, _RESTORE), sorted(data))
        absent = not looking.names(name)
        return _Files([], known=absent, whole=absent)
    sound = looking.each(lambda file: _check_file(looking, name, file, files[file]), files)
    unknown = data - ever - files.keys()
    if unknown:
        size = sum(looking.listing[file] for file in unknown)
        what = f"{len(unknown)} files of {size:,} bytes that the table never had: a write broke off"
        looking.note(name, what, min(unknown), "delete them when nobody is writing")
    return _Files([file for file, good in zip(files, sound, strict=True) if good], known=True, whole=all(sound))


def _check_log(looking: _Check, name: str) -> set[str]:
    """Every entry of a table's log; the answer is which files they ever added."""
    checkpoints = looking.names(f"{name}/_delta_log", ".parquet")
    looking.each(lambda file: _rows(looking, file, _RESTORE), checkpoints)
    entries = looking.names(f"{name}/_delta_log", ".json")
    numbers = [int(file.rpartition("/")[2].removesuffix(".json")) for file in entries]
    for before, after in pairwise(numbers):
        if after != before + 1:
            missing = f"{name}/_delta_log/{before + 1:020}.json"
            looking.fault(name, "an entry of the log is missing", missing, _RESTORE)
    return set().union(*looking.each(lambda file: _added(looking, name, file), entries))


def _added(looking: _Check, table: str, entry: str) -> set[str]:
    """The files that an entry of a log adds to its table."""
    try:
        with looking.filesystem.open_input_stream(f"{looking.root}/{entry}") as stream:
            actions = [json.loads(line) for line in stream.read().decode().splitlines()]
        return {f"{table}/{unquote(action['add']['path'])}" for action in actions if "add" in action}
    except _UNREADABLE as error:
        advice = f"{_RESTORE}; or move it and all later entries away, then check again and redo what they had added"
        looking.fault(table, f"an entry of the log is damaged: {_reason(error)}", entry, advice)
        return set()


def _snapshot(looking: _Check, name: str, schema: pa.Schema) -> dict[str, dict[str, Any]] | None:
    """The files of a table as its log tells, by name; None when there is no log or it cannot be read."""
    table = Table(looking.store, name, schema, keys=())
    try:
        opened = table.open()
        with translated("read", table.url):
            told = [] if opened is None else pa.table(opened.get_add_actions(flatten=True)).to_pylist()
    except SourceError as error:
        looking.fault(name, _reason(error), f"{name}/_delta_log", _RESTORE)
        return None
    if opened is None:
        if any("/_delta_log/" not in file for file in looking.names(name, ".parquet")):
            looking.fault(name, "the table has files but no log", f"{name}/_delta_log", _RESTORE)
        return None
    return {f"{name}/{unquote(file['path'])}": file for file in told}


def _check_file(looking: _Check, table: str, name: str, told: dict[str, Any]) -> bool:
    """Whether a table's file is what its log says of it."""
    advice = (
        f"{_RESTORE}; without one, delete it, run deltalake.DeltaTable({looking.store.path(table)!r}).repair() and "
    )
    advice += "check again, which then says what to extract again"
    if name not in looking.listing:
        looking.fault(table, "the file is missing", name, advice)
    elif looking.listing[name] != told["size_bytes"]:
        what = f"the file has {looking.listing[name]:,} bytes, its log says {told['size_bytes']:,}"
        looking.fault(table, what, name, advice)
    else:
        rows = _rows(looking, name, advice)
        if rows is None or told.get("num_records") in (None, rows):
            return rows is not None
        looking.fault(table, f"the file has {rows:,} rows, its log says {told['num_records']:,}", name, advice)
    return False


def _contents(looking: _Check, files: _Files, schema: pa.Schema) -> pa.Table:
    """What a small table holds."""
    tables = [_column(looking, name, schema.names) for name in files.names]
    return pa.concat_tables([schema.empty_table(), *(_whole(table, schema) for table in tables if table is not None)])


def _whole(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with all columns of a schema; those that its version of this package did not know are null."""
    for column in schema:
        if column.nullable and column.name not in table.column_names:
            table = table.append_column(column, pa.nulls(table.num_rows, column.type))
    return table.select(schema.names).cast(schema)


# -- what the ledger says -----------------------------------------------------------------------------------------


def _check_ledger(looking: _Check, tables: dict[str, _Files]) -> None:
    """Signatures that the ledger has and the tables have not, and the other way round."""
    if not tables["extractions"].whole:
        return
    connection = duckdb.connect()
    connection.register("ledger", _contents(looking, tables["extractions"], schemas.EXTRACTIONS))
    connection.register("present", _present(looking, tables))
    for view in queries.definitions():
        if view.name in ("views.11_written", "views.12_lineage"):
            connection.execute(view.sql)
    if not looking.names("extractions") and any(tables[f"signatures/{card}"].names for card in schemas.CARD_BANDS):
        looking.fault("extractions", "the ledger has gone: no signature counts", "extractions", _RESTORE)
    for row in _ask(connection, "lost"):
        if tables[f"signatures/{row['card']}"].known:
            name = f"{row['aoi']} {row['year']} {row['ptype']}".rstrip()
            what = (
                f"scene {row['scene']} over {name} has {row['found']:,} signatures, its ledger says {row['recorded']:,}"
            )
            advice = f"{_RESTORE} the files that are missing; or extract this day with --again"
            looking.fault("extractions", what, f"signatures/{row['card']}", advice)
    for row in _ask(connection, "orphaned"):
        what = f"{row['signatures']:,} signatures of {row['extractions']} extractions that were never finished"
        advice = "run `cbm-lake compact` when nobody is writing: other readers of the table see them"
        looking.note(
            f"signatures/{row['card']}", f"{what}, about {row['bytes']:,} bytes", f"signatures/{row['card']}", advice
        )


def _check_settled(looking: _Check, lake: Lake) -> None:
    """Rows that readers of the tables alone see though they do not count, or do not see though they do."""
    if any(finding.severity == "fault" for finding in looking.findings):
        return  # of a damaged lake it cannot be known
    for card in lake.unsettled():
        what = "other readers of the table do not see exactly the rows that count: a command was killed or is running"
        advice = "run `cbm-lake compact` when nobody is writing; the views, and all commands, are right meanwhile"
        looking.note(f"signatures/{card}", what, f"signatures/{card}", advice)


def _present(looking: _Check, tables: dict[str, _Files]) -> pa.Table:
    """How many signatures of each extraction there are and were set aside, and about how many bytes the first take."""
    schema = pa.schema(
        [("card", "string"), ("extraction", "int64"), ("found", "int64"), ("aside", "int64"), ("bytes", "float64")]
    )
    counts: dict[tuple[str, int], list[float]] = {}

    def count(name: str) -> tuple[str, pa.Table | None]:
        return name, _column(looking, name, ["extraction"])

    for card, place in product(schemas.CARD_BANDS, ("signatures", "set_aside")):
        for name, column in looking.each(count, tables[f"{place}/{card}"].names):
            if column is None:
                continue
            for item in column["extraction"].value_counts().to_pylist():
                total = counts.setdefault((card, item["values"]), [0, 0, 0])
                total[place == "set_aside"] += item["counts"]
                total[2] += looking.listing[name] * item["counts"] / column.num_rows if place == "signatures" else 0
    rows = [(*key, int(found), int(aside), size) for key, (found, aside, size) in counts.items()]
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def _ask(connection: duckdb.DuckDBPyConnection, question: str) -> list[dict[str, Any]]:
    return cast(
        "list[dict[str, Any]]", connection.sql(queries.get(f"check.{question}").sql).to_arrow_table().to_pylist()
    )


# -- parcels, scenes, indexes -------------------------------------------------------------------------------------


def _check_parcels(looking: _Check) -> None:
    """Parcel files, and pixel indexes that belong to none."""
    files = looking.names("parcels", ".parquet")
    advice = f"{_RESTORE}, or delete it and load these parcels again"
    looking.each(lambda name: _rows(looking, name, advice, schemas.PARCELS.names), files)
    versions = {name.removesuffix(".parquet").rpartition("-")[2] for name in files}
    indexes = looking.names("indexes", ".parquet")
    looking.each(lambda name: _rows(looking, name, "delete it; the next extraction builds it again"), indexes)
    for name in indexes:
        if name.split("/")[1] not in versions:
            what = f"a pixel index of {looking.listing[name]:,} bytes whose parcels are not there"
            looking.note("indexes", what, name, "delete it")


def _check_scenes(looking: _Check) -> None:
    """Catalogue files, and scenes that stand in several of them with contradicting words."""
    columns = ["card", "id", "datetime", "reference", "acquisition", "boa_offset", "revision"]
    advice = f"{_RESTORE}, or delete it and catalogue these scenes again"
    files = looking.names("scenes", ".parquet")
    wanted = [name for name in schemas.SCENES.names if name not in _LATER]
    rows = looking.each(lambda name: _rows(looking, name, advice, wanted), files)
    schema = pa.schema([*(schemas.SCENES.field(name) for name in columns), ("file", pa.string())])
    tables = [schema.empty_table()]
    for name in (name for name, count in zip(files, rows, strict=True) if count is not None):
        table = _column(looking, name, columns)
        if table is not None:
            files_of = pa.array([name] * table.num_rows, pa.string())
            tables.append(_whole(table.append_column("file", files_of), schema))
    connection = duckdb.connect()
    connection.register("catalogued", pa.concat_tables(tables))
    for row in _ask(connection, "conflicts"):
        what = f"scene {row['id']} of card {row['card']} stands in several files with different {row['differing']}"
        advice = "the latest counts; what was extracted before it came keeps to what it knew then"
        looking.fault("scenes", what, row["files"][-1], advice)


def _check_leftovers(looking: _Check) -> None:
    """What writes that broke off have left behind."""
    for name in filter(_LEFTOVER.search, looking.listing):
        what = f"a draft of {looking.listing[name]:,} bytes: a write broke off, or is going on"
        looking.note(name.partition("/")[0], what, name, "delete it when nobody is writing")


# -- cubes --------------------------------------------------------------------------------------------------------


def _check_cubes(looking: _Check, slots: _Files) -> None:
    """Cubes as long as the list of their scenes, and blocks that can be decoded."""
    cubes: dict[str, list[str]] = {}
    for name in looking.names("cubes"):
        cubes.setdefault("/".join(name.split("/")[:3]), []).append(name)
    arrays = [array for cube, names in cubes.items() for array in _check_cube(looking, cube, names)]
    if not slots.whole:
        return
    connection = duckdb.connect()
    schema = pa.schema([("card", "string"), ("grid", "string"), ("band", "string"), ("length", "int64")])
    connection.register("arrays", pa.Table.from_pylist(arrays, schema=schema))
    connection.register("slots", _contents(looking, slots, schemas.SLOTS))
    for row in _ask(connection, "cubes"):
        cube = f"cubes/{row['card']}/{row['grid']}.zarr"
        missing = "the cube is missing" if row["band"] is None else f"band {row['band']} has {row['length']} places"
        what = f"{missing}, but {row['wanted']} scenes have a place in it"
        looking.fault("cubes", what, cube, f"{_RESTORE}; statistics are not concerned, chips and extracting again are")


def _check_cube(looking: _Check, cube: str, names: list[str]) -> list[dict[str, Any]]:
    """The bands of a cube and their lengths, after a look at its arrays and, on a deep look, at their blocks."""
    _, card, grid = cube.removesuffix(".zarr").split("/")
    bands = []
    for name in names:
        if name.endswith("/zarr.json"):
            path = name.removesuffix("zarr.json").removeprefix(cube).strip("/")
            length = _check_array(looking, cube, path, names)
            if length is not None:
                bands.append({"card": card, "grid": grid, "band": path, "length": length})
    return bands


def _check_array(looking: _Check, cube: str, path: str, names: list[str]) -> int | None:
    """The length in time of a band; None when it cannot be opened, or is no band."""
    try:
        found = zarr.open(zarr_store(looking.store.path(cube)), path=path, mode="r")
    except _UNREADABLE as error:
        advice = f"{_RESTORE}; or delete the cube and extract again: it is fetched from the scenes"
        looking.fault(
            "cubes",
            f"the array cannot be opened: {_reason(error)}",
            f"{cube}/{path}/zarr.json".replace("//", "/"),
            advice,
        )
        return None
    if not isinstance(found, zarr.Array) or found.ndim != 3:
        return None
    shards = [name for name in names if name.startswith(f"{cube}/{path}/c/")]
    looking.each(lambda name: _check_shard(looking, found, name), shards)
    return int(found.shape[0])


def _check_shard(looking: _Check, array: zarr.Array[Any], name: str) -> None:
    """Decode a shard, on a deep look; one without bytes is damaged anyhow."""
    slot, *corner = map(int, name.split("/")[-3:])
    _, *size = array.shards or array.chunks
    try:
        if not looking.listing[name]:
            raise OSError("it is empty")
        if looking.deep and slot < array.shape[0]:
            rows, columns = (slice(n * s, (n + 1) * s) for n, s in zip(corner, size, strict=True))
            array[slot, rows, columns]
    except _UNREADABLE as error:
        advice = "delete it; an extraction that needs it fetches it from the scene again"
        looking.fault("cubes", f"the block is damaged: {_reason(error)}", name, advice)
