"""The shift guard: by how much each scene of a season is displaced, from the declared borders and from other scenes.

    sample of the grid ─► each scene: borders' vote, displacements against earlier scenes ─► network ─► verdict

A shift is measured against the season's frame, where most of its clear scenes lie. That the whole season lies off the
declared borders, of which nobody can say whether scenes or outlines are wrong, is reported beside it (frame_…), and is
no verdict on a scene.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.cards import S2
from cbm_lake.errors import NotFoundError, SourceError
from cbm_lake.files import clock, installed
from cbm_lake.guard import borders as declared
from cbm_lake.guard.borders import Votes
from cbm_lake.guard.registration import Displacement, register, together
from cbm_lake.guard.sheet import CLASSES, NIR, RED, Look, Sheet, sample
from cbm_lake.guard.verdicts import CLEAR, LEAST, Displaced, Judged, Measured, Offset, judge
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcel.chips.pixels import Reader
from cbm_lake.parcel.chips.scenes import Scene
from cbm_lake.rasters import Grid

log = logging.getLogger(__name__)

_BACK: Final = (1, 3)
"""Which earlier clear scenes a scene is registered to: near ones, which look alike, and one farther back."""
_PIXEL: Final = 10.0
"""Metres: pixels that a shift is measured on."""
_HALF: Final = 0.5
"""Pixels of displacement from which borders are looked at again, in pixels that are moved by it."""
_FAR: Final = 3.0
"""Standard errors from which the season's displacement against the borders is reported."""
_SEASON: Final = tuple(f"{kind}_{name}" for kind in ("borders", "scenes", "frame") for name in Offset._fields)
SHOWN: Final = (
    *("scene", "obstime", "grid", "verdict", *Offset._fields),
    *(f"{name}_pixels" for name in Offset._fields),
    *("reason", "method", "clear", "borders", "scenes", *_SEASON, "slopes"),
)
"""Columns of `shifts`."""


class _Recent:
    """A clear scene that later ones are registered to; one that was measured before is read when it is needed."""

    def __init__(self, scene: str, read: Callable[[], Look]) -> None:
        self.scene, self._read = scene, read

    @cached_property
    def look(self) -> Look:
        """Its sample."""
        return self._read()


@dataclass
class _Season:
    """The scenes of one grid while they are measured, by time."""

    lake: Lake
    parcels: ParcelSet
    grid: Grid
    measured: list[Measured] = field(default_factory=list)
    recent: deque[_Recent] = field(default_factory=lambda: deque(maxlen=max(_BACK)))

    @cached_property
    def sheet(self) -> Sheet:
        """The sample; not needed where all scenes were measured before."""
        return sample(self.lake, self.parcels, self.grid)


@checked
def shifts(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    again: bool = False,
    store: bool = True,
    lake: Lake | None = None,
) -> pa.Table:
    """Estimate the geolocation shift of every extracted Sentinel-2 scene of an area and year; stored in the lake.

    Pixels come from the cube where it has them, else from the catalogued rasters, and clouds and shadows are left out
    by the scene classes. A scene is `shifted` where it lies 3 m or more, and four standard errors, off where most
    clear scenes of the season lie; `undecided` where borders or other scenes say too little, or contradict each other.

    Args:
        aoi: area.
        year: of the declaration.
        ptype: which parcel set; None is the main one.
        again: also measure scenes that were measured before over the same parcels.
        store: whether what is new is written to the lake.
        lake: which; None is the workspace's.

    Returns:
        One row per scene, by time, with the columns of the view `shifts`: scene, verdict, east, north and error in
        metres and pixels, reason, and what borders and other scenes say by themselves.

    Raises:
        NotFoundError: no such parcels, or nothing of them was extracted.
    """
    lake = lake_or_default(lake)
    parcels = lake.parcel_set(aoi, year, ptype)
    rows = lake.query("guard.extracted", card=S2.name, **parcels.params).to_pylist()
    if not rows:
        raise NotFoundError(f"no scene of Sentinel-2 was extracted over {parcels.name}; extract some first")
    before = {row["scene"]: row for row in lake.query("guard.shifts", **parcels.params).to_pylist()}
    revisions = {row["scene"]: row["revision"] for row in rows}
    former = {} if again else {name: row for name, row in before.items() if _is_valid(row, parcels, revisions)}
    judged = _judged(lake, parcels, rows, former)
    fresh = [_row(parcels, one, revisions) for one in judged]
    changed = [row for row in fresh if not _is_same(row, before.get(row["scene"]))]
    if store and changed:
        lake.add_shifts(_dated(changed))
    _warn(judged)
    return _as_table(fresh)


@checked
def shift_errors(aoi: str, year: int, ptype: str | None = None, *, lake: Lake | None = None) -> pa.Table:
    """The error of each parcel's NDVI in each Sentinel-2 look that the scene's shift implies.

    To first order a shift d moves the mean of a parcel by d . g, where g is the mean of the gradient over its pixels.
    For each scene and size class (1-8, 9-20, 21-50, 51-150 and more pixels) |g| was measured on parcels of the sample
    (root mean square over directions; median and 90 % quantile over parcels). ndvi_error is that times the root of
    shift² + error², in metres. Rows whose pixels were moved with the shift have what is left of it.

    Returns:
        pid, scene, obstime, pixels, verdict, shift (m), error (m), ndvi_error, ndvi_error_p90; null where the shift is
        undecided or was not estimated.

    Raises:
        NotFoundError: no such parcels.
    """
    lake = lake_or_default(lake)
    return lake.query("guard.shift_errors", **lake.parcel_set(aoi, year, ptype).params)


# -- measuring --------------------------------------------------------------------------------------------------------


def _judged(
    lake: Lake, parcels: ParcelSet, rows: list[dict[str, Any]], former: dict[str, dict[str, Any]]
) -> list[Judged]:
    """The verdicts on scenes, by time."""
    scenes = [_scene(row) for row in rows]
    reader = Reader(lake)
    reader.prepare(scenes, (RED, NIR, CLASSES), local=True)
    seasons: dict[Grid, _Season] = {}
    unread: list[Measured] = []
    for scene in scenes:
        try:
            grid = _grid(reader, scene)
            if grid not in seasons:
                seasons[grid] = _Season(lake, parcels, grid)
            _measure(seasons[grid], reader, scene, former.get(scene.id))
        except SourceError as error:
            unread.append(Measured(scene.id, scene.obstime, problem=str(error)))
    count = sum(len(season.measured) for season in seasons.values())
    judged = [one for season in seasons.values() for one in judge(season.measured, count - len(season.measured))]
    judged += judge(unread)
    return sorted(judged, key=lambda one: (one.measured.obstime, one.measured.scene))


def _scene(row: dict[str, Any]) -> Scene:
    assets = {name: asset["href"] for name, asset in row["assets"].items() if asset and asset["href"]}
    rasters = tuple((name, href) for name, href in assets.items())
    return Scene(row["scene"], "", row["obstime"], S2.name, row["boa_offset"], "", None, 1.0, rasters)


def _grid(reader: Reader, scene: Scene) -> Grid:
    """The grid of the sample.

    Raises:
        SourceError: a band that is needed is not there, or has other pixels.
    """
    missing = [band for band in (RED, NIR, CLASSES) if band not in dict(scene.hrefs)]
    if missing:
        raise SourceError(f"the scene has no {', '.join(missing)}, which a shift is measured on")
    grids = [reader.raster(scene, band).grid for band in (RED, NIR)]
    if grids[0] != grids[1] or not math.isclose(grids[0].transform.a, _PIXEL):
        sizes = " and ".join(f"{grid.transform.a:g}" for grid in grids)
        raise SourceError(f"{RED} and {NIR} have pixels of {sizes} m, or lie on two grids; a shift is measured on 10 m")
    return grids[0]


def _measure(season: _Season, reader: Reader, scene: Scene, before: dict[str, Any] | None) -> None:
    """Add a scene to its season: as it was measured before, or now."""
    recent = _Recent(scene.id, lambda: season.sheet.read(reader, scene))
    if before is not None:
        season.measured.append(_measured_before(before))
    elif not season.sheet.windows:
        problem = "no parcels lie on its grid"
        season.measured.append(Measured(scene.id, scene.obstime, season.grid.name, _PIXEL, problem=problem))
    else:
        season.measured.append(_measured(season, scene, recent.look))
    clear = season.measured[-1].clear
    if clear is not None and clear >= CLEAR:
        season.recent.append(recent)


def _measured(season: _Season, scene: Scene, look: Look) -> Measured:
    sheet, pixel = season.sheet, season.grid.transform.a
    about = Measured(scene.id, scene.obstime, season.grid.name, pixel, look.share)
    if look.share < CLEAR:
        return about
    votes = _votes(sheet, look)
    slopes = [one | {name: _each(one[name], pixel) for name in ("median", "p90")} for one in sheet.slopes(look)]
    return replace(
        about,
        borders=_offset(votes, pixel) if votes else None,
        count=votes.borders if votes else 0,
        pairs=tuple(_pairs(season, look, pixel)),
        slopes=slopes,
    )


def _each(value: float | None, pixel: float) -> float | None:
    """A change for each metre, of that for each pixel."""
    return None if value is None else value / pixel


def _votes(sheet: Sheet, look: Look) -> Votes | None:
    """What the borders say; looked at once more about a displacement of a pixel or more."""
    votes = declared.vote(look.bands, look.clear, sheet.borders)
    if votes is None or max(abs(votes.right), abs(votes.down)) <= _HALF:
        return votes
    return declared.vote(look.bands, look.clear, sheet.borders, (votes.right, votes.down))


def _pairs(season: _Season, look: Look, pixel: float) -> Iterator[Displaced]:
    """By how much a scene lies off earlier ones, as far as they look alike."""
    for back in _BACK:
        if back <= len(season.recent):
            other = season.recent[-back]
            seen = other.look
            of_bands: list[Displacement | None] = []
            for band, reference in zip(look.bands, seen.references, strict=True):
                start = next(((one.right, one.down) for one in of_bands if one is not None), (0.0, 0.0))
                of_bands.append(register(band, look.clear, reference, seen.clear, season.sheet.corners, start))
            moved = together([one for one in of_bands if one is not None])
            if moved is not None:
                yield Displaced(other.scene, _offset(moved, pixel), moved.tiles)


def _offset(moved: Votes | Displacement, pixel: float) -> Offset:
    """A displacement in pixels (right, down) in metres (east, north)."""
    return Offset(moved.right * pixel, -moved.down * pixel, moved.error * pixel)


# -- the record -------------------------------------------------------------------------------------------------------


def _is_valid(row: dict[str, Any], parcels: ParcelSet, revisions: Mapping[str, str | None]) -> bool:
    """Whether a row of the lake was measured over the same parcels, on the scene and its pairs as catalogued now."""
    if row["clear"] is None or row["parcels"] != parcels.version:
        return False
    pairs = [pair["scene"] for pair in row["pairs"] or []]
    recorded = row["pair_revisions"]
    if recorded is None and pairs:
        return False
    of = dict(zip(pairs, recorded or [], strict=True)) | {row["scene"]: row["revision"]}
    return all(scene in revisions and revisions[scene] == revision for scene, revision in of.items())


def _measured_before(row: dict[str, Any]) -> Measured:
    """What a row of the lake says that the pixels of its scene say."""
    votes = None if row["borders_east"] is None else Offset(*(row[f"borders_{name}"] for name in Offset._fields))
    pairs = [
        Displaced(pair["scene"], Offset(pair["east"], pair["north"], pair["error"]), pair["tiles"])
        for pair in row["pairs"] or []
    ]
    return Measured(
        row["scene"],
        row["obstime"],
        row["grid"],
        row["pixel"],
        row["clear"],
        votes,
        row["borders"] or 0,
        pairs=tuple(pairs),
        slopes=row["slopes"] or [],
    )


def _row(parcels: ParcelSet, one: Judged, revisions: Mapping[str, str | None]) -> dict[str, Any]:
    """The row of schemas.SHIFTS, but when it was measured."""
    measured = one.measured
    return {
        "card": S2.name,
        "scene": measured.scene,
        **parcels.params,
        "parcels": parcels.version,
        "revision": revisions[measured.scene],
        "obstime": measured.obstime,
        "grid": measured.grid,
        "pixel": measured.pixel,
        "verdict": one.verdict,
        "reason": one.reason,
        "method": "borders and other scenes" if one.offset else None,
        **_columns("", one.offset),
        "clear": measured.clear,
        **_columns("borders_", measured.borders),
        "borders": measured.count,
        **_columns("scenes_", one.scenes),
        "scenes": one.compared,
        **_columns("frame_", one.frame),
        "pairs": [{"scene": pair.scene, **pair.offset._asdict(), "tiles": pair.tiles} for pair in measured.pairs],
        "pair_revisions": [revisions[pair.scene] for pair in measured.pairs],
        "slopes": measured.slopes,
    }


def _columns(prefix: str, offset: Offset | None) -> dict[str, float | None]:
    values: Sequence[float | None] = offset or (None, None, None)
    return {f"{prefix}{name}": value for name, value in zip(Offset._fields, values, strict=True)}


def _is_same(row: dict[str, Any], before: dict[str, Any] | None) -> bool:
    """Whether the lake says the same of a scene already."""
    return before is not None and all(before[name] == value for name, value in row.items())


def _dated(rows: list[dict[str, Any]]) -> pa.Table:
    origin = {"measured": clock.now(), "version": installed.version()}
    return pa.Table.from_pylist([{**row, **origin} for row in rows], schema=schemas.SHIFTS)


def _as_table(rows: list[dict[str, Any]]) -> pa.Table:
    """The rows with the columns of the view `shifts` but when they were measured."""
    table = _dated(rows)
    for name in Offset._fields:
        table = table.append_column(f"{name}_pixels", pc.divide(table[name], table["pixel"]))
    return table.select(SHOWN)


def _warn(judged: Sequence[Judged]) -> None:
    """Say that a whole season lies off the borders."""
    frames = {one.frame for one in judged if one.frame}
    for frame in frames:
        if math.hypot(frame.east, frame.north) >= max(LEAST, _FAR * frame.error):
            log.warning(
                "all scenes of the season lie %s (east, north) off the declared borders: either scenes or outlines are "
                "displaced; shifts of single scenes are measured against the season",
                frame,
            )
