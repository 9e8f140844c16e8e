"""What is seen of parcels in a season, and the numbers that models learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats: TypeAlias = npt.NDArray[np.floating]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Objects: TypeAlias = npt.NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Season:
    """What is seen of n parcels on a common calendar of t steps, whatever it comes from."""

    pids: pa.Array
    """(n,) texts, each once."""
    x: Floats
    """(n,) centroid, easting in metres, in an equal-area coordinate system such as EPSG:3035."""
    y: Floats
    """(n,) northing in metres."""
    area_m2: Floats
    """(n,) square metres; NaN where it is unknown."""
    codes: Objects
    """(n,) the declared crop: HCAT code as text, or the agency's code or name; None where it is unknown."""
    days: Ints
    """(t,) the middle of each step, ascending, in days since 1970-01-01."""
    values: Mapping[str, Floats]
    """By quantity (NDVI, B11, VV, VH/VV, coherence …): (n, t) float32, NaN where nothing is seen; gaps are not filled."""
    static: Mapping[str, Floats] = field(default_factory=dict)
    """By quantity that does not change (elevation, slope): (n,)."""

    def until(self, day: int) -> Season:
        """The same with the steps until a day (since 1970-01-01), inclusive."""
        steps = int(np.searchsorted(self.days, day, side="right"))
        return replace(
            self, days=self.days[:steps], values={name: values[:, :steps] for name, values in self.values.items()}
        )
