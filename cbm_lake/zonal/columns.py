"""Translation of requested statistics into the rows that kernels compute, and of these into columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cbm_lake.cards import statistics
from cbm_lake.cards.statistics import PIXELS, STATISTICS, SUMMARY
from cbm_lake.zonal.compiled import Floats

Numbers = npt.NDArray[np.float64] | npt.NDArray[np.int64]

Convert: TypeAlias = Callable[[str, Floats], Floats]
"""Converts a statistic, by its name, from the raster's numbers to the unit of the table: float64, a value a parcel."""

_INTEGERS: Final = {name: statistic.dtype for name, statistic in STATISTICS.items() if statistic.dtype != "float32"}


@dataclass(frozen=True)
class Columns:
    """The columns of a table of statistics, and the quantiles that they need."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, names: str | Iterable[str]) -> Columns:
        """The columns of statistics, each once, in the order of `STATISTICS`.

        Raises:
            InvalidInputError: one of them is no statistic.
        """
        return cls(statistics.check(names))

    @cached_property
    def probabilities(self) -> Floats:
        """Those of the quantiles that are needed, ascending."""
        return np.array([probability for probability, _ in self._quantiles], np.float64)

    @property
    def rows(self) -> int:
        """The number of rows that kernels return: the summary, then the quantiles."""
        return len(SUMMARY) + len(self._quantiles)

    @property
    def need_pixels(self) -> bool:
        """Whether a formula takes the number of pixels of the whole parcel."""
        return PIXELS in _needed(self.names)

    @cached_property
    def _quantiles(self) -> list[tuple[float, str]]:
        """Probability and name of every quantile that is a column, or that a formula takes."""
        needed = {name: STATISTICS[name].quantile for name in _needed(self.names) if name != PIXELS}
        return sorted((probability, name) for name, probability in needed.items() if probability is not None)

    def table(
        self, results: Floats, pixels: Callable[[], Numbers], convert: Convert | None = None, integers: bool = True
    ) -> pa.Table:
        """The columns as a table.

        Args:
            results: what kernels gave, float64 of shape (`rows`, parcels).
            pixels: gives how many pixels each whole parcel has, of shape (parcels,), where they are needed.
            convert: of what kernels gave; formulas take what is converted.
            integers: whether counts are whole numbers, int32.
        """
        computed = dict(zip((*SUMMARY, *(name for _, name in self._quantiles)), results, strict=True))
        if convert:
            computed = {name: convert(name, values) for name, values in computed.items()}
        if self.need_pixels:
            computed[PIXELS] = pixels().astype(np.float64, copy=False)
        columns = {name: _column(name, computed) for name in self.names}
        if integers:
            columns |= {name: columns[name].astype(_INTEGERS[name]) for name in self.names if name in _INTEGERS}
        return pa.table(columns)


def _needed(names: Iterable[str]) -> Iterator[str]:
    """The statistics of those names, and what their formulas take."""
    for name in names:
        yield name
        if name != PIXELS:
            yield from _needed(STATISTICS[name].of)


def _column(name: str, computed: dict[str, Floats]) -> Floats:
    """A column of what was computed, or by its formula."""
    if name in computed:
        return computed[name]
    statistic = STATISTICS[name]
    if statistic.formula is None:
        raise NotImplementedError(f"statistic {name} is neither in the summary, nor a quantile, nor a formula")
    return statistic.formula(*(_column(argument, computed) for argument in statistic.of))
