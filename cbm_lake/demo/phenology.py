"""Simulated phenology of the sample: crops, land cover, farm work and the resulting NDVI."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BARE_NDVI, STUBBLE_NDVI, CUT_NDVI = 0.15, 0.23, 0.40
MOST_CUTS = 4


@dataclass(frozen=True)
class Cover:
    """What grows or stands on a surface; days are days of the year, NDVI without unit, backscatter in dB."""

    name: str
    code: str = ""
    """Crop code of the declaration; empty for land that nobody declares."""
    share: float = 0.0
    """Share of the declared parcels."""
    winter: float = BARE_NDVI
    """NDVI before spring growth."""
    peak: float = BARE_NDVI
    late: float = BARE_NDVI
    """NDVI that is left after senescence."""
    rise: float = 100.0
    rise_days: float = 10.0
    fall: float = 300.0
    fall_days: float = 10.0
    sowing: float = np.nan
    harvest: float = np.nan
    ploughing: float = np.nan
    brightness: float = 1.0
    """Reflectance relative to that of a field with the same NDVI."""
    texture: float = 0.025
    """Standard deviation of the NDVI inside the surface."""
    vv: float = -12.0
    """Backscatter under full vegetation; bare soil is alike for all crops."""
    vh: float = -18.5


def _covers(table: str) -> tuple[Cover, ...]:
    """The covers of a table whose first line names their fields; _ is a blank, - the default of a field."""
    header, *rows = (line.split() for line in table.strip().splitlines())
    return tuple(_cover(dict(zip(header, row, strict=True))) for row in rows)


def _cover(row: dict[str, str]) -> Cover:
    numbers = {name: float(value) for name, value in row.items() if name not in ("name", "code") and value != "-"}
    return Cover(row["name"].replace("_", " "), row.get("code", ""), **numbers)


CROPS = _covers(
    """
    name         code share winter peak late rise rise_days fall fall_days sowing harvest ploughing texture vv    vh
    winter_wheat 115  0.28  0.38   0.9  0.24 92   11        181  6         -      204     243       -       -15.5 -20.5
    maize        411  0.2   -      0.89 0.35 166  8         268  9         118    279     -         -       -9.5  -15
    grassland    451  0.24  0.52   0.87 0.66 88   9         268  20        -      -       -         0.035   -12.5 -
    rapeseed     311  0.12  0.5    0.9  0.22 84   8         172  6         -      194     231       -       -10.5 -14
    sugar_beet   603  0.09  0.14   0.89 0.62 150  8         285  15        92     291     -         -       -9    -14.5
    fallow       591  0.07  0.3    0.62 0.38 110  16        205  20        -      -       -         0.06    -     -18
    """
)
LAND = _covers(
    """
    name   winter peak  late rise rise_days fall fall_days brightness texture vv   vh
    verge  0.34   0.52  0.4  105  14        260  20        -          0.06    -    -
    forest 0.5    0.88  0.55 112  6         288  9         0.62       0.03    -8.5 -13.5
    built  0.2    0.32  0.22 105  14        270  15        0.95       0.1     -4   -11
    water  -0.2   -0.15 -0.2 -    -         -    -         0.13       0.02    -20  -27
    """
)
COVERS = {cover.name: cover for cover in (*CROPS, *LAND)}
OTHER_SEASON = {
    "winter wheat": "maize",
    "maize": "winter wheat",
    "grassland": "maize",
    "rapeseed": "sugar beet",
    "sugar beet": "rapeseed",
    "fallow": "sugar beet",
}
"""For each crop another one whose season is clearly distinct in NDVI."""


@dataclass(frozen=True)
class Growth:
    """Phenology of every surface: curve parameters and days of farm work, one entry each (NaN: none)."""

    covers: tuple[Cover, ...]
    early: Floats
    """Days by which the surface is ahead of its crop."""
    vigour: Floats
    """Factor on the height of the curve."""
    sowing: Floats
    harvest: Floats
    ploughing: Floats
    cuts: Floats
    """Days of mowing or mulching, shape (surfaces, 4), in order."""
    recovery: Floats
    """Days in which a cut sward wins back 63 % of what it lost."""

    def of(self, field: str) -> Floats:
        """A property of the surfaces' covers as a column."""
        return np.array([getattr(cover, field) for cover in self.covers], dtype=np.float64)[:, None]

    def ndvi(self, days: Floats) -> Floats:
        """NDVI of every surface on the given days of the year, shape (surfaces, days)."""
        value = self._curve(days) - 0.16 * self.flowering(days)
        for cut in self.cuts.T:
            since = days - cut[:, None]
            loss = np.maximum(value - CUT_NDVI, 0) * np.exp(-np.maximum(since, 0) / self.recovery[:, None])
            value = np.where(since >= 0, value - loss, value)
        since = days - self.harvest[:, None]
        volunteers = 0.12 * (1 - np.exp(-np.maximum(since, 0) / 30))
        value = np.where(since >= 0, STUBBLE_NDVI + volunteers, value)
        return np.where(days >= self.ploughing[:, None], BARE_NDVI, value)

    def _curve(self, days: Floats) -> Floats:
        """The double logistic of Beck et al. (2006), Remote Sensing of Environment 100, equation 3."""
        day = days + self.early[:, None]
        up = 1 / (1 + np.exp(-(day - self.of("rise")) / self.of("rise_days")))
        down = 1 / (1 + np.exp(-(day - self.of("fall")) / self.of("fall_days")))
        winter, late = self.of("winter"), self.of("late")
        height = self.of("peak") * self.vigour[:, None]
        return winter + (height - winter) * up + (late - height) * down

    def flowering(self, days: Floats) -> Floats:
        """Degree of yellow flowering of rapeseed, 0 to 1, shape (surfaces, days)."""
        rape = np.array([[cover.name == "rapeseed"] for cover in self.covers])
        return rape * np.exp(-0.5 * ((days + self.early[:, None] - 121) / 9) ** 2)

    def brightness(self, days: Floats) -> Floats:
        """Reflectance relative to a green or harrowed field: straw and stubble shine, wet plough is dark."""
        fall = np.where(np.isfinite(self.harvest), self.of("fall")[:, 0], np.nan)[:, None]
        straw = np.where(days + self.early[:, None] >= fall, 1.12, 1.0)
        stubble = np.where(days >= self.harvest[:, None], 1.25, straw)
        return np.where(days >= self.ploughing[:, None], 0.85, stubble) * self.of("brightness")

    def disturbed(self, days: Floats, span: float) -> NDArray[np.bool_]:
        """Whether a surface was worked in the `span` days up to each day, shape (surfaces, days)."""
        work = np.column_stack([self.sowing, self.harvest, self.ploughing, self.cuts])
        since = days[None, :, None] - work[:, None, :]
        return np.asarray(((since >= 0) & (since < span)).any(axis=2))

    def events(self) -> pd.DataFrame:
        """All farm work, sorted: surface (row number), event and day of the year."""
        cut = np.array(["mulching" if cover.name == "fallow" else "mowing" for cover in self.covers])
        tables = [_table(name, getattr(self, name)) for name in ("sowing", "harvest", "ploughing")]
        tables += [_table(cut, days) for days in self.cuts.T]
        return pd.concat(tables).dropna().sort_values(["surface", "day"], ignore_index=True)


def _table(event: str | NDArray[np.str_], days: Floats) -> pd.DataFrame:
    return pd.DataFrame({"surface": np.arange(len(days)), "event": event, "day": days})


def draw(names: list[str], rng: np.random.Generator) -> Growth:
    """Draw random phenologies for surfaces with these covers."""
    covers = tuple(COVERS[name] for name in names)
    crop = np.array([bool(cover.code) for cover in covers])
    early = np.where(crop, rng.normal(0, 5, len(names)).clip(-11, 11), 0)
    work = {
        name: np.round(np.array([getattr(cover, name) for cover in covers]) - early + rng.normal(0, 3, len(names)))
        for name in ("sowing", "harvest", "ploughing")
    }
    return Growth(
        covers,
        early,
        np.where(crop, rng.normal(1, 0.03, len(names)).clip(0.9, 1.05), 1),
        cuts=_cuts(names, rng),
        recovery=rng.uniform(13, 22, len(names)),
        **work,
    )


def _cuts(names: list[str], rng: np.random.Generator) -> Floats:
    """Days of 1 to 4 cuts on grassland, about 45 days apart, and of one mulching on half of the fallows."""
    count = len(names)
    name = np.array(names)
    # Few cuts come late, many start early, as between hay meadow and silage.
    number = rng.integers(1, MOST_CUTS + 1, count)
    first = 172 - 11 * number + rng.normal(0, 7, count)
    gaps = rng.normal(44, 5, (count, MOST_CUTS)).clip(30)
    cuts = first[:, None] + np.cumsum(gaps, axis=1) - gaps[:, :1]
    cuts[np.arange(MOST_CUTS) >= number[:, None]] = np.nan
    cuts[name != "grassland"] = np.nan
    mulched = (name == "fallow") & (rng.random(count) < 0.5)
    cuts[mulched, 0] = rng.normal(215, 12, int(mulched.sum()))
    return np.asarray(np.round(cuts))
