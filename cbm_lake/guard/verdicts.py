"""Verdicts on the shifts of a season's scenes: what borders say and what other scenes say, put together.

Positions of the scenes come from the network of their pairs, with zero where most of the other scenes lie. The borders'
votes differ from them by one displacement of the whole season, the frame: where most of the differences lie. What
borders say of a scene without it, and its position in the network, are two estimates of the same shift. Where they
agree their mean, weighed by inverse squares of the errors, is the scene's shift. That zero is uncertain concerns both
alike, and is added to the error of the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np

from cbm_lake.errors import counted
from cbm_lake.guard import adjustment, borders, registration, tilesums
from cbm_lake.zonal.compiled import Floats

LEAST: Final = 3.0
"""Metres from which a scene is shifted: 0.3 pixels, the mission's requirement on the registration of scenes of several
dates (ESA, Sentinel-2 L1C Data Quality Report, multi-temporal registration)."""
_SURE: Final = 4.0
"""Standard errors by which a shift must differ from zero."""
_COARSE: Final = 1.5
"""Metres: largest standard error of a verdict."""
_APART: Final = 3.0
"""Standard errors by which borders and other scenes may differ."""
CLEAR: Final = 0.2
"""Smallest clear share of the sample with which a scene is compared."""


class Offset(NamedTuple):
    """A displacement in metres, with the standard error of either coordinate."""

    east: float
    north: float
    error: float

    def __str__(self) -> str:
        return f"{self.east:+.1f} {self.north:+.1f} m (± {self.error:.1f})"


class Displaced(NamedTuple):
    """By how much a scene lies off another one."""

    scene: str
    offset: Offset
    tiles: int


@dataclass(frozen=True)
class Measured:
    """What the pixels of a scene say."""

    scene: str
    obstime: datetime
    grid: str | None = None
    pixel: float | None = None
    clear: float | None = None
    borders: Offset | None = None
    count: int = 0
    """Of borders that differ and are clear."""
    pairs: tuple[Displaced, ...] = ()
    slopes: list[dict[str, float | int | None]] = field(default_factory=list)
    """NDVI per metre, by size class."""
    problem: str | None = None
    """Why nothing was measured."""


@dataclass(frozen=True)
class Judged:
    """The verdict on a scene."""

    measured: Measured
    verdict: str
    """ok, shifted, undecided."""
    reason: str
    offset: Offset | None = None
    """Against the season's frame."""
    scenes: Offset | None = None
    """The same by other scenes alone."""
    compared: int = 0
    """Scenes of the season that are connected by pairs."""
    frame: Offset | None = None
    """Of the whole season against the borders."""


class _Season(NamedTuple):
    """What the scenes of a grid say together of one of them."""

    compared: int
    """Scenes that pairs connect."""
    frame: Offset | None
    """Of the season against the borders."""
    zero: tuple[float, float]
    """Metres, (east, north): where most of the other scenes lie, against all."""
    zero_error: float
    """Metres: standard error of where most scenes lie."""
    elsewhere: int
    """Scenes on other grids, where its own has too few to compare with; else 0."""


def judge(season: Sequence[Measured], elsewhere: int = 0) -> list[Judged]:
    """The verdicts on the scenes of one grid.

    Args:
        season: its scenes.
        elsewhere: how many scenes lie on other grids, with which these are not compared.
    """
    number = {one.scene: n for n, one in enumerate(season)}
    pairs = [
        adjustment.Pair(number[one.scene], number[pair.scene], *pair.offset)
        for one in season
        for pair in one.pairs
        if pair.scene in number
    ]
    positions = adjustment.adjusted(len(season), pairs)
    compared = int(np.isfinite(positions.error).sum())
    frame = _frame(season, positions.xy)
    clear = sum(one.clear is not None and one.clear >= CLEAR for one in season)
    uncompared = elsewhere if clear < adjustment.FEWEST else 0
    judged = []
    for one, xy, zero, error in zip(season, positions.xy, positions.zero, positions.error, strict=True):
        east, north = xy - zero
        others = Offset(float(east), float(north), float(error)) if np.isfinite(error) else None
        of_grid = _Season(compared, frame, (zero[0], zero[1]), positions.frame_error, uncompared)
        judged.append(_verdict(one, others, of_grid))
    return judged


def _frame(season: Sequence[Measured], positions: Floats) -> Offset | None:
    """By how much the whole season lies off the borders: drawn wrongly, they are so in all scenes."""
    voted = [(one.borders, xy) for one, xy in zip(season, positions, strict=True) if one.borders and np.isfinite(xy[0])]
    if len(voted) < adjustment.FEWEST:
        return None
    differences = np.array([(vote.east - xy[0], vote.north - xy[1]) for vote, xy in voted])
    drawn = float(np.median([vote.error for vote, _ in voted]))
    middle, error = adjustment.centre(differences)
    return Offset(float(middle[0]), float(middle[1]), float(np.hypot(error, drawn)))


def _verdict(one: Measured, others: Offset | None, season: _Season) -> Judged:
    compared, frame, zero = season.compared, season.frame, season.zero
    missing = _missing(one, others, season)
    if missing or one.borders is None or others is None or frame is None:
        return Judged(one, "undecided", missing or "nothing to compare with", None, others, compared, frame)
    east, north = one.borders.east - frame.east - zero[0], one.borders.north - frame.north - zero[1]
    by_borders = Offset(east, north, one.borders.error)
    shift = _mean(by_borders, others, season.zero_error)
    size, apart = np.hypot(shift.east, shift.north), np.hypot(*np.subtract(by_borders[:2], others[:2]))
    said = f"borders {by_borders}, other scenes {others}"
    judged = Judged(one, "ok", said, shift, others, compared, frame)
    if apart > _APART * np.hypot(by_borders.error, others.error):
        reason = f"borders and other scenes contradict each other: {said}"
        return replace(judged, verdict="undecided", reason=reason, offset=None)
    if shift.error > _COARSE:
        reason = f"the standard error of {shift.error:.1f} m is too large for a verdict: {said}"
        return replace(judged, verdict="undecided", reason=reason)
    return replace(judged, verdict="shifted") if size >= max(LEAST, _SURE * shift.error) else judged


def _mean(first: Offset, second: Offset, shared: float) -> Offset:
    """The mean of two estimates, weighed by inverse squares of their errors, with an error that both share."""
    weights = np.array([first.error, second.error]) ** -2.0
    east, north = weights @ np.array([first[:2], second[:2]]) / weights.sum()
    return Offset(float(east), float(north), float(np.hypot(weights.sum() ** -0.5, shared)))


def _missing(one: Measured, others: Offset | None, season: _Season) -> str | None:
    """What there is too little of for a verdict, in words."""
    if one.problem:
        return one.problem
    if one.clear is not None and one.clear < CLEAR:
        return f"clouded: {100 * one.clear:.0f} % of the sample is clear"
    if one.borders is None:
        return f"fewer than {borders.FEWEST} borders lie between parcels that differ and are clear"
    if season.compared < adjustment.FEWEST:
        return f"{_alone(season.elsewhere)}; a shift cannot be confirmed"
    if others is None:
        return f"fewer than {registration.FEWEST} tiles of {tilesums.TILE} pixels look as in other clear scenes"
    return None if season.frame else f"fewer than {adjustment.FEWEST} scenes have borders that differ"


def _alone(elsewhere: int) -> str:
    """Why a scene is compared with too few others."""
    least = adjustment.FEWEST - 1
    if not elsewhere:
        return f"fewer than {least} other clear scenes of the season look like this one"
    others = counted(elsewhere, "other scene")
    return (
        f"its pixels lie on another grid (origin or coordinate system) than those of {others}, and "
        f"fewer than {least} other clear scenes share its own"
    )
