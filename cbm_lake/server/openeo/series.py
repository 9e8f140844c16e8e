"""The result of a plan: statistics of polygons by label along t, filled from rows of several tiles and scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from cbm_lake.errors import TooManyError
from cbm_lake.server.openeo.arithmetic import Floats
from cbm_lake.server.openeo.geometries import Shapes
from cbm_lake.server.openeo.plan import Output
from cbm_lake.zonal.compiled import Ints

MOST_VALUES = 60_000_000
"""Numbers of one result."""


@dataclass(frozen=True, eq=False)
class Series:
    """Statistics of polygons; NaN where no pixel counts."""

    ids: Sequence[str]
    """Of the polygons."""
    times: tuple[str, ...]
    """Labels along t; ("",) where there is no such dimension any more."""
    bands: tuple[str, ...] | None
    outputs: tuple[Output, ...]
    values: Floats
    """Of shape (times, polygons, bands, outputs)."""
    shapes: Shapes | None = None
    """The polygons in degrees, where they were sent along."""
    way: str = ""
    """How it was computed, in a sentence."""

    @property
    def columns(self) -> tuple[str, ...]:
        """A name for each band and statistic."""
        bands = ("value",) if self.bands is None else self.bands
        if len(self.outputs) == 1:
            return bands
        return tuple(f"{band}_{output.name}" for band in bands for output in self.outputs)


@dataclass
class Filling:
    """A result that is being filled: of two scenes with the same label the one that saw more of a polygon counts."""

    polygons: int
    bands: int
    outputs: int
    _pages: dict[str, tuple[datetime, Floats, Floats]] = field(default_factory=dict)
    """By label: what it is sorted by, values and counts."""

    def add(self, label: str, order: datetime, rows: Ints, band: int, values: Floats, counts: Floats) -> None:
        """Enter statistics of a band.

        Args:
            label: along t.
            order: what labels are sorted by: the first of its scenes.
            rows: the numbers of the polygons.
            band: its number.
            values: of shape (polygons, outputs).
            counts: pixels that count, of shape (polygons,); NaN is none.

        Raises:
            TooManyError: the result has more numbers than one may have.
        """
        if label not in self._pages:
            if (len(self._pages) + 1) * self.polygons * self.bands * self.outputs > MOST_VALUES:
                raise TooManyError(
                    f"the result has more than {MOST_VALUES} numbers", advice="ask for fewer dates, parcels or bands"
                )
            page = np.full((self.polygons, self.bands, self.outputs), np.nan)
            self._pages[label] = order, page, np.full((self.polygons, self.bands), -1.0)
        earliest, page, most = self._pages[label]
        self._pages[label] = min(earliest, order), page, most
        better = np.nan_to_num(counts, nan=-1.0) > most[rows, band]
        page[rows, band] = np.where(better[:, None], values, page[rows, band])
        most[rows, band] = np.where(better, counts, most[rows, band])

    @property
    def has_unseen(self) -> bool:
        """Whether there is a polygon of which nothing was entered."""
        seen = np.zeros(self.polygons, bool)
        for _, _, most in self._pages.values():
            seen |= (most >= 0).any(axis=1)
        return not bool(seen.all())

    def ended(self) -> tuple[tuple[str, ...], Floats]:
        """The labels in order, and the values of shape (times, polygons, bands, outputs)."""
        labels = sorted(self._pages, key=lambda label: (self._pages[label][0], label))
        if not labels:
            return (), np.empty((0, self.polygons, self.bands, self.outputs))
        return tuple(labels), np.stack([self._pages[label][1] for label in labels])
