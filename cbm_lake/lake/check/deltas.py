"""Integrity of the Delta tables: their logs, and the data files named there."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from cbm_lake.errors import SourceError
from cbm_lake.files import digests
from cbm_lake.lake.check.files import column, rows_of, whole
from cbm_lake.lake.check.logs import check_log
from cbm_lake.lake.check.looking import RESTORE, Looking, reason
from cbm_lake.storage.datafiles import DataFile
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import translated


@dataclass(frozen=True)
class Files:
    """The files of a Delta table that can be read."""

    names: list[str]
    is_logged: bool
    """Whether the list of files can be read from the log."""
    whole: bool
    """Whether all of them can be read."""


def check_table(looking: Looking, table: Table) -> Files:
    """A table's log, and the files that it names."""
    name = table.name
    data = {file for file in looking.names(name, ".parquet") if "/_delta_log/" not in file}
    ever = check_log(looking, name)
    files = _snapshot(looking, table)
    if files is None:
        looking.each(lambda file: rows_of(looking, file, RESTORE), sorted(data))
        absent = not looking.names(name)
        return Files([], is_logged=absent, whole=absent)
    sound = looking.each(lambda file: _check_file(looking, name, file, files[file]), files)
    former = data & ever - files.keys()
    looking.each(lambda file: rows_of(looking, file, f"{RESTORE}; only the lake as it was reads it"), sorted(former))
    unknown = data - ever - files.keys()
    if unknown:
        size = sum(looking.size(file) for file in unknown)
        problem = f"{len(unknown)} files of {size:,} bytes that the table never had: a write broke off"
        looking.note(name, problem, min(unknown), "delete them when nobody is writing")
    _note_undigested(looking, name, [file for file in files if digests.recorded(file) is None])
    return Files([file for file, good in zip(files, sound, strict=True) if good], is_logged=True, whole=all(sound))


def _note_undigested(looking: Looking, table: str, files: list[str]) -> None:
    """Say on a deep look of which files it cannot be known whether a bit has turned."""
    if files and looking.deep:
        problem = f"{len(files)} files of an earlier version have no digest: a bit that turned may go unnoticed"
        looking.note(table, problem, min(files), "run `cbm-lake compact`, which writes them anew")


def _snapshot(looking: Looking, table: Table) -> dict[str, DataFile] | None:
    """The files of a table by name, according to its log; None where the log is missing or unreadable."""
    try:
        opened = table.open()
        with translated("read", table.url):
            files = [] if opened is None else table.files(opened)
    except SourceError as error:
        if not any(finding.part == table.name and finding.severity == "fault" for finding in looking.findings):
            problem = reason(SourceError(error.reason))
            looking.fault(table.name, problem, f"{table.name}/_delta_log", error.advice or RESTORE)
        return None
    if opened is None:
        if any("/_delta_log/" not in file for file in looking.names(table.name, ".parquet")):
            looking.fault(table.name, "the table has files but no log", f"{table.name}/_delta_log", RESTORE)
        return None
    return {f"{table.name}/{file.relative}": file for file in files}


def _check_file(looking: Looking, table: str, name: str, file: DataFile) -> bool:
    """Whether a data file matches the entry of the log."""
    advice = (
        f"{RESTORE}; without one, delete it, run deltalake.DeltaTable({looking.store.path(table)!r}).repair() and "
        f"check again, which then says what to {_redo(table)}"
    )
    if not looking.has(name):
        looking.fault(table, "the file is missing", name, advice)
    elif looking.size(name) != file.size:
        problem = f"the file has {looking.size(name):,} bytes, its log says {file.size:,}"
        looking.fault(table, problem, name, advice)
    else:
        rows = rows_of(looking, name, advice)
        if rows is None or file.rows in (None, rows):
            return rows is not None
        looking.fault(table, f"the file has {rows:,} rows, its log says {file.rows:,}", name, advice)
    return False


def _redo(table: str) -> str:
    return "extract again" if table.startswith(("signatures/", "set_aside/", "extractions")) else "do again"


def contents(looking: Looking, files: Files, schema: pa.Schema) -> pa.Table:
    """The rows of a small table."""
    tables = [column(looking, name, schema.names) for name in files.names]
    return pa.concat_tables([schema.empty_table(), *(whole(table, schema) for table in tables if table is not None)])
