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
from typing import TYPE_CHECKING, Any, Final

from cbm_lake.files.absolute import remember

if TYPE_CHECKING:
    from cbm_lake import (
        card2db,
        cards,
        cases,
        crops,
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
        season,
        show,
        weather,
        years,
        zonal,
    )
    from cbm_lake.config import Workspace
    from cbm_lake.errors import (
        ConfigError,
        InvalidInputError,
        LakeError,
        NotFoundError,
        SourceError,
    )
    from cbm_lake.extract.cost import estimate
    from cbm_lake.lake import Lake, open_lake
    from cbm_lake.lake.backups import backup
    from cbm_lake.migration import migrate
    from cbm_lake.parcel import basemaps, chips
    from cbm_lake.parcel.sources import set_api_account

_PUBLIC: Final = {
    "ConfigError": "errors",
    "InvalidInputError": "errors",
    "Lake": "lake",
    "LakeError": "errors",
    "NotFoundError": "errors",
    "SourceError": "errors",
    "Workspace": "config",
    "backup": "lake.backups",
    "basemaps": "parcel",
    "card2db": "",
    "cards": "",
    "cases": "",
    "chips": "parcel",
    "crops": "",
    "estimate": "extract.cost",
    "extract": "",
    "foi": "",
    "get": "",
    "guard": "",
    "markers": "",
    "migrate": "migration",
    "open_lake": "lake",
    "parcels": "",
    "qa": "",
    "report": "",
    "reports": "",
    "scenes": "",
    "season": "",
    "set_api_account": "parcel.sources",
    "show": "",
    "weather": "",
    "years": "",
    "zonal": "",
}
"""The public names, and the module that has each, or of which each is a submodule; "" is this package.

`__all__` and the imports above repeat the names for tools that read the text; a test compares them."""

_FORMER: Final = {"backgrounds": "basemaps"}
"""Names of version 0.1 that go on working."""

__all__ = [
    "ConfigError",
    "InvalidInputError",
    "Lake",
    "LakeError",
    "NotFoundError",
    "SourceError",
    "Workspace",
    "backup",
    "basemaps",
    "card2db",
    "cards",
    "cases",
    "chips",
    "crops",
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
    "season",
    "set_api_account",
    "show",
    "weather",
    "years",
    "zonal",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("cbm-lake")
    name = _FORMER.get(name, name)
    if name not in _PUBLIC:
        raise AttributeError(f"module 'cbm_lake' has no attribute {name!r}")
    module = importlib.import_module(f"cbm_lake.{_PUBLIC[name]}".rstrip("."))
    if name not in vars(module):
        importlib.import_module(f"{module.__name__}.{name}")
    return vars(module)[name]


def __dir__() -> list[str]:
    return sorted(__all__)


remember("CBM_LAKE_HOME", "CBM_LAKE_LAKE__URL")  # reads only: folders are made when something is written into them
