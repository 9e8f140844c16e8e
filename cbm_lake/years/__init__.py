"""Several years together: rules over the land of each parcel, and changes of land use.

    import cbm_lake as cbm

    cbm.years.rotation("ms", 2024)                      # GAEC 7: did another crop grow on the land the year before?
    cbm.years.grassland("ms", 2024)                     # grass for five years, and whether it was ploughed and resown
    cbm.years.fallow("ms", 2024)                        # fallow after fallow
    cbm.years.sensitive("ms", 2024, areas="natura")     # GAEC 9: ploughed for the first time
    cbm.years.reference("ms", 2024)                     # area beyond the reference parcels
    cbm.years.land_use("ms", 2024)                      # parcels whose season resembles no crop: ranked candidates
    cbm.years.show_land_use("ms", 2024, file="map.png")

Each rule is a documented query of sql/years/; docs/years.md describes them with examples. Modules are imported when
they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cbm_lake.years.changed import land_use
    from cbm_lake.years.findings import write
    from cbm_lake.years.picture import show_land_use
    from cbm_lake.years.rules import fallow, grassland, rotation
    from cbm_lake.years.sets import reference, sensitive

__all__ = [
    "fallow",
    "grassland",
    "land_use",
    "reference",
    "rotation",
    "sensitive",
    "show_land_use",
    "write",
]

_MODULES = {
    **dict.fromkeys(("fallow", "grassland", "rotation"), "rules"),
    **dict.fromkeys(("reference", "sensitive"), "sets"),
    "land_use": "changed",
    "show_land_use": "picture",
    "write": "findings",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"cbm_lake.years.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'cbm_lake.years' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
