"""The service's own endpoints, /v1/…: parcels, signatures, judgements as JSON lines, CSV, Arrow or Parquet, and SQL."""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from fastapi import APIRouter, Header, HTTPException, Query, Request
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from cbm_lake.errors import InvalidInputError
from cbm_lake.files import decimals
from cbm_lake.lake import queries
from cbm_lake.lake.export import as_text, json_rows
from cbm_lake.server.questions import CardName, Decision, Pid
from cbm_lake.server.security import Parcels, User
from cbm_lake.server.sqlbox import TooLargeError
from cbm_lake.server.sqldesk import Asking
from cbm_lake.server.state import State

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

router = APIRouter(prefix="/v1", tags=["lake"])
log = logging.getLogger(__name__)

_ARROW: Final = "application/vnd.apache.arrow.stream"
_PARQUET: Final = "application/vnd.apache.parquet"
_CSV: Final = "text/csv"
_KINDS: Final = {".arrow": _ARROW, ".parquet": _PARQUET, ".csv": _CSV, ".ndjson": "application/x-ndjson"}
"""What files of answers are, by their endings."""
_BATCH: Final = 10_000
"""Rows that are held in memory at once."""

Batches = Iterator[pa.RecordBatch]
Accept = Annotated[str, Header()]
Reader: TypeAlias = "pa.RecordBatchReader | _Reader"
"""A schema, and batches that come."""


@router.get("/parcels")
def parcels(
    declared: Parcels,
    geometry: Annotated[bool, Query(description="With the outlines, WKB in the area's own system.")] = False,
    accept: Accept = "application/json",
) -> Response:
    """All declared parcels of an area by their identifiers, as JSON lines, CSV, Arrow or Parquet by Accept."""
    lake, key = declared.state.lake, declared.parcels.params
    relation = lake.relation(queries.get("parcels.declared").sql, **key, outlines=geometry)
    return streamed(relation.to_arrow_reader(_BATCH), accept)


@router.get("/timeseries")
def time_series(declared: Parcels, pid: Pid, card: CardName = "s2", accept: Accept = "application/json") -> Response:
    """A parcel's statistics as wide rows, one per scene, as JSON lines, CSV, Arrow or Parquet by Accept."""
    key = declared.parcels.params
    rows = declared.state.lake.query(f"time_series.{card}", **key, pid=pid, bands=None)
    return streamed(rows, accept)


@router.get("/judgements")
def judgements(
    declared: Parcels,
    decision: Annotated[list[Decision] | None, Query(description="Some of what was decided.")] = None,
    scenario: Annotated[list[str] | None, Query(description="Empty is the declaration as a whole.")] = None,
    pid: Annotated[list[str] | None, Query(description="Identifiers of parcels.")] = None,
    history: Annotated[bool, Query(description="All that was ever decided, withdrawals too.")] = False,
    geometry: Annotated[bool, Query(description="With the outlines then, WKB in the system epsg.")] = False,
    accept: Accept = "application/json",
) -> Response:
    """What people decided of the lights of parcels, as JSON lines, CSV, Arrow or Parquet by Accept."""
    limits = {"decisions": decision, "scenarios": scenario, "pids": pid, "people": None}
    question = "cases.judged" if history else "cases.judgements"
    rows = declared.state.lake.query(question, **declared.parcels.params, **limits)
    return streamed(rows if geometry else rows.drop_columns(["geometry"]), accept)


class Asked(BaseModel):
    """A statement and its parameters."""

    statement: str = Field(max_length=20_000)
    params: dict[str, str | int | float | bool | list[str] | list[int] | None] = {}
    link: bool = Field(False, description="Answer with the link of a file, which can be fetched in parts.")


@router.post("/sql", responses={413: {"description": "The answer has more rows or bytes than one may have."}})
async def sql(
    request: Request, state: State, user: User, asked: Asked, accept: Accept = "application/json"
) -> Response:
    """The rows of one SELECT over the views of the lake, of the areas that the user may read: all of them, or none."""
    if state.desk is None:
        raise HTTPException(404, "SQL is not offered here; the administrator starts the server with --sql to allow it")
    log.info("sql by %s: %s %s", user.name, " ".join(asked.statement.split()), sorted(asked.params))
    question = Asking(user.name, None if user.admin else user.aois, asked.statement, asked.params)
    file: Path = await state.desk.answer(request, question, partial(_write, accept=accept))
    if asked.link:
        return JSONResponse({"link": state.results.link(file), "bytes": file.stat().st_size})
    return FileResponse(file, media_type=_KINDS[file.suffix], background=BackgroundTask(shutil.rmtree, file.parent))


def _write(schema: pa.Schema, batches: Batches, folder: Path, *, accept: str, most: int) -> Path:
    """Write an answer in the format that is accepted.

    Raises:
        TooLargeError: it has more bytes than that.
        InvalidInputError: the format has no form for a value of it.
    """
    extension, encoded = _format(accept)
    file, written = folder / f"answer{extension}", 0
    try:
        with file.open("wb") as stream:
            for piece in encoded(_Reader(schema, batches)):
                written += stream.write(piece)
                if written > most:
                    raise TooLargeError(
                        f"the answer has more than {most} bytes, the most that one answer may have; ask for parts of "
                        "it (order by …, limit … offset …), for fewer columns, or in another format"
                    )
    except (pa.ArrowException, OverflowError, TypeError, UnicodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidInputError(f"a column cannot be sent as {_KINDS[extension]}: {reason}; cast it to text") from error
    return file


class _Reader:
    """A schema, and batches that come."""

    def __init__(self, schema: pa.Schema, batches: Batches) -> None:
        self.schema, self._batches = schema, batches

    def __iter__(self) -> Batches:
        return self._batches


def streamed(rows: pa.Table | pa.RecordBatchReader, accept: str) -> Response:
    """Rows in the format that is accepted (Arrow, Parquet, CSV, else JSON lines), in batches as they come."""
    reader = (
        pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(_BATCH)) if isinstance(rows, pa.Table) else rows
    )
    extension, encoded = _format(accept)
    return StreamingResponse(encoded(reader), media_type=_KINDS[extension])


def _format(accept: str) -> tuple[str, Callable[[Reader], Iterator[bytes]]]:
    """The extension of the accepted format, and its writer."""
    if _ARROW in accept:
        return ".arrow", _arrow
    if _PARQUET in accept:
        return ".parquet", _parquet
    return (".csv", _csv) if _CSV in accept else (".ndjson", _json)


class _Pieces(io.RawIOBase):
    """What a writer writes, to be taken piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: ReadableBuffer) -> int:
        self._pieces.append(bytes(piece))
        self._written += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _arrow(reader: Reader) -> Iterator[bytes]:
    out = _Pieces()
    with pa.ipc.new_stream(pa.PythonFile(out, "w"), reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            yield out.take()
    yield out.take()


def _parquet(reader: Reader) -> Iterator[bytes]:
    out = _Pieces()
    with pq.ParquetWriter(pa.PythonFile(out, "w"), reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
            yield out.take()
    yield out.take()


def _csv(reader: Reader) -> Iterator[bytes]:
    first = True
    for batch in reader:
        out = io.BytesIO()
        pyarrow.csv.write_csv(as_text(batch), out, pyarrow.csv.WriteOptions(include_header=first))
        first = False
        yield out.getvalue()
    if first:
        yield (",".join(f'"{name}"' for name in reader.schema.names) + "\n").encode()


def _json(reader: Reader) -> Iterator[bytes]:
    import base64

    import orjson

    for batch in reader:
        named = batch.rename_columns(_distinct(batch.schema.names))
        rows = json_rows(decimals.written(named), lambda value: base64.b64encode(value).decode())
        lines = [orjson.dumps(row) for row in rows]
        yield b"\n".join([*lines, b""])


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of columns of which none is there twice, for an object loses one of two: a, a_1, as DuckDB writes them."""
    distinct: list[str] = []
    for name in names:
        others = (f"{name}_{number}" for number in count(1))
        free = (other for other in others if other not in distinct and other not in names)
        distinct.append(next(free) if name in distinct else name)
    return distinct
