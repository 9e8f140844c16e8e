"""Geometries of parcel files: polygons only, reprojected to a coordinate system of the lake, and repaired."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.geo.vectors import Features, Geometries
from cbm_lake.geo.vectors.features import of_wkb

log = logging.getLogger(__name__)

EQUAL_AREA: Final = 3035
"""EPSG code of the European equal-area projection: areas, and the lake's coordinates where the file's do not serve."""
CHUNK: Final = 10_000
"""Geometries that are decoded at once."""
POLYGONAL: Final = {shapely.GeometryType.POLYGON: "Polygon", shapely.GeometryType.MULTIPOLYGON: "MultiPolygon"}
_DEGREES: Final = 4326
_EUROPE: Final = (
    (-32.0, 27.0, 45.0, 72.0),  # with the Canary Islands, Madeira, the Azores and Cyprus
    (-63.5, 14.0, -60.5, 18.5),  # Guadeloupe, Martinique, Saint-Martin
    (-55.0, 2.0, -51.0, 6.0),  # Guyane
    (45.0, -13.2, 45.5, -12.5),  # Mayotte
    (55.0, -21.6, 56.0, -20.7),  # La Réunion
)
"""Degrees within which the Union's parcels lie: west, south, east, north."""
_COLLECTION: Final = shapely.GeometryType.GEOMETRYCOLLECTION
_FARTHEST: Final = 1e9
"""Beyond this no coordinate is on the earth, in whatever unit: some projections take them for a place nevertheless."""
OUTSIDE: Final = ("lie outside the world", "wrong CRS? Give the right one by crs=")


Bounds: TypeAlias = NDArray[np.float64]
"""n by 4: xmin, ymin, xmax, ymax."""


class Refusals:
    """Collects refused rows over all chunks, so that the message counts and lists all of them."""

    def __init__(self, source: Features, ids: pa.Array) -> None:
        self._source, self._ids = source, ids
        self._rows: dict[tuple[str, str], list[NDArray[np.int64]]] = {}

    def note(self, start: int, bad: NDArray[np.bool_], problem: str, advice: str) -> bool:
        """Record the bad rows of a chunk that starts at row `start`; `check` lists them."""
        if bad.any():
            self._rows.setdefault((problem, advice), []).append(np.flatnonzero(bad) + start)
        return bool(bad.any())

    def check(self) -> None:
        """Raise InvalidInputError that lists the parcels of the first problem recorded."""
        for (problem, advice), parts in self._rows.items():
            rows = np.concatenate(parts)
            listed = some(map(repr, self._ids.take(pa.array(rows)).to_pylist()))
            raise InvalidInputError(f"{self._source.name}: {len(rows)} parcels {problem}: {listed}; {advice}")


def bounds_of(source: Features, ids: pa.Array) -> Bounds:
    """Bounding boxes of the geometries; refused where one is no polygon with coordinates."""
    refusals = Refusals(source, ids)
    boxes: list[Bounds] = []
    for start in range(0, len(source), CHUNK):
        geometries = source.decoded(start, start + CHUNK)
        missing = shapely.is_missing(geometries) | shapely.is_empty(geometries)
        if refusals.note(start, missing, "have no geometry, or none that can be read", _advice_of_missing(source)):
            continue
        other = ~np.isin(shapely.get_type_id(geometries), (*POLYGONAL, _COLLECTION))
        if refusals.note(start, other, "are no polygons", "give polygons or multipolygons only"):
            continue
        if not refusals.note(start, _is_infinite(geometries), *OUTSIDE):
            boxes.append(shapely.bounds(geometries))
    refusals.check()
    return np.concatenate(boxes)


def _advice_of_missing(source: Features) -> str:
    """What to do about rows without geometries; a spreadsheet may have cut them."""
    cut = "; a cell of a spreadsheet ends after 32,767 characters, so that long outlines are cut: give another format"
    sheet = source.name.lower().endswith((".xlsx", ".xls", ".ods"))
    return "delete these rows or draw their outlines" + cut * sheet


def source_crs(source: Features, bounds: Bounds, stated_crs: str | int | None) -> CRS:
    """Coordinate system of the file, or the stated one; refused if the coordinates contradict it."""
    try:
        crs = source.crs if stated_crs is None else CRS.from_user_input(stated_crs)
    except CRSError as error:
        raise InvalidInputError(
            f"crs={stated_crs!r} is no coordinate system; write it as EPSG:2154",
            plain=f"{stated_crs!r} is no coordinate system; write it as EPSG:2154",
        ) from error
    if crs is None:
        raise InvalidInputError(
            f"{source.name} does not say its coordinate system; give it by crs=, as EPSG:2154",
            plain=f"{source.name} does not say its coordinate system; save it with the right one",
        )
    if stated_crs is not None and source.crs is not None and not crs.equals(source.crs, ignore_axis_order=True):
        log.warning("%s says %s, but is read as %s", source.name, source.crs.name, crs.name)
    if crs.is_geocentric:
        raise InvalidInputError(
            f"{crs.name} counts from the earth's centre; give a geographic or projected one by crs=",
            plain=f"{crs.name} counts from the earth's centre; save {source.name} in a geographic or projected one",
        )
    _check_range(source.name, crs, bounds)
    _check_order(source.name, crs, bounds, sure=stated_crs is not None)
    return crs


def _check_range(name: str, crs: CRS, bounds: Bounds) -> None:
    """Refuse degrees in a projected system, and metres in a geographic one."""
    most = np.abs(bounds).max(axis=1)
    degrees, metres = most.max() <= 360, most.min() > 400
    looks = "degrees" if crs.is_projected and degrees else "metres" if crs.is_geographic and metres else ""
    if looks:
        raise InvalidInputError(
            f"{name} says {crs.name}, but its coordinates look like {looks}; give the right one by crs=",
            plain=f"{name} says {crs.name}, but its coordinates look like {looks}; save it with the right one",
        )


def _check_order(name: str, crs: CRS, bounds: Bounds, *, sure: bool) -> None:
    """Refuse x and y in each other's stead: outside of where the system is used, but inside of it when exchanged.

    Args:
        name: of the file.
        crs: coordinate system.
        bounds: of the parcels in it, n by 4.
        sure: whether the user names it; then parcels outside of Europe in a system of the whole world are accepted.
    """
    areas = _areas_of_use(crs)
    world = not areas
    west, south, east, north = np.median(bounds, axis=0)
    x, y = float(west + east) / 2, float(south + north) / 2
    areas = areas or _europe(crs)
    if not np.isfinite(x + y) or _inside(areas, x, y) or not _inside(areas, y, x):
        return
    where = "in Europe" if world else f"where {crs.name} is used"
    problem = f"{name}: the coordinates ({x:.6g}, {y:.6g}) do not lie {where}, but would if x and y were exchanged"
    if world and sure:
        log.warning("%s", problem)
        return
    advice = "exchange them in the file" + (f"; or give crs={crs.to_string()[:40]} if they are right" if world else "")
    raise InvalidInputError(f"{problem}; {advice}")


def _areas_of_use(crs: CRS) -> tuple[tuple[float, float, float, float], ...]:
    """Where a coordinate system is used, in its own units; nothing where that is the whole world or not known."""
    area = crs.area_of_use
    if area is None or area.east - area.west >= 300 or area.east < area.west:
        return ()
    west, south, east, north = _in_units_of(crs, (area.west, area.south, area.east, area.north))
    margin = 0.05 * max(east - west, north - south)
    bounds = (west - margin, south - margin, east + margin, north + margin)
    return (bounds,) if np.isfinite(bounds).all() else ()


def _europe(crs: CRS) -> tuple[tuple[float, float, float, float], ...]:
    """_EUROPE in the units of a coordinate system, without those parts that have no image in it."""
    if not (crs.is_geographic or crs.is_projected):
        return ()
    try:
        boxes = [_in_units_of(crs, box) for box in _EUROPE]
    except (CRSError, ProjError):  # which is said where the geometries are transformed
        return ()
    return tuple(box for box in boxes if np.isfinite(box).all())


def _in_units_of(crs: CRS, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The box round a box of degrees in the units of a coordinate system."""
    if not crs.is_projected:
        return box
    (moved,) = transform(np.array([shapely.segmentize(shapely.box(*box), 1.0)]), _DEGREES, crs)
    west, south, east, north = (float(side) for side in shapely.bounds(moved))
    return west, south, east, north


def _inside(areas: tuple[tuple[float, float, float, float], ...], x: float, y: float) -> bool:
    return any(west <= x <= east and south <= y <= north for west, south, east, north in areas)


def own_epsg(crs: CRS) -> int | None:
    """EPSG code of a projected coordinate system in metres, without vertical component."""
    flat = crs.sub_crs_list[0] if crs.is_compound else crs
    if not flat.is_projected or any(axis.unit_name != "metre" for axis in flat.axis_info):
        return None
    return flat.to_epsg()


def geometries_in(
    source: Features, chunks: list[pa.Array | Geometries], ids: pa.Array, crs: CRS, target: CRS
) -> tuple[list[pa.Array], int]:
    """Geometries in two dimensions, valid, in a coordinate system of the lake; and the number of repairs.

    Args:
        source: the file.
        chunks: its geometries, see Features.chunks; the list is empty afterwards, so that their memory is free.
        ids: of its rows.
        crs: its coordinate system.
        target: the lake's.

    Returns:
        WKB, in arrays of CHUNK rows: geometries of a whole country do not fit in memory as objects.

    Raises:
        InvalidInputError: one lies outside of that system, or encloses nothing.
    """
    flat = crs.sub_crs_list[0] if crs.is_compound else crs
    refusals = Refusals(source, ids)
    stored, repaired = [], 0
    for number, portion in enumerate(_portions(chunks)):
        start, geometries = number * CHUNK, np.asarray(shapely.force_2d(portion))
        if not flat.equals(target, ignore_axis_order=True):
            geometries = _moved(source, geometries, flat, target)
            if refusals.note(start, _is_infinite(geometries), *OUTSIDE):
                continue
        geometries, count = repair(geometries)
        advice = "draw them again or delete these rows"
        refusals.note(start, shapely.is_empty(geometries), "have outlines that enclose nothing", advice)
        stored.append(pa.array(shapely.to_wkb(geometries), pa.binary()))
        repaired += count
    refusals.check()
    return stored, repaired


def _portions(chunks: list[pa.Array | Geometries]) -> Iterator[Geometries]:
    """The geometries of chunks of any size, CHUNK at a time; each chunk is dropped from the list when it is begun."""
    pieces: list[pa.Array | Geometries] = []
    missing = CHUNK
    while chunks:
        chunk = chunks.pop(0)
        while len(chunk):
            pieces.append(chunk[:missing])
            chunk = chunk[missing:]
            missing -= len(pieces[-1])
            if not missing:
                yield _decoded(pieces)
                pieces, missing = [], CHUNK
    if pieces:
        yield _decoded(pieces)


def _decoded(pieces: list[pa.Array | Geometries]) -> Geometries:
    shapes = [piece if isinstance(piece, np.ndarray) else of_wkb(pa.chunked_array([piece])) for piece in pieces]
    return np.concatenate(shapes)


def _moved(source: Features, geometries: Geometries, crs: CRS, target: CRS) -> Geometries:
    try:
        return transform(geometries, crs, target)
    except (CRSError, ProjError) as error:
        problem = f"{source.name}: no way leads from {crs.name} to {target.name}"
        raise InvalidInputError(
            f"{problem}; give another by crs=", plain=f"{problem}; save it in another coordinate system"
        ) from error


def transform(geometries: Geometries, source: CRS | int, target: CRS | int) -> Geometries:
    """Reproject geometries vertex by vertex; infinite coordinates where the projection is undefined."""
    return np.asarray(reprojected(geometries, source, target))


def repair(geometries: Geometries) -> tuple[Geometries, int]:
    """Make polygons valid, and count the repairs; empty where a geometry encloses no area.

    Method "structure" keeps every lobe of a bow-tie, and what a geometry covers twice; the other one, "linework",
    would make holes of the latter.
    """
    broken = ~shapely.is_valid(geometries) | (shapely.get_type_id(geometries) == _COLLECTION)
    if not broken.any():
        return geometries, 0
    repaired = geometries.copy()
    repaired[broken] = _polygonal(shapely.make_valid(geometries[broken], method="structure", keep_collapsed=False))
    return repaired, int(broken.sum())


def comparable(wkb: pa.Array | pa.ChunkedArray, stored: int, epsg: int) -> tuple[Geometries, int]:
    """Stored geometries as they are compared with those of other sets: reprojected and valid; and the repairs.

    Args:
        wkb: geometries.
        stored: EPSG code of their coordinate system.
        epsg: that in which they are compared.
    """
    shapes = np.asarray(shapely.from_wkb(wkb.to_numpy(zero_copy_only=False)), dtype=object)
    return repair(np.asarray(reprojected(shapes, stored, epsg), dtype=object))


def _polygonal(geometries: Geometries) -> Geometries:
    """The geometries with the polygonal parts only of those that are collections."""
    mixed = shapely.get_type_id(geometries) == _COLLECTION
    for row in np.flatnonzero(mixed):
        parts = shapely.get_parts(shapely.get_parts(geometries[row]))  # collections may hold multipolygons
        geometries[row] = shapely.union_all(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    return geometries


def _is_infinite(geometries: Geometries) -> NDArray[np.bool_]:
    coordinates, row = shapely.get_coordinates(geometries, return_index=True)
    bad = np.zeros(len(geometries), bool)
    bad[row[~(np.abs(coordinates) <= _FARTHEST).all(axis=1)]] = True
    return bad
