"""Which parcels of other years a parcel was or became, by the lake's lineage or by its identifier and outline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import shapely

from cbm_lake.errors import NotFoundError, UnknownSetError, counted, some
from cbm_lake.lake.snapshots import ParcelSet, geometry_part
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.sources import LakeSource
from cbm_lake.show.reading import Reading

_EQUAL_AREA: Final = 3035
LEAST: Final = 0.1
"""Share of the parcel, or of the other one, from which their overlap is more than a border drawn anew."""
_WHOLE: Final = 0.95
"""Share from which a parcel is the whole of another: outlines are digitised anew every year."""
MOST: Final = 3
"""Parcels of another year that are compared with."""


@dataclass(frozen=True)
class Match:
    """A parcel of a year that is compared."""

    parcel: Parcel
    covered: float = 1.0
    """Share of the parcel in question that lies in this one, 0 to 1."""
    inside: float = 1.0
    """Share of this one that lies in the parcel in question, 0 to 1."""
    moved: bool = False
    """By the lineage the same parcel, with a displaced outline."""
    metres: float = 0.0
    """Between the centroids, in the UTM zone of the parcel."""

    @property
    def overlaps(self) -> bool:
        """Whether enough of either lies in the other."""
        return max(self.covered, self.inside) >= LEAST

    def described(self, pid: str) -> str:
        """Identifier, where it is another than `pid`, and shares of area, where either is not whole."""
        parts = [f"parcel {self.parcel.pid}"] if self.parcel.pid != pid else []
        if self.moved and not self.overlaps:
            return ", ".join([*parts, f"moved by {self.metres:,.0f} m"])
        parts += [f"on {_percent(self.covered)} of this one"] if self.covered < _WHOLE else []
        parts += [f"{_percent(self.inside)} of it in this one"] if self.inside < _WHOLE else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Succession:
    """A parcel through the years."""

    matches: tuple[Match, ...]
    """By year; of a year the one that covers most of the parcel first. The parcel itself is one of them."""
    notes: tuple[str, ...]
    """Years that are missing, and why; what a match is accepted on."""


def of(reading: Reading, parcel: Parcel, years: Sequence[int] | None = None) -> Succession:
    """Find the parcels of other years that a parcel was or became.

    By the view `lineage`, over several years if need be; where it relates nothing to a year, by the same identifier if
    its outline overlaps. Shares are of areas in EPSG:3035.

    Args:
        reading: of a lake; a server knows no lineage, so that the identifier alone decides.
        parcel: of one year.
        years: which ones; None is all with parcels of the same kind.
    """
    sets = _sets(reading, parcel)
    related = _related(reading, parcel) if sets else {}
    matches: list[Match] = []
    notes: list[str] = []
    for year in sorted({parcel.year, *sets} if years is None else set(years)):
        if year == parcel.year:
            matches.append(Match(parcel))
            continue
        of_year = related.get(year, {})
        overlapping = _matches(reading, parcel, year, of_year or {parcel.pid: _Step()})
        matches += overlapping[:MOST]
        notes += _notes(reading, parcel, year, overlapping, of_year)
        notes += _outdated(year, of_year, sets)
    return Succession(tuple(matches), tuple(notes))


@dataclass(frozen=True)
class _Step:
    """What the lineage says of a parcel."""

    version: str = ""
    """Of the parcel set that was related."""
    moved: bool = False
    """Whether its outline, or one on the way to it, was displaced."""


_Steps: TypeAlias = Mapping[str, _Step]
"""By identifier."""


def _sets(reading: Reading, parcel: Parcel) -> dict[int, ParcelSet]:
    """Each year's parcel set of the same area and kind; empty where a server is read."""
    if not isinstance(reading.source, LakeSource):
        return {}
    sets = reading.lake.parcel_sets()
    return {one.year: one for one in sets if (one.aoi, one.ptype) == (parcel.key.aoi, parcel.key.ptype)}


def _related(reading: Reading, parcel: Parcel) -> dict[int, dict[str, _Step]]:
    """The parcels of each year that the lineage relates."""
    related: dict[int, dict[str, _Step]] = {}
    for row in reading.lake.query("parcels.succession", **parcel.key.params, least=LEAST).to_pylist():
        related.setdefault(row["year"], {})[row["pid"]] = _Step(row["version"], row["moved"])
    return related


def _matches(reading: Reading, parcel: Parcel, year: int, steps: _Steps) -> list[Match]:
    """Those of a year that are declared and overlap, or were displaced; the greatest share first."""
    matches = []
    for pid, step in steps.items():
        try:
            [other] = reading.parcels(parcel.aoi, year, pid, parcel.ptype)
        except NotFoundError:
            continue
        match = _compared(parcel, other, moved=step.moved)
        matches += [match] if match.overlaps or match.moved else []
    return sorted(matches, key=lambda match: (-match.covered, -match.inside, match.parcel.pid))


def _compared(parcel: Parcel, other: Parcel, *, moved: bool) -> Match:
    """The shares of two parcels' areas that they have in common."""
    here, there = (shapely.make_valid(one.outline_in(_EQUAL_AREA)) for one in (parcel, other))
    common = shapely.area(shapely.intersection(here, there))
    covered, inside = (common / area if area else 0.0 for area in (shapely.area(here), shapely.area(there)))
    metres = shapely.distance(*(shapely.centroid(one.outline_in(parcel.utm)) for one in (parcel, other)))
    return Match(other, float(covered), float(inside), moved, float(metres))


def _notes(reading: Reading, parcel: Parcel, year: int, matches: Sequence[Match], steps: _Steps) -> list[str]:
    """Why nothing of a year is compared, what a match is accepted on, and which ones are left out."""
    if not matches:
        return [f"{year}: missing; {_reason(reading, parcel, year, steps)}"]
    if not steps:
        return [f"{year}: no lineage is known; parcel {parcel.pid} of that year, which overlaps, is compared"]
    more = len(matches) - MOST
    return [f"{year}: {counted(more, 'more parcel')} on smaller shares of it left out"] if more > 0 else []


def _reason(reading: Reading, parcel: Parcel, year: int, steps: _Steps) -> str:
    """Why no parcel of a year is compared."""
    try:
        reading.parcels(parcel.aoi, year, parcel.pid, parcel.ptype)
    except UnknownSetError as error:
        kinds = [one.ptype or "the main one" for one in _of_year(reading, parcel, year)]
        return error.reason + (f", but of another parcel set: {some(kinds)}" if kinds else "")
    except NotFoundError:
        if not steps:
            return f"no lineage is known, and no parcel {parcel.pid} is declared"
    if steps:
        return f"the lineage names {some(steps)}, which overlap it by less than {LEAST:.0%}".replace("%", " %")
    return f"no lineage is known, and parcel {parcel.pid} of that year lies elsewhere"


def _of_year(reading: Reading, parcel: Parcel, year: int) -> list[ParcelSet]:
    sets = reading.lake.parcel_sets() if isinstance(reading.source, LakeSource) else []
    return [one for one in sets if (one.aoi, one.year) == (parcel.key.aoi, year)]


def _outdated(year: int, steps: _Steps, sets: Mapping[int, ParcelSet]) -> list[str]:
    """A note where the lineage is of other outlines than those that count now."""
    related = {geometry_part(step.version) for step in steps.values()}
    if not related or year not in sets or related == {sets[year].geometry_version}:
        return []
    return [f"{year}: the lineage is of outlines that were loaded anew since; relate the parcels again"]


def _percent(share: float) -> str:
    """A share in whole percent, none of which is rounded to nothing or to all."""
    return "less than 1 %" if share < 0.01 else f"{min(round(100 * share), 99)} %"
