"""Cells of a weather grid as boxes in degrees, and the selection of those that contain parcels."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import duckdb
import numpy as np
import shapely
import shapely.geometry
from numpy.typing import NDArray
from pyproj import Transformer

from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.files import delimited
from cbm_lake.files.documents import load_json
from cbm_lake.geo import vectors

Boxes: TypeAlias = "dict[str, tuple[float, float, float, float]]"
"""West, south, east, north of cells, in degrees."""
Places: TypeAlias = NDArray[np.float64]
"""Longitudes and latitudes, one place a row."""

CELL_NAMES: Final = ("cell", "grid_id", "grid", "gridid", "grid_no", "id_grid", "idgrid", "cell_id")
"""Columns of a table taken for the cell: the first that is there."""
GEOMETRY_NAMES: Final = (
    "polygon",
    "geom_cell",
    "geom",
    "geometry",
    "wkb_geometry",
    "the_geom",
    "wkt",
    "geom_polygon",
    "cell_geom",
    "geojson",
)
"""Columns of a table taken for the polygon of a cell: the first that is there."""


def holding(boxes: Boxes, places: Places) -> list[str]:
    """Cells that contain a point; west and south edges are inside, east and north are not."""
    tree = shapely.STRtree(shapely.box(*np.array([*boxes.values()]).T)) if boxes else shapely.STRtree([])
    point, cell = tree.query(shapely.points(places))
    sides = np.array([*boxes.values()]).reshape(-1, 4)[cell]
    lon, lat = places[point].T
    inside = (lon >= sides[:, 0]) & (lon < sides[:, 2]) & (lat >= sides[:, 1]) & (lat < sides[:, 3])
    names = [*boxes]
    return [names[number] for number in np.unique(cell[inside])]


def step(values: NDArray[np.float64], name: str) -> float:
    """Spacing of a regular axis.

    Raises:
        InvalidInputError: it is not regular, or has one line only.
    """
    steps = np.diff(np.unique(values.astype(float)))
    if not len(steps) or np.ptp(steps) > 0.02 * steps.mean():
        raise InvalidInputError(f"the weather grid is not regular along {name} or has one line only; give a larger cut")
    return float(steps.mean())


def squares(lons: NDArray[np.float64], lats: NDArray[np.float64], width: float, height: float) -> Boxes:
    """Boxes around all grid centres, latitude by latitude."""
    return {
        cell_name(lon, lat): (
            round(float(lon) - width / 2, 6),
            round(float(lat) - height / 2, 6),
            round(float(lon) + width / 2, 6),
            round(float(lat) + height / 2, 6),
        )
        for lat in lats
        for lon in lons
    }


def cell_name(lon: float, lat: float) -> str:
    """Cell name, from its centre."""
    return f"{lon:.6g}_{lat:.6g}"


def read_grid(path: str | Path) -> Boxes:
    """Read the cell boxes of a grid.

    Args:
        path: JSON, CSV or Parquet, compressed or not, with a column of CELL_NAMES and one of GEOMETRY_NAMES (GeoJSON,
            WKT, WKB in hexadecimal digits, or points), or a vector file.

    Raises:
        InvalidInputError: it does not hold cells with polygons in degrees.
        SourceError: it cannot be read.
    """
    try:
        shapes = {str(name): _in_degrees(_polygon(polygon)) for name, polygon in _rows(str(path))}
    except (OSError, ValueError, KeyError, TypeError, shapely.errors.ShapelyError, duckdb.Error) as error:
        if isinstance(error, InvalidInputError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise SourceError(f"grid {path} cannot be read ({reason}); give grid_id and polygon as JSON or CSV") from error
    boxes = {name: shape.bounds for name, shape in shapes.items()}
    if not boxes or not all(
        -360 <= west < east <= 360 and -90 <= south < north <= 90 for west, south, east, north in boxes.values()
    ):
        raise InvalidInputError(
            f"grid {path} has no cells, or some that are not in degrees; give longitude and latitude"
        )
    return boxes


def _rows(path: str) -> Iterator[tuple[Any, Any]]:
    """Name and polygon of each cell."""
    if delimited.is_text(path) or path.lower().endswith(".parquet"):
        yield from _of_table(path)
        return
    if not path.lower().endswith(".zip"):
        with delimited.opened(path) as stream:
            document = _json(stream.read()) if stream.read(1) and stream.seek(0) == 0 else None
        if document is not None:
            yield from _of_json(path, document)
            return
    features = vectors.read(path)
    names = features.columns.column_names
    column = first_column(names, CELL_NAMES)
    shapes = features.geometries
    if features.crs is not None and not features.crs.is_geographic:
        to_degrees = Transformer.from_crs(features.crs, 4326, always_xy=True)
        shapes = shapely.transform(shapes, to_degrees.transform, interleaved=False)
    yield from zip(features.columns[column].to_pylist() if column else range(len(shapes)), shapes, strict=True)


def _json(content: bytes) -> Any:
    """What a JSON document holds; None where it is none, or GeoJSON, which GDAL reads."""
    if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        return None
    document = load_json(content.decode("utf-8-sig"))
    return None if "features" in document else document


def _of_json(path: str, document: Any) -> Iterator[tuple[Any, Any]]:
    for row in document if isinstance(document, list) else [document]:
        cell, geometry = _columns(path, [*row])
        yield row[cell], row[geometry]


def _of_table(path: str) -> Iterator[tuple[Any, Any]]:
    with tempfile.TemporaryDirectory(prefix="cbm-lake-grid-") as scratch, duckdb.connect() as connection:
        if path.lower().endswith(".parquet"):
            table = connection.read_parquet(path)
        else:
            table = delimited.read(connection, path, Path(scratch))
        cell, geometry = _columns(path, table.columns)
        yield from table.project(f'"{cell}"::varchar, "{geometry}"').fetchall()


def _columns(path: str, names: Sequence[str]) -> tuple[str, str]:
    cell, geometry = first_column(names, CELL_NAMES), first_column(names, GEOMETRY_NAMES)
    if cell is None or geometry is None:
        raise InvalidInputError(
            f"grid {path} has no column of the {'cell' if cell is None else 'polygon'}; it has {some(names)}; call it "
            f"one of {', '.join(CELL_NAMES if cell is None else GEOMETRY_NAMES)}"
        )
    return cell, geometry


def first_column(names: Sequence[str], candidates: Sequence[str]) -> str | None:
    """The first known name that a table has as a column, regardless of spelling."""
    ranked = sorted(
        (candidates.index(delimited.column_name(name)), name)
        for name in names
        if delimited.column_name(name) in candidates
    )
    return ranked[0][1] if ranked else None


def _in_degrees(shape: shapely.Geometry) -> shapely.Geometry:
    """A polygon in degrees, of which the coordinate system may say that it is not."""
    if (srid := shapely.get_srid(shape)) in (0, 4326):
        return shape
    return shapely.transform(shape, Transformer.from_crs(srid, 4326, always_xy=True).transform, interleaved=False)


def _polygon(value: Any) -> shapely.Geometry:
    """A polygon from shapely, GeoJSON, WKT, WKB, WKB in hexadecimal digits, or a list of points."""
    if isinstance(value, shapely.Geometry):
        return value
    if isinstance(value, Mapping):
        return shapely.geometry.shape(value)
    if isinstance(value, (bytes, bytearray)):
        return shapely.from_wkb(bytes(value))
    if isinstance(value, str) and value.lstrip()[:1] in "{[":
        return _polygon(load_json(value))
    if isinstance(value, str):
        srid, sign, wkt = value.strip().removeprefix("\\x").rpartition(";")
        shape = shapely.from_wkb(wkt) if wkt[:2] in ("00", "01") else shapely.from_wkt(wkt)
        return shapely.set_srid(shape, int(srid.upper().removeprefix("SRID="))) if sign else shape
    points = value[0] if isinstance(value[0][0], Sequence) else value
    return shapely.Polygon(points)
