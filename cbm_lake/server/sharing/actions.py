"""Answers of Delta Sharing line by line, in the format parquet, which all clients read, and in the format delta."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from cbm_lake.server.sharing.copies import Bound, Copy, File

Line = Mapping[str, object]
CAPABILITIES: Final = "delta-sharing-capabilities"
"""The header in which a client says which formats it reads, and the server which one it answers in."""
_FORMAT: Final = {"provider": "parquet", "options": {}}


def reads_delta_only(capabilities: str) -> bool:
    """Whether a client wants the format delta and nothing else."""
    for part in capabilities.lower().split(";"):
        name, _, values = part.partition("=")
        if name.strip() == "responseformat":
            return [value.strip() for value in values.split(",") if value.strip()] == ["delta"]
    return False


def protocol(*, delta: bool) -> Line:
    """What a reader has to know: nothing new."""
    version = {"deltaProtocol": {"minReaderVersion": 1, "minWriterVersion": 2}} if delta else {"minReaderVersion": 1}
    return {"protocol": version}


def metadata(identity: str, name: str, schema: str, copy: Copy | None = None, *, delta: bool) -> Line:
    """The columns of a table, and how large it is where that is known."""
    size = {} if copy is None else {"size": sum(file.size for file in copy.files), "numFiles": len(copy.files)}
    said = {
        "id": identity,
        "name": name,
        "format": _FORMAT,
        "schemaString": schema,
        "partitionColumns": [],
        "configuration": {},
    }
    if not delta:
        return {"metaData": {**said, **({} if copy is None else {"version": copy.number}), **size}}
    created = 0 if copy is None else copy.written
    return {"metaData": {"deltaMetadata": {**said, "createdTime": created}, **size}}


def files(
    copy: Copy, fitting: Iterable[File], address: Callable[[File], str], expires: int, *, delta: bool
) -> Iterable[Line]:
    """The files of a table with the addresses from which they are fetched until they end, in seconds since 1970."""
    for file in fitting:
        identity = f"{copy.folder.name}-{file.name}"
        said = {"id": identity, "expirationTimestamp": 1000 * expires}
        where = {"partitionValues": {}, "size": file.size, "stats": _stats(file)}
        if delta:
            add = {"path": address(file), **where, "modificationTime": copy.written, "dataChange": True}
            yield {"file": {**said, "deltaSingleAction": {"add": add}}}
        else:
            yield {"file": {**said, "url": address(file), **where}}


def encoded(lines: Iterable[Line]) -> bytes:
    """The lines as JSON."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _stats(file: File) -> str:
    """What a file has, as Delta writes it."""
    return json.dumps(
        {
            "numRecords": file.rows,
            "minValues": {name: _text(least) for name, (least, _) in file.bounds.items()},
            "maxValues": {name: _text(greatest) for name, (_, greatest) in file.bounds.items()},
            "nullCount": file.nulls,
        }
    )


def _text(value: Bound) -> str | int:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%fZ}"
    return value if isinstance(value, str | int) else value.isoformat()
