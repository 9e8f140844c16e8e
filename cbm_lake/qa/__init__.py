"""IACS quality assessment: yearly sample, inspection record, and validation of the delivered tables.

    import cbm_lake as cbm

    drawn = cbm.qa.sample("parcels.csv", three_percent=True)       # files in output/, tables in memory
    cbm.qa.inspect(drawn.extraction_id, "000123", "conforming")    # a verdict, kept in the lake
    cbm.qa.validate("parcels.gpkg", "gsa").write("report.html")

What needs heavier libraries is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cbm_lake.qa.acceptance import acceptance_number
from cbm_lake.qa.drawn import Sample
from cbm_lake.qa.flanders import fill_buckets
from cbm_lake.qa.sample import sample

if TYPE_CHECKING:
    from cbm_lake.qa.guide import Step, workflow
    from cbm_lake.qa.inspection import export_verdicts, inspect, inspection_counts, inspections, verdicts
    from cbm_lake.qa.plots import plot_buckets
    from cbm_lake.qa.validation import Validation, validate, validate_tables

__all__ = [
    "Sample",
    "Step",
    "Validation",
    "acceptance_number",
    "export_verdicts",
    "fill_buckets",
    "inspect",
    "inspection_counts",
    "inspections",
    "plot_buckets",
    "sample",
    "validate",
    "validate_tables",
    "verdicts",
    "workflow",
]

_LATER = {
    **dict.fromkeys(("Step", "workflow"), "guide"),
    **dict.fromkeys(("export_verdicts", "inspect", "inspection_counts", "inspections", "verdicts"), "inspection"),
    "plot_buckets": "plots",
    **dict.fromkeys(("Validation", "validate", "validate_tables"), "validation"),
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"cbm_lake.qa.{_LATER[name]}"), name)
    raise AttributeError(f"module 'cbm_lake.qa' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
