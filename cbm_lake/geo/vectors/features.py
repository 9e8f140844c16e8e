"""`Features`: the contents of a vector file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.errors import ShapelyError

from cbm_lake.errors import SourceError

Geometries: TypeAlias = NDArray[np.object_]
_PORTION: Final = 1 << 15
"""Geometries that are Python's bytes at the same time."""


def of_wkb(values: pa.ChunkedArray) -> Geometries:
    """Decode WKB, closing rings; None for invalid WKB or rings of fewer than three points."""
    shapes = np.empty(len(values), object)
    for start in range(0, len(values), _PORTION):
        wkb = values.slice(start, _PORTION).to_numpy(zero_copy_only=False)
        shapes[start : start + _PORTION] = shapely.from_wkb(wkb, on_invalid="fix")
    return shapes


@dataclass(frozen=True, eq=False)
class Features:
    """Attributes and geometries of a vector file."""

    name: str
    """The path, as it was given."""
    columns: pa.Table
    stored: Geometries | pa.ChunkedArray
    """Geometries as a WKB column, null where missing, in a fifth of the memory of decoded ones."""
    crs: CRS | None
    notes: tuple[str, ...] = ()
    """What was guessed, substituted or damaged on the way, one sentence each."""

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def geometries(self) -> Geometries:
        """All geometries, decoded; errors as of `decoded`."""
        return self.decoded(0, len(self))

    def decoded(self, start: int, stop: int) -> Geometries:
        """Decode the geometries of some rows, closing rings; None where missing.

        Raises:
            SourceError: they cannot be decoded.
        """
        if isinstance(self.stored, np.ndarray):
            return self.stored[start:stop]
        try:
            return of_wkb(self.stored.slice(start, stop - start))
        except (ShapelyError, NotImplementedError) as error:
            raise SourceError(
                f"{self.name} cannot be read ({error}); check the file or convert it to GeoPackage"
            ) from error

    def chunks(self) -> list[pa.Array | Geometries]:
        """Decode geometries in chunks, to limit memory."""
        return list(self.stored.chunks) if isinstance(self.stored, pa.ChunkedArray) else [self.stored]

    def without_geometries(self) -> Features:
        """A copy without geometries, so that their memory can be released."""
        return replace(self, stored=np.empty(0, object))


@dataclass(frozen=True)
class Opened:
    """A vector file that is ready to be read."""

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
    """Whether the file supports GDAL's names of row numbers."""


def coordinate_system(description: object) -> CRS | None:
    """Parse a file's coordinate system; None for the "undefined" one of a GeoPackage."""
    crs = CRS.from_user_input(description) if description else None
    return None if crs is None or crs.is_engineering else crs


def without(table: pa.Table, *numbers: int | None) -> pa.Table:
    """Drop columns by position, since two columns may share a name."""
    return table.select([number for number in range(table.num_columns) if number not in numbers])
