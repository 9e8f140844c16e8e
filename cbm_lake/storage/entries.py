"""Log entries of a Delta table: their actions, and how damage to them is detected.

Entries of this package carry their position and a digest, so that one that was cut, changed or moved is recognised; of
others it is known that an empty one, or one that is no JSON, is damaged.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from deltalake import DeltaTable, Schema

from cbm_lake.files import digests

Action: TypeAlias = dict[str, Any]
"""One line of an entry, by its kind: {"add": {...}}; its content is JSON."""
_ENGINE: Final = "cbm-lake"
_DIGEST: Final = "digest"
_POSITION: Final = "entry"
"""The field by which an entry at the position of another is recognised."""
_UNKNOWN: Final = "0" * 32
"""Placeholder of the digest while it is computed."""
_KINDS: Final = frozenset({"add", "cdc", "commitInfo", "domainMetadata", "metaData", "protocol", "remove", "txn"})
_PROTOCOL: Final = {"minReaderVersion": 1, "minWriterVersion": 2}


def version_of(name: str) -> int:
    """The version that an entry or a checkpoint of a log is of, by its name or path; -1 for another file."""
    stem = name.rpartition("/")[2].partition(".")[0]
    return int(stem) if stem.isdecimal() else -1


def position(table: str, version: int) -> str:
    """Where an entry belongs, as it says itself: extractions/12."""
    return f"{table}/{version}"


def damage(content: bytes, expected: str | None = None) -> str | None:
    """The damage of an entry; None where it is intact.

    Of an entry of this package any changed bit is noticed, and that it is another one, where it says which it is; of
    others' what is empty or no JSON.

    Args:
        content: the bytes.
        expected: the `position` where they stand.
    """
    if not content.strip():
        return "it is empty"
    try:
        actions = decoded(content)
    except (ValueError, UnicodeDecodeError):
        return "it is no JSON"
    if not all(isinstance(action, dict) and action.keys() <= _KINDS for action in actions):
        return "it has lines that are no actions"
    info: Action = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    if info.get("engineInfo") != _ENGINE and _DIGEST not in info:
        return None
    digest = str(info.get(_DIGEST, ""))
    blank = content.replace(digest.encode(), _UNKNOWN.encode(), 1) if digest else content
    if digests.computed(blank) != digest:
        return "it is cut or was changed"
    return (
        None if None in (expected, info.get(_POSITION)) or info[_POSITION] == expected else f"it is {info[_POSITION]}"
    )


def decoded(content: bytes) -> list[Action]:
    """The actions of an entry."""
    return [json.loads(line) for line in content.decode().split("\n") if line.strip()]


def creation(schema: Schema, partitions: Sequence[str], configuration: Mapping[str, str]) -> list[Action]:
    """The actions that make an empty table."""
    return [
        {"protocol": _PROTOCOL},
        {"metaData": _described(str(uuid.uuid4()), _now(), schema, partitions, configuration)},
    ]


def alteration(table: DeltaTable, schema: Schema, configuration: Mapping[str, str]) -> list[Action]:
    """The actions that add columns and properties to a table."""
    there = table.metadata()
    properties = {**there.configuration, **configuration}
    return [{"metaData": _described(str(there.id), there.created_time, schema, there.partition_columns, properties)}]


def added(path: str, size: int, partition: Mapping[str, str | None], statistics: str) -> Action:
    """That a file of rows comes, by its path in the table's folder."""
    return {
        "add": {
            "path": quote(path, safe="/="),
            "partitionValues": dict(partition),
            "size": size,
            "modificationTime": _now(),
            "dataChange": True,
            "stats": statistics,
        }
    }


def removed(path: str, size: int, partition: Mapping[str, str | None]) -> Action:
    """That a file of rows goes."""
    return {
        "remove": {
            "path": quote(path, safe="/="),
            "deletionTimestamp": _now(),
            "dataChange": True,
            "extendedFileMetadata": True,
            "partitionValues": dict(partition),
            "size": size,
        }
    }


def rearranging(actions: Iterable[Action]) -> list[Action]:
    """The same files that come and go, where together they have the same rows as before."""
    return [{kind: {**said, "dataChange": False} for kind, said in action.items()} for action in actions]


def numbered(name: str, number: int) -> Action:
    """That the commit is the one of that number among those of a name."""
    return {"txn": {"appId": name, "version": number, "lastUpdated": _now()}}


def _described(
    identity: str, made_at: int, schema: Schema, partitions: Sequence[str], configuration: Mapping[str, str]
) -> Action:
    """The content of a metaData action."""
    return {
        "id": identity,
        "name": None,
        "description": None,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema.to_json(),
        "partitionColumns": list(partitions),
        "createdTime": made_at,
        "configuration": dict(configuration),
    }


def encoded(actions: Iterable[Action], belongs: str) -> bytes:
    """The bytes of an entry with its position and its own digest, for which zeros stand while it is computed."""
    info = {
        "timestamp": _now(),
        "operation": "WRITE",
        "operationParameters": {"mode": "Append"},
        "engineInfo": _ENGINE,
        _DIGEST: _UNKNOWN,
        _POSITION: belongs,
        "txnId": str(uuid.uuid4()),
    }
    lines = [json.dumps(action, ensure_ascii=False) for action in [{"commitInfo": info}, *actions]]
    content = "".join(f"{line}\n" for line in lines).encode()
    return content.replace(_UNKNOWN.encode(), digests.computed(content).encode(), 1)


def advice(*, last: bool, beside: str = "") -> str:
    """Advice about a damaged entry.

    Args:
        last: whether there are none after it.
        beside: what must go together with it.
    """
    if last:
        too = f"together with {beside} " if beside else ""
        return f"delete it {too}and run the last command again: after a loss of power it was never reported as done"
    return (
        "restore it from a copy; or move it and all later entries away, then check again and redo what they had added"
    )


def _now() -> int:
    return int(time.time() * 1000)
