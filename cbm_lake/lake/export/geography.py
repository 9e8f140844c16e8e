"""Export of rows with geometries: detection of their coordinate systems, spooling, and reprojection into one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import CRSError, ProjError

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.geo.geoparquet import SIDES
from cbm_lake.geo.reprojection import transformer
from cbm_lake.lake.export.formats import Format, Rows, rows

log = logging.getLogger(__name__)

BATCH: Final = 20_000
"""Rows that are in memory at once."""
_DEGREES: Final = 4326
_GEOMETRIES: Final = {"geometry": "epsg", "footprint": None}
"""Columns that hold WKB, and the column that says their coordinate system; none means EPSG:4326."""
_WKB: Final = ("blob", "geometry")

_NAMES: Final = (
    *("Point", "LineString", "LineString", "Polygon"),
    *("MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection"),
)
"""Geometry types by shapely's type number; a ring (2) is a line."""


Shapes = NDArray[np.object_]
Change: TypeAlias = Callable[[pa.RecordBatch], pa.RecordBatch]
"""A transformation of a batch of rows."""


def geometry_columns(relation: duckdb.DuckDBPyRelation) -> list[str]:
    """The columns of geometries, the primary one first."""
    types = dict(zip(relation.columns, relation.types, strict=True))
    usual = [name for name in _GEOMETRIES if name in types and types[name].id in _WKB]
    return usual + [name for name, type_ in types.items() if type_.id == "geometry" and name not in usual]


@dataclass(frozen=True)
class Layer:
    """Rows on disk, whose geometries are read in one coordinate system, as often as they are needed."""

    file: Path
    """Arrow IPC."""
    schema: pa.Schema
    json_columns: frozenset[str]
    geometry: str
    system: str | None
    """The column that says the coordinate system of each geometry."""
    codes: tuple[int | str | None, ...]
    """What that column has."""
    target: int | str | None
    """The coordinate system in which the geometries are read."""
    rows: int

    @property
    def crs(self) -> pyproj.CRS:
        """The coordinate system in which the geometries are read."""
        return crs_of(self.target if self.target is not None else _DEGREES)

    @property
    def moves(self) -> bool:
        """Whether some geometries are in another system than they are read in."""
        return any(code != self.target for code in self.codes)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows."""
        for batch in _read(self.file):
            yield self._located(batch) if self.moves else batch

    def _located(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        shapes = shapely.from_wkb(batch.column(self.geometry).to_numpy(zero_copy_only=False))
        codes = np.array(_codes(batch, self.system), object)
        for code in {code for code in codes.tolist() if code not in (None, self.target)}:
            shapes[codes == code] = _moved(shapes[codes == code], code, self.target)
        batch = _set(batch, self.geometry, pa.array(shapely.to_wkb(shapes), pa.binary()))
        if self.system is not None:
            batch = _set(batch, self.system, _relabelled(batch.column(self.system), self.target))
        return _boxed(batch, shapes)


def layer(
    relation: duckdb.DuckDBPyRelation, kind: Format, draft: Path, change: Change | None, *, degrees: bool = False
) -> Layer:
    """The rows of a relation on disk, in types that the format holds.

    Args:
        relation: rows with a geometry.
        kind: the format.
        draft: the file to be written, beside which the rows are spooled.
        change: what is done to every batch, or None.
        degrees: whether the geometries are to be in EPSG:4326, as GeoJSON has them.

    Raises:
        InvalidInputError: a column cannot be written, or the coordinate system of a geometry is unknown.
    """
    geometry = geometry_columns(relation)[0]
    system = _GEOMETRIES.get(geometry, "epsg")
    system = system if system in relation.columns else None
    source = rows(relation, kind, BATCH, geometry)
    source = source.mapped(change) if change else source
    spool = draft.with_name("spool")
    codes, count = _spooled(source, spool, geometry, system)
    target = _target(codes, degrees=degrees)
    return Layer(spool, source.schema, source.json_columns, geometry, system, codes, target, count)


def _target(codes: tuple[int | str | None, ...], *, degrees: bool) -> int | str:
    stated = [code for code in codes if code is not None]
    for code in stated:
        crs_of(code)
    if degrees or not stated:
        return _DEGREES
    if len(codes) > 1:
        log.warning(
            "the geometries are in several coordinate systems (%s); they are written in EPSG:4326", some(stated)
        )
        return _DEGREES
    return stated[0]


def _spooled(source: Rows, file: Path, geometry: str, system: str | None) -> tuple[tuple[int | str | None, ...], int]:
    """Write the rows to disk; which systems they name, and how many rows there are."""
    codes: set[int | str | None] = set()
    count = 0
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(str(file), source.schema, options=options) as writer:
        for batch in source.batches:
            codes |= _checked_codes(batch, geometry, system)
            writer.write_batch(batch)
            count += batch.num_rows
    return tuple(sorted(codes, key=str)), count


def _read(file: Path) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(file)) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def _checked_codes(batch: pa.RecordBatch, geometry: str, system: str | None) -> set[int | str | None]:
    """The systems of the geometries of a batch; of those without one the coordinates have to be degrees."""
    present = pc.is_valid(batch.column(geometry))
    shapes = _parsed(batch.column(geometry).to_numpy(zero_copy_only=False), geometry)
    if system is None:
        _check_degrees(shapes, geometry)
        return {None}
    codes = _codes(batch, system)
    alone = np.array([code is None for code in codes], bool) & present.to_numpy(zero_copy_only=False)
    if alone.any():
        _check_degrees(shapes[alone], geometry)
    return {code for code, there in zip(codes, present.to_pylist(), strict=True) if there}


def _parsed(wkb: Shapes, name: str) -> Shapes:
    try:
        return np.asarray(shapely.from_wkb(wkb))
    except (shapely.errors.ShapelyError, NotImplementedError) as error:
        raise InvalidInputError(
            f"column {name} holds bytes that are no WKB, or curves; give it another name by `as`"
        ) from error


def _codes(batch: pa.RecordBatch, system: str | None) -> list[int | str | None]:
    if system is None:
        return [None] * batch.num_rows
    return [_code(value) for value in batch.column(system).to_pylist()]


def _code(value: object) -> int | str | None:
    text = "" if value is None else str(value).strip()
    number = text.upper().removeprefix("EPSG:").removesuffix(".0")
    return int(number) if number.isdecimal() else text or None


def crs_of(code: int | str) -> pyproj.CRS:
    """The coordinate system of an EPSG or ESRI code, or of a text that names or describes one (WKT, PROJJSON).

    Raises:
        InvalidInputError: there is none.
    """
    authorities = [f"EPSG:{code}", f"ESRI:{code}"] if isinstance(code, int) else [code]
    for text in authorities:
        try:
            return pyproj.CRS.from_user_input(text)
        except CRSError:
            continue
    raise InvalidInputError(f"epsg {code!s:.60} is no coordinate system; correct it in the statement")


def _moved(shapes: Shapes, code: int | str, target: int | str | None) -> Shapes:
    source = crs_of(code)
    try:
        way = transformer(code if isinstance(code, int) else source, target)
        moved = transformed(shapes, lambda xy: np.column_stack(way.transform(*xy.T)))
    except ProjError as error:
        raise InvalidInputError(
            f"no way leads from {source.name} to EPSG:{target}; select the geometries apart"
        ) from error
    lost = ~np.isfinite(shapely.bounds(moved)).all(axis=1) & np.isfinite(shapely.bounds(shapes)).all(axis=1)
    if lost.any():
        raise InvalidInputError(
            f"{lost.sum()} geometries lie outside of {source.name}; correct their coordinate system"
        )
    return moved


def transformed(shapes: Shapes, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Shapes:
    """Geometries with transformed x and y; z is unchanged.

    Args:
        shapes: geometries, of two dimensions and of three.
        change: maps (n, 2) coordinates to (n, 2) coordinates.
    """
    changed = shapes.copy()
    deep = shapely.has_z(shapes)
    changed[~deep] = shapely.transform(shapes[~deep], change)
    changed[deep] = shapely.transform(
        shapes[deep], lambda xyz: np.column_stack([change(xyz[:, :2]), xyz[:, 2]]), include_z=True
    )
    return changed


def _check_degrees(shapes: Shapes, name: str) -> None:
    """Refuse geometries of which a coordinate is off the globe; geometries without any count as well."""
    west, south, east, north = shapely.total_bounds(shapes)
    if west < -180 or south < -90 or east > 180 or north > 90:
        raise InvalidInputError(
            f"these outlines (column {name}) are not in degrees, and no epsg says their coordinate system; "
            "select epsg too, which names it"
        )


def _set(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    index = batch.schema.get_field_index(name)
    return batch.set_column(index, batch.schema.field(index), column.cast(batch.schema.field(index).type))


def _relabelled(column: pa.Array, target: int | str | None) -> pa.Array:
    """The codes of geometries that are in another system now."""
    text = f"EPSG:{target}" if pa.types.is_string(column.type) else target
    return pa.array([None if value is None else text for value in column.to_pylist()])


def _boxed(batch: pa.RecordBatch, shapes: Shapes) -> pa.RecordBatch:
    """The batch with the boxes of other geometries, where it has boxes."""
    if not has_boxes(batch.schema):
        return batch
    kind = batch.schema.field("bbox").type
    bounds = dict(zip(SIDES, shapely.bounds(shapes).T, strict=True))
    sides = [pa.array(bounds[side.name], side.type, from_pandas=True) for side in kind]
    absent = pa.array(~np.isfinite(shapely.bounds(shapes)).all(axis=1))
    boxes = pa.StructArray.from_arrays(sides, fields=list(kind), mask=absent)
    return batch.set_column(batch.schema.get_field_index("bbox"), batch.schema.field("bbox"), boxes)


def has_boxes(schema: pa.Schema) -> bool:
    """Whether column bbox holds the box of each geometry."""
    if "bbox" not in schema.names:
        return False
    kind = schema.field("bbox").type
    return pa.types.is_struct(kind) and sorted(side.name for side in kind) == sorted(SIDES)


def kinds_of(shapes: Shapes) -> set[str]:
    """The types of geometries as GeoParquet and GDAL call them: Polygon, MultiPolygon Z, …"""
    present = shapes[~shapely.is_missing(shapes)]
    pairs = set(zip(shapely.get_type_id(present).tolist(), shapely.has_z(present).tolist(), strict=True))
    return {_NAMES[number] + " Z" * deep for number, deep in pairs}
