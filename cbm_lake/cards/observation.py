"""Thresholds of usable Sentinel-2 observations of a parcel, as applied by the view `observations`.

The macros least_pixels(), least_share(), least_clear(), least_stored() and most_cloud() of SQL are made from them;
which classes count as clouds is `cards.CLOUD_CLASSES`, unless a caller names others.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

LEAST_PIXELS: Final = 8
"""Pixels from which the numbers of a parcel are worth something (Vajsova et al. 2020, Remote Sensing 12(14), 2195)."""
LEAST_SHARE: Final = 0.9
"""Minimum share of a parcel that must be observed to represent the whole.

The mean of nine tenths differs from that of the whole by at most a tenth of what separates the two parts.
"""
LEAST_CLEAR: Final = 0.6
"""Minimum share of a parcel that must be clear for its clear pixels to stand for it, if they are `LEAST_PIXELS`.

On generated scenes under planted clouds the NDVI of six to seven tenths differs from that of the whole by 0.009.
"""
LEAST_STORED: Final = 0.5
"""Minimum share of a parcel that must be clear for a row of its clear pixels: less than half does not stand for it.

Under usual clouds that is nearly every second row. A question that asks for less is refused, since rows are missing.
"""
MOST_CLOUD: Final = 0.0
"""Greatest share of a parcel's classified pixels that may be in a screened class: one already lowers the NDVI."""
WHY_NOT: Final = MappingProxyType(
    {
        "small": "too few pixels",
        "cut": "seen in part",
        "unknown": "not known",
        "cloudy": "clouded",
    }
)
"""Values of `why_not`, in the order in which they apply, in the words of figures."""
