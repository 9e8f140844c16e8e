"""Loads the parcels that farmers declared from a paying agency's file into the lake: `load`."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError

from cbm_lake import schemas, vectors
from cbm_lake.errors import InvalidInputError, some
from cbm_lake.lake import Lake, open_lake
from cbm_lake.reprojection import reprojected
from cbm_lake.vectors import Features, Geometries

log = logging.getLogger(__name__)

PID_NAMES: Final = ("id", "parcel_id", "parcelid", "pid", "gsa_par_id", "id_parcel")
"""Columns taken for the parcel's identifier when exactly one of them is there; in a fiboa file `id` wins."""
CROP_NAME_NAMES: Final = ("crop:name", "crop_name", "cropname", "ec_hcat_n")
"""Columns taken for the crop's name: the first that is there."""
CROP_CODE_NAMES: Final = ("crop:code", "crop_code", "cropcode", "code_cultu", "ec_hcat_c")
"""Columns taken for the crop's code: the first that is there."""

_EQUAL_AREA: Final = 3035
"""EPSG code of the European equal-area projection: areas, and the lake's coordinates where the file's do not serve."""
_DEGREES: Final = 4326
_POLYGONAL: Final = {shapely.GeometryType.POLYGON: "Polygon", shapely.GeometryType.MULTIPOLYGON: "MultiPolygon"}
_COLLECTION: Final = shapely.GeometryType.GEOMETRYCOLLECTION
_VIEW_NAMES: Final = ("pid", "crop_name", "crop_code", "area_m2", "aoi", "year", "ptype", "version")
"""Columns of the view `parcels` that are not in its files' schema."""


@dataclass(frozen=True)
class Loaded:
    """What `load` did."""

    aoi: str
    year: int
    ptype: str
    """Which of several parcel sets; "" is the main one."""
    version: str
    """Hash of the content: the same parcels always have the same version."""
    parcels: int
    repaired: int
    """Geometries that were invalid and have been mended."""
    area_ha: float
    """Sum of the parcels' areas, measured in EPSG:3035."""
    epsg: int
    """Coordinate system of the parcels in the lake."""
    new: bool
    """False when the very same parcels were in force already."""


def load(
    path: str | Path,
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    pid: str | None = None,
    crop_name: str | None = None,
    crop_code: str | None = None,
    layer: str | None = None,
    crs: str | int | None = None,
    lake: Lake | None = None,
) -> Loaded:
    """Make the polygons of a file the declared parcels of an area and year; nothing is written when any is refused.

    Args:
        path: shapefile (also in a .zip), GeoPackage, GeoJSON, FlatGeobuf, GeoParquet, or what else GDAL reads.
        aoi: name of the area: letters, digits, _ and -; kept in lower case.
        year: of the declaration.
        ptype: which of several parcel sets of that area and year; none is the main one.
        pid: column of the parcel's identifier, kept as text exactly as written; without it see PID_NAMES.
        crop_name: column of the crop's name; without it see CROP_NAME_NAMES.
        crop_code: column of the crop's code, kept as text; without it see CROP_CODE_NAMES.
        layer: which layer of a file that has several.
        crs: coordinate system ("EPSG:2154") of a file that names none, or a wrong one.
        lake: where to; without it the lake of the current workspace.

    Raises:
        SourceError: the file cannot be read, or the lake cannot be written.
        InvalidInputError: an argument is wrong, or the file holds parcels that cannot be told apart or have no area.
    """
    aoi, year, ptype = check_set(aoi, year, ptype)
    source = vectors.read(str(path), layer, key=pid)
    taken = _take_columns(source, pid, crop_name, crop_code)
    ids = _identifiers(source, taken["id"])
    found = _outlines(source, ids)
    lake = lake or open_lake()
    given = _source_crs(source, found, crs)
    epsg = lake.epsg(aoi) or _own_epsg(given) or _EQUAL_AREA
    outlines, repaired = _mend(source, ids, _reproject(source, ids, found, given, CRS.from_epsg(epsg)))
    attributes = {name: _text(source, column) for name, column in taken.items() if name != "id"}
    columns = _own_columns(source, ids, outlines, attributes, epsg)
    version = _version(columns)
    table = _in_order(_with_others(columns, source, set(taken.values())), outlines)
    table = table.replace_schema_metadata({"geo": json.dumps(_geo(outlines, epsg))})
    new = lake.add_parcels(aoi, year, ptype, version, table)
    log.info("%s: %d parcels of %s %d %s, version %s, new: %s", path, len(ids), aoi, year, ptype, version, new)
    area = float(pc.sum(columns["area"]).as_py())
    return Loaded(aoi, year, ptype, version, len(ids), repaired, area, epsg, new)


def check_set(aoi: str, year: int, ptype: str | None) -> tuple[str, int, str]:
    """What names a parcel set, as the lake keeps it.

    Raises:
        InvalidInputError: it cannot name one.
    """
    aoi, ptype = aoi.lower(), ptype or ""
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", aoi):
        raise InvalidInputError(f"aoi {aoi!r} cannot name an area; use letters, digits, _ and -, a letter first")
    if not re.fullmatch(r"[a-z0-9_]*", ptype):
        raise InvalidInputError(f"ptype {ptype!r} cannot name a parcel set; use small letters, digits and _ only")
    if ptype == "main":
        raise InvalidInputError("ptype 'main' is how the set without ptype is stored; leave ptype out")
    if not re.fullmatch(r"\d{4}", str(year)) or not 1980 <= int(year) <= 2100:
        raise InvalidInputError(f"year {year!r} is none of 1980 to 2100; give the year of the declaration")
    return aoi, int(year), ptype


# -- columns ---------------------------------------------------------------------------------------------------------


def _take_columns(source: Features, pid: str | None, crop_name: str | None, crop_code: str | None) -> dict[str, str]:
    """Which of the file's columns become id, crop:name and crop:code."""
    names = source.columns.column_names
    for option, name in {"pid": pid, "crop_name": crop_name, "crop_code": crop_code}.items():
        if name is not None and names.count(name) != 1:
            raise InvalidInputError(f"{source.name} has no column {name!r}; say {option}= one of: {', '.join(names)}")
    wanted = {
        "id": pid or _guess_pid(source),
        "crop:code": crop_code or _first(names, CROP_CODE_NAMES),
        "crop:name": crop_name or _first(names, CROP_NAME_NAMES),
    }
    return {ours: theirs for ours, theirs in wanted.items() if theirs is not None}


def _guess_pid(source: Features) -> str:
    names = source.columns.column_names
    if "id" in names and any(name.startswith(("crop:", "determination", "admin:")) for name in names):
        return "id"  # fiboa says what it is
    found = [name for name in names if name.lower() in PID_NAMES]
    if len(found) == 1:
        return str(found[0])
    problem = f"any of {', '.join(found)} may be" if found else "no column is known to be"
    raise InvalidInputError(
        f"{source.name}: {problem} the parcel's identifier; say pid= one of: {', '.join(names) or '(no columns)'}"
    )


def _first(names: Sequence[str], known: Sequence[str]) -> str | None:
    ranked = sorted((known.index(name.lower()), name) for name in names if name.lower() in known)
    return ranked[0][1] if ranked else None


def _identifiers(source: Features, column: str) -> pa.Array:
    ids = _text(source, column)
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(ids), ""), fill_value=True)
    rows = np.flatnonzero(blank) + 1
    if len(rows):
        raise InvalidInputError(
            f"{source.name}: {len(rows)} rows have no identifier in column {column!r}: rows {some(rows)}; "
            "fill it in or name another column by pid="
        )
    counts = pc.value_counts(ids)
    double = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(double):
        raise InvalidInputError(
            f"{source.name}: {len(double)} identifiers in column {column!r} stand in several rows: "
            f"{some(map(repr, double.to_pylist()))}; "
            "dissolve the parts of one parcel into one row, or name another column by pid="
        )
    return ids


def _text(source: Features, column: str) -> pa.Array:
    """A column as text: texts as they are, whole numbers without point or exponent."""
    values = source.columns[column].combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # how pyarrow hands back an empty column
        values = pa.concat_arrays(values.chunks)
    try:
        if pa.types.is_floating(values.type):
            return _float_text(values)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        texts = values.cast(pa.string())
    except (pa.ArrowException, ValueError) as error:
        raise InvalidInputError(
            f"{source.name}: column {column!r} cannot be taken as text ({error}); name another column"
        ) from error
    return pc.replace_substring_regex(texts, r"\.0+$", "") if pa.types.is_decimal(values.type) else texts


def _float_text(values: pa.Array) -> pa.Array:
    """Numbers as text, the shortest that reads back the same; whole ones as integers, non-finite ones as null.

    Raises:
        ValueError: a number so large that neighbouring whole numbers cannot be told apart.
    """
    numbers = values.to_numpy(zero_copy_only=False)
    known = np.isfinite(numbers)
    if np.abs(numbers[known], dtype=float).max(initial=0) >= 2 ** (np.finfo(numbers.dtype).nmant + 1):
        raise ValueError("numbers stored with a floating point have lost their last digits")
    if (numbers[known] % 1 == 0).all():
        return pa.array(np.where(known, numbers, 0).astype(np.int64), mask=~known).cast(pa.string())
    texts = [np.format_float_positional(number, trim="-") if np.isfinite(number) else None for number in numbers]
    return pa.array(texts, pa.string())


def _with_others(columns: pa.Table, source: Features, taken: set[str]) -> pa.Table:
    """Our columns, then the agency's other ones; one that would clash is prefixed with "source:"."""
    used = {name.lower() for name in (*columns.column_names, *_VIEW_NAMES)}  # SQL does not tell capitals apart
    for number, field in enumerate(source.columns.schema):
        if field.name in taken:
            continue
        name = field.name
        while name.lower() in used:
            name = f"source:{name}"
        used.add(name.lower())
        columns = columns.append_column(name, _plain(source.columns.column(number)))
    return columns


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values in a type that every reader of Parquet knows."""
    if pa.types.is_dictionary(values.type):
        return values.cast(values.type.value_type)
    return values.cast(pa.string()) if pa.types.is_null(values.type) else values


# -- geometries ------------------------------------------------------------------------------------------------------


def _outlines(source: Features, ids: pa.Array) -> Geometries:
    """The geometries in two dimensions, all of them polygonal and none without coordinates."""
    found = source.geometries
    advice = "delete these rows or draw their outlines"
    _refuse(source, ids, shapely.is_missing(found) | shapely.is_empty(found), "have no geometry", advice)
    other = ~np.isin(shapely.get_type_id(found), (*_POLYGONAL, _COLLECTION))
    _refuse(source, ids, other, "are no polygons", "give polygons or multipolygons only")
    flat = shapely.force_2d(found)
    _refuse_infinite(source, ids, flat)
    return np.asarray(flat)


def _source_crs(source: Features, outlines: Geometries, given: str | int | None) -> CRS:
    try:
        crs = source.crs if given is None else CRS.from_user_input(given)
    except CRSError as error:
        raise InvalidInputError(f"crs {given!r} is no coordinate system; write it as EPSG:2154") from error
    if crs is None:
        raise InvalidInputError(f"{source.name} does not say its coordinate system; give it by crs=, as EPSG:2154")
    if given is not None and source.crs is not None and not crs.equals(source.crs, ignore_axis_order=True):
        log.warning("%s says %s, but is read as %s", source.name, source.crs.name, crs.name)
    if crs.is_projected and np.abs(shapely.total_bounds(outlines)).max() <= 360:
        raise InvalidInputError(
            f"{source.name} says {crs.name}, but its coordinates look like degrees; give the right one by crs="
        )
    return crs


def _own_epsg(crs: CRS) -> int | None:
    """The code of a coordinate system that is projected in metres, without any heights."""
    flat = crs.sub_crs_list[0] if crs.is_compound else crs
    if not flat.is_projected or any(axis.unit_name != "metre" for axis in flat.axis_info):
        return None
    return flat.to_epsg()


def _reproject(source: Features, ids: pa.Array, outlines: Geometries, crs: CRS, target: CRS) -> Geometries:
    flat = crs.sub_crs_list[0] if crs.is_compound else crs
    if flat.equals(target, ignore_axis_order=True):
        return outlines
    try:
        moved = _transform(outlines, flat, target)
    except (CRSError, ProjError) as error:
        raise InvalidInputError(
            f"{source.name}: no way leads from {crs.name} to {target.name}; give another by crs="
        ) from error
    _refuse_infinite(source, ids, moved)
    return moved


def _transform(geometries: Geometries, source: CRS | int, target: CRS | int) -> Geometries:
    return np.asarray(reprojected(geometries, source, target))


def _mend(source: Features, ids: pa.Array, outlines: Geometries) -> tuple[Geometries, int]:
    """Valid polygons and multipolygons, and how many had to be mended.

    Method "structure" keeps every lobe of a bow-tie, and what an outline covers twice; the other one, "linework",
    would make holes of the latter.
    """
    broken = ~shapely.is_valid(outlines) | (shapely.get_type_id(outlines) == _COLLECTION)
    if not broken.any():
        return outlines, 0
    mended = outlines.copy()
    mended[broken] = _polygonal(shapely.make_valid(outlines[broken], method="structure", keep_collapsed=False))
    lost = shapely.is_empty(mended)
    _refuse(source, ids, lost, "have outlines that enclose nothing", "draw them again or delete these rows")
    return mended, int(broken.sum())


def _polygonal(geometries: Geometries) -> Geometries:
    """The geometries with the polygonal parts only of those that are collections."""
    mixed = shapely.get_type_id(geometries) == _COLLECTION
    for row in np.flatnonzero(mixed):
        parts = shapely.get_parts(shapely.get_parts(geometries[row]))  # collections may hold multipolygons
        geometries[row] = shapely.union_all(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    return geometries


def _refuse_infinite(source: Features, ids: pa.Array, outlines: Geometries) -> None:
    coordinates, row = shapely.get_coordinates(outlines, return_index=True)
    bad = np.zeros(len(outlines), bool)
    bad[row[~np.isfinite(coordinates).all(axis=1)]] = True
    _refuse(source, ids, bad, "lie outside the world", "wrong CRS? Give the right one by crs=")


def _refuse(source: Features, ids: pa.Array, bad: NDArray[np.bool_], problem: str, advice: str) -> None:
    if bad.any():
        listed = some(map(repr, ids.filter(pa.array(bad)).to_pylist()))
        raise InvalidInputError(f"{source.name}: {bad.sum()} parcels {problem}: {listed}; {advice}")


# -- the table -------------------------------------------------------------------------------------------------------


def _own_columns(
    source: Features, ids: pa.Array, outlines: Geometries, attributes: dict[str, pa.Array], epsg: int
) -> pa.Table:
    """The columns of schemas.PARCELS, in the order of the file."""
    equal_area = outlines if epsg == _EQUAL_AREA else _transform(outlines, epsg, _EQUAL_AREA)
    with np.errstate(invalid="ignore"):  # infinite outlines are refused below
        area = shapely.area(equal_area) / 10_000
    lon, lat = shapely.get_coordinates(_transform(shapely.centroid(outlines), epsg, _DEGREES)).T
    lost = ~np.isfinite(area + lon + lat)
    _refuse(source, ids, lost, "lie outside the world", "wrong CRS? Give the right one by crs=")
    box = schemas.PARCELS.field("bbox").type
    columns = {
        "id": ids,
        "geometry": pa.array(shapely.to_wkb(outlines), pa.binary()),
        "bbox": pa.StructArray.from_arrays(list(map(pa.array, shapely.bounds(outlines).T)), fields=list(box)),
        "area": area,
        "crop:code": pa.nulls(len(ids), pa.string()),
        "crop:name": pa.nulls(len(ids), pa.string()),
        "epsg": np.full(len(ids), epsg, np.int32),
        "centroid_lon": lon,
        "centroid_lat": lat,
    }
    return pa.table(columns | attributes, schema=schemas.PARCELS)


def _in_order(table: pa.Table, outlines: Geometries) -> pa.Table:
    """The rows along a Hilbert curve, so that neighbours lie together; by id where two share a place."""
    centroids = gpd.GeoSeries(shapely.centroid(outlines))
    place = pa.table({"along": centroids.hilbert_distance().to_numpy(), "id": table["id"]})
    return table.take(pc.sort_indices(place, sort_keys=[("along", "ascending"), ("id", "ascending")]))


def _version(columns: pa.Table) -> str:
    """Twelve hex digits that depend on the parcels' ids, outlines, coordinate system and crops, not on their order."""
    ordered = columns.select(["id", "geometry", "crop:code", "crop:name", "epsg"]).sort_by("id")
    content = hashlib.sha256(str(ordered["epsg"][0]).encode())
    for name in ("id", "geometry", "crop:code", "crop:name"):
        values = ordered[name].cast(pa.large_binary())
        lengths = pc.fill_null(pc.binary_length(values), -1)  # the lengths say where one value ends, -1 is null
        content.update(lengths.to_numpy().astype("<i8").tobytes())
        for chunk in values.chunks:
            start, end = np.frombuffer(chunk.buffers()[1], np.int64)[[chunk.offset, chunk.offset + len(chunk)]]
            content.update(memoryview(chunk.buffers()[2] or b"")[start:end])
    return content.hexdigest()[:12]


def _geo(outlines: Geometries, epsg: int) -> dict[str, Any]:
    """The metadata that makes the table GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0/)."""
    kinds = set(shapely.get_type_id(outlines).tolist())
    geometry = {
        "encoding": "WKB",
        "geometry_types": [name for kind, name in _POLYGONAL.items() if kind in kinds],
        "crs": CRS.from_epsg(epsg).to_json_dict(),
        "bbox": shapely.total_bounds(outlines).tolist(),
        "covering": {"bbox": {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}},
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
