"""Checks that a vector file written by GDAL is complete."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyogrio
from pyogrio.errors import DataSourceError


def check_whole(path: Path, rows: int, fields: int) -> None:
    """Check that a written file is complete: GDAL does not report write errors on close.

    Raises:
        DataSourceError: it does not.
    """
    info = pyogrio.read_info(path, force_feature_count=True)
    if info["features"] != rows or not _is_finished(path, rows, fields, info):
        raise DataSourceError(f"{path.name} is not whole after it was written")


def _has_last(path: Path, rows: int) -> bool:
    """Whether the last of the features announced in the header can be read."""
    try:
        return not rows or len(pyogrio.raw.read(path, columns=[], skip_features=rows - 1)[2]) == 1
    except ValueError:  # what pyogrio raises of a feature that it cannot pass over
        return False


def _is_finished(path: Path, rows: int, fields: int, info: Mapping[str, Any]) -> bool:
    """Whether the last part of the file is present."""
    if path.suffix == ".gpkg":
        return len(info["fields"]) == fields and bool(info["capabilities"]["fast_spatial_filter"])
    if path.suffix == ".geojson":
        return b"".join(path.read_bytes()[-9:].split()).endswith(b"]}")
    if path.suffix == ".fgb":
        return len(info["fields"]) == fields and _has_last(path, rows)
    with path.with_suffix(".dbf").open("rb") as file:
        number, begins, length = struct.unpack("<4xIHH", file.read(12))
    size = path.with_suffix(".dbf").stat().st_size
    return bool(len(info["fields"]) == fields and number == rows and size >= begins + number * length)
