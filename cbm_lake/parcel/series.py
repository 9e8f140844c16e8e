"""Time series of a parcel's zonal statistics, one wide row per scene."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from cbm_lake.cards import Card
from cbm_lake.files import decimals
from cbm_lake.parcel.declaration import Parcel

if TYPE_CHECKING:
    import pandas as pd

_STATISTICS: Final = ("count", "mean", "p25", "p75")
"""Columns that curves are drawn from."""


@dataclass(frozen=True)
class TimeSeries:
    """Statistics of a parcel in all scenes of a card."""

    parcel: Parcel
    card: Card
    table: pa.Table
    """By time: obstime (UTC); why_not (why a row is worth little, small or cut, as in `cards.observation`; else null);
    of cards with scene classes the pixels of each (a list, such as scl; null where not known); and of each band
    B04_count, B04_mean, … .
    """
    looks: Callable[[tuple[int, ...]], pa.Table] | None = None
    """Gives the table when scene classes are screened, see `screened`; None of radar and of what a server answers."""

    def screened(self, classes: tuple[int, ...]) -> TimeSeries:
        """The same looks when these scene classes are screened.

        Where the clear pixels alone stand for a parcel that is partly clouded the numbers are theirs, which the column
        clear_part says; why_not then says of each look why it is not usable. Unchanged where nothing is known of that.
        """
        return self if self.looks is None else replace(self, table=self.looks(classes), looks=None)

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that have columns, in the card's order."""
        return tuple(band for band in self.card.resolutions if f"{band}_mean" in self.table.column_names)

    @property
    def unit(self) -> str:
        """Unit of means and quantiles."""
        return self.card.measured

    def rows(self, bands: Iterable[str]) -> pd.DataFrame:
        """Scenes with pixels in all the bands; of simultaneous ones the one with the most pixels.

        Returns:
            By time (naive UTC): time, why_not (None where there is no reason), classes (pixels of each scene class;
            None where not known), clear_part (whether the numbers are of clear pixels alone), count (pixels, of the
            band that has fewest), and of each band its mean, p25 and p75 (float64) as B04_mean, …
        """
        columns = [f"{band}_{statistic}" for band in dict.fromkeys(bands) for statistic in _STATISTICS]
        classes = self.card.classification.column if self.card.classification else "classes"
        table = self.table
        for name in {"why_not", classes, *columns} - set(table.column_names):
            table = table.append_column(name, pa.nulls(table.num_rows, pa.float64()))
        if "clear_part" not in table.column_names:
            table = table.append_column("clear_part", pa.repeat(False, table.num_rows))
        rows = decimals.written(table.select(["obstime", "why_not", "clear_part", classes, *columns])).to_pandas()
        count = rows[[name for name in columns if name.endswith("_count")]].astype(float).min(axis=1, skipna=False)
        rows = rows.rename(columns={classes: "classes"})
        rows = rows.assign(count=count, time=rows["obstime"].dt.tz_convert(None))
        rows = rows[rows["count"] > 0].sort_values(["time", "count"], kind="stable")
        rows = rows.drop_duplicates("time", keep="last").reset_index(drop=True)
        values = [name for name in columns if not name.endswith("_count")]
        return rows[["time", "why_not", "classes", "clear_part", "count", *values]].astype(dict.fromkeys(values, float))
