"""Features chosen by box, filter and order from rows of one moment, so that their pages fit together.

A page names the state of the rows that it was cut from; the next one is cut from the same, whatever is written to the
lake in between. Selections of which pages remain are kept for a while; one that is no longer kept is made again where
the rows are still the same, and refused where they are not.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import duckdb
import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from fastapi import HTTPException, Request
from pyproj import CRS

from cbm_lake.errors import InvalidInputError
from cbm_lake.geo.areas import DEGREES, Area
from cbm_lake.geo.geoparquet import primary_column
from cbm_lake.geo.reprojection import CrsLike, reprojected
from cbm_lake.lake import queries
from cbm_lake.server import cql2
from cbm_lake.server.cql2 import Condition, Kind, Queryables, Tree
from cbm_lake.server.state import state_of

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Box: TypeAlias = tuple[float, float, float, float]
"""West, south, east, north in degrees."""
Places: TypeAlias = npt.NDArray[np.int64]
"""Numbers of rows."""
Shapes: TypeAlias = npt.NDArray[np.object_]
Rows: TypeAlias = "pa.Table | pa.RecordBatch"
_MOST: Final = 512_000_000
"""Bytes of the selections that are kept."""
_MANY: Final = 256
"""Selections that are kept."""
_GONE: Final = "these features have changed since the first page, and what they were is not kept any more; begin again"


@dataclass(frozen=True)
class Wanted:
    """Which features, in which order."""

    box: Box | None = None
    filter: Tree = None
    """None is all."""
    sort: tuple[tuple[str, bool], ...] = ()
    """Properties, and whether each is descending; features that are equal in them are in the order of identifiers."""

    @property
    def key(self) -> bytes:
        """The same for the same wish.

        Raises:
            InvalidInputError: the filter is nested too deep, or has a number or text that none can have.
        """
        try:
            return orjson.dumps([self.box, self.filter, self.sort], option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError as error:
            raise InvalidInputError(f"the filter cannot be read: {error}") from error


@dataclass(frozen=True, eq=False)
class Selection:
    """The features of one wish."""

    state: str
    """Of the rows that they were chosen from."""
    rows: pa.Table
    """With `geometry`."""
    places: Places
    """Which rows, in their order."""

    @property
    def total(self) -> int:
        """How many features."""
        return len(self.places)

    def cut(self, offset: int, limit: int) -> pa.Table:
        """The rows of a page."""
        return self.rows.take(pa.array(self.places[offset : offset + limit]))


class Selections:
    """Those that are kept, the ones asked for last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cached: OrderedDict[Hashable, Selection] = OrderedDict()

    def get(self, name: str, wish: Wanted, state: str) -> Selection | None:
        """That of a collection's state, or None where it is not kept."""
        key = (name, wish.key, state)
        with self._lock:
            if key in self._cached:
                self._cached.move_to_end(key)
            return self._cached.get(key)

    def keep(self, name: str, wish: Wanted, selection: Selection) -> None:
        """Keep a selection whose pages go on."""
        with self._lock:
            self._cached[name, wish.key, selection.state] = selection
            self._cached.move_to_end((name, wish.key, selection.state))
            while len(self._cached) > 1 and (len(self._cached) > _MANY or self._nbytes() > _MOST):
                self._cached.popitem(last=False)

    def _nbytes(self) -> int:
        tables = {id(one.rows): int(one.rows.nbytes) for one in self._cached.values()}
        return sum(tables.values()) + sum(one.places.nbytes for one in self._cached.values())


def selections_of(request: Request) -> Selections:
    """The selections of the application that answers a request."""
    return state_of(request).lasting(Selections, Selections)


def gone() -> HTTPException:
    """What is raised where the rows of earlier pages are not there any more."""
    return HTTPException(410, _GONE)


# -- choosing ---------------------------------------------------------------------------------------------------------


def conditions_of(wish: Wanted, queryables: Queryables) -> tuple[Condition, ...]:
    """The conditions of a wish that all have to hold, those without geometries first, for they cost less.

    Raises:
        InvalidInputError: the filter is wrong, or a property to sort by is none.
    """
    for name, _ in wish.sort:
        if name not in queryables or queryables[name].kind is Kind.GEOMETRY:
            sortable = ", ".join(one for one, of in queryables.items() if of.kind is not Kind.GEOMETRY)
            raise InvalidInputError(f"there is no property {name[:60]!r} to sort by; there are: {sortable}")
    if wish.filter is None:
        return ()
    whole, tree = cql2.compiled(wish.filter, queryables), wish.filter
    if not (whole.spatial and isinstance(tree, dict) and tree.get("op") == "and"):
        return (whole,)
    spatial = [bool(cql2.compiled(each, queryables).spatial) for each in tree["args"]]
    parts = ([each for each, has in zip(tree["args"], spatial, strict=True) if has is wants] for wants in (False, True))
    return tuple(cql2.compiled({"op": "and", "args": part}, queryables) for part in parts if part)


def matching(rows: Rows, wish: Wanted, conditions: Sequence[Condition]) -> Places:
    """The numbers of the rows that meet a wish, in the order of the rows; `geometry` is WKB.

    Raises:
        InvalidInputError: a condition cannot be worked out on these rows.
    """
    places: Places = np.arange(rows.num_rows)
    if rows.num_rows and wish.box is not None:
        places = np.flatnonzero(_related("intersects", shapely.box(*wish.box), _LazyShapes(rows)))
    for condition in conditions:
        if len(places):
            left = rows if len(places) == rows.num_rows else rows.take(pa.array(places))
            places = places[_fulfilling(left, condition, _LazyShapes(left))]
    return places


def ordered(rows: pa.Table, places: Places, keys: Sequence[tuple[str, bool]]) -> Places:
    """Row numbers by columns, of which True is descending; null comes last."""
    if not keys:
        return places
    table = rows.select([name for name, _ in keys]).take(pa.array(places))
    named = pa.table([table.column(number) for number in range(len(keys))], [str(n) for n in range(len(keys))])
    order = [(str(number), "descending" if down else "ascending") for number, (_, down) in enumerate(keys)]
    sorted_places: Places = places[pc.sort_indices(named, sort_keys=order).to_numpy()]
    return sorted_places


def select(batches: Iterable[pa.RecordBatch], wish: Wanted, queryables: Queryables, key: str) -> Selection:
    """Choose among rows that come in batches; their state is the content of what was chosen."""
    conditions = conditions_of(wish, queryables)
    selected = []
    for batch in batches:
        places = matching(batch, wish, conditions)
        selected.append(batch if len(places) == batch.num_rows else batch.take(pa.array(places)))
    if not selected:
        return Selection("empty", pa.table({"geometry": pa.array([], pa.binary())}), np.arange(0))
    rows = pa.Table.from_batches(selected)
    keys = [*((queryables[name].column, down) for name, down in wish.sort), (key, False)] if wish.sort else []
    return Selection(_digest(rows), rows, ordered(rows, np.arange(rows.num_rows), keys))


def _fulfilling(rows: Rows, condition: Condition, shapes: _LazyShapes) -> Places:
    plain = [field.name for field in rows.schema if field.name != "geometry"]
    table = rows.select(plain) if isinstance(rows, pa.Table) else pa.Table.from_batches([rows.select(plain)])
    if "geometry" in rows.schema.names:
        there = pc.is_valid(rows.column("geometry"))  # for IS NULL alone
        table = table.append_column("geometry", pc.if_else(there, there, pa.scalar(None, pa.bool_())))
    for test in condition.spatial:
        table = table.append_column(test.column, pa.array(_related(test.relation, test.shape, shapes)))
    table = table.append_column("row number", pa.array(np.arange(rows.num_rows)))
    with queries.translated(), _engine().cursor() as cursor:
        selected = cursor.from_arrow(table).filter(condition.expression).select(duckdb.ColumnExpression("row number"))
        matched: Places = np.sort(selected.to_arrow_table().column(0).to_numpy())
    return matched


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    """A connection that sees nothing but the rows that it is given."""
    settings: dict[str, Any] = {"enable_external_access": False, "threads": 2, "error_on_division_by_zero": False}
    connection = duckdb.connect(config=settings)
    connection.execute("set TimeZone = 'UTC'")
    return connection


def _digest(rows: pa.Table) -> str:
    """Of the content."""
    hashing = _Hashing()
    with pa.ipc.new_stream(pa.PythonFile(hashing, "w"), rows.schema) as writer:
        writer.write_table(rows)
    return hashing.digest.hexdigest()


class _Hashing(io.RawIOBase):
    """Hashes what is written to it."""

    def __init__(self) -> None:
        self.digest = hashlib.blake2b(digest_size=8)

    def writable(self) -> bool:
        return True

    def write(self, piece: ReadableBuffer) -> int:
        self.digest.update(piece)
        return memoryview(piece).nbytes


# -- geometries of rows -----------------------------------------------------------------------------------------------


class _LazyShapes:
    """The geometries of rows, read once where they are needed."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._shapes: Shapes | None = None

    def __call__(self) -> Shapes:
        if self._shapes is None:
            column = self.rows.column("geometry").to_numpy(zero_copy_only=False)
            self._shapes = np.asarray(shapely.from_wkb(column))
        return self._shapes


def _related(relation: str, shape: shapely.Geometry, shapes: _LazyShapes) -> npt.NDArray[np.bool_]:
    """Which rows' geometries have a relation to a geometry in degrees."""
    matched = np.zeros(shapes.rows.num_rows, bool)
    for places, crs in systems(shapes.rows):
        matched[places] = Area(shape).related(relation, shapes()[places], crs)
    return matched


def in_degrees(rows: Rows) -> Shapes:
    """The geometries of rows in degrees."""
    shapes = _LazyShapes(rows)().copy()
    for places, crs in systems(rows):
        shapes[places] = reprojected(shapes[places], crs, DEGREES)
    return shapes


def systems(rows: Rows) -> list[tuple[Places, CrsLike]]:
    """The rows of each coordinate system: that of the table's metadata, otherwise of the column epsg, or degrees."""
    everywhere: Places = np.arange(rows.num_rows)
    if primary_column(rows.schema) or "epsg" not in rows.schema.names or not rows.num_rows:
        return [(everywhere, crs_of(rows.schema))]
    codes = rows.column("epsg").to_numpy(zero_copy_only=False)
    return [(np.flatnonzero(codes == code), int(code)) for code in np.unique(codes)]


def crs_of(schema: pa.Schema) -> CRS:
    """The coordinate system that the metadata of a table say; degrees where they say none."""
    column = primary_column(schema)
    return CRS.from_user_input((column.crs if column else None) or DEGREES)
