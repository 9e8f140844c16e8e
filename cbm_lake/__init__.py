"""cbm-lake: a data lake and analytics engine for Checks by Monitoring.

    import cbm_lake as cbm

    cbm.card2db.items("scenes.json")                             # catalogue
    cbm.parcels.load("parcels.gpkg", aoi="ms", year=2024)        # declared parcels
    cbm.extract.s2("2024-03-01", "2024-10-31", aoi="ms", year=2024)
    cbm.get.time_series.by_pid("ms", 2024, "000123")
    cbm.open_lake().sql("select pid, ndvi(B04_mean, B08_mean) as ndvi from s2")

Modules are imported when they are first used, so that importing the package costs little.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings
from typing import TYPE_CHECKING, Any

from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError, InvalidInputError, LakeError, NotFoundError, SourceError

if TYPE_CHECKING:
    from cbm_lake import (
        card2db,
        cards,
        extract,
        foi,
        get,
        guard,
        markers,
        parcels,
        qa,
        report,
        reports,
        scenes,
        show,
        weather,
        zonal,
    )
    from cbm_lake.extract.cost import estimate
    from cbm_lake.lake import Lake, open_lake
    from cbm_lake.lake.backups import backup
    from cbm_lake.migration import migrate
    from cbm_lake.parcel.sources import set_api_account

__all__ = [
    "ConfigError",
    "InvalidInputError",
    "Lake",
    "LakeError",
    "NotFoundError",
    "SourceError",
    "Workspace",
    "backup",
    "card2db",
    "cards",
    "estimate",
    "extract",
    "foi",
    "get",
    "guard",
    "markers",
    "migrate",
    "open_lake",
    "parcels",
    "qa",
    "report",
    "reports",
    "scenes",
    "set_api_account",
    "show",
    "weather",
    "zonal",
]

_MODULES = (
    "card2db",
    "cards",
    "extract",
    "foi",
    "get",
    "guard",
    "markers",
    "parcels",
    "qa",
    "report",
    "reports",
    "scenes",
    "show",
    "weather",
    "zonal",
)
_NAMES = {
    "Lake": "lake",
    "backup": "lake.backups",
    "estimate": "extract.cost",
    "migrate": "migration",
    "open_lake": "lake",
    "set_api_account": "parcel.sources",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"cbm_lake.{name}")
    if name == "__version__":
        return importlib.metadata.version("cbm-lake")
    if name in _NAMES:
        return getattr(importlib.import_module(f"cbm_lake.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'cbm_lake' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


try:
    Workspace.here().create()
except ConfigError as error:
    warnings.warn(f"no workspace: {error}", stacklevel=2)
