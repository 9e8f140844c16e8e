"""The days on which a parcel was seen: the scenes of each day, and the sky over the parcel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, TypedDict

import numpy as np

from cbm_lake.cards import CLOUD_CLASSES, Card
from cbm_lake.lake import Lake
from cbm_lake.parcel import chips
from cbm_lake.parcel.chips import Scene
from cbm_lake.parcel.declaration import Parcel

_NEAR: Final = 100
"""Metres a side of the square by which simultaneous scenes are compared."""


class _Sky(TypedDict):
    """A row of sql/time_series/sky_{optical}.sql."""

    scene: str
    obstime: datetime
    cloud: float | None
    why_not: str | None


@dataclass(frozen=True)
class Look:
    """What was seen of a parcel on a day."""

    day: date
    scene: Scene
    """The clearest of that day over the parcel."""
    cloud: float | None
    """Clouded share of the parcel, 0 to 1; None where it is not known, as of radar or of what is not extracted."""
    why_not: str | None
    """Why the look is not usable, see `cards.observation.WHY_NOT`; None where it is, or nothing is known."""

    @property
    def mark(self) -> str:
        """Whether it is clear, clouded or not known."""
        if self.why_not:
            return "clouded" if self.why_not == "cloudy" else "poor"
        return "unknown" if self.cloud is None else "clear"


def looks(lake: Lake, parcel: Parcel, card: Card) -> tuple[Look, ...]:
    """The looks of a card's scenes at a parcel, one per day, by time.

    They are those of the parcel's year, and those that were extracted over it before or after that.
    """
    sky = _sky(lake, parcel, card)
    moments = [row["obstime"].date() for row in sky.values()]
    first, last = min([date(parcel.year, 1, 1), *moments]), max([date(parcel.year, 12, 31), *moments])
    scenes = chips.covering(lake, parcel.lon, parcel.lat, first, last, card=card.name, chipsize=_NEAR)
    by_day: dict[date, list[Look]] = {}
    for look in _joined(scenes, sky, optical=card.is_optical):
        by_day.setdefault(look.day, []).append(look)
    return tuple(min(of_day, key=_haze) for _, of_day in sorted(by_day.items()))


def clearest(looks: Sequence[Look]) -> Look | None:
    """The clearest look, of equally clear ones the latest; None where there are none."""
    ordered = ordered_by_clearness(looks)
    return ordered[0] if ordered else None


def ordered_by_clearness(looks: Sequence[Look]) -> list[Look]:
    """The looks, the clearest first, of equally clear ones the latest."""
    return sorted(looks, key=_haze)


def _haze(look: Look) -> tuple[bool, float, float, int]:
    """What is least for the clearest look: usable, few clouds over the parcel, then in the whole scene; late."""
    whole = 1.0 if look.scene.cloud_cover is None else look.scene.cloud_cover / 100
    over = look.cloud if look.cloud is not None else whole
    return look.why_not is not None, round(over, 2), round(whole, 2), -look.day.toordinal()


def _sky(lake: Lake, parcel: Parcel, card: Card) -> Mapping[str, _Sky]:
    """The sky over a parcel by scene; empty for radar."""
    if not card.is_optical:
        return {}
    rows = lake.query(f"time_series.sky_{card.name}", **parcel.key.params, screen=list(CLOUD_CLASSES))
    return {row["scene"]: row for row in rows.to_pylist()}


def _joined(scenes: Sequence[Scene], sky: Mapping[str, _Sky], *, optical: bool) -> Iterable[Look]:
    for scene in scenes:
        row = sky.get(scene.id) if optical else None
        cloud = row["cloud"] if row and row["cloud"] is not None and np.isfinite(row["cloud"]) else None
        yield Look(scene.obstime.date(), scene, cloud, row["why_not"] if row else None)
