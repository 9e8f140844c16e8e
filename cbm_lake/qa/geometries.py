"""Batch measurements of parcel geometries: validity, area, duplicates and overlapping pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError

from cbm_lake.errors import InvalidInputError
from cbm_lake.geo.reprojection import transformer
from cbm_lake.qa.tablefiles import Shapes

Geometries = NDArray[np.object_]
Progress = Callable[[int, int], None]

BATCH: Final = 20_000
"""Geometries that are shapely objects at once; all others are WKB."""
NEIGHBOURHOOD: Final = 2_000
"""Geometries whose neighbours are looked for at once."""
PAIRS: Final = 20_000
"""Pairs that are intersected at once."""
SMALLEST: Final = 10.0
"""Square metres that two parcels may have in common."""

_EQUAL_AREA: Final = 3035
_DEGREES: Final = 4326
_POLYGONAL: Final = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)

STATES: Final = pa.schema(
    {
        "row": pa.int64(),
        "missing": pa.bool_(),
        "unreadable": pa.bool_(),
        "kind": pa.string(),
        "empty": pa.bool_(),
        "reason": pa.string(),
        "outside": pa.bool_(),
        "area": pa.float64(),
        "identity": pa.binary(),
    }
)
"""One row per geometry: is there none; can it not be read; its type unless polygonal; is it empty; why it is invalid,
null where it is valid; does EPSG:3035 not reach it; its area in m² in EPSG:3035; a hash of its coordinates."""


@dataclass(frozen=True)
class Measured:
    """Geometries with their measurements."""

    states: pa.Table
    """See STATES."""
    shapes: pa.LargeBinaryArray
    """WKB in EPSG:3035; null where there is no geometry with an area."""
    boxes: NDArray[np.float64]
    """Left, lower, right and upper edge of each in EPSG:3035, NaN where null."""
    sound: NDArray[np.bool_]
    """Valid polygons, also in EPSG:3035."""
    assumed: str | None
    """The coordinate system that was guessed, where the file named none."""


def measure(shapes: Shapes, progress: Progress | None = None) -> Measured:
    """Measure geometries: validity, area and identity.

    Args:
        shapes: as stored in the file; without coordinate system, degrees are EPSG:4326, other numbers EPSG:3035.
        progress: is called with how many are done and how many there are.

    Raises:
        InvalidInputError: the geometries name several coordinate systems, or no way leads from theirs to EPSG:3035.
    """
    total = len(shapes.values)
    done, to_equal_area, assumed = 0, None, None
    parts: list[tuple[dict[str, Any], pa.Array, NDArray[np.float64], NDArray[np.bool_]]] = []
    for chunk in _chunks(shapes.values):
        geometries, missing, unreadable = _decoded(chunk)
        if to_equal_area is None and not shapely.is_missing(geometries).all():
            crs, assumed = _crs(geometries, shapes.crs)
            to_equal_area = _transformer(crs)
        state = {"row": np.arange(done + 1, done + len(chunk) + 1), "missing": missing, "unreadable": unreadable}
        parts.append(_measured(state, shapely.force_2d(geometries), to_equal_area))
        done += len(chunk)
        if progress:
            progress(done, total)
    states = [pa.table(state, schema=STATES) for state, *_ in parts]
    return Measured(
        pa.concat_tables([STATES.empty_table(), *states]),
        pa.chunked_array([wkb for _, wkb, *_ in parts], pa.large_binary()).combine_chunks(),
        np.concatenate([np.empty((0, 4)), *(boxes for *_, boxes, _ in parts)]),
        np.concatenate([np.empty(0, bool), *(sound for *_, sound in parts)]),
        assumed,
    )


def overlaps(measured: Measured, progress: Progress | None = None) -> pa.Table:
    """Pairs of valid geometries that overlap by more than SMALLEST m², except for equal ones.

    Each pair is a row: row_a, row_b (numbers of the rows, the first is 1), area (m² in EPSG:3035) and kind, which is
    "in one piece", "in several pieces", or "contained" when one of them lies within the other.
    """
    identity = measured.states["identity"].combine_chunks().dictionary_encode()
    codes = identity.indices.fill_null(-1).to_numpy()
    order = _along_a_curve(measured, _first_of_each(codes, measured.sound))
    boxes = measured.boxes[order]
    # a diagonal has the same box as its parcel, and takes a tenth of the memory
    diagonals = shapely.linestrings(boxes.reshape(-1, 2, 2)) if len(boxes) else np.empty(0, object)
    tree = shapely.STRtree(diagonals)
    overlapping = []
    for start in range(0, len(order), NEIGHBOURHOOD):
        one, other = tree.query(diagonals[start : start + NEIGHBOURHOOD])
        one = one + start
        likely = (one < other) & (_common_box(boxes[one], boxes[other]) > SMALLEST)
        pairs = np.column_stack([one[likely], other[likely]])
        parts = (pairs[first : first + PAIRS] for first in range(0, len(pairs), PAIRS))
        overlapping += [_intersected(measured.shapes, order[part]) for part in parts]
        if progress:
            progress(min(start + NEIGHBOURHOOD, len(order)), len(order))
    return _of_all(pa.concat_tables([PAIRS_FOUND.empty_table(), *overlapping]), codes)


PAIRS_FOUND: Final = pa.schema({"row_a": pa.int64(), "row_b": pa.int64(), "area": pa.float64(), "kind": pa.string()})


# -- measuring -------------------------------------------------------------------------------------------------------


def _chunks(values: pa.ChunkedArray) -> Iterator[pa.Array]:
    for chunk in values.chunks:
        for start in range(0, len(chunk), BATCH):
            yield chunk.slice(start, BATCH)


def _decoded(chunk: pa.Array) -> tuple[Geometries, NDArray[np.bool_], NDArray[np.bool_]]:
    """Decoded geometries, mask of missing ones, mask of unreadable ones."""
    if pa.types.is_large_string(chunk.type):
        written = pc.utf8_trim_whitespace(chunk)
        missing = pc.fill_null(pc.equal(written, ""), fill_value=True).to_numpy(zero_copy_only=False)
        shapes = _from_text(written.to_numpy(zero_copy_only=False), missing)
    else:
        missing = pc.is_null(chunk).to_numpy(zero_copy_only=False)
        shapes = shapely.from_wkb(chunk.to_numpy(zero_copy_only=False), on_invalid="ignore")
    return shapes, missing, shapely.is_missing(shapes) & ~missing


def _from_text(written: Geometries, missing: NDArray[np.bool_]) -> Geometries:
    """Parse WKT, EWKT or hexadecimal WKB, preserving the SRID."""
    shapes: Geometries = np.full(len(written), None, object)
    texts = pa.array(written, pa.large_string(), mask=missing)
    parts = pc.extract_regex(texts, r"^(?i)(?:SRID\s*=\s*(?P<srid>\d+)\s*;)?(?P<wkt>(?s:.*))$")
    srid = pc.struct_field(parts, "srid").to_numpy(zero_copy_only=False)
    wkt = pc.struct_field(parts, "wkt").to_numpy(zero_copy_only=False)
    hexadecimal = pc.match_substring_regex(texts, "^[0-9A-Fa-f]{10,}$").to_numpy(zero_copy_only=False) == True  # noqa: E712 - null
    shapes[hexadecimal] = shapely.from_wkb(written[hexadecimal], on_invalid="ignore")
    shapes[~hexadecimal] = shapely.from_wkt(wkt[~hexadecimal], on_invalid="ignore")
    named = np.array([bool(number) for number in srid], bool) & ~shapely.is_missing(shapes)
    shapes[named] = shapely.set_srid(shapes[named], srid[named].astype(int))
    return shapes


def _crs(shapes: Geometries, named: CRS | None) -> tuple[CRS, str | None]:
    """Coordinate system of geometries, with the assumption if unnamed."""
    srids = np.unique(shapely.get_srid(shapes[~shapely.is_missing(shapes)]))
    srids = srids[srids > 0]
    if len(srids) > 1:
        raise InvalidInputError(
            f"the outlines are of several coordinate systems: {', '.join(map(str, srids))}; use one"
        )
    if len(srids):
        return _of_number(int(srids[0])), None
    if named is not None:
        return (named.sub_crs_list[0] if named.is_compound else named), None
    xmin, ymin, xmax, ymax = shapely.total_bounds(shapes)
    degrees = not (xmin < -180 or ymin < -90 or xmax > 180 or ymax > 90)  # also when all are empty
    return CRS.from_epsg(_DEGREES if degrees else _EQUAL_AREA), f"EPSG:{_DEGREES if degrees else _EQUAL_AREA}"


def _of_number(srid: int) -> CRS:
    try:
        return CRS.from_epsg(srid)
    except CRSError as error:
        raise InvalidInputError(f"the outlines have the unknown SRID {srid}; give an EPSG number") from error


def _transformer(crs: CRS) -> Callable[..., Any] | None:
    """Transformer to EPSG:3035; None if not needed."""
    target = CRS.from_epsg(_EQUAL_AREA)
    if crs.equals(target, ignore_axis_order=True):
        return None
    try:
        return transformer(crs, target).transform
    except ProjError as error:
        raise InvalidInputError(f"outlines in {crs.name} cannot be moved to EPSG:3035; reproject them first") from error


def _measured(
    state: dict[str, Any], shapes: Geometries, change: Callable[..., Any] | None
) -> tuple[dict[str, Any], pa.Array, NDArray[np.float64], NDArray[np.bool_]]:
    """States of a batch, WKB in EPSG:3035, boxes, and validity."""
    there = ~shapely.is_missing(shapes)
    types = shapely.get_type_id(shapes)
    polygonal = np.isin(types, _POLYGONAL)
    valid = shapely.is_valid(shapes)
    moved = shapes.copy() if change is None else shapely.transform(shapes, change, interleaved=False)
    boxes = shapely.bounds(moved)
    empty = shapely.is_empty(shapes)
    outside = there & ~empty & ~np.isfinite(boxes).all(axis=1)
    usable = polygonal & ~empty & ~outside
    moved[~usable] = None
    broken = there & ~valid
    reasons = np.full(len(shapes), None, object)
    reasons[broken] = shapely.is_valid_reason(shapes[broken])
    kinds = np.full(len(shapes), None, object)
    kinds[there & ~polygonal] = [shapely.GeometryType(kind).name for kind in types[there & ~polygonal]]
    area = np.where(usable | (polygonal & empty), shapely.area(moved), np.nan)
    area[polygonal & empty] = 0
    state |= {"kind": kinds, "empty": empty, "reason": reasons, "outside": outside}
    state |= {"area": pa.array(area, from_pandas=True), "identity": _identity(shapes)}
    sound = usable & valid & (valid if change is None else shapely.is_valid(moved))
    return state, pa.array(shapely.to_wkb(moved), pa.large_binary()), np.where(usable[:, None], boxes, np.nan), sound


def _identity(shapes: Geometries) -> list[bytes | None]:
    """Coordinate hash of each geometry; a polygon equals its single-part multipolygon."""
    single = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
    several = shapes.copy()
    several[single] = shapely.multipolygons(shapes[single][:, None]) if single.any() else []
    return [wkb and hashlib.blake2b(wkb, digest_size=16).digest() for wkb in shapely.to_wkb(several)]


# -- overlaps --------------------------------------------------------------------------------------------------------


def _first_of_each(codes: NDArray[np.int64], sound: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Rows of valid geometries, first of each identity: thousands may be copies of one."""
    places = np.flatnonzero(sound)
    return places[np.unique(codes[places], return_index=True)[1]]


def _along_a_curve(measured: Measured, places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Order along a space-filling curve."""
    if not len(places):
        return places
    xmin, ymin, xmax, ymax = measured.boxes[places].T
    centres = gpd.GeoSeries(shapely.points((xmin + xmax) / 2, (ymin + ymax) / 2))
    return places[np.argsort(centres.hilbert_distance().to_numpy(), kind="stable")]


def _common_box(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection area of two boxes: an upper bound for their parcels."""
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    return np.asarray(np.clip(sides, 0, None).prod(axis=1))


def _intersected(shapes: pa.LargeBinaryArray, pairs: NDArray[np.intp]) -> pa.Table:
    """Which pairs of geometries overlap by more than SMALLEST m²."""
    used, numbers = np.unique(pairs, return_inverse=True)
    measured = shapely.from_wkb(shapes.take(pa.array(used)).to_numpy(zero_copy_only=False))
    shapely.prepare(measured)
    a, b = measured[numbers.reshape(pairs.shape)].T
    # most neighbours only touch, which takes a fifth of the time of computing where
    inner = shapely.relate_pattern(a, b, "T********")
    pairs, a, b = pairs[inner], a[inner], b[inner]
    # a parcel within another is recognised by the other's index, however many vertices that has
    within = shapely.covers(a, b) | shapely.covers(b, a)
    common = np.where(shapely.area(a) < shapely.area(b), a, b)
    common[~within] = shapely.intersection(a[~within], b[~within])
    area = shapely.area(common)
    whole = within | (area >= np.minimum(shapely.area(a), shapely.area(b)) * (1 - 1e-9))  # but for rounding
    several = shapely.get_type_id(common) != shapely.GeometryType.POLYGON
    kind = np.where(whole, "contained", np.where(several, "in several pieces", "in one piece"))
    columns = [pairs.min(axis=1) + 1, pairs.max(axis=1) + 1, area, kind]
    return pa.table(columns, schema=PAIRS_FOUND).filter(pa.array(area > SMALLEST))


def _of_all(pairs: pa.Table, codes: NDArray[np.int64]) -> pa.Table:
    """Expand pairs of distinct geometries to all rows."""
    several = pa.table({"code": codes, "each": np.arange(1, len(codes) + 1)})
    for name in ("row_a", "row_b"):
        first = pairs.append_column("code", pa.array(codes[pairs[name].to_numpy() - 1]))
        joined = first.join(several, "code", join_type="inner").drop_columns(["code", name])
        pairs = joined.rename_columns({"each": name})
    a, b = pairs["row_a"], pairs["row_b"]
    columns = [pc.min_element_wise(a, b), pc.max_element_wise(a, b), pairs["area"], pairs["kind"]]
    return pa.table(columns, schema=PAIRS_FOUND).sort_by([("row_a", "ascending"), ("row_b", "ascending")])
