"""`parts` finds the parts of parcels that were mown or ploughed while the rest was not, and writes them to the lake."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.finding import part_of
from cbm_lake.markers.parameters import EPOCH, Parameters
from cbm_lake.markers.parameters import read as read_parameters
from cbm_lake.markers.series import check_pids
from cbm_lake.markers.subparcel import events, outlines, pixels
from cbm_lake.markers.subparcel.events import Event
from cbm_lake.markers.subparcel.outlines import Part
from cbm_lake.markers.subparcel.pixels import Batch, View

log = logging.getLogger(__name__)

Row: TypeAlias = dict[str, Any]
"""A row of schemas.PARTS."""
Ints = npt.NDArray[np.int64]
Shapes = npt.NDArray[np.object_]

_PIXELS: Final = 25_000_000
"""Pixels times dates of a batch: 100 MB."""
_WORDS: Final = {
    "mowing": ("mown", "unmown"),
    "ploughing": ("ploughed", "unploughed"),
    "harvest": ("harvested", "unharvested"),
}
"""State of the part and of the rest, by marker."""
UNVEGETATED: Final = "unvegetated"
"""State of a rest that had no vegetation, neither before nor afterwards: nothing stood there to be worked."""
_INTERNAL: Final = ("version", "part", "sequence")
NO_CUBE: Final = "no cube holds its pixels; extract Sentinel-2 with a cube first"
ACROSS: Final = "it lies across the edge of the cubes' grids, none of which holds it whole"
NO_CLASSES: Final = "its cube has no scene classes, so that clouds cannot be screened"
EMPTY: Final = "it has no area"
ALIKE: Final = "no part of it fell apart from the rest"


@dataclass(frozen=True, eq=False)
class Parcels:
    """The parcels that are searched, by pid."""

    of: ParcelSet
    pids: list[str]
    shapes: Shapes
    hectares: npt.NDArray[np.float64]
    epsg: int


@checked
def parts(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    pids: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """Find parts of parcels that were mown, ploughed or harvested while the rest was not, and write them to the lake.

    Between any two consecutive clear looks at a parcel the change of NDVI of each pixel, from the cube of Sentinel-2,
    is split in two contiguous classes where a step describes it far better than noise and a smooth surface do; see
    docs/parts.md. The parts of an event do not overlap and together are the parcel: a proposal to split it. Results of
    an earlier search are replaced (view `parts`).

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        pids: only these parcels are searched, and only their rows replaced.
        parameters: overrides of cbm_lake/markers/defaults.yaml, group `parts`; or a YAML file of them.
        progress: called with the number of parcels done, and their total.
        lake: the lake; None is the workspace's.

    Returns:
        Ordered by pid, date_start and part, one row per part: aoi, year, ptype, pid, marker (mowing, ploughing where
        the NDVI fell to bare soil, harvest where the parcel's curve says so), date_start and date_end (date32: the last
        clear look before and the first after), date_main, part (from 1, int32), state (mown, unmown, ploughed, …; or
        unvegetated where nothing stood on the rest), pixels, area_m2 and its standard deviation area_std_m2, share of
        the parcel's area, change of NDVI, confidence (0 to 0.99), geometry (WKB, in the CRS `epsg` of the area), looks
        (clear ones). A parcel without parts has one row with these null, and the reason: alike all over, or what was
        lacking to say so.

    Raises:
        NotFoundError: no such parcels were loaded, or one of `pids` is not among them.
        InvalidInputError: a parameter is unknown or out of range.
        SourceError: the cube is damaged.
    """
    lake = lake_or_default(lake)
    resolved = read_parameters(parameters)
    parcels = _parcels(lake, lake.parcel_set(aoi, year, ptype), pids)
    rows = _searched(lake, parcels, resolved, progress or (lambda done, total: None))
    part = part_of(parcels.of)
    table = pa.Table.from_pylist([{**row, "part": part} for row in rows], schema=schemas.PARTS)
    earlier = [] if pids is None else [_earlier(lake, parcels.of, part, parcels.pids)]
    lake.put("divided", pa.concat_tables([*earlier, table]), part)
    log.info("%s: %s", parcels.of.name, in_words(table))
    table = table.drop_columns(list(_INTERNAL))
    return table.rename_columns(["part" if name == "number" else name for name in table.column_names])


def in_words(rows: pa.Table) -> str:
    """How many parcels have parts, and why the others have none: 3 of 40 parcels …; 2 seen clearly on one date only."""
    with_parts = len(set(rows.filter(pc.is_null(rows["reason"]))["pid"].to_pylist()))
    reasons = Counter(reason for reason in rows["reason"].to_pylist() if reason)
    total = with_parts + sum(reasons.values())
    others = "".join(f"; {count:,}: {reason}" for reason, count in reasons.most_common())
    return f"{with_parts:,} of {total:,} parcels were worked on a part only{others}"


def _parcels(lake: Lake, of: ParcelSet, pids: Sequence[str] | None) -> Parcels:
    table = lake.read_parcels(of, ["id", "geometry", "epsg", "area"])
    if pids is not None:
        check_pids(table["id"], pids, of)
        table = table.filter(pc.is_in(table["id"], pa.array(sorted(set(pids)), pa.string())))
    table = table.sort_by("id")
    shapes = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    epsg = int(table["epsg"][0].as_py()) if table.num_rows else 0
    return Parcels(of, table["id"].to_pylist(), shapes, table["area"].to_numpy(), epsg)


def _searched(lake: Lake, parcels: Parcels, parameters: Parameters, progress: Callable[[int, int], None]) -> list[Row]:
    """The rows of all parcels, by pid; each is searched on the first grid that holds it and sees it twice."""
    total = len(parcels.pids)
    rows: dict[int, list[Row]] = {}
    todo = np.flatnonzero(shapely.area(parcels.shapes) > 0)
    views = pixels.views(lake, parcels.of.aoi, parcels.of.year, parameters) if total else []
    for view in views:
        inside = todo[pixels.are_inside(parcels.shapes[todo], parcels.epsg, view)]
        for batch in pixels.batches(parcels.shapes, parcels.epsg, view, parameters, inside, _PIXELS):
            rows |= _of_batch(lake, parcels, batch, parameters)
            progress(len(rows), total)
        todo = np.array([number for number in todo.tolist() if not _is_seen(rows.get(number))], np.int64)
    progress(total, total)
    for number in set(range(total)).difference(rows):
        rows[number] = [_without(parcels, number, _lacking(parcels, number, views))]
    return [row for number in range(total) for row in rows[number]]


def _is_seen(rows: list[Row] | None) -> bool:
    """Whether a parcel was seen clearly twice, so that no other grid need be asked."""
    return rows is not None and rows[0]["looks"] >= 2


def _lacking(parcels: Parcels, number: int, views: Sequence[View]) -> str:
    """Why a parcel that is whole on no grid cannot be searched."""
    shape = parcels.shapes[number]
    if shape is None or not shape.area:
        return EMPTY
    boxes = [shapely.box(*view.grid.bounds) for view in views]
    moved = [reprojected(shape, parcels.epsg, view.grid.epsg) for view in views]
    touched = any(box.intersects(there) for box, there in zip(boxes, moved, strict=True))
    return ACROSS if touched else NO_CUBE


def _without(parcels: Parcels, number: int, reason: str, looks: int | None = None) -> Row:
    return {**_key(parcels, number), "looks": looks, "reason": reason}


def _key(parcels: Parcels, number: int) -> Row:
    of = parcels.of
    return {**of.params, "pid": parcels.pids[number], "version": of.version, "epsg": parcels.epsg}


def _earlier(lake: Lake, parcels: ParcelSet, part: int, pids: list[str]) -> pa.Table:
    """The rows of an earlier search that are not replaced."""
    key = {"aoi": parcels.aoi, "year": parcels.year, "part": part, "pids": pids}
    return lake.query("markers.kept_parts", **key).select(schemas.PARTS.names).cast(schemas.PARTS)


# -- one batch of parcels ----------------------------------------------------------------------------------------------


def _of_batch(lake: Lake, parcels: Parcels, batch: Batch, parameters: Parameters) -> dict[int, list[Row]]:
    """The rows of the parcels of a batch, by their numbers."""
    detected, looks = events.detected(batch, parameters)
    by_parcel = _markers(lake, parcels, detected)
    rows: dict[int, list[Row]] = {}
    for event in events.apart(detected, parameters.mowing.apart):
        marker, main = _named(event, by_parcel.get(event.parcel, ()), parcels.of.year, parameters)
        if marker is not None:
            rows.setdefault(event.parcel, []).extend(_rows(parcels, batch.view, event, marker, main, parameters))
    sizes = np.diff(batch.offsets).tolist()
    for number, size, count in zip(batch.parcels.tolist(), sizes, looks.tolist(), strict=True):
        if not rows.get(number):
            rows[number] = [_without(parcels, number, _reason(batch.view, size, count, parameters))]
        for row in rows[number]:
            row["looks"] = count
    return rows


def _reason(view: View, size: int, looks: int, parameters: Parameters) -> str:
    """Why a parcel that was searched has no parts."""
    least = 2 * parameters.parts.pixels
    if size < least:
        return f"too small: fewer than {least} pixels lie {parameters.parts.inside:g} m inside it"
    if view.classes is None:
        return NO_CLASSES
    if looks < 2:
        return "seen clearly on one date only" if looks else "never seen clearly"
    return ALIKE


def _markers(lake: Lake, parcels: Parcels, detected: Sequence[Event]) -> dict[int, list[Row]]:
    """The markers of the curves of parcels with events, by the parcels' numbers."""
    numbers = {parcels.pids[event.parcel]: event.parcel for event in detected}
    by_parcel: dict[int, list[Row]] = {}
    for row in lake.query("markers.between", **parcels.of.params, pids=sorted(numbers)).to_pylist() if numbers else ():
        by_parcel.setdefault(numbers[row["pid"]], []).append(row)
    return by_parcel


def _named(event: Event, markers: Sequence[Row], year: int, parameters: Parameters) -> tuple[str | None, date]:
    """The marker of an event and its best date; None where it is out of season or nothing stood there."""
    start, end = EPOCH + timedelta(event.start), EPOCH + timedelta(event.end)
    near = [row for row in markers if row["date_start"] <= end and row["date_end"] >= start]
    names = {row["marker"] for row in near}
    marker = "ploughing" if event.level <= parameters.cover.bare else "harvest" if "harvest" in names else "mowing"
    season = parameters.mowing.season if marker == "mowing" else parameters.work.season
    first, last = season.days(year)
    if event.end < first or event.start > last or event.before < parameters.cover.vegetated:
        return None, start
    mains = [row["date_main"] for row in near if row["marker"] == marker and row["date_main"]]
    inside = [main for main in mains if start <= main <= end]
    return marker, inside[0] if inside else start + (end - start) / 2


def _rows(parcels: Parcels, view: View, event: Event, marker: str, main: date, parameters: Parameters) -> Iterator[Row]:
    """A row per part of an event; none where only pieces below the least area are cut off."""
    divided = _divided(parcels, view, event, parameters)
    total = sum(part.area for part in divided)
    worked, others = _states(marker, event.rest, parameters)
    pixel = abs(view.grid.transform.a * view.grid.transform.e)
    for number, part in enumerate(divided, start=1):
        share = part.area / total
        yield {
            **_key(parcels, event.parcel),
            "marker": marker,
            "date_start": EPOCH + timedelta(event.start),
            "date_main": main,
            "date_end": EPOCH + timedelta(event.end),
            "number": number,
            "state": worked if part.fell else others,
            "pixels": part.pixels,
            "area_m2": share * parcels.hectares[event.parcel] * 10_000,
            "area_std_m2": _deviation(event, part, pixel, parameters.parts.shift),
            "share": share,
            "change": event.fell if part.fell else event.stayed,
            "confidence": event.confidence,
            "geometry": shapely.to_wkb(part.geometry),
        }


def _states(marker: str, rest: float, parameters: Parameters) -> tuple[str, str]:
    """State of the part that was worked and of the rest, whose greatest NDVI is given."""
    worked, others = _WORDS[marker]
    return worked, others if rest >= parameters.cover.vegetated else UNVEGETATED


def _divided(parcels: Parcels, view: View, event: Event, parameters: Parameters) -> list[Part]:
    """The parts into which an event divides a parcel."""
    grid, epsg = view.grid, parcels.epsg

    def metric(shape: shapely.Geometry) -> shapely.Geometry:
        return reprojected(shape, epsg, grid.epsg)

    shape = parcels.shapes[event.parcel]
    if event.line is not None:
        lines = outlines.straight(*event.line, event.pixels)
    else:
        in_pixels = shapely.transform(metric(shape), lambda xy: outlines.mapped(~grid.transform, xy))
        lines = outlines.contours(event.pixels, in_pixels)
    centres = shapely.points(event.pixels.col + 0.5, event.pixels.row + 0.5)
    lines, places = (outlines.moved(some, grid.transform, grid.epsg, epsg) for some in (lines, centres))
    labels, smallest = event.pixels.labels, parameters.parts.smallest * 10_000
    return outlines.parts(shape, lines, shapely.get_coordinates(places), labels, smallest, metric)


def _deviation(event: Event, part: Part, pixel: float, shift: float) -> float:
    """Standard deviation of the area of a part in m²: noise of the pixels along its edge, and the geolocation."""
    mixed = max(part.edge / pixel**0.5, 1.0)
    noise = pixel * event.noise / (event.stayed - event.fell) * mixed**0.5
    return float(np.hypot(noise, shift * part.edge))
