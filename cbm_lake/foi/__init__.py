"""Feature of interest (FOI): tests with a thematic raster whether a parcel is one field of one crop.

    import cbm_lake as cbm

    found = cbm.foi.v2("parcels.shp", "crops.tif", "classes.yml", -10, 30, 70, 8, 20)    # clusters in pixels
    found = cbm.foi.v1("parcels.shp", "crops.tif", "classes.yml", 30, 70, 2000)          # clusters in m2
    found.ranked(20)
    cbm.foi.plot_map(found, "foi_h").savefig("map.png")

foi_h says that a class has a share that is neither nearly all nor next to nothing; foi_c, that there are large patches
of two classes or more. What needs heavier libraries is imported when it is first used.

`thematic` is imported at once: it has the name of its module, which would take its place when imported later.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cbm_lake.foi.thematic import thematic

if TYPE_CHECKING:
    from cbm_lake.foi.plots import plot_clusters, plot_map
    from cbm_lake.foi.result import Foi
    from cbm_lake.foi.signal import suspicious
    from cbm_lake.foi.version1 import v1
    from cbm_lake.foi.version2 import v2

__all__ = ["Foi", "plot_clusters", "plot_map", "suspicious", "thematic", "v1", "v2"]

_LATER = {
    "Foi": "result",
    **dict.fromkeys(("plot_clusters", "plot_map"), "plots"),
    "suspicious": "signal",
    "v1": "version1",
    "v2": "version2",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"cbm_lake.foi.{_LATER[name]}"), name)
    raise AttributeError(f"module 'cbm_lake.foi' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
