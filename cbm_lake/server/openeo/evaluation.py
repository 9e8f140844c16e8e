"""Evaluates a plan: from signatures where they suffice, else from pixels; the result says which, and why."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.errors import NotFoundError, some
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake
from cbm_lake.server.openeo import pixels, signatures
from cbm_lake.server.openeo.geometries import Declared, Shapes, Uploaded
from cbm_lake.server.openeo.layers import Layer
from cbm_lake.server.openeo.plan import Aggregated
from cbm_lake.server.openeo.series import Filling, Series
from cbm_lake.server.openeo.tiles import Check

log = logging.getLogger(__name__)


def evaluate(lake: Lake, aggregated: Aggregated, aois: Sequence[str], check: Check) -> Series:
    """The statistics that are asked for.

    Args:
        lake: as it is, or as it was.
        aggregated: what is asked for.
        aois: the areas that polygons may lie in: those that may be read, and that have the card.
        check: called between reads; it raises where nobody waits any more.

    Raises:
        LakeError: a parcel, scene or band that there is not, or a file that cannot be read.
    """
    polygons = aggregated.geometries
    series = _declared(lake, aggregated, polygons, check) if isinstance(polygons, Declared) else None
    if series is None:
        assert isinstance(polygons, Uploaded)  # noqa: S101 - the other kind of geometries
        series = _uploaded(lake, aggregated, polygons, aois, check)
    log.info("openEO: %s", series.way)
    return series


def _declared(lake: Lake, aggregated: Aggregated, declared: Declared, check: Check) -> Series:
    ids = declared.ids if declared.ids is not None else _all(lake, declared)
    filling = _filling(aggregated, len(ids))
    reason = signatures.why_not(aggregated) or _beyond(lake, aggregated.layer, declared)
    if not reason:
        reason = signatures.fill(lake, aggregated, declared.parcels, ids, declared.ids is None, filling)
    if not reason and declared.ids is not None and filling.has_unseen:
        _check_declared(lake, declared)
    if not reason:
        return _series(aggregated, ids, filling, "answered from signatures")
    ground = _ground(lake, declared, ids)
    filling = _filling(aggregated, len(ids))
    scenes = pixels.fill(ground, aggregated, filling, check)
    return _series(aggregated, ids, filling, f"answered from the pixels of {scenes} scenes, as {reason}")


def _uploaded(lake: Lake, aggregated: Aggregated, uploaded: Uploaded, aois: Sequence[str], check: Check) -> Series:
    filling = _filling(aggregated, len(uploaded.ids))
    grounds = pixels.of_uploaded(lake, uploaded.shapes, aois)
    scenes = sum(pixels.fill(ground, aggregated, filling, check) for ground in grounds)
    way = f"answered from the pixels of {scenes} scenes, as the polygons are no parcels of the lake"
    return _series(aggregated, uploaded.ids, filling, way, uploaded.shapes)


def _filling(aggregated: Aggregated, polygons: int) -> Filling:
    return Filling(polygons, len(aggregated.layer.bands), len(aggregated.outputs))


def _series(
    aggregated: Aggregated, ids: Sequence[str], filling: Filling, way: str, shapes: Shapes | None = None
) -> Series:
    times, values = filling.ended()
    for number, output in enumerate(aggregated.outputs):
        if output.name == "count":  # of what was not seen there is no row
            values[..., number] = np.nan_to_num(values[..., number])
    return Series(ids, times, aggregated.layer.labels, aggregated.outputs, values, shapes, way)


def _all(lake: Lake, declared: Declared) -> list[str]:
    """The identifiers of all parcels of a set, ascending."""
    ids = lake.read_parcels(declared.parcels, ["id"])["id"]
    return [str(pid) for pid in ids.take(pc.sort_indices(ids)).to_pylist()]


def _check_declared(lake: Lake, declared: Declared) -> None:
    """Raise NotFoundError for identifiers of no parcel of the set."""
    identifiers = lake.read_parcels(declared.parcels, ["id"])["id"].combine_chunks()
    asked = pa.array(declared.ids or (), pa.string())
    missing = asked.filter(pc.invert(pc.is_in(asked, identifiers))).to_pylist()
    if missing:
        raise NotFoundError(f"no parcel {some(map(repr, missing))} in {declared.parcels.name}")


def _ground(lake: Lake, declared: Declared, ids: Sequence[str]) -> pixels.Ground:
    """The parcels as polygons; all of a set in the order of its file, as its pixel indexes are."""
    parcels = declared.parcels
    table = lake.read_parcels(parcels, ["id", "geometry", "epsg"])
    epsg = table["epsg"][0].as_py() if table.num_rows else 4326
    if declared.ids is not None:
        _check_declared(lake, declared)
        table = table.take(pc.index_in(pa.array(ids, pa.string()), table["id"].combine_chunks()))
    shapes = np.asarray(shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False)))
    rows = pc.index_in(table["id"].combine_chunks(), pa.array(ids, pa.string())).to_numpy()
    whole = parcels if declared.ids is None else None
    return pixels.Ground(lake, parcels.aoi, parcels.year, shapes, epsg, rows, whole)


def _beyond(lake: Lake, layer: Layer, declared: Declared) -> str:
    """Why signatures do not do for the areas that pixels are limited to; "" where these hold all the parcels."""
    if not layer.areas:
        return ""
    if declared.ids is None:
        box = lake.footprint(declared.parcels.aoi)
    else:
        ground = _ground(lake, declared, declared.ids)
        box = shapely.box(*shapely.total_bounds(reprojected(ground.shapes, ground.epsg, 4326)))
    return "" if all(area.covers(box) for area in layer.areas) else "the area that is asked for cuts parcels"


def shapes_of(lake: Lake, aggregated: Aggregated) -> Shapes:
    """The polygons of a request in degrees, in the order of the result."""
    asked = aggregated.geometries
    if isinstance(asked, Uploaded):
        return asked.shapes
    ids = asked.ids if asked.ids is not None else _all(lake, asked)
    ground = _ground(lake, asked, ids)
    shapes = np.empty(len(ids), object)
    shapes[ground.rows] = ground.in_system(4326)
    return shapes
