"""What a file of geometries is read to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyproj import CRS

Geometries: TypeAlias = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Features:
    """A file as it was read: its columns, and apart from them its geometries."""

    name: str
    """The path, as it was given."""
    columns: pa.Table
    geometries: Geometries
    """None where there is none."""
    crs: CRS | None
    notes: tuple[str, ...] = ()
    """What was guessed, substituted or damaged on the way, one sentence each."""


@dataclass(frozen=True)
class Opened:
    """A file that is there to be read."""

    name: str
    """The path, as it was given."""
    path: str
    """Where it is: the same, or in a temporary folder what was in an archive."""
    layer: str | None
    encoding: str | None
    """Python's name of the encoding that the user says."""
    key: str | None
    """The column that is needed."""
    numbered: bool = False
    """Whether the names of row numbers stand for those of any file."""


def coordinate_system(given: Any) -> CRS | None:
    """A file's coordinate system; None for the "undefined" one that a GeoPackage without any carries."""
    crs = CRS.from_user_input(given) if given else None
    return None if crs is None or crs.is_engineering else crs


def without(table: pa.Table, *numbers: int | None) -> pa.Table:
    """The table without the columns at some positions: two columns may have one name."""
    return table.select([number for number in range(table.num_columns) if number not in numbers])
