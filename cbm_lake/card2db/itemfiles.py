"""Files that hold many STAC items: STAC-GeoParquet, and JSON lines (NDJSON); here, on a web server or in a bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pyarrow as pa
from obstore.exceptions import BaseError
from obstore.store import from_url
from pyarrow import parquet

from cbm_lake import access, s3files
from cbm_lake.errors import SourceError

_LINES: Final = (".ndjson", ".jsonl", ".geojsonl")


def holds_lines(path: str) -> bool:
    """Whether a file holds one item per line, by its name."""
    return urlsplit(path).path.lower().endswith(_LINES)


def from_lines(path: str) -> Iterator[dict[str, Any]]:
    """The items of a file with one in each line.

    Raises:
        SourceError: it cannot be read, or a line is not JSON.
    """
    for number, line in enumerate(_content(path).decode("utf-8", "replace").splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise SourceError(f"line {number} of {path} is not JSON ({error}); mend it or leave it out") from error


def from_parquet(path: str) -> Iterator[dict[str, Any]]:
    """The items of a STAC-GeoParquet file, or of all such files in a folder.

    Raises:
        SourceError: it cannot be read or is no STAC-GeoParquet.
    """
    from stac_geoparquet.arrow import stac_table_to_items

    try:
        yield from stac_table_to_items(parquet.read_table(pa.BufferReader(_content(path)) if "://" in path else path))
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise SourceError(f"{path} cannot be read as STAC-GeoParquet ({reason}); give a file of STAC items") from error


def _content(path: str) -> bytes:
    """All of a file.

    Raises:
        SourceError: it is missing or out of reach.
    """
    try:
        if access.is_remote(path):
            with s3files.filesystem(path).open_input_file(path.removeprefix(access.SCHEME)) as file:
                return bytes(file.read())
        if "://" in path:
            folder, _, name = path.rpartition("/")
            options: Any = {"allow_http": True, "timeout": "60s"}
            return bytes(from_url(folder, client_options=options).get(name).bytes())
        return Path(path).read_bytes()
    except (OSError, BaseError) as error:
        raise SourceError(f"{path} cannot be read: {access.explained(error)}; check the address") from error
