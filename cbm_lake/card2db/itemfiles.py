"""Reads STAC-GeoParquet and NDJSON item files from disk, web servers or object stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import parquet

from cbm_lake.errors import SourceError
from cbm_lake.files.documents import load_json
from cbm_lake.storage.ranges import open_bytes
from cbm_lake.storage.stores import is_distant, redacted

_LINES: Final = (".ndjson", ".jsonl", ".geojsonl")


def holds_lines(path: str) -> bool:
    """Whether a file name is that of newline-delimited items."""
    return urlsplit(path).path.lower().endswith(_LINES)


def from_lines(path: str) -> Iterator[dict[str, Any]]:
    """Read the items of a newline-delimited JSON file.

    Raises:
        SourceError: it cannot be read, or a line is not JSON.
    """
    for number, line in enumerate(_content(path).decode("utf-8", "replace").splitlines(), 1):
        if line.strip():
            try:
                yield load_json(line)
            except ValueError as error:
                label = f"line {number} of {redacted(path)}"
                raise SourceError(f"{label} is not JSON ({error}); mend it or leave it out") from error


def from_parquet(path: str) -> Iterator[dict[str, Any]]:
    """Read the items of a STAC-GeoParquet file, or of a folder of them.

    Raises:
        SourceError: it cannot be read or is no STAC-GeoParquet.
    """
    from stac_geoparquet.arrow import stac_table_to_items

    try:
        yield from stac_table_to_items(parquet.read_table(pa.BufferReader(_content(path)) if "://" in path else path))
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise SourceError(
            f"{redacted(path)} cannot be read as STAC-GeoParquet ({reason}); give a file of STAC items"
        ) from error


def _content(path: str) -> bytes:
    """Read a whole file.

    Raises:
        SourceError: it is missing or out of reach.
    """
    try:
        if is_distant(path):
            file = open_bytes(path)
            return file.read(0, file.size)
        return Path(path).read_bytes()
    except SourceError as error:
        reason = error.reason.removeprefix("raster ")
        raise SourceError(f"{reason}; check the address and the credentials of its server") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}; check the path") from error
