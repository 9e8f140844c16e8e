"""Parquet, Arrow IPC and CSV export, batch by batch."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from cbm_lake.lake.export import values
from cbm_lake.lake.export.formats import CSV, Rows, no_rows

log = logging.getLogger(__name__)

PLAIN: Final = {"compression": "zstd", "use_dictionary": True, "version": "2.6", "data_page_version": "1.0"}
"""Options of Parquet: the encodings PLAIN and dictionary alone, which every engine reads."""


class BatchWriter(Protocol):
    """What a writer of pyarrow has, of Parquet or of Arrow."""

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Add rows."""


def parquet(rows: Rows, path: Path) -> int:
    """Write Parquet; returns how many rows."""
    schema = with_descriptions(rows.schema, {})
    return _stream(rows, schema, lambda: pq.ParquetWriter(path, schema, **PLAIN))


def arrow(rows: Rows, path: Path) -> int:
    """Write an Arrow IPC file; returns how many rows."""
    return _stream(rows, rows.schema, lambda: pa.ipc.new_file(str(path), rows.schema))


def with_descriptions(schema: pa.Schema, metadata: dict[bytes, bytes]) -> pa.Schema:
    """The schema with the descriptions of its fields in the file's metadata too, where readers without Arrow look."""
    fields = {
        field.name: {key.decode(): text.decode() for key, text in field.metadata.items() if b":" not in key}
        for field in schema
        if field.metadata
    }
    described = {name: texts for name, texts in fields.items() if texts}
    if described:
        metadata = {**metadata, b"columns": json.dumps(described, ensure_ascii=False).encode()}
    return schema.with_metadata(metadata or None)


def _stream(rows: Rows, schema: pa.Schema, opened: Callable[[], AbstractContextManager[BatchWriter]]) -> int:
    count = 0
    with opened() as writer:
        for batch in rows.batches:
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
            count += batch.num_rows
    return count


def csv(rows: Rows, path: Path, *, neutralise: bool) -> int:
    """Write CSV in UTF-8; returns how many rows.

    Texts that a spreadsheet takes for formulas get an apostrophe before them, or are counted in a warning.
    """
    blank: set[str] = set()

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        blank.update(values.without_json(batch, nested=True))
        return as_text(batch, neutralise=neutralise)

    texts = rows.mapped(change)
    risky: dict[str, int] = {}
    count = 0
    with path.open("wb") as file:
        header = pa.RecordBatch.from_pylist([], schema=texts.schema)
        names = values.neutralised(pa.array(texts.schema.names)).to_pylist() if neutralise else texts.schema.names
        pyarrow.csv.write_csv(header.rename_columns(names), file)
        for batch in texts.batches:
            pyarrow.csv.write_csv(batch, file, pyarrow.csv.WriteOptions(include_header=False))
            count += batch.num_rows
            _count_formulas(batch, risky)
    values.warn_of_nulls(path.name, blank)
    if risky and not neutralise:
        columns = ", ".join(f"{name} ({number:,})" for name, number in risky.items())
        log.warning(
            "%s: texts of %s begin with = + - or @, which a spreadsheet takes for formulas; "
            "neutralise= writes them with an apostrophe",
            path.name,
            columns,
        )
    return count


def _count_formulas(batch: pa.RecordBatch, risky: dict[str, int]) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(column.type):
            number = pc.sum(values.formulas(column)).as_py()
            if number:
                risky[name] = risky.get(name, 0) + number


def text_table(rows: pa.Table, *, neutralise: bool = False) -> pa.Table:
    """A table as `as_text` has its batches."""
    schema = as_text(no_rows(rows.schema), neutralise=neutralise).schema
    return pa.Table.from_batches([as_text(batch, neutralise=neutralise) for batch in rows.to_batches()], schema)


def as_text(batch: pa.RecordBatch, *, neutralise: bool = False) -> pa.RecordBatch:
    """The columns as a CSV can hold them.

    Nested values are JSON, WKB is WKT, other bytes are hexadecimal digits.

    Args:
        batch: rows.
        neutralise: whether texts that a spreadsheet takes for formulas get an apostrophe before them.

    Raises:
        InvalidInputError: a column cannot be written; the message names it.
    """

    def change(field: pa.Field, column: pa.Array) -> pa.Array:
        text = values.text_of(field, column)
        return values.neutralised(text) if neutralise and pa.types.is_string(text.type) else text

    return values.replaced(batch, change, CSV.name)
